//! Which process is behind which connection, and whom each of them talks to.
//!
//! Bytes go to the process in whose hands a socket was when it carried them. So the sum over
//! processes, what they had that were let go, and what is nobody's is what all sockets carried.

mod events;
mod live;
mod nobody;
mod pairs;
mod read;
#[cfg(test)]
mod tests;
mod told;

use std::net::IpAddr;

use hashbrown::HashMap;

use super::conn::{Carried, Conn, ConnEvent, Holder, Owner, OwnersBatch, PeerFlow};
use super::coverage::Attribution;
use super::opens::ProcessKey;
use super::time::Mono;

use events::Events;
pub use events::{Event, NetActivity};
use live::Live;
pub use nobody::{NoOwner, Why};
pub use pairs::{Pair, Service, Side};
use told::Tells;
pub use told::{Told, What};

/// Connections that are followed at once, about 500 bytes each. One beyond is counted in
/// [`Owners::let_go`] and nowhere else.
pub const MAX_CONNS: usize = 65_536;
/// Processes that are kept; beyond, those go that were quiet longest.
pub const MAX_PROCESSES: usize = 16_384;
/// Pairs of process and peer that are kept; beyond, those go that were quiet longest.
pub const MAX_PAIRS: usize = 65_536;
/// Others that hold a socket, told for each.
const MAX_HOLDERS: usize = 8;

/// A process on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The first that was seen of it.
    pub who: Owner,
    /// Since the counts began.
    pub total: Carried,
    /// In the last interval.
    pub delta: Carried,
    coming: Carried,
    /// Addresses that it exchanged something with.
    pub peers: u32,
    /// Connections that are in its hands.
    pub live: u32,
    /// Connections that came into its hands.
    pub begun: u64,
    /// When it last carried something.
    pub last: Mono,
}

/// `TCP_SYN_SENT` of `include/net/tcp_states.h`.
const TCP_SYN_SENT: u8 = 2;

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    conns: HashMap<u64, Live>,
    processes: HashMap<ProcessKey, Net>,
    pairs: HashMap<(ProcessKey, IpAddr), Pair>,
    holders: HashMap<u64, Vec<Owner>>,
    /// Sockets without a peer that ended in this interval: whom they talked to is told at its end.
    gone: HashMap<u64, Conn>,
    events: Events,
    /// Where somebody asks for what happened.
    tells: Option<Tells>,
    /// What all sockets carried, and in the last interval.
    pub total: Carried,
    pub delta: Carried,
    coming: Carried,
    /// What is nobody's, of `total`.
    pub no_owner: NoOwner,
    /// Of processes that were let go, of `total`.
    pub other: Carried,
    /// Connections and processes that were let go.
    pub let_go: u64,
    /// Events that the kernel side lost.
    pub lost: u64,
    /// Sockets that the kernel side could not follow.
    pub stateless: u64,
    /// How bytes are attributed. With [`Attribution::Procfs`] no bytes are: all sums stay 0, and are
    /// to be shown as unknown.
    pub attribution: Attribution,
    at: Mono,
    /// Nanoseconds from the tick before to the last one.
    pub interval_ns: u64,
}

impl Owners {
    /// One that tells what happens, to [`Self::take_told`].
    pub fn telling() -> Self {
        Self { tells: Some(Tells::default()), ..Self::default() }
    }

    /// From here on it is counted.
    pub fn start(&mut self, at: Mono, attribution: Attribution) {
        (self.at, self.attribution) = (at, attribution);
    }

    /// Sockets are polled: bytes of processes are not known.
    pub fn polled(&self) -> bool {
        self.attribution == Attribution::Procfs
    }

    /// Takes in what the probe found.
    pub fn apply(&mut self, batch: &OwnersBatch) {
        (self.lost, self.stateless) = (batch.lost, batch.stateless);
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
        self.let_go += tick.left_out;
        if tick.complete {
            self.miss(&tick.samples, batch.at);
        }
        for flow in &tick.flows {
            self.flow(flow, batch.at);
        }
        self.gone.clear();
        self.hold(&tick.holders);
        self.end_interval();
        self.let_go_of_the_quiet();
    }

