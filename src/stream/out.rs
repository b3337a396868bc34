//! The way of the lines out: to stdout, in ASCII where the terminal reads nothing else, or into files.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Instant;

use super::queue::{Queue, Target};
use crate::cli::{Format, OnSlow, OutputArgs};
use crate::console::reads_utf8;
use crate::files::rotating::Rotating;
use crate::model::escape::inert;
use crate::model::rotation::Rotation;
use crate::session::{OutError, Paced, Stop};

/// The destination of the lines.
#[derive(Debug)]
enum To {
    Stdout(Paced),
    Queue(Queue),
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    rotation: Option<Rotation>,
    /// Its number in this run, from 1; 0 before the first.
    number: u32,
    bytes: u64,
    /// It has lines beside those that it begins with.
    has_lines: bool,
    since: Instant,
}

/// The output, with what is known about it.
#[derive(Debug)]
pub(super) struct Out {
    to: To,
    /// `None` for stdout.
    file: Option<Current>,
    /// Lines that find no room are dropped.
    drops: bool,
    /// Nothing beyond ASCII is written.
    ascii: Option<Format>,
}

impl Out {
    /// Stdout. A terminal that does not read UTF-8 gets what is beyond ASCII in the escapes of `format`.
    pub(super) fn stdout(stop: Stop, format: Format) -> io::Result<Self> {
        let ascii = (io::stdout().is_terminal() && !reads_utf8()).then_some(format);
        Ok(Self { to: To::Stdout(Paced::stdout(stop)?), file: None, drops: false, ascii })
    }

    /// The output that the options name. To be called before this thread drops its privileges.
    pub(super) fn of(args: &OutputArgs, stop: Stop, format: Format) -> io::Result<Self> {
        let drops = args.on_slow == OnSlow::Drop;
        let Some(dir) = &args.output else {
            let out = Self::stdout(stop.clone(), format)?;
            return Ok(match (drops, out.to) {
                (true, To::Stdout(paced)) => {
                    let to = To::Queue(Queue::start(Target::Stdout(paced), stop)?);
                    Self { to, drops, ..out }
                }
                (_, to) => Self { to, ..out },
            });
        };
        let extension = match format {
            Format::Text => "txt",
            Format::Json => "jsonl",
            Format::Csv => "csv",
        };
        let row = Rotating::new(dir, extension, args.keep)?;
        let to = To::Queue(Queue::start(Target::Files(row, None), stop)?);
        let (number, bytes, has_lines) = Default::default();
        let since = Instant::now();
        let file = Some(Current { rotation: args.rotate, number, bytes, has_lines, since });
        Ok(Self { to, file, drops, ascii: None })
    }

    /// Writes all of `bytes` and empties the buffer.
    pub(super) fn write(&mut self, bytes: &mut Vec<u8>) -> Result<(), OutError> {
        if let Some(format) = self.ascii {
            *bytes = in_ascii(bytes, format);
        }
        if let Some(file) = &mut self.file {
            file.bytes += bytes.len() as u64;
            file.has_lines |= !bytes.is_empty();
        }
        match &self.to {
            To::Stdout(paced) => {
                let done = paced.write_all(bytes);
                bytes.clear();
                done
            }
            To::Queue(queue) => {
                // A copy: the buffer has room for far more than most lines, and the queue counts bytes alone.
                let lines = bytes.to_vec();
                bytes.clear();
                queue.lines(lines)
            }
        }
    }

    /// Whether lines are to be dropped now, since the disk or the reader is slow.
    pub(super) fn is_slow(&self, bytes: usize) -> bool {
        match &self.to {
            To::Queue(queue) => self.drops && !queue.has_room(bytes),
            To::Stdout(_) => false,
        }
    }

    /// The number of the file that is to begin before `more` bytes are written.
    pub(super) fn next_file(&self, more: usize) -> Option<u32> {
        let file = self.file.as_ref()?;
        let age = file.since.elapsed();
        let is_due = |r: Rotation| file.has_lines && r.is_due(file.bytes, more as u64, age);
        (file.number == 0 || file.rotation.is_some_and(is_due)).then_some(file.number + 1)
    }

    /// The length of the lines that have room in the current file, one at least, where not all have. A line that
    /// begins with a space is a row of the table before it, in text, and stays with it.
    pub(super) fn part(&self, lines: &[u8]) -> Option<usize> {
        let file = self.file.as_ref()?;
        let room = file.rotation?.room(file.bytes)?;
        let room = usize::try_from(room).ok().filter(|room| *room < lines.len())?;
        let begins = |at: &usize| {
            lines.get(at - 1) == Some(&b'\n') && lines.get(*at).is_some_and(|byte| *byte != b' ')
        };
        (1..=room).rev().find(begins).or_else(|| (room + 1..lines.len()).find(begins))
    }

    /// Begins that file with these lines.
    pub(super) fn begin_file(&mut self, head: Vec<u8>) -> Result<(), OutError> {
        let (Some(file), To::Queue(queue)) = (&mut self.file, &self.to) else { return Ok(()) };
        file.number += 1;
        (file.bytes, file.has_lines, file.since) = (head.len() as u64, false, Instant::now());
        queue.begin(head)
    }

    /// Finds out, without a write, that no more can be written.
    pub(super) fn check(&self) -> Result<(), OutError> {
        match &self.to {
            To::Stdout(paced) if paced.reader_gone() => Err(OutError::Closed),
            To::Stdout(_) => Ok(()),
            To::Queue(queue) => queue.failed().map_or(Ok(()), Err),
        }
    }

    /// Waits until everything is written, and files are on the disk.
    pub(super) fn finish(&mut self) -> Result<(), OutError> {
        match &mut self.to {
            To::Stdout(_) => Ok(()),
            To::Queue(queue) => queue.finish(),
        }
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
    fn lines_are_divided_where_the_file_is_full() {
        let target =
            || Target::Stdout(Paced::new(io::pipe().unwrap().1.into(), Stop::default()).unwrap());
        let current = |bytes| Current {
            rotation: Some(Rotation::Size(10)),
            number: 1,
            bytes,
            has_lines: false,
            since: Instant::now(),
        };
        let out = |bytes| Out {
            to: To::Queue(Queue::start(target(), Stop::default()).unwrap()),
            file: Some(current(bytes)),
            drops: false,
            ascii: None,
        };
        for (bytes, lines, part) in [
            (0, "abc\nabc\n", None),
            (2, "abc\nabc\n", None),
            (3, "abc\nabc\n", Some(4)),
            (6, "abc\nabc\n", Some(4)),
            // One line at least, whatever the room.
            (7, "abc\nabc\n", Some(4)),
            (0, "abcdefghijkl\n", None),
            (0, "abcdefghijkl\nabc\n", Some(13)),
            // A table stays whole.
            (0, "abc\n a\n b\nabc\n", Some(10)),
            (5, "abc\n a\n b\nabc\n", Some(10)),
            (5, "abc\n a\n b\n", None),
        ] {
            assert_eq!(out(bytes).part(lines.as_bytes()), part, "{bytes} {lines:?}");
        }
    }

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
