//! Lines for people: one line per open, a table per interval.

mod notes;

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::conns::unattributed;
use super::lines::{FileLine, IoLine, Lines, ListenerLine, OpenLine, ProcessLine, SlowLine};
use super::put::Times;
use crate::model::conn::protocol_name;
use crate::model::connections::{Change, Connections, Net, What};
use crate::model::coverage::Attribution;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::flags;
use crate::model::open::{Open, ResolvedKind};
use crate::model::process_event::ProcessAction;
use crate::model::talkers::{TalkersSample, Traffic};
use crate::model::time::{NS_PER_SEC, Stamp, WallOffset};

pub use notes::note;

/// The header of opens, for a terminal.
const HEADER: &str = "TIME             PID COMM                 RESULT HOW  ";

/// The format and what it keeps from line to line.
#[derive(Clone, Debug)]
pub struct Text {
    times: Times,
    /// The columns of opens have a header.
    header: bool,
    /// Opens have a column for latency.
    latency: bool,
}

impl Text {
    /// `header`: begin with the header of opens, as suits a terminal. `latency`: opens are timed.
    pub fn new(header: bool, latency: bool) -> Self {
        Self { times: Times::of_day(), header, latency }
    }
}

impl Lines for Text {
    fn header(&mut self, out: &mut Vec<u8>) {
        if self.header {
            raw(out, HEADER);
            raw(out, if self.latency { "    LATENCY PATH\n" } else { " PATH\n" });
        }
    }

    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>) {
        let open = &line.open;
        let meta = open.meta;
        self.times.short(out, line.wall, meta.at);
        let mut digits = itoa::Buffer::new();
        right(out, digits.format(meta.tgid), 8);
        out.push(b' ');
        left(out, &escape(meta.comm.as_bytes()), 15);
        match (meta.errno(), meta.slot) {
            (Some(errno), _) => right(out, &errno_name(errno), 12),
            (None, Some(slot)) => right(out, &format!("slot {slot}"), 12),
            (None, None) => right(out, digits.format(meta.ret), 12),
        }
        out.push(b' ');
        left(out, &meta.flags.map_or_else(|| "?".into(), flags::letters), 5);
        if self.latency {
            let text = meta.latency_ns.map_or_else(|| "-".into(), microseconds);
            right(out, &text, 11);
        }
        out.push(b' ');
        path(out, open);
        out.push(b'\n');
    }

    fn process(&mut self, out: &mut Vec<u8>, line: &ProcessLine<'_>) {
        let event = line.event;
        self.times.short(out, line.wall, event.at);
        right(out, itoa::Buffer::new().format(event.key.tgid), 8);
        out.push(b' ');
        left(out, &escape(event.comm.as_bytes()), 15);
        match &event.action {
            ProcessAction::Exec { args, .. } => {
                raw(out, " exec");
                for arg in args.iter().flat_map(|args| args.iter()) {
                    out.push(b' ');
                    raw(out, &escape(arg));
                }
                match args {
                    None => raw(out, " (arguments not known)"),
                    Some(args) if args.is_cut() => {
                        raw(out, &format!(" \u{2026} ({} bytes)", args.bytes));
                    }
                    Some(_) => {}
                }
            }
            ProcessAction::Exit(status) => {
                let seconds = event.age_ns as f64 / NS_PER_SEC as f64;
                raw(out, &format!(" exit {} after {seconds:.3} s", status.text()));
            }
        }
        out.push(b'\n');
    }

    fn file(&mut self, out: &mut Vec<u8>, line: &FileLine<'_>) {
        let event = line.event;
        self.times.short(out, line.wall, event.at);
        right(out, itoa::Buffer::new().format(event.key.tgid), 8);
        out.push(b' ');
        left(out, &escape(event.comm.as_bytes()), 15);
        right(out, &event.errno.map_or_else(|| "-".into(), errno_name), 12);
        out.push(b' ');
        left(out, event.op.name(), 8);
        out.push(b' ');
        raw(out, &escape(event.path.best().unwrap_or(b"?")));
        if event.has_to() {
            raw(out, " -> ");
            raw(out, &escape(event.to.best().unwrap_or(b"?")));
        }
        out.push(b'\n');
    }

    fn io(&mut self, out: &mut Vec<u8>, line: &IoLine<'_>) {
        let counts = line.counts;
        if line.of.is_none() && counts.is_none() {
            return;
        }
        self.times.short(out, line.at.wall, line.at.mono);
        match line.of {
            Some(one) => {
                right(out, itoa::Buffer::new().format(one.key.tgid), 8);
                out.push(b' ');
                left(out, &escape(one.process.as_bytes()), 15);
            }
            None => left(out, "        - other", 24),
        }
        let side =
            |verb: &str, bytes: u64, calls: u64| format!(" {verb} {bytes:>12} B in {calls:>7}");
        raw(out, &side("read", counts.read_bytes, counts.read_calls));
        raw(out, &side("wrote", counts.written_bytes, counts.write_calls));
        if let Some(times) = line.times() {
            let ms = |ns: u64| ns as f64 / 1e6;
            let p = |percent| ms(times.percentile_ns(percent).unwrap_or(0));
            let text = format!(
                " p50 <= {:.3} p99 <= {:.3} max {:.3} ms, {} slow",
                p(50),
                p(99),
                ms(times.max_ns),
                times.slow
            );
            raw(out, &text);
        }
        if let Some(place) = line.place() {
            out.push(b' ');
            raw(out, kind_mark(place.kind));
            raw(out, &escape(&place.path));
        }
        out.push(b'\n');
    }

    fn slow(&mut self, out: &mut Vec<u8>, line: &SlowLine<'_>) {
        let call = line.event;
        self.times.short(out, line.wall, call.at);
        right(out, itoa::Buffer::new().format(call.key.tgid), 8);
        out.push(b' ');
        left(out, &escape(call.comm.as_bytes()), 15);
        let result = match (call.errno(), call.moved()) {
            (Some(errno), _) => errno_name(errno).into_owned(),
            (None, bytes) => format!("{} B", bytes.unwrap_or(0)),
        };
        right(out, &result, 12);
        right(out, &format!("{:.3} ms", call.took_ns as f64 / 1e6), 14);
        out.push(b' ');
        left(out, call.call.name(), 9);
        out.push(b' ');
        match &call.place {
            Some(place) => {
                raw(out, kind_mark(place.kind));
                raw(out, &escape(&place.path));
            }
            None => out.push(b'?'),
        }
        out.push(b'\n');
    }

    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample) {
        self.times.short(out, sample.at.wall, sample.at.mono);
        let mut title = format!(
            " {} {}: {} packets, {} bytes; in {:.3} s {} packets/s, {}bit/s",
            escape(sample.interface.as_bytes()),
            sample.direction.name(),
            sample.total.packets,
            sample.total.bytes,
            sample.interval_ns as f64 / NS_PER_SEC as f64,
            short(per_second(sample.delta.packets, sample.interval_ns)).trim_end(),
            short(per_second(sample.delta.bytes.saturating_mul(8), sample.interval_ns)),
        );
        if let Some(why) = &sample.partial {
            let _ = write!(title, "; partial: {}", escape(why.as_bytes()));
        }
        raw(out, &title);
        raw(out, "\n      bit/s  packets/s           bytes      packets  address\n");
        for source in &sample.sources {
            row(out, sample, source.delta, source.total, &source.ip.to_string());
        }
        if sample.other != Traffic::default() {
            row(out, sample, sample.other_delta, sample.other, "other");
        }
    }

    fn listener(&mut self, out: &mut Vec<u8>, line: &ListenerLine<'_>) {
        let row = line.row;
        self.times.short(out, line.at.wall, line.at.mono);
        match &row.owner {
            Some(owner) => {
                let mut digits = itoa::Buffer::new();
                right(out, digits.format(owner.key.tgid), 8);
                out.push(b' ');
                left(out, &escape(owner.comm.as_bytes()), 15);
            }
            None => left(out, "        - -", 24),
        }
        let (event, protocol) = (line.event.name(), row.bound.protocol());
        let mut text = format!(" {event:<7} {protocol} {} waiting {}", row.bound, row.waiting);
        if let Some(limit) = row.limit {
            let _ = write!(text, " of {limit}");
        }
        if let Some(drops) = row.drops {
            let _ = write!(text, ", {drops} dropped");
        }
        if let Some(accepted) = row.accepted {
            let _ = write!(text, ", {accepted} accepted");
            if row.accepting > 1 {
                let _ = write!(text, " by {} listeners", row.accepting);
            }
        }
        raw(out, &text);
        out.push(b'\n');
    }

    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, change: &Change) {
        let conn = &change.conn;
        self.times.short(out, wall, change.at);
        match conn.owner() {
            Some(owner) => {
                let mut digits = itoa::Buffer::new();
                right(out, digits.format(owner.key.tgid), 8);
                out.push(b' ');
                left(out, &escape(owner.comm.as_bytes()), 15);
            }
            None => left(out, &format!("        - ({})", unattributed(change)), 24),
        }
        let mut text =
            format!(" {:<7} {} {}", change.what.name(), protocol_name(conn.protocol), conn.local);
        if conn.remote.port() != 0 {
            let _ = write!(text, " \u{2192} {}", conn.remote);
        }
        if conn.error != 0 {
            let _ = write!(text, " {}", errno_name(i32::try_from(conn.error).unwrap_or(0)));
        }
        let quality = &conn.quality;
        if change.what == What::Failed {
            let why = if conn.error == 0 { " given up" } else { "" };
            let after = quality.connect_us.map_or(String::new(), |us| format!(" after {}", ms(us)));
            let _ = write!(text, "{why}{after}");
        }
        if change.what == What::Close {
            let _ = match change.carried() {
                Some(all) => {
                    write!(text, " received {} B, sent {} B", all.rx_bytes, all.tx_bytes)
                }
                None => write!(text, " bytes unknown"),
            };
            if let Some(since) = conn.since {
                let _ =
                    write!(text, ", {:.3} s", change.at.since(since) as f64 / NS_PER_SEC as f64);
            }
            if let Some(srtt_us) = quality.srtt_us {
                let _ = write!(text, ", RTT {}", ms(srtt_us));
            }
            if let Some(again @ 1..) = quality.retransmits {
                let _ = write!(text, ", {again} retransmits");
            }
        }
        match change.attribution {
            Attribution::Procfs => text.push_str(" (procfs)"),
            _ if change.unseen => text.push_str(" (its end was not observed)"),
            _ => {}
        }
        raw(out, &text);
        out.push(b'\n');
    }

    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Connections, processes: &[&Net]) {
        self.times.short(out, at.wall, at.mono);
        if owners.polled() {
            return polled(out, owners, processes);
        }
        let all = owners.total;
        let title = format!(
            " connections: {} live; received {} B, sent {} B, unattributed {} B\n",
            owners.live(),
            all.rx_bytes,
            all.tx_bytes,
            owners.unattributed.total().bytes(),
        );
        raw(out, &title);
        raw(out, "   rx bit/s   tx bit/s        received            sent  peers     PID process\n");
        let mut digits = itoa::Buffer::new();
        for net in processes {
            let rate = |bytes: u64| short(per_second(bytes.saturating_mul(8), owners.interval_ns));
            right(out, &rate(net.delta.rx_bytes), 11);
            right(out, &rate(net.delta.tx_bytes), 11);
            right(out, digits.format(net.total.rx_bytes), 16);
            right(out, digits.format(net.total.tx_bytes), 16);
            right(out, digits.format(net.peers), 7);
            right(out, digits.format(net.owner.key.tgid), 8);
            out.push(b' ');
            raw(out, &escape(net.owner.comm.as_bytes()));
            out.push(b'\n');
        }
    }

    fn has_cgroup(&self) -> bool {
        false
    }
}

