//! Listeners: their number, and the drops of each since the reading before.

use crate::model::listener::{Counts, KnownListeners, Listener, ListenerEvent, Listeners, counts};

/// The listeners of the last reading.
#[derive(Debug, Default)]
pub(super) struct ListenerCounts {
    known: KnownListeners,
    /// The probe runs, or a recording has a reading.
    pub(super) present: bool,
    pub(super) now: Counts,
    /// The last reading may lack listeners or processes.
    pub(super) partial: bool,
}

impl ListenerCounts {
    /// Takes a reading, and passes on what listeners dropped since the one before; one whose earlier drops are
    /// unknown dropped nothing.
    pub(super) fn take(&mut self, found: &Listeners, mut dropped: impl FnMut(&Listener, u64)) {
        self.present = true;
        self.partial = found.doubt().is_some();
        // One that failed says nothing.
        if !found.partial || !found.rows.is_empty() {
            self.now = counts(found.rows.iter());
        }
        self.known.follow(&mut found.clone(), |event, row, before| {
            let before = match (event, before) {
                (ListenerEvent::Listen, _) => Some(0),
                (_, before) => before.and_then(|before| before.drops),
            };
            let (Some(before), Some(now)) = (before, row.drops) else { return };
            // The kernel's counter has 32 bits and wraps around; one that fell a little was read in parts.
            let more = now.wrapping_sub(before);
            if more > 0 && more <= u32::MAX / 2 {
                dropped(row, more.into());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::bound::Bound;
    use crate::model::conn::TCP;

    fn listener(inode: u32, drops: Option<u32>) -> Listener {
        let local = SocketAddr::from(([0, 0, 0, 0], 80));
        Listener {
            bound: Bound::Ip { protocol: TCP, local, interface: 0 },
            netns: 1,
            inode,
            since: None,
            waiting: 0,
            limit: Some(128),
            drops,
            accepted: None,
            accepting: 0,
            owner: None,
            others: 0,
            cgroup: None,
        }
    }

    #[test]
    fn drops_since_the_first_reading_are_counted_once() {
        let mut counts = ListenerCounts::default();
        let mut read = |rows: &[(u32, Option<u32>)], partial| {
            let rows = rows.iter().map(|(inode, drops)| listener(*inode, *drops)).collect();
            let mut sum = 0;
            let found = Listeners { rows, partial, ..Listeners::default() };
            counts.take(&found, |_, more| sum += more);
            (sum, counts.now.tcp)
        };
        // Earlier drops are not ours; those of a new listener are.
        assert_eq!(read(&[(1, Some(7))], false), (0, 1));
        assert_eq!(read(&[(1, Some(9)), (2, Some(3))], false), (5, 2));
        assert_eq!(read(&[(1, Some(9)), (2, Some(3))], false), (0, 2));
        // A reading that failed says nothing.
        assert_eq!(read(&[], true), (0, 2));
        assert_eq!(read(&[(1, Some(10)), (2, Some(2)), (3, Some(50))], false), (1, 3));
        // Without a count, and around the end of 32 bits.
        assert_eq!(read(&[(1, None), (4, Some(u32::MAX))], false), (0, 2));
        assert_eq!(read(&[(1, Some(99)), (4, Some(4))], false), (5, 2));
    }
}
