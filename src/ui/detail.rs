//! The lines above the rows of a detail view: process details, a file's names, a directory.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use super::text::{Line, cells, cut, middle};
use super::{address, detail_charts, num};
use crate::app::App;
use crate::app::opens::{Detail, ProgramRow, UnitRow};
use crate::model::connections::{Connections, Net};
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::opens::{Path, Process, Tally};
use crate::model::process::ProcessKey;
use crate::model::process_info::{Descriptors, ProcessDetails, ProcessInfo, Unread};
use crate::model::time::Mono;
use crate::model::under_way::Waiting;

/// One line: its rank (the lowest stay longest when there is little room), its label, its text.
struct Field<'a> {
    rank: u8,
    name: &'static str,
    text: Cow<'a, str>,
    fit: Fit,
}

/// How a text that is too long is shortened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Cut at its end.
    Cut,
    /// A path: cut in its middle.
    Middle,
    /// Wrapped to more lines, if there are some.
    Wrap,
}

fn field<'a>(rank: u8, name: &'static str, text: impl Into<Cow<'a, str>>) -> Field<'a> {
    Field { rank, name, text: text.into(), fit: Fit::Cut }
}

fn path<'a>(rank: u8, name: &'static str, text: impl Into<Cow<'a, str>>) -> Field<'a> {
    Field { fit: Fit::Middle, ..field(rank, name, text) }
}

/// From this height of the pane on, a long command line may take more lines.
const TALL: u16 = 30;

/// Lines that it may take then beside its first.
const MORE_OF_COMMAND: u16 = 2;

/// Lines of the pane that are for its rows at least.
const LEFT_FOR_ROWS: u16 = 6;

/// Lines about the open detail view, in the pane's `inside`: all of them, as many as leave some
/// for the rows, or none where that would be fewer than three.
pub fn height(app: &App, look: &Look, inside: Rect) -> u16 {
    let process = matches!(app.opens_pane.detail(), Some(Detail::Process(_)));
    let more = if process && inside.height >= TALL { MORE_OF_COMMAND } else { 0 };
    let lines = u16::try_from(lines(app, look).len()).unwrap_or(u16::MAX).saturating_add(more);
    let wanted = match lines {
        0 => 0,
        _ => lines.max(detail_charts::wanted(&detail_charts::charts(app, inside.width))),
    };
    let room = inside.height.saturating_sub(LEFT_FOR_ROWS);
    if room < wanted.min(3) { 0 } else { wanted.min(room) }
}

/// The lines about the open detail view; none where its process or file has been evicted.
fn lines<'a>(app: &'a App, look: &Look) -> Vec<Field<'a>> {
    let opens = app.opens();
    match app.opens_pane.detail() {
        Some(Detail::Unit(_)) => {
            app.opens_pane.units.first().map_or(Vec::new(), |u| unit(app, look, u))
        }
        Some(Detail::Program(_)) => {
            app.opens_pane.programs.first().map_or(Vec::new(), |p| program(app, look, p))
        }
        Some(Detail::Process(slot)) => {
            opens.processes().get(*slot).map_or(Vec::new(), |p| process(app, look, p))
        }
        Some(Detail::Path(slot)) => {
            opens.paths().get(*slot).map_or(Vec::new(), |p| file(app, look, p))
        }
        Some(Detail::Directory(dir)) => vec![path(0, "below", escape(dir))],
        Some(Detail::Failures(f)) => vec![path(0, "below", escape(&f.dir))],
        Some(Detail::Address(ip)) => {
            let words = address::words(app, *ip).join("  ");
            let text = format!("{ip}  {words}  not on a watched interface");
            vec![field(0, "address", text)]
        }
        Some(Detail::Timeline(_)) => vec![
            field(0, look.glyphs.lit, "sent soon after a watched path was opened:"),
            field(1, "", "a coincidence in time, not a proof"),
        ],
        Some(Detail::FileTimeline(slot)) => {
            let file = opens.paths().get(*slot);
            file.map_or(Vec::new(), |p| vec![path(0, "file", escape(&p.bytes))])
        }
        None => Vec::new(),
    }
}

/// Draws what fits into `area`.
pub fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let lines = lines(app, look);
    let charts = detail_charts::charts(app, area.width);
    let rows = usize::from(area.height);
    let chart_rows = detail_charts::rows(&charts, area.height);
    let mut y = area.y;
    let mut spare = rows.saturating_sub(lines.len());
    for line in lines.iter().filter(|l| usize::from(l.rank) < rows) {
        let beside = y < area.y + chart_rows;
        let width = if beside { area.width - detail_charts::WIDTH - 1 } else { area.width };
        let place = Rect { y, width, height: 1, ..area };
        let used = put(look, line, place, area.bottom(), &mut spare, buf);
        y = y.saturating_add(used);
    }
    detail_charts::draw(app, look, &charts, area, buf);
}

