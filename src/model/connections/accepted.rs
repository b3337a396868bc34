//! Connections that were accepted, by the local address that they came to.

use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::model::conn::Conn;
use crate::model::listener::Listener;

/// Local addresses with a count; connections to further ones are in [`Accepted::left_out`].
pub const MAX_ACCEPTING: usize = 4_096;

/// Network namespace, protocol and local address.
type Key = (u32, u16, SocketAddr);

/// Accepted connections since the counts began.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    counts: HashMap<Key, u64>,
    /// Connections to addresses without room.
    pub left_out: u64,
}

impl Accepted {
    pub(super) fn add(&mut self, conn: &Conn) {
        let key = (conn.netns, conn.protocol, conn.local);
        if self.counts.len() >= MAX_ACCEPTING && !self.counts.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        *self.counts.entry(key).or_default() += 1;
    }

    /// Connections accepted at the address of a listener. Of several listeners at one address all have the same count, and
    /// one at all addresses has those of the others at its port, too.
    pub fn by(&self, listener: &Listener) -> u64 {
        let Listener { netns, protocol, local, .. } = *listener;
        if !local.ip().is_unspecified() {
            return self.counts.get(&(netns, protocol, local)).copied().unwrap_or(0);
        }
        let is_at = |key: &Key| (key.0, key.1, key.2.port()) == (netns, protocol, local.port());
        self.counts.iter().filter(|(key, _)| is_at(key)).map(|(_, n)| n).sum()
    }
}
