//! CSV: a header line of the JSON keys, then a row an open or a row a source.
//!
//! One kind a stream. An unknown value is an empty field; several flags stand in one field
//! with `|` between, arguments with spaces. A spreadsheet takes no cell for a formula.

use super::conns::{self, COLUMNS, Cell, Row};
use super::fields::Fields;
use super::lines::{FileLine, IoLine, Lines, ListenerLine, OpenLine, ProcessLine, SlowLine};
use super::put::{self, Times};
use super::record::{self, CsvRow, Key, Record, Sink, SourceRow, Value, Visitor};
use crate::cli::Kind;
use crate::model::connections::{Change, Connections, Net};
use crate::model::escape::{escape, push_byte};
use crate::model::flags;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, Stamp, WallOffset};

/// The format and what it keeps from line to line.
#[derive(Clone, Debug)]
pub struct Csv {
    kind: Kind,
    times: Times,
    fields: Fields,
    /// Their values, with a comma before each.
    constant: Vec<u8>,
}

impl Csv {
    /// Rows of one kind.
    pub fn new(kind: Kind) -> Self {
        let (fields, constant) = Default::default();
        Self { kind, times: Times::rfc3339(), fields, constant }
    }

    /// Rows with these constant columns after `time`.
    pub fn with(kind: Kind, fields: Fields) -> Self {
        let mut constant = Vec::new();
        for (_, value) in fields.iter() {
            constant.push(b',');
            text(&mut constant, value.as_bytes());
        }
        Self { fields, constant, ..Self::new(kind) }
    }
}

impl Lines for Csv {
    fn header(&mut self, out: &mut Vec<u8>) {
        let mut columns = Vec::new();
        match self.kind {
            Kind::Opens => header::<&OpenLine<'_>>(&mut columns),
            Kind::Talkers => header::<CsvRow<'_>>(&mut columns),
            Kind::Connections => raw(&mut columns, COLUMNS),
            Kind::Files => header::<FileLine<'_>>(&mut columns),
            Kind::Processes => header::<ProcessLine<'_>>(&mut columns),
            Kind::Io => header::<IoLine<'_>>(&mut columns),
            Kind::Slow => header::<SlowLine<'_>>(&mut columns),
            Kind::Listeners => header::<ListenerLine<'_>>(&mut columns),
        }
        let rest = columns.strip_prefix(COMMON.as_bytes()).unwrap_or(&columns);
        raw(out, COMMON);
        for (name, _) in self.fields.iter() {
            out.push(b',');
            raw(out, name);
        }
        out.extend_from_slice(rest);
    }

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
        for source in &sample.sources {
            let row = CsvRow(SourceRow { sample, source });
            self.event(out, sample.at, row);
        }
    }

    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, change: &Change) {
        self.cells(out, change.what.name(), wall, change.at, &conns::change(change));
    }

    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Connections, processes: &[&Net]) {
        for net in processes {
            self.cells(out, "owners", at.wall, at.mono, &conns::process(net, owners.attribution));
        }
    }
}

/// The columns that come first in every row.
const COMMON: &str = "type,time";

/// The names of the columns of a record.
pub(crate) fn header<R: Record>(out: &mut Vec<u8>) {
    raw(out, COMMON);
    for described in record::describe::<R>() {
        out.push(b',');
        raw(out, described.key.csv);
    }
    out.push(b'\n');
}

/// Writes the fields of a record, a comma before each.
struct Cells<'o, R> {
    to: Writer<'o>,
    record: R,
}

/// The output and the state of a line.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
    times: &'o mut Times,
    wall: WallOffset,
}

impl<R: Copy> Visitor<R> for Cells<'_, R> {
    #[inline(always)]
    fn field<T: Value>(&mut self, _key: Key, read: impl FnOnce(R) -> T) {
        self.to.out.push(b',');
        read(self.record).write(&mut self.to);
    }
}

