//! Connections in the talkers pane: the line of counts, and the rows.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::conn_detail;
use super::conn_group_cells;
use super::conns_cells;
use super::frame;
use super::look::Look;
use super::num;
use super::table::Table;
use super::text::{Line, cut};
use super::{columns, text};
use crate::app::conns::{ConnRow, data_of};
use crate::app::{App, Pane};
use crate::model::connections::Connections;
use crate::model::field::conn_groups::Grouping;
use crate::model::field::conns::{ConnRowData, ConnsField};
use crate::model::history::per_second;

/// Draws the counts, and below them the rows or the details of the open connection.
pub fn draw(app: &App, look: &Look, inside: Rect, rows: Rect, buf: &mut Buffer) {
    let Some(connections) = app.owners() else {
        let why = match app.data.connections_state.problem() {
            Some(problem) => format!("{problem}"),
            None => "starting".to_owned(),
        };
        for (line, y) in text::wrapped(&why, usize::from(inside.width.saturating_sub(2)))
            .iter()
            .zip(inside.y..inside.bottom())
        {
            let at = Rect { y, height: 1, ..inside };
            Line::new(buf, at).skip(1).put(line, look.theme.quiet);
        }
        return;
    };
    head(connections, look, Rect { height: inside.height.min(1), ..inside }, buf);
    let table = &app.talkers_pane.conns;
    if table.inside.is_some() {
        let whole = Rect { y: rows.y.saturating_sub(1), height: rows.height + 1, ..rows };
        return conn_detail::draw(app, look, connections, whole.intersection(inside), buf);
    }
    if rows.height == 0 {
        return;
    }
    let focused = app.screen.focus == Pane::Talkers;
    let columns = columns::conns(app);
    let (sort, reverse) = (table.sort, table.reverse);
    let drawn = Table { look, columns: &columns, sort, reverse, focused };
    drawn.header(Rect { y: rows.y - 1, height: 1, ..rows }, buf);
    if table.rows.is_empty() {
        let why = match () {
            () if app.new_since().is_some() => "no new connections since the mark",
            () if table.of > 0 => "no match for the filter",
            () => "no connections yet",
        };
        Line::new(buf, rows).skip(1).put(why, look.theme.quiet);
        return;
    }
    let len = table.rows.len();
    let first = table.list.first(len, usize::from(rows.height));
    let has_names = drawn.shows(rows.width, |field| field == ConnsField::Name);
    let has_local = drawn.shows(rows.width, |field| field == ConnsField::Local);
    drawn.rows(rows, (first, len, table.list.cursor), buf, |column, row, line| {
        match table.rows.get(row) {
            Some(ConnRow::Group(at)) => {
                if let Some(group) = table.groups.get(*at) {
                    conn_group_cells::draw(app, look, column.field, group, line);
                }
            }
            Some(row) => {
                let Some(row) = data(app, connections, *row) else { return };
                match (column.field, row.name) {
                    (ConnsField::Peer, Some(named)) if !has_names => {
                        conns_cells::named_peer(look, &row, named, line);
                    }
                    (field, _) => conns_cells::draw(app, look, field, &row, line),
                }
                if column.field == ConnsField::Peer && !has_local {
                    conns_cells::local_end(look, &row, line);
                }
            }
            None => {}
        }
    });
}

fn data<'a>(app: &'a App, connections: &'a Connections, row: ConnRow) -> Option<ConnRowData<'a>> {
    data_of(connections, app.opens(), row, app.shown_at())
}

/// How many are open, begin, end and fail, and the reasons of those that failed so far.
fn head(connections: &Connections, look: &Look, area: Rect, buf: &mut Buffer) {
    let (theme, dot) = (look.theme, look.glyphs.dot);
    let lately = connections.turnover_delta;
    let rate = |n: u64| num::si(per_second(n, connections.interval_ns));
    let mut line = Line::new(buf, area);
    line.skip(1).put(&format!("{} open", num::grouped(connections.live() as u64)), theme.strong);
    let turns = [(lately.begun, "new/s"), (lately.closed, "closed/s")];
    for (n, name) in turns {
        line.put(&format!(" {dot} {} {name}", rate(n)), theme.text);
    }
    if connections.hostnames.on {
        let missed = connections.hostnames.counts.missed() + connections.hostnames.evicted;
        let style = if missed > 0 { theme.note } else { theme.text };
        let missed = format!(" {dot} {} names missed", num::grouped(missed));
        line.put(&missed, style);
    }
    if connections.polled() {
        line.put(&format!(" {dot} polled: failed ones are not seen"), theme.note);
        return;
    }
    let failed = lately.failed.total();
    let style = if failed > 0 { theme.bad } else { theme.text };
    line.put(&format!(" {dot} "), theme.text).put(&format!("{} failed/s", rate(failed)), style);
    let mut why = String::new();
    for (reason, n) in connections.turnover.failed.parts().filter(|(_, n)| *n > 0) {
        let before = if why.is_empty() { format!(" {dot} so far ") } else { ", ".to_owned() };
        let _ = write!(why, "{before}{} {}", num::grouped(n), reason.text());
    }
    let room = line.room();
    line.put(&cut(&why, room, look.glyphs.cut), theme.quiet);
}

/// The number of rows, and of those that found no room.
pub fn count(app: &App, look: &Look) -> String {
    let table = &app.talkers_pane.conns;
    let evicted = app.owners().map_or(0, |connections| {
        let evicted = connections.evicted.saturating_add(connections.closed_evicted);
        evicted.saturating_add(connections.limits.sockets)
    });
    let groups = match table.grouping {
        Grouping::None => String::new(),
        Grouping::Program | Grouping::Peer => {
            let n = num::grouped(table.groups.len() as u64);
            format!(" {n} groups {}", look.glyphs.dot)
        }
    };
    format!(
        "{groups} {} of {} {} {} evicted ",
        num::grouped(table.matched as u64),
        num::grouped(table.of as u64),
        look.glyphs.dot,
        num::grouped(evicted)
    )
}

/// The order of the rows, also if its column is not shown.
pub fn order(app: &App, look: &Look) -> String {
    let table = &app.talkers_pane.conns;
    let title = table.sort.title(table.columns(), app.screen.units.bytes);
    frame::order(look, &table.list, table.reverse, title)
}

/// The pane's title, with the open connection.
pub fn title(app: &App, look: &Look) -> String {
    let open = app.owners().and_then(|connections| {
        let row = app.talkers_pane.conns.open_row(connections)?;
        Some(conn_detail::ends(data(app, connections, row)?.conn))
    });
    let open = open.map(|ends| format!(" {} {ends}", look.glyphs.into)).unwrap_or_default();
    let grouped = match app.talkers_pane.conns.grouping.title() {
        "" => String::new(),
        title => format!(" {} {title}", look.glyphs.dot),
    };
    format!(" 2 Connections{grouped}{open} ")
}
