//! What keys do while something else than the panes has them: filter, picker, question.

use super::picker::{self, Picker};
use super::{App, Effect, Overlay};
use crate::keys::Action;
use crate::model::link::Choice;

impl App {
    pub(super) fn act_filter(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Accept => self.filter.accept(),
            Action::Cancel => self.filter.clear(),
            _ => {}
        }
        self.rebuild();
        Vec::new()
    }

    pub(super) fn act_picker(&mut self, action: Action) -> Vec<Effect> {
        let choices = picker::choices(&self.data.links);
        let page = self.screen.measured.overlay_page.max(1);
        let Overlay::Picker(open) = &mut self.screen.overlay else { return Vec::new() };
        let last = choices.len().saturating_sub(1);
        open.cursor = open.cursor.min(last);
        match action {
            Action::Up => open.cursor = open.cursor.saturating_sub(1),
            Action::Down => open.cursor = (open.cursor + 1).min(last),
            Action::PageUp => open.cursor = open.cursor.saturating_sub(page),
            Action::PageDown => open.cursor = (open.cursor + page).min(last),
            Action::Top => open.cursor = 0,
            Action::Bottom => open.cursor = last,
            Action::Accept => {
                let choice = choices.get(open.cursor).cloned();
                self.screen.overlay = Overlay::None;
                return choice.map_or_else(Vec::new, |c| self.watch(c));
            }
            _ => self.screen.overlay = Overlay::None,
        }
        Vec::new()
    }

    pub(super) fn act_confirm(&mut self, action: Action) -> Vec<Effect> {
        let Overlay::Confirm(mode) = std::mem::take(&mut self.screen.overlay) else {
            return Vec::new();
        };
        if action == Action::Accept { self.take_mode(mode) } else { Vec::new() }
    }

    pub(super) fn open_picker(&mut self) {
        let choices = picker::choices(&self.data.links);
        let watched = self.data.interfaces();
        let now = match watched {
            [one] => Choice::Named(one.interface.clone()),
            _ => Choice::All,
        };
        let cursor = choices.iter().position(|c| *c == now).unwrap_or(0);
        self.screen.overlay = Overlay::Picker(Picker { cursor });
    }
}
