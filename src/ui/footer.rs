//! The lines at the edges: filter, tabs, and hints about keys.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::look::Look;
use super::text::{Line, cells, cut};
use super::{conns, hints, listeners, opens, talkers};
use crate::app::talkers::TalkersView;
use crate::app::{App, Pane};
use crate::keys::Mode;

/// The tabs of a screen that shows one pane at a time.
const TABS: [(Pane, &str); 2] = [(Pane::Opens, " 1 Files  "), (Pane::Talkers, " 2 Talkers  ")];

/// The filter, while it is typed and after.
pub fn filter(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    let opens = &app.opens_pane;
    line.skip_right(1);
    line.put_right(&format!("{} of {}", opens.matched, opens.of), theme.quiet).skip_right(2);
    if app.screen.new_only && app.filter.error().is_none() {
        line.put_right("only rows newer than the mark", theme.fresh).skip_right(2);
    }
    let (text, cursor) = app.filter.text();
    line.put(" filter ", theme.key).skip(1);
    if let Some(error) = app.filter.error() {
        // The error gets the room that the typed text leaves, at least half.
        let room = line.room().saturating_sub((cells(text) + 3).min(line.room() / 2));
        let why = format!("invalid filter: {error}");
        line.put_right(&cut(&why, room, look.glyphs.cut), theme.note).skip_right(2);
    }
    let style = theme.strong;
    if !app.filter.editing() {
        let room = line.room();
        line.put(&cut(app.filter.good_text(), room, look.glyphs.cut), style);
        return;
    }
    // The part around the cursor, when the whole does not fit.
    let room = line.room().saturating_sub(1);
    let mut start = 0;
    while cursor.saturating_sub(cells(text.get(..start).unwrap_or(""))) > room {
        start += text.get(start..).and_then(|t| t.chars().next()).map_or(1, char::len_utf8);
    }
    let shown = text.get(start..).unwrap_or("");
    let at = cursor.saturating_sub(cells(text.get(..start).unwrap_or("")));
    let mut used = 0;
    let split = shown
        .char_indices()
        .find(|(_, c)| {
            let here = used >= at;
            used += cells(c.encode_utf8(&mut [0; 4]));
            here
        })
        .map_or(shown.len(), |(i, _)| i);
    let (before, after) = shown.split_at(split);
    // The invalid term is highlighted.
    let bad = app.filter.error().map_or(0..0, |e| e.at.clone());
    marked(&mut line, before, start, &bad, (style, theme.note));
    line.put(look.glyphs.cursor, theme.key);
    marked(&mut line, after, start + split, &bad, (style, theme.note));
}

/// Writes `text`, which begins at byte `at` of a whole text, with the range `bad` of that in another
/// style.
fn marked(
    line: &mut Line<'_>,
    text: &str,
    at: usize,
    bad: &Range<usize>,
    (style, other): (Style, Style),
) {
    let place = |of: usize| {
        let most = of.saturating_sub(at).min(text.len());
        (0..=most).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
    };
    let (from, to) = (place(bad.start), place(bad.end).max(place(bad.start)));
    line.put(text.get(..from).unwrap_or(""), style);
    line.put(text.get(from..to).unwrap_or(""), other);
    line.put(text.get(to..).unwrap_or(""), style);
}

/// The pane whose tab is at a column; right of the tabs, the last one.
pub fn tab_at(column: u16) -> Pane {
    let [first, last] = TABS;
    if usize::from(column) < cells(first.1) { first.0 } else { last.0 }
}

/// The tabs of the panes, and the order of the shown one.
pub fn tabs(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    for (pane, name) in TABS {
        let style = if app.screen.focus == pane { theme.sorted } else { theme.quiet };
        line.put(name, style);
    }
    let (extra, order) = match app.screen.focus {
        Pane::Opens => (app.opens_pane.view.title(), opens::order(app, look)),
        Pane::Talkers => match app.talkers_pane.view {
            TalkersView::Addresses => {
                (app.talkers_pane.ways(app.wire()).title(), talkers::order(app, look))
            }
            TalkersView::Connections => ("connections", conns::order(app, look)),
            TalkersView::Listeners => ("listeners", listeners::order(app, look)),
        },
    };
    // The order first: its column may have no room.
    line.put_right(order.trim_start(), theme.sorted).skip_right(1);
    line.put_right(extra, theme.quiet);
}

/// The notice, else hints about keys.
pub fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    line.skip(1);
    if let Some((notice, quiet)) = app.notice() {
        let room = line.room();
        let style = if quiet { theme.quiet } else { theme.strong };
        line.put(&cut(notice, room, look.glyphs.cut), style);
        return;
    }
    if let Some(damage) = app.replay.as_ref().and_then(|r| r.damage.as_ref()) {
        let room = line.room();
        line.put(&cut(damage, room, look.glyphs.cut), theme.bad);
        return;
    }
    if let Some(ended) = app.remote.as_ref().and_then(|r| r.ended.as_ref())
        && app.mode() == Mode::Main
    {
        let (words, style) = match ended {
            Ok(totals) => (format!("the recorder ended: {totals}"), theme.note),
            Err(why) => (why.clone(), theme.bad),
        };
        let room = line.room();
        line.put(&cut(&words, room, look.glyphs.cut), style);
        return;
    }
    let hints = match app.mode() {
        Mode::Main => hints::of_panes(app),
        mode => app.keys.of(mode).filter(|row| !row.hint.is_empty()).collect(),
    };
    // Until the first key the hints are what to look at.
    let words = if app.screen.fresh { theme.note } else { theme.quiet };
    for row in hints {
        let ascii = || row.keys.first().map(|key| key.word()).unwrap_or_default();
        let key = if look.glyphs.braille { row.first() } else { ascii() };
        let hint = row.hint;
        if line.room() < cells(&key) + cells(hint) + 1 {
            return;
        }
        line.put(&key, theme.key).skip(1).put(hint, words).skip(2);
    }
}
