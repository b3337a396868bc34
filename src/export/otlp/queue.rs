//! Requests that wait to be sent, bounded in bytes: beyond the bound the oldest is dropped, but for
//! those of the newest snapshot, of which all find room.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

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

impl Batch {
    /// The request packed with gzip, fast rather than small.
    pub fn gzip(self) -> Self {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory cannot fail.
        let _ = packed.write_all(&self.body);
        Self { body: packed.finish().unwrap_or_default().into(), ..self }
    }
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
    /// Adds the requests of a snapshot; returns the items of older ones that were dropped for them.
    pub fn push(&mut self, batches: Vec<Batch>) -> u64 {
        let new = batches.len();
        self.bytes += batches.iter().map(|batch| batch.body.len() + OVERHEAD).sum::<usize>();
        self.batches.extend(batches);
        let first = usize::from(self.sending);
        let mut dropped = 0;
        while self.bytes > self.most
            && self.batches.len() > new + first
            && let Some(batch) = self.batches.remove(first)
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
        let dropped: Vec<u64> = (1..=4).map(|items| queue.push(vec![batch(items)])).collect();
        assert_eq!(dropped, [0, 0, 0, 1]);
        assert_eq!(queue.send().unwrap().items, 2);
        assert_eq!(queue.push(vec![batch(5)]), 3);
        queue.again();
        assert_eq!(queue.push(vec![batch(6)]), 2);
        assert_eq!(queue.send().unwrap().items, 4);
        queue.done();
        assert_eq!((queue.bytes(), queue.items()), (200, 11));
    }

    #[test]
    fn a_snapshot_that_is_larger_than_the_bound_is_stored_whole() {
        let batch = |items| Batch { items, body: Bytes::from(vec![0; 100 - OVERHEAD]) };
        let mut queue = Queue { most: 300, ..Queue::default() };
        queue.push(vec![batch(1), batch(2)]);
        queue.send();
        // But for the one that is being sent.
        assert_eq!(queue.push((3..8).map(batch).collect()), 2);
        assert_eq!((queue.bytes(), queue.items()), (600, 1 + 3 + 4 + 5 + 6 + 7));
        assert_eq!(queue.push(vec![batch(8)]), 3 + 4 + 5 + 6);
        queue.done();
        assert_eq!(queue.items(), 7 + 8);
    }
}
