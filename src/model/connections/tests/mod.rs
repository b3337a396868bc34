mod attribution;
mod ends;
mod tables;

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::model::conn::{
    ConnectionsTick, Holder, Owner, OwnerFrom, PeerAddr, PeerFlow, Share, TCP, TcpCounts, UDP,
};
use crate::model::coverage::Attribution;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;

use ConnEvent::{Accept, Close, Connect, Sample, Seen};
use OwnerFrom::{Accepted, Found, Made, Sent};

fn owner(tgid: u32, from: OwnerFrom) -> Owner {
    let key = ProcessKey { tgid, start_boottime_ns: 1 };
    Owner { key, uid: 0, comm: Comm::new(b"one"), from }
}

fn carried(rx_bytes: u64, tx_bytes: u64) -> Carried {
    Carried { rx_bytes, tx_bytes, ..Carried::default() }
}

fn tcp(rx_bytes: u64, tx_bytes: u64, queued: u32) -> Option<TcpCounts> {
    Some(TcpCounts { carried: carried(rx_bytes, tx_bytes), queued })
}

/// A connection whose processes called for these bytes; TCP's counters say the same.
fn conn(cookie: u64, event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let sum = shares.iter().fold(Carried::default(), |sum, (.., carried)| sum + *carried);
    let share = |(tgid, from, carried): &(u32, OwnerFrom, Carried)| Share {
        owner: owner(*tgid, *from),
        carried: *carried,
    };
    Conn {
        at: Mono(10),
        since: Some(Mono(1)),
        cookie,
        event,
        protocol: TCP,
        local: at("10.0.0.1:4711"),
        remote: at("10.0.0.2:443"),
        netns: 1,
        interface: 0,
        state: 1,
        error: 0,
        shares: shares.iter().map(share).collect(),
        current: shares.len().saturating_sub(1),
        left_out: Carried::default(),
        tcp: Some(TcpCounts { carried: sum, queued: 0 }),
        shared: false,
        kernel: false,
        passive: false,
        stream: true,
        unseen: false,
        quality: Default::default(),
    }
}

/// A connection of process 1, for tests elsewhere.
pub(crate) fn sample(cookie: u64) -> Conn {
    conn(cookie, Sample, &[(1, Made, carried(10, 20))])
}

/// A connection from outside.
fn passive(event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    Conn { passive: true, ..conn(7, event, shares) }
}

fn udp(cookie: u64, event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    let mut conn = Conn { tcp: None, stream: false, ..conn(cookie, event, shares) };
    conn.protocol = UDP;
    conn.remote.set_port(0);
    conn
}

fn events(events: Vec<Conn>) -> ConnectionsBatch {
    ConnectionsBatch { at: Mono(10), events, ..ConnectionsBatch::default() }
}

fn tick(samples: Vec<Conn>, complete: bool) -> ConnectionsBatch {
    let tick = Some(ConnectionsTick { samples, complete, ..ConnectionsTick::default() });
    ConnectionsBatch { at: Mono(20), tick, ..ConnectionsBatch::default() }
}

fn total_of(owners: &Connections) -> Carried {
    owners.processes().fold(owners.unattributed.total() + owners.other, |sum, net| sum + net.total)
}

fn part(owners: &Connections, reason: Reason) -> Carried {
    owners.unattributed.parts().find(|(of, _)| *of == reason).unwrap().1
}

fn net(owners: &Connections, tgid: u32) -> Net {
    *owners.process(owner(tgid, Made).key).unwrap()
}

fn changes(owners: &mut Connections) -> Vec<(What, Option<u32>)> {
    let changes = owners.take_changes();
    changes.iter().map(|c| (c.what, c.conn.owner().map(|owner| owner.key.tgid))).collect()
}
