//! The help page, printed from the tables of keys and columns, the current view first. It can be searched.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::columns;
use super::frame::window;
use super::help_text::{
    ADDRESS, COLOURS, CONNECTIONS, LISTENERS, MARKS, StyleOf, TALKERS, rows_of, rows_of_detail,
};
use super::hints;
use super::layout::layout_of;
use super::look::Look;
use super::text::{Line, cells, cut, wrapped};
use crate::app::opens::Detail;
use crate::app::overlay::help::Help;
use crate::app::talkers::TalkersView;
use crate::app::{App, Pane};
use crate::model::coverage::{Missing, POLLED};
use crate::model::field;
use crate::model::filter::TERMS;

/// The page's width.
const WIDTH: u16 = 84;

/// An entry: its name, the style of that, its text.
type Entry<'a> = (String, StyleOf, Cow<'a, str>);

/// One line of the page.
struct PageLine {
    left: String,
    style: StyleOf,
    text: String,
}

/// The lines that contain the text of the search, wrapped to `width`; all without a search. A section
/// without a match is left out.
fn lines(app: &App, look: &Look, help: &Help, width: u16) -> Vec<PageLine> {
    let key: StyleOf = |t| t.key;
    let keys = app.keys.of_panes().into_iter().map(|row| (row.names(), key, row.help.into()));
    let keys = keys.collect();
    let of_table = |table: &[(&str, &'static str)]| {
        let entry = |(a, b): &(&str, &'static str)| ((*a).to_owned(), key, Cow::Borrowed(*b));
        table.iter().map(entry).collect::<Vec<_>>()
    };
    let filter = TERMS.iter().map(|t| (t.written.to_owned(), key, t.help.into())).collect();
    let colours =
        COLOURS.iter().map(|(a, style, b)| ((*a).to_owned(), *style, (*b).into())).collect();
    let (title, shows, columns) = view(app);
    let sections: [(&str, Vec<Entry<'_>>); 8] = [
        (title, shows),
        ("missing here", missing(app)),
        ("columns here", columns),
        ("keys", keys),
        ("filter", filter),
        ("columns", of_table(&field::headers())),
        ("marks", of_table(MARKS)),
        ("colours", colours),
    ];
    let names = names_width(width);
    let room = usize::from(width.saturating_sub(names)).max(1);
    let wanted = help.wanted();
    let mut lines: Vec<PageLine> = Vec::new();
    for (title, entries) in sections {
        let fits = |(left, _, text): &&Entry| {
            wanted.is_empty()
                || left.to_lowercase().contains(&wanted)
                || text.to_lowercase().contains(&wanted)
        };
        let mut entries = entries.iter().filter(fits).peekable();
        if entries.peek().is_none() {
            continue;
        }
        let heading: StyleOf = |t| t.title;
        if !lines.is_empty() {
            lines.push(PageLine { left: String::new(), style: heading, text: String::new() });
        }
        lines.push(PageLine { left: title.into(), style: heading, text: String::new() });
        for (left, style, text) in entries {
            let mut left = left.clone();
            for text in wrapped(&plain(look, text), room) {
                lines.push(PageLine { left: std::mem::take(&mut left), style: *style, text });
            }
        }
    }
    lines
}

/// The focused pane as it is now: what its rows are, the keys that belong to it, and its columns.
fn view(app: &App) -> (&'static str, Vec<Entry<'_>>, Vec<Entry<'_>>) {
    let strong: StyleOf = |t| t.strong;
    let key: StyleOf = |t| t.key;
    let plain = |header: &str, help: &'static str| (header.to_owned(), key, Cow::Borrowed(help));
    let (title, rows, columns): (_, _, Vec<Entry<'_>>) = match app.screen.focus {
        Pane::Talkers if app.talkers_pane.inside.is_some() => ("address", ADDRESS, Vec::new()),
        Pane::Talkers if app.talkers_pane.view == TalkersView::Listeners => {
            let columns = columns::listeners(app).into_iter().map(|c| plain(c.header, c.help));
            ("listeners", LISTENERS, columns.collect())
        }
        Pane::Talkers if app.talkers_pane.view == TalkersView::Connections => {
            let columns = columns::conns(app).into_iter().map(|c| plain(c.header, c.help));
            ("connections", CONNECTIONS, columns.collect())
        }
        Pane::Talkers => {
            let columns = columns::talkers(app).into_iter().map(|c| plain(c.header, c.help));
            ("talkers", TALKERS, columns.collect())
        }
        Pane::Opens => {
            let pane = &app.opens_pane;
            let (title, rows) = match pane.detail() {
                Some(detail) => ("details", rows_of_detail(detail)),
                None => (pane.view.title(), rows_of(pane.view)),
            };
            let columns = columns::opens(app).into_iter().map(|c| plain(c.header, c.help));
            // These have no table, only rows of their own kinds.
            let has_columns = !pane.detail().is_some_and(Detail::is_alone);
            (title, rows, columns.filter(|_| has_columns).collect())
        }
    };
    let shows = ("rows".to_owned(), strong, Cow::Borrowed(rows));
    let keys = hints::here(app).into_iter().map(|row| (row.names(), key, row.help.into()));
    (title, std::iter::once(shows).chain(keys).collect(), columns)
}

/// Features that the kernel refused, calls that no program sees, and how connections are attributed if they are polled.
fn missing(app: &App) -> Vec<Entry<'_>> {
    let note: StyleOf = |t| t.note;
    let polled = app.data.polled().then(|| ("procfs".to_owned(), note, Cow::Borrowed(POLLED)));
    let refused =
        |m: &Missing| (m.program.clone(), note, Cow::Owned(format!("{}: {}", m.feature, m.error)));
    polled.into_iter().chain(app.data.missing().into_iter().map(refused)).collect()
}

/// Cells for the left part.
fn names_width(width: u16) -> u16 {
    if width >= 60 { 19 } else { 12 }
}

/// The window's size, and the lines that fit into it beside the one of the search.
fn size(lines: usize, help: &Help, area: Rect) -> (u16, u16, usize) {
    let search = u16::from(help.is_searched());
    let wanted = u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2 + search);
    // The window keeps its size while the search is typed.
    let height = if search > 0 { area.height } else { wanted.min(area.height) };
    (WIDTH.min(area.width), height, usize::from(height.saturating_sub(2 + search)))
}

/// The area above the footer, which stays: it has the keys to search and to close.
fn above_footer(app: &App, area: Rect) -> Rect {
    let footer = layout_of(app, area).footer.map_or(0, |f| f.height);
    Rect { height: area.height.saturating_sub(footer), ..area }
}

/// Lines of the page that are shown at once, and the last line that it can begin with.
pub fn measure(app: &App, look: &Look, help: &Help, area: Rect) -> (usize, usize) {
    let area = above_footer(app, area);
    let lines = lines(app, look, help, WIDTH.min(area.width).saturating_sub(4)).len();
    let shown = size(lines, help, area).2;
    (shown, lines.saturating_sub(shown))
}

/// The text with the signs that this screen has.
fn plain<'a>(look: &Look, text: &'a str) -> Cow<'a, str> {
    if look.glyphs.braille || text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let signs =
        [("↑", "Up"), ("↓", "Down"), ("←", "Left"), ("→", "Right"), ("…", "..."), ("◆ ", "")];
    Cow::Owned(signs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// Draws the page.
pub fn draw(app: &App, look: &Look, help: &Help, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let area = above_footer(app, area);
    let lines = lines(app, look, help, WIDTH.min(area.width).saturating_sub(4));
    let (width, height, rows) = size(lines.len(), help, area);
    let mut inside = window(look, area, width, height, "Help", buf);
    if help.is_searched() && inside.height > 0 {
        search(look, help, lines.is_empty(), Rect { height: 1, ..inside }, buf);
        inside = Rect { y: inside.y + 1, height: inside.height - 1, ..inside };
    }
    let names = names_width(inside.width);
    let last = lines.len().saturating_sub(rows);
    let first = help.first.min(last);
    for (page_line, y) in lines.iter().skip(first).zip(inside.y..inside.bottom()) {
        let place = Rect { y, height: 1, ..inside };
        let left = plain(look, &page_line.left);
        let room = usize::from(place.width.min(names));
        Line::new(buf, Rect { width: place.width.min(names), ..place })
            .put(&cut(&left, room, look.glyphs.cut), (page_line.style)(theme));
        let mut line = Line::new(buf, place);
        let room = line.skip(names).room();
        line.put(&cut(&page_line.text, room, look.glyphs.cut), theme.text);
    }
    if first < last && inside.height > 0 {
        let edge = Rect { y: inside.bottom(), height: 1, ..inside }.intersection(area);
        Line::new(buf, edge).put_right(&format!(" {} more ", look.glyphs.down), theme.quiet);
    }
}

/// The line that is typed into.
fn search(look: &Look, help: &Help, nothing: bool, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    if nothing {
        line.put_right("no match", theme.note).skip_right(1);
    }
    line.put("search ", theme.key);
    let room = line.room().saturating_sub(1);
    // The end of a long text is shown: that is where one types.
    let text = help.text();
    let start = text
        .char_indices()
        .map(|(i, _)| i)
        .find(|i| text.get(*i..).is_none_or(|rest| cells(rest) <= room));
    line.put(text.get(start.unwrap_or(text.len())..).unwrap_or(""), theme.strong);
    if help.typing {
        line.put(look.glyphs.cursor, theme.key);
    }
}
