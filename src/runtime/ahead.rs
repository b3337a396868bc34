//! A bound on the bytes that a thread reads ahead of the loop.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::Sender;

/// How long the loop may take in items before it reads keys again.
pub(super) const SLICE: Duration = Duration::from_millis(8);

/// Items that are read ahead, and the bytes that they take in memory; the last one may exceed these.
pub(super) const AHEAD: usize = 8;
const AHEAD_BYTES: usize = 16 << 20;

/// How often a reader that waits for room finds out whether the loop is still there.
const POLL: Duration = Duration::from_millis(200);

/// The bytes that were read ahead and not taken in yet.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bytes: Mutex<usize>,
    taken: Condvar,
}

impl Ahead {
    /// Waits until something more may be read; false when the receiver is gone.
    pub(super) fn wait<T>(&self, out: &Sender<T>) -> bool {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes >= AHEAD_BYTES && !out.is_closed() {
            let waited = self.taken.wait_timeout(bytes, POLL);
            bytes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !out.is_closed()
    }

    pub(super) fn add(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    pub(super) fn take(&self, bytes: usize) {
        let mut ahead = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_sub(bytes);
        self.taken.notify_one();
    }
}
