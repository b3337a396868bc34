//! Sends the requests of a queue to one receiver.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use super::answer::{Answer, Backoff};
use super::client::Client;
use super::counts::Counts;
use super::queue::{Batch, Queue};
use crate::console::say;

/// Maximum time for sending the rest at the end.
const END_TIME: Duration = Duration::from_secs(5);

/// The longest time between attempts at the end.
const END_WAIT: Duration = Duration::from_secs(1);

/// Minimum time between two messages about failed requests.
const QUIET: Duration = Duration::from_secs(60);

/// The queue between the two tasks of a signal.
struct Pipe {
    state: Mutex<State>,
    changed: Notify,
    /// Nothing follows.
    ending: Notify,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    ends: bool,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, batches: Vec<Batch>) {
        let dropped = self.change(|state| state.queue.push(batches));
        self.counts.queue_full.fetch_add(dropped, Ordering::Relaxed);
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        self.counts.queue_bytes.store(state.queue.bytes() as u64, Ordering::Relaxed);
        drop(state);
        self.changed.notify_one();
        result
    }

    /// The next request; `None` at the end.
    async fn next(&self) -> Option<Batch> {
        loop {
            {
                let mut state = self.state();
                match state.queue.send() {
                    Some(batch) => return Some(batch),
                    None if state.ends => return None,
                    None => {}
                }
            }
            self.changed.notified().await;
        }
    }
}

/// Writes requests from what the channel has and sends them, until the channel is closed and for
/// [`END_TIME`] after that; returns the number of items that are left.
pub async fn forward<T>(
    mut from: Receiver<T>,
    mut write: impl FnMut(T) -> Vec<Batch>,
    client: Client,
    counts: Arc<Counts>,
) -> u64 {
    let (changed, ending) = (Notify::new(), Notify::new());
    let pipe = Arc::new(Pipe { state: Mutex::default(), changed, ending, counts });
    let gzip = client.endpoint().gzip;
    let deliver = tokio::spawn(deliver(pipe.clone(), client));
    while let Some(item) = from.recv().await {
        let batches = write(item);
        pipe.push(match gzip {
            true => batches.into_iter().map(Batch::gzip).collect(),
            false => batches,
        });
    }
    pipe.change(|state| state.ends = true);
    pipe.ending.notify_one();
    let _ = timeout(END_TIME, deliver).await;
    pipe.state().queue.items()
}

/// Sends the requests of a queue, one after the other.
async fn deliver(pipe: Arc<Pipe>, mut client: Client) {
    let mut backoff = Backoff::default();
    let mut log = Log::new(client.endpoint().shown());
    while let Some(batch) = pipe.next().await {
        match client.send(&batch).await {
            Answer::Accepted { rejected, words } => {
                backoff = Backoff::default();
                pipe.counts.sent.fetch_add(batch.items - rejected, Ordering::Relaxed);
                pipe.counts.rejected.fetch_add(rejected, Ordering::Relaxed);
                pipe.change(|state| state.queue.done());
                match rejected > 0 || !words.is_empty() {
                    true => log.say(&format!("rejected {rejected} of {}: {words}", batch.items)),
                    false => log.works(),
                }
            }
            Answer::Refused(why) => {
                pipe.counts.refused.fetch_add(batch.items, Ordering::Relaxed);
                pipe.change(|state| state.queue.done());
                log.say(&why);
            }
            Answer::Again(why, after) => {
                let wait = backoff.next(after, RandomState::new().hash_one(()));
                let ends = pipe.change(|state| {
                    state.queue.again();
                    state.ends
                });
                log.say(&format!("{why}; trying again"));
                // At the end once more at once, and then soon.
                tokio::select! {
                    () = sleep(if ends { wait.min(END_WAIT) } else { wait }) => {}
                    () = pipe.ending.notified() => backoff = Backoff::default(),
                }
            }
        }
    }
}

/// Messages about requests: the first failure at once, further ones once a minute, and the success after
/// a failure that was printed.
struct Log {
    shown: String,
    said: Option<Instant>,
    /// The last message is one of a failure.
    fails: bool,
}

impl Log {
    fn new(shown: String) -> Self {
        Self { shown, said: None, fails: false }
    }

    fn say(&mut self, what: &str) {
        if self.failed(Instant::now()) {
            say(&format!("{}: {what}", self.shown));
        }
    }

    fn works(&mut self) {
        if self.worked() {
            say(&format!("{}: accepted again", self.shown));
        }
    }

    /// Whether a failure at this time is printed.
    fn failed(&mut self, now: Instant) -> bool {
        let is_due = self.said.is_none_or(|said| now - said > QUIET);
        if is_due {
            (self.said, self.fails) = (Some(now), true);
        }
        is_due
    }

    /// Whether a success is printed.
    fn worked(&mut self) -> bool {
        std::mem::take(&mut self.fails)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_successes_in_turn_are_two_lines_a_minute() {
        let mut log = Log::new(String::new());
        let began = Instant::now();
        let mut lines = |seconds| {
            let failed = log.failed(began + Duration::from_secs(seconds));
            (failed, log.worked())
        };
        assert_eq!(lines(0), (true, true));
        for seconds in 1..60 {
            assert_eq!(lines(seconds), (false, false));
        }
        assert_eq!(lines(61), (true, true));
    }
}
