//! `--otlp`: the metrics of each snapshot, by OTLP over HTTP, to a receiver of OpenTelemetry.
//!
//! A thread of its own writes the requests, queues them within a bound of bytes, sends them one after
//! the other and repeats those that the receiver could not take. The loop of the probes hands a snapshot
//! over without waiting, so a receiver that is slow, gone or hanging costs data points, which are
//! counted, and stops nothing.

mod answer;
mod client;
mod counts;
mod env;
mod metrics;
pub mod proto;
mod queue;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, timeout};

use super::publish::{Snapshot, unix_ns};
use super::text::Samples;
use crate::console::say;
use crate::privileges;

use answer::{Answer, Backoff};
use client::Client;
use counts::Counts;
pub use env::Host;
use env::{Signal, endpoint, resource};
use metrics::Writer;
use queue::{Batch, Queue};

/// Snapshots that wait for the thread.
const WAITING: usize = 8;

/// Maximum time for sending the rest at the end.
const END_TIME: Duration = Duration::from_secs(5);

/// Minimum time between two messages about failed requests.
const QUIET: Duration = Duration::from_secs(60);

/// The sender, for as long as this lives.
#[derive(Debug)]
pub struct Otlp {
    snapshots: Option<Sender<Arc<Snapshot>>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<u64>>,
}

/// An error of the command line or of a variable: wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl Otlp {
    /// Starts the thread. `url` may be empty: then the variables name the receiver.
    pub fn start(url: &str, host: &Host) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (endpoint, remarks) = endpoint(Signal::Metrics, url, &variable).map_err(Usage)?;
        let resource = resource(host, &variable).map_err(Usage)?;
        remarks.iter().for_each(|remark| say(remark));
        let shown = endpoint.shown();
        let client = Client::new(endpoint)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the sender of --otlp")?;
        let counts = Arc::new(Counts::new(Signal::Metrics));
        let (to, snapshots) = channel(WAITING);
        let writer = Writer::new(resource, unix_ns());
        let run = {
            let counts = counts.clone();
            move || {
                privileges::keep(&[], false);
                let left = runtime.block_on(run(snapshots, writer, client, counts));
                // A lookup of a name may hang.
                runtime.shutdown_background();
                left
            }
        };
        let thread = thread::Builder::new().name("otlp".into()).spawn(run)?;
        say(&format!("sending metrics to {shown}"));
        Ok(Self { snapshots: Some(to), counts, thread: Some(thread) })
    }

    /// Sends this snapshot; false where the thread is so late that it is dropped.
    pub fn take(&self, snapshot: &Arc<Snapshot>) -> bool {
        let Some(to) = &self.snapshots else { return false };
        let taken = to.try_send(snapshot.clone()).is_ok();
        if !taken {
            let points: usize = snapshot.families().iter().map(|all| all.samples.len()).sum();
            self.counts.queue_full.fetch_add(points as u64, Ordering::Relaxed);
        }
        taken
    }

    /// The samples of its own families.
    pub fn samples(&self) -> [Samples; 4] {
        counts::samples(&[&self.counts])
    }

    /// Sends the rest, within some seconds, and says what did not arrive.
    pub fn end(mut self) {
        drop(self.snapshots.take());
        let left = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or(0);
        let dropped = self.counts.dropped() + left;
        if dropped > 0 {
            let sent = self.counts.sent.load(Ordering::Relaxed);
            let items = Signal::Metrics.items();
            say(&format!("otlp: {dropped} of {} {items} did not arrive", dropped + sent));
        }
    }
}

/// The queue between the two tasks of the thread.
struct Pipe {
    state: Mutex<State>,
    changed: Notify,
    /// The last snapshot has come.
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

    fn push(&self, batch: Batch) {
        let dropped = self.change(|state| state.queue.push(batch));
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

/// Writes and sends until the last snapshot has come; returns the items that are left.
async fn run(
    mut snapshots: Receiver<Arc<Snapshot>>,
    mut writer: Writer,
    client: Client,
    counts: Arc<Counts>,
) -> u64 {
    let (changed, ending) = (Notify::new(), Notify::new());
    let pipe = Arc::new(Pipe { state: Mutex::default(), changed, ending, counts });
    let deliver = tokio::spawn(deliver(pipe.clone(), client));
    while let Some(snapshot) = snapshots.recv().await {
        writer
            .requests(snapshot.families(), snapshot.unix_ns())
            .into_iter()
            .for_each(|batch| pipe.push(batch));
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
        let (code, answer) = client.send(&batch).await;
        pipe.counts.answered(code);
        match answer {
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
                let random = RandomState::new().hash_one(());
                let wait = after.unwrap_or_else(|| backoff.next(random));
                pipe.change(|state| state.queue.again());
                if pipe.state().ends {
                    log.say(&why);
                    return;
                }
                log.say(&format!("{why}; trying again"));
                // At the end once more, at once.
                tokio::select! {
                    () = sleep(wait) => {}
                    () = pipe.ending.notified() => {}
                }
            }
        }
    }
}

/// Messages about requests: the first failure at once, further ones once a minute.
struct Log {
    shown: String,
    said: Option<Instant>,
    fails: bool,
}

impl Log {
    fn new(shown: String) -> Self {
        Self { shown, said: None, fails: false }
    }

    fn say(&mut self, what: &str) {
        self.fails = true;
        if self.said.is_none_or(|said| said.elapsed() > QUIET) {
            self.said = Some(Instant::now());
            say(&format!("{}: {what}", self.shown));
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.fails) {
            say(&format!("{}: accepted again", self.shown));
        }
    }
}