    /// Starts the counts again; what lives is followed on.
    pub fn restart(&mut self) {
        (self.total, self.delta, self.coming, self.other) = Default::default();
        self.no_owner = NoOwner::default();
        self.let_go = 0;
        self.events.clear();
        self.pairs.clear();
        self.processes.clear();
        for live in self.conns.values_mut() {
            live.restart();
        }
    }

    fn began(&mut self, what: What, conn: &Conn) {
        self.carry(conn);
        self.tell(what, conn, conn.at, false);
    }

    fn closed(&mut self, conn: &Conn) {
        if conn.state == TCP_SYN_SENT && conn.protocol == super::conn::TCP {
            return self.tell(What::Failed, conn, conn.at, false);
        }
        self.carry(conn);
        let Some(live) = self.conns.remove(&conn.cookie) else { return };
        self.left(&live);
        if conn.remote.port() == 0 {
            self.gone.insert(conn.cookie, conn.clone());
        }
        self.tell(What::Close, conn, conn.at, false);
    }

    /// Connections that are not among those that live have ended unseen.
    fn miss(&mut self, samples: &[Conn], at: Mono) {
        let there: hashbrown::HashSet<u64> = samples.iter().map(|conn| conn.cookie).collect();
        let gone: Vec<u64> =
            self.conns.keys().filter(|cookie| !there.contains(*cookie)).copied().collect();
        for cookie in gone {
            let Some(live) = self.conns.remove(&cookie) else { continue };
            self.left(&live);
            self.tell(What::Close, &live.conn, at, true);
        }
    }

    fn tell(&mut self, what: What, conn: &Conn, at: Mono, unseen: bool) {
        if let Some(owner) = conn.owner() {
            let carried = told::carried(conn, self.attribution);
            self.events.push(Event {
                at,
                key: owner.key,
                deed: NetActivity::Conn {
                    what,
                    protocol: conn.protocol,
                    local: conn.local.port(),
                    remote: conn.remote,
                    error: conn.error,
                    carried,
                },
            });
        }
        let Some(tells) = &mut self.tells else { return };
        let holders = self.holders.get(&conn.cookie).cloned().unwrap_or_default();
        let attribution = self.attribution;
        tells.push(Told { what, conn: conn.clone(), holders, unseen, at, attribution });
    }

    /// Counts what a connection carried since it was looked at last.
    fn carry(&mut self, conn: &Conn) {
        let polled = self.polled();
        let known = self.conns.contains_key(&conn.cookie);
        if !known && self.conns.len() >= MAX_CONNS {
            self.let_go += 1;
            return;
        }
        let live = self.conns.entry(conn.cookie).or_insert_with(|| Live::new(conn));
        // Known before anything is counted: what they talk over is told once.
        if conn.passive {
            live.side = Side::Ours;
        } else if conn.event == ConnEvent::Connect {
            live.side = Side::Theirs;
        }
        let mut carried = live.advance(conn);
        if polled {
            // A process may have had sockets that no poll saw, and may share this one.
            carried.iter_mut().for_each(|(_, carried)| *carried = Carried::default());
        }
        let waited = live.accepted(&carried);
        let owner = conn.owner();
        let now = owner.map(|owner| owner.key);
        let before = std::mem::replace(&mut live.counted_for, now);
        let (side, has_peer) = (live.side, conn.remote.port() != 0);
        for (owner, carried) in carried {
            self.credit(owner, carried, conn);
            if let Some(owner) = owner
                && has_peer
            {
                let service = Service::of(conn, side);
                self.pair(owner.key, conn.remote.ip(), service, carried, conn.at);
            }
        }
        if let Some(owner) = owner
            && !waited.is_none()
        {
            self.no_owner.accepted(waited);
            self.net(owner, conn.at).total += waited;
            if has_peer {
                let service = Service::of(conn, side);
                self.pair(owner.key, conn.remote.ip(), service, waited, conn.at);
            }
        }
        if before == now {
            return;
        }
        if let Some(net) = before.and_then(|key| self.processes.get_mut(&key)) {
            net.live = net.live.saturating_sub(1);
        }
        if let Some(owner) = owner {
            let net = self.net(owner, conn.at);
            net.live += 1;
            net.begun += 1;
        }
    }

