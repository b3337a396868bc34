//! Rates and their recent past: lazy, so that idle rows cost nothing.

use serde::{Deserialize, Serialize};

use super::time::{Mono, NS_PER_SEC};
use super::undo::{Reading, Writing};

/// Seconds that a [`History`] covers.
pub const HISTORY_SECONDS: usize = 60;

/// The refresh that is under way, and how long the last one took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Ticks {
    number: u32,
    last: Option<Mono>,
    interval_ns: u64,
}

impl Ticks {
    /// Ends the current interval. One of no length continues into the next.
    pub fn tick(&mut self, now: Mono) {
        let Some(last) = self.last else {
            self.last = Some(now);
            return;
        };
        let interval_ns = now.since(last);
        if interval_ns > 0 {
            self.interval_ns = interval_ns;
            self.number = self.number.wrapping_add(1);
        }
        // Also when the clock went back: the next interval counts from there.
        self.last = Some(now);
    }

    /// `n` in the last interval, a second.
    pub fn per_second(&self, n: u32) -> f64 {
        per_second(u64::from(n), self.interval_ns)
    }
}

/// `n` in `interval_ns`, a second; 0 for an interval of no length.
pub fn per_second(n: u64, interval_ns: u64) -> f64 {
    if interval_ns == 0 { 0.0 } else { n as f64 * NS_PER_SEC as f64 / interval_ns as f64 }
}

/// Counts in the interval under way and the one before; touched only when something happens.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Meter {
    tick: u32,
    this: u32,
    before: u32,
}

impl Meter {
    /// Counts `n` more.
    #[inline]
    pub fn add(&mut self, ticks: &Ticks, n: u32) {
        if self.tick != ticks.number {
            let next = self.tick.wrapping_add(1) == ticks.number;
            self.before = if next { self.this } else { 0 };
            self.this = 0;
            self.tick = ticks.number;
        }
        self.this = self.this.saturating_add(n);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Meter, ticks: &Ticks) {
        let mut other = *other;
        other.add(ticks, 0);
        self.add(ticks, other.this);
        self.before = self.before.saturating_add(other.before);
    }

    /// Takes out what it had counted when `earlier` was copied from it.
    pub fn take_out(&mut self, earlier: &Meter, ticks: &Ticks) {
        let mut earlier = *earlier;
        earlier.add(ticks, 0);
        self.add(ticks, 0);
        self.this = self.this.saturating_sub(earlier.this);
        self.before = self.before.saturating_sub(earlier.before);
    }

    /// The count of the last whole interval, a second.
    pub fn rate(&self, ticks: &Ticks) -> f64 {
        ticks.per_second(match ticks.number.wrapping_sub(self.tick) {
            0 => self.before,
            1 => self.this,
            _ => 0,
        })
    }
}

/// Counts of each of the last 60 seconds. 136 bytes: a second that is over is kept to
/// eleven significant bits.
#[derive(Clone, Debug)]
pub struct History {
    second: u64,
    current: u64,
    slots: [u16; HISTORY_SECONDS],
}

impl Default for History {
    fn default() -> Self {
        Self { second: 0, current: 0, slots: [0; HISTORY_SECONDS] }
    }
}

impl History {
    /// Counts `n` more now.
    #[inline]
    pub fn add(&mut self, now: Mono, n: u64) {
        let second = now.0 / NS_PER_SEC;
        if second != self.second {
            self.advance(second);
        }
        self.current = self.current.saturating_add(n);
    }

    /// Counts `n` that happened evenly over the `interval_ns` before now. Seconds that are over have eleven
    /// significant bits: add a sum once, not its parts.
    pub fn add_spread(&mut self, now: Mono, interval_ns: u64, n: u64) {
        let end = now.0 / NS_PER_SEC;
        self.advance(end);
        let window = interval_ns.min((HISTORY_SECONDS as u64 - 1) * NS_PER_SEC);
        let start_ns = now.0.saturating_sub(window);
        let start = start_ns / NS_PER_SEC;
        let mut rest = n;
        for second in start..end {
            let from = start_ns.max(second * NS_PER_SEC);
            let part = ((second + 1) * NS_PER_SEC).saturating_sub(from);
            let share = (n as f64 * part as f64 / interval_ns.max(1) as f64) as u64;
            let share = share.min(rest);
            rest -= share;
            if let Some(slot) = self.slot(second) {
                *slot = pack(unpack(*slot).saturating_add(share));
            }
        }
        self.current = self.current.saturating_add(rest);
    }

