//! The default keys, as a table: the program looks keys up here, and the help is printed from it.

use crossterm::event::{KeyCode, KeyModifiers};

/// The part of the screen that keys act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The panes.
    Main,
    /// The filter's input line.
    Filter,
    /// The interface picker.
    Picker,
    /// The help page.
    Help,
    /// The help page's search.
    HelpSearch,
    /// A yes-or-no question.
    Confirm,
}

/// The effect of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Quit,
    Suspend,
    Help,
    Filter,
    Picker,
    NextInterface,
    PreviousInterface,
    NextPane,
    PreviousPane,
    OpensPane,
    TalkersPane,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    OpenDetails,
    CloseDetails,
    Unfold,
    Fold,
    NextSort,
    ReverseOrder,
    NextView,
    Connections,
    GroupConnections,
    Timeline,
    FewerLevels,
    MoreLevels,
    FailedOnly,
    AllFailures,
    Direction,
    Names,
    Hostnames,
    Pause,
    Back,
    Forward,
    LeapBack,
    LeapForward,
    Slower,
    Faster,
    Mark,
    NewOnly,
    Follow,
    Copy,
    Expand,
    SplitLeft,
    SplitRight,
    XdpMode,
    Theme,
    Units,
    Save,
    Record,
    Restart,
    Accept,
    Cancel,
    Complete,
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    pub mode: Mode,
    pub keys: &'static [KeyCode],
    /// Modifiers of the keys; of `Shift` only what the terminal reports apart from a capital.
    pub modifiers: KeyModifiers,
    pub action: Action,
    /// Its effect, in a few words.
    pub help: &'static str,
    /// A word for the footer; empty: not there.
    pub hint: &'static str,
}

const fn on(
    mode: Mode,
    keys: &'static [KeyCode],
    action: Action,
    help: &'static str,
    hint: &'static str,
) -> Binding {
    Binding { mode, keys, modifiers: KeyModifiers::NONE, action, help, hint }
}

const fn main(
    keys: &'static [KeyCode],
    action: Action,
    help: &'static str,
    hint: &'static str,
) -> Binding {
    on(Mode::Main, keys, action, help, hint)
}

const fn ctrl(mode: Mode, keys: &'static [KeyCode], action: Action, help: &'static str) -> Binding {
    Binding { mode, keys, modifiers: KeyModifiers::CONTROL, action, help, hint: "" }
}

use Action as A;
use KeyCode::{
    BackTab, Backspace, Char, Down, End, Enter, Esc, F, Home, Left, PageDown, PageUp, Right, Tab,
    Up,
};
use Mode as M;

