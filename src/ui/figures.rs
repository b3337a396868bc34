//! The figures of the header: rates of the machine, with graphs and their scale.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::glyphs::{graph, stretch};
use super::look::Look;
use super::num;
use super::text::Line;
use crate::app::App;
use crate::model::history::{HISTORY_SECONDS, History};
use crate::model::io_history::IoDirection;
use crate::model::talkers::Direction;
use crate::model::time::Mono;
use crate::settings::saved_view::Units;

/// One figure of the header and its recent past.
struct Figure {
    name: &'static str,
    value: String,
    style: Style,
    graph: Style,
    values: Vec<u64>,
    /// Writes one of the values as a rate.
    scale: fn(u64, Units) -> String,
}

/// Draws the figures side by side.
pub(super) fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let width = area.width.saturating_sub(2);
    let mut figures = gather(app, look);
    if area.width >= WITH_BYTES && app.opens().io().is_known() {
        figures.extend(bytes_of_files(app, look));
    }
    let share = width / u16::try_from(figures.len()).unwrap_or(u16::MAX);
    for (i, figure) in (0u16..).zip(figures) {
        let place = Rect { x: area.x + 1 + i * share, width: share.saturating_sub(2), ..area };
        if area.height >= 2 {
            tall(look, &figure, app.screen.units, place, buf);
        } else {
            flat(look, &figure, app.screen.units, place, buf);
        }
    }
}

/// Cells from which on bytes of files have figures too, where they are counted.
const WITH_BYTES: u16 = 150;

/// Cells of a name or value beside its graph.
const WORDS: u16 = 10;

/// Cells for the scale of a graph and a gap: its peak, `1000k` or `1000Ki`, below that the seconds that it shows.
fn scale_width(units: Units) -> u16 {
    if units.binary { 7 } else { 6 }
}

/// Cells of a flat graph that has its peak beside it, at least.
const LEAST_GRAPH: usize = 4;

/// Name over value, a graph of two rows beside them, and its scale.
fn tall(look: &Look, figure: &Figure, units: Units, place: Rect, buf: &mut Buffer) {
    let words = WORDS.min(place.width);
    let scale_width = scale_width(units);
    let rows = usize::from(place.height);
    let upper = Rect { width: words, height: 1, ..place };
    Line::new(buf, upper).put(figure.name, look.theme.quiet);
    Line::new(buf, Rect { y: place.y + 1, ..upper }).put(&figure.value, figure.style);
    let width = place.width.saturating_sub(words + scale_width);
    let (stretched, seconds) = stretch(look.glyphs, &figure.values, usize::from(width));
    let (peak, most) = peak_of(&stretched);
    for (y, row) in (place.y..).zip(graph(look.glyphs, &stretched, most, width.into(), rows)) {
        let at = Rect { x: place.x + words, y, width, height: 1 };
        Line::new(buf, at).put(&row, figure.graph);
    }
    let scale = [(figure.scale)(peak, units), format!("{seconds} s")];
    for (y, text) in (place.y..place.bottom()).zip(scale) {
        let at = Rect { x: place.x + words + width, y, width: scale_width, height: 1 };
        Line::new(buf, at.intersection(place)).skip(1).put(&text, look.theme.quiet);
    }
}

/// Name, value and graph in one line, the graph's peak after it where there is room for both.
fn flat(look: &Look, figure: &Figure, units: Units, place: Rect, buf: &mut Buffer) {
    let mut line = Line::new(buf, place);
    line.put(figure.name, look.theme.quiet).skip(1).put(&figure.value, figure.style).skip(1);
    let scale_width = usize::from(scale_width(units));
    let scaled = line.room() >= scale_width + LEAST_GRAPH;
    let width = line.room() - if scaled { scale_width } else { 0 };
    let shown = look.glyphs.values_in(width);
    let from = figure.values.len().saturating_sub(shown);
    let values = figure.values.get(from..).unwrap_or_default();
    let (peak, most) = peak_of(values);
    let row = graph(look.glyphs, values, most, width, 1);
    line.put(row.first().map_or("", String::as_str), figure.graph);
    if scaled {
        line.skip(1).put(&(figure.scale)(peak, units), look.theme.quiet);
    }
}

