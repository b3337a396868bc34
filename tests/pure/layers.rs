//! Imports between modules: the table of ARCHITECTURE.md, compared with the `crate::`, `super::` and
//! `self::` paths of src. Comments and test modules do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

/// Each module of src with those that it may import, which stand above it.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("console", &["model"]),
    ("keys", &[]),
    ("keymap", &["keys"]),
    ("clock", &["model"]),
    ("machine", &[]),
    ("bpf", &[]),
    ("sys", &["bpf", "model"]),
    ("privileges", &["sys"]),
    ("settings", &["keymap", "model"]),
    ("cli", &["model", "settings"]),
    ("files", &["privileges"]),
    ("config", &["cli", "files", "keymap", "keys", "model", "privileges", "settings"]),
    ("logging", &["files", "model"]),
    ("recording", &["clock", "machine", "model"]),
    ("app", &["keymap", "keys", "model", "recording", "settings"]),
    ("ui", &["app", "keymap", "keys", "model", "settings"]),
    ("probes", &["bpf", "clock", "files", "model", "privileges", "sys"]),
    ("session", &["cli", "console", "model", "probes", "privileges", "settings"]),
    (
        "stream",
        &[
            "cli",
            "clock",
            "console",
            "files",
            "machine",
            "model",
            "privileges",
            "probes",
            "session",
            "settings",
        ],
    ),
    (
        "report",
        &[
            "cli",
            "clock",
            "console",
            "files",
            "model",
            "privileges",
            "probes",
            "recording",
            "session",
            "settings",
            "stream",
        ],
    ),
    (
        "record",
        &[
            "cli",
            "clock",
            "console",
            "files",
            "model",
            "privileges",
            "probes",
            "recording",
            "session",
            "settings",
        ],
    ),
    (
        "export",
        &[
            "cli",
            "clock",
            "console",
            "files",
            "machine",
            "model",
            "privileges",
            "probes",
            "recording",
            "session",
            "settings",
        ],
    ),
    ("doctor", &["bpf", "cli", "model", "privileges", "probes"]),
    (
        "runtime",
        &[
            "app",
            "clock",
            "config",
            "console",
            "files",
            "machine",
            "model",
            "privileges",
            "probes",
            "recording",
            "settings",
            "sys",
            "ui",
        ],
    ),
    ("man", &["cli", "keys"]),
    ("main", &[]),
];

/// A regular expression that is compiled once.
macro_rules! regex {
    ($text:literal) => {{
        static REGEX: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).unwrap());
        &*REGEX
    }};
}

/// The sources by module path: `probes::opens::drain`, the crate's root as an empty one.
struct Sources {
    code: BTreeMap<String, String>,
    /// Names that a module hands on (`pub use`), with the paths that they stand for.
    handed_on: BTreeMap<(String, String), Vec<String>>,
}

impl Sources {
    fn read() -> Self {
        let root = format!("{}/src", env!("CARGO_MANIFEST_DIR"));
        let mut code = BTreeMap::new();
        let mut of_tests = BTreeSet::new();
        read_folder(Path::new(&root), Path::new(&root), &mut code, &mut of_tests);
        code.retain(|module, _| {
            let in_tests = |of: &String| module == of || module.starts_with(&format!("{of}::"));
            !of_tests.iter().any(in_tests)
        });
        let mut sources = Self { code, handed_on: BTreeMap::new() };
        let mut handed_on = BTreeMap::new();
        for (module, text) in &sources.code {
            for used in uses(text).into_iter().filter(|used| used.is_public) {
                if let (Some(path), Some(name)) =
                    (sources.absolute(module, &used.path), used.path.last())
                {
                    handed_on.insert((module.clone(), name.clone()), path);
                }
            }
        }
        sources.handed_on = handed_on;
        sources
    }

    /// A path from the crate's root; `None` for one of another crate.
    fn absolute(&self, module: &str, path: &[String]) -> Option<Vec<String>> {
        let mut base: Vec<String> = module.split("::").map(Into::into).collect();
        base.retain(|part| !part.is_empty());
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            // A child, as `use` takes it without `self`.
            child => {
                base.push(child.into());
                let known = self.code.contains_key(&base.join("::"));
                base.pop();
                known.then_some(())?;
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The module in whose file an absolute path is defined.
    fn module_of(&self, path: &[String]) -> Option<&str> {
        (0..=path.len()).rev().find_map(|n| {
            let (module, _) = self.code.get_key_value(&path[..n].join("::"))?;
            let handed_on = path.get(n).and_then(|name| {
                let real = self.handed_on.get(&(module.clone(), name.clone()))?;
                (real != path).then(|| self.module_of(real))?
            });
            Some(handed_on.unwrap_or(module))
        })
    }

    /// The modules that each one imports.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let of = |module: &str, text: &str| -> BTreeSet<&str> {
            uses(text)
                .iter()
                .filter(|used| !used.is_public)
                .filter_map(|used| self.module_of(&self.absolute(module, &used.path)?))
                .filter(|other| *other != module && !other.is_empty())
                .collect()
        };
        self.code.iter().map(|(module, text)| (module.as_str(), of(module, text))).collect()
    }
}

