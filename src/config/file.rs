//! The words of the configuration file, and what is wrong with them.

use std::ops::Range;
use std::time::Duration;

use clap::ValueEnum;
use toml::de::{DeTable, DeValue};

use crate::cli;
use crate::model::escape::escape;
use crate::model::link::XdpMode;
use crate::model::span;
use crate::settings::THEME_NAMES;

/// The commented default, as `ebpftop config` prints it.
pub const DEFAULT: &str = include_str!("default.toml");

/// What the file says; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileConfig {
    pub interface: Option<String>,
    pub process: Option<String>,
    pub filter: Option<String>,
    pub interval: Option<Duration>,
    pub xdp_mode: Option<XdpMode>,
    pub latency: Option<bool>,
    pub theme: Option<String>,
    pub mouse: Option<bool>,
    pub ascii: Option<bool>,
}

/// Every key there is.
const KEYS: [&str; 9] = [
    "interface",
    "process",
    "filter",
    "interval",
    "xdp_mode",
    "latency",
    "theme",
    "mouse",
    "ascii",
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
            config.set(name, value.get_ref()).map_err(|reason| (line, reason))?;
        }
        Ok(config)
    }

    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "interface" => self.interface = Some(optional(key, value, cli::interface)?),
            "process" => self.process = Some(optional(key, value, cli::process)?),
            "filter" => self.filter = Some(checked(key, value, cli::filter)?),
            "interval" => self.interval = Some(checked(key, value, span::parse_interval)?),
            "xdp_mode" => self.xdp_mode = Some(checked(key, value, xdp_mode)?),
            "latency" => self.latency = Some(boolean(key, value)?),
            "theme" => self.theme = Some(checked(key, value, theme)?),
            "mouse" => self.mouse = Some(boolean(key, value)?),
            "ascii" => self.ascii = Some(boolean(key, value)?),
            other => return Err(unknown(other)),
        }
        Ok(())
    }
}

fn unknown(key: &str) -> String {
    let shown = escape(key.as_bytes());
    // `-` for `_` is no distance at all to somebody who comes from the command line.
    let plain = key.to_ascii_lowercase().replace('-', "_");
    let nearest = KEYS.into_iter().min_by_key(|k| strsim::damerau_levenshtein(k, &plain));
    format!("there is no key `{shown}`; the nearest is `{}`", nearest.unwrap_or_default())
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

fn xdp_mode(text: &str) -> Result<XdpMode, String> {
    XdpMode::from_str(text, false).map_err(|_| "it is auto, native, generic or off".into())
}

fn theme(text: &str) -> Result<String, String> {
    if THEME_NAMES.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("it is one of {}", THEME_NAMES.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{ScreenArgs, WatchArgs};
    use crate::settings::{ScreenSettings, Settings};

    #[test]
    fn the_printed_default_is_the_default() {
        assert_eq!(FileConfig::parse(DEFAULT), Ok(FileConfig::default()));
        // Every key stands there, commented out, with the value that holds without it.
        let said: String = DEFAULT
            .lines()
            .filter_map(|l| l.strip_prefix('#').filter(|l| !l.starts_with(' ')))
            .map(|l| format!("{l}\n"))
            .collect();
        let config = FileConfig::parse(&said).unwrap();
        assert_eq!(crate::config::settings(&WatchArgs::default(), &config), Settings::default());
        let screen = crate::config::screen_settings(&ScreenArgs::default(), &config);
        assert_eq!(ScreenSettings { colour: true, ..screen }, ScreenSettings::default());
        for key in KEYS {
            assert!(said.contains(&format!("{key} = ")), "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_line(text in "[a-z_ ='\"\\[\\]#0-9\n.]{0,80}|.{0,40}") {
            if let Err((line, reason)) = FileConfig::parse(&text) {
                assert!((1..=text.matches('\n').count() + 1).contains(&line), "{reason}");
            }
        }
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
        ] {
            let (at, reason) = FileConfig::parse(text).expect_err(text);
            assert_eq!(at, line, "{text}: {reason}");
            assert!(reason.contains(says), "{text}: {reason}");
        }
    }
}
