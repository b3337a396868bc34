//! A line of a detail view, and the texts that several views have: opens, failures, directories.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use super::num;
use super::text::{Line, cells, cut, middle};
use crate::app::App;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::opens::Tally;

/// One line: its rank (the lowest stay longest when there is little room), its label, its text.
pub(super) struct Field<'a> {
    pub(super) rank: u8,
    pub(super) name: &'static str,
    pub(super) text: Cow<'a, str>,
    pub(super) fit: Fit,
}

/// How a text that is too long is shortened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Cut at its end.
    Cut,
    /// A path: cut in its middle.
    Middle,
    /// Wrapped to more lines, if there are some.
    Wrap,
}

pub(super) fn field<'a>(rank: u8, name: &'static str, text: impl Into<Cow<'a, str>>) -> Field<'a> {
    Field { rank, name, text: text.into(), fit: Fit::Cut }
}

pub(super) fn path<'a>(rank: u8, name: &'static str, text: impl Into<Cow<'a, str>>) -> Field<'a> {
    Field { fit: Fit::Middle, ..field(rank, name, text) }
}

/// Writes one line, over as many rows as it may; how many that were.
pub(super) fn put(
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

/// The failures of the open detail view by errno.
pub(super) fn failures(app: &App, look: &Look, failed: u64) -> String {
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
pub(super) fn directories(app: &App, look: &Look) -> String {
    let dirs = &app.opens_pane.about.dirs;
    let dirs: Vec<_> =
        dirs.iter().map(|(d, n)| format!("{} {}", escape(d), num::grouped(*n))).collect();
    if dirs.is_empty() { look.glyphs.none.into() } else { dirs.join("  ") }
}

pub(super) fn tally(app: &App, look: &Look, tally: &Tally, rate: f64) -> String {
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
