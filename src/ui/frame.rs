//! The edges of panes and windows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, Borders, Widget};

use super::look::Look;
use super::text::{self, Line};
use crate::app::list::List;

/// The texts on a pane's border.
pub(super) struct PaneFrame<'a> {
    pub(super) title: String,
    /// At the right of the upper edge.
    pub(super) order: String,
    /// At the left of the lower edge: the first that has room there.
    pub(super) sums: Vec<String>,
    /// At the right of the lower edge.
    pub(super) count: String,
    pub(super) look: &'a Look,
    pub(super) focused: bool,
    pub(super) borders: bool,
}

/// The order of a pane's rows, also if its column is not shown, and whether a row is followed.
pub(super) fn order(look: &Look, list: &List, reverse: bool, title: &str) -> String {
    let mark = if reverse { look.glyphs.up } else { look.glyphs.down };
    let follow = if list.follow.is_some() { look.glyphs.follow } else { "" };
    format!(" {follow}{title} {mark} ")
}

impl PaneFrame<'_> {
    /// Draws the edges; without borders there is nothing to write on.
    pub(super) fn draw(&self, area: Rect, buf: &mut Buffer) {
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
            if let Some(sum) = self.sums.iter().find(|sum| text::cells(sum) < room) {
                bottom.put(sum, theme.quiet);
            }
        }
    }
}

/// Clears a window in the middle of `area`; returns its inside.
pub(super) fn window(
    look: &Look,
    area: Rect,
    width: u16,
    height: u16,
    title: &str,
    buf: &mut Buffer,
) -> Rect {
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
        sums: Vec::new(),
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