/// Writes one line, over as many rows as it may; how many that were.
fn put(
    look: &Look,
    field: &Field<'_>,
    place: Rect,
    bottom: u16,
    spare: &mut usize,
    buf: &mut Buffer,
) -> u16 {
    let theme = look.theme;
    let mut line = Line::new(buf, place);
    line.skip(1).put(&format!("{:<9} ", field.name), theme.quiet);
    let room = line.room();
    if field.fit == Fit::Middle {
        line.put(&middle(&field.text, room, look.glyphs.cut), theme.text);
        return 1;
    }
    let mut none = 0;
    let spare = if field.fit == Fit::Wrap { spare } else { &mut none };
    let mut rest = &*field.text;
    let mut y = place.y;
    loop {
        let last = *spare == 0 || cells(rest) <= room || y + 1 >= bottom || room == 0;
        let part = if last { cut(rest, room, look.glyphs.cut) } else { cut(rest, room, "") };
        Line::new(buf, Rect { y, ..place }).skip(11).put(&part, theme.text);
        y += 1;
        if last {
            return y - place.y;
        }
        *spare -= 1;
        rest = rest.get(part.len()..).unwrap_or("");
    }
}

fn unit<'a>(app: &'a App, look: &Look, u: &'a UnitRow) -> Vec<Field<'a>> {
    let programs = u.programs.len() as u64;
    let living = num::grouped(u.living as u64);
    let text = format!("{}  {living} living", num::grouped(programs));
    let cgroup = u.place.unit().map_or(Cow::Borrowed("?"), |unit| escape(unit.path));
    vec![
        path(1, "cgroup", cgroup),
        field(0, "programs", text),
        field(2, "opens", tally(app, look, &u.tally, u.rate)),
    ]
}

fn program<'a>(app: &'a App, look: &Look, p: &'a ProgramRow) -> Vec<Field<'a>> {
    let count = |n: u64, word: &str| format!("{} {word}", num::grouped(n));
    let ended = p.group.processes.saturating_sub(p.living as u64);
    let processes = [count(p.living as u64, "living"), count(ended, "ended")].join("  ");
    let name = escape(p.group.key.name.as_bytes());
    let unit = p.group.key.place.unit().map_or(Cow::Borrowed("?"), |unit| escape(unit.path));
    vec![
        field(0, "program", format!("{name}  {processes}")),
        field(1, "opens", tally(app, look, &p.tally, p.rate)),
        field(2, "failed", failures(app, look, p.tally.failed)),
        path(3, "unit", unit),
        field(4, "dirs", directories(app, look)),
    ]
}

/// The failures of the open detail view by errno.
fn failures(app: &App, look: &Look, failed: u64) -> String {
    let errnos = &app.opens_pane.about.errnos;
    let errno = |(e, n): &(i32, u64)| format!("{} {}", num::grouped(*n), errno_name(*e));
    let mut texts: Vec<String> = errnos.iter().map(errno).collect();
    let unknown = failed.saturating_sub(errnos.iter().map(|(_, n)| n).sum());
    if unknown > 0 {
        texts.push(format!("{} of unknown errno", num::grouped(unknown)));
    }
    if texts.is_empty() { look.glyphs.none.into() } else { texts.join("  ") }
}

/// The opens of the open detail view by directory.
fn directories(app: &App, look: &Look) -> String {
    let dirs = &app.opens_pane.about.dirs;
    let dirs: Vec<_> =
        dirs.iter().map(|(d, n)| format!("{} {}", escape(d), num::grouped(*n))).collect();
    if dirs.is_empty() { look.glyphs.none.into() } else { dirs.join("  ") }
}

