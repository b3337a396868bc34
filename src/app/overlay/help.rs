//! The help page: its scroll position and its search.

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use crate::keys::Action;

/// Maximum characters of the search.
const MAX_SEARCH: usize = 40;

/// The open page.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// The first visible line.
    pub first: usize,
    /// Keys are typed into the search.
    pub typing: bool,
    text: String,
}

impl Help {
    /// The text of the search, as typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text that shown lines contain, in lower case; empty without a search.
    pub fn wanted(&self) -> String {
        self.text.trim().to_lowercase()
    }

    /// Whether the page has a search line.
    pub fn is_searched(&self) -> bool {
        self.typing || !self.text.is_empty()
    }

    fn add(&mut self, text: &str) {
        let room = MAX_SEARCH.saturating_sub(self.text.chars().count());
        self.text.extend(text.chars().filter(|c| !c.is_control()).take(room));
        self.first = 0;
    }

    /// A key while the search is typed that has no action.
    pub(in crate::app) fn key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Char('u') if !key.modifiers.is_empty() => self.text.clear(),
            KeyCode::Char(c) => self.add(c.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => {
                self.text.pop();
                self.first = 0;
            }
            _ => {}
        }
    }

    pub(in crate::app) fn paste(&mut self, text: &str) {
        if self.typing {
            self.add(text);
        }
    }

    /// Does what a key asks for; false when the page closes. The screen limits the first line to
    /// what the page has.
    pub(super) fn act(&mut self, action: Action, page: usize) -> bool {
        match action {
            Action::Up => self.first = self.first.saturating_sub(1),
            Action::Down => self.first = self.first.saturating_add(1),
            Action::PageUp => self.first = self.first.saturating_sub(page),
            Action::PageDown => self.first = self.first.saturating_add(page),
            Action::Top => self.first = 0,
            Action::Bottom => self.first = usize::MAX,
            Action::Filter => self.typing = true,
            Action::Accept => self.typing = false,
            // Closes the search first, then the page.
            Action::Cancel if self.is_searched() => *self = Help::default(),
            _ => return false,
        }
        true
    }
}
