//! Records as they come from the rings and the iterator over open files. An odd one is `None`, never a panic.

use std::net::SocketAddr;

use crate::bpf::owners::types::{
    conn_counts, conn_end, conn_head, flow_record, holder, owner_slot,
};
use crate::model::conn::{
    Carried, Conn, ConnEvent, Holder, Owner, OwnerFrom, PeerFlow, Share, wire_ip,
};
use crate::model::open::Comm;
use crate::model::opens::ProcessKey;
use crate::model::time::Mono;
use crate::sys::records::{CONN_HEAD_BYTES, OWNER_SLOT_BYTES};

/// `TCP_ESTABLISHED` of `include/net/tcp_states.h`.
const TCP_ESTABLISHED: u8 = 1;
/// As `OWNER_SLOTS` in `owners.h`.
const SLOTS: usize = 4;
/// A head with all its slots, as samples are; a record of the ring may have one.
pub(super) const CONN_BYTES: usize = CONN_HEAD_BYTES + SLOTS * OWNER_SLOT_BYTES;

/// A peer's counts, as walks report them. They begin with the key in the map.
pub(super) const FLOW_BYTES: usize = size_of::<flow_record>();

/// What a record of the ring tells, in its order: an end may tell of its beginning too.
pub(super) fn events(bytes: &[u8]) -> impl Iterator<Item = Conn> {
    let told = conn(bytes);
    let begun = told.as_ref().and_then(|(conn, begun)| begun_with(conn, (*begun)?));
    begun.into_iter().chain(told.map(|(conn, _)| conn))
}

pub(super) fn sample(bytes: &[u8]) -> Option<Conn> {
    Some(conn(bytes)?.0)
}

/// The beginning of one that ended before it was told. It has had one owner, and had carried
/// nothing.
fn begun_with(end: &Conn, at: Mono) -> Option<Conn> {
    let event = if end.passive { ConnEvent::Accept } else { ConnEvent::Connect };
    let owner = end.shares.first()?.owner;
    let shares = vec![Share { owner, carried: Carried::default() }];
    Some(Conn { at, event, state: TCP_ESTABLISHED, error: 0, shares, current: 0, ..end.clone() })
}

/// A socket, and when it began where that is told with it.
fn conn(bytes: &[u8]) -> Option<(Conn, Option<Mono>)> {
    let (head, rest) = bytes.split_at_checked(CONN_HEAD_BYTES)?;
    let head: conn_head = copied(head)?;
    let event = match head.event {
        0 => ConnEvent::Sample,
        1 => ConnEvent::Connect,
        2 => ConnEvent::Accept,
        3 => ConnEvent::Close,
        _ => return None,
    };
    let current = usize::from(head.current);
    let mut shares = Vec::with_capacity(1);
    for (n, bytes) in rest.chunks_exact(OWNER_SLOT_BYTES).take(SLOTS).enumerate() {
        let slot: owner_slot = copied(bytes)?;
        let mut carried = counts(&slot.counts);
        if n == current {
            carried += counts(&head.not_yet);
        }
        let owner = owner(&slot)?;
        if n > 0 && n > current && owner.is_none() && carried.is_none() {
            break;
        }
        shares.push(Share { owner, carried });
    }
    if current >= shares.len() {
        return None;
    }
    let conn = Conn {
        at: Mono(head.ts_ns),
        since: (head.since_ns != 0).then_some(Mono(head.since_ns)),
        cookie: head.cookie,
        event,
        protocol: head.protocol,
        local: end(&head.local),
        remote: end(&head.remote),
        netns: head.netns,
        state: head.state,
        error: head.error,
        shares,
        current,
        left_out: head.flags & 1 != 0,
        kernels: head.flags & 2 != 0,
        passive: head.flags & 4 != 0,
        wrapping: head.wrapping != 0,
    };
    Some((conn, (head.begun_ns != 0).then_some(Mono(head.begun_ns))))
}

pub(super) fn held(bytes: &[u8]) -> Option<Holder> {
    let record: holder = copied(bytes)?;
    Some(Holder { cookie: record.cookie, owner: owner(&record.who)?? })
}

pub(super) fn flow(bytes: &[u8]) -> Option<PeerFlow> {
    let record: flow_record = copied(bytes)?;
    let (cookie, remote) = (record.key.cookie, end(&record.key.remote));
    Some(PeerFlow { cookie, remote, carried: counts(&record.counts) })
}

/// `None`: the slot says what no kernel says; `Some(None)`: it is nobody's.
#[allow(clippy::option_option)]
fn owner(slot: &owner_slot) -> Option<Option<Owner>> {
    let from = match slot.from {
        0 => return Some(None),
        1 => OwnerFrom::Made,
        2 => OwnerFrom::Accepted,
        3 => OwnerFrom::Sent,
        4 => OwnerFrom::Found,
        _ => return None,
    };
    Some(Some(Owner {
        key: ProcessKey { tgid: slot.tgid, start_boottime_ns: slot.start_boottime_ns },
        uid: slot.uid,
        comm: Comm(slot.comm),
        from,
    }))
}

fn counts(counts: &conn_counts) -> Carried {
    Carried {
        rx_bytes: counts.rx_bytes,
        tx_bytes: counts.tx_bytes,
        rx_packets: counts.rx_packets,
        tx_packets: counts.tx_packets,
    }
}

fn end(end: &conn_end) -> SocketAddr {
    SocketAddr::new(wire_ip(end.ip), end.port)
}

/// The bytes lie anywhere.
fn copied<T: plain::Plain + Default>(bytes: &[u8]) -> Option<T> {
    let mut record = T::default();
    plain::copy_from_bytes(&mut record, bytes).ok()?;
    Some(record)
}
