//! TIME on the command line and in the configuration: a number with a unit.

use std::time::Duration;

/// The units, in milliseconds.
const UNITS: [(&str, f64); 4] = [("ms", 1.0), ("s", 1e3), ("m", 60e3), ("h", 3_600e3)];

/// The longest TIME, ms: 1,000 days.
const MOST_MS: f64 = 86_400e6;

/// Reads `250ms`, `1.5s`, `2m`, `1h`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time: use a number with a unit, `250ms`, `5s` or `2m`".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    if unit.is_empty() && !number.is_empty() {
        return Err(format!("a unit is missing: use {number}ms, {number}s or {number}m"));
    }
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let ms = number.parse::<f64>().map_err(|_| wrong())? * scale;
    if !(0.0..=MOST_MS).contains(&ms) {
        return Err("longer than 1000 days".into());
    }
    Ok(Duration::from_secs_f64(ms / 1e3))
}

/// Reads the time between refreshes: `100ms` to `60s`.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let time = parse(text)?;
    if (Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time) {
        Ok(time)
    } else {
        Err("out of range: 100ms to 60s".into())
    }
}

/// Reads the duration from which on a call is slow: `0.001ms` or more.
pub fn parse_slow(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        time if time < Duration::from_micros(1) => Err("out of range: 0.001ms or more".into()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units() {
        for (text, ms) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            ("0s", 0),
            (".5s", 500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "5d", "1.2.3s", "1e3s", "+1s", "5S", "9999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("5").unwrap_err().contains("unit"));
    }

    #[test]
    fn no_call_takes_no_time() {
        assert_eq!(parse_slow("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(parse_slow("0.001ms"), Ok(Duration::from_micros(1)));
        assert!(parse_slow("0s").is_err());
    }

    #[test]
    fn the_interval_has_bounds() {
        for text in ["100ms", "1s", "60s", "1m"] {
            assert!(parse_interval(text).is_ok(), "{text}");
        }
        for text in ["99ms", "0s", "61s", "2m"] {
            assert!(parse_interval(text).unwrap_err().contains("100ms to 60s"), "{text}");
        }
    }
}
