//! Durations of calls that read or write: a distribution in buckets of half an octave.

use serde::{Deserialize, Serialize};

/// Number of buckets: `IO_BUCKETS` of io.h.
pub const BUCKETS: usize = 54;
/// The first octave begins at two to the power of this, ns; shorter calls are in the first bucket.
const FIRST_OCTAVE: u32 = 10;

/// The exclusive upper limit of a bucket, ns; that of the last one is nominal.
fn limit_ns(bucket: usize) -> u64 {
    let halves = u32::try_from(bucket).unwrap_or(u32::MAX);
    let octave = FIRST_OCTAVE.saturating_add(halves / 2);
    // Half octaves end at 1, 1.5, 2, 3, 4, 6 and so on times the first.
    let start = 1u64.checked_shl(octave).unwrap_or(u64::MAX);
    if halves % 2 == 0 { start } else { start.saturating_add(start / 2) }
}

/// How long calls took, failed ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallTimes {
    /// The longest, ns.
    pub max_ns: u64,
    /// Calls of the limit's duration or longer (`--slow`).
    pub slow: u64,
    /// Calls by bucket, up to the last one that has any.
    counts: Vec<u64>,
}

impl CallTimes {
    /// The distribution of a bucket's counts each.
    pub fn new(max_ns: u64, slow: u64, counts: impl IntoIterator<Item = u64>) -> Self {
        let mut counts: Vec<u64> = counts.into_iter().take(BUCKETS).collect();
        counts.truncate(counts.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1));
        counts.shrink_to_fit();
        Self { max_ns, slow, counts }
    }

    /// Calls that were timed.
    pub fn calls(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Adds the durations of other calls.
    pub fn merge(&mut self, other: &Self) {
        self.max_ns = self.max_ns.max(other.max_ns);
        self.slow = self.slow.saturating_add(other.slow);
        // A recording may have more than there are.
        let counts = other.counts.get(..BUCKETS).unwrap_or(&other.counts);
        if self.counts.len() < counts.len() {
            self.counts.resize(counts.len(), 0);
        }
        for (n, more) in self.counts.iter_mut().zip(counts) {
            *n = n.saturating_add(*more);
        }
    }

    /// The durations of the calls since `earlier` was copied from it; `None` where there were none. The longest is
    /// that of all calls: it cannot be subtracted.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let before = earlier.counts.iter().copied().chain(std::iter::repeat(0));
        let counts = self.counts.iter().zip(before).map(|(n, before)| n.saturating_sub(before));
        let rest = Self::new(self.max_ns, self.slow.saturating_sub(earlier.slow), counts);
        (rest.calls() > 0).then_some(rest)
    }

    /// The duration that `percent` of the calls did not exceed, ns: an upper limit, which is less than half
    /// above the true one, if that is 1,024 ns or longer: all shorter ones are in one bucket. `None` where none was timed.
    pub fn percentile_ns(&self, percent: u64) -> Option<u64> {
        let calls = u128::from(self.calls());
        if calls == 0 {
            return None;
        }
        let wanted = (calls * u128::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0u128;
        let bucket = self.counts.iter().position(|n| {
            below += u128::from(*n);
            below >= wanted
        })?;
        let is_last = bucket + 1 >= BUCKETS;
        Some(if is_last { self.max_ns } else { limit_ns(bucket).min(self.max_ns) })
    }

    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.counts)
    }
}

/// Adds the durations of one to those of another; both may be unknown.
pub fn merge(to: &mut Option<Box<CallTimes>>, from: &Option<Box<CallTimes>>) {
    match (to.as_mut(), from) {
        (_, None) => {}
        (None, Some(from)) => *to = Some(from.clone()),
        (Some(to), Some(from)) => to.merge(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bucket of a duration, as `bucket_of` of io_times.h has it.
    fn bucket(ns: u64) -> usize {
        (0..BUCKETS - 1).find(|bucket| ns < limit_ns(*bucket)).unwrap_or(BUCKETS - 1)
    }

    fn of(durations: &[u64]) -> CallTimes {
        let mut counts = [0; BUCKETS];
        durations.iter().for_each(|ns| counts[bucket(*ns)] += 1);
        CallTimes::new(durations.iter().copied().max().unwrap_or(0), 0, counts)
    }

    #[test]
    fn buckets_are_half_octaves() {
        let limits: Vec<u64> = (0..5).map(limit_ns).collect();
        assert_eq!(limits, [1_024, 1_536, 2_048, 3_072, 4_096]);
        assert_eq!((bucket(0), bucket(1_023), bucket(1_024), bucket(1_536)), (0, 0, 1, 2));
        assert_eq!((bucket((1 << 36) - 1), bucket(1 << 36)), (BUCKETS - 2, BUCKETS - 1));
    }

    #[test]
    fn a_percentile_is_an_upper_limit_and_less_than_half_above() {
        for ns in [1_100, 2_000, 5_000_000, 10_000_000, 1_500_000_000] {
            // The longest is far away, so that it does not cap.
            let times = of(&[vec![ns; 99], vec![60_000_000_000]].concat());
            let p = times.percentile_ns(50).unwrap();
            assert!(p >= ns && p as f64 <= 1.5 * ns as f64, "{ns} {p}");
            assert_eq!(times.percentile_ns(100), Some(60_000_000_000));
        }
        let times = of(&[[1_000; 98].to_vec(), vec![5_000_000, 90_000_000]].concat());
        assert_eq!(times.percentile_ns(50), Some(1_024));
        assert!((5_000_000..7_500_000).contains(&times.percentile_ns(99).unwrap()));
        assert_eq!((times.calls(), times.max_ns), (100, 90_000_000));
        assert_eq!(of(&[3_000_000]).percentile_ns(50), Some(3_000_000), "never above the longest");
        assert_eq!(CallTimes::default().percentile_ns(50), None);
        assert_eq!(of(&[1 << 40]).percentile_ns(50), Some(1 << 40));
    }

    #[test]
    fn distributions_add_up() {
        let (mut a, b) = (of(&[10, 2_000]), of(&[2_000, 9_000_000]));
        a.merge(&b);
        assert_eq!(a, of(&[10, 2_000, 2_000, 9_000_000]));
        let rest = a.since(&b).unwrap();
        assert_eq!((&rest.counts, rest.max_ns), (&of(&[10, 2_000]).counts, 9_000_000));
        assert_eq!((rest.percentile_ns(100), a.since(&a)), (Some(2_048), None));
        // Of a hostile recording.
        a.merge(&CallTimes { max_ns: u64::MAX, slow: u64::MAX, counts: vec![u64::MAX; 100] });
        assert_eq!((a.counts.len(), a.calls()), (BUCKETS, u64::MAX));
        assert!(a.percentile_ns(50).is_some());
        let mut none = None;
        merge(&mut none, &Some(Box::new(b.clone())));
        merge(&mut none, &None);
        assert_eq!(none.as_deref(), Some(&b));
    }
}
