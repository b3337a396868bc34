//! The opens pane.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame::{self, PaneFrame};
use super::layout::{Layout, Parts};
use super::look::Look;
use super::opens_cells;
use super::opens_data::Ctx;
use super::table::Table;
use super::text::{Line, cut};
use super::{columns, detail, num, problem, related};
use crate::app::data::ProbeState;
use crate::app::opens::{Detail, OpensView, label_of};
use crate::app::{App, Pane};
use crate::keys::Action;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::file_io::IoCounts;
use crate::model::history::per_second;
use crate::model::problem::Problem;

/// Lines of the warning above rows of a probe that has stopped.
const WARNING: u16 = 2;

/// Draws the pane with its edges.
pub fn draw(app: &App, look: &Look, at: &Layout, parts: &Parts, buf: &mut Buffer) {
    let (Some(area), Some(inside)) = (at.pane(Pane::Opens), at.inside(Pane::Opens)) else { return };
    let focused = app.screen.focus == Pane::Opens;
    PaneFrame {
        title: title(app, look),
        order: order(app, look),
        sums: [Extent::Reason, Extent::Traffic, Extent::Losses].map(|to| sum(app, look, to)).into(),
        count: count(app, look, parts),
        look,
        focused,
        borders: at.borders,
    }
    .draw(area, buf);
    body(app, look, inside, parts, focused, buf);
}

/// The order of the rows, also if its column is not shown.
pub fn order(app: &App, look: &Look) -> String {
    let pane = &app.opens_pane;
    match pane.view {
        _ if pane.detail().is_some_and(Detail::is_alone) => String::new(),
        OpensView::Changes | OpensView::Live if pane.detail().is_none() => String::new(),
        _ => frame::order(look, &pane.list, pane.reverse, pane.table().title(pane.sort())),
    }
}

fn body(app: &App, look: &Look, inside: Rect, parts: &Parts, focused: bool, buf: &mut Buffer) {
    let pane = &app.opens_pane;
    match &app.data.opens_state {
        ProbeState::Failed(p) if app.opens().total().opens == 0 => {
            return problem::draw(look, p, inside, buf);
        }
        ProbeState::Failed(p) => warning(look, p, inside, buf),
        _ => {}
    }
    if parts.detail.height > 0 {
        detail::draw(app, look, parts.detail, buf);
    }
    if let Some(area) = parts.related {
        related::draw(app, look, &pane.related, area, focused && pane.in_related, buf);
    }
    let rows = parts.rows;
    if rows.height == 0 {
        return;
    }
    let columns = columns::opens(app);
    let focused = focused && !pane.in_related;
    let table =
        Table { look, columns: &columns, sort: pane.sort(), reverse: pane.reverse, focused };
    table.header(Rect { y: rows.y - 1, height: 1, ..rows }, buf);
    if pane.rows.is_empty() {
        let why = empty(app);
        let mut line = Line::new(buf, rows);
        let room = line.skip(1).room();
        line.put(&cut(&why, room, look.glyphs.cut), look.theme.quiet);
        return;
    }
    let len = pane.rows.len();
    let first = pane.list.first(len, usize::from(rows.height));
    let shown = first..(first + usize::from(rows.height)).min(len);
    let shown = pane.rows.get(shown).unwrap_or_default();
    let ctx = Ctx { app, look, most: app.opens_pane.most, all: app.opens().rate(), shown };
    table.rows(rows, (first, len, pane.list.cursor), buf, |column, row, line| {
        if let Some(row) = pane.rows.get(row) {
            opens_cells::draw(&ctx, column.field, *row, line);
        }
    });
}

