//! The kernel's time stamps, and their conversion to the wall clock.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const NS_PER_SEC: u64 = 1_000_000_000;

/// A moment: `CLOCK_MONOTONIC` nanoseconds, the clock of `bpf_ktime_get_ns`.
///
/// Rates and ages are differences of these; a wall clock that jumps cannot touch them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Mono(pub u64);

impl Mono {
    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The difference between nanoseconds since the Unix epoch and a [`Mono`].
///
/// Read when the data was drained: a clock that was set since then shows in the next batch, not in this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallOffset(pub i64);

impl WallOffset {
    /// Nanoseconds since the Unix epoch at `at`.
    pub fn unix_ns(self, at: Mono) -> i64 {
        self.0.saturating_add_unsigned(at.0)
    }

    /// `at` as RFC 3339 in UTC with nine digits of fraction, `2026-11-22T12:00:00.000000000Z`.
    pub fn rfc3339(self, at: Mono) -> String {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.unix_ns(at)))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!("{stamp:.9}")
    }
}

/// A moment together with the wall offset that held when it was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The moment.
    pub mono: Mono,
    /// The wall offset at that moment.
    pub wall: WallOffset,
}

impl Stamp {
    /// The moment as RFC 3339 in UTC with nine digits of fraction.
    pub fn rfc3339(self) -> String {
        self.wall.rfc3339(self.mono)
    }
}

/// `12:03:04` at `at`, as a clock in `zone` shows it.
pub fn clock_time(wall: WallOffset, at: Mono, zone: &jiff::tz::TimeZone) -> String {
    formatted("%H:%M:%S", wall, at, zone)
}

/// `2026-11-22 12:03:04` at `at`, as a clock in `zone` shows it.
pub fn date_time(wall: WallOffset, at: Mono, zone: &jiff::tz::TimeZone) -> String {
    formatted("%Y-%m-%d %H:%M:%S", wall, at, zone)
}

fn formatted(format: &str, wall: WallOffset, at: Mono, zone: &jiff::tz::TimeZone) -> String {
    let stamp = jiff::Timestamp::from_nanosecond(i128::from(wall.unix_ns(at)))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.to_zoned(zone.clone()).strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_always_has_nine_digits() {
        let wall = WallOffset(1_700_000_000_000_000_000);
        assert_eq!(wall.rfc3339(Mono(0)), "2023-11-14T22:13:20.000000000Z");
        assert_eq!(wall.rfc3339(Mono(1_500)), "2023-11-14T22:13:20.000001500Z");
    }

    #[test]
    fn since_never_wraps() {
        assert_eq!(Mono(5).since(Mono(7)), 0);
        assert_eq!(Mono(7).since(Mono(5)), 2);
    }
}
