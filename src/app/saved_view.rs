//! Between the screen and the settings that `W` saves.

use super::{App, Effect};
use crate::settings::saved_view::{MAX_LEVELS, SavedView, THEME_NAMES};

impl App {
    /// The view as it is shown, as far as `W` saves it.
    pub fn view_to_save(&self) -> SavedView {
        let (opens, talkers) = (&self.opens_pane, &self.talkers_pane);
        SavedView {
            theme: self.screen.theme,
            view: opens.view,
            sort: opens.sort,
            reverse: opens.reverse,
            levels: u16::try_from(opens.depth).unwrap_or(MAX_LEVELS),
            files_shown: opens.under,
            talkers_sort: talkers.sort,
            talkers_reverse: talkers.reverse,
            direction: talkers.chosen,
            names: talkers.names,
            split: self.screen.split,
            units: self.screen.units,
        }
    }

    /// Shows this view; `W` saves changes from here on.
    pub(super) fn apply_view(&mut self, view: &SavedView) {
        self.screen.theme = view.theme;
        self.screen.split = view.split;
        self.screen.units = view.units;
        let opens = &mut self.opens_pane;
        (opens.view, opens.sort, opens.reverse) = (view.view, view.sort, view.reverse);
        (opens.depth, opens.under) = (usize::from(view.levels), view.files_shown);
        let talkers = &mut self.talkers_pane;
        (talkers.sort, talkers.reverse) = (view.talkers_sort, view.talkers_reverse);
        (talkers.chosen, talkers.names) = (view.direction, view.names);
        self.saved = view.clone();
    }

    pub(super) fn save(&mut self) -> Vec<Effect> {
        if self.saving.is_some() {
            self.say("still writing");
            return Vec::new();
        }
        let now = self.view_to_save();
        let changed = now.changed_from(&self.saved);
        if changed.is_empty() {
            self.say("nothing to save: the screen is as the configuration has it");
            return Vec::new();
        }
        self.saving = Some(now);
        vec![Effect::Save(changed)]
    }

    /// Reports the result of saving: the file that was written, or the error.
    pub(super) fn take_saved(&mut self, result: Result<String, String>) -> Vec<Effect> {
        match (result, self.saving.take()) {
            (Ok(file), Some(now)) => {
                let changed = now.changed_from(&self.saved);
                let keys: Vec<_> = changed.into_iter().map(|value| value.0).collect();
                self.say(&format!("saved {} in {file}", keys.join(", ")));
                self.saved = now;
            }
            (Ok(_), None) => {}
            (Err(why), _) => self.say(&format!("not saved: {why}")),
        }
        vec![Effect::Redraw]
    }

    pub(super) fn next_theme(&mut self) {
        let at = THEME_NAMES.iter().position(|t| *t == self.screen.theme).unwrap_or(0);
        self.screen.theme = THEME_NAMES.get(at + 1).unwrap_or(&THEME_NAMES[0]);
        self.say(&format!("theme: {}", self.screen.theme));
    }

    pub(super) fn next_units(&mut self) {
        self.screen.units.bytes = !self.screen.units.bytes;
    }
}
