//! How large a file may become, as people write it.

/// Reads `512M`: bytes, or with K, M or G behind (1,024 each).
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, c)) if c.is_ascii_alphabetic() => (text.get(..at).unwrap_or(""), Some(c)),
        _ => (text, None),
    };
    let shift = match unit.map(|c| c.to_ascii_uppercase()) {
        None => 0,
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some(_) => return Err("the unit is K, M or G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a number and K, M or G: 512M")?;
    number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes >= 64 << 10)
        .ok_or_else(|| "a size between 64K and the largest file".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("65536"), Ok(65_536));
        assert_eq!(parse_size("512M"), Ok(512 << 20));
        assert_eq!(parse_size("2g"), Ok(2 << 30));
        for text in ["", "M", "1.5G", "12T", "63K", "-1G", "99999999999G", "1é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
