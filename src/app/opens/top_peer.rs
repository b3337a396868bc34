//! The peer with which each process exchanges the most.

use std::net::IpAddr;

use hashbrown::HashMap;

use crate::model::connections::Connections;
use crate::model::process::ProcessKey;

/// A process's peer with the most traffic: in the last interval, then since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopPeer {
    pub ip: IpAddr,
    /// Bytes in the last interval, and since the start.
    pub weight: (u64, u64),
}

impl TopPeer {
    /// The larger one, of equals that with the smaller address.
    pub fn max(self, other: Self) -> Self {
        let rank = |peer: &Self| (peer.weight, std::cmp::Reverse(peer.ip));
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Finds those of all processes.
pub(super) fn top_peers(connections: &Connections) -> HashMap<ProcessKey, TopPeer> {
    let mut found: HashMap<ProcessKey, TopPeer> = HashMap::new();
    for pair in connections.pairs() {
        let peer = TopPeer { ip: pair.peer.ip, weight: (pair.delta.bytes(), pair.total.bytes()) };
        found.entry(pair.key).and_modify(|top| *top = top.max(peer)).or_insert(peer);
    }
    found
}
