//! Listeners: their number, and the drops of each that were not counted yet.

use hashbrown::HashMap;

use crate::model::listener::{Counts, Identity, Listener, Listeners, MAX_LISTENERS, counts};

/// Maximum listeners that the last reading lacks whose drops are kept. Of more, those with the fewest drops are
/// evicted.
const MOST_GONE: usize = MAX_LISTENERS;

/// The drops of one socket.
#[derive(Debug)]
struct Known {
    /// The highest value so far; `None`: no reading had one.
    drops: Option<u32>,
    /// The last reading that has it.
    reading: u64,
}

impl Known {
    /// Takes the value of a reading; returns by how much it rose.
    fn rise(&mut self, now: Option<u32>) -> u64 {
        let Some(now) = now else { return 0 };
        let more = now.wrapping_sub(*self.drops.get_or_insert(now));
        // The kernel's counter has 32 bits and wraps around; one that fell a little was read in parts.
        if more > u32::MAX / 2 {
            return 0;
        }
        self.drops = Some(now);
        more.into()
    }
}

/// The listeners of the last reading, and the drops of earlier ones: a socket may leave the list and come back.
#[derive(Debug, Default)]
pub(super) struct ListenerCounts {
    /// At most [`MAX_LISTENERS`] of the last reading, and [`MOST_GONE`] others.
    known: HashMap<Identity, Known>,
    /// Readings so far.
    readings: u64,
    /// The last reading had all listeners.
    was_whole: bool,
    /// The most drops of an evicted one. A new listener counts from here, as it may be one of these: so none is
    /// counted twice.
    evicted_drops: u32,
    /// The probe runs, or a recording has a reading.
    pub(super) present: bool,
    pub(super) now: Counts,
    /// The last reading may lack listeners or processes, or new listeners do not count from 0.
    pub(super) partial: bool,
}

impl ListenerCounts {
    /// Takes a reading, and passes on what listeners dropped beyond the highest value that was known of each. One
    /// that the reading before lacks counts from 0 where that one was whole, otherwise from its present value.
    pub(super) fn take(&mut self, found: &Listeners, mut dropped: impl FnMut(&Listener, u64)) {
        self.present = true;
        self.readings += 1;
        // One that failed says nothing of any listener.
        if !found.partial || !found.rows.is_empty() {
            let first = self.was_whole.then_some(self.evicted_drops);
            let new = || Known { drops: first, reading: 0 };
            // Unix sockets drop nothing.
            let rows = found.rows.iter().filter(|row| row.bound.ip().is_some());
            self.now = counts(rows.filter(|row| {
                let known = self.known.entry(row.identity()).or_insert_with(new);
                let more = known.rise(row.drops);
                if more > 0 {
                    dropped(row, more);
                }
                // A row that the reading repeats is no other listener.
                std::mem::replace(&mut known.reading, self.readings) != self.readings
            }));
            self.evict();
        }
        self.was_whole = found.is_whole();
        self.partial = found.doubt().is_some() || self.evicted_drops > 0;
    }