    /// Notes the value of a gauge; seconds since the last note had the value before.
    pub fn set(&mut self, now: Mono, value: u64) {
        let second = now.0 / NS_PER_SEC;
        if second > self.second {
            let (from, before) = (self.second + 1, self.current);
            self.advance(second);
            for gap in from.max(second.saturating_sub(HISTORY_SECONDS as u64 - 1))..second {
                if let Some(slot) = self.slot(gap) {
                    *slot = pack(before);
                }
            }
        }
        self.current = value;
    }

    /// The latest note of a gauge.
    pub fn latest(&self) -> u64 {
        self.current
    }

    /// The gauge in the last `n` whole seconds before `now`, oldest first: see [`Self::set`].
    pub fn gauge(&self, now: Mono, n: usize) -> Vec<u64> {
        let mut lately = self.clone();
        lately.set(now, self.current);
        lately.last(now, n).collect()
    }

    /// The last `n` whole seconds before `now`, oldest first.
    pub fn last(&self, now: Mono, n: usize) -> impl ExactSizeIterator<Item = u64> {
        let end = now.0 / NS_PER_SEC;
        let n = n.min(HISTORY_SECONDS - 1);
        (0..n).map(move |i| {
            let back = (n - i) as u64;
            end.checked_sub(back).map_or(0, |second| self.at(second))
        })
    }

    /// The sum of the last `n` whole seconds and the one under way.
    pub fn recent(&self, now: Mono, n: usize) -> u64 {
        let end = now.0 / NS_PER_SEC;
        self.last(now, n).fold(self.at(end), u64::saturating_add)
    }

    /// Writes it as far as it may change in the seconds that the window has: adding reaches from
    /// the second under way to the last of them, spreading from the first.
    pub fn write(&self, to: &mut Writing) {
        let first = self.second.min(to.window.first);
        let all = HISTORY_SECONDS as u64;
        let n = to.window.last.saturating_sub(first).saturating_add(1).min(all);
        let n = if self.second == 0 && self.current == 0 { 0 } else { n };
        to.put(&(self.second, self.current, first % all, n));
        for i in first..first + n {
            to.put(&self.slots.get((i % all) as usize).copied().unwrap_or(0));
        }
    }

    /// Takes over what was written.
    pub fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let (second, current, first, n): (u64, u64, u64, u64) = from.get()?;
        if n == 0 {
            *self = Self::default();
        }
        (self.second, self.current) = (second, current);
        for i in first..first.checked_add(n)? {
            *self.slot(i)? = from.get()?;
        }
        Some(())
    }

    fn at(&self, second: u64) -> u64 {
        match self.second.checked_sub(second) {
            Some(0) => self.current,
            Some(back) if back < HISTORY_SECONDS as u64 => {
                self.slots.get((second % HISTORY_SECONDS as u64) as usize).map_or(0, |s| unpack(*s))
            }
            _ => 0,
        }
    }

    fn slot(&mut self, second: u64) -> Option<&mut u16> {
        self.slots.get_mut((second % HISTORY_SECONDS as u64) as usize)
    }

    /// Makes `second` the one under way. An earlier one changes nothing.
    fn advance(&mut self, second: u64) {
        if second <= self.second {
            return;
        }
        let packed = pack(std::mem::take(&mut self.current));
        if let Some(slot) = self.slot(self.second) {
            *slot = packed;
        }
        let first_gap = (self.second + 1).max(second.saturating_sub(HISTORY_SECONDS as u64));
        for gap in first_gap..second {
            if let Some(slot) = self.slot(gap) {
                *slot = 0;
            }
        }
        self.second = second;
        if let Some(slot) = self.slot(second) {
            *slot = 0;
        }
    }
}

/// Eleven bits of mantissa, five of exponent: up to 4.4e12, rounded to the nearest, so that sums of many parts are
/// neither low nor high.
fn pack(n: u64) -> u16 {
    let exponent_of = |n: u64| (64 - n.leading_zeros()).saturating_sub(11);
    let n = n.saturating_add((1 << exponent_of(n)) >> 1);
    let exponent = exponent_of(n);
    if exponent > 31 {
        return u16::MAX;
    }
    // Both parts fit: the mantissa has at most eleven bits, the exponent five.
    ((exponent as u16) << 11) | (n >> exponent) as u16
}

