//! Text that came from elsewhere, made safe to show: nothing dropped, nothing active left.
//!
//! The form is the same in every output: `\n`, `\t` and `\\` by name; other ASCII controls, DEL
//! and bytes that are not UTF-8 as `\x1b`; Unicode Cc, Cf, Zl and Zp as `\u{200b}`. It can be
//! read back: a backslash in the output always begins an escape.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether [`escape`] escapes everything beyond ASCII.
static ONLY_ASCII: AtomicBool = AtomicBool::new(false);

/// From now on [`escape`] escapes everything beyond ASCII: for output that is read in a locale without
/// UTF-8, where the second byte of `Û` begins a control sequence. A fact of the terminal, to be set once
/// before anything is shown.
pub fn only_ascii() {
    ONLY_ASCII.store(true, Ordering::Relaxed);
}

/// Format characters (Cf) and the line and paragraph separators (Zl, Zp) of Unicode 16.0
/// (the same in 15.0 and 17.0), sorted. Cc is `char::is_control`.
const INVISIBLE: [(u32, u32); 21] = [
    (0x00ad, 0x00ad),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x180e, 0x180e),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x2064),
    (0x2066, 0x206f),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

/// Whether a character is shown by its number: it acts on a terminal, or cannot be seen.
pub fn needs_escape(c: char) -> bool {
    if c < '\u{7f}' {
        return c < ' ';
    }
    let code = u32::from(c);
    c.is_control()
        || INVISIBLE
            .binary_search_by(|(from, to)| {
                if *to < code {
                    std::cmp::Ordering::Less
                } else if *from > code {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            })
            .is_ok()
}

/// Plain in every output as it is.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'\\'
}

/// `bytes` with everything that is not plain, visible text escaped; borrowed where nothing is.
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    let plain = bytes.iter().position(|b| !is_plain(*b)).unwrap_or(bytes.len());
    // Valid up to here whatever follows: it is ASCII.
    if plain == bytes.len()
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(|c| c == '\\' || is_escaped(c))
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_char(&mut out, c));
        chunk.invalid().iter().for_each(|b| push_byte(&mut out, *b));
    }
    Cow::Owned(out)
}

fn push_char(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        '\0'..='\u{1f}' | '\u{7f}' => push_byte(out, u8::try_from(c).unwrap_or(0)),
        c if is_escaped(c) => push_number(out, c),
        c => out.push(c),
    }
}

fn is_escaped(c: char) -> bool {
    needs_escape(c) || (!c.is_ascii() && ONLY_ASCII.load(Ordering::Relaxed))
}

/// `c` as `\u{200b}`.
pub(crate) fn push_number(out: &mut String, c: char) {
    // Writing to a String cannot fail.
    let _ = write!(out, "\\u{{{:04x}}}", u32::from(c));
}

/// A whole message of lines with everything escaped that acts on a terminal, and with `ascii` everything
/// beyond ASCII. Names in it are escaped already: backslashes stay as they are.
pub fn inert(message: &[u8], ascii: bool) -> Cow<'_, str> {
    let acts = |c: char| c != '\n' && (needs_escape(c) || (ascii && !c.is_ascii()));
    if let Ok(text) = std::str::from_utf8(message)
        && !text.chars().any(acts)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(message.len() + 16);
    for chunk in message.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if acts(c) && c.is_ascii() => push_char(&mut out, c),
                c if acts(c) => push_number(&mut out, c),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| push_byte(&mut out, *b));
    }
    Cow::Owned(out)
}

/// `byte` as `\x1b`.
pub(crate) fn push_byte(out: &mut String, byte: u8) {
    let _ = write!(out, "\\x{byte:02x}");
}

/// The bytes that [`escape`] has shown as `text`. A backslash that begins no escape stands for itself.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
        } else if let Some(after) = take_escape(rest, &mut out) {
            rest = after;
        } else {
            out.push(byte);
        }
    }
    out
}

