//! What the tables hold, for those who look.

use std::net::IpAddr;

use super::{Event, Net, Owners, Pair, Told};
use crate::model::conn::{Conn, Owner};
use crate::model::opens::ProcessKey;

impl Owners {
    /// What happened since this was asked last.
    pub fn take_told(&mut self) -> Vec<Told> {
        self.tells.as_mut().map(|tells| std::mem::take(&mut tells.told)).unwrap_or_default()
    }

    /// What happened and was not told, since nobody took it in time.
    pub fn untold(&self) -> u64 {
        self.tells.as_ref().map_or(0, |tells| tells.untold)
    }

    /// A process on the wire.
    pub fn process(&self, key: ProcessKey) -> Option<&Net> {
        self.processes.get(&key)
    }

    /// All processes on the wire.
    pub fn processes(&self) -> impl Iterator<Item = &Net> {
        self.processes.values()
    }

    /// What a process exchanges with an address.
    pub fn between(&self, key: ProcessKey, ip: IpAddr) -> Option<&Pair> {
        self.pairs.get(&(key, ip))
    }

    /// All processes with all their peers.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.values()
    }

    /// Whom a process talks to, the largest first.
    pub fn peers_of(&self, key: ProcessKey) -> Vec<&Pair> {
        sorted(self.pairs.values().filter(|pair| pair.key == key))
    }

    /// Which processes talk to an address, the largest first.
    pub fn behind(&self, ip: IpAddr) -> Vec<&Pair> {
        sorted(self.pairs.values().filter(|pair| pair.ip == ip))
    }

    /// Connections that live, with the process in whose hands each is.
    pub fn conns(&self) -> impl Iterator<Item = (&Conn, Option<Owner>, &[Owner])> {
        self.conns.iter().map(|(cookie, live)| {
            let holders = self.holders.get(cookie).map_or(&[][..], Vec::as_slice);
            (&live.conn, live.conn.owner(), holders)
        })
    }

    /// How many live.
    pub fn live(&self) -> usize {
        self.conns.len()
    }

    /// What a process did on the wire, as far as it is kept, the latest last.
    pub fn events_of(&self, key: ProcessKey) -> impl Iterator<Item = &Event> {
        self.events.of(key)
    }
}

fn sorted<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Vec<&'a Pair> {
    let mut pairs: Vec<&Pair> = pairs.collect();
    pairs.sort_by_key(|p| (std::cmp::Reverse(p.total.bytes()), p.key.tgid, p.ip));
    pairs
}
