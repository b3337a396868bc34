//! The words of the configuration file, and what is wrong with them.

use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::kept::{KEPT, Kind, Value};
use crate::cli;
use crate::keymap::{self, Key, Keymap};
use crate::keys::Action;
use crate::model::duration;
use crate::model::escape::escape;
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::model::timeline::WatchedPaths;
use crate::settings::Columns;
use crate::ui;

/// What the commented default begins with; see [`super::printed()`].
pub(super) const DEFAULT: &str = include_str!("default.toml");

/// What the file says; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileConfig {
    pub interface: Option<InterfaceName>,
    pub process: Option<String>,
    pub filter: Option<String>,
    pub interval: Option<Duration>,
    pub xdp_mode: Option<XdpMode>,
    pub latency: Option<bool>,
    pub owners: Option<bool>,
    /// What the screen begins with.
    pub kept: Vec<(&'static str, Value)>,
    pub columns: Columns,
    /// `None` where no key is bound anew.
    pub keys: Option<Keymap>,
    pub mmdb: Vec<String>,
    /// Patterns of paths that the timeline marks.
    pub watched: Vec<String>,
    pub mouse: Option<bool>,
    pub ascii: Option<bool>,
}

/// Every key there is, besides those of [`KEPT`].
const KEYS: [&str; 13] = [
    "interface",
    "process",
    "filter",
    "interval",
    "xdp_mode",
    "latency",
    "owners",
    "mmdb",
    "watched",
    "mouse",
    "ascii",
    "columns",
    "keys",
];

impl FileConfig {
    /// Reads TOML; a mistake comes with its line, counted from 1.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let at = |span: Range<usize>| {
            text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
        };
        let table = DeTable::parse(text)
            .map_err(|e| (e.span().map_or(1, at), escape(e.message().as_bytes()).into_owned()))?;
        let mut config = Self::default();
        for (key, value) in table.get_ref() {
            let line = at(key.span());
            let name: &str = key.get_ref();
            let wrong = |(span, reason): Wrong| (span.map_or(line, at), reason);
            match name {
                "columns" => config.columns = columns(value.get_ref()).map_err(wrong)?,
                "mmdb" => {
                    let files = texts(key, value).map_err(wrong)?;
                    config.mmdb = files.into_iter().map(|(file, _)| file.to_owned()).collect();
                }
                "watched" => {
                    for (pattern, span) in texts(key, value).map_err(wrong)? {
                        WatchedPaths::parse([pattern].into_iter())
                            .map_err(|e| wrong((Some(span), escape(e.as_bytes()).into_owned())))?;
                        config.watched.push(pattern.to_owned());
                    }
                }
                "keys" => config.keys = Some(keys(value.get_ref()).map_err(wrong)?),
                _ => config.set(name, value.get_ref()).map_err(|reason| (line, reason))?,
            }
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "interface" => self.interface = Some(checked(key, value, interface)?),
            "process" => self.process = Some(optional(key, value, cli::process)?),
            "filter" => self.filter = Some(checked(key, value, cli::filter)?),
            "interval" => self.interval = Some(checked(key, value, duration::parse_interval)?),
            "xdp_mode" => self.xdp_mode = Some(checked(key, value, xdp_mode)?),
            "latency" => self.latency = Some(boolean(key, value)?),
            "owners" => self.owners = Some(boolean(key, value)?),
            "mouse" => self.mouse = Some(boolean(key, value)?),
            "ascii" => self.ascii = Some(boolean(key, value)?),
            other => {
                let Some((name, kind)) = KEPT.iter().find(|k| k.0 == other) else {
                    let all = KEYS.into_iter().chain(KEPT.map(|k| k.0));
                    return Err(unknown("key", other, all));
                };
                self.kept.push((name, kept(name, *kind, value)?));
            }
        }
        Ok(())
    }
}

/// What is wrong, and where if not at the key itself.
type Wrong = (Option<Range<usize>>, String);

/// Says that there is no such `what`, and which one is nearest.
fn unknown(what: &str, said: &str, all: impl Iterator<Item = impl AsRef<str>>) -> String {
    let shown = escape(said.as_bytes());
    // `-` for `_` is no distance at all to somebody who comes from the command line.
    let plain = said.to_ascii_lowercase().replace('-', "_");
    let distance = |k: &str| strsim::damerau_levenshtein(&k.to_ascii_lowercase(), &plain);
    let nearest = all.min_by_key(|k| distance(k.as_ref()));
    let nearest = nearest.as_ref().map_or("", AsRef::as_ref);
    format!("there is no {what} `{shown}`; the nearest is `{nearest}`")
}

