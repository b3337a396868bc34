//! The screen: `view` draws the app's state and changes nothing; `measure` computes the room for its
//! lists.
//!
//! Each part has a file. Columns, colours and signs are data. Reads `app` and `model`, never probes.

mod address;
mod change_cells;
mod columns;
mod confirm;
mod conn_detail;
mod conn_group_cells;
mod conns;
mod conns_cells;
mod count_cells;
mod detail;
mod detail_charts;
mod detail_lines;
mod figures;
mod file_cells;
mod footer;
mod frame;
mod glyphs;
mod header;
mod help;
mod help_text;
mod hints;
mod layout;
mod listeners;
mod look;
mod measure;
mod num;
mod opens;
mod opens_cells;
mod opens_data;
mod picker;
mod problem;
mod process_detail;
mod program_cells;
mod related;
mod table;
mod talker;
mod talkers;
mod talkers_cells;
mod talkers_data;
mod text;
mod theme;
mod timeline_cells;
mod unit_cells;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use crate::app::talkers::TalkersView;
use crate::app::{App, Overlay, Pane, Target};
pub use glyphs::Glyphs;
use layout::{Layout, Shape, layout_of};
pub use look::Look;
pub use measure::measure;
use measure::parts;
pub use theme::{THEMES, Theme};

/// Draws the whole screen.
pub fn view(app: &App, look: &Look, frame: &mut Frame<'_>) {
    let area = frame.area();
    draw(app, look, area, frame.buffer_mut());
}

/// Draws the whole screen into a buffer.
pub fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    buf.set_style(area, look.theme.text);
    let at = layout_of(app, area);
    if at.shape == Shape::Tiny {
        return header::one_line(app, look, area, buf);
    }
    header::draw(app, look, at.header, buf);
    if let Some(line) = at.filter {
        footer::filter(app, look, line, buf);
    }
    if let Some(line) = at.tabs {
        footer::tabs(app, look, line, buf);
    }
    if let Some(inside) = at.inside(Pane::Opens) {
        opens::draw(app, look, &at, &parts(app, look, Pane::Opens, inside), buf);
    }
    if let Some(inside) = at.inside(Pane::Talkers) {
        talkers::draw(app, look, &at, &parts(app, look, Pane::Talkers, inside), buf);
    }
    if let Some(line) = at.footer {
        footer::draw(app, look, line, buf);
    }
    match &app.screen.overlay {
        Overlay::None => {}
        Overlay::Help(help) => help::draw(app, look, help, area, buf),
        Overlay::Picker(picker) => picker::draw(app, look, picker, area, buf),
        Overlay::Confirm(mode) => confirm::draw(app, look, *mode, area, buf),
    }
}

