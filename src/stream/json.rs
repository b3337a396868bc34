//! One JSON object a line, straight into a byte buffer: at hundreds of thousands of lines a
//! second, a tree of values or a formatter would be what the program spends its time on.

use super::conns::{self, Cell, Row};
use super::lines::{Lines, Note, OpenLine};
use super::put::{self, Times};
use super::tally::{Coverage, Ready, Summary, hook};
use crate::model::coverage::Attribution;
use crate::model::errno::errno_name;
use crate::model::escape::{escape, is_active};
use crate::model::flags;
use crate::model::owners::{Net, Owners, Told};
use crate::model::talkers::{Direction, Source, TalkersSample};
use crate::model::time::{Mono, Stamp, WallOffset};

/// The format and what it keeps from line to line.
#[derive(Clone, Debug)]
pub struct Json {
    times: Times,
}

impl Default for Json {
    fn default() -> Self {
        Self { times: Times::rfc3339() }
    }
}

impl Lines for Json {
    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>) {
        let open = &line.open;
        let meta = open.meta;
        self.begin(out, "open", line.wall, meta.at);
        raw(out, ",\"pid\":");
        put::int(out, meta.tgid);
        raw(out, ",\"tid\":");
        put::int(out, meta.tid);
        raw(out, ",\"ppid\":");
        put::int(out, meta.ppid);
        raw(out, ",\"uid\":");
        put::int(out, meta.uid);
        raw(out, ",\"comm\":");
        string(out, meta.comm.as_bytes());
        raw(out, ",\"process\":");
        string(out, meta.process.as_bytes());
        raw(out, ",\"syscall\":\"");
        raw(out, meta.syscall.name());
        raw(out, "\",\"path\":");
        optional(out, open.path);
        raw(out, ",\"resolved\":");
        optional(out, open.resolved.map(|(_, path)| path));
        raw(out, ",\"resolved_kind\":");
        word(out, open.resolved.map(|(kind, _)| kind.name()));
        raw(out, ",\"flags\":");
        flag_names(out, meta.flags);
        raw(out, ",\"mode\":");
        match flags::mode(meta.flags, meta.mode) {
            None => null(out),
            Some(mode) => {
                out.push(b'"');
                put::octal(out, mode);
                out.push(b'"');
            }
        }
        raw(out, ",\"fd\":");
        match meta.fd() {
            Some(fd) => put::int(out, fd),
            None => null(out),
        }
        raw(out, ",\"errno\":");
        word(out, meta.errno().map(errno_name).as_deref());
        if let Some(slot) = meta.slot {
            raw(out, ",\"slot\":");
            put::int(out, slot);
        }
        raw(out, ",\"latency_ns\":");
        number(out, meta.latency_ns);
        raw(out, ",\"cgroup\":");
        optional(out, line.cgroup.map(|c| &*c.path));
        raw(out, ",\"container\":");
        word(out, line.cgroup.and_then(|c| c.owner.container()));
        raw(out, ",\"pod\":");
        word(out, line.cgroup.and_then(|c| c.owner.pod()));
        raw(out, "}\n");
    }

    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample) {
        self.begin(out, "talkers", sample.at.wall, sample.at.mono);
        raw(out, ",\"interface\":");
        string(out, sample.interface.as_bytes());
        raw(out, ",\"direction\":\"");
        raw(out, sample.direction.name());
        raw(out, "\",\"interval_s\":");
        put::seconds(out, sample.interval_ns);
        raw(out, ",\"packets\":");
        put::int(out, sample.total.packets);
        raw(out, ",\"bytes\":");
        put::int(out, sample.total.bytes);
        raw(out, ",\"other_packets\":");
        put::int(out, sample.other.packets);
        raw(out, ",\"other_bytes\":");
        put::int(out, sample.other.bytes);
        raw(out, ",\"partial\":");
        optional(out, sample.partial.as_deref().map(str::as_bytes));
        raw(out, ",\"sources\":[");
        for (at, source) in sample.sources.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.source(out, sample, source);
        }
        raw(out, "]}\n");
    }

    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, told: &Told) {
        self.begin(out, told.what.name(), wall, told.at);
        self.cells(out, wall, &conns::told(told), ",");
        raw(out, "}\n");
    }

    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Owners, processes: &[&Net]) {
        self.begin(out, "owners", at.wall, at.mono);
        self.cells(out, at.wall, &conns::owners(owners, processes), ",");
        raw(out, "}\n");
    }

    fn note(&mut self, out: &mut Vec<u8>, note: &Note<'_>) -> bool {
        match note {
            Note::Ready(ready) => self.ready(out, ready),
            Note::Lost { at, opens } => {
                self.begin(out, "lost", at.wall, at.mono);
                raw(out, ",\"opens\":");
                put::int(out, *opens);
                raw(out, "}\n");
            }
            Note::LostConnections { at, connections } => {
                self.begin(out, "lost", at.wall, at.mono);
                raw(out, ",\"connections\":");
                put::int(out, *connections);
                raw(out, "}\n");
            }
            Note::Summary(summary) => self.summary(out, summary),
        }
        true
    }
}

