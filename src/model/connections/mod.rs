//! Connections, the processes that use them, and the peers of each.
//!
//! The sum over processes, evicted processes and unattributed traffic is the traffic of all sockets.

mod changes;
mod closed;
mod events;
mod evict;
mod failure;
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

use hashbrown::HashMap;

use super::conn::{Carried, Conn, ConnEvent, ConnectionsBatch, Limits, Owner, PeerAddr, PeerFlow};
use super::coverage::Attribution;
use super::process::ProcessKey;
use super::quality::TcpState;
use super::table::Table;
use super::time::Mono;

use changes::Changes;
pub use changes::{Change, What};
pub use closed::{CLOSED_STAYS_NS, Closed, MAX_CLOSED};
pub use events::{Event, MAX_EVENTS, NetActivity};
pub use failure::{Failure, Failures, Turnover};
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
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            conns: MAX_CONNS,
            processes: MAX_PROCESSES,
            pairs: MAX_PAIRS,
            events: MAX_EVENTS,
            closed: MAX_CLOSED,
        }
    }
}

/// The connections, the processes that use them, and their peers.
#[derive(Clone, Debug)]
pub struct Connections {
    bounds: Bounds,
    conns: Table<Live>,
    processes: Table<Net>,
    pairs: Table<Pair>,
    holders: HashMap<u64, Holders>,
    /// Datagram sockets that ended in this interval: their peers are read at its end.
    gone: HashMap<u64, Conn>,
    events: Log<Event>,
    closed: Log<Closed>,
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
    /// Ended connections that were evicted before their minute was over.
    pub closed_evicted: u64,
    /// The part of `total` that has no process.
    pub unattributed: Unattributed,
    /// The part of `total` of processes that were evicted.
    pub other: Carried,
    /// Connections, processes, pairs and holders that were evicted or found no room.
    pub evicted: u64,
    /// Counts of events without room in the kernel's tables.
    pub limits: Limits,
    /// Those of the probe before a recording that began in the midst of a run.
    limits_before: Limits,
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
            bounds,
            conns: Table::default(),
            processes: Table::default(),
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
            closed_evicted: 0,
            unattributed: Unattributed::default(),
            other: Carried::default(),
            evicted: 0,
            limits: Limits::default(),
            limits_before: Limits::default(),
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
            self.limits_before = batch.limits;
        }
        self.limits = batch.limits.since(self.limits_before);
        for conn in &batch.known {
            if conn.event == ConnEvent::Close {
                self.gone.insert(conn.cookie, conn.clone());
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
        if tick.complete {
            self.miss(&tick.samples, batch.at);
        }
        for peer in &tick.peers {
            self.add_peer(peer, batch.at);
        }
        self.gone.clear();
        self.holders = holders::by_socket(&tick.holders, &self.conns);
        self.end_interval();
        self.evict_quiet();
    }

    /// Starts the counts again; living connections are followed on.
    pub fn restart(&mut self) {
        (self.total, self.delta, self.before, self.other) = Default::default();
        self.unattributed = Unattributed::default();
        (self.evicted, self.closed_evicted) = (0, 0);
        self.events = Log::new(self.bounds.events);
        self.closed = Log::new(self.bounds.closed);
        (self.turnover, self.turnover_delta, self.turnover_before) = Default::default();
        (self.pairs, self.processes, self.turn_start) = Default::default();
        self.conns.iter_mut().for_each(|(_, live)| live.restart());
    }

    fn began(&mut self, what: What, conn: &Conn) {
        self.carry(conn);
        self.report(what, conn, conn.at, false);
    }

    fn closed(&mut self, conn: &Conn) {
        if conn.stream && TcpState::of(conn.state) == Some(TcpState::SynSent) {
            return self.report(What::Failed, conn, conn.at, false);
        }
        self.carry(conn);
        let Some(live) = self.conns.remove_row(conn.cookie) else { return };
        self.ended(&live);
        if !conn.stream {
            self.gone.insert(conn.cookie, conn.clone());
        }
        self.report(What::Close, conn, conn.at, conn.unseen);
    }

    /// Ends the connections that are not among those that live: their ends were not observed.
    fn miss(&mut self, samples: &[Conn], at: Mono) {
        let there: hashbrown::HashSet<u64> = samples.iter().map(|conn| conn.cookie).collect();
        let mut gone = Vec::new();
        self.conns.evict(|live| !there.contains(&live.conn.cookie), |live| gone.push(live));
        for live in gone {
            self.ended(&live);
            self.report(What::Close, &live.conn, at, true);
        }
    }

    fn report(&mut self, what: What, conn: &Conn, at: Mono, unseen: bool) {
        self.turnover.add(what, Failure::of(what, conn));
        if matches!(what, What::Close | What::Failed)
            && self.closed.push(Closed::new(what, at, conn))
        {
            self.closed_evicted += 1;
        }
        if let Some(owner) = conn.owner() {
            let carried = conn.carried(self.attribution);
            self.events.push(Event {
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
        }
        let Some(changes) = &mut self.changes else { return };
        let holders = self.holders.get(&conn.cookie).cloned().unwrap_or_default();
        let attribution = self.attribution;
        changes.push(Change { what, conn: conn.clone(), holders, unseen, at, attribution });
    }

    /// Counts the traffic of a connection since its last record.
    fn carry(&mut self, conn: &Conn) {
        if let Some((before, now)) = self.follow(conn) {
            self.shift(conn, &before, &now);
        }
    }

    /// Takes over the latest state of a connection, and with which processes and peer it is. Returns
    /// the parts of its traffic before and now; `None` where there is no room for it.
    fn follow(&mut self, conn: &Conn) -> Option<(Parts, Parts)> {
        if self.conns.len() >= self.bounds.conns && self.conns.row(conn.cookie).is_none() {
            self.evicted += 1;
            return None;
        }
        let live = self.conns.row_or_insert(conn.cookie, || Live::new(conn));
        // Set before anything is counted: a pair's service has its side from the first byte on.
        if conn.passive {
            live.side = Side::Ours;
        } else if conn.event == ConnEvent::Connect {
            live.side = Side::Theirs;
        }
        let before = live.advance(conn, self.attribution);
        let now = live.parts().to_vec();
        let side = live.side;
        let owner = conn.owner().map(|owner| owner.key);
        let was = std::mem::replace(&mut live.counted_for, owner);
        let keys = conn.shares.iter().map(|share| share.owner.key);
        let new: Vec<_> = keys.filter(|key| !live.begun_for.contains(key)).collect();
        live.begun_for.extend(&new);
        let has_peer = conn.remote.port() != 0 && (conn.stream || self.polled());
        for share in &conn.shares {
            let key = share.owner.key;
            let net = self.net(share.owner, conn);
            (net.owner.comm, net.owner.uid) = (share.owner.comm, share.owner.uid);
            net.netns = conn.netns;
            net.shared |= conn.shared || conn.shares.len() > 1;
            net.begun += u64::from(new.contains(&key));
            if has_peer {
                let peer = conn.peer(conn.remote.ip());
                self.pair(key, peer, Service::of(conn, side), conn.at);
            }
        }
        if was != owner {
            if let Some(net) = was.and_then(|key| self.processes.row_mut(key)) {
                net.live = net.live.saturating_sub(1);
            }
            if let Some(net) = owner.and_then(|key| self.processes.row_mut(key)) {
                net.live += 1;
            }
        }
        Some((before, now))
    }

    /// Moves the sums from one division of a connection's traffic to a later one. A part that shrinks
    /// was corrected: a call returned whose bytes had been attributed by TCP's counters, or a process
    /// accepted what waited.
    fn shift(&mut self, conn: &Conn, before: &[(Party, Carried)], now: &[(Party, Carried)]) {
        let of = |parts: &[(Party, Carried)], party: &Party| {
            parts.iter().find(|(of, _)| of == party).map_or(Carried::default(), |(_, sum)| *sum)
        };
        // Counted before the sums started again: it cannot be taken from anywhere.
        let mut absent = Carried::default();
        for (party, was) in before {
            let less = was.minus(of(now, party));
            if !less.is_none() {
                absent += less.minus(self.subtract(conn, party, less));
            }
        }
        for (party, is) in now {
            let more = is.minus(of(before, party));
            let rest = more.minus(absent);
            absent = absent.minus(more);
            if !rest.is_none() {
                self.add(conn, party, rest);
            }
        }
    }

    fn add(&mut self, conn: &Conn, party: &Party, carried: Carried) {
        self.total += carried;
        match party {
            Party::Process(owner) => {
                let net = self.net(*owner, conn);
                net.total += carried;
                net.last = conn.at;
                if let Some(pair) = self.pair_of(conn, owner.key) {
                    pair.add(carried, conn.at);
                }
            }
            Party::Unattributed(reason) => self.unattributed.add(*reason, carried),
        }
    }

    /// Returns what could be subtracted.
    fn subtract(&mut self, conn: &Conn, party: &Party, carried: Carried) -> Carried {
        let other = &mut self.other;
        let sum = match party {
            Party::Process(owner) => match self.processes.row_mut(owner.key) {
                Some(net) => &mut net.total,
                None => other,
            },
            Party::Unattributed(reason) => self.unattributed.part(*reason),
        };
        let rest = sum.minus(carried);
        let done = sum.minus(rest);
        *sum = rest;
        self.total = self.total.minus(done);
        if let Party::Process(owner) = party
            && let Some(pair) = self.pair_of(conn, owner.key)
        {
            pair.total = pair.total.minus(done);
        }
        done
    }

    fn pair_of(&mut self, conn: &Conn, key: ProcessKey) -> Option<&mut Pair> {
        if !conn.stream {
            return None;
        }
        self.pairs.row_mut((key, conn.peer(conn.remote.ip())))
    }

    /// A connection ended: its process has one less.
    fn ended(&mut self, live: &Live) {
        if let Some(net) = live.counted_for.and_then(|key| self.processes.row_mut(key)) {
            net.live = net.live.saturating_sub(1);
        }
    }

    fn net(&mut self, owner: Owner, conn: &Conn) -> &mut Net {
        self.processes.row_or_insert(owner.key, || Net {
            netns: conn.netns,
            last: conn.at,
            ..Net::empty(owner)
        })
    }

    fn pair(&mut self, key: ProcessKey, peer: PeerAddr, service: Service, at: Mono) -> &mut Pair {
        let pair = self.pairs.row_or_insert((key, peer), || Pair::new(key, peer));
        if pair.is_new()
            && let Some(net) = self.processes.row_mut(key)
        {
            net.peers += 1;
        }
        pair.meet(service, at);
        pair
    }

    /// A datagram socket's traffic with one peer, which its process has already.
    fn add_peer(&mut self, flow: &PeerFlow, at: Mono) {
        let live = self.conns.row(flow.cookie).map(|live| &live.conn);
        let Some(conn) = live.or_else(|| self.gone.get(&flow.cookie)) else { return };
        let service = Service::with_peer(conn, flow.remote);
        let peer = conn.peer(flow.remote.ip());
        self.pair(flow.process, peer, service, at).add(flow.carried, at);
    }

    fn end_interval(&mut self) {
        self.delta = self.total.minus(self.before);
        self.before = self.total;
        self.turnover_delta = self.turnover.minus(self.turnover_before);
        self.turnover_before = self.turnover;
        let (at, attribution) = (self.at, self.attribution);
        self.closed.expire(|closed| closed.is_over(at));
        self.conns
            .change(|live| live.has_moved(attribution), |live| live.end_interval(attribution));
        self.processes.change(Net::has_moved, |net| {
            net.delta = net.total.minus(net.before);
            net.before = net.total;
        });
        let (events, now) = (&mut self.events, self.at);
        self.pairs.change(Pair::has_moved, |pair| {
            pair.end_interval();
            let (key, ip, carried) = (pair.key, pair.peer.ip, pair.delta);
            if carried.bytes() > 0 {
                events.push(Event { at: now, key, activity: NetActivity::Carried { ip, carried } });
            }
        });
    }
}