/// Microseconds as milliseconds.
fn ms(us: u32) -> String {
    format!("{:.3} ms", f64::from(us) / 1e3)
}

/// The table of an interval where sockets are polled: no bytes are known.
fn polled(out: &mut Vec<u8>, owners: &Connections, processes: &[&Net]) {
    raw(
        out,
        &format!(" connections: {} live (procfs: bytes per process are unknown)\n", owners.live()),
    );
    raw(out, "   live    seen  peers     PID process\n");
    let mut digits = itoa::Buffer::new();
    for net in processes {
        right(out, digits.format(net.live), 7);
        right(out, digits.format(net.begun), 8);
        right(out, digits.format(net.peers), 7);
        right(out, digits.format(net.owner.key.tgid), 8);
        out.push(b' ');
        raw(out, &escape(net.owner.comm.as_bytes()));
        out.push(b'\n');
    }
}

fn row(out: &mut Vec<u8>, sample: &TalkersSample, delta: Traffic, total: Traffic, name: &str) {
    let mut digits = itoa::Buffer::new();
    right(out, &short(per_second(delta.bytes.saturating_mul(8), sample.interval_ns)), 11);
    right(out, &short(per_second(delta.packets, sample.interval_ns)), 11);
    right(out, digits.format(total.bytes), 16);
    right(out, digits.format(total.packets), 13);
    raw(out, "  ");
    raw(out, name);
    out.push(b'\n');
}

