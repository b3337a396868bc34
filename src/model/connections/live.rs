//! A living connection, and how its traffic divides into parts.

use super::history::ConnHistory;
use super::peers::Side;
use super::reason::Reason;
use crate::model::conn::{Carried, Conn, Owner, TcpCounts};
use crate::model::coverage::Attribution;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// Connections that are followed at once, about 800 bytes each without history. One beyond is counted in
/// [`super::Connections::evicted`] and nowhere else.
pub const MAX_CONNS: usize = 65_536;

/// A TCP packet counter that went back by this much has wrapped; by less, it was read in the moment of
/// an update.
const WRAP: u32 = 1 << 31;

/// The process that a part of a connection's traffic is attributed to, or the reason why there is none.
#[derive(Clone, Copy, Debug)]
pub enum Party {
    Process(Owner),
    Unattributed(Reason),
}

impl PartialEq for Party {
    /// A process stays the same when its name changes.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Party::Process(one), Party::Process(other)) => one.key == other.key,
            (Party::Unattributed(one), Party::Unattributed(other)) => one == other,
            _ => false,
        }
    }
}

/// The parts of a connection's traffic; they sum to all of it.
pub type Parts = Vec<(Party, Carried)>;

#[derive(Clone, Debug)]
pub(super) struct Live {
    /// Its latest state.
    pub(super) conn: Conn,
    /// TCP's packets, unwrapped.
    pub(super) packets: [u64; 2],
    /// The parts that are counted.
    pub(super) counted: Parts,
    pub(super) side: Side,
    /// Its bytes at the end of the last interval, received and sent, and those of that interval; `None`
    /// where they are not counted.
    before: Option<[u64; 2]>,
    pub(super) delta: Option<[u64; 2]>,
    /// It began in the interval under way, and in the last one.
    pub(super) begun: bool,
    pub(super) is_new: bool,
    pub(super) history: Option<Box<ConnHistory>>,
    /// The process among whose living connections it is.
    pub(super) counted_for: Option<ProcessKey>,
    /// The processes that have it among their begun connections.
    pub(super) begun_for: Vec<ProcessKey>,
}

impl Live {
    pub(super) fn new(conn: &Conn) -> Self {
        Self {
            conn: conn.clone(),
            packets: [0; 2],
            counted: Parts::new(),
            side: Side::Unknown,
            before: None,
            delta: None,
            begun: false,
            is_new: false,
            history: None,
            counted_for: None,
            begun_for: Vec::new(),
        }
    }

    /// The counts start again; what is counted already stays so.
    pub(super) fn restart(&mut self) {
        self.counted_for = None;
        self.begun_for.clear();
    }

    /// Takes over a later state; returns the parts as they were counted before.
    pub(super) fn advance(&mut self, conn: &Conn, attribution: Attribution) -> Parts {
        self.conn.clone_from(conn);
        if let Some(tcp) = &conn.tcp {
            let now = [tcp.carried.rx_packets, tcp.carried.tx_packets];
            for (counted, now) in self.packets.iter_mut().zip(now) {
                let step = (now as u32).wrapping_sub(*counted as u32);
                *counted += u64::from(if step < WRAP { step } else { 0 });
            }
        }
        let now = self.divide(attribution);
        std::mem::replace(&mut self.counted, now)
    }

    /// Divides its traffic as it is now.
    pub(super) fn divide(&self, attribution: Attribution) -> Parts {
        let [rx_packets, tx_packets] = self.packets;
        let tcp = self.conn.tcp.map(|tcp| TcpCounts {
            carried: Carried { rx_packets, tx_packets, ..tcp.carried },
            ..tcp
        });
        parts(&self.conn, tcp, attribution)
    }

    fn bytes(&self, attribution: Attribution) -> Option<[u64; 2]> {
        self.conn.carried(attribution).map(|c| [c.rx_bytes, c.tx_bytes])
    }

    /// Whether the end of an interval changes it.
    pub(super) fn has_moved(&self, attribution: Attribution) -> bool {
        self.bytes(attribution) != self.before
            || self.delta.is_some_and(|d| d != [0; 2])
            || self.begun
            || self.is_new
            || self.history.as_ref().is_some_and(|h| h.srtt_us.latest() != self.srtt_us())
    }

