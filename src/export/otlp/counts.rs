//! Items that were sent, and those that did not arrive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::env::Signal;
use crate::export::families as of;
use crate::export::text::{Sample, Samples, Value, labels};

/// The counts of a signal.
#[derive(Debug)]
pub struct Counts {
    signal: Signal,
    /// Items that the receiver has accepted.
    pub sent: AtomicU64,
    /// Items that found no room in the queue.
    pub queue_full: AtomicU64,
    /// Items of requests that the receiver refused for good.
    pub refused: AtomicU64,
    /// Items of partial successes.
    pub rejected: AtomicU64,
    /// Bytes that wait.
    pub queue_bytes: AtomicU64,
    /// Attempts by HTTP status; `connection` and `timeout` without one.
    requests: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// Nothing counted yet.
    pub fn new(signal: Signal) -> Self {
        Self {
            signal,
            sent: AtomicU64::new(0),
            queue_full: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            queue_bytes: AtomicU64::new(0),
            requests: Mutex::default(),
        }
    }

    /// Counts an attempt to send a request.
    pub fn attempt(&self, code: &str) {
        let mut all = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry(code.to_owned()).or_default() += 1;
    }

    /// All items that the thread has done with: accepted, or counted as not.
    pub fn done(&self) -> u64 {
        self.sent.load(Ordering::Relaxed) + self.dropped()
    }

    /// Items that were dropped or refused. Rejected ones are not among them: the receiver took the rest
    /// of their requests.
    pub fn failed(&self) -> u64 {
        [&self.queue_full, &self.refused].map(|n| n.load(Ordering::Relaxed)).iter().sum()
    }

    /// All items that did not arrive.
    pub fn dropped(&self) -> u64 {
        self.reasons().iter().map(|(_, n)| n).sum()
    }

    fn reasons(&self) -> [(&'static str, u64); 3] {
        [("queue_full", &self.queue_full), ("refused", &self.refused), ("rejected", &self.rejected)]
            .map(|(reason, n)| (reason, n.load(Ordering::Relaxed)))
    }
}

/// The samples of some signals.
pub fn samples<'a>(all: impl Iterator<Item = &'a Counts>) -> [Samples; 4] {
    let mut families = [&of::OTLP_SENT, &of::OTLP_DROPPED, &of::OTLP_QUEUE, &of::OTLP_REQUESTS]
        .map(|family| Samples { family, samples: Vec::new() });
    let [sent, dropped, queue, requests] = &mut families;
    for counts in all {
        let signal = ("signal", counts.signal.name());
        let sample = |labels, n| Sample::new([Some(labels), None], Value::Int(n));
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        sent.samples.push(sample(labels([signal]), load(&counts.sent)));
        queue.samples.push(sample(labels([signal]), load(&counts.queue_bytes)));
        for (reason, n) in counts.reasons() {
            dropped.samples.push(sample(labels([signal, ("reason", reason)]), n));
        }
        for (code, n) in counts.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            requests.samples.push(sample(labels([signal, ("code", code)]), *n));
        }
    }
    families
}
