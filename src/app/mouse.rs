//! Clicks and the wheel. The screen says what is at a place.

use super::{App, Effect, Pane, Target};
use crate::keys::{Action, Mode};
use crate::settings::saved_view::SPLIT;

impl App {
    pub(super) fn click(&mut self, target: Target) -> Vec<Effect> {
        if !matches!(self.mode(), Mode::Main | Mode::Filter) {
            return Vec::new();
        }
        self.screen.fresh = false;
        match target {
            Target::Row(pane, at) => {
                let in_related = pane == Pane::Opens && self.opens_pane.in_related;
                let again = self.screen.focus == pane && self.cursor(pane) == at && !in_related;
                self.opens_pane.in_related &= pane != Pane::Opens;
                self.focus(pane);
                self.jump(pane, at);
                if again {
                    self.open_row();
                }
            }
            Target::RelatedRow(pane, at) => {
                self.focus(pane);
                let (related, was_in) = match pane {
                    Pane::Opens => {
                        let was_in = std::mem::replace(&mut self.opens_pane.in_related, true);
                        (&mut self.opens_pane.related, was_in)
                    }
                    Pane::Talkers => (&mut self.talkers_pane.related, true),
                };
                let again = was_in && related.list.cursor == at;
                related.list.jump(at, related.rows.len());
                if again {
                    self.open_row();
                }
            }
            Target::OpensHeader(sort) => {
                self.opens_pane.sort_by(sort);
                self.focus(Pane::Opens);
                self.rebuild_opens();
            }
            Target::TalkersHeader(sort) => {
                self.talkers_pane.sort_by(sort);
                self.focus(Pane::Talkers);
                self.rebuild_talkers();
            }
            Target::ConnsHeader(sort) => {
                self.talkers_pane.conns.sort_by(sort);
                self.focus(Pane::Talkers);
                self.rebuild_talkers();
            }
            Target::ListenersHeader(sort) => {
                self.talkers_pane.listeners.sort_by(sort);
                self.focus(Pane::Talkers);
                self.rebuild_talkers();
            }
            Target::Pane(pane) => self.focus(pane),
            Target::Split(pane) => {
                self.focus(pane);
                self.screen.dragging = true;
            }
        }
        vec![Effect::Redraw]
    }

    /// Moves the line between the panes: `percent` of the first pane.
    pub(super) fn drag(&mut self, percent: u16) -> Vec<Effect> {
        if !self.screen.dragging {
            return Vec::new();
        }
        self.screen.split = percent.clamp(SPLIT.0, SPLIT.1);
        vec![Effect::Redraw]
    }

    /// The wheel scrolls what lies on top.
    pub(super) fn turn_wheel(&mut self, pane: Pane, by: isize) {
        let mode = self.mode();
        let action = if by < 0 { Action::Up } else { Action::Down };
        match mode {
            Mode::Main | Mode::Filter => self.wheel(pane, by),
            Mode::Confirm => {}
            Mode::Picker | Mode::Help | Mode::HelpSearch => {
                for _ in 0..by.unsigned_abs() {
                    self.act(mode, action);
                }
            }
        }
    }

    fn cursor(&self, pane: Pane) -> usize {
        match pane {
            Pane::Opens => self.opens_pane.list.cursor,
            Pane::Talkers => self.talkers_pane.shown_list().0.cursor,
        }
    }

    fn jump(&mut self, pane: Pane, at: usize) {
        let room = self.room(pane).rows;
        let (list, len) = match pane {
            Pane::Opens => (&mut self.opens_pane.list, self.opens_pane.rows.len()),
            Pane::Talkers => self.talkers_pane.shown_list_mut(),
        };
        list.jump(at, len);
        list.scroll(len, room);
    }
}
