//! The configuration file: reads its keys by the table; an error has its line.

use std::ops::Range;

use toml::de::DeTable;

use super::readers::{DeValue, FileConfig, Wrong, saved_value, unknown};
use super::table::{Read, settings};
use crate::model::escape::escape;

impl FileConfig {
    /// Reads TOML; an error comes with its line, counted from 1.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let at = |span: Range<usize>| {
            text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
        };
        let table = DeTable::parse(text)
            .map_err(|e| (e.span().map_or(1, at), escape(e.message().as_bytes()).into_owned()))?;
        let mut config = Self::default();
        for (key, value) in table.get_ref() {
            let line = at(key.span());
            config
                .read(key.get_ref(), value.get_ref())
                .map_err(|(span, reason)| (span.map_or(line, at), reason))?;
        }
        Ok(config)
    }

    fn read(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), Wrong> {
        let Some(setting) = settings().find(|s| s.key == key) else {
            return Err((None, unknown("key", key, settings().map(|s| s.key))));
        };
        let here = |reason: String| (None, reason);
        match setting.read {
            Read::Value(read) => read(self, setting.key, value).map_err(here),
            Read::Values(read) => read(self, setting.key, value),
            Read::Saved(saved) => {
                let value = saved_value(setting.key, saved.values, value).map_err(here)?;
                self.view.push((setting.key, value));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{ScreenArgs, WatchArgs};
    use crate::model::field;
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
        // A test beside the table compares the keys with it.
        let keys = default.keys.clone();
        assert_eq!(ScreenSettings { colour: true, file: None, keys, ..screen }, default);
        assert!(config.keys.is_some());
        for table in field::tables() {
            let headers = table.columns.iter().map(|c| c.header).collect();
            assert_eq!(default.columns.get(table.name), Some(&headers), "{}", table.name);
        }
        for key in settings().map(|s| s.key) {
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
                assert!(!reason.chars().any(crate::model::escape::needs_escape), "{reason:?}");
            }
        });
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, says) in [
            ("# a\n\ninterva = '1s'", 3, "`interval`"),
            ("xdp-mode = 'off'", 1, "`xdp_mode`"),
            ("Theme = 'x'", 1, "`theme`"),
            ("[screen]\nmouse = true", 1, "unknown key `screen`"),
            ("mouse = true\ninterval = '1ms'", 2, "100ms to 60s"),
            ("mouse = 1", 1, "true or false"),
            ("filter = true", 1, "text in quotes"),
            ("filter = 'pid:x'", 1, "number"),
            ("process = '~('", 1, "unclosed"),
            ("xdp_mode = 'fast'", 1, "auto, native"),
            ("mouse = true\nmouse = false", 2, "duplicate"),
            ("\nmouse =", 2, "must be quoted"),
            ("interface = 'a/b'", 1, "interface"),
            ("\"a\\u001bb\" = 1", 1, "a\\x1bb"),
            ("theme = 'dark'", 1, "one of terminal"),
            ("sort = 'rates'", 1, "one of rate"),
            ("levels = 17", 1, "1 to 16"),
            ("base = 1001", 1, "1000 or 1024"),
            ("split = 'wide'", 1, "number"),
            ("columns = 1", 1, "a table"),
            ("[columns]\nproces = ['pid']", 2, "`processes`"),
            ("[columns]\nprocesses = [\n'pid',\n'proces']", 4, "did you mean `PROCESS`?"),
            ("[columns]\nprocesses = ['pid', 'PID']", 2, "twice"),
            ("[columns]\nprocesses = []", 2, "one column"),
            ("[columns]\nprocesses = 'pid'", 2, "a list"),
            ("[keys]\npaus = ['P']", 2, "did you mean `pause`?"),
            ("[keys]\npause = ['Pp']", 2, "unknown key \"Pp\""),
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
