//! Decodes records of the rings and of the iterator over open files. A malformed one is `None`.

use std::net::SocketAddr;

use crate::bpf::connections::types::{
    caller, conn_counts, conn_end, conn_event, conn_flag, conn_quality, conn_record, conn_unknown,
    holder_record, owner_from, peer_record, share_record,
};
use crate::model::conn::{
    Carried, Conn, ConnEvent, Holder, Owner, OwnerFrom, PeerFlow, Share, TcpCounts, wire_ip,
};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::quality::{Quality, TcpState, Windows};
use crate::model::time::Mono;

pub(super) const CONN_BYTES: usize = size_of::<conn_record>();
pub(super) const SHARE_BYTES: usize = size_of::<share_record>();
/// A record begins with the key in the map.
pub(super) const PEER_BYTES: usize = size_of::<peer_record>();

/// A socket, before the processes that share it are added.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) conn: Conn,
    /// A close reports this time of a connect or accept too.
    pub(super) begun: Option<Mono>,
    /// `shares` has entries of it.
    pub(super) has_sharers: bool,
    /// The last caller, where that is not the first share.
    pub(super) last: Option<ProcessKey>,
}

impl Decoded {
    /// The beginning that a close reports: the connection had one process then, and no traffic.
    pub(super) fn begin(&self) -> Option<Conn> {
        let end = &self.conn;
        let first = end.shares.first()?;
        let shares = vec![Share { carried: Carried::default(), ..*first }];
        Some(Conn {
            at: self.begun?,
            event: if end.passive { ConnEvent::Accept } else { ConnEvent::Connect },
            state: TcpState::Established.number(),
            error: 0,
            shares,
            current: 0,
            left_out: Carried::default(),
            tcp: end.tcp.map(|_| TcpCounts::default()),
            unseen: false,
            // As measured at the end, it says nothing about the beginning.
            quality: Quality { connect_us: end.quality.connect_us, ..Quality::default() },
            ..end.clone()
        })
    }
}

pub(super) fn conn(bytes: &[u8]) -> Option<Decoded> {
    let record: conn_record = copied(bytes)?;
    let event = match conn_event(record.event.into()) {
        conn_event::CONN_SAMPLE => ConnEvent::Sample,
        conn_event::CONN_CONNECT => ConnEvent::Connect,
        conn_event::CONN_ACCEPT => ConnEvent::Accept,
        conn_event::CONN_CLOSE => ConnEvent::Close,
        _ => return None,
    };
    let has = |flag: conn_flag| u32::from(record.flags) & flag.0 != 0;
    let tcp = has(conn_flag::CONN_TCP)
        .then(|| TcpCounts { carried: counts(&record.tcp), queued: record.rx_queued });
    let first = share(&record.first)?;
    let mut quality = tcp.map_or_else(Quality::default, |_| quality(&record.quality));
    quality.connect_us = connect_us(&record);
    quality.windows = tcp.filter(|_| event == ConnEvent::Sample).and_then(|_| windows(&record));
    let conn = Conn {
        at: Mono(record.ts_ns),
        since: (record.since_ns != 0).then_some(Mono(record.since_ns)),
        cookie: record.cookie,
        event,
        protocol: record.ids.protocol,
        local: end(&record.ids.local),
        remote: end(&record.ids.remote),
        netns: record.ids.netns,
        interface: record.ids.interface,
        state: record.state,
        error: record.error,
        shares: first.into_iter().collect(),
        current: 0,
        left_out: counts(&record.left_out),
        tcp,
        shared: has(conn_flag::CONN_SHARED),
        kernel: has(conn_flag::CONN_KERNEL),
        passive: has(conn_flag::CONN_PASSIVE),
        stream: has(conn_flag::CONN_STREAM),
        unseen: has(conn_flag::CONN_UNSEEN),
        quality,
    };
    let last =
        ProcessKey { tgid: record.last_tgid, start_boottime_ns: record.last_start_boottime_ns };
    Some(Decoded {
        conn,
        begun: (record.begun_ns != 0).then_some(Mono(record.begun_ns)),
        has_sharers: has(conn_flag::CONN_SHARERS),
        // A connection begins with its first process, whichever called it until this record.
        last: (matches!(event, ConnEvent::Sample | ConnEvent::Close)
            && record.first.is_last == 0
            && record.last_tgid != 0)
            .then_some(last),
    })
}