/// The peak of the values, and the value that fills the height of their graph.
fn peak_of(values: &[u64]) -> (u64, u64) {
    let peak = values.iter().copied().max().unwrap_or(0);
    (peak, peak.max(4))
}

fn gather(app: &App, look: &Look) -> Vec<Figure> {
    let theme = look.theme;
    let opens = app.opens();
    let last = |h: &History| h.last(app.shown_at(), HISTORY_SECONDS - 1).collect::<Vec<u64>>();
    let (rx, rx_values) = traffic(app, Direction::Rx);
    let (tx, tx_values) = traffic(app, Direction::Tx);
    let strong = |on: bool| if on { theme.strong } else { theme.quiet };
    let failing = opens.fail_rate() > 0.0;
    vec![
        Figure {
            name: "opens",
            value: format!("{}/s", num::si(opens.rate())),
            style: strong(opens.rate() > 0.0),
            graph: theme.opens,
            values: last(opens.history()),
            scale: |opens, _| num::si(opens as f64),
        },
        Figure {
            name: "failed",
            value: format!("{}/s", num::si(opens.fail_rate())),
            style: if failing { theme.bad } else { theme.quiet },
            graph: theme.bad,
            values: last(opens.fail_history()),
            scale: |opens, _| num::si(opens as f64),
        },
        Figure {
            name: "rx",
            value: num::traffic_unit(rx, app.screen.units),
            style: strong(rx > 0.0),
            graph: theme.rx,
            values: rx_values,
            scale: |bytes, units| num::traffic(bytes as f64 * 8.0, units),
        },
        Figure {
            name: "tx",
            value: num::traffic_unit(tx, app.screen.units),
            style: strong(tx > 0.0),
            graph: theme.tx,
            values: tx_values,
            scale: |bytes, units| num::traffic(bytes as f64 * 8.0, units),
        },
    ]
}

/// Bytes that calls read and wrote, of all files.
fn bytes_of_files(app: &App, look: &Look) -> [Figure; 2] {
    let (theme, opens) = (look.theme, app.opens());
    let (read, written) = opens.io().rates(&opens.total().io);
    let last = |direction| {
        let history = opens.io_history().of(direction);
        history.map_or(Vec::new(), |h| h.last(app.shown_at(), HISTORY_SECONDS - 1).collect())
    };
    let figure = |name, rate: f64, graph, direction| Figure {
        name,
        value: format!("{}B/s", num::scaled(rate, app.screen.units.binary)),
        style: if rate > 0.0 { theme.strong } else { theme.quiet },
        graph,
        values: last(direction),
        scale: |bytes, units| num::scaled(bytes as f64, units.binary),
    };
    [
        figure("read", read, theme.rx, IoDirection::Read),
        figure("written", written, theme.tx, IoDirection::Written),
    ]
}

/// Bits per second of the watched interfaces, without stacked ones, and bytes in each of the last
/// seconds. On loopback each packet counts as sent and as received.
pub(super) fn traffic(app: &App, direction: Direction) -> (f64, Vec<u64>) {
    let wire = app.wire();
    let now: Mono = app.shown_at();
    let mut bits = 0.0;
    let mut values = vec![0u64; HISTORY_SECONDS - 1];
    for port in app.talkers_pane.summed.iter().filter_map(|p| wire.ports().get(*p)) {
        let side = port.side(direction);
        bits += side.rate(side.side.delta(), now).bps;
        for (sum, v) in values.iter_mut().zip(side.history.last(now, HISTORY_SECONDS - 1)) {
            *sum = sum.saturating_add(v);
        }
    }
    (bits, values)
}
