//! Where things are on the screen that the app has, and how many lines each part takes.

use ratatui::layout::Rect;

use super::layout::{Layout, Wishes, layout};
use super::opens_pane::Detail;
use super::{App, Pane};
use crate::model::compare::Compared;
use crate::model::wire::Interface;

/// From this width on a process's files and its peers are side by side.
const SIDE: u16 = 96;

/// From this height on they are one above the other; below, one at a time.
const STACKED: u16 = 8;

impl App {
    /// Where everything is on a screen of `area`.
    pub fn layout(&self, area: Rect) -> Layout {
        let wishes = Wishes {
            focus: self.screen.focus,
            expanded: self.screen.expanded,
            split: self.screen.split,
            // A wide header has the filter in its first line.
            filter: self.filter.editing()
                || area.width < 80 && (self.filter.is_active() || self.screen.new_only),
        };
        layout(area, &wishes)
    }

    /// Lines that the rows of a pane have on the screen as it is.
    pub fn room(&self, pane: Pane) -> usize {
        let area = self.layout(self.screen.area).inside(pane);
        area.map_or(0, |a| usize::from(self.rows_area(pane, a).height))
    }

    /// Where in a pane's inside the rows are: below what is told first, and the column header.
    pub fn rows_area(&self, pane: Pane, inside: Rect) -> Rect {
        let told = 1 + match pane {
            Pane::Opens => self.told_of_opens(inside),
            Pane::Talkers => self.told_of_talkers(),
        };
        let told = told.min(inside.height);
        let rows = Rect { y: inside.y + told, height: inside.height - told, ..inside };
        self.with_ties(pane, rows).0
    }

    /// The same of what belongs to what is looked into: its rows without their header.
    pub fn ties_area(&self, pane: Pane, inside: Rect) -> Option<Rect> {
        let told = 1 + match pane {
            Pane::Opens => self.told_of_opens(inside),
            Pane::Talkers => self.told_of_talkers(),
        };
        let told = told.min(inside.height);
        let rows = Rect { y: inside.y + told, height: inside.height - told, ..inside };
        self.with_ties(pane, rows).1
    }

    /// Lines that those have on the screen as it is.
    pub fn ties_room(&self, pane: Pane) -> usize {
        let area = self.layout(self.screen.area).inside(pane);
        let related = area.and_then(|area| self.ties_area(pane, area));
        related.map_or(0, |a| usize::from(a.height))
    }

    /// Whether whom it talks to is known, and there is no room for it beside the rows.
    pub fn ties_are_hidden(&self) -> bool {
        !self.opens_pane.related.rows.is_empty() && self.ties_room(Pane::Opens) == 0
    }

    /// Shares the rows' place: side by side, one above the other, or the one with the cursor alone.
    /// Both begin with a header line above their place.
    fn with_ties(&self, pane: Pane, rows: Rect) -> (Rect, Option<Rect>) {
        let opens = &self.opens_pane;
        if pane == Pane::Talkers {
            let related = self.talkers_pane.related.rows.len();
            if self.talkers_pane.inside.is_none() || related == 0 {
                return (rows, None);
            }
            // Who it is comes before what it talks, but not in its place.
            let most = rows.height.saturating_sub(3).min((rows.height / 2).max(2));
            let height = u16::try_from(related + 1).unwrap_or(most).min(most);
            let above = Rect { height: rows.height - height, ..rows };
            let y = above.bottom() + u16::from(height > 0);
            return (above, Some(Rect { y, height: height.saturating_sub(1), ..rows }));
        }
        let none = Rect { height: 0, ..rows };
        match opens.inside() {
            Some(Detail::Address(_) | Detail::Timeline(_)) => (none, Some(rows)),
            Some(Detail::Process(_) | Detail::Path(_)) if !opens.related.rows.is_empty() => {
                if rows.width >= SIDE {
                    let width = rows.width * 11 / 20;
                    let x = rows.x + width + 1;
                    let beside = Rect { x, width: rows.width - width - 1, ..rows };
                    (Rect { width, ..rows }, Some(beside))
                } else if rows.height >= STACKED {
                    let wanted = u16::try_from(opens.related.rows.len() + 1).unwrap_or(rows.height);
                    let height = wanted.min(rows.height * 2 / 5);
                    let above = Rect { height: rows.height - height, ..rows };
                    let y = above.bottom() + 1;
                    (above, Some(Rect { y, height: height - 1, ..rows }))
                } else if opens.in_ties {
                    (none, Some(rows))
                } else {
                    (rows, None)
                }
            }
            _ => (rows, None),
        }
    }

    /// Lines above the column header in the opens pane.
    pub fn told_of_opens(&self, inside: Rect) -> u16 {
        let problem = u16::from(self.data.opens_state.problem().is_some());
        problem * 2 + self.told_in_detail(inside)
    }

    /// Of those, lines that tell of what is looked into: not more than leave most rows.
    pub fn told_in_detail(&self, inside: Rect) -> u16 {
        let wanted = match self.opens_pane.inside() {
            None => 0,
            // Eleven lines, and more for a long command line.
            Some(Detail::Process(_)) => {
                let carried = self.inside_process().and_then(|p| self.owners()?.process(p.key));
                let lines = if inside.height >= 30 { 13 } else { 11 };
                lines + u16::from(carried.is_some())
            }
            Some(Detail::Path(_)) => 3,
            Some(Detail::Address(_)) => 1,
            Some(Detail::Timeline(_)) => 2,
            Some(Detail::Directory(_) | Detail::Failures(_)) => 1,
        };
        let least = wanted.min(3);
        Some(inside.height.saturating_sub(6))
            .filter(|room| *room >= least)
            .map_or(0, |r| r.min(wanted))
    }

    /// Lines above the column header in the talkers pane.
    pub fn told_of_talkers(&self) -> u16 {
        let watched = self.interfaces();
        let gone = watched.iter().any(|w| w.gone.is_some() || w.rx.is_err() || w.tx.is_err());
        let partial = watched.iter().any(|w| w.partial.is_some());
        let differs = self.kernel_differs().is_some();
        u16::from(gone) + u16::from(partial) + u16::from(differs)
    }

    /// A watched interface of which the kernel itself has counted more or less packets, for good.
    pub fn kernel_differs(&self) -> Option<(&Interface, i64)> {
        let ports = self.talkers_pane.ports.iter().filter_map(|p| self.wire().ports().get(*p));
        let differs = |port: &Interface| match port.rx.compared {
            Compared::Differs(more) => Some(more),
            _ => None,
        };
        ports.filter_map(|port| Some((port, differs(port)?))).max_by_key(|p| p.1.unsigned_abs())
    }
}