fn per_second(count: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { count as f64 * NS_PER_SEC as f64 / ns as f64 }
}

/// A number with about three digits and a decimal prefix: `999`, `9.60 k`, `12.3 M`.
fn short(n: f64) -> String {
    let mut n = n;
    let mut units = ["", "k", "M", "G", "T", "P"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if n < 999.5 {
            break;
        }
        n /= 1_000.0;
        unit = next;
    }
    match (unit, n) {
        ("", n) => format!("{n:.0} "),
        (_, n) if n < 9.995 => format!("{n:.2} {unit}"),
        (_, n) if n < 99.95 => format!("{n:.1} {unit}"),
        _ => format!("{n:.0} {unit}"),
    }
}

/// Nanoseconds as microseconds with one digit of fraction.
fn microseconds(ns: u64) -> String {
    format!("{}.{}\u{b5}s", ns / 1_000, ns / 100 % 10)
}

/// The best path that is known, with a note before it where it is not that of an open file.
fn path(out: &mut Vec<u8>, open: &Open<'_>) {
    if let Some((kind, _)) = open.resolved {
        raw(out, kind_mark(kind));
    }
    match open.best_path() {
        None => raw(out, "(path not known)"),
        Some(b"") => raw(out, "\"\""),
        Some(path) => raw(out, &escape(path)),
    }
}

/// The note before a path that is not that of an open file.
fn kind_mark(kind: ResolvedKind) -> &'static str {
    match kind {
        ResolvedKind::Deleted => "(deleted) ",
        ResolvedKind::Tmpfile => "(unnamed in) ",
        ResolvedKind::Anon => "(no file) ",
        ResolvedKind::Opened | ResolvedKind::Tried => "",
    }
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn pad(out: &mut Vec<u8>, cells: usize, width: usize) {
    out.resize(out.len() + width.saturating_sub(cells), b' ');
}

/// `text` and spaces up to `width` cells; longer text is not cut.
fn left(out: &mut Vec<u8>, text: &str, width: usize) {
    raw(out, text);
    pad(out, text.width(), width);
}

fn right(out: &mut Vec<u8>, text: &str, width: usize) {
    pad(out, text.width(), width);
    raw(out, text);
}

#[cfg(test)]
mod tests;
