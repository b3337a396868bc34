//! The part of the screen that `W` saves: one row for each setting, with its key in the configuration,
//! its values, its default and how it is described.

use strum::VariantArray;

use crate::model::field::opens::OpensSort;
use crate::model::field::opens_view::OpensView;
use crate::model::field::talkers::{DirectionFilter, TalkersSort};

/// The themes that can be asked for by name; the first is the default.
pub const THEME_NAMES: [&str; 4] = ["terminal", "contrast", "light", "colourblind"];

/// Directory levels at most.
pub const MAX_LEVELS: u16 = 16;

/// Percent of the screen that the first pane has, at least and at most.
pub const SPLIT: (u16, u16) = (20, 80);

/// Files under each process: the words, and how many they stand for; `None` goes by the room.
pub const FILES_SHOWN: [(&str, Option<usize>); 6] = [
    ("auto", None),
    ("0", Some(0)),
    ("1", Some(1)),
    ("3", Some(3)),
    ("10", Some(10)),
    ("all", Some(1_024)),
];

/// How traffic is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Bytes per second instead of bits.
    pub bytes: bool,
    /// Prefixes are powers of 1024, `Ki`, instead of 1000, `k`.
    pub binary: bool,
}

/// The view of the dashboard, as far as it is saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedView {
    /// One of [`THEME_NAMES`].
    pub theme: &'static str,
    pub view: OpensView,
    pub sort: OpensSort,
    pub reverse: bool,
    /// Directory levels.
    pub levels: u16,
    /// Files under each process; `None` goes by the room that there is.
    pub files_shown: Option<usize>,
    pub talkers_sort: TalkersSort,
    pub talkers_reverse: bool,
    /// `None` goes by the interface: one direction on `lo`, else both.
    pub direction: Option<DirectionFilter>,
    /// Names are shown beside addresses.
    pub names: bool,
    /// Percent of the screen that the first pane has.
    pub split: u16,
    pub units: Units,
}

impl Default for SavedView {
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

/// A value in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Word(&'static str),
    Number(u16),
    Flag(bool),
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    Words(fn() -> Vec<&'static str>),
    /// From the first to the last.
    Range(u16, u16),
    Numbers(&'static [u16]),
    Flag,
}

/// A setting that `W` saves.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// The key in the configuration.
    pub key: &'static str,
    /// The option of the command line that sets it too; empty where there is none.
    pub flag: &'static str,
    pub values: Values,
    /// The comment in the configuration and the text in the documentation.
    pub help: &'static str,
    get: fn(&SavedView) -> Value,
    /// Takes one of `values`; anything else changes nothing.
    set: fn(&mut SavedView, Value),
}

/// Words and their values.
type Pairs<T> = Vec<(&'static str, T)>;

/// The variants of an enum with their words.
fn variants<T: VariantArray + Copy + Into<&'static str>>() -> Pairs<T> {
    T::VARIANTS.iter().map(|one| ((*one).into(), *one)).collect()
}

fn directions() -> Pairs<Option<DirectionFilter>> {
    let some = variants().into_iter().map(|(word, filter)| (word, Some(filter)));
    [("auto", None)].into_iter().chain(some).collect()
}

fn word_of<T: PartialEq>(pairs: Pairs<T>, value: T) -> Value {
    let word = pairs.iter().find(|(_, one)| *one == value).map_or("", |(word, _)| word);
    Value::Word(word)
}

fn meant<T>(pairs: Pairs<T>, value: Value) -> Option<T> {
    let Value::Word(word) = value else { return None };
    pairs.into_iter().find(|(w, _)| *w == word).map(|(_, meaning)| meaning)
}

/// A setting whose values are words.
macro_rules! words {
    ($key:literal, $flag:literal, $($field:ident).+, $pairs:expr, $help:literal) => {
        Saved {
            key: $key,
            flag: $flag,
            values: Values::Words(|| $pairs.into_iter().map(|(word, _)| word).collect()),
            help: $help,
            get: |view| word_of($pairs, view.$($field).+),
            set: |view, value| {
                if let Some(meaning) = meant($pairs, value) {
                    view.$($field).+ = meaning;
                }
            },
        }
    };
}

/// A setting that is true or false.
macro_rules! flag {
    ($key:literal, $field:ident, $help:literal) => {
        Saved {
            key: $key,
            flag: "",
            values: Values::Flag,
            help: $help,
            get: |view| Value::Flag(view.$field),
            set: |view, value| {
                if let Value::Flag(flag) = value {
                    view.$field = flag;
                }
            },
        }
    };
}

/// A setting that is a number from the first to the last.
macro_rules! range {
    ($key:literal, $field:ident, ($first:expr, $last:expr), $help:literal) => {
        Saved {
            key: $key,
            flag: "",
            values: Values::Range($first, $last),
            help: $help,
            get: |view| Value::Number(view.$field),
            set: |view, value| {
                if let Value::Number(number) = value {
                    view.$field = number;
                }
            },
        }
    };
}

/// Every setting that can be changed on the screen and that `W` saves.
pub const SAVED: &[Saved] = &[
    words!(
        "theme",
        "--theme",
        theme,
        THEME_NAMES.map(|name| (name, name)).to_vec(),
        "Colours: terminal uses the terminal's own 16, the others are in 24 bits."
    ),
    words!("view", "", view, variants::<OpensView>(), "View of the files pane."),
    words!(
        "sort",
        "",
        sort,
        variants::<OpensSort>(),
        "Order of the files pane; rx and tx by program, process and unit, peers by process alone."
    ),
    flag!("reverse", reverse, "Reverse that order."),
    range!(
        "levels",
        levels,
        (1, MAX_LEVELS),
        "Directory levels in the views by directory and of failures."
    ),
    words!(
        "files_shown",
        "",
        files_shown,
        FILES_SHOWN.to_vec(),
        "Rows under each program, process or unit; auto goes by the room there is."
    ),
    words!(
        "talkers_sort",
        "",
        talkers_sort,
        variants::<TalkersSort>(),
        "Order of the talkers pane."
    ),
    flag!("talkers_reverse", talkers_reverse, "Reverse that order."),
    words!(
        "direction",
        "",
        direction,
        directions(),
        "Talkers that send (rx), that are sent to (tx), or both; auto is both, but rx on lo."
    ),
    flag!(
        "names",
        names,
        "Names beside addresses: asks the system's resolver, so others may see what you look at."
    ),
    range!("split", split, (SPLIT.0, SPLIT.1), "Percent of the screen for the files pane."),
    words!(
        "unit",
        "",
        units.bytes,
        vec![("bits", false), ("bytes", true)],
        "Unit of traffic, per second."
    ),
    Saved {
        key: "base",
        flag: "",
        values: Values::Numbers(&[1000, 1024]),
        help: "Base of the prefixes of traffic: 1000 (k, M) or 1024 (Ki, Mi).",
        get: |view| Value::Number(if view.units.binary { 1024 } else { 1000 }),
        set: |view, value| {
            if let Value::Number(base) = value {
                view.units.binary = base == 1024;
            }
        },
    },
];

impl SavedView {
    /// Every key of [`SAVED`] with its value.
    pub fn values(&self) -> Vec<(&'static str, Value)> {
        SAVED.iter().map(|saved| (saved.key, (saved.get)(self))).collect()
    }

