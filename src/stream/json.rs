//! JSON lines: one object per line.
//!
//! Records are written straight into a byte buffer. At hundreds of thousands of lines per second, a
//! tree of values or a general formatter would cost more than all the rest of the program.

use super::conns::{self, Cell, Row};
use super::fields::Fields;
use super::lines::{FileLine, IoLine, Lines, ListenerLine, Note, OpenLine, ProcessLine, SlowLine};
use super::put::{self, Times};
use super::record::{self, Key, Record, Sink, Value, Visitor};
use crate::model::connections::{Change, Connections, Net};
use crate::model::escape::{escape, needs_escape};
use crate::model::flags;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, Stamp, WallOffset};

/// The format and what it keeps from line to line.
#[derive(Clone, Debug)]
pub struct Json {
    times: Times,
    /// The constant fields, with a comma before each.
    constant: Vec<u8>,
}

impl Default for Json {
    fn default() -> Self {
        Self { times: Times::rfc3339(), constant: Vec::new() }
    }
}

impl Lines for Json {
    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>) {
        self.event(out, Stamp { mono: line.open.meta.at, wall: line.wall }, line);
    }

    fn process(&mut self, out: &mut Vec<u8>, line: &ProcessLine<'_>) {
        self.event(out, Stamp { mono: line.event.at, wall: line.wall }, *line);
    }

    fn file(&mut self, out: &mut Vec<u8>, line: &FileLine<'_>) {
        self.event(out, Stamp { mono: line.event.at, wall: line.wall }, *line);
    }

    fn io(&mut self, out: &mut Vec<u8>, line: &IoLine<'_>) {
        self.event(out, line.at, *line);
    }

    fn slow(&mut self, out: &mut Vec<u8>, line: &SlowLine<'_>) {
        self.event(out, Stamp { mono: line.event.at, wall: line.wall }, *line);
    }

    fn listener(&mut self, out: &mut Vec<u8>, line: &ListenerLine<'_>) {
        self.event(out, line.at, *line);
    }

    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample) {
        self.event(out, sample.at, sample);
    }

    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, change: &Change) {
        self.begin(out, change.what.name(), wall, change.at);
        self.cells(out, wall, &conns::change(change), ",");
        raw(out, "}\n");
    }

    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Connections, processes: &[&Net]) {
        self.begin(out, "owners", at.wall, at.mono);
        self.cells(out, at.wall, &conns::owners(owners, processes), ",");
        raw(out, "}\n");
    }

    fn note(&mut self, out: &mut Vec<u8>, note: &Note<'_>) -> bool {
        match note {
            Note::Ready(ready) => self.event(out, ready.at, *ready),
            Note::Lost(lost) => self.event(out, lost.at, *lost),
            Note::UnderWay(line) => self.event(out, line.at, *line),
            Note::Summary(summary) => self.event(out, summary.at, *summary),
        }
        true
    }
}

impl Json {
    /// Lines with these constant fields after `time`.
    pub fn with(fields: &Fields) -> Self {
        let mut json = Self::default();
        for (name, value) in fields.iter() {
            raw(&mut json.constant, ",\"");
            raw(&mut json.constant, name);
            raw(&mut json.constant, "\":");
            string(&mut json.constant, value.as_bytes());
        }
        json
    }

    /// A line of an event.
    #[inline]
    fn event<L: record::Line>(&mut self, out: &mut Vec<u8>, at: Stamp, line: L) {
        self.line(out, L::TYPE, at.wall, at.mono, line);
    }

    /// A line: its type and time, then the fields of its record.
    #[inline]
    pub(crate) fn line<R: Record>(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        wall: WallOffset,
        at: Mono,
        record: R,
    ) {
        self.begin(out, kind, wall, at);
        R::fields(&mut Pairs { to: Writer { out, times: &mut self.times, wall }, record });
        raw(out, "}\n");
    }

    fn begin(&mut self, out: &mut Vec<u8>, kind: &str, wall: WallOffset, at: Mono) {
        raw(out, "{\"type\":\"");
        raw(out, kind);
        raw(out, "\",\"time\":\"");
        self.times.full(out, wall, at);
        out.push(b'"');
        out.extend_from_slice(&self.constant);
    }

    /// Keys and values, `before` the first of them.
    fn cells(&mut self, out: &mut Vec<u8>, wall: WallOffset, row: &Row, mut before: &str) {
        for (key, cell) in row {
            raw(out, before);
            raw(out, "\"");
            raw(out, key);
            raw(out, "\":");
            self.cell(out, wall, cell);
            before = ",";
        }
    }

