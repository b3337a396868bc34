//! The latest starts of programs and ends of processes.

use std::collections::VecDeque;
use std::rc::Rc;

use super::process::ProcessKey;
use super::process_event::{ProcessEvent, ProcessEvents};

/// Bytes of all events, their arguments included; beyond, the oldest are evicted.
pub const MAX_BYTES: usize = 4 << 20;

/// The latest events of all processes, in the order in which they came.
#[derive(Clone, Debug)]
pub struct ProcessLog {
    most: usize,
    bytes: usize,
    events: VecDeque<Rc<ProcessEvent>>,
    /// Events that were evicted.
    pub evicted: u64,
    /// Events that the probe lost since the counts began.
    pub lost: u64,
    /// All that it has reported as lost, and the part from before the counts began.
    reported: u64,
    before: u64,
}

impl Default for ProcessLog {
    fn default() -> Self {
        Self::with_bytes(MAX_BYTES)
    }
}

impl ProcessLog {
    /// An empty log of `most` bytes.
    pub fn with_bytes(most: usize) -> Self {
        let (bytes, events, evicted) = Default::default();
        let (lost, reported, before) = Default::default();
        Self { most, bytes, events, evicted, lost, reported, before }
    }

    /// Starts the counts again, without events.
    pub fn restart(&mut self) {
        let reported = self.reported;
        *self = Self { reported, before: reported, ..Self::with_bytes(self.most) };
    }

    /// All that the probe has reported as lost, as an event without anything else.
    pub fn counted_before(&self) -> ProcessEvents {
        ProcessEvents { lost: self.reported, ..ProcessEvents::default() }
    }

    /// Adds events.
    pub fn add(&mut self, events: ProcessEvents) {
        self.reported = self.reported.max(events.lost);
        self.lost = self.reported - self.before;
        for event in events.events {
            self.bytes += event.bytes();
            self.events.push_back(Rc::new(event));
        }
        while self.bytes > self.most
            && let Some(oldest) = self.events.pop_front()
        {
            self.bytes -= oldest.bytes();
            self.evicted += 1;
        }
    }

    /// The events of a process that are still there.
    pub fn of(&self, key: ProcessKey) -> impl Iterator<Item = &Rc<ProcessEvent>> {
        self.events.iter().filter(move |event| event.key == key)
    }

    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::process_event::{ExitStatus, ProcessAction};
    use crate::stream::sample;

    #[test]
    fn the_oldest_are_evicted_and_counted() {
        let one = sample::processes().events.remove(1);
        assert_eq!(one.action, ProcessAction::Exit(ExitStatus(1 << 8)));
        let mut log = ProcessLog::with_bytes(3 * one.bytes());
        let mut add = |pid| {
            let key = ProcessKey { tgid: pid, ..one.key };
            let events = vec![ProcessEvent { key, ..one.clone() }];
            log.add(ProcessEvents { events, lost: 2, ..ProcessEvents::default() });
        };
        (1..=5).for_each(&mut add);
        let has = |pid| log.of(ProcessKey { tgid: pid, ..one.key }).count();
        assert_eq!([1, 2, 3, 4, 5].map(has), [0, 0, 1, 1, 1]);
        assert_eq!((log.evicted, log.lost, log.bytes()), (2, 2, 3 * one.bytes()));
        log.restart();
        log.add(ProcessEvents { lost: 5, ..ProcessEvents::default() });
        assert_eq!((log.evicted, log.lost, log.bytes()), (0, 3, 0));
    }
}
