//! Where things are on the screen that the app has, and how many lines each part takes.

use ratatui::layout::Rect;

use super::layout::{Layout, Wishes, layout};
use super::opens_pane::Inside;
use super::{App, Pane};
use crate::model::compare::Compared;
use crate::model::wire::Port;

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
        Rect { y: inside.y + told, height: inside.height - told, ..inside }
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
            Some(Inside::Process(_)) => {
                if inside.height >= 30 {
                    13
                } else {
                    11
                }
            }
            Some(Inside::Path(_)) => 3,
            Some(Inside::Directory(_) | Inside::Failures(_)) => 1,
        };
        let least = wanted.min(3);
        Some(inside.height.saturating_sub(6))
            .filter(|room| *room >= least)
            .map_or(0, |r| r.min(wanted))
    }

    /// Lines above the column header in the talkers pane.
    pub fn told_of_talkers(&self) -> u16 {
        let watched = self.watched();
        let gone = watched.iter().any(|w| w.gone.is_some() || w.rx.is_err() || w.tx.is_err());
        let partial = watched.iter().any(|w| w.partial.is_some());
        let differs = self.kernel_differs().is_some();
        u16::from(gone) + u16::from(partial) + u16::from(differs)
    }

    /// A watched interface of which the kernel itself has counted more or less packets, for good.
    pub fn kernel_differs(&self) -> Option<(&Port, i64)> {
        let ports = self.talkers_pane.ports.iter().filter_map(|p| self.wire().ports().get(*p));
        let differs = |port: &Port| match port.rx.compared {
            Compared::Differs(more) => Some(more),
            _ => None,
        };
        ports.filter_map(|port| Some((port, differs(port)?))).max_by_key(|p| p.1.unsigned_abs())
    }
}
