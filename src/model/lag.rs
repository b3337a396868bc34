//! How far live data from another machine is behind, without trust in either wall clock.

use super::time::{Mono, NS_PER_SEC, WallOffset};

/// The clocks of two machines may drift apart by this share: the least delay may grow by so much.
const DRIFT: u64 = 10_000;

/// The interval that is assumed before two ticks have shown it, and the bounds of one that is believed.
const INTERVAL_NS: u64 = NS_PER_SEC;
const INTERVALS: (u64, u64) = (NS_PER_SEC / 10, 60 * NS_PER_SEC);

/// The delay of a stream of events from another machine.
///
/// Both machines' monotonic clocks count from an unknown moment, so the fastest event so far counts as
/// delay 0: the shown delay is the time beyond the least one, in which a constant way of the network is
/// not contained.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    /// The least difference of the clocks so far, ns, and when it was measured, by this machine's clock.
    least: Option<(i64, Mono)>,
    /// Difference of the clocks and time at the newest event.
    newest: Option<(i64, Mono)>,
    /// The other machine's time of the last tick.
    tick: Option<Mono>,
    interval_ns: u64,
}

/// The delay at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lagging {
    /// Age of the newest data when it came, beyond the least one so far, ns.
    pub delay_ns: u64,
    /// The other machine's wall clock less this one's, ns: what the least delay and wrong clocks make together.
    pub clock_ns: i64,
    /// Time since the last data, ns, where that is more than two intervals and a second.
    pub stalled_ns: Option<u64>,
}

impl Lag {
    /// Takes an event of the other machine's time `at`, which came at `now`.
    pub fn came(&mut self, at: Mono, now: Mono) {
        let apart = difference(now, at);
        self.newest = Some((apart, now));
        if self.least(now).is_none_or(|least| apart < least) {
            self.least = Some((apart, now));
        }
    }

    /// Takes the end of an interval there.
    pub fn ticked(&mut self, at: Mono) {
        let (least, most) = INTERVALS;
        if let Some(before) = self.tick.replace(at) {
            self.interval_ns = at.since(before).clamp(least, most);
        }
    }

    /// The delay at `now`, by the offsets of the wall clocks here and there.
    pub fn at(&self, now: Mono, here: WallOffset, there: WallOffset) -> Lagging {
        let (Some((apart, came)), Some(least)) = (self.newest, self.least(now)) else {
            return Lagging::default();
        };
        let interval = if self.interval_ns == 0 { INTERVAL_NS } else { self.interval_ns };
        let silent = now.since(came);
        Lagging {
            delay_ns: u64::try_from(apart.saturating_sub(least)).unwrap_or(0),
            clock_ns: there.0.saturating_sub(here.0).saturating_sub(least),
            stalled_ns: (silent > 2 * interval + NS_PER_SEC).then_some(silent),
        }
    }

    fn least(&self, now: Mono) -> Option<i64> {
        let (least, since) = self.least?;
        Some(least.saturating_add_unsigned(now.since(since) / DRIFT))
    }
}

/// `a` less `b`, ns.
fn difference(a: Mono, b: Mono) -> i64 {
    let ns = i128::from(a.0) - i128::from(b.0);
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NS_PER_SEC;

    fn at(lag: &Lag, now: u64) -> Lagging {
        lag.at(Mono(now), WallOffset(0), WallOffset(0))
    }

    #[test]
    fn the_fastest_event_is_the_measure() {
        let mut lag = Lag::default();
        assert_eq!(at(&lag, 5), Lagging::default());
        // The other machine was started 1,000 s earlier; its events take 0.3 s, then 2.3, then 0.1.
        lag.came(Mono(1_100 * S), Mono(100 * S + 300_000_000));
        assert_eq!(at(&lag, 100 * S + 300_000_000).delay_ns, 0);
        lag.came(Mono(1_101 * S), Mono(103 * S + 300_000_000));
        let delay = at(&lag, 103 * S + 300_000_000).delay_ns;
        assert!((1_999_000_000..=2_000_000_000).contains(&delay), "{delay}");
        lag.came(Mono(1_104 * S), Mono(104 * S + 100_000_000));
        assert_eq!(at(&lag, 104 * S + 100_000_000).delay_ns, 0);
    }

    #[test]
    fn wall_clocks_that_differ_are_seen() {
        let mut lag = Lag::default();
        lag.came(Mono(1_100 * S), Mono(100 * S));
        let second = S as i64;
        // The same wall clock: 1,000 s less uptime here.
        let (here, there) = (WallOffset(5_000 * second), WallOffset(4_000 * second));
        assert_eq!(lag.at(Mono(100 * S), here, there).clock_ns, 0);
        let behind = WallOffset(there.0 - 3 * second);
        assert_eq!(lag.at(Mono(100 * S), here, behind).clock_ns, -3 * second);
    }

    #[test]
    fn a_stall_is_longer_than_two_intervals() {
        let mut lag = Lag::default();
        lag.came(Mono(0), Mono(10 * S));
        assert_eq!(at(&lag, 13 * S).stalled_ns, None);
        assert_eq!(at(&lag, 14 * S).stalled_ns, Some(4 * S));
        lag.ticked(Mono(0));
        lag.ticked(Mono(5 * S));
        lag.came(Mono(5 * S), Mono(15 * S));
        assert_eq!(at(&lag, 26 * S).stalled_ns, None);
        assert_eq!(at(&lag, 27 * S).stalled_ns, Some(12 * S));
    }

    #[test]
    fn clocks_that_drift_apart_are_no_delay() {
        let mut lag = Lag::default();
        // 50 µs in a second, for a day.
        for s in 0..86_400 {
            lag.came(Mono(s * S), Mono(s * S + s * 50_000));
        }
        assert_eq!(at(&lag, 86_400 * S).delay_ns, 0);
    }

    #[test]
    fn any_time_does_no_harm() {
        let mut lag = Lag::default();
        for n in [u64::MAX, 0, 1, u64::MAX / 2] {
            for m in [0, u64::MAX, S] {
                lag.came(Mono(n), Mono(m));
                lag.ticked(Mono(n));
                let _ = lag.at(Mono(m), WallOffset(i64::MIN), WallOffset(i64::MAX));
            }
        }
    }
}