impl Sink for Writer<'_> {
    #[inline(always)]
    fn null(&mut self) {}

    fn boolean(&mut self, value: bool) {
        raw(self.out, if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn int(&mut self, n: impl itoa::Integer) {
        put::int(self.out, n);
    }

    #[inline(always)]
    fn word(&mut self, word: &str) {
        raw(self.out, word);
    }

    fn plain(&mut self, text: &str) {
        self::text(self.out, text.as_bytes());
    }

    #[inline(always)]
    fn text(&mut self, bytes: &[u8]) {
        self::text(self.out, bytes);
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let texts: Vec<&[u8]> = texts.collect();
        self::text(self.out, &texts.join(&b' '));
    }

    fn flags(&mut self, flags: u64) {
        raw(self.out, &flags::text(flags));
    }

    fn octal(&mut self, n: u16) {
        put::octal(self.out, n);
    }

    fn time(&mut self, at: Mono) {
        self.times.full(self.out, self.wall, at);
    }

    fn seconds(&mut self, ns: u64) {
        put::seconds(self.out, ns);
    }

    fn rate(&mut self, count: u64, ns: u64) {
        put::rate(self.out, count, ns);
    }

    /// An object has no place in a row.
    fn row<R: Record>(&mut self, _row: R) {}

    fn rows<R: Record>(&mut self, _rows: impl Iterator<Item = R>) {}
}

impl Csv {
    /// A row of an event.
    #[inline]
    fn event<L: record::Line>(&mut self, out: &mut Vec<u8>, at: Stamp, row: L) {
        self.line(out, L::TYPE, at.wall, at.mono, row);
    }

    /// A row: its type and time, then the fields of its record.
    pub(crate) fn line<R: Record>(
        &mut self,
        out: &mut Vec<u8>,
        kind: &str,
        wall: WallOffset,
        at: Mono,
        record: R,
    ) {
        raw(out, kind);
        out.push(b',');
        self.times.full(out, wall, at);
        out.extend_from_slice(&self.constant);
        R::fields(&mut Cells { to: Writer { out, times: &mut self.times, wall }, record });
        out.push(b'\n');
    }

    /// A row of the columns that it has; the others stay empty.
    fn cells(&mut self, out: &mut Vec<u8>, kind: &str, wall: WallOffset, at: Mono, row: &Row) {
        raw(out, kind);
        out.push(b',');
        self.times.full(out, wall, at);
        out.extend_from_slice(&self.constant);
        for key in COLUMNS.trim_end().split(',').skip(2) {
            let cell = row.iter().find(|(k, _)| *k == key).map_or(&Cell::None, |(_, cell)| cell);
            out.push(b',');
            match cell {
                Cell::None | Cell::Row(_) | Cell::Rate(..) => {}
                Cell::Int(n) => put::int(out, *n),
                Cell::Text(bytes) => text(out, bytes),
                Cell::Word(ours) => raw(out, ours),
                Cell::Time(at) => self.times.full(out, wall, *at),
                Cell::Seconds(ns) => put::seconds(out, *ns),
                Cell::Rows(rows) => {
                    raw(out, &rows.iter().map(in_one).collect::<Vec<_>>().join("|"));
                }
            }
        }
        out.push(b'\n');
    }
}

/// The numbers of a row in one field, a process's id first.
fn in_one(row: &Row) -> String {
    let numbers = row.iter().filter_map(|(key, cell)| match cell {
        Cell::Int(n) if *key != "uid" => Some(n.to_string()),
        _ => None,
    });
    numbers.collect::<Vec<_>>().join(" ")
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// Bytes from elsewhere: escaped, no formula, in quotes where they contain a comma or a quote.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let escaped = escape(bytes);
    let mut prefix = String::new();
    let rest = match escaped.strip_prefix(['=', '+', '-', '@']) {
        Some(rest) => {
            escaped.bytes().take(1).for_each(|b| push_byte(&mut prefix, b));
            rest
        }
        None => &*escaped,
    };
    if rest.contains([',', '"']) {
        out.push(b'"');
        raw(out, &prefix);
        raw(out, &rest.replace('"', "\"\""));
        out.push(b'"');
    } else {
        raw(out, &prefix);
        raw(out, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::sample;

    fn written(kind: Kind, write: impl FnOnce(&mut Csv, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        let mut csv = Csv::new(kind);
        csv.header(&mut out);
        write(&mut csv, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_an_open() {
        let batch = sample::opens();
        let text = written(Kind::Opens, |csv, out| {
            for open in batch.iter() {
                csv.open(out, &OpenLine { open, wall: batch.wall, cgroup: None });
            }
        });
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            rows[0],
            "type,time,pid,tid,ppid,uid,comm,process,syscall,path,resolved,resolved_kind,flags,\
             mode,fd,errno,slot,latency_ns,cgroup,container,pod,unit,container_name,\
             pod_name,namespace"
        );
        assert_eq!(
            rows[1],
            "open,2026-11-22T12:00:00.000000000Z,812,813,1,0,worker,nginx,openat,conf/site.conf,\
             /etc/nginx/conf/site.conf,opened,O_RDONLY|O_CLOEXEC,,5,,,,,,,,,,"
        );
        assert_eq!(
            rows[2],
            "open,2026-11-22T12:00:00.000500000Z,1044,1044,900,1000,cat,cat,creat,\
             \"\\x3da \"\"b\"\",\\n\\x1b[31m\\xff\\\\\",,,O_WRONLY|O_CREAT|O_TRUNC,0644,,ENOENT,,12345,,,,,,,"
        );
        // As many fields as the header has names.
        assert_eq!(rows[1].matches(',').count(), rows[0].matches(',').count());
    }

    #[test]
    fn a_row_a_source() {
        let text = written(Kind::Talkers, |csv, out| csv.talkers(out, &sample::talkers()));
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(
            rows[0],
            "type,time,interface,direction,interval_s,packets,bytes,other_packets,other_bytes,\
             partial,ip,since,source_packets,source_bytes,pps,bps"
        );
        assert_eq!(
            rows[1],
            "talkers,2026-11-22T12:00:01.002000000Z,eth0,rx,1.002,970,85500,10,600,,10.0.0.2,\
             2026-11-22T12:00:00.000000000Z,900,80000,89.8,63872.3"
        );
        assert_eq!(rows[1].matches(',').count(), rows[0].matches(',').count());
    }

    #[test]
    fn constant_fields_are_columns() {
        let given = [("env", "a,\"b\""), ("team", "=1")];
        let fields = Fields::new(&given.map(|(n, v)| (n.into(), v.into())), &[]).unwrap();
        let mut out = Vec::new();
        let mut csv = Csv::with(Kind::Talkers, fields);
        csv.header(&mut out);
        csv.talkers(&mut out, &sample::talkers());
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<_> = text.lines().collect();
        assert!(rows[0].starts_with("type,time,env,team,interface,"), "{}", rows[0]);
        let begin = "talkers,2026-11-22T12:00:01.002000000Z,\"a,\"\"b\"\"\",\\x3d1,eth0,";
        assert!(rows[1].starts_with(begin), "{}", rows[1]);
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (bytes, cell) in [
            (&b"=1+1"[..], "\\x3d1+1"),
            (b"+a", "\\x2ba"),
            (b"-a", "\\x2da"),
            (b"@a", "\\x40a"),
            (b"a=b", "a=b"),
            (b"=a,b", "\"\\x3da,b\""),
            (b"\t=a", "\\t=a"),
            (b"\"", "\"\"\"\""),
            (b"", ""),
        ] {
            let mut out = Vec::new();
            text(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), cell);
        }
    }
}