/// All keys.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    main(&[Char('q'), F(10)], A::Quit, "quit", "quit"),
    ctrl(M::Main, &[Char('c')], A::Quit, "quit"),
    ctrl(M::Main, &[Char('z')], A::Suspend, "stop; fg in the shell continues"),
    main(&[Char('?'), Char('h'), F(1)], A::Help, "help; / searches it", "help"),
    main(&[Char('/'), F(4)], A::Filter, "filter, applied while typing; Enter keeps it, Esc clears it", "filter"),
    main(&[Char('i')], A::Picker, "choose an interface", "interface"),
    main(&[Char('n')], A::NextInterface, "next interface that is up", ""),
    main(&[Char('b')], A::PreviousInterface, "previous interface that is up", ""),
    main(&[Tab], A::NextPane, "next pane", ""),
    main(&[BackTab], A::PreviousPane, "previous pane", ""),
    main(&[Char('1')], A::OpensPane, "files", ""),
    main(&[Char('2')], A::TalkersPane, "talkers", ""),
    main(&[Up, Char('k')], A::Up, "up", ""),
    main(&[Down, Char('j')], A::Down, "down", ""),
    main(&[PageUp], A::PageUp, "a page up", ""),
    ctrl(M::Main, &[Char('u')], A::PageUp, "a page up"),
    main(&[PageDown], A::PageDown, "a page down", ""),
    ctrl(M::Main, &[Char('d')], A::PageDown, "a page down"),
    main(&[Home, Char('g')], A::Top, "first row", ""),
    main(&[End, Char('G')], A::Bottom, "last row", ""),
    main(&[Enter], A::OpenDetails, "details of the selected row", "details"),
    main(&[Esc, Backspace], A::CloseDetails, "back; outside of details clear the filter", "back"),
    main(&[Right], A::Unfold, "show the files and processes under this row, or the connections", "unfold"),
    main(&[Left], A::Fold, "hide what is under this row", ""),
    main(&[Char('s'), F(6)], A::NextSort, "next sort column", "sort"),
    main(&[Char('S'), Char('I')], A::ReverseOrder, "reverse the order", ""),
    main(&[Char('t'), F(5)], A::NextView, "next view: opens by program, by process, by service and container, by file, by directory, failures, changes, live feed; of talkers: addresses, connections, listeners", "view"),
    main(&[Char('l')], A::Timeline, "timeline of a process or a file, latest first", "timeline"),
    main(&[Char('-')], A::FewerLevels, "fewer directory levels; by program, process or unit: fewer rows under each", "fewer levels"),
    main(&[Char('+'), Char('=')], A::MoreLevels, "more directory levels; by program, process or unit: more rows under each", "more levels"),
    main(&[Char('f')], A::FailedOnly, "failed opens only", "failed"),
    main(&[Char('a')], A::AllFailures, "failures: also those that were found later, and of common files", "all"),
    main(&[Char('d')], A::Direction, "rx, tx, both", "direction"),
    main(&[Char('c')], A::Connections, "connections of this machine; again: back to addresses", "connections"),
    main(&[Char('C')], A::GroupConnections, "group connections by program, by peer, or not; → and ← show and hide those of a group", "group"),
    main(&[Char('r')], A::Names, "resolve addresses to names, on or off", "names"),
    main(&[Char('D')], A::Hostnames, "names that processes asked for (DNS, TLS) beside their connections, on or off", "asked names"),
    main(&[Char('p'), Char(' ')], A::Pause, "pause the screen; counting goes on", "pause"),
    main(&[Char('[')], A::Back, "while paused: one refresh back; replay: 5 s back", "earlier"),
    main(&[Char(']')], A::Forward, "while paused: one refresh forward; replay: 5 s forward", "later"),
    main(&[Char('{')], A::LeapBack, "one minute back, while paused or in a replay", ""),
    main(&[Char('}')], A::LeapForward, "one minute forward, while paused or in a replay", ""),
    main(&[Char(',')], A::Slower, "replay: slower", "slower"),
    main(&[Char('.')], A::Faster, "replay: faster", "faster"),
    main(&[Char('m')], A::Mark, "set a mark now, for rows that are newer and for the growth of descriptors in details of processes", "mark"),
    main(&[Char('N')], A::NewOnly, "only rows newer than the mark", "new"),
    main(&[Char('F')], A::Follow, "follow the selected row", ""),
    main(&[Char('y')], A::Copy, "copy the selected path, pid or address", "copy"),
    main(&[Char('e')], A::Expand, "expand the focused pane, or show both", "expand"),
    main(&[Char('<')], A::SplitLeft, "move the split", ""),
    main(&[Char('>')], A::SplitRight, "move the split", ""),
    main(&[Char('x')], A::XdpMode, "XDP mode of this interface: auto, native, generic, off", ""),
    main(&[Char('T')], A::Theme, "next theme", ""),
    main(&[Char('u')], A::Units, "traffic in bits or in bytes", ""),
    main(&[Char('W')], A::Save, "save what was changed on screen as the configuration", ""),
    main(&[Char('R')], A::Record, "start or stop recording to a file", ""),
    ctrl(M::Main, &[Char('r')], A::Restart, "restart the counts"),

    on(M::Filter, &[Enter], A::Accept, "keep the filter", "keep"),
    on(M::Filter, &[Esc], A::Cancel, "clear the filter", "clear"),
    on(M::Filter, &[Tab], A::Complete, "complete the term: its key, or path: before a word that only paths contain", "complete"),
    on(M::Filter, &[F(10)], A::Quit, "quit", ""),
    ctrl(M::Filter, &[Char('c')], A::Quit, "quit"),
    ctrl(M::Filter, &[Char('z')], A::Suspend, "stop"),

    on(M::Picker, &[Enter], A::Accept, "watch this interface", "watch"),
    on(M::Picker, &[Esc, Char('i'), Backspace], A::Cancel, "close", "close"),
    on(M::Picker, &[Char('q'), F(10)], A::Quit, "quit", ""),
    ctrl(M::Picker, &[Char('c')], A::Quit, "quit"),
    ctrl(M::Picker, &[Char('z')], A::Suspend, "stop"),
    on(M::Picker, &[Up, Char('k')], A::Up, "up", ""),
    on(M::Picker, &[Down, Char('j')], A::Down, "down", ""),
    on(M::Picker, &[PageUp], A::PageUp, "a page up", ""),
    on(M::Picker, &[PageDown], A::PageDown, "a page down", ""),
    on(M::Picker, &[Home, Char('g')], A::Top, "first", ""),
    on(M::Picker, &[End, Char('G')], A::Bottom, "last", ""),

    on(M::Help, &[Esc, Char('?'), Char('h'), F(1), Enter, Backspace], A::Cancel, "close", "close"),
    on(M::Help, &[Char('/'), F(4)], A::Filter, "search", "search"),
    on(M::Help, &[Char('q'), F(10)], A::Quit, "quit", ""),
    ctrl(M::Help, &[Char('c')], A::Quit, "quit"),
    ctrl(M::Help, &[Char('z')], A::Suspend, "stop"),
    on(M::Help, &[Up, Char('k')], A::Up, "up", ""),
    on(M::Help, &[Down, Char('j')], A::Down, "down", ""),
    on(M::Help, &[PageUp], A::PageUp, "a page up", ""),
    on(M::Help, &[PageDown, Char(' ')], A::PageDown, "a page down", ""),
    on(M::Help, &[Home, Char('g')], A::Top, "top", ""),
    on(M::Help, &[End, Char('G')], A::Bottom, "end", ""),

    on(M::HelpSearch, &[Enter], A::Accept, "keep the search", "keep"),
    on(M::HelpSearch, &[Esc], A::Cancel, "end the search", "whole page"),
    on(M::HelpSearch, &[Up], A::Up, "up", ""),
    on(M::HelpSearch, &[Down], A::Down, "down", ""),
    on(M::HelpSearch, &[PageUp], A::PageUp, "a page up", ""),
    on(M::HelpSearch, &[PageDown], A::PageDown, "a page down", ""),
    on(M::HelpSearch, &[F(10)], A::Quit, "quit", ""),
    ctrl(M::HelpSearch, &[Char('c')], A::Quit, "quit"),
    ctrl(M::HelpSearch, &[Char('z')], A::Suspend, "stop"),

    on(M::Confirm, &[Char('y')], A::Accept, "yes", "yes"),
    on(M::Confirm, &[Char('n'), Esc, Char('q'), Enter], A::Cancel, "no", "no"),
    on(M::Confirm, &[F(10)], A::Quit, "quit", ""),
    ctrl(M::Confirm, &[Char('c')], A::Quit, "quit"),
    ctrl(M::Confirm, &[Char('z')], A::Suspend, "stop"),
];