/// Why there are no rows.
fn empty(app: &App) -> Cow<'static, str> {
    let pane = &app.opens_pane;
    if let (Some(n), Some(word)) = (pane.paths_match, app.filter.bare_word()) {
        let paths = if n == 1 {
            "1 path does".into()
        } else {
            format!("{} paths do", num::grouped(n as u64))
        };
        let keys = if app.filter.editing() {
            "Tab".into()
        } else {
            format!("{} and Tab", app.keys.first(Action::Filter))
        };
        let word = escape(word.as_bytes());
        return format!("no process matches; {paths}: press {keys} for path:{word}").into();
    }
    let why = match &app.data.opens_state {
        ProbeState::Starting => "starting",
        _ if pane.of == 0 && pane.detail().is_some() => {
            "no data: evicted from the table, or it has opened nothing"
        }
        _ if pane.view == OpensView::Changes && app.lacks_changes() => {
            "changes of files are reported with --files, where the kernel allows it (see ebpftop doctor)"
        }
        _ if pane.view == OpensView::Changes && pane.of == 0 => "no changes of files yet",
        _ if app.opens().total().opens == 0 => "no opens yet",
        _ if app.new_since().is_some() => "nothing new since the mark",
        _ if !app.filter.held_text().is_empty() => "no match for the filter",
        _ if pane.view == OpensView::Failures && pane.hidden > 0 => {
            "only failures that were found later or are of common files"
        }
        _ if pane.failed_only || pane.view == OpensView::Failures => "no failed opens",
        _ => "no opens yet",
    };
    why.into()
}

fn title(app: &App, look: &Look) -> String {
    let pane = &app.opens_pane;
    let opens = app.opens();
    let mut title = format!(" 1 Files {} {}", look.glyphs.dot, pane.view.title());
    for crumb in &pane.crumbs {
        let name = match &crumb.detail {
            Detail::Unit(place) => {
                let container = pane.units.first().and_then(|u| u.container.as_deref());
                escape(&label_of(place, container)).into_owned()
            }
            Detail::Program(key) => escape(key.name.as_bytes()).into_owned(),
            Detail::Process(s) => opens.processes().get(*s).map_or("evicted".into(), |p| {
                format!("{} {}", escape(p.name.as_bytes()), p.key.tgid)
            }),
            Detail::Path(s) => {
                opens.paths().get(*s).map_or("evicted".into(), |p| escape(&p.label()).into_owned())
            }
            Detail::Directory(dir) => escape(dir).into_owned(),
            Detail::Address(ip) => ip.to_string(),
            Detail::Timeline(key) => {
                let name = related::name_of(app, *key).unwrap_or_default();
                format!("{} {} timeline", escape(name), key.tgid)
            }
            Detail::FileTimeline(slot) => {
                let path = opens.paths().get(*slot).map(|p| escape(&p.label()).into_owned());
                format!("{} timeline", path.as_deref().unwrap_or("evicted"))
            }
            Detail::Failures(f) => {
                let (name, error) = (escape(f.name.as_bytes()), errno_name(f.errno));
                format!("{name} {error} {}", escape(&f.dir))
            }
        };
        if let Some(ip) = crumb.via {
            title.push_str(&format!(" {} {ip}", look.glyphs.into));
        }
        title.push_str(&format!(
            " {} {}",
            look.glyphs.into,
            super::text::middle(&name, 40, look.glyphs.cut)
        ));
    }
    if pane.failed_only {
        title.push_str(&format!(" {} failed only", look.glyphs.dot));
    }
    title.push(' ');
    title
}

fn count(app: &App, look: &Look, parts: &Parts) -> String {
    let pane = &app.opens_pane;
    if pane.detail().is_some_and(Detail::is_timeline) {
        return " latest first ".to_owned();
    }
    if let Some(Detail::Address(_)) = pane.detail() {
        let n = pane.related.of as u64;
        return format!(" {} process{} ", num::grouped(n), if n == 1 { "" } else { "es" });
    }
    let evicted = app.opens().evicted();
    let gone = match pane.view {
        OpensView::Programs | OpensView::Units => evicted.programs,
        OpensView::Processes => evicted.processes,
        OpensView::Files | OpensView::Directories => evicted.files,
        OpensView::Failures => evicted.failures,
        OpensView::Changes => app.data.change_log.evicted,
        OpensView::Live => 0,
    };
    let (matched, of) = (num::grouped(pane.matched as u64), num::grouped(pane.of as u64));
    let mut text = format!(" {matched} of {of}");
    if gone > 0 {
        text.push_str(&format!(" {} {} evicted", look.glyphs.dot, num::grouped(gone)));
    }
    let hidden = parts.related.is_none_or(|area| area.height == 0);
    if hidden && !pane.related.rows.is_empty() {
        let open = pane.related.descriptors.len() as u64;
        let (n, peers) = match (pane.detail(), pane.related.of as u64) {
            (Some(Detail::Program(_)), 1) => (1, "process"),
            (Some(Detail::Program(_)), n) => (n, "processes"),
            (_, 0) if open > 0 => (open, if open == 1 { "descriptor" } else { "descriptors" }),
            (_, 1) => (1, "peer"),
            (_, n) => (n, "peers"),
        };
        let key = app.keys.first(Action::Unfold);
        text.push_str(&format!(" {} {key} {} {peers}", look.glyphs.dot, num::grouped(n)));
    }
    let left_out = app.opens().left_out();
    if left_out > 0 {
        let others = num::grouped(left_out);
        text.push_str(&format!(" {} {others} opens by other processes excluded", look.glyphs.dot));
    }
    text.push(' ');
    text
}

