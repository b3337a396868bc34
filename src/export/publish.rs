//! The last snapshot, which the probes' loop replaces and scrapes read.
//!
//! Either side has the lock for a moment: a scrape to take a reference, the loop to make the next
//! snapshot. So the loop knows whether a scrape has seen the last one, and never waits for a client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::families as of;
use super::text::{Format, Sample, Samples, Value, labels};

/// Now, Unix time in ns.
pub fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Minimum time between two snapshots, ns: receivers that store milliseconds refuse two values of one
/// time.
const APART: u64 = 1_000_000;

/// All metrics at a moment.
#[derive(Debug)]
pub struct Snapshot {
    families: Vec<Samples>,
    made: Instant,
    unix_ns: u64,
    prometheus: OnceLock<Bytes>,
    open_metrics: OnceLock<Bytes>,
}

impl Snapshot {
    fn new(families: Vec<Samples>, unix_ns: u64) -> Self {
        let (prometheus, open_metrics) = (OnceLock::new(), OnceLock::new());
        Self { families, made: Instant::now(), unix_ns, prometheus, open_metrics }
    }

    /// Its metrics.
    pub fn families(&self) -> &[Samples] {
        &self.families
    }

    /// When it was taken, Unix time in ns.
    pub fn unix_ns(&self) -> u64 {
        self.unix_ns
    }

    /// The text, written once for each format.
    pub fn text(&self, format: Format) -> Bytes {
        let cell = match format {
            Format::Prometheus => &self.prometheus,
            Format::OpenMetrics => &self.open_metrics,
        };
        cell.get_or_init(|| format.write(&self.families).into()).clone()
    }
}

/// The time of a snapshot that is made `now`, after one of `last`.
fn time_after(last: u64, now: u64) -> u64 {
    // A clock that was set back is followed.
    let is_too_soon = now >= last && now - last < APART;
    if is_too_soon { last.saturating_add(APART) } else { now }
}

/// Answers to HTTP requests, and connections without one.
#[derive(Debug, Default)]
pub struct HttpCounts {
    answered: Mutex<Vec<(u16, u64)>>,
    /// Connections that took too long.
    pub slow: AtomicU64,
    /// The oldest of too many connections.
    pub crowded: AtomicU64,
}

impl HttpCounts {
    /// Counts an answer.
    pub fn answered(&self, code: u16) {
        let mut all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match all.iter_mut().find(|(known, _)| *known == code) {
            Some((_, n)) => *n += 1,
            None => all.push((code, 1)),
        }
    }

    fn samples(&self) -> [Samples; 2] {
        let sample = |labels, n| Sample::new([Some(labels), None], Value::Int(n));
        let all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let requests =
            all.iter().map(|(code, n)| sample(labels([("code", &code.to_string())]), *n));
        let dropped = [("slow", &self.slow), ("too_many", &self.crowded)];
        let dropped = dropped
            .map(|(reason, n)| sample(labels([("reason", reason)]), n.load(Ordering::Relaxed)));
        [
            Samples { family: &of::HTTP_REQUESTS, samples: requests.collect() },
            Samples { family: &of::HTTP_DROPPED, samples: dropped.to_vec() },
        ]
    }
}

#[derive(Debug, Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    scraped: bool,
}

/// The state that the loop and its readers share.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    pub http: HttpCounts,
    /// Time between snapshots.
    interval: Duration,
}

impl Shared {
    /// Without a snapshot.
    pub fn new(interval: Duration) -> Self {
        Self { state: Mutex::default(), http: HttpCounts::default(), interval }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the snapshot; the argument of `make` is whether a scrape has seen the last one.
    pub fn publish(&self, make: impl FnOnce(bool) -> Vec<Samples>) -> Arc<Snapshot> {
        let mut state = self.state();
        let mut families = make(state.scraped);
        families.extend(self.http.samples());
        let last = state.snapshot.as_ref().map_or(0, |last| last.unix_ns);
        let snapshot = Arc::new(Snapshot::new(families, time_after(last, unix_ns())));
        state.snapshot = Some(snapshot.clone());
        state.scraped = false;
        snapshot
    }

    /// The last snapshot, for a scrape.
    pub fn scrape(&self) -> Option<Arc<Snapshot>> {
        let mut state = self.state();
        state.scraped = state.snapshot.is_some();
        state.snapshot.clone()
    }

    /// A reader other than a scrape has taken this snapshot.
    pub fn taken(&self, snapshot: &Arc<Snapshot>) {
        let mut state = self.state();
        state.scraped |= state.snapshot.as_ref().is_some_and(|last| Arc::ptr_eq(last, snapshot));
    }

    /// Why the numbers are not those of now; `None`: they are.
    pub fn problem(&self) -> Option<String> {
        let state = self.state();
        let Some(snapshot) = &state.snapshot else { return Some("starting".into()) };
        let age = snapshot.made.elapsed();
        let late = age > self.interval * 3 + Duration::from_secs(5);
        late.then(|| format!("the numbers are {} s old: the probes' loop hangs", age.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_a_millisecond_apart_and_a_clock_may_be_set_back() {
        for (last, now, at) in [
            (0, 5_000_000, 5_000_000),
            (5_000_000, 5_000_000, 6_000_000),
            (5_000_000, 5_999_999, 6_000_000),
            (5_000_000, 6_000_000, 6_000_000),
            (5_000_000, 4_999_999, 4_999_999),
        ] {
            assert_eq!(time_after(last, now), at, "{last} {now}");
        }
    }

    #[test]
    fn a_snapshot_counts_as_seen_by_the_reader_that_took_it() {
        let shared = Shared::new(Duration::from_secs(1));
        assert!(shared.scrape().is_none() && shared.problem().is_some());
        let seen = |shared: &Shared| {
            let mut seen = None;
            shared.publish(|scraped| {
                seen = Some(scraped);
                Vec::new()
            });
            seen.unwrap()
        };
        assert!(!seen(&shared) && !seen(&shared));
        let first = shared.scrape().unwrap();
        assert!(shared.problem().is_none());
        assert!(seen(&shared));
        // The one before last.
        shared.taken(&first);
        assert!(!seen(&shared));
        let last = shared.publish(|_| Vec::new());
        shared.taken(&last);
        assert!(seen(&shared));
    }
}
