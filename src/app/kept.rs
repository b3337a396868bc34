//! What of the screen is kept from one run to the next: the configuration's words for it, and
//! what `W` asks to be written.

use super::opens_pane::{OpensSort, OpensView};
use super::talkers_pane::{DirectionFilter, TalkersSort};
use super::{App, Effect};
use crate::settings::THEME_NAMES;

/// A value in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Word(&'static str),
    Number(u16),
    Flag(bool),
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Word(&'static [&'static str]),
    Number(u16, u16),
    /// One of these.
    Of(&'static [u16]),
    Flag,
}

const VIEWS: [&str; 5] = ["process", "file", "directory", "failures", "live"];
const SORTS: [&str; 10] =
    ["rate", "failed", "total", "age", "name", "pid", "latency", "rx", "tx", "peers"];
const SHOWN: [&str; 6] = ["auto", "0", "1", "3", "10", "all"];
const TALKERS_SORTS: [&str; 7] = ["bits", "rx", "tx", "packets", "total", "age", "address"];
const DIRECTIONS: [&str; 4] = ["auto", "rx", "tx", "both"];
const UNITS: [&str; 2] = ["bits", "bytes"];

/// Most directory levels there are.
pub(super) const MAX_LEVELS: u16 = 16;

/// Percent of the first pane, at least and at most.
pub(super) const SPLIT: (u16, u16) = (20, 80);

/// Every key of the configuration that can be changed on the screen.
pub const KEPT: [(&str, Kind); 13] = [
    ("theme", Kind::Word(&THEME_NAMES)),
    ("view", Kind::Word(&VIEWS)),
    ("sort", Kind::Word(&SORTS)),
    ("reverse", Kind::Flag),
    ("levels", Kind::Number(1, MAX_LEVELS)),
    ("files_shown", Kind::Word(&SHOWN)),
    ("talkers_sort", Kind::Word(&TALKERS_SORTS)),
    ("talkers_reverse", Kind::Flag),
    ("direction", Kind::Word(&DIRECTIONS)),
    ("names", Kind::Flag),
    ("split", Kind::Number(SPLIT.0, SPLIT.1)),
    ("unit", Kind::Word(&UNITS)),
    ("base", Kind::Of(&[1000, 1024])),
];

/// How traffic is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Bytes a second instead of bits.
    pub bytes: bool,
    /// Prefixes are powers of 1024, `Ki`, instead of 1000, `k`.
    pub binary: bool,
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub theme: &'static str,
    pub view: OpensView,
    pub sort: OpensSort,
    pub reverse: bool,
    pub levels: u16,
    /// Files under each process; by the room there is when nobody said.
    pub files_shown: Option<usize>,
    pub talkers_sort: TalkersSort,
    pub talkers_reverse: bool,
    /// By the interface when nobody said.
    pub direction: Option<DirectionFilter>,
    /// Addresses by their names.
    pub names: bool,
    pub split: u16,
    pub units: Units,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            theme: THEME_NAMES[0],
            view: OpensView::default(),
            sort: OpensSort::default(),
            reverse: false,
            levels: 3,
            files_shown: None,
            talkers_sort: TalkersSort::default(),
            talkers_reverse: false,
            direction: None,
            names: false,
            split: 54,
            units: Units::default(),
        }
    }
}

const ALL_VIEWS: [OpensView; 5] = [
    OpensView::Processes,
    OpensView::Files,
    OpensView::Directories,
    OpensView::Failures,
    OpensView::Live,
];

const ALL_SORTS: [OpensSort; 10] = [
    OpensSort::Rate,
    OpensSort::Failed,
    OpensSort::Total,
    OpensSort::Age,
    OpensSort::Name,
    OpensSort::Pid,
    OpensSort::Latency,
    OpensSort::Rx,
    OpensSort::Tx,
    OpensSort::Peers,
];

/// How many files can be shown under each process.
pub(super) const UNDER: [usize; 5] = [0, 1, 3, 10, 1_024];

const ALL_SHOWN: [Option<usize>; 6] =
    [None, Some(UNDER[0]), Some(UNDER[1]), Some(UNDER[2]), Some(UNDER[3]), Some(UNDER[4])];

const ALL_TALKERS_SORTS: [TalkersSort; 7] = [
    TalkersSort::Bits,
    TalkersSort::RxBits,
    TalkersSort::TxBits,
    TalkersSort::Packets,
    TalkersSort::Total,
    TalkersSort::Age,
    TalkersSort::Address,
];

const ALL_DIRECTIONS: [Option<DirectionFilter>; 4] =
    [None, Some(DirectionFilter::Rx), Some(DirectionFilter::Tx), Some(DirectionFilter::Both)];

