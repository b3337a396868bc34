//! The detail view of a talker: both directions with their graphs, protocols, sizes and ports.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::glyphs::{graph, stretch};
use super::talkers_data::Ctx;
use super::text::{Line, cut};
use super::{address, num};
use crate::model::compare::Compared;
use crate::model::history::HISTORY_SECONDS;
use crate::model::link::Hook;
use crate::model::services::{icmp, protocol, service};
use crate::model::slab::Slot;
use crate::model::talkers::{Direction, SIZE_LIMITS, SIZES, Traffic};
use crate::model::wire::Talker;
use crate::model::wire::talk::{Talk, Topic};

/// Cells of a graph beside the figures: a minute in braille.
const GRAPH: usize = 30;

/// From this width on, a direction's totals stand beside its rate.
const BESIDE: u16 = 74;

/// From this width on, rows have the end of a port, and packets.
const WIDE: u16 = 58;

/// Lines that protocols, sizes and ports need, the first row included.
const TALK_LINES: u16 = 7;

/// Draws what fits into `area`.
pub fn draw(ctx: &Ctx<'_>, slot: Slot, area: Rect, buf: &mut Buffer) {
    let (app, look) = (ctx.app, ctx.look);
    let theme = look.theme;
    let Some(talker) = app.wire().talkers().get(slot) else {
        let gone = "evicted from the table: its traffic is in `other` now";
        Line::new(buf, area).skip(1).put(gone, theme.quiet);
        return;
    };
    let now = app.shown_at();
    let first = num::age(now.since(talker.first));
    let last = num::age(now.since(talker.last));
    let mut lines = Lines { area, y: area.y };
    let mut text = format!("{}  first seen {first} ago, last {last} ago", talker.ip);
    let words = address::words(app, talker.ip).join("  ");
    // A line of their own where that takes none from the rows.
    let alone = !words.is_empty() && area.height >= 14;
    if !alone {
        let _ = write!(text, "  {words}");
    }
    lines.put(ctx, &text, theme.strong, buf);
    if alone {
        lines.put(ctx, &words, theme.quiet, buf);
    }
    let figures = if area.width < BESIDE { 2 } else { 1 };
    let spare = lines.left().saturating_sub(2 * figures + TALK_LINES);
    // Graphs of their own rows where there are some, else one beside the figures.
    let rows = (spare / 4).min(5);
    for (direction, style) in [(Direction::Rx, theme.rx), (Direction::Tx, theme.tx)] {
        side(ctx, talker, direction, style, rows, &mut lines, buf);
    }
    talk(ctx, talker, &mut lines, buf);
}

/// Lines from the top of an area down, as long as there are some.
struct Lines {
    area: Rect,
    y: u16,
}

impl Lines {
    fn left(&self) -> u16 {
        self.area.bottom().saturating_sub(self.y)
    }

    /// The next line.
    fn next<'b>(&mut self, buf: &'b mut Buffer) -> Line<'b> {
        let height = self.left().min(1);
        let place = Rect { y: self.y, height, ..self.area };
        self.y = self.y.saturating_add(height);
        let mut line = Line::new(buf, place);
        line.skip(1);
        line
    }

    fn put(&mut self, ctx: &Ctx<'_>, text: &str, style: Style, buf: &mut Buffer) {
        let mut line = self.next(buf);
        let room = line.room();
        line.put(&cut(text, room, ctx.look.glyphs.cut), style);
    }
}

/// One direction: rate, totals, graph.
fn side(
    ctx: &Ctx<'_>,
    talker: &Talker,
    direction: Direction,
    style: Style,
    rows: u16,
    lines: &mut Lines,
    buf: &mut Buffer,
) {
    let (app, look, theme) = (ctx.app, ctx.look, ctx.look.theme);
    let rate = app.wire().rate(talker, direction, app.shown_at());
    let total = talker.side(direction).total();
    let width = lines.area.width;
    let values: Vec<u64> =
        talker.history(direction).last(app.shown_at(), HISTORY_SECONDS - 1).collect();
    let room = usize::from(width.saturating_sub(2));
    let (wide, seconds) = stretch(look.glyphs, &values, room);
    let peak = wide.iter().copied().max().unwrap_or(0);
    let units = app.screen.units;
    let scale = format!("peak {} in {seconds} s", num::traffic_unit(peak as f64 * 8.0, units));
    let all =
        format!("{} bytes in {} packets", num::grouped(total.bytes), num::grouped(total.packets));
    let mut line = lines.next(buf);
    line.put(&format!("{}  ", direction.name()), style);
    line.put(&format!("{}  ", num::traffic_unit(rate.bps, app.screen.units)), theme.strong);
    line.put(&format!("{} packets/s  ", num::si(rate.pps)), theme.text);
    if width < BESIDE {
        line = lines.next(buf);
        line.skip(4);
    }
    line.put(&all, theme.quiet);
    if width >= BESIDE && rows == 0 {
        let room = line.room().saturating_sub(2).min(GRAPH);
        if room >= 8 {
            let (near, _) = stretch(look.glyphs, &values, room);
            let most = near.iter().copied().max().unwrap_or(0).max(1);
            line.put_right(&graph(look.glyphs, &near, most, room, 1).concat(), style);
        }
    }
    if rows > 0 && line.room() >= scale.len() + 3 {
        line.skip_right(1).put_right(&scale, theme.quiet);
    }
    if rows > 0 {
        for row in graph(look.glyphs, &wide, peak.max(1), room, usize::from(rows)) {
            lines.next(buf).put(&row, style);
        }
    }
}