    fn cell(&mut self, out: &mut Vec<u8>, wall: WallOffset, cell: &Cell) {
        match cell {
            Cell::None => null(out),
            Cell::Int(n) => put::int(out, *n),
            Cell::Text(text) => string(out, text),
            Cell::Word(text) if text == "true" || text == "false" => raw(out, text),
            Cell::Word(text) => word(out, Some(text)),
            Cell::Time(at) => {
                out.push(b'"');
                self.times.full(out, wall, *at);
                out.push(b'"');
            }
            Cell::Seconds(ns) => put::seconds(out, *ns),
            Cell::Rate(count, ns) => put::rate(out, *count, *ns),
            Cell::Row(row) => {
                out.push(b'{');
                self.cells(out, wall, row, "");
                out.push(b'}');
            }
            Cell::Rows(rows) => {
                out.push(b'[');
                for (at, row) in rows.iter().enumerate() {
                    raw(out, if at > 0 { ",{" } else { "{" });
                    self.cells(out, wall, row, "");
                    out.push(b'}');
                }
                out.push(b']');
            }
        }
    }
}

/// The output and the state of a line.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    times: &'o mut Times,
    wall: WallOffset,
}

/// Writes the fields of a record, a comma before each.
struct Pairs<'o, R> {
    to: Writer<'o>,
    record: R,
}

impl<R: Copy> Visitor<R> for Pairs<'_, R> {
    #[inline(always)]
    fn field<T: Value>(&mut self, key: Key, read: impl FnOnce(R) -> T) {
        let value = read(self.record);
        if !value.is_absent() {
            raw(self.to.out, key.json);
            value.write(&mut self.to);
        }
    }
}

impl Sink for Writer<'_> {
    #[inline(always)]
    fn null(&mut self) {
        null(self.out);
    }

    fn boolean(&mut self, value: bool) {
        raw(self.out, if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn int(&mut self, n: impl itoa::Integer) {
        put::int(self.out, n);
    }

    #[inline(always)]
    fn word(&mut self, word: &str) {
        self.out.push(b'"');
        raw(self.out, word);
        self.out.push(b'"');
    }

    fn plain(&mut self, text: &str) {
        plain(self.out, text);
    }

    #[inline(always)]
    fn text(&mut self, bytes: &[u8]) {
        string(self.out, bytes);
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        self.out.push(b'[');
        for (at, text) in texts.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            string(self.out, text);
        }
        self.out.push(b']');
    }

    fn flags(&mut self, flags: u64) {
        flag_names(self.out, flags);
    }

    fn octal(&mut self, n: u16) {
        self.out.push(b'"');
        put::octal(self.out, n);
        self.out.push(b'"');
    }

    fn time(&mut self, at: Mono) {
        self.out.push(b'"');
        self.times.full(self.out, self.wall, at);
        self.out.push(b'"');
    }

    fn seconds(&mut self, ns: u64) {
        put::seconds(self.out, ns);
    }

    fn rate(&mut self, count: u64, ns: u64) {
        put::rate(self.out, count, ns);
    }

    fn row<R: Record>(&mut self, record: R) {
        let begin = self.out.len();
        let to = Writer { out: self.out, times: self.times, wall: self.wall };
        R::fields(&mut Pairs { to, record });
        // The first field comes with a comma.
        match self.out.get_mut(begin) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
    }

    fn rows<R: Record>(&mut self, rows: impl Iterator<Item = R>) {
        self.out.push(b'[');
        for (at, row) in rows.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.row(row);
        }
        self.out.push(b']');
    }
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn null(out: &mut Vec<u8>) {
    raw(out, "null");
}

/// A word of ours, which needs no escaping.
fn word(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => null(out),
        Some(text) => {
            out.push(b'"');
            raw(out, text);
            out.push(b'"');
        }
    }
}

/// Text from elsewhere: escaped as everywhere, and what is left of JSON's own specials on top.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\')) {
        out.extend_from_slice(text);
    } else {
        for byte in escape(text).bytes() {
            // Control characters are escaped by now.
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out.push(b'"');
}

/// A text of ours, or one that is escaped already: JSON's own specials are escaped on top.
fn plain(out: &mut Vec<u8>, text: &str) {
    if text.chars().any(needs_escape) {
        return string(out, text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn flag_names(out: &mut Vec<u8>, flags: u64) {
    let mut before = "[\"";
    let left = flags::each_name(flags, |name| {
        raw(out, before);
        raw(out, name);
        out.push(b'"');
        before = ",\"";
    });
    if left != 0 {
        raw(out, &format!(",\"{left:#x}\""));
    }
    out.push(b']');
}

#[cfg(test)]
mod tests;