    /// Its traffic so far is of before the recording and belongs to no interval. Later packets are steps
    /// from there.
    pub(super) fn carried_before(&mut self, attribution: Attribution) {
        if let Some(tcp) = &self.conn.tcp {
            self.packets = [tcp.carried.rx_packets, tcp.carried.tx_packets];
        }
        self.counted = self.divide(attribution);
        self.before = self.bytes(attribution);
    }

    /// Its bytes since the end of the last interval.
    fn since_the_interval(&self, attribution: Attribution) -> Option<[u64; 2]> {
        let [rx_before, tx_before] = self.before.unwrap_or_default();
        let [rx, tx] = self.bytes(attribution)?;
        Some([rx.saturating_sub(rx_before), tx.saturating_sub(tx_before)])
    }

    /// An interval of this length ends. `may_begin`: there is room for one more history.
    pub(super) fn end_interval(
        &mut self,
        attribution: Attribution,
        (at, interval_ns): (Mono, u64),
        may_begin: bool,
    ) {
        self.delta = self.since_the_interval(attribution);
        self.before = self.bytes(attribution);
        self.is_new = std::mem::take(&mut self.begun);
        let delta = self.delta.unwrap_or_default();
        if may_begin && delta != [0; 2] {
            self.history.get_or_insert_default();
        }
        let srtt_us = self.srtt_us();
        if let Some(history) = &mut self.history {
            history.add(at, interval_ns, delta, srtt_us);
        }
    }

    fn srtt_us(&self) -> u64 {
        self.conn.quality.srtt_us.unwrap_or(0).into()
    }

    /// The parts of its traffic.
    pub(super) fn parts(&self) -> &[(Party, Carried)] {
        &self.counted
    }
}

/// Divides a connection's traffic. `tcp` are its counters with packets unwrapped.
fn parts(conn: &Conn, tcp: Option<TcpCounts>, attribution: Attribution) -> Parts {
    let mut parts: Parts = Vec::with_capacity(2);
    let tcp = tcp.unwrap_or_default();
    let first = match conn.shares.first() {
        Some(share) => Party::Process(share.owner),
        None => Party::Unattributed(Reason::of(conn)),
    };
    match attribution {
        // A process may have had sockets that no poll saw, and may share this one.
        Attribution::Procfs => {
            parts.extend(conn.shares.iter().map(|s| (Party::Process(s.owner), Carried::default())));
        }
        Attribution::Connection => parts.push((first, tcp.carried)),
        Attribution::Call => {
            let mut called = conn.left_out;
            for share in &conn.shares {
                called += share.carried;
                parts.push((Party::Process(share.owner), share.carried));
            }
            let left_out = if conn.kernel { Reason::Kernel } else { Reason::Sharers };
            add(&mut parts, Party::Unattributed(left_out), conn.left_out);
            // TCP's counters are the check: what no call returned.
            let rest = tcp.carried.minus(called);
            let queued = rest.rx_bytes.min(tcp.queued.into());
            let waits = match first {
                Party::Process(_) => Party::Unattributed(Reason::Queued),
                unattributed => unattributed,
            };
            add(&mut parts, waits, Carried { rx_bytes: queued, ..Carried::default() });
            let uncalled = Carried {
                rx_bytes: rest.rx_bytes - queued,
                tx_bytes: rest.tx_bytes,
                ..Carried::default()
            };
            let sole = conn.shares.len() < 2 && !conn.shared;
            let party = if conn.kernel {
                // A kernel thread that uses it reads without a call (iSCSI: `tcp_read_sock`).
                Party::Unattributed(Reason::Kernel)
            } else if sole {
                // Of a socket that one process has, all of it is that process's.
                first
            } else {
                Party::Unattributed(Reason::Uncalled)
            };
            add(&mut parts, party, uncalled);
            // A server that forks accepts in one process and calls in another.
            let caller = conn.shares.iter().find(|share| share.carried.bytes() > 0);
            let caller = caller.map_or(first, |share| Party::Process(share.owner));
            let Carried { rx_packets, tx_packets, .. } = tcp.carried;
            add(&mut parts, caller, Carried { rx_packets, tx_packets, ..Carried::default() });
        }
    }
    parts
}

fn add(parts: &mut Parts, party: Party, carried: Carried) {
    if carried.is_none() {
        return;
    }
    match parts.iter_mut().find(|(of, _)| *of == party) {
        Some((_, sum)) => *sum += carried,
        None => parts.push((party, carried)),
    }
}
