//! Attribution: which process and peer the bytes of a connection are added to.

use hashbrown::HashMap;

use super::{Connections, Live, Net, Pair, Parts, Party, Service, Side};
use crate::model::conn::{Carried, Conn, ConnEvent, Owner, PeerAddr, PeerFlow, Share};
use crate::model::process::ProcessKey;
use crate::model::quality::Worst;
use crate::model::time::Mono;

impl Connections {
    /// Takes over the latest state of a connection, and with which processes and peer it is. Returns
    /// the parts of its traffic before and now; `None` where there is no room for it.
    pub(super) fn follow(&mut self, conn: &Conn) -> Option<(Parts, Parts)> {
        if self.conns.len() >= self.bounds.conns && self.conns.row(conn.cookie).is_none() {
            self.evicted += 1;
            self.left_out += 1;
            return None;
        }
        let mut is_new = false;
        let live = self.conns.row_or_insert(conn.cookie, || {
            is_new = true;
            Live::new(conn)
        });
        let shares_before = if is_new { Vec::new() } else { std::mem::take(&mut live.conn.shares) };
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
        for (at, share) in conn.shares.iter().enumerate() {
            let key = share.owner.key;
            let name = (share.owner.comm, share.owner.uid);
            let name_before =
                share_of(&shares_before, at, key).map(|s| (s.owner.comm, s.owner.uid));
            let net = self.net(share.owner, conn);
            // A record may have the name of an earlier program: of a socket that the process has no more, or that
            // no poll has found since. Only a name that is new for the socket is a later one.
            if name_before != Some(name) {
                (net.owner.comm, net.owner.uid) = name;
            }
            if name_before.is_none() {
                net.netns = conn.netns;
            }
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

    /// Before the rows go: the names of processes that records of living connections do not have.
    pub(super) fn keep_names(&mut self) {
        let before = std::mem::take(&mut self.names);
        for owner in self.conns.iter().flat_map(|(_, live)| &live.conn.shares).map(|s| &s.owner) {
            let row = self.processes.row(owner.key).map(|net| &net.owner);
            let latest = row.or_else(|| before.get(&owner.key));
            if let Some(latest) = latest.filter(|latest| !has_name_of(owner, latest)) {
                self.names.insert(owner.key, *latest);
            }
        }
    }

    /// Whether the records of a connection have the latest names of its processes.
    pub(super) fn has_latest_names(&self, conn: &Conn) -> bool {
        conn.shares.iter().map(|share| &share.owner).all(|owner| {
            self.processes.row(owner.key).is_none_or(|net| has_name_of(owner, &net.owner))
        })
    }

    /// Works out the worst quality of each process's living connections.
    pub(super) fn find_worst(&mut self) {
        let mut found: HashMap<ProcessKey, Worst> = HashMap::new();
        for (_, live) in self.conns.iter() {
            if let Some(key) = live.counted_for {
                let worst = found.entry(key).or_default();
                *worst = worst.max(Worst::of(&live.conn.quality));
            }
        }
        let of = |net: &Net| found.get(&net.owner.key).copied().unwrap_or_default();
        self.processes.change(|net| net.worst != of(net), |net| net.worst = of(net));
    }

    /// Moves the sums from one division of a connection's traffic to a later one. A part that shrinks
    /// was corrected: a call returned whose bytes had been attributed by TCP's counters, or a process
    /// accepted what waited.
    pub(super) fn shift(
        &mut self,
        conn: &Conn,
        before: &[(Party, Carried)],
        now: &[(Party, Carried)],
    ) {
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

    fn net(&mut self, owner: Owner, conn: &Conn) -> &mut Net {
        let names = &mut self.names;
        self.processes.row_or_insert(owner.key, || Net {
            netns: conn.netns,
            last: conn.at,
            ..Net::empty(names.remove(&owner.key).unwrap_or(owner))
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
    pub(super) fn add_peer(&mut self, flow: &PeerFlow, at: Mono) {
        let live = self.conns.row(flow.cookie).map(|live| &live.conn);
        let Some(conn) = live.or_else(|| self.gone.get(&flow.cookie)) else {
            // Of datagrams, packets are calls.
            let calls = flow.carried.rx_packets + flow.carried.tx_packets;
            self.peers_left_out = self.peers_left_out.saturating_add(calls);
            return;
        };
        let service = Service::with_peer(conn, flow.remote);
        let peer = conn.peer(flow.remote.ip());
        self.pair(flow.process, peer, service, at).add(flow.carried, at);
    }
}

/// The entry of a process among the shares of a record, which is most often at the same place in the next one.
fn share_of(shares: &[Share], at: usize, key: ProcessKey) -> Option<&Share> {
    let is_of = |share: &&Share| share.owner.key == key;
    shares.get(at).filter(is_of).or_else(|| shares.iter().find(is_of))
}

/// Whether both name a process and its user alike.
fn has_name_of(one: &Owner, other: &Owner) -> bool {
    (one.comm, one.uid) == (other.comm, other.uid)
}