/// Reads the files into `code`, and the modules that only tests have into `of_tests`.
fn read_folder(
    root: &Path,
    folder: &Path,
    code: &mut BTreeMap<String, String>,
    of_tests: &mut BTreeSet<String>,
) {
    let test_module = regex!(r"#\[cfg\(test\)\]\n(?:#\[[^\n]*\n)*(?:pub )?mod (\w+);");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(root, &path, code, of_tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().with_extension("");
            let name = name.to_str().unwrap().replace('/', "::");
            let name = name.strip_suffix("::mod").unwrap_or(&name);
            let name = if name == "lib" { "" } else { name };
            let text = std::fs::read_to_string(&path).unwrap();
            for found in test_module.captures_iter(&text) {
                let child = format!("{name}::{}", &found[1]);
                of_tests.insert(child.trim_start_matches("::").to_owned());
            }
            code.insert(name.into(), without_tests(&text));
        }
    }
}

/// The text without comments, and without the items that only tests have: a test module ends its file.
fn without_tests(text: &str) -> String {
    let comment = regex!("(?m)//.*$");
    let visibility = regex!(r"pub\(in [\w:]+\)");
    let module = regex!(r"#\[cfg\(test\)\]\n(#\[[^\n]*\n)*(pub )?mod \w+ \{");
    let item = regex!(r"#\[cfg\(test\)\]\n[^\n]*;");
    let text = comment.replace_all(text, "");
    let text = visibility.replace_all(&text, "pub");
    let end = module.find(&text).map_or(text.len(), |m| m.start());
    item.replace_all(&text[..end], "").into_owned()
}

struct Use {
    is_public: bool,
    path: Vec<String>,
}

/// The paths of the `use` lines, and those in the code that begin with `crate`, `super` or `self`.
fn uses(text: &str) -> Vec<Use> {
    let line = regex!(r"(?m)^\s*(pub(?:\([^)]*\))? )?use ([^;]+);");
    let path = regex!(r"\b(?:crate|super|self)(?:::\w+)+");
    let parts = |path: &str| path.split("::").map(|part| part.trim().to_owned()).collect();
    let mut uses = Vec::new();
    for found in line.captures_iter(text) {
        for path in expanded(&found[2]) {
            uses.push(Use { is_public: found.get(1).is_some(), path: parts(&path) });
        }
    }
    let rest = line.replace_all(text, "");
    uses.extend(path.find_iter(&rest).map(|m| Use { is_public: false, path: parts(m.as_str()) }));
    uses
}

/// `a::{b, c::{d, self}}` as `a::b`, `a::c::d`, `a::c`.
fn expanded(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((before, list)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_owned()];
    };
    let mut depth = 0;
    let list = list.strip_suffix('}').unwrap();
    list.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .filter(|part| !part.trim().is_empty())
    .flat_map(expanded)
    .map(|path| match path.as_str() {
        "self" => before.trim_end_matches("::").to_owned(),
        _ => format!("{before}{path}"),
    })
    .collect()
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn modules_import_only_those_below_them() {
    let sources = Sources::read();
    for (at, (module, may)) in LAYERS.iter().enumerate() {
        for other in *may {
            let above = LAYERS[..at].iter().any(|(name, _)| name == other);
            assert!(above, "{other} stands below {module}, which may not import it");
        }
    }
    let mut wrong = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (module, imports) in sources.imports() {
        let own = top(module);
        // The crate's root names its modules and nothing else.
        if own.is_empty() {
            continue;
        }
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == own) else {
            wrong.insert(format!("{own} is missing in the table"));
            continue;
        };
        for other in imports.into_iter().map(top).filter(|other| *other != own) {
            used.insert((own, other));
            if !may.contains(&other) {
                wrong.insert(format!(
                    "src/{}: {own} may not import {other}",
                    module.replace("::", "/")
                ));
            }
        }
    }
    for (module, may) in LAYERS {
        for other in *may {
            if !used.contains(&(*module, *other)) {
                wrong.insert(format!("{module} does not import {other}: strike it out"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The modules that one imports, and those that these import.
fn reached<'a>(imports: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut all, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        next.extend(imports[module].iter().copied().filter(|other| all.insert(*other)));
    }
    all
}

#[test]
fn no_files_import_each_other() {
    let sources = Sources::read();
    let imports = sources.imports();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (*module, reached(&imports, module))).collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(module, all)| all.contains(*module))
        .map(|(module, all)| all.iter().copied().filter(|o| reached[o].contains(module)).collect())
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn paths_are_understood() {
    let text =
        "use crate::a::{self, b::{C, d}};\npub use e::F;\n// crate::no\nfn f() { super::g::h() }\n";
    let found: Vec<_> =
        uses(&without_tests(text)).iter().map(|u| (u.is_public, u.path.join("::"))).collect();
    let expected = [
        (false, "crate::a"),
        (false, "crate::a::b::C"),
        (false, "crate::a::b::d"),
        (true, "e::F"),
        (false, "super::g::h"),
    ];
    assert_eq!(found, expected.map(|(public, path)| (public, path.to_owned())));
}