    /// A connection is in nobody's hands any more.
    fn left(&mut self, live: &Live) {
        if let Some(net) = live.counted_for.and_then(|key| self.processes.get_mut(&key)) {
            net.live = net.live.saturating_sub(1);
        }
    }

    fn credit(&mut self, owner: Option<Owner>, carried: Carried, conn: &Conn) {
        self.total += carried;
        self.coming += carried;
        match owner {
            Some(owner) => {
                let net = self.net(owner, conn.at);
                net.total += carried;
                net.coming += carried;
                net.last = conn.at;
            }
            None => self.no_owner.add(conn, carried),
        }
    }

    fn net(&mut self, owner: Owner, at: Mono) -> &mut Net {
        self.processes.entry(owner.key).or_insert_with(|| Net {
            who: owner,
            total: Carried::default(),
            delta: Carried::default(),
            coming: Carried::default(),
            peers: 0,
            live: 0,
            begun: 0,
            last: at,
        })
    }

    fn pair(&mut self, key: ProcessKey, ip: IpAddr, service: Service, carried: Carried, at: Mono) {
        let pair = self.pairs.entry((key, ip)).or_insert_with(|| Pair::new(key, ip));
        if pair.is_new()
            && let Some(net) = self.processes.get_mut(&key)
        {
            net.peers += 1;
        }
        pair.add(service, carried, at);
    }

    /// What a socket without a peer of its own exchanged with one; its process has it already.
    fn flow(&mut self, flow: &PeerFlow, at: Mono) {
        let live = self.conns.get(&flow.cookie).map(|live| &live.conn);
        let Some(conn) = live.or_else(|| self.gone.get(&flow.cookie)) else { return };
        let Some(owner) = conn.owner() else { return };
        let service = Service::with_peer(conn, flow.remote);
        self.pair(owner.key, flow.remote.ip(), service, flow.carried, at);
    }

    fn hold(&mut self, holders: &[Holder]) {
        self.holders.clear();
        for holder in holders.iter().take(MAX_CONNS) {
            let Some(live) = self.conns.get(&holder.cookie) else { continue };
            let held = self.holders.entry(holder.cookie).or_default();
            let known = held.iter().chain(&live.conn.owner()).any(|o| o.key == holder.owner.key);
            if !known && held.len() < MAX_HOLDERS {
                held.push(holder.owner);
            }
        }
    }

    fn end_interval(&mut self) {
        self.delta = std::mem::take(&mut self.coming);
        for net in self.processes.values_mut() {
            net.delta = std::mem::take(&mut net.coming);
        }
        let (events, now) = (&mut self.events, self.at);
        for pair in self.pairs.values_mut() {
            pair.end_interval();
            let (key, ip, carried) = (pair.key, pair.ip, pair.delta);
            if carried.bytes() > 0 {
                events.push(Event { at: now, key, deed: NetActivity::Carried { ip, carried } });
            }
        }
    }

    /// Keeps the tables within their bounds. What a process carried that is let go stays in the sum.
    fn let_go_of_the_quiet(&mut self) {
        if let Some(before) = quietest(self.pairs.values().map(|p| p.last), MAX_PAIRS) {
            let processes = &mut self.processes;
            self.pairs.retain(|(key, _), pair| {
                let stays = pair.last > before;
                if !stays && let Some(net) = processes.get_mut(key) {
                    net.peers = net.peers.saturating_sub(1);
                }
                stays
            });
        }
        if let Some(before) = quietest(self.processes.values().map(|n| n.last), MAX_PROCESSES) {
            let (other, let_go) = (&mut self.other, &mut self.let_go);
            self.processes.retain(|_, net| {
                let stays = net.last > before;
                if !stays {
                    *other += net.total;
                    *let_go += 1;
                }
                stays
            });
        }
    }
}

/// The moment up to which entries go when there are more than `most`: an eighth of them.
fn quietest(last: impl Iterator<Item = Mono>, most: usize) -> Option<Mono> {
    let mut last: Vec<Mono> = last.collect();
    if last.len() <= most {
        return None;
    }
    let nth = last.len() - most + most / 8;
    let nth = nth.min(last.len() - 1);
    Some(*last.select_nth_unstable(nth).1)
}