/// A value that can be changed on the screen as well.
fn kept(key: &str, kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    let number = || match value {
        DeValue::Integer(n) => u16::from_str_radix(n.as_str(), n.radix()).ok(),
        _ => None,
    };
    match kind {
        Kind::Flag => boolean(key, value).map(Value::Flag),
        Kind::Word(words) => {
            let text = string(key, value)?;
            let shown = escape(text.as_bytes());
            let word = words.iter().find(|w| **w == text).map(|w| Value::Word(w));
            word.ok_or(format!("`{key}` is \"{shown}\": it is one of {}", words.join(", ")))
        }
        Kind::Number(least, most) => {
            let n = number().filter(|n| (least..=most).contains(n));
            n.map(Value::Number).ok_or(format!("`{key}` wants a number from {least} to {most}"))
        }
        Kind::Of(numbers) => {
            let n = number().filter(|n| numbers.contains(n));
            let all: Vec<_> = numbers.iter().map(u16::to_string).collect();
            n.map(Value::Number).ok_or(format!("`{key}` wants {}", all.join(" or ")))
        }
    }
}

fn table<'a, 'v>(key: &str, value: &'a DeValue<'v>) -> Result<&'a DeTable<'v>, Wrong> {
    match value {
        DeValue::Table(table) => Ok(table),
        _ => Err((None, format!("`{key}` wants a table: [{key}]"))),
    }
}

/// The texts of a list, each with its place.
fn texts<'a>(
    key: &Spanned<impl AsRef<str>>,
    value: &'a Spanned<DeValue<'_>>,
) -> Result<Vec<(&'a str, Range<usize>)>, Wrong> {
    let wanted = || {
        let name = escape(key.get_ref().as_ref().as_bytes()).into_owned();
        (Some(key.span()), format!("`{name}` wants a list of texts: [\"…\", \"…\"]"))
    };
    let DeValue::Array(list) = value.get_ref() else { return Err(wanted()) };
    let text = |one: &'a Spanned<DeValue<'_>>| match one.get_ref() {
        DeValue::String(text) => Ok((&**text, one.span())),
        _ => Err(wanted()),
    };
    list.iter().map(text).collect()
}

/// `[columns]`: for a table the columns that it has, in their order.
fn columns(value: &DeValue<'_>) -> Result<Columns, Wrong> {
    let tables = ui::column_names();
    let mut columns = Columns::new();
    for (key, value) in table("columns", value)? {
        let name: &str = key.get_ref();
        let Some((table, all)) = tables.iter().find(|t| t.0 == name) else {
            let reason = unknown("table", name, tables.iter().map(|t| t.0));
            return Err((Some(key.span()), reason));
        };
        let mut chosen = Vec::new();
        for (text, span) in texts(key, value)? {
            let Some(column) = all.iter().find(|c| c.eq_ignore_ascii_case(text)) else {
                return Err((Some(span), unknown("column", text, all.iter())));
            };
            if chosen.contains(column) {
                return Err((Some(span), format!("the column `{column}` is there twice")));
            }
            chosen.push(*column);
        }
        if chosen.is_empty() {
            return Err((Some(key.span()), format!("`{name}` wants one column at least")));
        }
        columns.insert(table, chosen);
    }
    Ok(columns)
}

