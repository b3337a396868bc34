//! CSV: a header line of the JSON keys, then a row an open or a row a source.
//!
//! One kind a stream. What is not known is an empty field; several flags stand in one field
//! with `|` between. A spreadsheet takes no cell for a formula.

use super::conns::{self, COLUMNS, Cell, Row};
use super::lines::{Lines, OpenLine};
use super::put::{self, Times};
use crate::cli::Kind;
use crate::model::errno::errno_name;
use crate::model::escape::{escape, push_byte};
use crate::model::flags;
use crate::model::owners::{Net, Owners, Told};
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, Stamp, WallOffset};

const OPENS: &str = "type,time,pid,tid,ppid,uid,comm,process,syscall,path,resolved,resolved_kind,\
    flags,mode,fd,errno,latency_ns,cgroup,container,pod\n";

/// A source's own `packets` and `bytes` are told apart from the interface's by their prefix.
const TALKERS: &str = "type,time,interface,direction,interval_s,packets,bytes,other_packets,\
    other_bytes,partial,ip,since,source_packets,source_bytes,pps,bps\n";

/// The format and what it keeps from line to line.
#[derive(Clone, Debug)]
pub struct Csv {
    kind: Kind,
    times: Times,
}

impl Csv {
    /// Rows of one kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, times: Times::rfc3339() }
    }
}

impl Lines for Csv {
    fn header(&mut self, out: &mut Vec<u8>) {
        raw(
            out,
            match self.kind {
                Kind::Opens => OPENS,
                Kind::Talkers => TALKERS,
                Kind::Connections => COLUMNS,
            },
        );
    }

    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>) {
        let open = &line.open;
        let meta = open.meta;
        raw(out, "open,");
        self.times.full(out, line.wall, meta.at);
        for n in [meta.tgid, meta.tid, meta.ppid, meta.uid] {
            out.push(b',');
            put::int(out, n);
        }
        text(out, Some(meta.comm.as_bytes()));
        text(out, Some(meta.process.as_bytes()));
        word(out, Some(meta.syscall.name()));
        text(out, open.path);
        text(out, open.resolved.map(|(_, path)| path));
        word(out, open.resolved.map(|(kind, _)| kind.name()));
        word(out, meta.flags.map(flags::text).as_deref());
        out.push(b',');
        if let Some(mode) = flags::mode(meta.flags, meta.mode) {
            put::octal(out, mode);
        }
        out.push(b',');
        if let Some(fd) = meta.fd() {
            put::int(out, fd);
        }
        word(out, meta.errno().map(errno_name).as_deref());
        out.push(b',');
        if let Some(ns) = meta.latency_ns {
            put::int(out, ns);
        }
        text(out, line.cgroup.map(|c| &*c.path));
        word(out, line.cgroup.and_then(|c| c.owner.container()));
        word(out, line.cgroup.and_then(|c| c.owner.pod()));
        out.push(b'\n');
    }

    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample) {
        for source in &sample.sources {
            raw(out, "talkers,");
            self.times.full(out, sample.at.wall, sample.at.mono);
            text(out, Some(sample.interface.as_bytes()));
            word(out, Some(sample.direction.name()));
            out.push(b',');
            put::seconds(out, sample.interval_ns);
            let (total, other) = (sample.total, sample.other);
            for n in [total.packets, total.bytes, other.packets, other.bytes] {
                out.push(b',');
                put::int(out, n);
            }
            text(out, sample.partial.as_deref().map(str::as_bytes));
            word(out, Some(&source.ip.to_string()));
            out.push(b',');
            self.times.full(out, sample.at.wall, source.since);
            for n in [source.total.packets, source.total.bytes] {
                out.push(b',');
                put::int(out, n);
            }
            out.push(b',');
            put::rate(out, source.delta.packets, sample.interval_ns);
            out.push(b',');
            put::rate(out, source.delta.bytes.saturating_mul(8), sample.interval_ns);
            out.push(b'\n');
        }
    }

    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, told: &Told) {
        self.cells(out, told.what.name(), wall, told.at, &conns::told(told));
    }

    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Owners, processes: &[&Net]) {
        for net in processes {
            self.cells(out, "owners", at.wall, at.mono, &conns::process(net, owners.attribution));
        }
    }
}

impl Csv {
    /// A row of the columns that it has; the others stay empty.
    fn cells(&mut self, out: &mut Vec<u8>, kind: &str, wall: WallOffset, at: Mono, row: &Row) {
        raw(out, kind);
        out.push(b',');
        self.times.full(out, wall, at);
        for key in COLUMNS.trim_end().split(',').skip(2) {
            let cell = row.iter().find(|(k, _)| *k == key).map_or(&Cell::None, |(_, cell)| cell);
            match cell {
                Cell::None | Cell::Row(_) | Cell::Rate(..) => out.push(b','),
                Cell::Int(n) => {
                    out.push(b',');
                    put::int(out, *n);
                }
                Cell::Text(bytes) => text(out, Some(bytes)),
                Cell::Word(ours) => word(out, Some(ours)),
                Cell::Time(at) => {
                    out.push(b',');
                    self.times.full(out, wall, *at);
                }
                Cell::Seconds(ns) => {
                    out.push(b',');
                    put::seconds(out, *ns);
                }
                Cell::Rows(rows) => {
                    word(out, Some(&rows.iter().map(in_one).collect::<Vec<_>>().join("|")))
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

/// A comma and a word of ours.
fn word(out: &mut Vec<u8>, word: Option<&str>) {
    out.push(b',');
    raw(out, word.unwrap_or_default());
}

/// A comma and text from elsewhere: escaped, no formula, in quotes where it holds a comma or
/// a quote.
fn text(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(b',');
    let Some(bytes) = bytes else { return };
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
        assert_eq!(rows[0], OPENS.trim_end());
        assert_eq!(
            rows[1],
            "open,2026-11-22T12:00:00.000000000Z,812,813,1,0,worker,nginx,openat,conf/site.conf,\
             /etc/nginx/conf/site.conf,opened,O_RDONLY|O_CLOEXEC,,5,,,,,"
        );
        assert_eq!(
            rows[2],
            "open,2026-11-22T12:00:00.000500000Z,1044,1044,900,1000,cat,cat,creat,\
             \"\\x3da \"\"b\"\",\\n\\x1b[31m\\xff\\\\\",,,O_WRONLY|O_CREAT|O_TRUNC,0644,,ENOENT,12345,,,"
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
            rows[1],
            "talkers,2026-11-22T12:00:01.002000000Z,eth0,rx,1.002,970,85500,10,600,,10.0.0.2,\
             2026-11-22T12:00:00.000000000Z,900,80000,89.8,63872.3"
        );
        assert_eq!(rows[1].matches(',').count(), rows[0].matches(',').count());
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
            text(&mut out, Some(bytes));
            assert_eq!(String::from_utf8(out).unwrap(), format!(",{cell}"));
        }
    }
}
