//! Numbers for people: exact where there is room, else three digits and an SI prefix.

use crate::model::time::NS_PER_SEC;
use crate::settings::saved_view::Units;

/// A number in four digits with its prefix: `12.4k`, `312M`, `0.5`; `0` for nothing.
pub fn si(value: f64) -> String {
    scaled(value, false)
}

/// A number in four digits with its prefix; by powers of 1024 when `binary`: `1.21Ki`.
pub fn scaled(value: f64, binary: bool) -> String {
    let (digits, prefix) = parts(value, binary);
    digits + prefix
}

/// Bits per second in the chosen units, without their name: `84.1M`.
pub fn traffic(bps: f64, units: Units) -> String {
    scaled(if units.bytes { bps / 8.0 } else { bps }, units.binary)
}

/// Bits per second with the unit: `84.1 Mb/s`, `10.0 MiB/s`.
pub fn traffic_unit(bps: f64, units: Units) -> String {
    let (digits, prefix) = parts(if units.bytes { bps / 8.0 } else { bps }, units.binary);
    format!("{digits} {prefix}{}/s", if units.bytes { "B" } else { "b" })
}

/// Three digits, and the prefix that belongs to them.
fn parts(value: f64, binary: bool) -> (String, &'static str) {
    const PREFIXES: [(&str, &str); 6] =
        [("E", "Ei"), ("P", "Pi"), ("T", "Ti"), ("G", "Gi"), ("M", "Mi"), ("k", "Ki")];
    if value <= 0.0 || !value.is_finite() {
        return ("0".into(), "");
    }
    for ((si, iec), power) in PREFIXES.into_iter().zip((1..=6).rev()) {
        let unit = if binary { 1024f64 } else { 1000.0 }.powi(power);
        // A number that rounds up to the next unit is shown in that.
        if value >= unit * 0.9995 {
            return (three(value / unit, true), if binary { iec } else { si });
        }
    }
    (three(value, false), "")
}

fn three(value: f64, prefixed: bool) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 || !prefixed => {
            let text = format!("{v:.1}");
            text.strip_suffix(".0").unwrap_or(&text).to_owned()
        }
        v => format!("{v:.2}"),
    }
}

/// A number with spaces between groups of three from five digits on: `9999`, `12 345`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count, exact if it fits into `width` cells.
pub fn count(n: u64, width: usize) -> String {
    let exact = grouped(n);
    if exact.len() <= width { exact } else { si(n as f64) }
}

/// Events per second, with one decimal below 10,000: `0.2`, `1204.0`, `12 345`.
pub fn rate(per_second: f64, width: usize) -> String {
    if per_second < 9999.95 {
        let text = format!("{:.1}", per_second.max(0.0));
        if text.len() <= width {
            return text;
        }
        return si(per_second);
    }
    count(per_second.round() as u64, width)
}

/// An age: `0.1s`, `12s`, `5m`, `3h`, `2d`.
pub fn age(ns: u64) -> String {
    let seconds = ns / NS_PER_SEC;
    match seconds {
        0..10 => format!("{:.1}s", ns as f64 / NS_PER_SEC as f64).replace("10.0s", "10s"),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A short time in three digits: `850ns`, `12.3µs`, `4.1ms`, `2.0s`.
pub fn latency(ns: u64, micro: &str) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns}ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, format!("{micro}s")),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms".into()),
        _ => (ns as f64 / 1e9, "s".into()),
    };
    if value >= 99.95 { format!("{value:.0}{unit}") } else { format!("{value:.1}{unit}") }
}

/// A share of one: `72 %`, `0.4 %`; empty for nothing at all.
pub fn share(of_one: f64) -> String {
    match of_one * 100.0 {
        p if p <= 0.0 || !p.is_finite() => String::new(),
        p if p < 0.05 => "0.0 %".into(),
        p if p < 9.95 => format!("{p:.1} %"),
        p => format!("{:.0} %", p.min(100.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times() {
        for (ns, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.0us"),
            (123_400, "123us"),
            (1_500_000, "1.5ms"),
            (61_000_000_000, "61.0s"),
        ] {
            assert_eq!(latency(ns, "u"), text);
        }
    }

    #[test]
    fn three_digits_and_a_prefix() {
        for (value, text) in [
            (0.0, "0"),
            (-1.0, "0"),
            (f64::NAN, "0"),
            (0.25, "0.2"),
            (7.0, "7"),
            (812.0, "812"),
            (999.6, "1.00k"),
            (1234.0, "1.23k"),
            (12_400.0, "12.4k"),
            (84_100_000.0, "84.1M"),
            (312e6, "312M"),
            (999_999.0, "1.00M"),
            (1e21, "1000E"),
        ] {
            assert_eq!(si(value), text, "{value}");
        }
    }

    #[test]
    fn exact_where_there_is_room() {
        assert_eq!(count(9999, 8), "9999");
        assert_eq!(count(12_345, 8), "12 345");
        assert_eq!(count(1_234_567, 9), "1 234 567");
        assert_eq!(count(1_234_567, 8), "1.23M");
        assert_eq!(count(u64::MAX, 5), "18.4E");
        assert_eq!(rate(0.04, 8), "0.0");
        assert_eq!(rate(1204.0, 8), "1204.0");
        assert_eq!(rate(123_456.7, 8), "123 457");
    }

    #[test]
    fn traffic_in_every_unit() {
        let units = |bytes, binary| Units { bytes, binary };
        for (bps, bytes, binary, short, long) in [
            (84_100_000.0, false, false, "84.1M", "84.1 Mb/s"),
            (84_100_000.0, true, false, "10.5M", "10.5 MB/s"),
            (8.0 * 1024.0 * 1024.0, true, true, "1.00Mi", "1.00 MiB/s"),
            (1_023_900.0, false, true, "1000Ki", "1000 Kib/s"),
            (1_048_400.0, false, true, "1.00Mi", "1.00 Mib/s"),
            (96.0, false, true, "96", "96 b/s"),
            (0.0, true, true, "0", "0 B/s"),
        ] {
            assert_eq!(traffic(bps, units(bytes, binary)), short);
            assert_eq!(traffic_unit(bps, units(bytes, binary)), long);
        }
    }

    #[test]
    fn ages_and_shares() {
        let s = NS_PER_SEC;
        for (ns, text) in [
            (0, "0.0s"),
            (s / 10, "0.1s"),
            (9_990_000_000, "10s"),
            (12 * s, "12s"),
            (301 * s, "5m"),
            (7201 * s, "2h"),
            (u64::MAX, "213503d"),
        ] {
            assert_eq!(age(ns), text);
        }
        for (n, text) in
            [(0.0, ""), (0.0001, "0.0 %"), (0.021, "2.1 %"), (0.72, "72 %"), (1.5, "100 %")]
        {
            assert_eq!(share(n), text);
        }
    }
}
