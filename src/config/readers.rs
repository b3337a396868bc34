//! The settings of the configuration file, and how the value of a key is read.

use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::DeTable;
pub(super) use toml::de::DeValue;

use crate::cli;
use crate::keymap::{self, Key, Keymap};
use crate::keys::Action;
use crate::model::duration;
use crate::model::escape::escape;
use crate::model::field;
use crate::model::file_io::FileTypes;
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::model::timeline::WatchedPaths;
use crate::settings::Columns;
use crate::settings::saved_view::{Value, Values};

/// The file's settings; `None` where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileConfig {
    pub interface: Option<InterfaceName>,
    pub process: Option<String>,
    pub filter: Option<String>,
    pub interval: Option<Duration>,
    pub xdp_mode: Option<XdpMode>,
    pub latency: Option<bool>,
    /// The types of files whose bytes are counted; `Some(None)`: of none.
    pub io: Option<Option<FileTypes>>,
    /// The duration from which on a call is slow; `Some(None)`: calls are not timed.
    pub slow: Option<Option<Duration>>,
    pub owners: Option<bool>,
    /// Keys of the view that `W` saves, with their values.
    pub view: Vec<(&'static str, Value)>,
    pub columns: Columns,
    /// `None` if no key has a new binding.
    pub keys: Option<Keymap>,
    pub mmdb: Vec<String>,
    /// Patterns of paths that the timeline marks.
    pub watched: Vec<String>,
    pub own_opens: Option<bool>,
    pub files: Option<bool>,
    pub asked_names: Option<bool>,
    pub unix_listeners: Option<bool>,
    pub mouse: Option<bool>,
    pub ascii: Option<bool>,
}

/// An error, with its place if that is not the key.
pub(super) type Wrong = (Option<Range<usize>>, String);

/// Says that there is no such `what`, and which one is nearest.
pub(super) fn unknown(
    what: &str,
    said: &str,
    all: impl Iterator<Item = impl AsRef<str>>,
) -> String {
    let shown = escape(said.as_bytes());
    // `-` for `_` is no distance at all to somebody who comes from the command line.
    let plain = said.to_ascii_lowercase().replace('-', "_");
    let distance = |k: &str| strsim::damerau_levenshtein(&k.to_ascii_lowercase(), &plain);
    let nearest = all.min_by_key(|k| distance(k.as_ref()));
    let nearest = nearest.as_ref().map_or("", AsRef::as_ref);
    format!("unknown {what} `{shown}`; did you mean `{nearest}`?")
}

/// The value of a setting that `W` saves.
pub(super) fn saved_value(key: &str, values: Values, value: &DeValue<'_>) -> Result<Value, String> {
    let number = || match value {
        DeValue::Integer(n) => u16::from_str_radix(n.as_str(), n.radix()).ok(),
        _ => None,
    };
    match values {
        Values::Flag => boolean(key, value).map(Value::Flag),
        Values::Words(words) => {
            let text = string(key, value)?;
            let shown = escape(text.as_bytes());
            let words = words();
            let word = words.iter().find(|w| **w == text).map(|w| Value::Word(w));
            word.ok_or(format!("invalid `{key}` \"{shown}\": use one of {}", words.join(", ")))
        }
        Values::Range(first, last) => {
            let n = number().filter(|n| (first..=last).contains(n));
            n.map(Value::Number)
                .ok_or(format!("invalid `{key}`: use a number from {first} to {last}"))
        }
        Values::Numbers(numbers) => {
            let n = number().filter(|n| numbers.contains(n));
            let all: Vec<_> = numbers.iter().map(u16::to_string).collect();
            n.map(Value::Number).ok_or(format!("invalid `{key}`: use {}", all.join(" or ")))
        }
    }
}

fn table<'a, 'v>(key: &str, value: &'a DeValue<'v>) -> Result<&'a DeTable<'v>, Wrong> {
    match value {
        DeValue::Table(table) => Ok(table),
        _ => Err((None, format!("invalid `{key}`: use a table, [{key}]"))),
    }
}

/// The texts of a list, each with its place.
pub(super) fn texts<'a>(
    key: &str,
    value: &'a DeValue<'_>,
) -> Result<Vec<(&'a str, Range<usize>)>, Wrong> {
    let wanted = || (None, format!("invalid `{key}`: use a list of texts, [\"…\", \"…\"]"));
    let DeValue::Array(list) = value else { return Err(wanted()) };
    let text = |one: &'a Spanned<DeValue<'_>>| match one.get_ref() {
        DeValue::String(text) => Ok((&**text, one.span())),
        _ => Err(wanted()),
    };
    list.iter().map(text).collect()
}

/// `watched`: patterns of paths.
pub(super) fn watched(
    config: &mut FileConfig,
    key: &str,
    value: &DeValue<'_>,
) -> Result<(), Wrong> {
    for (pattern, span) in texts(key, value)? {
        WatchedPaths::parse([pattern].into_iter())
            .map_err(|e| (Some(span), escape(e.as_bytes()).into_owned()))?;
        config.watched.push(pattern.to_owned());
    }
    Ok(())
}

