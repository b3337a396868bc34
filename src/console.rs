//! Messages on stderr, and what terminals read that do not read UTF-8.

use std::ffi::OsString;
use std::io::Write;

use crate::model::escape::inert;

/// Writes `ebpftop: MESSAGE` to stderr; where that is closed, nothing. Nothing in it acts on a terminal.
pub fn say(message: &str) {
    let line = format!("ebpftop: {message}\n");
    let _ = std::io::stderr().write_all(inert(line.as_bytes(), !reads_utf8()).as_bytes());
}

/// Whether the locale's character set is UTF-8.
pub fn reads_utf8() -> bool {
    // The first that is set decides, as in setlocale(3).
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    is_utf8(&["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default())
}

fn is_utf8(locale: &OsString) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_of_locales() {
        for (locale, utf8) in [
            ("C.UTF-8", true),
            ("de_DE.utf8", true),
            ("en_US.UTF-8@euro", true),
            ("C", false),
            ("", false),
            ("de_DE.ISO-8859-1", false),
        ] {
            assert_eq!(is_utf8(&locale.into()), utf8, "{locale}");
        }
    }
}
