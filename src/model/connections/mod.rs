//! Connections, the processes that use them, and the peers of each.
//!
//! The sum over processes, evicted processes and unattributed traffic is the traffic of all sockets.

mod accepted;
mod account;
mod changes;
mod closed;
mod events;
mod evict;
mod failure;
mod history;
mod holders;
mod live;
mod log;
mod net;
mod peers;
mod queries;
mod reason;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample;
mod undo;

use std::ops::Range;

use hashbrown::HashMap;

use super::conn::{Carried, Conn, ConnEvent, ConnectionsBatch, Limits, Owner};
use super::coverage::Attribution;
use super::hostnames::Hostnames;
use super::process::ProcessKey;
use super::quality::TcpState;
use super::table::Table;
use super::time::Mono;

pub use accepted::{Accepted, MAX_ACCEPTING};
use changes::Changes;
pub use changes::{Change, What};
pub use closed::{CLOSED_STAYS_NS, Closed, MAX_CLOSED};
pub use events::{Event, MAX_EVENTS, NetActivity};
pub use failure::{Failure, Failures, Turnover};
pub use history::{ConnHistory, MAX_HISTORIES};
pub use holders::Holders;
use live::Live;
pub use live::{MAX_CONNS, Parts, Party};
use log::Log;
pub use net::Net;
pub use peers::{Pair, Service, Side};
pub use reason::{Reason, Unattributed};

/// Processes with traffic; beyond, those that were quiet longest are evicted.
pub const MAX_PROCESSES: usize = 16_384;
/// Pairs of process and peer; beyond, those that were quiet longest are evicted.
pub const MAX_PAIRS: usize = 65_536;

/// Datagram sockets that ended in an interval and whose peers are expected at its end, about 500 bytes each. As many as
/// the kernel's table of peers has entries; calls of further ones with peers are counted in [`Limits::peers`].
pub const MAX_GONE: usize = 32_768;

/// Sizes of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// See [`MAX_CONNS`].
    pub conns: usize,
    /// See [`MAX_PROCESSES`].
    pub processes: usize,
    /// See [`MAX_PAIRS`].
    pub pairs: usize,
    /// See [`MAX_EVENTS`].
    pub events: usize,
    /// See [`MAX_CLOSED`].
    pub closed: usize,
    /// See [`MAX_GONE`].
    pub gone: usize,
    /// See [`MAX_HISTORIES`].
    pub histories: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            conns: MAX_CONNS,
            processes: MAX_PROCESSES,
            pairs: MAX_PAIRS,
            events: MAX_EVENTS,
            closed: MAX_CLOSED,
            gone: MAX_GONE,
            histories: MAX_HISTORIES,
        }
    }
}

