//! The talkers pane.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::frame::{self, PaneFrame};
use super::layout::{Layout, Parts};
use super::look::Look;
use super::table::Table;
use super::talkers_cells;
use super::talkers_data::Ctx;
use super::text::{self, Line};
use super::{columns, conns, listeners, num, problem, related, talker};
use crate::app::data::ProbeState;
use crate::app::talkers::TalkersView;
use crate::app::{App, Pane};
use crate::model::compare::Compared;
use crate::model::escape::escape;
use crate::model::event::Watched;
use crate::model::wire::MAX_PORTS;

/// Draws the pane with its edges.
pub fn draw(app: &App, look: &Look, at: &Layout, parts: &Parts, buf: &mut Buffer) {
    let (Some(area), Some(inside)) = (at.pane(Pane::Talkers), at.inside(Pane::Talkers)) else {
        return;
    };
    let pane = &app.talkers_pane;
    let focused = app.screen.focus == Pane::Talkers;
    let (sums, borders) = (Vec::new(), at.borders);
    let edges =
        |title, order, count| PaneFrame { title, order, sums, count, look, focused, borders };
    let ctx = Ctx::new(app, look);
    match pane.view {
        TalkersView::Addresses => {
            let (order, count) = (order(app, look), count(app, look, &ctx));
            edges(title(app, look, &ctx), order, count).draw(area, buf);
        }
        TalkersView::Connections => {
            let (order, count) = (conns::order(app, look), conns::count(app, look));
            edges(conns::title(app, look), order, count).draw(area, buf);
            return conns::draw(app, look, inside, parts.rows, buf);
        }
        TalkersView::Listeners => {
            let (order, count) = (listeners::order(app, look), listeners::count(app, look));
            edges(" 2 Listeners ".to_owned(), order, count).draw(area, buf);
            return listeners::draw(app, look, inside, parts.rows, buf);
        }
    }
    match app.watching() {
        ProbeState::Failed(p) => return problem::draw(look, p, inside, buf),
        ProbeState::Starting => {
            Line::new(buf, inside).skip(1).put("starting", look.theme.quiet);
            return;
        }
        _ => {}
    }
    draw_warnings(app, look, inside, buf);
    let rows = parts.rows;
    if let Some(slot) = pane.inside {
        let whole = Rect { y: rows.y.saturating_sub(1), height: rows.height + 1, ..rows };
        talker::draw(&ctx, slot, whole.intersection(inside), buf);
        if let Some(area) = parts.related {
            related::draw(app, look, &pane.related, area, focused, buf);
        }
        return;
    }
    if rows.height == 0 {
        return;
    }
    let columns = columns::talkers(app);
    let table = Table { look, columns: &columns, sort: pane.sort, reverse: pane.reverse, focused };
    table.header(Rect { y: rows.y - 1, height: 1, ..rows }, buf);
    if pane.rows.is_empty() {
        Line::new(buf, rows).skip(1).put(empty(app), look.theme.quiet);
        return;
    }
    let len = pane.rows.len();
    let first = pane.list.first(len, usize::from(rows.height));
    table.rows(rows, (first, len, pane.list.cursor), buf, |column, row, line| {
        if let Some(row) = pane.rows.get(row) {
            talkers_cells::draw(&ctx, column.field, *row, line);
        }
    });
}

fn empty(app: &App) -> &'static str {
    match () {
        () if app.new_since().is_some() => "no new talkers since the mark",
        () if app.talkers_pane.of > 0 => "no match for the filter",
        () => "no talkers yet",
    }
}

fn title(app: &App, look: &Look, ctx: &Ctx<'_>) -> String {
    let dot = look.glyphs.dot;
    let on = match app.interfaces() {
        [] => String::new(),
        [one] => format!(" {dot} {}", escape(one.interface.as_bytes())),
        many => format!(" {dot} all {}", many.len()),
    };
    let inside = app.talkers_pane.inside.and_then(|s| app.wire().talkers().get(s));
    let inside = inside.map_or(String::new(), |t| {
        let way = app.talkers_pane.trail.last().and_then(|trail| trail.from.as_deref());
        let way = way.map(|way| text::middle(way, 40, look.glyphs.cut));
        let way = way.map_or(String::new(), |way| format!(" {} {way}", look.glyphs.into));
        format!("{way} {} {}", look.glyphs.into, t.ip)
    });
    let names = if app.talkers_pane.names { format!(" {dot} names") } else { String::new() };
    format!(" 2 Talkers{on} {dot} {}{names}{inside} ", ctx.ways.title())
}

