//! Clicks, on what the view says is at that place.

use super::opens_pane::OpensSort;
use super::talkers_pane::TalkersSort;
use super::{App, Effect, Pane};

/// What is at a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A row of a pane, by its place in the list.
    Row(Pane, usize),
    /// A column's header.
    OpensHeader(OpensSort),
    TalkersHeader(TalkersSort),
    /// A pane, or the tab that brings it up.
    Pane(Pane),
}

impl App {
    pub(super) fn click(&mut self, target: Target) -> Vec<Effect> {
        if !matches!(self.mode(), crate::keys::Mode::Main | crate::keys::Mode::Filter) {
            return Vec::new();
        }
        self.screen.fresh = false;
        match target {
            Target::Row(pane, at) => {
                let again = self.screen.focus == pane && self.cursor(pane) == at;
                self.focus(pane);
                self.jump(pane, at);
                if again {
                    self.enter_row();
                }
            }
            Target::OpensHeader(sort) => {
                self.opens_pane.sort_by(sort);
                self.focus(Pane::Opens);
            }
            Target::TalkersHeader(sort) => {
                self.talkers_pane.sort_by(sort);
                self.focus(Pane::Talkers);
            }
            Target::Pane(pane) => self.focus(pane),
        }
        vec![Effect::Redraw]
    }

    fn cursor(&self, pane: Pane) -> usize {
        match pane {
            Pane::Opens => self.opens_pane.list.cursor,
            Pane::Talkers => self.talkers_pane.list.cursor,
        }
    }

    fn jump(&mut self, pane: Pane, at: usize) {
        let room = self.room(pane);
        let (list, len) = match pane {
            Pane::Opens => (&mut self.opens_pane.list, self.opens_pane.rows.len()),
            Pane::Talkers => (&mut self.talkers_pane.list, self.talkers_pane.rows.len()),
        };
        list.jump(at, len);
        list.scroll(len, room);
    }
}