/// The connections, the processes that use them, and their peers.
#[derive(Clone, Debug)]
pub struct Connections {
    bounds: Bounds,
    conns: Table<Live>,
    processes: Table<Net>,
    /// Processes whose rows a restart removed, where the records of a living connection have an older name.
    names: HashMap<ProcessKey, Owner>,
    pairs: Table<Pair>,
    holders: HashMap<u64, Holders>,
    /// Datagram sockets that ended in this interval: their peers are read at its end.
    gone: HashMap<u64, Conn>,
    events: Log<Event>,
    closed: Log<Closed>,
    /// The numbers of the connections that ended in the last interval.
    closed_lately: Range<u64>,
    /// Living connections that have a history.
    histories: usize,
    /// Living connections that carried something in the last interval and have no history, since others
    /// had all the room.
    pub without_history: u64,
    /// Changes for the reader of [`Self::take_changes`], where there is one.
    changes: Option<Changes>,
    /// Traffic of all sockets, and of the last interval.
    pub total: Carried,
    pub delta: Carried,
    before: Carried,
    /// Connections that began, ended and failed, and those of the last interval.
    pub turnover: Turnover,
    pub turnover_delta: Turnover,
    turnover_before: Turnover,
    /// Accepted connections by their local address. Of now, also in tables that went back in time.
    pub accepted: Accepted,
    /// Ended connections that were evicted before their minute was over.
    pub closed_evicted: u64,
    /// Network events of all processes that timelines lack, since there was no room.
    pub events_evicted: u64,
    /// The part of `total` that has no process, and of `delta`.
    pub unattributed: Unattributed,
    pub unattributed_delta: Unattributed,
    unattributed_before: Unattributed,
    /// The part of `total` of processes that were evicted.
    pub other: Carried,
    /// Connections, processes, pairs and holders that were evicted or found no room.
    pub evicted: u64,
    /// Records of connections that found no room, among `evicted`. Of now, also in tables that went back in time.
    pub left_out: u64,
    /// Events without room since the counts began, in the kernel's tables or for their peers here.
    pub limits: Limits,
    /// The probe's counts of them as of the latest batch, and when the counts began here: at a restart, or at the
    /// beginning of a recording in the midst of a run.
    limits_read: Limits,
    limits_before: Limits,
    /// The part of `limits.peers` that found no room here.
    peers_left_out: u64,
    /// Names that processes asked for.
    pub hostnames: Hostnames,
    /// How bytes are attributed. With [`Attribution::Procfs`] all sums stay 0: they are unknown.
    pub attribution: Attribution,
    at: Mono,
    /// Nanoseconds from the tick before to the last one.
    pub interval_ns: u64,
    /// Sums when the turn began, where changes are noted for stepping back.
    turn_start: Option<Box<undo::Sums>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self::with_bounds(Bounds::default())
    }
}

impl Connections {
    /// Empty tables with bounds of their own.
    pub fn with_bounds(bounds: Bounds) -> Self {
        Self {
            events: Log::new(bounds.events),
            closed: Log::new(bounds.closed),
            closed_lately: 0..0,
            histories: 0,
            without_history: 0,
            bounds,
            conns: Table::default(),
            processes: Table::default(),
            names: HashMap::new(),
            pairs: Table::default(),
            holders: HashMap::new(),
            gone: HashMap::new(),
            changes: None,
            total: Carried::default(),
            delta: Carried::default(),
            before: Carried::default(),
            turnover: Turnover::default(),
            turnover_delta: Turnover::default(),
            turnover_before: Turnover::default(),
            accepted: Accepted::default(),
            closed_evicted: 0,
            events_evicted: 0,
            unattributed: Unattributed::default(),
            unattributed_delta: Unattributed::default(),
            unattributed_before: Unattributed::default(),
            other: Carried::default(),
            evicted: 0,
            left_out: 0,
            limits: Limits::default(),
            limits_read: Limits::default(),
            limits_before: Limits::default(),
            peers_left_out: 0,
            hostnames: Hostnames::default(),
            attribution: Attribution::default(),
            at: Mono::default(),
            interval_ns: 0,
            turn_start: None,
        }
    }

    /// One that collects changes for [`Self::take_changes`].
    pub fn with_changes() -> Self {
        Self { changes: Some(Changes::default()), ..Self::default() }
    }

    /// Counting begins.
    pub fn start(&mut self, at: Mono, attribution: Attribution) {
        (self.at, self.attribution) = (at, attribution);
    }

    /// Sockets are polled: bytes of processes are unknown.
    pub fn polled(&self) -> bool {
        self.attribution == Attribution::Procfs
    }

