//! When a file ends and the next one begins.

use std::time::Duration;

use super::{duration, size};

/// The least age at which a file ends.
const LEAST_AGE: Duration = Duration::from_secs(1);

/// The bound of one file in a row of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Bytes.
    Size(u64),
    /// Time since it began.
    Age(Duration),
}

impl Rotation {
    /// Whether a file of so many bytes and of this age ends before `more` bytes are written.
    pub fn is_due(self, bytes: u64, more: u64, age: Duration) -> bool {
        match self {
            Self::Size(most) => bytes.saturating_add(more) > most,
            Self::Age(most) => age >= most,
        }
    }

    /// The bytes for which a file of so many has room; `None` where that has no bound.
    pub fn room(self, bytes: u64) -> Option<u64> {
        match self {
            Self::Size(most) => Some(most.saturating_sub(bytes)),
            Self::Age(_) => None,
        }
    }
}

/// Reads `100M` or `1h`: a size with K, M or G, else a time, where `m` is minutes.
pub fn parse_rotation(text: &str) -> Result<Rotation, String> {
    match duration::parse(text) {
        Ok(age) if age >= LEAST_AGE => return Ok(Rotation::Age(age)),
        Ok(_) => return Err("a file lasts a second or longer".into()),
        Err(_) => {}
    }
    let is_size = text.ends_with(['K', 'M', 'G', 'k', 'g']) && size::parse_size(text).is_ok();
    match size::parse_size(text) {
        Ok(bytes) if is_size => Ok(Rotation::Size(bytes)),
        _ => Err("use a size from 64K on, as in 100M, or a time, as in 1h".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse_rotation("100M"), Ok(Rotation::Size(100 << 20)));
        assert_eq!(parse_rotation("2g"), Ok(Rotation::Size(2 << 30)));
        assert_eq!(parse_rotation("1h"), Ok(Rotation::Age(Duration::from_secs(3_600))));
        assert_eq!(parse_rotation("30m"), Ok(Rotation::Age(Duration::from_secs(1_800))));
        for text in ["", "1", "65536", "1K", "10ms", "1d", "M", "h"] {
            assert!(parse_rotation(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_ends_before_it_exceeds_its_bound() {
        let second = Duration::from_secs(1);
        assert!(!Rotation::Size(100).is_due(60, 40, second));
        assert!(Rotation::Size(100).is_due(60, 41, second));
        assert!(Rotation::Age(second).is_due(0, 0, second));
        assert!(!Rotation::Age(second).is_due(u64::MAX, 1, Duration::ZERO));
    }
}
