//! The counts of a group.

use super::series::Counter;
use crate::model::conn::Carried;
use crate::model::file_change::Op;
use crate::model::file_io::IoCounts;

/// Maximum errors of a group with series of their own; others are `errno="other"`.
const MAX_ERRNOS: usize = 16;

/// The counts of a group.
#[derive(Clone, Debug)]
pub struct GroupCounts {
    pub opens: Counter,
    /// Failed opens by errno; `None`: the errno is unknown, since the record was lost.
    errnos: Vec<(Option<i32>, Counter)>,
    /// Failed opens of further errnos.
    other_errnos: Counter,
    pub rx_bytes: Counter,
    pub tx_bytes: Counter,
    pub connects: Counter,
    pub connect_failures: Counter,
    pub accepts: Counter,
    pub read_bytes: Counter,
    pub written_bytes: Counter,
    /// Calls that read or wrote and took long.
    pub slow_calls: Counter,
    /// Packets of handshakes that TCP listeners dropped, and datagrams that UDP sockets dropped.
    pub tcp_drops: Counter,
    pub udp_drops: Counter,
    /// Changes of files that were made, in the order of [`Op::ALL`].
    changes: [Counter; Op::ALL.len()],
}

impl GroupCounts {
    pub(super) fn starting_with(counter: Counter) -> Self {
        Self {
            opens: counter,
            errnos: Vec::new(),
            other_errnos: Counter::default(),
            rx_bytes: counter,
            tx_bytes: counter,
            connects: counter,
            connect_failures: counter,
            accepts: counter,
            read_bytes: counter,
            written_bytes: counter,
            slow_calls: counter,
            tcp_drops: counter,
            udp_drops: counter,
            changes: Default::default(),
        }
    }

    /// Counts failed opens.
    pub fn fail(&mut self, errno: Option<i32>, n: u64) {
        if n > 0 {
            self.errno(errno).add(n);
        }
    }

    fn errno(&mut self, errno: Option<i32>) -> &mut Counter {
        match self.errnos.iter().position(|(known, _)| *known == errno) {
            Some(at) => self.errnos.get_mut(at).map_or(&mut self.other_errnos, |(_, n)| n),
            None if self.errnos.len() < MAX_ERRNOS => {
                self.errnos.push((errno, Counter::default()));
                self.errnos.last_mut().map_or(&mut self.other_errnos, |(_, n)| n)
            }
            None => &mut self.other_errnos,
        }
    }

    /// The failed opens by errno: a name, `unknown` or `other`.
    pub fn errnos(&mut self) -> impl Iterator<Item = (Errno, &mut Counter)> {
        let named = self.errnos.iter_mut().map(|(errno, n)| match errno {
            Some(errno) => (Errno::Of(*errno), n),
            None => (Errno::Unknown, n),
        });
        named.chain(std::iter::once((Errno::Other, &mut self.other_errnos)))
    }

    /// Counts payload.
    pub fn carry(&mut self, carried: Carried) {
        self.rx_bytes.add(carried.rx_bytes);
        self.tx_bytes.add(carried.tx_bytes);
    }

    /// Counts bytes of files.
    pub fn read_and_wrote(&mut self, counts: &IoCounts) {
        self.read_bytes.add(counts.read_bytes);
        self.written_bytes.add(counts.written_bytes);
    }

    /// Counts a change of a file.
    pub fn change(&mut self, op: Op) {
        if let Some(counter) = self.changes.get_mut(op as usize) {
            counter.add(1);
        }
    }

    /// The changes of files by kind.
    pub fn changes(&mut self) -> impl Iterator<Item = (Op, &mut Counter)> {
        Op::ALL.iter().copied().zip(&mut self.changes)
    }

    fn fixed(&mut self) -> [&mut Counter; 11] {
        [
            &mut self.opens,
            &mut self.rx_bytes,
            &mut self.tx_bytes,
            &mut self.connects,
            &mut self.connect_failures,
            &mut self.accepts,
            &mut self.read_bytes,
            &mut self.written_bytes,
            &mut self.slow_calls,
            &mut self.tcp_drops,
            &mut self.udp_drops,
        ]
    }

    /// Passes every counter to `f`.
    pub(super) fn each(&mut self, f: &mut impl FnMut(&mut Counter)) {
        self.fixed().into_iter().for_each(&mut *f);
        self.errnos().for_each(|(_, n)| f(n));
        self.changes.iter_mut().for_each(f);
    }

    pub(super) fn is_known(&mut self) -> bool {
        self.fixed().iter().any(|n| n.is_known()) || self.changes.iter().any(|n| n.is_known())
    }

    /// Adds the increments of an evicted group that no scrape has seen.
    pub(super) fn add_unseen(&mut self, mut gone: Self) {
        for (to, from) in self.fixed().into_iter().zip(gone.fixed()) {
            to.add(from.unseen());
        }
        for (to, from) in self.changes.iter_mut().zip(gone.changes) {
            to.add(from.unseen());
        }
        for (errno, n) in gone.errnos {
            self.fail(errno, n.unseen());
        }
        self.other_errnos.add(gone.other_errnos.unseen());
    }

    /// A measure of activity: the sum of all counts, changes of files included, with 1 KiB of payload, or of bytes read and written, as one.
    pub(super) fn weight(&mut self) -> u64 {
        let [opens, rx, tx, connects, failures, accepts, read, written, slow, tcp, udp] =
            self.fixed().map(|n| n.value());
        let changes = self.changes.iter().map(|n| n.value());
        let sum = [opens, connects, failures, accepts, slow, tcp, udp]
            .into_iter()
            .chain(changes)
            .fold(0u64, u64::saturating_add);
        let bytes = [rx, tx, read, written].iter().fold(0u64, |a, b| a.saturating_add(*b));
        sum.saturating_add(bytes >> 10)
    }
}

/// The errno of failed opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    Of(i32),
    /// The record was lost.
    Unknown,
    /// More errnos than a group has series for.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_beyond_the_bound_are_other() {
        let mut counts = GroupCounts::starting_with(Counter::default());
        for errno in 1..=20 {
            counts.fail(Some(errno), 2);
        }
        counts.fail(None, 3);
        let all: Vec<_> = counts.errnos().map(|(errno, n)| (errno, n.value())).collect();
        assert_eq!(all.len(), MAX_ERRNOS + 1);
        assert_eq!(all.last(), Some(&(Errno::Other, 4 * 2 + 3)));
        assert_eq!(all.iter().map(|(_, n)| n).sum::<u64>(), 43);
    }
}