/// `[keys]`: for an action the keys that ask for it.
fn keys(value: &DeValue<'_>) -> Result<Keymap, Wrong> {
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
        for (text, span) in texts(key, value)? {
            let Some(read) = Key::parse(text) else {
                let shown = escape(text.as_bytes());
                let reason = format!(
                    "there is no key called \"{shown}\"; keys are letters and signs, F1 to F12, \
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
        _ => Err(format!("`{key}` wants a text in quotes")),
    }
}

fn boolean(key: &str, value: &DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(b) => Ok(*b),
        _ => Err(format!("`{key}` wants true or false")),
    }
}

fn checked<T>(
    key: &str,
    value: &DeValue<'_>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text = string(key, value)?;
    check(text).map_err(|e| format!("`{key}` is \"{}\": {e}", escape(text.as_bytes())))
}

/// The same, where the empty text stands for nothing asked.
fn optional(
    key: &str,
    value: &DeValue<'_>,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    checked(key, value, |text| if text.is_empty() { Ok(String::new()) } else { check(text) })
}

/// Empty: the default.
fn interface(name: &str) -> Result<InterfaceName, String> {
    if name.is_empty() { Ok(InterfaceName::default()) } else { cli::interface(name.as_bytes()) }
}

fn xdp_mode(text: &str) -> Result<XdpMode, String> {
    XdpMode::from_str(text, false).map_err(|_| "it is auto, native, generic or off".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{ScreenArgs, WatchArgs};
    use crate::settings::{ScreenSettings, Settings};

    #[test]
    fn the_printed_default_is_the_default() {
        let printed = crate::config::printed();
        assert_eq!(FileConfig::parse(&printed), Ok(FileConfig::default()));
        // Every key stands there, commented out, with the value that holds without it.
        let said: String = printed
            .lines()
            .filter_map(|l| l.strip_prefix('#').filter(|l| !l.starts_with(' ')))
            .map(|l| format!("{l}\n"))
            .collect();
        let config = FileConfig::parse(&said).unwrap();
        assert_eq!(crate::config::settings(&WatchArgs::default(), &config), Settings::default());
        let screen = crate::config::screen_settings(&ScreenArgs::default(), &config);
        let columns = screen.columns.clone();
        let default = ScreenSettings { columns, ..ScreenSettings::default() };
        // That the keys are the table's is tested beside the table.
        let keys = default.keys.clone();
        assert_eq!(ScreenSettings { colour: true, file: None, keys, ..screen }, default);
        assert!(config.keys.is_some());
        for (table, columns) in ui::column_names() {
            assert_eq!(default.columns.get(table), Some(&columns), "{table}");
        }
        for key in KEYS.into_iter().chain(KEPT.map(|k| k.0)) {
            let there = said.contains(&format!("{key} = ")) || said.contains(&format!("[{key}]"));
            assert!(there, "{key}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_line() {
        crate::testing::fuzz::check("config", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Err((line, reason)) = FileConfig::parse(&text) {
                assert!((1..=text.matches('\n').count() + 1).contains(&line), "{reason}");
                assert!(!reason.chars().any(crate::model::escape::is_active), "{reason:?}");
            }
        });
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, says) in [
            ("# a\n\ninterva = '1s'", 3, "`interval`"),
            ("xdp-mode = 'off'", 1, "`xdp_mode`"),
            ("Theme = 'x'", 1, "`theme`"),
            ("[screen]\nmouse = true", 1, "no key `screen`"),
            ("mouse = true\ninterval = '1ms'", 2, "100ms to 60s"),
            ("mouse = 1", 1, "true or false"),
            ("filter = true", 1, "text in quotes"),
            ("filter = 'pid:x'", 1, "number"),
            ("process = '~('", 1, "unclosed"),
            ("xdp_mode = 'fast'", 1, "auto, native"),
            ("mouse = true\nmouse = false", 2, "duplicate"),
            ("\nmouse =", 2, ""),
            ("interface = 'a/b'", 1, "interface"),
            ("\"a\\u001bb\" = 1", 1, "a\\x1bb"),
            ("theme = 'dark'", 1, "one of terminal"),
            ("sort = 'rates'", 1, "one of rate"),
            ("levels = 17", 1, "1 to 16"),
            ("base = 1001", 1, "1000 or 1024"),
            ("split = 'wide'", 1, "number"),
            ("columns = 1", 1, "a table"),
            ("[columns]\nproces = ['pid']", 2, "`processes`"),
            ("[columns]\nprocesses = [\n'pid',\n'proces']", 4, "nearest is `PROCESS`"),
            ("[columns]\nprocesses = ['pid', 'PID']", 2, "twice"),
            ("[columns]\nprocesses = []", 2, "one column"),
            ("[columns]\nprocesses = 'pid'", 2, "a list"),
            ("[keys]\npaus = ['P']", 2, "nearest is `pause`"),
            ("[keys]\npause = ['Pp']", 2, "no key called"),
            ("[keys]\npause = 'P'", 2, "a list"),
            (
                "[keys]\nsave = ['w']\npause = ['t']",
                3,
                "`t` would mean both `next_view` and `pause`",
            ),
            ("[keys]\nsave = ['w']\nfollow = ['w']", 3, "both `follow` and `save`"),
            ("[keys]\npause = ['Ctrl-C']", 2, "`quit`"),
        ] {
            let (at, reason) = FileConfig::parse(text).expect_err(text);
            assert_eq!(at, line, "{text}: {reason}");
            assert!(reason.contains(says), "{text}: {reason}");
        }
    }
}
