//! The graphs beside the lines of a detail view: opens, and bytes of files, in each of the last seconds.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::glyphs::graph;
use super::look::Look;
use super::num;
use super::text::Line;
use crate::app::App;
use crate::app::opens::Detail;
use crate::model::history::{HISTORY_SECONDS, History};
use crate::model::io_history::{Counting, IoDirection};

/// Cells of a graph: a minute in braille.
pub(super) const WIDTH: u16 = 30;

/// Cells of the pane from which on there is a graph of opens, and those of bytes too: in a narrower one they would take
/// the place of the sums.
const LEAST_PANE: u16 = 70;
const LEAST_FOR_BYTES: u16 = 90;

/// Lines of a graph with its scale at most, and those for which the lines above the rows grow.
const MOST_ROWS: u16 = 4;
const WANTED_ROWS: u16 = 3;

/// One graph.
pub(super) struct Chart {
    counting: Counting,
    values: Vec<u64>,
}

/// The graphs of the open detail view: of opens, of bytes read and written, where there were any.
pub(super) fn charts(app: &App, pane_width: u16) -> Vec<Chart> {
    if pane_width < LEAST_PANE {
        return Vec::new();
    }
    let all = [
        Counting::Opens,
        Counting::Bytes(IoDirection::Read),
        Counting::Bytes(IoDirection::Written),
    ];
    let has_room = |counting: &Counting| match counting {
        Counting::Opens => true,
        Counting::Bytes(_) => pane_width >= LEAST_FOR_BYTES,
    };
    let of = |counting| Chart { counting, values: past(app, counting) };
    let charts = all.into_iter().filter(has_room).map(of);
    charts.filter(|chart| chart.values.iter().any(|v| *v > 0)).collect()
}

/// Lines that the graphs of bytes want in addition to those of text.
pub(super) fn wanted(charts: &[Chart]) -> u16 {
    match charts {
        [] | [Chart { counting: Counting::Opens, .. }] => 0,
        _ => u16::try_from(charts.len()).unwrap_or(u16::MAX).saturating_mul(WANTED_ROWS),
    }
}

/// The number of graphs that find room in so many lines, and the lines of each.
fn share(charts: &[Chart], height: u16) -> (usize, u16) {
    let (mut n, mut rows) = (charts.len(), 0);
    while n > 0 {
        rows = height / u16::try_from(n).unwrap_or(u16::MAX);
        if rows >= 2 || n == 1 {
            break;
        }
        n -= 1;
    }
    (n, rows.min(MOST_ROWS))
}

/// Lines that the graphs take of so many.
pub(super) fn rows(charts: &[Chart], height: u16) -> u16 {
    let (n, rows) = share(charts, height);
    rows.saturating_mul(u16::try_from(n).unwrap_or(u16::MAX))
}

/// Draws them at the right end of `area`, one below the other.
pub(super) fn draw(app: &App, look: &Look, charts: &[Chart], area: Rect, buf: &mut Buffer) {
    let (n, height) = share(charts, area.height);
    let x = area.right().saturating_sub(WIDTH);
    let mut y = area.y;
    for chart in charts.iter().take(n) {
        let place = Rect { x, y, width: WIDTH, height };
        chart.draw(app, look, charts.len() > 1, place, buf);
        y += height;
    }
}

impl Chart {
    /// A graph, and its scale in the last of some lines: the seconds that it shows, and its peak.
    fn draw(&self, app: &App, look: &Look, is_named: bool, place: Rect, buf: &mut Buffer) {
        let scaled = place.height >= 3;
        let rows = place.height - u16::from(scaled);
        let width = usize::from(place.width);
        let values = match look.glyphs.braille {
            true => &*self.values,
            false => self.values.get(self.values.len().saturating_sub(width)..).unwrap_or_default(),
        };
        let peak = values.iter().copied().max().unwrap_or(0);
        let lines = graph(look.glyphs, values, peak.max(4), width, usize::from(rows));
        for (row, y) in lines.iter().zip(place.y..) {
            Line::new(buf, Rect { y, height: 1, ..place }).put(row, self.style(look));
        }
        if scaled {
            let at = Rect { y: place.y + rows, height: 1, ..place };
            Line::new(buf, at)
                .put(&format!("{} s ago", values.len()), look.theme.quiet)
                .put_right(&self.scale(app, is_named, peak), look.theme.quiet);
        }
    }

    fn style(&self, look: &Look) -> Style {
        match self.counting {
            Counting::Opens => look.theme.opens,
            Counting::Bytes(IoDirection::Read) => look.theme.rx,
            Counting::Bytes(IoDirection::Written) => look.theme.tx,
        }
    }

    fn scale(&self, app: &App, is_named: bool, peak: u64) -> String {
        let bytes = || num::scaled(peak as f64, app.screen.units.binary);
        match self.counting {
            Counting::Opens if is_named => format!("opens, peak {}/s", num::si(peak as f64)),
            Counting::Opens => format!("peak {}/s", num::si(peak as f64)),
            Counting::Bytes(IoDirection::Read) => format!("read, peak {}B/s", bytes()),
            Counting::Bytes(IoDirection::Written) => format!("wrote, peak {}B/s", bytes()),
        }
    }
}

/// Opens, or bytes, of the open unit, program, process or file in each of the last seconds.
fn past(app: &App, of: Counting) -> Vec<u64> {
    let (pane, now, seconds) = (&app.opens_pane, app.shown_at(), HISTORY_SECONDS - 1);
    let last = |history: Option<&History>| {
        history.map_or(Vec::new(), |history| history.last(now, seconds).collect())
    };
    match pane.detail() {
        Some(Detail::Unit(_)) => pane
            .units
            .first()
            .map_or(Vec::new(), |unit| unit.past(of, &pane.programs, app.opens(), now, seconds)),
        Some(Detail::Program(_)) => {
            let program = pane.programs.first();
            program.map_or(Vec::new(), |program| program.past(of, app.opens(), now, seconds))
        }
        Some(Detail::Path(slot)) => match (of, app.opens().paths().get(*slot)) {
            (Counting::Bytes(direction), Some(path)) => last(path.io_history.of(direction)),
            _ => Vec::new(),
        },
        _ => last(app.inside_process().and_then(|process| process.past(of))),
    }
}
