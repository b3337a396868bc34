//! Connections in the talkers pane: the line of counts, and the details of one.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::conns_cells;
use super::look::Look;
use super::num;
use super::table::Table;
use super::text::{Line, cut};
use super::{columns, text};
use crate::app::conns::{ConnRow, data_of};
use crate::app::{App, Pane};
use crate::model::conn::Conn;
use crate::model::connections::Connections;
use crate::model::errno::errno_name;
use crate::model::field::conns::ConnRowData;
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
        return details(app, look, connections, whole.intersection(inside), buf);
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
    drawn.rows(rows, (first, len, table.list.cursor), buf, |column, row, line| {
        if let Some(row) = table.rows.get(row).and_then(|row| data(app, connections, *row)) {
            conns_cells::draw(app, look, column.field, &row, line);
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
    if connections.polled() {
        line.put(&format!(" {dot} polled: failed ones are not seen"), theme.note);
        return;
    }
    let failed = lately.failed.total();
    let style = if failed > 0 { theme.bad } else { theme.text };
    line.put(&format!(" {dot} "), theme.text).put(&format!("{} failed/s", rate(failed)), style);
    let mut why = String::new();
    for (reason, n) in connections.turnover.failed.parts().filter(|(_, n)| *n > 0) {
        let comma = if why.is_empty() { " so far: " } else { ", " };
        let _ = write!(why, "{comma}{} {}", num::grouped(n), reason.text());
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
    format!(
        " {} of {} {} {} evicted ",
        num::grouped(table.matched as u64),
        num::grouped(table.of as u64),
        look.glyphs.dot,
        num::grouped(evicted)
    )
}

/// The order of the rows, also if its column is not shown.
pub fn order(app: &App, look: &Look) -> String {
    let table = &app.talkers_pane.conns;
    let mark = if table.reverse { look.glyphs.up } else { look.glyphs.down };
    let follow = if table.list.follow.is_some() { look.glyphs.follow } else { "" };
    format!(" {follow}{} {mark} ", table.sort.title(app.screen.units.bytes))
}

/// The pane's title, with the open connection.
pub fn title(app: &App, look: &Look) -> String {
    let open = app.owners().and_then(|connections| {
        let row = app.talkers_pane.conns.open_row(connections)?;
        Some(ends(data(app, connections, row)?.conn))
    });
    let open = open.map(|ends| format!(" {} {ends}", look.glyphs.into)).unwrap_or_default();
    format!(" 2 Connections{open} ")
}

/// The ends of a connection, as its title.
fn ends(conn: &Conn) -> String {
    match (conn.remote.port(), conn.passive) {
        (0, _) => conn.local.to_string(),
        (_, false) => format!("{} to {}", conn.local, conn.remote),
        (_, true) => format!("{} from {}", conn.local, conn.remote),
    }
}

/// All that is known of one connection.
fn details(app: &App, look: &Look, connections: &Connections, area: Rect, buf: &mut Buffer) {
    let (theme, glyphs) = (look.theme, look.glyphs);
    let row = app.talkers_pane.conns.open_row(connections);
    let Some(row) = row.and_then(|row| data(app, connections, row)) else {
        let gone = "it ended more than a minute ago, or it was evicted";
        Line::new(buf, area).skip(1).put(gone, theme.quiet);
        return;
    };
    let conn = row.conn;
    let mut lines: Vec<(&str, String, Style)> = Vec::new();
    let mut put = |label, text: String, style| lines.push((label, text, style));
    let (state, style) = conns_cells::state(&row, look);
    let error = match conn.error {
        0 => String::new(),
        error => format!(" ({})", errno_name(i32::try_from(error).unwrap_or(0))),
    };
    put("state", format!("{state}{error}"), style);
    put("process", conns_cells::who(app, &row), theme.text);
    let others = conn.shares.len().saturating_sub(1);
    if others > 0 {
        put("shared", format!("{others} more processes called on it"), theme.text);
    }
    let since = conn.since.map_or_else(
        || "before ebpftop started".to_owned(),
        |since| format!("{} ago", num::age(app.shown_at().since(since))),
    );
    put("began", since, theme.text);
    if let (Some(closed), Some(age)) = (row.closed, row.age_ns()) {
        let ago = num::age(app.shown_at().since(closed.at));
        put("ended", format!("{ago} ago, after {}", num::age(age)), theme.text);
    }
    let units = app.screen.units;
    let carried = |way: &'static str, bytes: Option<u64>, rate: Option<f64>| {
        let bytes = bytes.map_or_else(
            || "bytes unknown".to_owned(),
            |bytes| format!("{} bytes", num::grouped(bytes)),
        );
        let rate = rate.map(|bps| format!("  {}", num::traffic_unit(bps, units)));
        (way, format!("{bytes}{}", rate.unwrap_or_default()))
    };
    let [rx_bps, tx_bps] = row.rates().map_or([None; 2], |rates| rates.map(Some));
    for (way, text) in [
        carried("received", row.carried.map(|c| c.rx_bytes), rx_bps),
        carried("sent", row.carried.map(|c| c.tx_bytes), tx_bps),
    ] {
        put(way, text, theme.text);
    }
    let q = &conn.quality;
    let time = |us: u32| num::latency(u64::from(us) * 1_000, glyphs.micro);
    if let Some(us) = q.connect_us {
        put("connect", format!("{} from the SYN to the answer", time(us)), theme.text);
    }
    if let Some(us) = q.srtt_us {
        let deviation =
            q.rttvar_us.map(|us| format!(", mean deviation {}", time(us))).unwrap_or_default();
        put("RTT", format!("{}{deviation}", time(us)), theme.text);
    }
    if let Some(n) = q.retransmits {
        let lost = q.lost.map(|n| format!(", {} lost", num::grouped(n.into())));
        let reordered = q.reordering.map(|n| format!(", {} reordered", num::grouped(n.into())));
        let (lost, reordered) = (lost.unwrap_or_default(), reordered.unwrap_or_default());
        let n = num::grouped(n.into());
        put("segments", format!("{n} sent again{lost}{reordered}"), theme.text);
    }
    if let Some(n) = q.cwnd {
        put("window", format!("{} segments (congestion)", num::grouped(n.into())), theme.text);
    }
    if let Some(bps) = q.delivery_bps {
        put("delivery", num::traffic_unit(bps as f64, units), theme.text);
    }
    put("netns", conn.netns.to_string(), theme.quiet);
    let title = ends(conn);
    let mut title_line = Line::new(buf, Rect { height: area.height.min(1), ..area });
    let room = title_line.skip(1).room();
    title_line.put(&cut(&title, room, glyphs.cut), theme.strong);
    for ((label, text, style), y) in lines.iter().zip(area.y.saturating_add(1)..area.bottom()) {
        let mut line = Line::new(buf, Rect { y, height: 1, ..area });
        line.skip(1).put(&format!("{label:<9} "), theme.quiet);
        let room = line.room();
        line.put(&cut(text, room, glyphs.cut), *style);
    }
}
