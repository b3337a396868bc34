//! Further processes that have a socket open.

use hashbrown::{HashMap, HashSet};

use super::live::{Live, MAX_CONNS};
use crate::model::conn::{Holder, Owner};
use crate::model::process::ProcessKey;
use crate::model::table::Table;

/// Holders that are listed for a socket.
const MAX_LISTED: usize = 8;

/// The processes that have one socket open, without those that called on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// The first eight that were found.
    pub listed: Vec<Owner>,
    /// The number of further ones.
    pub more: u32,
}

/// The holders of each socket, by cookie.
pub(super) fn by_socket(holders: &[Holder], conns: &Table<Live>) -> HashMap<u64, Holders> {
    let mut by_socket: HashMap<u64, Holders> = HashMap::new();
    // A process may have a socket open several times.
    let mut seen: HashSet<(u64, ProcessKey)> = HashSet::new();
    for Holder { cookie, owner } in holders.iter().take(MAX_CONNS) {
        let Some(live) = conns.row(*cookie) else { continue };
        let calls = live.conn.shares.iter().any(|share| share.owner.key == owner.key);
        if calls || !seen.insert((*cookie, owner.key)) {
            continue;
        }
        let holders = by_socket.entry(*cookie).or_default();
        if holders.listed.len() < MAX_LISTED {
            holders.listed.push(*owner);
        } else {
            holders.more += 1;
        }
    }
    by_socket
}
