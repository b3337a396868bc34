//! The output of `ebpftop config`: every key with its description and its default, commented out.

use std::fmt::Write as _;

use super::table::settings;
use crate::keymap;
use crate::model::field;

/// Cells of a comment line at most.
const WIDTH: usize = 98;

const HEAD: &str = "\
# ebpftop: the configuration, with the default of each key.
# Place: $XDG_CONFIG_HOME/ebpftop/config.toml, else ~/.config/ebpftop/config.toml,
# of the user who called sudo. The command line overrides it.
# From `theme` on, keys concern the dashboard alone; the others apply to `stream` and `record`, too.
";

/// Stands before the settings of the view.
const SAVED: &str = "\
# The view, down to `base`: these keys can be changed on the screen, and W saves them.

";

/// The commented default configuration.
pub fn printed() -> String {
    let mut text = HEAD.to_owned();
    let mut saved = false;
    for setting in settings() {
        text.push('\n');
        if setting.is_saved() && !saved {
            text.push_str(SAVED);
            saved = true;
        }
        comment(&mut text, setting.help);
        let values = setting.values();
        if !values.is_empty() {
            comment(&mut text, &format!("Values: {values}."));
        }
        match setting.key {
            "columns" => columns(&mut text),
            "keys" => keys(&mut text),
            key => {
                let _ = writeln!(text, "#{key} = {}", setting.default());
            }
        }
    }
    text
}

/// Lines of a comment, broken between words.
fn comment(text: &mut String, sentences: &str) {
    let mut line = String::from("#");
    for word in sentences.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

fn columns(text: &mut String) {
    text.push_str("#[columns]\n");
    for table in field::tables() {
        let headers = table.columns.iter().map(|c| c.header.to_owned());
        let _ = writeln!(text, "#{} = {}", table.name, list(headers));
    }
}

fn keys(text: &mut String) {
    text.push_str("#[keys]\n");
    for action in keymap::actions() {
        let keys = keymap::default_keys(action).into_iter().map(keymap::Key::word);
        let _ = writeln!(text, "#{} = {}", keymap::action_name(action), list(keys));
    }
}

/// A list of texts in TOML.
fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted = |text: String| match text.as_str() {
        "\"" | "\\" => format!("\"\\{text}\""),
        _ => format!("\"{text}\""),
    };
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}
