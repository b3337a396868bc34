//! The details of a connection, with its last minute.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::conns_cells;
use super::glyphs::{graph, stretch};
use super::look::Look;
use super::num;
use super::text::{Line, cut};
use crate::app::App;
use crate::app::conns::{ConnRow, data_of};
use crate::model::conn::{Carried, Conn};
use crate::model::connections::{ConnHistory, Connections, MAX_HISTORIES};
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::field::conns::ConnRowData;
use crate::model::history::{HISTORY_SECONDS, History};
use crate::model::quality::Windows;

/// Cells of a graph beside its figure: 24 seconds in braille.
const GRAPH: usize = 12;

/// Cells of the scale beside it.
const SCALE: usize = 22;

/// The ends of a connection, as its title.
pub(super) fn ends(conn: &Conn) -> String {
    match (conn.remote.port(), conn.passive) {
        (0, _) => conn.local.to_string(),
        (_, false) => format!("{} to {}", conn.local, conn.remote),
        (_, true) => format!("{} from {}", conn.local, conn.remote),
    }
}

/// Draws all that is known of the open connection.
pub(super) fn draw(
    app: &App,
    look: &Look,
    connections: &Connections,
    area: Rect,
    buf: &mut Buffer,
) {
    let (theme, glyphs) = (look.theme, look.glyphs);
    let row = app.talkers_pane.conns.open_row(connections);
    let history = row.and_then(|row| match row {
        ConnRow::Live(slot) => connections.history_of(slot),
        ConnRow::Closed(number) => connections.closed_conn(number)?.history.as_deref(),
        ConnRow::Group(_) => None,
    });
    let Some(row) = row.and_then(|row| data_of(connections, app.opens(), row, app.shown_at()))
    else {
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
    if let Some(named) = row.name {
        let age = num::age(app.shown_at().since(named.at));
        let ttl = named.ttl_s.map(|s| format!(", valid for {s} s")).unwrap_or_default();
        let others = match named.others {
            0 => String::new(),
            n => format!("; {n} more names had this address"),
        };
        let (name, source) = (escape(named.name), named.source.name());
        put("name", format!("{name} ({source}, {age} ago{ttl}){others}"), theme.text);
    }
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
    if let Some(windows) = q.windows.filter(|_| row.closed.is_none()) {
        put("in flight", in_flight(&windows, conn), theme.text);
        let ago = num::age(app.shown_at().since(conn.at));
        put("windows", offered(&windows, &ago), theme.text);
    }
    if let Some(n) = q.cwnd {
        put("cwnd", format!("{} segments", num::grouped(n.into())), theme.text);
    }
    if let Some(bps) = q.delivery_bps {
        put("delivery", num::traffic_unit(bps as f64, units), theme.text);
    }
    put("netns", conn.netns.to_string(), theme.quiet);
    let title = ends(conn);
    let mut title_line = Line::new(buf, Rect { height: area.height.min(1), ..area });
    let room = title_line.skip(1).room();
    title_line.put(&cut(&title, room, glyphs.cut), theme.strong);
    let used = u16::try_from(lines.len() + 1).unwrap_or(u16::MAX);
    let below =
        Rect { y: area.y.saturating_add(used), height: area.height.saturating_sub(used), ..area };
    let ended = row.closed.is_some();
    let past = history.map(|history| Past::of(app, look, history, ended)).unwrap_or_default();
    // Three graphs under a line each, and the axis; else they stand beside the figures.
    let high = (below.height.saturating_sub(1) / 3).saturating_sub(1).min(5);
    for ((label, text, style), y) in lines.iter().zip(area.y.saturating_add(1)..area.bottom()) {
        let mut line = Line::new(buf, Rect { y, height: 1, ..area });
        line.skip(1).put(&format!("{label:<9} "), theme.quiet);
        let room = line.room();
        line.put(&cut(text, room, glyphs.cut), *style);
        if let Some(past) = past.iter().find(|past| past.label == *label).filter(|_| high == 0) {
            past.beside(look, &mut line);
        }
    }
    if past.is_empty() {
        let mut line = Line::new(buf, Rect { height: below.height.min(1), ..below });
        let room = line.skip(1).room();
        line.put(&cut(&without_graphs(connections, &row), room, glyphs.cut), theme.quiet);
    } else if high > 0 {
        graphs(look, &past, high, below, buf);
    }
}

/// The reason why there are no graphs.
fn without_graphs(connections: &Connections, row: &ConnRowData<'_>) -> String {
    let most = num::grouped(MAX_HISTORIES as u64);
    match (row.carried.map(Carried::bytes), connections.without_history) {
        (None, _) => "no graphs: bytes of connections other than TCP are not counted".to_owned(),
        (Some(0), _) => "no graphs: it has carried nothing since ebpftop started".to_owned(),
        (Some(_), 0) => {
            format!("no graphs: it carried nothing lately, or {most} others had all the room")
        }
        (Some(_), n) => format!(
            "no graphs: {most} connections have some already, {} others have none",
            num::grouped(n)
        ),
    }
}

/// Bytes on the way to the peer, and bytes that the process has not read.
fn in_flight(of: &Windows, conn: &Conn) -> String {
    let sent = of.in_flight.map_or_else(
        || "bytes unknown".to_owned(),
        |bytes| format!("{} bytes", num::grouped(bytes.into())),
    );
    let segments = num::grouped(of.unacked.into());
    let unsent = num::grouped(of.unsent.into());
    let unread = conn.queued().map(|n| format!(", {} not read", num::grouped(n)));
    format!("{sent} in {segments} segments, {unsent} not sent{}", unread.unwrap_or_default())
}

/// The windows that both sides offer.
fn offered(of: &Windows, ago: &str) -> String {
    let side = |window: Option<u32>| {
        window.map_or_else(|| "unknown".to_owned(), |bytes| num::grouped(bytes.into()))
    };
    format!("peer takes {}, this side {} bytes, {ago} ago", side(of.snd_wnd), side(of.rcv_wnd))
}

/// The last minute of a figure.
struct Past {
    /// The label of the figure's line.
    label: &'static str,
    values: Vec<u64>,
    style: Style,
    text: Box<dyn Fn(u64) -> String>,
}

impl Past {
    /// Received, sent, and the round-trip time, which has no value after the end.
    fn of(app: &App, look: &Look, history: &ConnHistory, ended: bool) -> Vec<Self> {
        let (theme, micro, units) = (look.theme, look.glyphs.micro, app.screen.units);
        let (now, seconds) = (app.shown_at(), HISTORY_SECONDS - 1);
        let carried = |label, history: &History, style| Self {
            label,
            values: history.last(now, seconds).collect(),
            style,
            text: Box::new(move |bytes| num::traffic_unit(bytes as f64 * 8.0, units)),
        };
        let rtt = Self {
            label: "RTT",
            values: match ended {
                true => history.srtt_us.last(now, seconds).collect(),
                false => history.srtt_us.gauge(now, seconds),
            },
            style: theme.text,
            text: Box::new(move |us| match us {
                0 => "unknown".to_owned(),
                us => num::latency(us.saturating_mul(1_000), micro),
            }),
        };
        vec![
            carried("received", &history.rx, theme.rx),
            carried("sent", &history.tx, theme.tx),
            rtt,
        ]
    }

    /// The values that fit, the largest of them, and the scale in words.
    fn fit(&self, look: &Look, width: usize) -> (Vec<u64>, u64, String) {
        let (wide, seconds) = stretch(look.glyphs, &self.values, width);
        let peak = wide.iter().copied().max().unwrap_or(0);
        let scale = format!("peak {} in {seconds} s", (self.text)(peak));
        (wide, peak.max(1), scale)
    }

    /// Draws it at the right of its figure, where there is room.
    fn beside(&self, look: &Look, line: &mut Line<'_>) {
        let (wide, peak, scale) = self.fit(look, GRAPH);
        if line.room() < GRAPH + SCALE + 3 {
            return;
        }
        line.skip_right(1).put_right(&format!("{scale:<SCALE$}"), look.theme.quiet).skip_right(1);
        line.put_right(&graph(look.glyphs, &wide, peak, GRAPH, 1).concat(), self.style);
    }
}

/// Draws graphs, `high` lines each, below their scales, and the axis of time.
fn graphs(look: &Look, past: &[Past], high: u16, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut y = area.y;
    let mut next = || {
        let place = Rect { y, height: 1, ..area }.intersection(area);
        y = y.saturating_add(1);
        place
    };
    let room = usize::from(area.width.saturating_sub(2));
    for past in past {
        let (wide, peak, scale) = past.fit(look, room);
        let mut line = Line::new(buf, next());
        line.skip(1).put(&format!("{:<9} {scale}", past.label), theme.quiet);
        for row in graph(look.glyphs, &wide, peak, room, high.into()) {
            Line::new(buf, next()).skip(1).put(&row, past.style);
        }
    }
    let (_, seconds) =
        stretch(look.glyphs, past.first().map_or(&[][..], |past| &past.values), room);
    let mut axis = Line::new(buf, next());
    axis.skip(1).put(&format!("{seconds} s ago"), theme.quiet);
    axis.skip_right(1).put_right("now", theme.quiet);
}
