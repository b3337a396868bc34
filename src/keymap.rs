//! The keys in effect: the defaults of [`crate::keys`] with the configuration's bindings.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::keys::{self, Action, BINDINGS, Binding, Mode};

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: KeyCode,
    pub modifiers: KeyModifiers,
}

/// Quits whatever is bound.
const ALWAYS_QUIT: Key = Key { code: KeyCode::Char('c'), modifiers: KeyModifiers::CONTROL };

/// Keys with names, as the configuration has them.
const NAMED: [(&str, KeyCode); 16] = [
    ("Space", KeyCode::Char(' ')),
    ("Tab", KeyCode::Tab),
    ("Shift-Tab", KeyCode::BackTab),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
    ("Insert", KeyCode::Insert),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
];

impl Key {
    /// Reads `q`, `Q`, `F5`, `Space`, `Shift-Tab`, `Ctrl-R`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |code| Self { code, modifiers: KeyModifiers::NONE };
        let mut chars = text.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            return (!c.is_control() && !c.is_whitespace()).then_some(plain(KeyCode::Char(c)));
        }
        if let Some(rest) = text.strip_prefix("Ctrl-") {
            let mut letters = rest.chars().map(|c| c.to_ascii_lowercase());
            let c =
                letters.next().filter(|c| c.is_ascii_lowercase() && letters.next().is_none())?;
            // Terminals send these for Tab, Enter and Backspace: they cannot be distinguished.
            let distinct = !matches!(c, 'i' | 'm' | 'j' | 'h');
            let code = KeyCode::Char(c);
            return distinct.then_some(Self { code, modifiers: KeyModifiers::CONTROL });
        }
        if let Some(n) = text.strip_prefix('F').and_then(|n| n.parse::<u8>().ok()) {
            return (1..=12).contains(&n).then_some(plain(KeyCode::F(n)));
        }
        NAMED
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, code)| plain(code))
    }

    /// The name that [`Key::parse`] reads; in ASCII unless the key is not.
    pub fn word(self) -> String {
        let named = NAMED.iter().find(|(_, code)| *code == self.code);
        match (named, self.code) {
            (Some((name, _)), _) => (*name).into(),
            (None, KeyCode::Char(c)) if self.modifiers.contains(KeyModifiers::CONTROL) => {
                format!("Ctrl-{}", c.to_ascii_uppercase())
            }
            (None, code) => keys::name(code),
        }
    }

    /// The name on the screen, arrows as arrows.
    pub fn name(self) -> String {
        match self.code {
            KeyCode::Up | KeyCode::Down | KeyCode::Left | KeyCode::Right => keys::name(self.code),
            _ => self.word(),
        }
    }
}

/// An action of a mode with its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub action: Action,
    pub mode: Mode,
    pub keys: Vec<Key>,
    /// Its effect, in a few words.
    pub help: &'static str,
    /// A word for the footer; empty: not there.
    pub hint: &'static str,
}

impl Row {
    fn new(binding: &Binding) -> Self {
        let key = |code: &KeyCode| Key { code: *code, modifiers: binding.modifiers };
        Self {
            action: binding.action,
            mode: binding.mode,
            keys: binding.keys.iter().map(key).collect(),
            help: binding.help,
            hint: binding.hint,
        }
    }

    /// All its keys, separated by spaces.
    pub fn names(&self) -> String {
        self.keys.iter().map(|k| k.name()).collect::<Vec<_>>().join(" ")
    }

    /// Its first key.
    pub fn first(&self) -> String {
        self.keys.first().map(|k| k.name()).unwrap_or_default()
    }
}

/// All keys with their actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap {
    rows: Vec<Row>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self { rows: BINDINGS.iter().map(Row::new).collect() }
    }
}

/// A key bound to two actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub key: Key,
    pub actions: [Action; 2],
}

impl Keymap {
    /// The defaults with other keys for some actions of the panes. They replace all keys of the action;
    /// `Ctrl-C` quits whatever is bound. An error names a key with two actions.
    pub fn with(bound: &[(Action, Vec<Key>)]) -> Result<Self, Conflict> {
        let mut map = Self::default();
        for (action, keys) in bound {
            let mut keys = Some(keys.clone());
            let of_it = |r: &&mut Row| r.mode == Mode::Main && r.action == *action;
            for row in map.rows.iter_mut().filter(of_it) {
                if row.keys != [ALWAYS_QUIT] {
                    row.keys = keys.take().unwrap_or_default();
                }
            }
        }
        let main = || map.of(Mode::Main).flat_map(|r| r.keys.iter().map(move |k| (*k, r.action)));
        for (i, (key, action)) in main().enumerate() {
            if let Some((_, other)) = main().skip(i + 1).find(|(k, _)| *k == key) {
                return Err(Conflict { key, actions: [action, other] });
            }
        }
        Ok(map)
    }