fn unpack(packed: u16) -> u64 {
    u64::from(packed & 0x7ff) << (packed >> 11)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sec(s: f64) -> Mono {
        Mono((s * 1e9) as u64)
    }

    #[test]
    fn rates_are_over_the_last_whole_interval() {
        let mut ticks = Ticks::default();
        ticks.tick(sec(10.0));
        let mut m = Meter::default();
        m.add(&ticks, 30);
        assert_eq!(m.rate(&ticks), 0.0, "the interval is still under way");
        ticks.tick(sec(12.0));
        assert_eq!(m.rate(&ticks), 15.0);
        m.add(&ticks, 5);
        assert_eq!(m.rate(&ticks), 15.0, "still the last whole one");
        ticks.tick(sec(12.5));
        assert_eq!(m.rate(&ticks), 10.0);
        ticks.tick(sec(13.5));
        assert_eq!(m.rate(&ticks), 0.0);
    }

    #[test]
    fn no_interval_and_a_clock_that_goes_back_give_no_nonsense() {
        let mut ticks = Ticks::default();
        let mut m = Meter::default();
        ticks.tick(sec(10.0));
        m.add(&ticks, 8);
        ticks.tick(sec(10.0));
        assert_eq!(m.rate(&ticks), 0.0);
        ticks.tick(sec(9.0));
        assert_eq!(m.rate(&ticks), 0.0);
        ticks.tick(sec(11.0));
        assert_eq!(m.rate(&ticks), 4.0);
        assert_eq!(per_second(7, 0), 0.0);
    }

    #[test]
    fn history_holds_whole_seconds_and_forgets() {
        let mut h = History::default();
        h.add(sec(100.2), 3);
        h.add(sec(100.9), 4);
        h.add(sec(102.0), 1);
        let last: Vec<_> = h.last(sec(103.5), 4).collect();
        assert_eq!(last, [0, 7, 0, 1]);
        assert_eq!(h.last(sec(164.0), 59).sum::<u64>(), 0);
        h.add(sec(300.0), 2);
        assert_eq!(h.last(sec(301.0), 59).sum::<u64>(), 2);
        assert_eq!(h.recent(sec(300.5), 5), 2);
    }

    #[test]
    fn spreading_loses_nothing_and_fills_every_second() {
        let mut h = History::default();
        h.add_spread(sec(110.0), 5 * NS_PER_SEC, 1000);
        assert_eq!(h.last(sec(110.0), 6).collect::<Vec<_>>(), [0, 200, 200, 200, 200, 200]);
        let mut h = History::default();
        h.add_spread(sec(11.5), NS_PER_SEC, 100);
        assert_eq!(h.last(sec(12.0), 2).collect::<Vec<_>>(), [50, 50]);
        h.add_spread(sec(12.0), 0, 9);
        assert_eq!(h.recent(sec(12.0), 0), 9);
    }

    #[test]
    fn a_gauge_keeps_its_value_until_the_next_note() {
        let mut h = History::default();
        h.set(sec(100.2), 30);
        h.set(sec(100.9), 40);
        h.set(sec(103.5), 7);
        assert_eq!(h.gauge(sec(106.0), 7), [0, 40, 40, 40, 7, 7, 7]);
        assert_eq!(h.gauge(sec(500.0), 2), [7, 7]);
        assert_eq!(h.latest(), 7);
    }

    /// As the parts of an interval that does not fit into one: none is lost to rounding.
    #[test]
    fn a_sum_of_parts_is_that_of_the_whole() {
        let mut h = History::default();
        h.add(sec(99.5), 0);
        for part in 0..16 {
            h.add_spread(sec(101.0), 1_000_000_000, 10_000_000 - part * 600_000);
        }
        let whole = 160_000_000 - 120 * 600_000;
        let got = h.last(sec(102.0), 2).next().unwrap();
        assert!(got.abs_diff(whole) <= whole / 1_000, "{got} of {whole}");
    }

    proptest::proptest! {
        #[test]
        fn packing_is_within_a_thousandth(n in 0u64..4_000_000_000_000) {
            let got = unpack(pack(n));
            proptest::prop_assert!(got.abs_diff(n) <= n / 2000);
        }

        #[test]
        fn any_times_never_panic(steps in proptest::collection::vec((0u64.., 0u64.., 0u64..), 0..50)) {
            let mut h = History::default();
            for (at, interval, n) in steps {
                h.add(Mono(at), n);
                h.add_spread(Mono(at), interval, n);
                proptest::prop_assert!(h.last(Mono(at), 60).len() < 60);
            }
        }
    }
}