impl Json {
    fn begin(&mut self, out: &mut Vec<u8>, kind: &str, wall: WallOffset, at: Mono) {
        raw(out, "{\"type\":\"");
        raw(out, kind);
        raw(out, "\",\"time\":\"");
        self.times.full(out, wall, at);
        out.push(b'"');
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

    fn source(&mut self, out: &mut Vec<u8>, sample: &TalkersSample, source: &Source) {
        raw(out, "{\"ip\":\"");
        // RFC 5952 is how the standard library writes addresses; an address has no quotes.
        raw(out, &source.ip.to_string());
        raw(out, "\",\"since\":\"");
        self.times.full(out, sample.at.wall, source.since);
        raw(out, "\",\"packets\":");
        put::int(out, source.total.packets);
        raw(out, ",\"bytes\":");
        put::int(out, source.total.bytes);
        raw(out, ",\"pps\":");
        put::rate(out, source.delta.packets, sample.interval_ns);
        raw(out, ",\"bps\":");
        put::rate(out, source.delta.bytes.saturating_mul(8), sample.interval_ns);
        out.push(b'}');
    }

    fn ready(&mut self, out: &mut Vec<u8>, ready: &Ready) {
        let Stamp { mono, wall } = ready.at;
        self.begin(out, "ready", wall, mono);
        raw(out, ",\"opens\":");
        raw(out, if ready.opens { "true" } else { "false" });
        raw(out, ",\"talkers\":");
        raw(out, if ready.talkers { "true" } else { "false" });
        raw(out, ",\"interface\":");
        optional(out, ready.interface());
        raw(out, ",\"xdp_mode\":");
        word(out, ready.hook(Direction::Rx).map(|h| h.name()));
        raw(out, ",\"tx_mode\":");
        word(out, ready.hook(Direction::Tx).map(|h| h.name()));
        raw(out, ",\"version\":\"");
        raw(out, env!("CARGO_PKG_VERSION"));
        out.push(b'"');
        if ready.connections {
            raw(out, ",\"connections\":true");
        }
        // With `all`, each interface's own modes.
        if ready.watched.len() > 1 {
            raw(out, ",\"interfaces\":[");
            for (at, watched) in ready.watched.iter().enumerate() {
                raw(out, if at > 0 { ",{\"interface\":" } else { "{\"interface\":" });
                string(out, watched.interface.as_bytes());
                raw(out, ",\"xdp_mode\":");
                word(out, hook(watched, Direction::Rx).map(|h| h.name()));
                raw(out, ",\"tx_mode\":");
                word(out, hook(watched, Direction::Tx).map(|h| h.name()));
                out.push(b'}');
            }
            out.push(b']');
        }
        if let Some(netns) = &ready.netns {
            raw(out, ",\"netns\":");
            string(out, netns.as_bytes());
        }
        coverage(out, &ready.coverage);
        raw(out, "}\n");
    }

    fn summary(&mut self, out: &mut Vec<u8>, summary: &Summary) {
        self.begin(out, "summary", summary.at.wall, summary.at.mono);
        raw(out, ",\"duration_s\":");
        put::seconds(out, summary.duration_ns);
        let opens = summary.opens;
        let (rx, tx) = (summary.talkers.map(|t| t.0), summary.talkers.map(|t| t.1));
        for (key, value) in [
            (",\"opens\":", opens.map(|o| o.written)),
            (",\"opens_seen\":", opens.map(|o| o.seen)),
            (",\"opens_lost\":", opens.map(|o| o.lost)),
            (",\"opens_unfinished\":", opens.map(|o| o.unfinished)),
            (",\"opens_unnamed\":", opens.map(|o| o.unnamed)),
            (",\"rx_packets\":", rx.map(|t| t.packets)),
            (",\"rx_bytes\":", rx.map(|t| t.bytes)),
            (",\"tx_packets\":", tx.map(|t| t.packets)),
            (",\"tx_bytes\":", tx.map(|t| t.bytes)),
        ] {
            raw(out, key);
            number(out, value);
        }
        if let Some(c) = summary.connections {
            for (key, value) in [
                (",\"connects\":", c.connects),
                (",\"accepts\":", c.accepts),
                (",\"closes\":", c.closes),
                (",\"connections_lost\":", c.lost),
            ] {
                raw(out, key);
                put::int(out, value);
            }
            if let Some(seen) = c.seen {
                raw(out, ",\"seen\":");
                put::int(out, seen);
            }
        }
        coverage(out, &summary.coverage);
        raw(out, "}\n");
    }
}

/// How connections are attributed, and which features the kernel refused.
fn coverage(out: &mut Vec<u8>, coverage: &Coverage) {
    raw(out, ",\"attribution\":");
    word(out, coverage.attribution.map(Attribution::name));
    raw(out, ",\"missing\":[");
    for (at, missing) in coverage.missing.iter().enumerate() {
        raw(out, if at > 0 { ",{\"feature\":" } else { "{\"feature\":" });
        plain(out, &missing.feature);
        raw(out, ",\"program\":");
        plain(out, &missing.program);
        raw(out, ",\"error\":");
        plain(out, &missing.error);
        out.push(b'}');
    }
    out.push(b']');
}

fn raw(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn null(out: &mut Vec<u8>) {
    raw(out, "null");
}

fn number(out: &mut Vec<u8>, n: Option<u64>) {
    match n {
        Some(n) => put::int(out, n),
        None => null(out),
    }
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

fn optional(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => null(out),
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
    if text.chars().any(is_active) {
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

fn flag_names(out: &mut Vec<u8>, flags: Option<u64>) {
    let Some(flags) = flags else { return null(out) };
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