/// Protocols, sizes, ports.
fn talk(ctx: &Ctx<'_>, talker: &Talker, lines: &mut Lines, buf: &mut Buffer) {
    let theme = ctx.look.theme;
    let Some(talk) = ctx.app.wire().talk(talker) else {
        let text = "ports and protocols are counted from now on, shown after the next interval";
        return lines.put(ctx, text, theme.quiet, buf);
    };
    if let Some(why) = &talk.problem {
        return lines.put(ctx, &format!("no ports and protocols: {why}"), theme.bad, buf);
    }
    let all = talk.rx.all + talk.tx.all;
    let since = format!(
        "ports and protocols since {}: rx {} packets, tx {}",
        talk.since_text,
        num::grouped(talk.rx.all.packets),
        num::grouped(talk.tx.all.packets)
    );
    lines.put(ctx, &since, theme.strong, buf);
    if all.packets == 0 {
        return;
    }
    lines.put(ctx, &protocols(talk, all), theme.text, buf);
    // Sizes and notes give way to the rows where there is little room.
    if lines.left() >= 4 {
        lines.put(ctx, &sizes(talk), theme.text, buf);
    }
    if lines.left() >= 5 {
        notes(ctx, talk, talker, lines, buf);
    }
    ports(ctx, talk, all, lines, buf);
}

/// Why the figures may differ from the wire's.
fn notes(ctx: &Ctx<'_>, talk: &Talk, talker: &Talker, lines: &mut Lines, buf: &mut Buffer) {
    let theme = ctx.look.theme;
    let port = ctx.app.wire().ports().get(talker.port);
    for (way, side) in port.into_iter().flat_map(|p| [("rx", &p.rx), ("tx", &p.tx)]) {
        if let Some(partial) = &side.partial {
            lines.put(ctx, &format!("{way} is partial: {partial}"), theme.note, buf);
        }
    }
    let compared = match port.map(|p| p.rx.compared) {
        Some(Compared::Agrees) => "the kernel's counter agrees",
        Some(Compared::Differs(_)) => "the kernel's counter differs",
        _ => "the kernel's counter is not comparable",
    };
    lines.put(ctx, &format!("rx packets of the interface: {compared}"), theme.quiet, buf);
    let merged = talk.rx.sizes.last().is_some_and(|n| *n > 0);
    let by_xdp = port.is_some_and(|p| matches!(p.rx.hook, Some(Hook::Native | Hook::Generic)));
    if merged && by_xdp {
        let text = "rx: XDP sees merged buffers here; each counts as one packet";
        lines.put(ctx, text, theme.note, buf);
    }
}

fn share(part: u64, of: u64) -> String {
    num::share(part as f64 / of.max(1) as f64)
}

/// Shares of the bytes.
fn protocols(talk: &Talk, all: Traffic) -> String {
    let (rx, tx) = (&talk.rx, &talk.tx);
    let mut text = String::from("bytes  ");
    for (name, traffic) in [
        ("tcp", rx.tcp + tx.tcp),
        ("udp", rx.udp + tx.udp),
        ("icmp", rx.icmp + tx.icmp),
        ("others", rx.other() + tx.other()),
        ("unknown", rx.unsaid + tx.unsaid),
    ] {
        if traffic.packets > 0 {
            // Writing to a string does not fail.
            let _ = write!(text, "{name} {}  ", share(traffic.bytes, all.bytes));
        }
    }
    text
}

