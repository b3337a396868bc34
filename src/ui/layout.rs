//! The places on the screen, as a pure function of the terminal's size and a few wishes.

use ratatui::layout::Rect;

use super::problem;
use crate::app::talkers::TalkersView;
use crate::app::{App, Pane};
use crate::settings::saved_view::SavedView;

/// Lines of the talkers pane at least, so that it does not grow at each new address.
const TALKERS_LEAST: u16 = 6;

/// Lines of a pane with header, borders and one line between them.
const LEAST_PANE: u16 = 4;

/// How the panes share the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Too small for panes: one line.
    Tiny,
    /// One pane, the other behind a tab.
    Tabs,
    /// One above the other.
    Stacked,
    /// Side by side.
    Side,
}

/// The state that the layout depends on, apart from the size.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    pub focus: Pane,
    /// The focused pane alone.
    pub expanded: bool,
    /// Percent of the first pane.
    pub split: u16,
    /// A line for the filter.
    pub filter: bool,
    /// Lines that the talkers need, with header and borders; `None`: as many as there are.
    pub talkers: Option<u16>,
    /// Lines that the files need, where they have no rows.
    pub opens: Option<u16>,
}

/// The places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub shape: Shape,
    pub header: Rect,
    pub filter: Option<Rect>,
    pub tabs: Option<Rect>,
    pub opens: Option<Rect>,
    pub talkers: Option<Rect>,
    pub footer: Option<Rect>,
    /// The panes have borders.
    pub borders: bool,
}

impl Layout {
    /// The place of a pane, where it is shown.
    pub fn pane(&self, pane: Pane) -> Option<Rect> {
        match pane {
            Pane::Opens => self.opens,
            Pane::Talkers => self.talkers,
        }
    }

    /// The inside of a pane, without its border.
    pub fn inside(&self, pane: Pane) -> Option<Rect> {
        let area = self.pane(pane)?;
        if !self.borders {
            return Some(area);
        }
        let one = area.width.min(1);
        Some(Rect {
            x: area.x + one,
            y: area.y + area.height.min(1),
            width: area.width.saturating_sub(2),
            height: area.height.saturating_sub(2),
        })
    }
}

/// Header lines: 3 with figures beside graphs of two rows, 2 flat ones, or 1.
fn header_height(area: Rect) -> u16 {
    match (area.width, area.height) {
        (100.., 28..) => 3,
        (80.., 10..) => 2,
        _ => 1,
    }
}

/// Splits the screen.
pub fn layout(area: Rect, wishes: &Wishes) -> Layout {
    let mut at = Layout {
        shape: Shape::Tiny,
        header: area,
        filter: None,
        tabs: None,
        opens: None,
        talkers: None,
        footer: None,
        borders: false,
    };
    if area.width < 20 || area.height < 5 {
        at.header.height = area.height.min(1);
        return at;
    }
    let mut body = area;
    at.header = cut(&mut body, header_height(area));
    if wishes.filter {
        at.filter = Some(cut(&mut body, 1));
    }
    if area.height >= 10 {
        body.height -= 1;
        at.footer = Some(Rect { y: body.bottom(), height: 1, ..body });
    }
    at.shape = match (area.width, body.height) {
        (120.., 8..) => Shape::Side,
        (80.., 16..) => Shape::Stacked,
        _ => Shape::Tabs,
    };
    at.borders = at.shape != Shape::Tabs || (area.width >= 60 && body.height >= 14);
    if wishes.expanded && at.shape != Shape::Tabs {
        alone(&mut at, body, wishes.focus);
        return at;
    }
    let split = u32::from(wishes.split.clamp(10, 90));
    let share = |whole: u16| u16::try_from(u32::from(whole) * split / 100).unwrap_or(whole);
    match at.shape {
        Shape::Side => {
            let mut rest = body;
            let left = share(body.width).clamp(30, body.width.saturating_sub(30));
            at.opens = Some(Rect { width: left, ..body });
            rest.x += left;
            rest.width -= left;
            at.talkers = Some(rest);
        }
        Shape::Stacked => {
            // Lines that the talkers do not need are the files'.
            let spare = wishes.talkers.map_or(0, |lines| body.height.saturating_sub(lines));
            let top = share(body.height).max(spare);
            // And the other way round, where there are no files.
            let top = wishes.opens.map_or(top, |lines| top.min(lines.max(spare)));
            let top = top.clamp(LEAST_PANE, body.height.saturating_sub(LEAST_PANE));
            at.opens = Some(cut(&mut body, top));
            at.talkers = Some(body);
        }
        _ => {
            at.tabs = Some(cut(&mut body, 1));
            alone(&mut at, body, wishes.focus);
        }
    }
    at
}