/// The word for `what`, which is one of `all`.
fn word<T: PartialEq, const N: usize>(words: [&'static str; N], all: [T; N], what: &T) -> Value {
    let at = all.iter().position(|one| one == what).unwrap_or(0);
    Value::Word(words.get(at).copied().unwrap_or_default())
}

/// What `value` is the word for.
fn meant<T: Copy, const N: usize>(words: [&str; N], all: [T; N], value: Value) -> Option<T> {
    let Value::Word(word) = value else { return None };
    let at = words.iter().position(|w| *w == word)?;
    all.get(at).copied()
}

impl Kept {
    /// Every key with its value, in the order of [`KEPT`].
    pub fn values(&self) -> [(&'static str, Value); 13] {
        let values = [
            Value::Word(self.theme),
            word(VIEWS, ALL_VIEWS, &self.view),
            word(SORTS, ALL_SORTS, &self.sort),
            Value::Flag(self.reverse),
            Value::Number(self.levels),
            word(SHOWN, ALL_SHOWN, &self.files_shown),
            word(TALKERS_SORTS, ALL_TALKERS_SORTS, &self.talkers_sort),
            Value::Flag(self.talkers_reverse),
            word(DIRECTIONS, ALL_DIRECTIONS, &self.direction),
            Value::Flag(self.names),
            Value::Number(self.split),
            word(UNITS, [false, true], &self.units.bytes),
            Value::Number(if self.units.binary { 1024 } else { 1000 }),
        ];
        let mut at = 0;
        values.map(|value| {
            let name = KEPT.get(at).map_or("", |k| k.0);
            at += 1;
            (name, value)
        })
    }

    /// Takes a value that [`KEPT`] allows for `key`; anything else changes nothing.
    pub fn set(&mut self, key: &str, value: Value) {
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        match (key, value) {
            ("theme", Value::Word(theme)) => self.theme = theme,
            ("view", v) => put(&mut self.view, meant(VIEWS, ALL_VIEWS, v)),
            ("sort", v) => put(&mut self.sort, meant(SORTS, ALL_SORTS, v)),
            ("reverse", Value::Flag(v)) => self.reverse = v,
            ("levels", Value::Number(n)) => self.levels = n,
            ("files_shown", v) => put(&mut self.files_shown, meant(SHOWN, ALL_SHOWN, v)),
            ("talkers_sort", v) => {
                put(&mut self.talkers_sort, meant(TALKERS_SORTS, ALL_TALKERS_SORTS, v));
            }
            ("talkers_reverse", Value::Flag(v)) => self.talkers_reverse = v,
            ("direction", v) => put(&mut self.direction, meant(DIRECTIONS, ALL_DIRECTIONS, v)),
            ("names", Value::Flag(v)) => self.names = v,
            ("split", Value::Number(n)) => self.split = n,
            ("unit", v) => put(&mut self.units.bytes, meant(UNITS, [false, true], v)),
            ("base", Value::Number(n)) => self.units.binary = n == 1024,
            _ => {}
        }
    }
}

impl App {
    /// The screen as it is, as far as it is kept.
    pub fn kept(&self) -> Kept {
        let (opens, talkers) = (&self.opens_pane, &self.talkers_pane);
        Kept {
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

    /// Makes the screen so; what is changed from here on is what `W` writes.
    pub(super) fn keep(&mut self, kept: &Kept) {
        self.screen.theme = kept.theme;
        self.screen.split = kept.split;
        self.screen.units = kept.units;
        let opens = &mut self.opens_pane;
        (opens.view, opens.sort, opens.reverse) = (kept.view, kept.sort, kept.reverse);
        (opens.depth, opens.under) = (usize::from(kept.levels), kept.files_shown);
        let talkers = &mut self.talkers_pane;
        (talkers.sort, talkers.reverse) = (kept.talkers_sort, kept.talkers_reverse);
        (talkers.chosen, talkers.names) = (kept.direction, kept.names);
        self.saved = kept.clone();
    }

    pub(super) fn save(&mut self) -> Vec<Effect> {
        if self.saving.is_some() {
            self.say("still writing");
            return Vec::new();
        }
        let now = self.kept();
        let before = self.saved.values();
        let changed: Vec<_> = now.values().into_iter().filter(|v| !before.contains(v)).collect();
        if changed.is_empty() {
            self.say("nothing to save: the screen is as the configuration has it");
            return Vec::new();
        }
        self.saving = Some(now);
        vec![Effect::Save(changed)]
    }

    /// Says what came of it: the file that was written, or why none was.
    pub(super) fn take_saved(&mut self, result: Result<String, String>) -> Vec<Effect> {
        match (result, self.saving.take()) {
            (Ok(file), Some(now)) => {
                let before = self.saved.values();
                let names = now.values().into_iter().filter(|v| !before.contains(v)).map(|v| v.0);
                let names: Vec<_> = names.collect();
                self.say(&format!("saved {} in {file}", names.join(", ")));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each allowed value of each key, taken alone, is what the screen then has.
    #[test]
    fn every_word_is_kept_and_told_again() {
        for (key, kind) in KEPT {
            let values: Vec<Value> = match kind {
                Kind::Word(words) => words.iter().map(|w| Value::Word(w)).collect(),
                Kind::Number(least, most) => vec![Value::Number(least), Value::Number(most)],
                Kind::Of(numbers) => numbers.iter().map(|n| Value::Number(*n)).collect(),
                Kind::Flag => vec![Value::Flag(true), Value::Flag(false)],
            };
            for value in values {
                let mut kept = Kept::default();
                kept.set(key, value);
                assert!(kept.values().contains(&(key, value)), "{key} {value:?}");
                let others = |k: &Kept| k.values().into_iter().filter(|v| v.0 != key).count();
                let same = Kept::default().values();
                let unchanged = kept.values().iter().filter(|v| same.contains(v)).count();
                assert!(unchanged >= others(&kept), "{key} changes something else");
            }
        }
    }
}
