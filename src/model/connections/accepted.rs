//! Connections that were accepted, by the local address that they came to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashMap;

use crate::model::conn::{Conn, TCP};
use crate::model::listener::{Listener, Listeners};

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

    /// Fills in the connections accepted at each TCP listener.
    ///
    /// A connection counts for the listener at the address that it came to, else for the one at all addresses
    /// (`__inet_lookup_listener` chooses so, too). Listeners at one address (`SO_REUSEPORT`) have those of
    /// all of them, and those of earlier listeners there: an accepted socket does not say which one it came from.
    /// `missed` are listeners that the reading may have missed.
    pub fn fill_in(&self, found: &mut Listeners, missed: &[Listener]) {
        let key = |l: &Listener| {
            let local = l.bound.ip().filter(|_| l.bound.is_tcp())?;
            Some((l.netns, TCP, local))
        };
        let mut listening: HashMap<Key, u32> = HashMap::new();
        for key in found.rows.iter().chain(missed).filter_map(key) {
            *listening.entry(key).or_default() += 1;
        }
        let mut counts: HashMap<Key, u64> = HashMap::new();
        for ((netns, protocol, local), n) in &self.counts {
            let at = |ip: IpAddr| (*netns, *protocol, SocketAddr::new(ip, local.port()));
            let any_v4 = at(Ipv4Addr::UNSPECIFIED.into());
            let candidates = [
                Some(at(local.ip())),
                local.is_ipv4().then_some(any_v4),
                Some(at(Ipv6Addr::UNSPECIFIED.into())),
            ];
            let listens = candidates.into_iter().flatten().find(|key| listening.contains_key(key));
            if let Some(key) = listens {
                *counts.entry(key).or_default() += n;
            }
        }
        for row in &mut found.rows {
            let Some(key) = key(row) else { continue };
            row.accepted = Some(counts.get(&key).copied().unwrap_or(0));
            row.accepting = listening.get(&key).copied().unwrap_or(0);
        }
    }
}
