//! Requests that wait to be sent, bounded in bytes: beyond the bound the oldest is dropped.

use std::collections::VecDeque;

use bytes::Bytes;

/// Maximum bytes that wait, of each signal.
const MAX_BYTES: usize = 8 << 20;

/// Bytes that a request takes beside its body.
const OVERHEAD: usize = 64;

/// A request: its items (data points or log records) and its body.
#[derive(Clone, Debug)]
pub struct Batch {
    pub items: u64,
    pub body: Bytes,
}

/// Requests in the order in which they are sent.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    batches: VecDeque<Batch>,
    bytes: usize,
    /// The first one is being sent: it cannot be dropped.
    sending: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { most: MAX_BYTES, batches: VecDeque::new(), bytes: 0, sending: false }
    }
}

impl Queue {
    /// Adds a request; returns the items of those that were dropped for it.
    pub fn push(&mut self, batch: Batch) -> u64 {
        self.bytes += batch.body.len() + OVERHEAD;
        self.batches.push_back(batch);
        let mut dropped = 0;
        while self.bytes > self.most
            && let Some(batch) = self.batches.remove(usize::from(self.sending))
        {
            self.bytes -= batch.body.len() + OVERHEAD;
            dropped += batch.items;
        }
        dropped
    }

    /// The first request, which is being sent from now on.
    pub fn send(&mut self) -> Option<Batch> {
        let first = self.batches.front().cloned();
        self.sending = first.is_some();
        first
    }

    /// The first request has to be sent again.
    pub fn again(&mut self) {
        self.sending = false;
    }

    /// The first request has been answered.
    pub fn done(&mut self) {
        self.sending = false;
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.body.len() + OVERHEAD;
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Items that wait.
    pub fn items(&self) -> u64 {
        self.batches.iter().map(|batch| batch.items).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_dropped_but_for_the_one_that_is_being_sent() {
        let batch = |items| Batch { items, body: Bytes::from(vec![0; 100 - OVERHEAD]) };
        let mut queue = Queue { most: 300, ..Queue::default() };
        let dropped: Vec<u64> = (1..=4).map(|items| queue.push(batch(items))).collect();
        assert_eq!(dropped, [0, 0, 0, 1]);
        assert_eq!(queue.send().unwrap().items, 2);
        assert_eq!(queue.push(batch(5)), 3);
        queue.again();
        assert_eq!(queue.push(batch(6)), 2);
        assert_eq!(queue.send().unwrap().items, 4);
        queue.done();
        assert_eq!((queue.bytes(), queue.items()), (200, 11));
        // One that is larger than the bound is never stored.
        let large = Batch { items: 9, body: Bytes::from(vec![0; 301]) };
        assert_eq!(queue.push(large), 5 + 6 + 9);
        assert_eq!((queue.bytes(), queue.send().map(|b| b.items)), (0, None));
    }
}