    /// Evicts listeners that are gone beyond [`MOST_GONE`]: first those whose drops no reading had, then those with the
    /// fewest, of these the ones that left first.
    fn evict(&mut self) {
        if self.known.len() <= MOST_GONE {
            return;
        }
        let gone = self.known.iter().filter(|(_, known)| known.reading != self.readings);
        let mut gone: Vec<_> =
            gone.map(|(id, known)| (known.drops, known.reading, id.clone())).collect();
        gone.sort_unstable();
        for (drops, _, id) in gone.iter().take(gone.len().saturating_sub(MOST_GONE)) {
            self.known.remove(id);
            self.evicted_drops = self.evicted_drops.max(drops.unwrap_or(0));
        }
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

    /// Takes readings one after another.
    #[derive(Default)]
    struct Reader(ListenerCounts);

    impl Reader {
        /// What the sockets of a reading dropped since the readings before.
        fn read(&mut self, rows: &[(u32, Option<u32>)], partial: bool) -> u64 {
            let rows = rows.iter().map(|(inode, drops)| listener(*inode, *drops)).collect();
            let mut sum = 0;
            let found = Listeners { rows, partial, ..Listeners::default() };
            self.0.take(&found, |_, more| sum += more);
            sum
        }
    }

    #[test]
    fn drops_since_the_first_reading_are_counted_once() {
        let mut counts = Reader::default();
        let mut read = |rows: &[_], partial| (counts.read(rows, partial), counts.0.now.tcp);
        // Earlier drops are not ours; those of a new listener are.
        assert_eq!(read(&[(1, Some(7))], false), (0, 1));
        assert_eq!(read(&[(1, Some(9)), (2, Some(3))], false), (5, 2));
        assert_eq!(read(&[(1, Some(9)), (2, Some(3))], false), (0, 2));
        // A reading that failed says nothing.
        assert_eq!(read(&[], true), (0, 2));
        assert_eq!(read(&[(1, Some(10)), (2, Some(2)), (3, Some(50))], false), (1, 3));
        // One that fell counts again beyond its highest value only.
        assert_eq!(read(&[(2, Some(4)), (3, Some(50)), (4, Some(0))], false), (1, 3));
        // Around the end of 32 bits.
        assert_eq!(read(&[(4, Some(u32::MAX / 2))], false), (u64::from(u32::MAX / 2), 1));
        assert_eq!(read(&[(4, Some(u32::MAX - 1))], false), (u64::from(u32::MAX / 2), 1));
        assert_eq!(read(&[(4, Some(4))], false), (6, 1));
    }

    #[test]
    fn a_socket_that_comes_back_counts_what_it_dropped_meanwhile() {
        let mut counts = Reader::default();
        assert_eq!(counts.read(&[(1, Some(1_000))], false), 0);
        for round in 1..=100 {
            assert_eq!(counts.read(&[], false), 0);
            assert_eq!(counts.read(&[(1, Some(1_000 + round))], false), 1);
        }
        // Also where the reading before lacked some.
        assert_eq!(counts.read(&[(2, Some(5))], true), 5);
        assert_eq!(counts.read(&[(2, Some(5))], true), 0);
        assert_eq!(counts.read(&[(1, Some(1_107)), (2, Some(5))], false), 7);
    }

    #[test]
    fn a_row_that_a_reading_repeats_counts_once() {
        let mut counts = Reader::default();
        counts.read(&[], false);
        assert_eq!(counts.read(&[(1, Some(8)), (1, Some(8)), (1, Some(9))], false), 9);
        assert_eq!(counts.0.now.tcp, 1);
        assert_eq!(counts.read(&[(1, Some(9)), (1, Some(8))], false), 0);
    }

    #[test]
    fn drops_are_counted_across_an_unknown_value() {
        let mut counts = Reader::default();
        assert_eq!(counts.read(&[(1, Some(10)), (2, None)], false), 0);
        assert_eq!(counts.read(&[(1, None), (2, None), (3, None)], false), 0);
        // The second one's earlier drops were never known; the third is new.
        assert_eq!(counts.read(&[(1, Some(14)), (2, Some(90)), (3, Some(2))], false), 6);
        assert_eq!(counts.read(&[(1, Some(14)), (2, Some(91)), (3, Some(2))], false), 1);
    }

    #[test]
    fn only_after_a_whole_reading_a_listener_counts_from_0() {
        let mut counts = Reader::default();
        assert_eq!(counts.read(&[(1, Some(0))], true), 0);
        assert_eq!(counts.read(&[(1, Some(0)), (2, Some(40))], false), 0);
        assert_eq!(counts.read(&[], true), 0);
        assert_eq!(counts.read(&[(1, Some(0)), (2, Some(41)), (3, Some(70))], false), 1);
        assert_eq!(counts.read(&[(3, Some(70)), (4, Some(6))], false), 6);
    }

    #[test]
    fn of_too_many_that_are_gone_those_with_the_fewest_drops_are_evicted_and_never_counted_twice() {
        let mut counts = Reader::default();
        let most = u32::try_from(MOST_GONE).unwrap();
        counts.read(&[], false);
        // Every one dropped its number.
        let all: Vec<_> = (1..=most).map(|n| (n, Some(n))).collect();
        let sum: u64 = all.iter().map(|(n, _)| u64::from(*n)).sum();
        assert_eq!(counts.read(&all, false), sum);
        assert_eq!(counts.read(&[(most + 1, Some(3)), (most + 2, Some(0))], false), 3);
        assert_eq!((counts.0.known.len(), counts.0.partial), (MOST_GONE + 2, false));
        // Two more have gone: that without drops is evicted, and the first one.
        assert_eq!(counts.read(&[], false), 0);
        assert_eq!((counts.0.known.len(), counts.0.partial), (MOST_GONE, true));
        assert_eq!(counts.read(&[(1, Some(1)), (2, Some(2)), (most + 1, Some(4))], false), 1);
        // What a new one dropped at first counts beyond the drops of the evicted one.
        assert_eq!(counts.read(&[(most + 3, Some(9))], false), 8);
        assert!(counts.0.known.len() <= MOST_GONE + 1);
    }
}