/// The starts and ends of processes, slow calls and network events, of all processes, that timelines lack.
fn missing_events(app: &App, look: &Look, extent: Extent) -> String {
    let (processes, slow) = (&app.data.process_log, &app.data.slow_log);
    let owners = app.owners();
    let network = owners.map_or((0, 0), |owners| (owners.limits.lost, owners.events_evicted));
    let logs = [
        ("exec, exit events", processes.lost, processes.evicted),
        ("slow calls", slow.lost, slow.evicted),
        ("network events", network.0, network.1),
    ];
    if extent == Extent::Losses {
        let sum: u64 = logs.iter().map(|(_, lost, evicted)| lost.saturating_add(*evicted)).sum();
        return if sum > 0 {
            format!(" {} events missing ", num::grouped(sum))
        } else {
            String::new()
        };
    }
    let whose = if extent == Extent::Reason { " of all processes" } else { "" };
    let dot = format!(" {} ", look.glyphs.dot);
    let of = |(what, lost, evicted): (&str, u64, u64)| {
        let counts = [(lost, "lost"), (evicted, "evicted")].into_iter().filter(|(n, _)| *n > 0);
        let counts: Vec<_> =
            counts.map(|(n, word)| format!("{} {word}", num::grouped(n))).collect();
        (!counts.is_empty()).then(|| format!(" {what}{whose}: {} ", counts.join(&dot)))
    };
    logs.into_iter().filter_map(of).collect()
}

/// Calls on files that no row of the view has, by reason, and calls without a duration.
fn io_without_row(app: &App, look: &Look, extent: Extent) -> Option<String> {
    let pane = &app.opens_pane;
    let io = app.opens().io();
    let by_path = matches!(pane.view, OpensView::Files | OpensView::Directories);
    let (without_path, slow_without_path) = match by_path && pane.detail().is_none() {
        true => (io.without_path, io.slow_without_path),
        false => Default::default(),
    };
    let bytes = |n: u64| num::scaled(n as f64, app.screen.units.binary);
    let text = |([why, short], counts, slow): ([&str; 2], IoCounts, u64)| {
        let (read, written) = (bytes(counts.read_bytes), bytes(counts.written_bytes));
        let moved = match extent {
            Extent::Losses => format!("{short} {} B", bytes(counts.bytes())),
            _ => format!("{why}: read {read} B, wrote {written} B"),
        };
        let slow_calls = match slow {
            0 => String::new(),
            n => format!(", {} slow", num::grouped(n)),
        };
        (!counts.is_none() || slow > 0).then(|| format!(" {moved}{slow_calls} "))
    };
    // Slow calls on unknown files are among those of `other`.
    let all = [
        (["other", "other"], io.other, io.other_slow),
        (["without a path", "no path"], without_path, slow_without_path),
        (["unknown files", "unknown files"], io.unknown, 0),
    ];
    let untimed = match extent {
        _ if io.untimed == 0 => None,
        Extent::Losses => Some(format!(" {} untimed ", num::grouped(io.untimed))),
        _ => Some(format!(" calls without a duration: {} ", num::grouped(io.untimed))),
    };
    let uncounted = match extent {
        _ if io.uncounted == 0 => None,
        Extent::Losses => Some(format!(" {} requests not counted ", num::grouped(io.uncounted))),
        _ => Some(format!(
            " requests not counted (io_submit, io_uring): {} ",
            num::grouped(io.uncounted)
        )),
    };
    let all = all.into_iter().filter_map(text).chain(untimed).chain(uncounted);
    let all: Vec<String> = all.collect();
    (!all.is_empty()).then(|| all.join(look.glyphs.dot))
}

