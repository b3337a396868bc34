//! The glossary of CONTRIBUTING.md: the words in backticks in its last column occur nowhere else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The beginning of a path, a word and the reason why it may occur there. An exception that is not
/// needed is an error.
const EXCEPTIONS: [(&str, &str, &str); 5] = [
    ("CHANGELOG.md", "let go", "the old name of a key"),
    ("CHANGELOG.md", "no owner", "the old name of a key"),
    ("LICENSE-", "whom", "the text of the licence"),
    ("LICENSES/", "telling", "the text of the licence"),
    ("scripts/kernels/guest.sh", "nobody", "the user of that name"),
];

/// Files and directories of the repository that are not searched.
const NOT_SEARCHED: [&str; 10] = [
    // Not part of it.
    ".git",
    "target",
    // The table of the words.
    "CONTRIBUTING.md",
    // Names of other projects, and screens, which are drawn from words in the code.
    "Cargo.lock",
    "assets",
    "tests/pure/snapshots",
    // Inputs of tests.
    "proptest-regressions",
    "tests/corpus",
    "tests/proptest-regressions",
    // This table.
    "tests/pure/words.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words to avoid, normalized, in the order of the table.
fn banned() -> Vec<String> {
    let page = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let section = page.split("\n## ").find(|part| part.starts_with("Words\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit('|').next());
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.map(|word| normalized(word).trim().to_owned()).collect()
}

/// Lower case, with one space between words. Identifiers are split into theirs.
fn normalized(text: &str) -> String {
    let mut out = String::from(" ");
    let mut before = ' ';
    for c in text.chars() {
        let starts_word = c.is_uppercase() && before.is_lowercase();
        let is_letter = c.is_alphanumeric() || c == '\'';
        if (starts_word || !is_letter) && !out.ends_with(' ') {
            out.push(' ');
        }
        if is_letter {
            out.extend(c.to_lowercase());
        }
        before = c;
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out
}

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    let name = path.strip_prefix(root()).unwrap();
    if NOT_SEARCHED.iter().any(|other| name == Path::new(other)) {
        return;
    }
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        entries.for_each(|entry| files(&entry.unwrap().path(), found));
    } else {
        found.push(path.to_owned());
    }
}

#[test]
fn words_to_avoid_are_not_used() {
    let banned = banned();
    assert!(banned.len() > 5, "the glossary was not found: {banned:?}");
    let mut paths = Vec::new();
    files(root(), &mut paths);
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in paths {
        // Files that are not text have no words.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        for (number, line) in text.lines().enumerate() {
            let line_words = normalized(line);
            for word in &banned {
                if !line_words.contains(&format!(" {word} ")) {
                    continue;
                }
                let excepts = |(path, allowed, _): &(&str, &str, &str)| {
                    name.starts_with(path) && allowed == word
                };
                match EXCEPTIONS.iter().position(excepts) {
                    Some(at) => drop(used.insert(at)),
                    None => wrong.push(format!("{name}:{}: {word}: {}", number + 1, line.trim())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} lines:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(used.len(), EXCEPTIONS.len(), "exceptions that are not needed");
}

#[test]
fn identifiers_are_split_into_words() {
    assert_eq!(normalized("LetGo::let_go(x)"), " let go let go x ");
    assert_eq!(normalized("nobody's"), " nobody's ");
}