/// The bindings of a mode, in the order of the table.
pub fn of(mode: Mode) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |b| b.mode == mode)
}

/// The common name of a key.
pub fn name(key: KeyCode) -> String {
    match key {
        Char(' ') => "Space".into(),
        Char(c) => c.to_string(),
        F(n) => format!("F{n}"),
        Up => "↑".into(),
        Down => "↓".into(),
        Left => "←".into(),
        Right => "→".into(),
        PageUp => "PgUp".into(),
        PageDown => "PgDn".into(),
        BackTab => "Shift-Tab".into(),
        other => format!("{other:?}"),
    }
}

impl Binding {
    /// All its keys, separated by spaces.
    pub fn names(&self) -> String {
        let prefix = if self.modifiers.contains(KeyModifiers::CONTROL) { "Ctrl-" } else { "" };
        let key = |k: &KeyCode| match k {
            Char(c) if !prefix.is_empty() => format!("{prefix}{}", c.to_ascii_uppercase()),
            k => name(*k),
        };
        self.keys.iter().map(key).collect::<Vec<_>>().join(" ")
    }

    /// Its first key.
    pub fn first(&self) -> String {
        self.keys.first().map(|k| name(*k)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;
    use crate::keymap::Keymap;

    fn action(mode: Mode, key: KeyEvent) -> Option<Action> {
        Keymap::default().action(mode, key)
    }

    #[test]
    fn no_key_has_two_actions_in_one_mode() {
        for (i, a) in BINDINGS.iter().enumerate() {
            for b in BINDINGS.iter().skip(i + 1) {
                let same = a.mode == b.mode && a.modifiers == b.modifiers;
                let key = a.keys.iter().find(|k| b.keys.contains(k));
                assert!(!same || key.is_none(), "{key:?} is {:?} and {:?}", a.action, b.action);
            }
        }
    }

    #[test]
    fn quitting_and_stopping_work_everywhere() {
        for mode in [M::Main, M::Filter, M::Picker, M::Help, M::HelpSearch, M::Confirm] {
            for (key, expected) in [('c', A::Quit), ('z', A::Suspend)] {
                let key = KeyEvent::new(Char(key), KeyModifiers::CONTROL);
                assert_eq!(action(mode, key), Some(expected));
            }
        }
    }

    #[test]
    fn shift_does_not_matter_for_capitals() {
        for held in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            assert_eq!(action(M::Main, KeyEvent::new(Char('G'), held)), Some(A::Bottom));
        }
        let alt = KeyEvent::new(Char('q'), KeyModifiers::ALT);
        assert_eq!(action(M::Main, alt), None);
    }
}