fn process<'a>(app: &'a App, look: &Look, p: &Process) -> Vec<Field<'a>> {
    let answer = app.process_info(p.key);
    let facts = answer.map(|(who, at)| (who.facts.as_ref(), *at));
    let unread = match facts {
        None => "reading",
        Some((Err(Unread::Gone), _)) => "exited before it could be read",
        Some((Err(Unread::Elsewhere), _)) => "not recorded",
        Some((Ok(_), _)) => "?",
    };
    let known = facts.and_then(|(f, at)| f.ok().map(|f| (f, at)));
    let of = |text: &dyn Fn(&ProcessDetails) -> String| known.map_or("?".into(), |(f, _)| text(f));
    let none = look.glyphs.none;
    let who = answer.map(|(who, _)| who);
    let or_none =
        |texts: Vec<String>| if texts.is_empty() { none.into() } else { texts.join("  ") };
    let first = known.map_or(unread.into(), |(f, _)| exe(f, none));
    let cgroup = who.and_then(|w| w.cgroup.as_ref()).or_else(|| app.cgroup_of(p));
    let container = cgroup.and_then(|c| c.owner.container());
    let pod = cgroup.and_then(|c| c.owner.pod()).map(|pod| format!("pod {pod}"));
    // Beside a pod's uid, the container's first twelve digits; the cgroup's path has all.
    let digits = if pod.is_some() { 12 } else { 64 };
    let container = container.map(|id| id.get(..digits).unwrap_or(id).to_owned());
    let names = app.cgroup_of(p).and_then(|c| c.names.as_deref());
    let names = names.map(|names| escape(names.label().as_bytes()).into_owned());
    let owner: Vec<String> = names.into_iter().chain(container).chain(pod).collect();
    let cgroup = cgroup.map_or(Cow::Borrowed("?"), |c| escape(&c.path));
    let mut lines = vec![
        field(0, "process", identity(app, p, who)),
        field(3, "opens", tally(app, look, &p.tally, app.opens().rate_of(&p.meter))),
        field(4, "failed", failures(app, look, p.tally.failed)),
        field(9, "dirs", directories(app, look)),
        field(5, "started", known.map_or("?".into(), |(f, at)| started(app, f, at))),
        path(1, "exe", first),
        Field { fit: Fit::Wrap, ..field(2, "command", of(&|f| command(f, look.glyphs.cut))) },
        field(6, "parents", known_parents(app, look, known.map(|(f, _)| f))),
        path(7, "cgroup", cgroup),
        field(8, "container", or_none(owner)),
    ];
    let threads = match known {
        Some((f, _)) => threads(f, look.glyphs.times),
        None => or_none(p.threads.iter().map(|t| escape(t.as_bytes()).into_owned()).collect()),
    };
    lines.push(field(10, "threads", threads));
    if let Some(waiting) = app.under_way().and_then(|found| found.of(p.key)) {
        lines.insert(1, field(1, "waits", waits(app, &waiting)));
        for line in lines.iter_mut().skip(2).filter(|line| line.rank >= 1) {
            line.rank += 1;
        }
    }
    let held = known.and_then(|(f, _)| f.descriptors.as_ref());
    let held = held.map(|open| descriptors(app, look.glyphs.times, p.key, open));
    lines.push(field(11, "holds", held.unwrap_or("?".into())));
    if let Some(net) = app.owners().and_then(|owners| owners.process(p.key)) {
        for line in lines.iter_mut().filter(|line| line.rank >= 3) {
            line.rank += 1;
        }
        let polled = app.owners().is_some_and(Connections::polled);
        lines.insert(3, field(3, "traffic", traffic(look, net, polled)));
    }
    lines
}

/// A call that has not returned.
fn waits(app: &App, waiting: &Waiting<'_>) -> String {
    let age = num::age(app.shown_at().since(waiting.since));
    let path = waiting.path.map_or(Cow::Borrowed("?"), escape);
    format!("{age} in {}: {path}, thread {}", waiting.call.name(), waiting.tid)
}

/// The number of descriptors, their growth, and their kinds.
fn descriptors(app: &App, times: &str, key: ProcessKey, open: &Descriptors) -> String {
    let count = open.count as u64;
    let mut text =
        format!("{} descriptor{}", num::grouped(count), if count == 1 { "" } else { "s" });
    if let Some((more, since)) = app.descriptors_more(key).filter(|(more, _)| *more != 0) {
        text.push_str(&format!(
            " ({}{} in {})",
            if more < 0 { "-" } else { "+" },
            num::grouped(more.unsigned_abs()),
            num::age(app.shown_at().since(since))
        ));
    }
    let cut = open.count > open.listed.len();
    text.push_str(if cut { "  of the first:" } else { " " });
    for (kind, n) in open.kinds() {
        text.push_str(&format!(" {} {times}{}", escape(&kind), num::grouped(n as u64)));
    }
    text
}

fn traffic(look: &Look, net: &Net, polled: bool) -> String {
    let n =
        |n: u64, what: &str| format!("{} {what}{}", num::grouped(n), if n == 1 { "" } else { "s" });
    let bytes = |bytes: u64| match polled {
        true => look.glyphs.none.to_owned(),
        false => num::grouped(bytes),
    };
    format!(
        "rx {} bytes  tx {}  {}  {} live of {}{}",
        bytes(net.total.rx_bytes),
        bytes(net.total.tx_bytes),
        n(net.peers.into(), "peer"),
        net.live,
        n(net.begun, "connection"),
        if polled { "  (procfs)" } else { "" },
    )
}

fn identity(app: &App, p: &Process, who: Option<&ProcessInfo>) -> String {
    let mut text = String::new();
    if let Some(at) = p.ended {
        text = format!("ended {} ago  ", num::age(app.shown_at().since(at)));
    }
    // Only the first two processes have none; of others it is unknown before they open something.
    let parent = match p.ppid {
        0 if p.key.tgid > 2 => "?".into(),
        ppid => ppid.to_string(),
    };
    text.push_str(&format!("pid {}  parent {parent}  uid {}", p.key.tgid, p.uid));
    if let Some(user) = who.and_then(|w| w.user.as_ref()) {
        text.push_str(&format!(" {}", escape(user.as_bytes())));
    }
    text
}