    /// Takes in a batch of the probe.
    pub fn apply(&mut self, batch: &ConnectionsBatch) {
        if batch.events.is_empty() && batch.tick.is_none() {
            // The state before a recording: the first interval begins with the last reading.
            (self.limits_before, self.at) = (batch.limits, batch.at);
        }
        self.limits_read = batch.limits;
        self.count_limits();
        for conn in &batch.known {
            if conn.event == ConnEvent::Close {
                self.expect_peers(conn);
                continue;
            }
            self.follow(conn);
            if let Some(live) = self.conns.row_mut(conn.cookie) {
                live.carried_before(self.attribution);
            }
        }
        for conn in &batch.events {
            match conn.event {
                ConnEvent::Connect => self.began(What::Connect, conn),
                ConnEvent::Accept => self.began(What::Accept, conn),
                ConnEvent::Close => self.closed(conn),
                ConnEvent::Seen => self.began(What::Seen, conn),
                ConnEvent::Sample => self.carry(conn),
            }
        }
        let Some(tick) = &batch.tick else { return };
        self.interval_ns = batch.at.since(self.at);
        self.at = batch.at;
        for conn in &tick.samples {
            self.carry(conn);
        }
        self.evicted += tick.left_out + tick.holders_left_out;
        self.left_out += tick.left_out;
        if tick.complete {
            self.miss(&tick.samples, batch.at);
        }
        for peer in &tick.peers {
            self.add_peer(peer, batch.at);
        }
        self.gone.clear();
        self.count_limits();
        self.holders = holders::by_socket(&tick.holders, &self.conns);
        self.end_interval();
        self.evict_quiet();
    }

    /// Works out the events without room since the counts began.
    fn count_limits(&mut self) {
        self.limits = self.limits_read.since(self.limits_before);
        self.limits.peers = self.limits.peers.saturating_add(self.peers_left_out);
    }

    /// When the counts were read last.
    pub fn read_at(&self) -> Mono {
        self.at
    }

    /// Starts the counts again. Living connections are followed on, and belong to their processes from now on: the
    /// probe reports those without traffic no more.
    pub fn restart(&mut self) {
        self.keep_names();
        (self.total, self.delta, self.before, self.other) = Default::default();
        (self.unattributed, self.unattributed_delta, self.unattributed_before) = Default::default();
        self.accepted = Accepted::default();
        (self.evicted, self.closed_evicted, self.closed_lately) = (0, 0, 0..0);
        (self.left_out, self.peers_left_out, self.events_evicted) = (0, 0, 0);
        self.limits_before = self.limits_read;
        self.count_limits();
        if let Some(changes) = &mut self.changes {
            changes.dropped = 0;
        }
        self.events = Log::new(self.bounds.events);
        self.closed = Log::new(self.bounds.closed);
        (self.turnover, self.turnover_delta, self.turnover_before) = Default::default();
        (self.pairs, self.processes, self.turn_start) = Default::default();
        self.conns.iter_mut().for_each(|(_, live)| live.restart());
        let living: Vec<_> = self.conns.iter().map(|(_, live)| live.conn.clone()).collect();
        for conn in &living {
            self.follow(conn);
        }
    }

    fn began(&mut self, what: What, conn: &Conn) {
        self.carry(conn);
        if let Some(live) = self.conns.row_mut(conn.cookie) {
            live.begun = true;
        }
        self.report(what, conn, conn.at, (false, None));
    }

    fn closed(&mut self, conn: &Conn) {
        if conn.stream && TcpState::of(conn.state) == Some(TcpState::SynSent) {
            return self.report(What::Failed, conn, conn.at, (false, None));
        }
        self.carry(conn);
        let Some(mut live) = self.conns.remove_row(conn.cookie) else { return };
        let at = conn.at.max(self.at);
        self.ended(&mut live, (at, at.since(self.at)));
        if !conn.stream {
            self.expect_peers(conn);
        }
        self.report(What::Close, conn, conn.at, (conn.unseen, Some(live)));
    }

    /// A datagram socket ended: its peers come at the end of the interval.
    fn expect_peers(&mut self, conn: &Conn) {
        if self.gone.len() < self.bounds.gone {
            self.gone.insert(conn.cookie, conn.clone());
        }
    }