    /// Sets the value of a key; an unknown key, or a value that it does not take, changes nothing.
    pub fn set(&mut self, key: &str, value: Value) {
        if let Some(saved) = SAVED.iter().find(|saved| saved.key == key) {
            (saved.set)(self, value);
        }
    }

    /// The keys whose values differ in `other`, with the values that they have here.
    pub fn changed_from(&self, other: &Self) -> Vec<(&'static str, Value)> {
        let before = other.values();
        self.values().into_iter().filter(|value| !before.contains(value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value that a setting takes.
    fn all(values: Values) -> Vec<Value> {
        match values {
            Values::Words(words) => words().into_iter().map(Value::Word).collect(),
            Values::Range(first, last) => vec![Value::Number(first), Value::Number(last)],
            Values::Numbers(numbers) => numbers.iter().map(|n| Value::Number(*n)).collect(),
            Values::Flag => vec![Value::Flag(true), Value::Flag(false)],
        }
    }

    #[test]
    fn each_value_of_each_key_is_read_back_and_changes_no_other_key() {
        let default = SavedView::default();
        for saved in SAVED {
            for value in all(saved.values) {
                let mut view = default.clone();
                view.set(saved.key, value);
                assert!(view.values().contains(&(saved.key, value)), "{} {value:?}", saved.key);
                let changed = view.changed_from(&default);
                assert!(changed.iter().all(|c| c.0 == saved.key), "{} {value:?}", saved.key);
            }
        }
    }

    #[test]
    fn every_word_has_one_meaning() {
        let words = |key: &str| {
            let saved = SAVED.iter().find(|s| s.key == key).unwrap();
            all(saved.values)
        };
        let word = |word| Value::Word(word);
        assert_eq!(words("direction"), ["auto", "rx", "tx", "both"].map(word));
        assert_eq!(words("files_shown"), ["auto", "0", "1", "3", "10", "all"].map(word));
        let views =
            ["program", "process", "unit", "file", "directory", "failures", "changes", "live"];
        assert_eq!(words("view"), views.map(word));
        let sorts = [
            "rate", "failed", "total", "rx", "tx", "peers", "read", "written", "slow", "age",
            "name", "pid", "latency",
        ];
        assert_eq!(words("sort"), sorts.map(word));
        let talkers = ["bits", "rx", "tx", "packets", "total", "age", "address"];
        assert_eq!(words("talkers_sort"), talkers.map(word));
    }
}
