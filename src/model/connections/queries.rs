//! Read access to the tables.

use std::net::IpAddr;

use super::{Change, Closed, ConnHistory, Connections, Event, Net, Pair, Party, Side, What};
use crate::model::conn::{Carried, Conn, ConnEvent, ConnectionsBatch, Owner, PeerAddr};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;

impl Connections {
    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes.as_mut().map(|c| std::mem::take(&mut c.queued)).unwrap_or_default()
    }

    /// Changes that were dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.changes.as_ref().map_or(0, |changes| changes.dropped)
    }

    /// The living connections, each as a change that has found it at the end of the last interval.
    pub fn living(&self) -> impl Iterator<Item = Change> {
        self.conns.iter().map(|(_, live)| Change {
            what: What::Seen,
            conn: live.conn.clone(),
            holders: self.holders.get(&live.conn.cookie).cloned().unwrap_or_default(),
            unseen: false,
            at: self.at,
            attribution: self.attribution,
            name: self.hostnames.of(&live.conn).map(Into::into),
        })
    }

    /// A process with traffic.
    pub fn process(&self, key: ProcessKey) -> Option<&Net> {
        self.processes.row(key)
    }

    /// All processes with traffic.
    pub fn processes(&self) -> impl Iterator<Item = &Net> {
        self.processes.iter().map(|(_, net)| net)
    }

    /// The pair of a process and a peer.
    pub fn between(&self, key: ProcessKey, peer: PeerAddr) -> Option<&Pair> {
        self.pairs.row((key, peer))
    }

    /// Whether a process exchanges something with an address, in any namespace.
    pub fn exchange(&self, key: ProcessKey, ip: IpAddr) -> bool {
        let Some(net) = self.processes.row(key) else { return false };
        let own = PeerAddr { netns: net.netns, scope: 0, ip };
        self.pairs.row((key, own)).is_some()
            || self.pairs.iter().any(|(_, p)| p.key == key && p.peer.ip == ip)
    }

    /// All processes with all their peers.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().map(|(_, pair)| pair)
    }

    /// The peers of a process, the largest first.
    pub fn peers_of(&self, key: ProcessKey) -> Vec<&Pair> {
        sorted(self.pairs().filter(|pair| pair.key == key))
    }

    /// The processes that talk to an address, the largest first.
    pub fn behind(&self, ip: IpAddr) -> Vec<&Pair> {
        sorted(self.pairs().filter(|pair| pair.peer.ip == ip))
    }

    /// Living connections, each with the process that used it last.
    pub fn conns(&self) -> impl Iterator<Item = (&Conn, Option<Owner>)> {
        self.conns.iter().map(|(_, live)| (&live.conn, live.conn.owner()))
    }

    /// Living connections with their places in the table.
    pub fn live_conns(&self) -> impl Iterator<Item = (Slot, &Conn)> {
        self.conns.iter().map(|(slot, live)| (slot, &live.conn))
    }

    /// A living connection.
    pub fn conn(&self, slot: Slot) -> Option<&Conn> {
        self.conns.get(slot).map(|live| &live.conn)
    }

    /// A living connection's bytes in the last interval, received and sent.
    pub fn conn_delta(&self, slot: Slot) -> Option<[u64; 2]> {
        self.conns.get(slot)?.delta
    }

    /// Whether a living connection began in the last interval.
    pub fn is_new_conn(&self, slot: Slot) -> bool {
        self.conns.get(slot).is_some_and(|live| live.is_new)
    }

    /// Whether an ended connection ended in the last interval, by its number.
    pub fn ended_in_interval(&self, number: u64) -> bool {
        self.closed_lately.contains(&number)
    }

    /// The last minute of a living connection; `None` where it carried nothing since the start, or others
    /// have all the room.
    pub fn history_of(&self, slot: Slot) -> Option<&ConnHistory> {
        self.conns.get(slot)?.history.as_deref()
    }

    /// Bytes that a connection has carried; `None` where they are not counted.
    pub fn carried_by(&self, conn: &Conn) -> Option<Carried> {
        conn.carried(self.attribution)
    }

    /// Connections that ended in the last minute, each with its number, the oldest first.
    pub fn closed_lately(&self) -> impl Iterator<Item = (u64, &Closed)> {
        self.closed.numbered()
    }

    /// The ended connection with a number, while it is stored.
    pub fn closed_conn(&self, number: u64) -> Option<&Closed> {
        self.closed.get(number)
    }

    /// How a living connection's traffic divides; empty where it is not known.
    pub fn parts_of(&self, cookie: u64) -> &[(Party, Carried)] {
        self.conns.row(cookie).map_or(&[], |live| live.parts())
    }

    /// The living connections and the counts of the probe, for a recording that begins now; so many in one
    /// batch that it fits into a block. Datagram sockets that ended in this interval are among them: their
    /// peers come at its end.
    pub fn known_before(&self) -> Vec<ConnectionsBatch> {
        const IN_BATCH: usize = 1_024;
        let live = self.conns.iter().map(|(_, live)| match live.side {
            // A sample does not say from which side it began.
            Side::Theirs => Conn { event: ConnEvent::Connect, ..live.conn.clone() },
            Side::Ours | Side::Unknown => live.conn.clone(),
        });
        let mut known: Vec<Conn> = live.collect();
        // The last name of a process stays.
        known.sort_by_key(|conn| self.has_latest_names(conn));
        known.extend(self.gone.values().cloned());
        let batch = |known: &[Conn]| ConnectionsBatch {
            at: self.at,
            known: known.to_vec(),
            limits: self.limits_read,
            ..ConnectionsBatch::default()
        };
        match known.is_empty() {
            true => vec![batch(&[])],
            false => known.chunks(IN_BATCH).map(batch).collect(),
        }
    }

    /// The number of living connections.
    pub fn live(&self) -> usize {
        self.conns.len()
    }

    /// The latest network events of a process, in their order.
    pub fn events_of(&self, key: ProcessKey) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.key == key)
    }
}

fn sorted<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Vec<&'a Pair> {
    let mut pairs: Vec<&Pair> = pairs.collect();
    pairs.sort_by_key(|p| (std::cmp::Reverse(p.total.bytes()), p.key.tgid, p.peer.ip));
    pairs
}