/// Appends the bytes of the escape whose backslash has been read; what follows it.
fn take_escape<'a>(text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let number = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let (kind, rest) = text.split_first()?;
    match kind {
        b'n' => out.push(b'\n'),
        b't' => out.push(b'\t'),
        b'\\' => out.push(b'\\'),
        b'x' => {
            let (digits, rest) = rest.split_at_checked(2)?;
            out.push(u8::try_from(number(digits)?).ok()?);
            return Some(rest);
        }
        b'u' => {
            let end = rest.iter().position(|byte| *byte == b'}')?;
            let c = char::from_u32(number(rest.get(1..end)?)?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return rest.get(end + 1..);
        }
        _ => return None,
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_in_its_form() {
        for (bytes, shown) in [
            (&b"plain text /etc/x"[..], "plain text /etc/x"),
            (b"", ""),
            (b"a\nb\tc\\d", "a\\nb\\tc\\\\d"),
            (b"\x1b[31m\r\x00\x7f", "\\x1b[31m\\x0d\\x00\\x7f"),
            (b"\xff\xc3(", "\\xff\\xc3("),
            ("é 漢 🦀".as_bytes(), "é 漢 🦀"),
            ("a\u{200b}b\u{202e}\u{2028}".as_bytes(), "a\\u{200b}b\\u{202e}\\u{2028}"),
            ("\u{85}\u{9b}\u{ad}".as_bytes(), "\\u{0085}\\u{009b}\\u{00ad}"),
            ("\u{e0041}\u{200d}".as_bytes(), "\\u{e0041}\\u{200d}"),
            // A surrogate and an overlong slash are not UTF-8.
            (b"\xed\xa0\x80\xc0\xaf", "\\xed\\xa0\\x80\\xc0\\xaf"),
        ] {
            assert_eq!(escape(bytes), shown);
            assert_eq!(unescape(shown.as_bytes()), bytes);
        }
    }

    #[test]
    fn text_without_escapes_stands_for_itself() {
        for text in [&b"a\\"[..], b"\\q", b"\\x4", b"\\xzz", b"\\u", b"\\u{", b"\\u{d800}", b"\\u}"]
        {
            assert_eq!(unescape(text), text);
        }
    }

    #[test]
    fn a_message_keeps_its_lines_and_its_escapes() {
        let message = "a\nb \\x1b \x1b[31m\u{9b}é\u{202e}\t";
        assert_eq!(inert(message.as_bytes(), false), "a\nb \\x1b \\x1b[31m\\u{009b}é\\u{202e}\\t");
        assert_eq!(inert("é\u{db}31m".as_bytes(), true), "\\u{00e9}\\u{00db}31m");
        assert_eq!(inert(b"\x9b31m", false), "\\x9b31m");
        assert!(matches!(inert("é\n".as_bytes(), false), Cow::Borrowed(_)));
    }

    #[test]
    fn without_utf8_everything_beyond_ascii_is_escaped() {
        only_ascii();
        assert_eq!(escape("é漢\u{db}31m".as_bytes()), "\\u{00e9}\\u{6f22}\\u{00db}31m");
        assert_eq!(escape(b"plain"), "plain");
        for text in ["é", "漢🦀", "\u{10ffff}"] {
            assert_eq!(unescape(escape(text.as_bytes()).as_bytes()), text.as_bytes());
        }
    }

    #[test]
    fn nothing_to_escape_is_borrowed() {
        assert!(matches!(escape(b"/usr/lib/x"), Cow::Borrowed(_)));
        assert!(matches!(escape("/tmp/é".as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(INVISIBLE.is_sorted_by(|a, b| a.1 < b.0));
        assert!(INVISIBLE.iter().all(|(from, to)| from <= to));
    }

    #[test]
    fn any_bytes_are_shown_inert_and_whole() {
        crate::testing::fuzz::check("lines", |bytes| {
            let shown = escape(bytes);
            assert!(!shown.chars().any(needs_escape));
            assert_eq!(unescape(shown.as_bytes()), bytes);
            let _ = unescape(bytes);
        });
    }
}
