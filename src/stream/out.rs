//! Lines to stdout, in ASCII where the terminal reads nothing else.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use crate::cli::Format;
use crate::console::reads_utf8;
use crate::model::escape::inert;
use crate::session::{OutError, Paced, Stop};

/// Stdout, with the form of its lines.
#[derive(Debug)]
pub(super) struct Out {
    to: Paced,
    /// Nothing beyond ASCII is written.
    ascii: Option<Format>,
}

impl Out {
    /// Stdout. A terminal that does not read UTF-8 gets what is beyond ASCII in the escapes of `format`.
    pub(super) fn stdout(stop: Stop, format: Format) -> io::Result<Self> {
        let ascii = (io::stdout().is_terminal() && !reads_utf8()).then_some(format);
        Ok(Self { to: Paced::stdout(stop)?, ascii })
    }

    /// Writes all of `bytes` and empties the buffer.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), OutError> {
        if let Some(format) = self.ascii {
            *bytes = in_ascii(bytes, format);
        }
        let done = self.to.write_all(bytes);
        bytes.clear();
        done
    }

    /// Whether the reader closed its end. Without lines to write, no write would report it.
    pub(super) fn reader_gone(&self) -> bool {
        self.to.reader_gone()
    }
}

/// Lines with what is beyond ASCII in the escapes of their format: of JSON, where such characters stand in
/// strings alone, its own ones.
fn in_ascii(lines: &[u8], format: Format) -> Vec<u8> {
    if format != Format::Json {
        return inert(lines, true).into_owned().into_bytes();
    }
    let mut out = String::with_capacity(lines.len());
    for c in String::from_utf8_lossy(lines).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_ascii_json_says_the_same() {
        let line = r#"{"path":"/tmp/é漢🦀Û31m\\n","n":1}"#;
        let ascii = in_ascii(line.as_bytes(), Format::Json);
        assert!(ascii.is_ascii());
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(&ascii), value(line.as_bytes()));
        let csv = in_ascii("é,\\n\n".as_bytes(), Format::Csv);
        assert_eq!(String::from_utf8(csv).unwrap(), "\\u{00e9},\\n\n");
    }
}