/// The order of the rows, also if its column is not shown.
pub fn order(app: &App, look: &Look) -> String {
    let pane = &app.talkers_pane;
    let title = pane.sort.title(app.screen.units.bytes);
    frame::order(look, &pane.list, pane.reverse, title)
}

fn count(app: &App, look: &Look, ctx: &Ctx<'_>) -> String {
    let pane = &app.talkers_pane;
    let sides = |port: &crate::model::wire::Interface| {
        let sides = ctx.ways.directions().iter().map(|d| port.side(*d).evicted);
        sides.fold(0, u64::saturating_add)
    };
    let evicted = ctx.ports().map(sides).fold(0, u64::saturating_add);
    format!(
        " {} of {} {} {} evicted ",
        num::grouped(pane.matched as u64),
        num::grouped(pane.of as u64),
        look.glyphs.dot,
        num::grouped(evicted)
    )
}

/// Why the counts are incomplete, a line each; in red where nothing is counted at all.
pub fn warnings(app: &App, look: &Look) -> Vec<(String, Style)> {
    let mut texts: Vec<(String, Style)> = Vec::new();
    let broken = |w: &Watched| {
        let name = escape(w.interface.as_bytes()).into_owned();
        if let Some(p) = &w.gone {
            return Some(format!("{name}: {} {} {}", p.why, look.glyphs.dot, p.fix));
        }
        let side = |side: &str, p: &crate::model::problem::Problem| {
            format!("{name} {side}: {} {} {}", p.why, look.glyphs.dot, p.fix)
        };
        match (&w.rx, &w.tx) {
            (Err(p), _) => Some(side("rx", p)),
            (_, Err(p)) => Some(side("tx", p)),
            _ => None,
        }
    };
    let watched = app.interfaces();
    if let Some(text) = watched.iter().find_map(broken) {
        texts.push((text, look.theme.bad));
    }
    if let Some(text) = without_room(app) {
        texts.push((text, look.theme.bad));
    }
    if let Some(text) = partial(app) {
        texts.push((text, look.theme.note));
    }
    if let Some(text) = difference(app) {
        texts.push((text, look.theme.note));
    }
    texts
}

fn draw_warnings(app: &App, look: &Look, inside: Rect, buf: &mut Buffer) {
    let texts = warnings(app, look);
    for ((text, style), y) in texts.iter().zip(inside.y..inside.bottom()) {
        let mut line = Line::new(buf, Rect { y, height: 1, ..inside });
        let room = line.skip(1).room();
        line.put(&super::text::cut(text, room, look.glyphs.cut), *style);
    }
}

/// The number of watched interfaces that found no room in the table.
fn without_room(app: &App) -> Option<String> {
    let missing = app.interfaces().len().saturating_sub(app.talkers_pane.ports.len());
    let full = app.wire().ports().len() >= MAX_PORTS;
    (full && missing > 0).then(|| {
        format!(
            "{missing} interfaces find no room among the {MAX_PORTS} seen so far: choose one with i"
        )
    })
}

/// The first interface whose counts are not exact, and why.
fn partial(app: &App) -> Option<String> {
    let wire = app.wire();
    let shown = app.talkers_pane.ports.iter().filter_map(|at| wire.ports().get(*at));
    let sides = shown.flat_map(|port| [(port, "rx", &port.rx), (port, "tx", &port.tx)]);
    let mut partial =
        sides.filter_map(|(port, way, side)| Some((port, way, side.partial.as_ref()?)));
    let (port, way, why) = partial.next()?;
    Some(format!("{} {way} is partial: {}", port.name, escape(why.as_bytes())))
}

/// A lasting difference between the kernel's own counter and the packets counted.
fn difference(app: &App) -> Option<String> {
    let ports = app.talkers_pane.ports.iter().filter_map(|p| app.wire().ports().get(*p));
    let differing = ports.filter_map(|port| match port.rx.compared {
        Compared::Differs(more) => Some((port, more)),
        _ => None,
    });
    let (port, more) = differing.max_by_key(|(_, more)| more.unsigned_abs())?;
    let word = if more < 0 { "less" } else { "more" };
    let (name, n) = (escape(port.name.as_bytes()), num::grouped(more.unsigned_abs()));
    Some(format!("{name} rx: the kernel counted {n} packets {word}"))
}
