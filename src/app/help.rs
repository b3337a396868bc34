//! The help page's state: where it is, and what is looked for in it.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::{App, Effect, Overlay};
use crate::keys::Action;

/// Characters of the search at most.
const MOST: usize = 40;

/// The page while it is open.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// The first line that is shown.
    pub first: usize,
    /// Keys go into the search.
    pub typing: bool,
    text: String,
}

impl Help {
    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What lines have to have in them, in lower case.
    pub fn wanted(&self) -> String {
        self.text.trim().to_lowercase()
    }

    /// Whether there is a line for the search.
    pub fn is_searched(&self) -> bool {
        self.typing || !self.text.is_empty()
    }

    fn add(&mut self, text: &str) {
        let room = MOST.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
        self.first = 0;
    }
}

impl App {
    /// A key while the search is typed that does nothing else.
    pub(super) fn help_key(&mut self, key: KeyEvent) {
        let Overlay::Help(help) = &mut self.screen.overlay else { return };
        match key.code {
            KeyCode::Char('u') if !key.modifiers.is_empty() => help.text.clear(),
            KeyCode::Char(c) => help.add(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => {
                help.text.pop();
                help.first = 0;
            }
            _ => {}
        }
    }

    pub(super) fn help_paste(&mut self, text: &str) {
        if let Overlay::Help(help) = &mut self.screen.overlay
            && help.typing
        {
            help.add(text);
        }
    }

    pub(super) fn act_help(&mut self, action: Action) -> Vec<Effect> {
        let page = self.screen.measured.overlay_page.max(1);
        let Overlay::Help(help) = &mut self.screen.overlay else { return Vec::new() };
        match action {
            Action::Up => help.first = help.first.saturating_sub(1),
            Action::Down => help.first = help.first.saturating_add(1),
            Action::PageUp => help.first = help.first.saturating_sub(page),
            Action::PageDown => help.first = help.first.saturating_add(page),
            Action::Top => help.first = 0,
            Action::Bottom => help.first = usize::MAX,
            Action::Filter => help.typing = true,
            Action::Accept => help.typing = false,
            // Out of the search first, then of the page.
            Action::Cancel if help.is_searched() => *help = Help::default(),
            _ => {
                self.screen.overlay = Overlay::None;
                return Vec::new();
            }
        }
        Vec::new()
    }
}
