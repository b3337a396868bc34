//! What `ebpftop config` prints: the commented default, with the tables of columns and keys.

use std::fmt::Write as _;

use super::file::DEFAULT;
use crate::keymap;
use crate::ui;

/// The commented default configuration.
pub fn printed() -> String {
    let mut text = DEFAULT.to_owned();
    text.push_str(
        "\n# The columns of each table in their order; those that have nothing to show are left out,\n\
         # and in a narrow pane those that matter least.\n#[columns]\n",
    );
    for (table, columns) in ui::column_names() {
        let _ = writeln!(text, "#{table} = {}", list(columns.iter().map(|c| (*c).to_owned())));
    }
    text.push_str(
        "\n# The keys of each action. What is said for one takes the place of all its keys; a key that\n\
         # another action has must be taken from that first. Ctrl-C always quits.\n#[keys]\n",
    );
    for action in keymap::actions() {
        let keys = keymap::default_keys(action).into_iter().map(keymap::Key::word);
        let _ = writeln!(text, "#{} = {}", keymap::action_name(action), list(keys));
    }
    text
}

/// A list of texts in TOML.
fn list(texts: impl Iterator<Item = String>) -> String {
    let quoted = |text: String| match text.as_str() {
        "\"" | "\\" => format!("\"\\{text}\""),
        _ => format!("\"{text}\""),
    };
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}