    /// The action of `key` in `mode`.
    pub fn action(&self, mode: Mode, key: KeyEvent) -> Option<Action> {
        // A capital comes with or without SHIFT, and BackTab always with it.
        let modifiers = key.modifiers.difference(KeyModifiers::SHIFT);
        let key = Key { code: key.code, modifiers };
        self.of(mode).find(|r| r.keys.contains(&key)).map(|r| r.action)
    }

    /// The rows of a mode, in the order of the table.
    pub fn of(&self, mode: Mode) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |r| r.mode == mode)
    }

    /// The actions of the panes that have keys, each once with all of them, in the order of the table.
    pub fn of_panes(&self) -> Vec<Row> {
        let mut merged: Vec<Row> = Vec::new();
        for row in self.of(Mode::Main).filter(|row| !row.keys.is_empty()) {
            match merged.iter_mut().find(|other| other.action == row.action) {
                Some(other) => other.keys.extend(&row.keys),
                None => merged.push(row.clone()),
            }
        }
        merged
    }

    /// The first key of `action` in the panes; empty if it has none.
    pub fn first(&self, action: Action) -> String {
        self.of(Mode::Main).find(|r| r.action == action).map(Row::first).unwrap_or_default()
    }
}

/// The name of an action in the configuration: `NextSort` is `next_sort`.
pub fn action_name(action: Action) -> String {
    let mut name = String::new();
    for c in format!("{action:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// The actions of the panes, each once, in the order of the table.
pub fn actions() -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for binding in keys::of(Mode::Main) {
        if !actions.contains(&binding.action) {
            actions.push(binding.action);
        }
    }
    actions
}

/// The default keys of an action, without the one that always quits.
pub fn default_keys(action: Action) -> Vec<Key> {
    let rows = BINDINGS.iter().filter(|b| b.mode == Mode::Main && b.action == action);
    rows.flat_map(|b| Row::new(b).keys).filter(|k| *k != ALWAYS_QUIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_can_be_written_and_read() {
        for row in &Keymap::default().rows {
            for key in &row.keys {
                let read = Key::parse(&key.word()).or(Some(ALWAYS_QUIT)).filter(|k| k == key);
                assert_eq!(read, Some(*key), "{}", key.word());
            }
        }
        for bad in ["", "F13", "Ctrl-", "Ctrl-1", "Ctrl-M", "Alt-x", "qq", "\u{7}"] {
            assert_eq!(Key::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn binding_the_defaults_changes_nothing() {
        let all: Vec<_> = actions().into_iter().map(|a| (a, default_keys(a))).collect();
        let map = Keymap::with(&all).unwrap();
        for binding in BINDINGS {
            for key in Row::new(binding).keys {
                let event = KeyEvent::new(key.code, key.modifiers);
                assert_eq!(map.action(binding.mode, event), Some(binding.action), "{key:?}");
            }
        }
    }

    #[test]
    fn bound_keys_replace_the_defaults_and_none_has_two_actions() {
        let key = |text: &str| Key::parse(text).unwrap();
        let event = |text: &str| KeyEvent::new(key(text).code, key(text).modifiers);
        let map = Keymap::with(&[(Action::Pause, vec![key("P"), key("F9")])]).unwrap();
        assert_eq!(map.action(Mode::Main, event("F9")), Some(Action::Pause));
        assert_eq!(map.action(Mode::Main, event("p")), None);
        assert_eq!(map.first(Action::Pause), "P");
        let taken = Keymap::with(&[(Action::Pause, vec![key("t")])]).unwrap_err();
        assert_eq!(taken.key, key("t"));
        let swapped = [(Action::Pause, vec![key("t")]), (Action::NextView, vec![key("p")])];
        assert!(Keymap::with(&swapped).is_ok());
        // Nothing takes Ctrl-C away from quitting.
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        let none = Keymap::with(&[(Action::Quit, vec![])]).unwrap();
        assert_eq!(none.action(Mode::Main, ctrl_c), Some(Action::Quit));
        assert!(Keymap::with(&[(Action::Pause, vec![ALWAYS_QUIT])]).is_err());
    }

    #[test]
    fn names_of_actions() {
        assert_eq!(action_name(Action::NextSort), "next_sort");
        assert_eq!(action_name(Action::Quit), "quit");
    }
}