    /// Ends the connections that are not among those that live: their ends were not observed.
    fn miss(&mut self, samples: &[Conn], at: Mono) {
        let there: hashbrown::HashSet<u64> = samples.iter().map(|conn| conn.cookie).collect();
        let mut gone = Vec::new();
        self.conns.evict(|live| !there.contains(&live.conn.cookie), |live| gone.push(live));
        for mut live in gone {
            self.ended(&mut live, (at, self.interval_ns));
            self.report(What::Close, &live.conn.clone(), at, (true, Some(live)));
        }
    }

    /// Notes a change; of an end whether it was unseen, and the row that the connection had.
    fn report(&mut self, what: What, conn: &Conn, at: Mono, (unseen, live): (bool, Option<Live>)) {
        self.turnover.add(what, Failure::of(what, conn));
        if what == What::Accept {
            self.accepted.add(conn);
        }
        if matches!(what, What::Close | What::Failed)
            && self.closed.push(Closed::new(what, at, conn, live))
        {
            self.closed_evicted += 1;
        }
        if let Some(owner) = conn.owner() {
            let carried = conn.carried(self.attribution);
            let evicted = self.events.push(Event {
                at,
                key: owner.key,
                activity: NetActivity::Conn {
                    what,
                    protocol: conn.protocol,
                    local: conn.local.port(),
                    remote: conn.remote,
                    error: conn.error,
                    carried,
                },
            });
            self.events_evicted += u64::from(evicted);
        }
        let Some(changes) = &mut self.changes else { return };
        let holders = self.holders.get(&conn.cookie).cloned().unwrap_or_default();
        let attribution = self.attribution;
        let name = self.hostnames.of(conn).map(Into::into);
        changes.push(Change { what, conn: conn.clone(), holders, unseen, at, attribution, name });
    }

    /// Counts the traffic of a connection since its last record.
    fn carry(&mut self, conn: &Conn) {
        if let Some((before, now)) = self.follow(conn) {
            self.shift(conn, &before, &now);
        }
    }

    /// A connection ended, and with it its last interval of this length: its process has one less.
    fn ended(&mut self, live: &mut Live, interval: (Mono, u64)) {
        let had = live.history.is_some();
        live.end_interval(self.attribution, interval, self.histories < self.bounds.histories);
        self.histories -= usize::from(had);
        if let Some(net) = live.counted_for.and_then(|key| self.processes.row_mut(key)) {
            net.live = net.live.saturating_sub(1);
        }
    }

    fn end_interval(&mut self) {
        self.delta = self.total.minus(self.before);
        self.before = self.total;
        self.unattributed_delta = self.unattributed.minus(&self.unattributed_before);
        self.unattributed_before = self.unattributed;
        self.turnover_delta = self.turnover.minus(self.turnover_before);
        self.turnover_before = self.turnover;
        let (at, attribution) = (self.at, self.attribution);
        self.closed.expire(|closed| closed.is_over(at));
        self.closed_lately = self.closed_lately.end..self.closed.numbers().end;
        let (interval, most) = ((at, self.interval_ns), self.bounds.histories);
        let (histories, without) = (&mut self.histories, &mut self.without_history);
        *without = 0;
        self.conns.change(
            |live| live.has_moved(attribution),
            |live| {
                let has = live.history.is_some();
                live.end_interval(attribution, interval, *histories < most);
                *histories += usize::from(live.history.is_some() && !has);
                let carried = live.delta.is_some_and(|delta| delta != [0; 2]);
                *without += u64::from(live.history.is_none() && carried);
            },
        );
        self.find_worst();
        self.processes.change(Net::has_moved, |net| {
            net.delta = net.total.minus(net.before);
            net.before = net.total;
        });
        let (events, evicted, now) = (&mut self.events, &mut self.events_evicted, self.at);
        self.pairs.change(Pair::has_moved, |pair| {
            pair.end_interval();
            let (key, ip, carried) = (pair.key, pair.peer.ip, pair.delta);
            if carried.bytes() > 0 {
                let activity = NetActivity::Carried { ip, carried };
                *evicted += u64::from(events.push(Event { at: now, key, activity }));
            }
        });
    }
}