/// `[columns]`: the columns of a table, in their order.
pub(super) fn columns(value: &DeValue<'_>) -> Result<Columns, Wrong> {
    let tables = field::tables();
    let mut columns = Columns::new();
    for (key, value) in table("columns", value)? {
        let name: &str = key.get_ref();
        let at_key = |reason| (Some(key.span()), reason);
        let Some(table) = tables.iter().find(|t| t.name == name) else {
            return Err(at_key(unknown("table", name, tables.iter().map(|t| t.name))));
        };
        let mut chosen = Vec::new();
        let texts = texts(table.name, value.get_ref());
        for (text, span) in texts.map_err(|(span, reason)| (span.or(Some(key.span())), reason))? {
            let mut headers = table.columns.iter().map(|c| c.header);
            let Some(column) = headers.find(|header| header.eq_ignore_ascii_case(text)) else {
                let headers = table.columns.iter().map(|c| c.header);
                return Err((Some(span), unknown("column", text, headers)));
            };
            if chosen.contains(&column) {
                return Err((Some(span), format!("column `{column}` is listed twice")));
            }
            chosen.push(column);
        }
        if chosen.is_empty() {
            return Err(at_key(format!("invalid `{name}`: list at least one column")));
        }
        columns.insert(table.name, chosen);
    }
    Ok(columns)
}

/// `[keys]`: the keys of an action.
pub(super) fn keys(value: &DeValue<'_>) -> Result<Keymap, Wrong> {
    let actions: Vec<(String, Action)> =
        keymap::actions().into_iter().map(|a| (keymap::action_name(a), a)).collect();
    let mut bound = Vec::new();
    let mut places = Vec::new();
    for (key, value) in table("keys", value)? {
        let name: &str = key.get_ref();
        let Some((_, action)) = actions.iter().find(|a| a.0 == name) else {
            let reason = unknown("action", name, actions.iter().map(|a| &a.0));
            return Err((Some(key.span()), reason));
        };
        let mut keys = Vec::new();
        let texts = texts(name, value.get_ref());
        for (text, span) in texts.map_err(|(span, reason)| (span.or(Some(key.span())), reason))? {
            let Some(read) = Key::parse(text) else {
                let shown = escape(text.as_bytes());
                let reason = format!(
                    "unknown key \"{shown}\"; keys are letters and signs, F1 to F12, \
                     Ctrl-A, Space, Tab, Shift-Tab, Enter, Esc, Backspace, Insert, Delete, Up, Down, \
                     Left, Right, PgUp, PgDn, Home, End"
                );
                return Err((Some(span), reason));
            };
            keys.push(read);
            places.push((*action, read, span));
        }
        bound.push((*action, keys));
    }
    Keymap::with(&bound).map_err(|conflict| {
        let [a, b] = conflict.actions.map(keymap::action_name);
        let mine = |p: &&(Action, Key, _)| p.1 == conflict.key && conflict.actions.contains(&p.0);
        let place = places.iter().filter(mine).map(|p| p.2.clone()).max_by_key(|p| p.start);
        let key = escape(conflict.key.word().as_bytes()).into_owned();
        (
            place,
            format!("the key `{key}` would mean both `{a}` and `{b}`; give one of them another"),
        )
    })
}

fn string<'a>(key: &str, value: &'a DeValue<'_>) -> Result<&'a str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        _ => Err(format!("invalid `{key}`: use a text in quotes")),
    }
}

pub(super) fn boolean(key: &str, value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(b) => Ok(*b),
        _ => Err(format!("invalid `{key}`: use true or false")),
    }
}

pub(super) fn checked<T>(
    key: &str,
    value: &DeValue<'_>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text = string(key, value)?;
    check(text).map_err(|e| format!("invalid `{key}` \"{}\": {e}", escape(text.as_bytes())))
}

/// A checked text; the empty text is the default and is not checked.
pub(super) fn optional(
    key: &str,
    value: &DeValue<'_>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    checked(key, value, |text| if text.is_empty() { Ok(String::new()) } else { check(text) })
}

/// Empty: the default.
pub(super) fn interface(name: &str) -> Result<InterfaceName, String> {
    if name.is_empty() { Ok(InterfaceName::default()) } else { cli::interface(name.as_bytes()) }
}

pub(super) fn file_types(text: &str) -> Result<Option<FileTypes>, String> {
    match text {
        "off" => Ok(None),
        types => FileTypes::from_str(types, false)
            .map(Some)
            .map_err(|_| "use off, regular or all".into()),
    }
}

pub(super) fn slow(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" => Ok(None),
        time => duration::parse_slow(time).map(Some),
    }
}

pub(super) fn xdp_mode(text: &str) -> Result<XdpMode, String> {
    XdpMode::from_str(text, false).map_err(|_| "use auto, native, generic or off".into())
}
