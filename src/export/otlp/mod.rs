//! `--otlp`: the metrics of each snapshot, and with `--otlp-events` opens as log records, by OTLP over HTTP
//! to a receiver of OpenTelemetry.
//!
//! A thread of its own writes the requests, queues them within a bound of bytes, sends them one after
//! the other and retries those that the receiver could not take. The loop of the probes hands a snapshot
//! or records over without waiting, so a receiver that is slow, gone or hanging costs items, which are
//! counted, and stops nothing.

mod answer;
mod client;
mod conventions;
mod counts;
mod deliver;
mod env;
mod events;
mod metrics;
pub mod proto;
mod queue;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::groups::Places;
use super::publish::{Snapshot, unix_ns};
use super::text::Samples;
use crate::console::say;
use crate::model::open::OpenBatch;
use crate::privileges;
use crate::session::Choose;

use client::Client;
use counts::Counts;
use deliver::forward;
pub use env::Host;
use env::{Signal, Variables, endpoint, resource};
use events::{Events, Records};
use metrics::Writer;

/// Snapshots, or parts of 256 KiB of records, that wait for the thread.
const WAITING: usize = 8;

/// The sender, for as long as this lives.
#[derive(Debug)]
pub struct Otlp {
    metrics: Lane<Arc<Snapshot>>,
    events: Option<(Events, Lane<Records>)>,
    /// Returns the items of either signal that are left at the end.
    thread: Option<JoinHandle<[u64; 2]>>,
}

/// An error of the command line or of a variable: wrong usage.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The channel of a signal to the thread, at the side of the loop.
#[derive(Debug)]
struct Lane<T> {
    signal: Signal,
    to: Option<Sender<T>>,
    counts: Arc<Counts>,
    /// Items handed over, dropped ones included.
    handed_over: u64,
    /// Items that were dropped or refused before the last ones were handed over.
    failed_before: u64,
}

/// The same channel at the side of the thread, with the client that sends.
struct End<T> {
    from: Receiver<T>,
    client: Client,
    counts: Arc<Counts>,
}

impl<T> Lane<T> {
    fn new(signal: Signal, url: &str, set: &impl Variables) -> anyhow::Result<(Self, End<T>)> {
        let (endpoint, remarks) = endpoint(signal, url, set).map_err(Usage)?;
        remarks.iter().for_each(|remark| say(remark));
        let counts = Arc::new(Counts::new(signal));
        let (to, from) = channel(WAITING);
        let client = Client::new(endpoint, counts.clone())?;
        let (to, seen) = (Some(to), counts.clone());
        let lane = Self { signal, to, counts: seen, handed_over: 0, failed_before: 0 };
        Ok((lane, End { from, client, counts }))
    }

    /// Hands something over. Where the thread is late by [`WAITING`] of them, its `items` are dropped.
    fn hand_over(&mut self, what: T, items: u64) {
        self.failed_before = self.counts.failed();
        self.handed_over += items;
        if self.to.as_ref().is_none_or(|to| to.try_send(what).is_err()) {
            self.counts.queue_full.fetch_add(items, Ordering::Relaxed);
        }
    }

    /// Whether the receiver has taken all that was handed over last, and nothing waits. Items of a
    /// partial success count as taken.
    fn is_delivered(&self) -> bool {
        self.handed_over > 0
            && self.counts.done() == self.handed_over
            && self.counts.failed() == self.failed_before
    }

    fn say_lost(&self, left: u64) {
        let dropped = self.counts.dropped() + left;
        if dropped > 0 {
            let all = dropped + self.counts.sent.load(Ordering::Relaxed);
            say(&format!("otlp: {dropped} of {all} {} did not arrive", self.signal.items()));
        }
    }
}