/// The thing at a place of the screen, for clicks.
pub fn hit(app: &App, look: &Look, area: Rect, column: u16, row: u16) -> Option<Target> {
    let at = layout_of(app, area);
    let place = Position::new(column, row);
    if at.tabs.is_some_and(|t| t.contains(place)) {
        return Some(Target::Pane(footer::tab_at(column)));
    }
    if let Some(pane) = split_at(&at, column, row) {
        return Some(Target::Split(pane));
    }
    for pane in [Pane::Opens, Pane::Talkers] {
        if !at.pane(pane).is_some_and(|p| p.contains(place)) {
            continue;
        }
        let Some(inside) = at.inside(pane).filter(|i| i.contains(place)) else {
            return Some(Target::Pane(pane));
        };
        let parts = parts(app, look, pane, inside);
        if let Some(related) = parts.related.filter(|a| a.contains(place)) {
            let list = match pane {
                Pane::Opens => &app.opens_pane.related,
                Pane::Talkers => &app.talkers_pane.related,
            };
            let first = list.list.first(list.rows.len(), usize::from(related.height));
            let line = usize::from(row - related.y) + first;
            let there = line < list.rows.len();
            return Some(if there { Target::RelatedRow(pane, line) } else { Target::Pane(pane) });
        }
        let rows = parts.rows;
        if row + 1 == rows.y && column < rows.right() {
            let x = column - inside.x;
            return match pane {
                Pane::Opens => {
                    table::sort_at(&columns::opens(app), rows.width, x).map(Target::OpensHeader)
                }
                Pane::Talkers => match app.talkers_pane.view {
                    TalkersView::Addresses => {
                        let columns = columns::talkers(app);
                        table::sort_at(&columns, inside.width, x).map(Target::TalkersHeader)
                    }
                    TalkersView::Connections => {
                        let columns = columns::conns(app);
                        table::sort_at(&columns, inside.width, x).map(Target::ConnsHeader)
                    }
                    TalkersView::Listeners => {
                        let columns = columns::listeners(app);
                        table::sort_at(&columns, inside.width, x).map(Target::ListenersHeader)
                    }
                },
            };
        }
        if !rows.contains(place) {
            return Some(Target::Pane(pane));
        }
        let (list, len) = match pane {
            Pane::Opens => (&app.opens_pane.list, app.opens_pane.rows.len()),
            Pane::Talkers => app.talkers_pane.shown_list(),
        };
        let line = usize::from(row - rows.y) + list.first(len, usize::from(rows.height));
        return Some(if line < len { Target::Row(pane, line) } else { Target::Pane(pane) });
    }
    None
}

/// The pane on whose side of the line between the panes a place is; `None` off that line.
fn split_at(at: &Layout, column: u16, row: u16) -> Option<Pane> {
    let (first, second) = (at.opens?, at.talkers?);
    let (place, from, line) = match at.shape {
        Shape::Side => (column, row, second.x),
        _ => (row, column, second.y),
    };
    let (start, end) = match at.shape {
        Shape::Side => (first.y, first.bottom()),
        _ => (first.x, first.right()),
    };
    let beside = (start..end).contains(&from);
    match beside.then_some(place)? {
        p if p + 1 == line => Some(Pane::Opens),
        p if p == line => Some(Pane::Talkers),
        _ => None,
    }
}

/// Percent of the first pane when the line between the panes is dragged to a place; `None` where
/// they do not share the screen.
pub fn split_for(app: &App, area: Rect, column: u16, row: u16) -> Option<u16> {
    let at = layout_of(app, area);
    let (first, second) = (at.opens?, at.talkers?);
    let (cells, whole) = match at.shape {
        Shape::Side => (column.saturating_sub(first.x), first.width + second.width),
        _ => (row.saturating_sub(first.y), first.height + second.height),
    };
    // The last cell of the first pane is the one under the mouse.
    let percent = (u32::from(cells) + 1) * 100 / u32::from(whole.max(1));
    Some(u16::try_from(percent).unwrap_or(100))
}

/// The pane at a place, for the wheel.
pub fn pane_at(app: &App, area: Rect, column: u16, row: u16) -> Option<Pane> {
    let at = layout_of(app, area);
    let place = Position::new(column, row);
    [Pane::Opens, Pane::Talkers]
        .into_iter()
        .find(|p| at.pane(*p).is_some_and(|area| area.contains(place)))
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::model::field::opens::OpensTable;
    use crate::model::field::{conns, listeners, talkers};

    /// The sign of the order fits beside the header in the narrowest column.
    #[test]
    fn every_header_has_room_for_its_sign() {
        let fits = |header: &str, min: u16| text::cells(header) < usize::from(min);
        for table in OpensTable::VARIANTS {
            for c in table.columns().iter().filter(|c| c.sort.is_some()) {
                assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
            }
        }
        for c in listeners::COLUMNS.iter().filter(|c| c.sort.is_some()) {
            assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
        }
        for c in conns::COLUMNS.iter().filter(|c| c.sort.is_some()) {
            assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
        }
        for c in talkers::COLUMNS.iter().filter(|c| c.sort.is_some()) {
            assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
        }
    }
}
