//! The lines above the rows of a detail view: of a unit, a program, a file's names, a directory; `process_detail` has
//! those of a process.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::detail_lines::{Field, directories, failures, field, path, put, tally};
use super::look::Look;
use super::process_detail::process;
use super::{address, detail_charts, num};
use crate::app::App;
use crate::app::opens::{Detail, ProgramRow, UnitRow};
use crate::model::escape::escape;
use crate::model::opens::Path;

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
