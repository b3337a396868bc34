//! The latest events of one kind: changes of files, starts and ends of processes, slow calls.

use std::collections::VecDeque;
use std::rc::Rc;

use super::process::ProcessKey;

/// Bytes of all events, their texts included; beyond, the oldest are evicted.
pub const MAX_BYTES: usize = 4 << 20;

/// An event of a process.
pub trait Logged {
    /// The process.
    fn key(&self) -> ProcessKey;

    /// Approximate memory, bytes.
    fn bytes(&self) -> usize;
}

/// The latest events of all processes, in the order in which they came.
#[derive(Clone, Debug)]
pub struct EventLog<T> {
    most: usize,
    bytes: usize,
    events: VecDeque<Rc<T>>,
    /// Events that were evicted.
    pub evicted: u64,
    /// The number of the first event: that of all before it.
    first: u64,
    /// Events that the probe lost since the counts began.
    pub lost: u64,
    /// All that it has reported as lost, and the part from before the counts began.
    reported: u64,
    before: u64,
}

impl<T: Logged> Default for EventLog<T> {
    fn default() -> Self {
        Self::with_bytes(MAX_BYTES)
    }
}

impl<T: Logged> EventLog<T> {
    /// An empty log of `most` bytes.
    pub fn with_bytes(most: usize) -> Self {
        let (bytes, events, evicted, first) = Default::default();
        let (lost, reported, before) = Default::default();
        Self { most, bytes, events, evicted, first, lost, reported, before }
    }

    /// Starts the counts again, without events.
    pub fn restart(&mut self) {
        let (reported, first) = (self.reported, self.first + self.events.len() as u64);
        *self = Self { reported, before: reported, first, ..Self::with_bytes(self.most) };
    }

    /// All that the probe has reported as lost.
    pub fn reported(&self) -> u64 {
        self.reported
    }

    /// Adds events; `lost`: all that the probe has lost so far.
    pub fn add(&mut self, events: Vec<T>, lost: u64) {
        self.reported = self.reported.max(lost);
        self.lost = self.reported - self.before;
        for event in events {
            self.bytes += event.bytes();
            self.events.push_back(Rc::new(event));
        }
        while self.bytes > self.most
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.evicted += 1;
            self.first += 1;
        }
    }

    /// The events that are still there, each with its number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Rc<T>)> {
        let first = self.first;
        self.events.iter().enumerate().map(move |(at, event)| (first + at as u64, event))
    }

    /// The events of a process that are still there.
    pub fn of(&self, key: ProcessKey) -> impl Iterator<Item = &Rc<T>> {
        self.events.iter().filter(move |event| event.key() == key)
    }

    /// How many are there.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file_change::FileChange;
    use crate::stream::sample;

    #[test]
    fn the_oldest_are_evicted_and_counted() {
        let one = sample::files().events.remove(0);
        let mut log = EventLog::with_bytes(3 * one.bytes());
        for tid in 1..=5 {
            log.add(vec![FileChange { tid, ..one.clone() }], 2);
        }
        let there: Vec<_> = log.iter().map(|(number, event)| (number, event.tid)).collect();
        assert_eq!(there, [(2, 3), (3, 4), (4, 5)]);
        assert_eq!((log.evicted, log.lost, log.bytes()), (2, 2, 3 * one.bytes()));
        let other = ProcessKey { tgid: one.key.tgid + 1, ..one.key };
        assert_eq!((log.of(one.key).count(), log.of(other).count(), log.len()), (3, 0, 3));
        log.restart();
        log.add(vec![one], 5);
        assert_eq!((log.evicted, log.lost, log.len()), (0, 3, 1));
        assert_eq!(log.iter().next().map(|(number, _)| number), Some(5), "none is used again");
    }
}
