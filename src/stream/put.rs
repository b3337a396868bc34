//! Writes numbers and times to a byte buffer without allocating.

use crate::model::time::{Mono, NS_PER_SEC, WallOffset};

/// A whole number.
pub(super) fn int(out: &mut Vec<u8>, n: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Nanoseconds as exact seconds with at least one digit of fraction: `1.0`, `1.002`.
pub(super) fn seconds(out: &mut Vec<u8>, ns: u64) {
    int(out, ns / NS_PER_SEC);
    out.push(b'.');
    let digits = nine(u32::try_from(ns % NS_PER_SEC).unwrap_or(0));
    let end = digits.iter().rposition(|d| *d != b'0').map_or(1, |at| at + 1);
    out.extend_from_slice(digits.get(..end).unwrap_or(&digits));
}

/// `count` in `ns` as a number per second, rounded to one digit of fraction; 0.0 if `ns` is 0.
pub(super) fn rate(out: &mut Vec<u8>, count: u64, ns: u64) {
    let tenths = if ns == 0 {
        0
    } else {
        let ns = u128::from(ns);
        (u128::from(count) * u128::from(NS_PER_SEC) * 10 + ns / 2) / ns
    };
    int(out, tenths / 10);
    out.push(b'.');
    int(out, tenths % 10);
}

/// An octal number with at least four digits, `0644`.
pub(super) fn octal(out: &mut Vec<u8>, n: u16) {
    let digits: [u8; 6] = std::array::from_fn(|at| b'0' + ((n >> (3 * (5 - at))) & 7) as u8);
    let begin = digits.iter().position(|d| *d != b'0').map_or(2, |at| at.min(2));
    out.extend_from_slice(digits.get(begin..).unwrap_or(&digits));
}

fn nine(mut n: u32) -> [u8; 9] {
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    digits
}

/// Writes times. The part up to the second is formatted once per second.
#[derive(Clone, Debug)]
pub(super) struct Times {
    zone: jiff::tz::TimeZone,
    format: &'static str,
    second: Option<i64>,
    prefix: String,
}

impl Times {
    /// RFC 3339 in UTC, `2026-11-22T12:00:00.000000000Z`.
    pub(super) fn rfc3339() -> Self {
        Self {
            zone: jiff::tz::TimeZone::UTC,
            format: "%Y-%m-%dT%H:%M:%S.",
            second: None,
            prefix: String::new(),
        }
    }

    /// The time of day in the user's time zone, `12:00:00.000`.
    pub(super) fn of_day() -> Self {
        Self { zone: jiff::tz::TimeZone::system(), format: "%H:%M:%S.", ..Self::rfc3339() }
    }

    /// The time with all nine digits and a `Z`.
    pub(super) fn full(&mut self, out: &mut Vec<u8>, wall: WallOffset, at: Mono) {
        let digits = self.begin(out, wall, at);
        out.extend_from_slice(&digits);
        out.push(b'Z');
    }

    /// The time with milliseconds.
    pub(super) fn short(&mut self, out: &mut Vec<u8>, wall: WallOffset, at: Mono) {
        let digits = self.begin(out, wall, at);
        out.extend_from_slice(digits.get(..3).unwrap_or(&digits));
    }

    fn begin(&mut self, out: &mut Vec<u8>, wall: WallOffset, at: Mono) -> [u8; 9] {
        let ns = wall.unix_ns(at);
        let second = ns.div_euclid(NS_PER_SEC as i64);
        if self.second != Some(second) {
            let stamp = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            self.prefix = stamp.to_zoned(self.zone.clone()).strftime(self.format).to_string();
            self.second = Some(second);
        }
        out.extend_from_slice(self.prefix.as_bytes());
        nine(u32::try_from(ns.rem_euclid(NS_PER_SEC as i64)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_are_exact() {
        for (ns, text) in [
            (0, "0.0"),
            (1, "0.000000001"),
            (1_002_000_000, "1.002"),
            (5_000_000_000, "5.0"),
            (10_500_000_000, "10.5"),
        ] {
            assert_eq!(put(|o| seconds(o, ns)), text);
        }
    }

    #[test]
    fn rates_are_rounded() {
        for (count, ns, text) in [
            (1200, 1_000_000_000, "1200.0"),
            (1, 3_000_000_000, "0.3"),
            (2, 3_000_000_000, "0.7"),
            (5, 0, "0.0"),
            (u64::MAX, 1, "18446744073709551615000000000.0"),
        ] {
            assert_eq!(put(|o| rate(o, count, ns)), text);
        }
    }

    #[test]
    fn modes_have_four_digits_and_more() {
        for (n, text) in [(0, "0000"), (0o644, "0644"), (0o4755, "4755"), (0o100644, "100644")] {
            assert_eq!(put(|o| octal(o, n)), text);
        }
    }

    proptest! {
        #[test]
        fn times_are_those_of_the_model(sec in 0i64..9_000_000_000, ns in 0u64..3_000_000_000) {
            let wall = WallOffset(sec * 1_000_000_000);
            let mut times = Times::rfc3339();
            for at in [Mono(ns), Mono(ns / 2), Mono(ns)] {
                prop_assert_eq!(put(|o| times.full(o, wall, at)), wall.rfc3339(at));
            }
        }
    }
}