/// Shares of the packets by their size.
fn sizes(talk: &Talk) -> String {
    let sums: [u64; SIZES] = std::array::from_fn(|i| {
        let of = |sizes: &[u64; SIZES]| sizes.get(i).copied().unwrap_or(0);
        of(&talk.rx.sizes).saturating_add(of(&talk.tx.sizes))
    });
    let all = sums.iter().copied().fold(0, u64::saturating_add);
    let mut text = String::from("sizes  ");
    let mut from = 0;
    for (i, sum) in sums.iter().enumerate() {
        let to = SIZE_LIMITS.get(i).copied();
        if *sum > 0 {
            let class = to.map_or(format!("{from}+"), |to| format!("{from}-{to}"));
            let _ = write!(text, "{class} {}  ", share(*sum, all));
        }
        from = to.map_or(from, |to| to + 1);
    }
    text
}

/// The names of a row: protocol, number, service, end.
fn names(topic: Topic) -> (String, String, &'static str, &'static str) {
    let proto = topic.proto();
    let called = protocol(proto).map_or(proto.to_string(), str::to_owned);
    match topic {
        Topic::Port { port, there, .. } => {
            let end = if there { "there" } else { "here" };
            (called, port.to_string(), service(proto, port).unwrap_or(""), end)
        }
        Topic::Icmp { kind, .. } => (called, kind.to_string(), icmp(proto, kind).unwrap_or(""), ""),
        Topic::Fragments { .. } => (called, String::new(), "later fragments", ""),
        Topic::Short { .. } => (called, String::new(), "cut short", ""),
        Topic::Protocol { .. } => (called, String::new(), "", ""),
    }
}

fn ports(ctx: &Ctx<'_>, talk: &Talk, all: Traffic, lines: &mut Lines, buf: &mut Buffer) {
    let theme = ctx.look.theme;
    let wide = lines.area.width >= WIDE;
    let row = |line: &mut Line<'_>, cells: [&str; 8], style: Style| {
        let [proto, port, name, at, rx, tx, packets, part] = cells;
        line.put(&format!("{proto:<9} {port:>5}  "), style);
        line.skip_right(1).put_right(&format!(" {part:>6}"), style);
        if wide {
            line.put_right(&format!(" {packets:>10}"), style);
        }
        line.put_right(&format!(" {tx:>7}"), style).put_right(&format!(" {rx:>7}"), style);
        if wide {
            line.put_right(&format!(" {at:<5}"), style);
        }
        let room = line.room();
        line.put(&cut(name, room, ctx.look.glyphs.cut), style);
    };
    let header = ["PROTOCOL", "PORT", "SERVICE", "AT", "RX B", "TX B", "PACKETS", "SHARE"];
    if lines.left() >= 2 {
        row(&mut lines.next(buf), header, theme.quiet);
    }
    let mut rows: Vec<_> =
        talk.rows().into_iter().map(|(topic, rx, tx)| (Some(topic), rx, tx)).collect();
    let (rx, tx) = (talk.rx.left, talk.tx.left);
    if (rx + tx).packets > 0 {
        let heavier = |r: &(_, Traffic, Traffic)| (r.1 + r.2).bytes >= (rx + tx).bytes;
        let at = rows.partition_point(heavier);
        rows.insert(at, (None, rx, tx));
    }
    let room = usize::from(lines.left());
    // The last line has the number of hidden rows.
    let hidden = match rows.len().saturating_sub(room) {
        0 => 0,
        more => more + usize::from(room > 1),
    };
    rows.truncate(rows.len().saturating_sub(hidden));
    let put = |names: [&str; 4], rx: Traffic, tx: Traffic, line: &mut Line<'_>, style| {
        let [proto, port, name, at] = names;
        let sum = rx + tx;
        let (rx, tx) = (num::si(rx.bytes as f64), num::si(tx.bytes as f64));
        let packets = num::count(sum.packets, 10);
        let part = share(sum.bytes, all.bytes);
        row(line, [proto, port, name, at, &rx, &tx, &packets, &part], style);
    };
    for (topic, rx, tx) in &rows {
        let line = &mut lines.next(buf);
        let Some(topic) = topic else {
            put(["", "", "other ports", ""], *rx, *tx, line, theme.quiet);
            continue;
        };
        let (proto, port, name, at) = names(*topic);
        put([&proto, &port, name, at], *rx, *tx, line, theme.text);
    }
    if hidden > 0 {
        let text = format!("and {} more", num::grouped(hidden as u64));
        lines.put(ctx, &text, theme.quiet, buf);
    }
}