fn exe(facts: &ProcessDetails, none: &str) -> String {
    facts.exe.as_ref().map_or(none.into(), |path| escape(path).into_owned())
}

/// The command line, with quotes around arguments that are empty or have spaces.
fn command(facts: &ProcessDetails, sign: &str) -> String {
    let mut text = String::new();
    for arg in &facts.args {
        if !text.is_empty() {
            text.push(' ');
        }
        let quote = if arg.is_empty() || arg.contains(&b' ') { "'" } else { "" };
        text.push_str(&format!("{quote}{}{quote}", escape(arg)));
    }
    if facts.args_cut {
        text.push_str(sign);
    }
    if text.is_empty() { "(none)".into() } else { text }
}

fn started(app: &App, facts: &ProcessDetails, read: Mono) -> String {
    let ns = facts.started_ns.saturating_add(app.shown_at().since(read));
    format!("{}, {} ago", facts.started, num::age(ns))
}

/// The ancestors as /proc has them, or, where the process has ended, as far as they were seen.
fn known_parents(app: &App, look: &Look, facts: Option<&ProcessDetails>) -> String {
    let (sign, none) = (look.glyphs.into, look.glyphs.none);
    let seen = &app.opens_pane.ancestors;
    match facts {
        Some(facts) if !facts.parents.is_empty() || seen.is_empty() => parents(facts, sign, none),
        None if seen.is_empty() => "?".into(),
        _ => {
            let names = seen.iter().map(|a| format!("{} {}", a.pid, escape(a.name.as_bytes())));
            names.collect::<Vec<_>>().join(&format!(" {sign} "))
        }
    }
}

fn parents(facts: &ProcessDetails, sign: &str, none: &str) -> String {
    let names = facts.parents.iter().map(|p| format!("{} {}", p.pid, escape(&p.name)));
    let names: Vec<_> = names.collect();
    if names.is_empty() { none.into() } else { names.join(&format!(" {sign} ")) }
}

fn threads(facts: &ProcessDetails, times: &str) -> String {
    let mut text = facts.thread_count.to_string();
    for (name, n) in &facts.threads {
        text.push_str(&format!("  {}", escape(name)));
        if *n > 1 {
            text.push_str(&format!(" {times}{n}"));
        }
    }
    text
}

fn file<'a>(app: &App, look: &Look, path_of: &'a Path) -> Vec<Field<'a>> {
    let files = path_of.users.iter().filter_map(|s| app.opens().files().get(*s));
    let mut names: Vec<&[u8]> = files.map(|f| f.given.of(&path_of.bytes)).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|n| *n != &*path_of.bytes);
    names.truncate(8);
    let names: Vec<_> = names.into_iter().map(escape).collect();
    let mut lines = vec![
        path(0, "file", escape(&path_of.bytes)),
        field(1, "opens", tally(app, look, &path_of.tally, app.opens().rate_of(&path_of.meter))),
    ];
    if !names.is_empty() {
        lines.push(field(2, "also as", names.join("  ")));
    }
    lines
}

fn tally(app: &App, look: &Look, tally: &Tally, rate: f64) -> String {
    if tally.is_empty() {
        return "none".into();
    }
    let mut text = format!(
        "{}/s  {} total  {} failed  last {} ago",
        num::rate(rate, 9),
        num::grouped(tally.opens),
        num::grouped(tally.failed),
        num::age(app.shown_at().since(tally.last)),
    );
    if !tally.io.is_none() {
        let io = tally.io.total;
        let bytes = |n: u64| num::scaled(n as f64, app.screen.units.binary);
        text.push_str(&format!(
            "  read {} B  wrote {} B",
            bytes(io.read_bytes),
            bytes(io.written_bytes)
        ));
    }
    let ns = |ns| num::latency(ns, look.glyphs.micro);
    if let Some(times) = &tally.io.times {
        let percentile = |percent| {
            let at_most = look.glyphs.at_most;
            times
                .percentile_ns(percent)
                .map_or("-".into(), |p| format!("{at_most}{}", ns(p).trim()))
        };
        text.push_str(&format!(
            "  p50 {}  p99 {}  max {}  slow {}",
            percentile(50),
            percentile(99),
            ns(times.max_ns).trim(),
            num::grouped(times.slow)
        ));
    }
    if let Some(mean) = tally.latency.mean_ns() {
        text.push_str(&format!("  mean {}  max {}", ns(mean), ns(tally.latency.max_ns)));
    }
    text
}