impl Otlp {
    /// Starts the thread. `url` may be empty: then the variables name the receiver. `events` chooses opens.
    pub fn start(url: &str, events: Option<Choose>, host: &Host) -> anyhow::Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let resource = resource(host, &set).map_err(Usage)?;
        let (metrics, metrics_end) = Lane::new(Signal::Metrics, url, &set)?;
        say(&format!("sending metrics to {}", metrics_end.client.endpoint().shown()));
        let (events, records_end) = match events {
            None => (None, None),
            Some(choose) => {
                let (lane, end) = Lane::new(Signal::Logs, url, &set)?;
                say(&format!("sending opens to {}", end.client.endpoint().shown()));
                (Some((Events::new(choose), lane)), Some(end))
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("start the sender of --otlp")?;
        let writer = Writer::new(resource.clone(), unix_ns());
        let run = move |runtime: &Runtime| {
            runtime.block_on(async {
                let metrics = forward(
                    metrics_end.from,
                    |snapshot: Arc<Snapshot>| {
                        writer.requests(snapshot.families(), snapshot.unix_ns())
                    },
                    metrics_end.client,
                    metrics_end.counts,
                );
                let records = async {
                    let Some(end) = records_end else { return 0 };
                    let write = |records| vec![events::request(&resource, records)];
                    forward(end.from, write, end.client, end.counts).await
                };
                tokio::join!(metrics, records).into()
            })
        };
        let thread = thread::Builder::new().name("otlp".into()).spawn(move || {
            privileges::keep(&[], false);
            let left = run(&runtime);
            // A lookup of a name may hang.
            runtime.shutdown_background();
            left
        })?;
        Ok(Self { metrics, events, thread: Some(thread) })
    }

    /// Sends this snapshot, and the records that have gathered.
    pub fn take(&mut self, snapshot: &Arc<Snapshot>) {
        self.flush();
        self.metrics.hand_over(snapshot.clone(), metrics::points(snapshot.families()));
    }

    /// Whether the receiver has all of the last snapshot.
    pub fn delivered(&self) -> bool {
        self.metrics.is_delivered()
    }

    /// Sends the chosen opens.
    pub fn opens(&mut self, batch: &OpenBatch, places: &mut impl Places) {
        if let Some((events, lane)) = &mut self.events {
            events.opens(batch, places, |records| hand_over(lane, records));
        }
    }

    fn flush(&mut self) {
        if let Some((events, lane)) = &mut self.events {
            hand_over(lane, events.take());
        }
    }

    /// The samples of its own families.
    pub fn samples(&self) -> [Samples; 4] {
        let events = self.events.iter().map(|(_, lane)| &*lane.counts);
        counts::samples(std::iter::once(&*self.metrics.counts).chain(events))
    }

    /// Sends the rest, within some seconds, and says what did not arrive.
    pub fn end(mut self) {
        self.flush();
        self.metrics.to = None;
        if let Some((_, lane)) = &mut self.events {
            lane.to = None;
        }
        let left = self.thread.take().and_then(|thread| thread.join().ok());
        let [points, records] = left.unwrap_or_default();
        self.metrics.say_lost(points);
        if let Some((_, lane)) = &self.events {
            lane.say_lost(records);
        }
    }
}

fn hand_over(lane: &mut Lane<Records>, records: Records) {
    let items = records.items;
    if items > 0 {
        lane.hand_over(records, items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane() -> (Lane<u64>, End<u64>) {
        Lane::new(Signal::Logs, "http://localhost:1", &|_: &str| None).unwrap()
    }

    #[test]
    fn more_than_the_channel_takes_is_dropped_and_counted() {
        let (mut lane, _end) = lane();
        for n in 1..=WAITING as u64 {
            lane.hand_over(n, 10);
            assert_eq!(lane.counts.dropped(), 0);
        }
        lane.hand_over(0, 7);
        assert_eq!((lane.counts.dropped(), lane.is_delivered()), (7, false));
    }

    #[test]
    fn the_last_snapshot_is_delivered_when_nothing_waits_and_nothing_failed() {
        let (mut lane, mut end) = lane();
        let mut hand_over = |lane: &mut Lane<u64>, items| {
            lane.hand_over(1, items);
            end.from.try_recv().unwrap();
        };
        let add = |n: &std::sync::atomic::AtomicU64, items| n.fetch_add(items, Ordering::Relaxed);
        let counts = lane.counts.clone();
        assert!(!lane.is_delivered());
        hand_over(&mut lane, 10);
        assert!(!lane.is_delivered());
        add(&counts.sent, 9);
        assert!(!lane.is_delivered());
        add(&counts.rejected, 1);
        assert!(lane.is_delivered());
        for failed in [&counts.queue_full, &counts.refused] {
            hand_over(&mut lane, 10);
            hand_over(&mut lane, 10);
            // One of either is lost, and the other one arrives.
            add(failed, 10);
            add(&counts.sent, 10);
            assert!(!lane.is_delivered());
            hand_over(&mut lane, 5);
            add(&counts.sent, 5);
            assert!(lane.is_delivered());
        }
    }
}
