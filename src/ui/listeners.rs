//! Listeners in the talkers pane.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame;
use super::look::Look;
use super::table::Table;
use super::text::{Line, cells, cut, middle};
use super::{columns, num};
use crate::app::{App, Pane};
use crate::model::field::listeners::ListenersField;
use crate::model::listener::{Counts, Listener, counts};
use crate::model::unit::Unit;

/// Behind a number of accepted connections that several listeners share.
const SUM_MARK: &str = "*";

/// Draws the counts, and below them the rows.
pub fn draw(app: &App, look: &Look, inside: Rect, rows: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let table = &app.talkers_pane.listeners;
    let mut line = Line::new(buf, Rect { height: inside.height.min(1), ..inside });
    line.skip(1);
    let Some(found) = &table.found else {
        let why = match app.is_live() {
            true => "reading the listeners",
            false => "no listeners recorded up to here",
        };
        line.put(why, theme.quiet);
        return;
    };
    let Counts { tcp, udp, unix } = counts(found.rows.iter());
    let ago = num::age(app.clock().since(found.at));
    let dot = look.glyphs.dot;
    let parts = [(tcp, "TCP"), (udp, "UDP"), (unix, "Unix")];
    for (at, (n, what)) in parts.into_iter().enumerate().filter(|(at, (n, _))| *at < 2 || *n > 0) {
        let between = if at > 0 { format!(" {dot} ") } else { String::new() };
        line.put(&format!("{between}{} {what}", num::grouped(n as u64)), theme.strong);
    }
    line.put(&format!(" {dot} read {ago} ago"), theme.quiet);
    let uncounted = app.data.owners.accepted.left_out;
    if uncounted > 0 {
        let n = num::grouped(uncounted);
        line.put(&format!(" {dot} {n} accepted at further addresses"), theme.note);
    }
    if let Some(problem) = &found.problem {
        let room = line.room();
        line.put(&cut(&format!(" {dot} {problem}"), room, look.glyphs.cut), theme.note);
    }
    if rows.height == 0 {
        return;
    }
    let len = table.rows.len();
    let first = table.list.first(len, usize::from(rows.height));
    let focused = app.screen.focus == Pane::Talkers;
    let columns = columns::listeners(app);
    let (sort, reverse) = (table.sort, table.reverse);
    let drawn = Table { look, columns: &columns, sort, reverse, focused };
    let mut shown = (first..len).take(rows.height.into()).filter_map(|row| table.row(row));
    if drawn.shows(rows.width, |field| field == ListenersField::Accepted)
        && shown.any(|row| row.accepting > 1)
    {
        let legend = format!(" {dot} {SUM_MARK} sum of the listeners at one address");
        if cells(&legend) <= line.room() {
            line.put(&legend, theme.note);
        }
    }
    drawn.header(Rect { y: rows.y - 1, height: 1, ..rows }, buf);
    if table.rows.is_empty() {
        let why = if found.rows.is_empty() { "no listeners" } else { "no match for the filter" };
        Line::new(buf, rows).skip(1).put(why, theme.quiet);
        return;
    }
    drawn.rows(rows, (first, len, table.list.cursor), buf, |column, row, line| {
        if let Some(listener) = table.row(row) {
            cell(app, look, column.field, listener, line);
        }
    });
}

/// The number of rows, and of those that found no room.
pub fn count(app: &App, look: &Look) -> String {
    let table = &app.talkers_pane.listeners;
    let (of, left_out) = table.found.as_ref().map_or((0, 0), |f| (f.rows.len(), f.left_out));
    format!(
        " {} of {} {} {} left out ",
        num::grouped(table.rows.len() as u64),
        num::grouped(of as u64),
        look.glyphs.dot,
        num::grouped(left_out)
    )
}

/// The order of the rows, also if its column is not shown.
pub fn order(app: &App, look: &Look) -> String {
    let table = &app.talkers_pane.listeners;
    let title = table.sort.title();
    frame::order(look, &table.list, table.reverse, title)
}

fn cell(app: &App, look: &Look, field: ListenersField, row: &Listener, line: &mut Line<'_>) {
    let (theme, glyphs) = (look.theme, look.glyphs);
    let width = line.room();
    match field {
        ListenersField::Process => match &row.owner {
            Some(owner) => {
                if row.others > 0 {
                    line.put_right(&format!("+{}", row.others), theme.quiet).skip_right(1);
                }
                let lit = app.is_lit_process(owner.key);
                let style = if lit { theme.strong } else { theme.text };
                line.put_bytes(owner.comm.as_bytes(), glyphs.cut, style);
            }
            None => {
                line.put(glyphs.none, theme.quiet);
            }
        },
        ListenersField::Pid => {
            if let Some(owner) = &row.owner {
                line.put_right(&owner.key.tgid.to_string(), theme.text);
            }
        }
        ListenersField::Unit => {
            match &row.cgroup {
                Some(path) => line.put_bytes(Unit::of(path).name, glyphs.cut, theme.quiet),
                None => line.put(glyphs.none, theme.quiet),
            };
        }
        ListenersField::Protocol => {
            line.put(&row.bound.protocol(), theme.quiet);
        }
        ListenersField::Local => {
            line.put(&middle(&row.bound.to_string(), width, glyphs.cut), theme.text);
        }
        ListenersField::Waiting => {
            let full = row.limit.is_some_and(|limit| row.waiting > limit);
            let style = match row.waiting {
                0 => theme.quiet,
                _ if full => theme.bad,
                _ => theme.strong,
            };
            line.put_right(&num::count(row.waiting.into(), width), style);
        }
        ListenersField::Limit => {
            let text = row.limit.map_or(glyphs.none.to_owned(), |n| num::count(n.into(), width));
            line.put_right(&text, theme.quiet);
        }
        ListenersField::Drops => match row.drops {
            Some(n) => {
                let style = if n > 0 { theme.bad } else { theme.quiet };
                line.put_right(&num::count(n.into(), width), style);
            }
            None => {
                line.put_right(glyphs.none, theme.quiet);
            }
        },
        ListenersField::Accepted => {
            let style = if row.accepted > Some(0) { theme.text } else { theme.quiet };
            if row.accepting > 1 {
                line.put_right(SUM_MARK, theme.note);
            }
            let width = line.room();
            let text = row.accepted.map_or(glyphs.none.to_owned(), |n| num::count(n, width));
            line.put_right(&text, style);
        }
        ListenersField::Age => {
            let age = row.since.map(|since| num::age(app.clock().since(since)));
            line.put_right(&age.unwrap_or(glyphs.none.to_owned()), theme.quiet);
        }
        ListenersField::Netns => {
            line.put_right(&row.netns.to_string(), theme.quiet);
        }
    }
}