fn alone(at: &mut Layout, body: Rect, focus: Pane) {
    match focus {
        Pane::Opens => at.opens = Some(body),
        Pane::Talkers => at.talkers = Some(body),
    }
}

/// Takes `height` lines off the top.
fn cut(body: &mut Rect, height: u16) -> Rect {
    let height = height.min(body.height);
    let top = Rect { height, ..*body };
    body.y += height;
    body.height -= height;
    top
}

/// The places on a screen of size `area`.
pub fn layout_of(app: &App, area: Rect) -> Layout {
    let moved = app.screen.split != SavedView::default().split;
    let wishes = Wishes {
        talkers: talkers_lines(app, area.width).filter(|_| !moved),
        opens: opens_lines(app, area.width).filter(|_| !moved),
        focus: app.screen.focus,
        expanded: app.screen.expanded,
        split: app.screen.split,
        // A wide header has the filter in its first line.
        filter: app.filter.editing()
            || area.width < 80 && (app.filter.is_shown() || app.screen.new_only),
    };
    layout(area, &wishes)
}

/// Lines of the talkers pane with header and borders; `None` for the details of an address.
fn talkers_lines(app: &App, width: u16) -> Option<u16> {
    let pane = &app.talkers_pane;
    if pane.view == TalkersView::Listeners {
        let lines = u16::try_from(pane.listeners.rows.len() + 4).unwrap_or(u16::MAX);
        return Some(lines.max(TALKERS_LEAST));
    }
    if pane.view == TalkersView::Connections {
        let lines = u16::try_from(pane.conns.rows.len() + 4).unwrap_or(u16::MAX);
        return pane.conns.inside.is_none().then_some(lines.max(TALKERS_LEAST));
    }
    if let Some(problem) = app.watching().problem() {
        return Some(problem::lines(problem, width.saturating_sub(2)) + 2);
    }
    let lines = u16::try_from(pane.rows.len() + 3).unwrap_or(u16::MAX);
    let least = if pane.matched == 0 { LEAST_PANE } else { TALKERS_LEAST };
    pane.inside.is_none().then_some(lines.max(least))
}

/// Lines of the files pane with header and borders, where it has a message in place of rows.
fn opens_lines(app: &App, width: u16) -> Option<u16> {
    let pane = &app.opens_pane;
    let is_empty = pane.rows.is_empty() && pane.detail().is_none();
    let problem = app.data.opens_state.problem();
    let lines =
        problem.map_or(LEAST_PANE, |problem| problem::lines(problem, width.saturating_sub(2)) + 2);
    is_empty.then_some(lines.max(LEAST_PANE))
}

/// The parts of a pane's inside, from the top down. The column header is the line above the rows.
pub struct Parts {
    /// Lines about the open detail view; of height 0 without one.
    pub detail: Rect,
    pub rows: Rect,
    /// Related rows, below a header line of their own.
    pub related: Option<Rect>,
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_part_is_on_the_screen_and_none_on_another(
            w in 0u16..300, h in 0u16..100, split in 0u16..=100,
            expanded: bool, filter: bool, talkers: bool, lines in proptest::option::of(0u16..50),
            opens in proptest::option::of(0u16..50),
        ) {
            let area = Rect::new(0, 0, w, h);
            let focus = if talkers { Pane::Talkers } else { Pane::Opens };
            let wishes = Wishes { focus, expanded, split, filter, talkers: lines, opens };
            let at = layout(area, &wishes);
            let parts: Vec<Rect> = [
                Some(at.header), at.filter, at.tabs, at.opens, at.talkers, at.footer,
            ].into_iter().flatten().collect();
            for (i, a) in parts.iter().enumerate() {
                proptest::prop_assert_eq!(a.intersection(area), *a);
                for b in parts.iter().skip(i + 1) {
                    proptest::prop_assert!(a.intersection(*b).is_empty());
                }
            }
            proptest::prop_assert!(at.shape == Shape::Tiny || at.pane(focus).is_some());
        }
    }
}