/// A further process of the socket with this cookie.
pub(super) fn sharer(bytes: &[u8]) -> Option<(u64, Share)> {
    let record: share_record = copied(bytes)?;
    Some((record.cookie, share(&record.caller)??))
}

pub(super) fn holder(bytes: &[u8]) -> Option<Holder> {
    let record: holder_record = copied(bytes)?;
    Some(Holder { cookie: record.cookie, owner: share(&record.process)??.owner })
}

pub(super) fn peer(bytes: &[u8]) -> Option<PeerFlow> {
    let record: peer_record = copied(bytes)?;
    let of = &record.key.share;
    Some(PeerFlow {
        cookie: of.cookie,
        process: ProcessKey { tgid: of.tgid, start_boottime_ns: of.start_boottime_ns },
        remote: end(&record.key.remote),
        carried: counts(&record.counts),
    })
}

/// `Some(None)`: no process is known.
#[allow(clippy::option_option)]
fn share(caller: &caller) -> Option<Option<Share>> {
    let from = match owner_from(caller.from.into()) {
        owner_from::OWNER_NONE => return Some(None),
        owner_from::OWNER_MADE => OwnerFrom::Made,
        owner_from::OWNER_ACCEPTED => OwnerFrom::Accepted,
        owner_from::OWNER_SENT => OwnerFrom::Sent,
        owner_from::OWNER_FOUND => OwnerFrom::Found,
        owner_from::OWNER_RECEIVED => OwnerFrom::Received,
        _ => return None,
    };
    let key = ProcessKey { tgid: caller.tgid, start_boottime_ns: caller.start_boottime_ns };
    let owner = Owner { key, uid: caller.uid, comm: Comm(caller.comm), from };
    Some(Some(Share { owner, carried: counts(&caller.counts) }))
}

fn counts(counts: &conn_counts) -> Carried {
    Carried {
        rx_bytes: counts.rx_bytes,
        tx_bytes: counts.tx_bytes,
        rx_packets: counts.rx_packets,
        tx_packets: counts.tx_packets,
    }
}

fn windows(record: &conn_record) -> Option<Windows> {
    let of = &record.windows;
    (of.in_flight != conn_unknown::QUALITY_UNKNOWN.0).then_some(Windows {
        in_flight: Some(of.in_flight),
        unacked: of.unacked,
        unsent: of.unsent,
        snd_wnd: Some(of.snd_wnd),
        rcv_wnd: Some(of.rcv_wnd),
    })
}

fn quality(of: &conn_quality) -> Quality {
    let counted = |n: u32| (n != conn_unknown::QUALITY_UNKNOWN.0).then_some(n);
    let measured = |n: u32| (n != 0).then_some(n);
    Quality {
        connect_us: None,
        srtt_us: measured(of.srtt_us),
        // The deviation of one measurement may be 0.
        rttvar_us: measured(of.srtt_us).map(|_| of.rttvar_us),
        retransmits: counted(of.retransmits),
        lost: counted(of.lost),
        reordering: counted(of.reordering),
        cwnd: measured(of.cwnd),
        delivery_bps: (of.delivery_rate != 0).then(|| of.delivery_rate.saturating_mul(8)),
        windows: None,
    }
}

/// How long the handshake of a connect took, or until it failed.
fn connect_us(record: &conn_record) -> Option<u32> {
    let failed = record.event == conn_event::CONN_CLOSE.0 as u8
        && TcpState::of(record.state) == Some(TcpState::SynSent);
    if failed && record.since_ns != 0 {
        let us = record.ts_ns.saturating_sub(record.since_ns) / 1_000;
        return Some(u32::try_from(us).unwrap_or(u32::MAX));
    }
    (record.connect_us != 0).then_some(record.connect_us)
}

fn end(end: &conn_end) -> SocketAddr {
    SocketAddr::new(wire_ip(end.ip), end.port)
}

/// A record at any alignment.
fn copied<T: plain::Plain + Default>(bytes: &[u8]) -> Option<T> {
    let mut record = T::default();
    plain::copy_from_bytes(&mut record, bytes).ok()?;
    Some(record)
}
