//! Tables of the kernel side whose entries outlive their socket: the processes that share a socket
//! with its first one, and the peers of datagram sockets. The reader deletes the entries.

use hashbrown::{HashMap, HashSet};
use libbpf_rs::{MapCore, MapMut};

use super::decode::{self, Decoded};
use crate::bpf::connections::types::{peer_key, share_key};
use crate::model::conn::{Carried, Conn, PeerFlow, Share};
use crate::sys::records::bytes_of;

/// Ticks without traffic after which a peer's entry is deleted.
const IDLE_TICKS: u64 = 60;

/// Ended sockets whose entries are deleted at the end of a tick: as many as the table has entries. Of further ones
/// the entries are deleted when they were idle for one tick.
const MAX_ENDED: usize = 32_768;

/// The latest record of each entry of `shares`, by socket.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_cookie: HashMap<u64, Vec<Share>>,
}

impl Shares {
    /// Takes over a record of a walk.
    pub(super) fn take(&mut self, record: &[u8]) {
        let Some((cookie, share)) = decode::sharer(record) else { return };
        let shares = self.by_cookie.entry(cookie).or_default();
        match shares.iter_mut().find(|s| s.owner.key == share.owner.key) {
            Some(known) => *known = share,
            None => shares.push(share),
        }
    }

    /// Adds the sharing processes to a socket.
    pub(super) fn complete(&self, decoded: Decoded) -> Conn {
        let Decoded { mut conn, last, .. } = decoded;
        conn.shares.extend(self.by_cookie.get(&conn.cookie).into_iter().flatten().copied());
        if let Some(last) = last {
            conn.current = conn.shares.iter().position(|s| s.owner.key == last).unwrap_or(0);
        }
        conn
    }

    /// The sockets that have entries.
    pub(super) fn sockets(&self) -> Vec<u64> {
        self.by_cookie.keys().copied().collect()
    }

    /// Deletes the entries of a socket that ended.
    pub(super) fn end(&mut self, cookie: u64, map: &MapMut<'_>) -> libbpf_rs::Result<()> {
        for share in self.by_cookie.remove(&cookie).into_iter().flatten() {
            let key = share.owner.key;
            let key = share_key {
                cookie,
                start_boottime_ns: key.start_boottime_ns,
                tgid: key.tgid,
                pad: 0,
            };
            map.delete(bytes_of(&key))?;
        }
        Ok(())
    }
}

/// The latest record of each entry of `peers`.
#[derive(Debug, Default)]
pub(super) struct Peers {
    last: HashMap<Vec<u8>, Last>,
    /// Sockets that ended since the last tick, at most [`MAX_ENDED`].
    ended: HashSet<u64>,
    tick: u64,
    /// The last tick in which a socket ended that found no room there.
    crowded: Option<u64>,
}

#[derive(Debug, Default)]
struct Last {
    carried: Carried,
    cookie: u64,
    tick: u64,
}

impl Peers {
    /// The traffic since the last record of this entry; `None` for a malformed record.
    pub(super) fn take(&mut self, record: &[u8]) -> Option<PeerFlow> {
        let mut flow = decode::peer(record)?;
        let key = record.get(..size_of::<peer_key>())?;
        let now = flow.carried;
        let last = self.last.entry_ref(key).or_default();
        flow.carried = now.minus(last.carried);
        *last = Last { carried: now, cookie: flow.cookie, tick: self.tick };
        Some(flow)
    }

    /// Notes the end of a socket: its entries are deleted at the end of the tick.
    pub(super) fn end(&mut self, cookie: u64) {
        if self.ended.len() < MAX_ENDED {
            self.ended.insert(cookie);
        } else {
            self.crowded = Some(self.tick);
        }
    }

    /// Deletes the entries of sockets that ended before this tick's walk, and those that were idle for
    /// long. A call in the moment of a deletion is in its socket's counts alone.
    pub(super) fn end_tick(&mut self, map: &MapMut<'_>) -> libbpf_rs::Result<()> {
        for key in self.take_old() {
            map.delete(&key)?;
        }
        Ok(())
    }

    /// Ends the tick; the keys of the entries that are to be deleted.
    fn take_old(&mut self) -> Vec<Vec<u8>> {
        let (now, ended) = (self.tick, std::mem::take(&mut self.ended));
        // An entry that was read in a crowded tick is idle in the next one.
        let is_crowded = self.crowded.is_some_and(|tick| now <= tick + 1);
        let most_idle = if is_crowded { 1 } else { IDLE_TICKS };
        let is_old = |last: &Last| now - last.tick >= most_idle || ended.contains(&last.cookie);
        let old = self.last.extract_if(|_, last| is_old(last)).map(|(key, _)| key).collect();
        self.tick += 1;
        old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_sockets_are_bounded_and_all_entries_go() {
        let mut peers = Peers::default();
        let cookies = 0..MAX_ENDED as u64 + 9;
        let lives = u64::MAX;
        for cookie in cookies.clone().chain([lives]) {
            let last = Last { cookie, ..Last::default() };
            peers.last.insert(cookie.to_ne_bytes().to_vec(), last);
        }
        cookies.for_each(|cookie| peers.end(cookie));
        assert_eq!((peers.ended.len(), peers.take_old().len()), (MAX_ENDED, MAX_ENDED));
        // The living one has traffic.
        peers.last.get_mut(&lives.to_ne_bytes()[..]).unwrap().tick = peers.tick;
        assert_eq!((peers.take_old().len(), peers.last.len()), (9, 1));
        // From then on it may be idle for long.
        for _ in 1..IDLE_TICKS {
            assert!(peers.take_old().is_empty());
        }
        assert_eq!((peers.take_old().len(), peers.last.len()), (1, 0));
    }
}