/// How much of the sum there is room for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// All, also why traffic is unattributed.
    Reason,
    Traffic,
    /// The losses of traffic and of bytes of files, each in one number.
    Losses,
}

/// The traffic of all processes, or why it is unknown.
fn sum(app: &App, look: &Look, extent: Extent) -> String {
    let pane = &app.opens_pane;
    if pane.view == OpensView::Failures && pane.detail().is_none() {
        let key = app.keys.first(Action::AllFailures);
        return match pane.hidden {
            0 => String::new(),
            n => format!(
                " {} found later or common {} {key} shows them ",
                num::grouped(n),
                look.glyphs.dot
            ),
        };
    }
    if pane.view == OpensView::Changes && pane.detail().is_none() {
        return match app.data.change_log.lost {
            0 => String::new(),
            n => format!(" {} lost ", num::grouped(n)),
        };
    }
    if pane.detail().is_some_and(Detail::is_timeline) {
        return missing_events(app, look, extent);
    }
    if !pane.view.has_rows_below() || pane.detail().is_some() {
        return io_without_row(app, look, extent).unwrap_or_default();
    }
    if let Some(problem) = app.data.io_state.problem() {
        return format!(" no bytes of files: {} ", problem.why);
    }
    if let Some(problem) = app.data.connections_state.problem() {
        return format!(" no connections: {} ", problem.why);
    }
    let other = io_without_row(app, look, extent);
    let Some(owners) = app.owners() else { return other.unwrap_or_default() };
    let (units, dot) = (app.screen.units, look.glyphs.dot);
    if owners.polled() {
        let live = num::grouped(owners.live() as u64);
        let left_out = match owners.evicted {
            0 => String::new(),
            n => format!("{dot} {} evicted ", num::grouped(n)),
        };
        let polled = format!(
            " connections: procfs {dot} {live} live {dot} bytes per process unknown {left_out}"
        );
        return std::iter::once(polled).chain(other).collect::<Vec<_>>().join(dot);
    }
    let rate = |bytes: u64| {
        let bps = per_second(bytes.saturating_mul(8), owners.interval_ns);
        num::traffic_unit(bps, units)
    };
    let (rx, tx) = (rate(pane.carried.rx_bytes), rate(pane.carried.tx_bytes));
    let unattributed = rate(pane.unattributed.bytes());
    let why = match pane.unattributed_reason.filter(|_| extent == Extent::Reason) {
        Some(reason) => format!(" (mostly {})", reason.text()),
        None => String::new(),
    };
    let traffic = format!(" payload rx {rx} tx {tx} {dot} unattributed {unattributed}{why} ");
    let traffic = (extent != Extent::Losses).then_some(traffic);
    let limits = &owners.limits;
    let losses = [
        (limits.lost, "events lost"),
        (owners.evicted + owners.dropped(), "evicted"),
        (limits.sockets + limits.sharers + limits.peers, "left out"),
        (if extent == Extent::Reason { limits.unknown_peers } else { 0 }, "calls named no address"),
    ];
    let losses = losses.into_iter().filter(|(n, _)| *n > 0);
    let losses = losses.map(|(n, counted)| format!(" {} {counted} ", num::grouped(n)));
    traffic.into_iter().chain(losses).chain(other).collect::<Vec<_>>().join(dot)
}

/// Lines that [`warning`] takes above the rows.
pub fn warning_lines(app: &App) -> u16 {
    if app.data.opens_state.problem().is_some() { WARNING } else { 0 }
}

/// Draws the problem above rows that the probe left: [`WARNING`] lines in red.
fn warning(look: &Look, problem: &Problem, area: Rect, buf: &mut Buffer) {
    let texts: [String; WARNING as usize] =
        [format!("stopped: cannot {}: {}", problem.what, problem.why), problem.fix.clone()];
    for (text, y) in texts.iter().zip(area.y..area.bottom()) {
        let mut line = Line::new(buf, Rect { y, height: 1, ..area });
        let room = line.skip(1).room();
        line.put(&cut(text, room, look.glyphs.cut), look.theme.bad);
    }
}
