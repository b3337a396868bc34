//! The screen: `view` draws the app's state and changes nothing; `measure` computes the room for its
//! lists.
//!
//! Each part has a file. Columns, colours and signs are data. Reads `app` and `model`, never probes.

mod address;
mod columns;
mod confirm;
mod detail;
mod footer;
mod glyphs;
mod header;
mod help;
mod help_text;
mod layout;
mod measure;
mod num;
mod opens;
mod opens_cells;
mod picker;
mod related;
mod table;
mod talker;
mod talkers;
mod talkers_cells;
mod text;
mod theme;
mod unit_cells;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, Borders, Widget};

use crate::app::{App, Overlay, Pane, Target};
use crate::model::errno::errno_name;
use crate::model::opens::NO_FD;
use crate::settings::ScreenSettings;
pub use glyphs::Glyphs;
use layout::{Layout, Shape};
pub use measure::measure;
use measure::{layout_of, parts};
use text::Line;
pub use theme::{THEMES, Theme};

/// Colours and signs of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub theme: &'static Theme,
    pub glyphs: &'static Glyphs,
    colour: bool,
}

impl Look {
    /// As the settings ask for it.
    pub fn new(settings: &ScreenSettings) -> Self {
        Self {
            theme: Theme::named(settings.view.theme, settings.colour),
            glyphs: if settings.ascii { &glyphs::ASCII } else { &glyphs::UNICODE },
            colour: settings.colour,
        }
    }

    /// The same in the theme of that name.
    pub fn themed(self, name: &str) -> Self {
        Self { theme: Theme::named(name, self.colour), ..self }
    }
}

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
    if at.opens.is_some() {
        opens::draw(app, look, &at, buf);
    }
    if at.talkers.is_some() {
        talkers::draw(app, look, &at, buf);
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
                Pane::Talkers => table::sort_at(&columns::talkers(app), inside.width, x)
                    .map(Target::TalkersHeader),
            };
        }
        if !rows.contains(place) {
            return Some(Target::Pane(pane));
        }
        let (list, len) = match pane {
            Pane::Opens => (&app.opens_pane.list, app.opens_pane.rows.len()),
            Pane::Talkers => (&app.talkers_pane.list, app.talkers_pane.rows.len()),
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

/// The style of `lost N`: quiet while it is 0.
fn loss_style(app: &App, theme: &Theme) -> Style {
    if app.opens().lost() > 0 { theme.bad } else { theme.quiet }
}

/// The result of an open: the errno's name, or the descriptor.
fn outcome(look: &Look, ret: i32, line: &mut Line<'_>) {
    if ret < 0 {
        line.put(&errno_name(ret.saturating_neg()), look.theme.bad);
    } else if ret == NO_FD {
        line.put("slot", look.theme.quiet);
    } else {
        line.put(&format!("fd {ret}"), look.theme.quiet);
    }
}

/// The texts on a pane's border.
struct PaneFrame<'a> {
    title: String,
    /// At the right of the upper edge.
    order: String,
    /// At the left of the lower edge, where there is room.
    sum: String,
    /// At the right of the lower edge.
    count: String,
    look: &'a Look,
    focused: bool,
    borders: bool,
}

impl PaneFrame<'_> {
    /// Draws the edges; without borders there is nothing to write on.
    fn draw(&self, area: Rect, buf: &mut Buffer) {
        if !self.borders {
            return;
        }
        let theme = self.look.theme;
        let edge = if self.focused { theme.focus } else { theme.border };
        let block = Block::new()
            .borders(Borders::ALL)
            .border_set(self.look.glyphs.border)
            .border_style(edge)
            .style(theme.text);
        block.render(area, buf);
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        let title = if self.focused { theme.title } else { theme.text };
        let mut top = Line::new(buf, Rect { height: inner.height.min(1), ..inner });
        top.skip_right(1).put_right(&self.order, theme.sorted);
        let room = top.skip(1).room();
        top.put(&text::cut(&self.title, room, self.look.glyphs.cut), title);
        if area.height > 1 {
            let y = area.bottom() - 1;
            let mut bottom = Line::new(buf, Rect { y, height: 1, ..inner });
            bottom.skip_right(1).put_right(&self.count, theme.quiet);
            let room = bottom.skip(1).room();
            if text::cells(&self.sum) < room {
                bottom.put(&self.sum, theme.quiet);
            }
        }
    }
}

/// Clears a window in the middle of `area`; returns its inside.
fn window(look: &Look, area: Rect, width: u16, height: u16, title: &str, buf: &mut Buffer) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    ratatui::widgets::Clear.render(place, buf);
    buf.set_style(place, look.theme.text);
    let frame = PaneFrame {
        title: format!(" {title} "),
        order: String::new(),
        sum: String::new(),
        count: String::new(),
        look,
        focused: true,
        borders: true,
    };
    frame.draw(place, buf);
    Rect {
        x: place.x + width.min(2),
        y: place.y + height.min(1),
        width: width.saturating_sub(4),
        height: height.saturating_sub(2),
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::model::field::opens::OpensTable;
    use crate::model::field::talkers;

    /// The sign of the order fits beside the header in the narrowest column.
    #[test]
    fn every_header_has_room_for_its_sign() {
        let fits = |header: &str, min: u16| text::cells(header) < usize::from(min);
        for table in OpensTable::VARIANTS {
            for c in table.columns().iter().filter(|c| c.sort.is_some()) {
                assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
            }
        }
        for c in talkers::COLUMNS.iter().filter(|c| c.sort.is_some()) {
            assert!(fits(c.header, c.min) && fits(c.as_bytes().header, c.min), "{}", c.header);
        }
    }
}
