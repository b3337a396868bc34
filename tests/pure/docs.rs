//! Tables of the documentation that the program's own tables contain: each marked block of docs/*.md
//! is what is generated here. `UPDATE_DOCS=1 cargo test --test pure docs` writes them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ebpftop::cli::{CHOOSING, Kind};
use ebpftop::config;
use ebpftop::export::FAMILIES;
use ebpftop::keys::{self, Mode};
use ebpftop::model::field;
use ebpftop::model::filter::TERMS;
use ebpftop::privileges::{NEEDS, ThreadRole};
use ebpftop::probes::programs::FEATURES;
use ebpftop::report;
use ebpftop::stream::{self, Described, Type};
use serde_json::Value;

use crate::bounds::BOUNDS;

/// A block begins with this and the name of a generator, ` -->`.
const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// Every generator, by its name.
fn generators() -> Vec<(String, String)> {
    let mut all = vec![
        ("keys".to_owned(), keys_table(Mode::Main)),
        ("keys of the filter".to_owned(), keys_table(Mode::Filter)),
        ("keys of the picker".to_owned(), keys_table(Mode::Picker)),
        ("keys of the help".to_owned(), keys_table(Mode::Help)),
        ("filter".to_owned(), filter()),
        ("config".to_owned(), config_table()),
        ("choosing".to_owned(), choosing()),
        ("columns".to_owned(), columns()),
        ("tables".to_owned(), tables()),
        ("capabilities".to_owned(), capabilities()),
        ("features".to_owned(), features()),
        ("bounds".to_owned(), bounds()),
        ("metrics".to_owned(), metrics()),
    ];
    for line in stream::documented() {
        all.push((format!("line {}", line.name), record(&line)));
    }
    for table in report::documented() {
        all.push((format!("report {}", table.name), report_keys(&table)));
    }
    for (kind, header) in stream::csv_headers() {
        all.push((format!("csv {kind}"), format!("```csv\n{header}```\n")));
    }
    all
}

/// A table; a `|` in a cell is no border.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: [String; N]| {
        let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = line(head.map(str::to_owned));
    out += &format!("|{}\n", "---|".repeat(N));
    rows.into_iter().for_each(|row| out += &line(row));
    out
}

/// In backticks, unless empty.
fn code(text: &str) -> String {
    match text {
        "" => String::new(),
        text if text.contains('`') => format!("`` {text} ``"),
        text => format!("`{text}`"),
    }
}

fn keys_table(mode: Mode) -> String {
    let mut rows: Vec<(String, &str)> = Vec::new();
    for binding in keys::of(mode) {
        let names: Vec<_> = binding.names().split(' ').map(code).collect();
        match rows.last_mut() {
            // A second row of the same action has no text of its own, or the same one.
            Some((names_before, help)) if binding.help.is_empty() || binding.help == *help => {
                let _ = write!(names_before, " {}", names.join(" "));
            }
            _ => rows.push((names.join(" "), binding.help)),
        }
    }
    table(["keys", "action"], rows.into_iter().map(|(names, help)| [names, help.into()]))
}

fn filter() -> String {
    let rows = TERMS.iter().map(|t| [code(t.written), t.help.into(), code(t.example)]);
    table(["term", "matches", "example"], rows)
}

fn config_table() -> String {
    let rows = config::table::settings().map(|s| {
        let saved = if s.is_saved() { "yes" } else { "" };
        [code(s.key), code(s.flag), code(&s.default()), s.values(), saved.into(), s.help.into()]
    });
    table(["key", "option", "default", "values", "saved by `W`", "meaning"], rows)
}

/// The kinds of lines that each option chooses among.
fn choosing() -> String {
    let options = CHOOSING.map(|(option, _)| code(option));
    let [pid, uid, process, failed, path] = options.each_ref().map(String::as_str);
    let rows = Kind::value_variants().iter().map(|kind| {
        let yes = |(_, kinds): (_, &[Kind])| if kinds.contains(kind) { "yes" } else { "" };
        let [pid, uid, process, failed, path] = CHOOSING.map(|row| yes(row).to_owned());
        [code(kind.name()), pid, uid, process, failed, path]
    });
    table(["kind", pid, uid, process, failed, path], rows)
}

/// Every column once, by its header.
fn columns() -> String {
    let mut seen = BTreeSet::new();
    let columns = field::tables().into_iter().flat_map(|t| t.columns);
    let rows = columns
        .filter(|c| seen.insert(c.header))
        .map(|c| [code(c.header), c.unit.name().into(), code(c.sort), c.help.into()]);
    table(["column", "unit", "`sort`", "meaning"], rows.collect::<Vec<_>>())
}

fn tables() -> String {
    let rows = field::tables().into_iter().map(|t| {
        let headers: Vec<_> = t.columns.iter().map(|c| code(c.header)).collect();
        [code(t.name), headers.join(" ")]
    });
    table(["table", "columns"], rows)
}

fn capabilities() -> String {
    let thread = |part: &ThreadRole| match part {
        ThreadRole::Opens => "`opens`",
        ThreadRole::Talkers => "`talkers`",
        ThreadRole::Connections => "`connections`",
        ThreadRole::Hostnames => "`connections` in the dashboard, where `D` switches names on",
        ThreadRole::Io => "`io`",
        ThreadRole::Polling => "`connections` where it polls",
        ThreadRole::Namespace => "`talkers` with `--netns`",
        ThreadRole::Features => "`talkers` while a device's features have to be restored",
        ThreadRole::ProcessInfo => "`processes`",
        ThreadRole::Listeners => "`listeners`",
    };
    let rows = NEEDS.iter().map(|need| {
        let threads: Vec<_> = need.kept_by.iter().map(thread).collect();
        let setcap = if need.in_setcap { "yes" } else { "" };
        [code(&need.capability.to_string()), need.why.into(), threads.join(", "), setcap.into()]
    });
    table(["capability", "what for", "threads that keep it after the start", "`setcap`"], rows)
}

fn features() -> String {
    let form = |programs: &&[&str]| {
        programs.iter().map(|program| code(program)).collect::<Vec<_>>().join(" ")
    };
    let rows = FEATURES.iter().map(|feature| {
        let forms: Vec<_> = feature.forms.iter().map(form).collect();
        [feature.name.into(), forms.join("; else ")]
    });
    table(["feature", "BPF programs, the best form first"], rows)
}

fn bounds() -> String {
    let rows = BOUNDS.iter().map(|b| {
        let counter = if b.counter.is_empty() { "nothing is lost" } else { b.counter };
        [b.data, b.size, b.beyond, counter].map(str::to_owned)
    });
    table(["data", "bound", "beyond it", "counted in"], rows)
}

fn metrics() -> String {
    let rows = FAMILIES.iter().map(|family| {
        let labels = family.labels.split(", ").map(code).collect::<Vec<_>>().join(" ");
        [code(&family.sample_name()), family.kind.name().into(), labels, family.help.into()]
    });
    table(["metric", "type", "labels", "meaning"], rows)
}

/// The keys of a line, those of objects within it below them.
fn record(line: &stream::Documented) -> String {
    let mut rows = Vec::new();
    let examples: Vec<Value> =
        line.examples.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    add_keys(&line.keys, "", &examples.iter().collect::<Vec<_>>(), &mut rows);
    table(["key", "type", "unit", "null", "example", "meaning"], rows)
}

/// The keys of a table of `report`, without those of every line.
fn report_keys(table_of: &stream::Documented) -> String {
    let keys = table_of.keys.iter().skip(4);
    let rows = keys.map(|d| {
        let null = if d.null { "yes" } else { "" };
        [code(d.key.name), d.of.name().into(), d.key.unit.into(), null.into(), d.key.help.into()]
    });
    table(["key", "type", "unit", "null", "meaning"], rows)
}

fn add_keys(keys: &[Described], within: &str, examples: &[&Value], rows: &mut Vec<[String; 6]>) {
    for described in keys {
        let name = described.key.name;
        // The first example that has a value, else one that has the key.
        let values: Vec<&Value> = examples.iter().filter_map(|e| e.get(name)).collect();
        let known = values.iter().copied().filter(|v| !v.is_null());
        let inner = described.of.inner();
        let example = known.clone().next().filter(|_| inner.is_empty());
        let null = match (described.null, described.optional) {
            (_, true) => "absent",
            (true, _) => "null",
            _ => "",
        };
        rows.push([
            code(&format!("{within}{name}")),
            described.of.name().into(),
            described.key.unit.into(),
            null.into(),
            example.map_or(String::new(), |e| code(&e.to_string())),
            described.key.help.into(),
        ]);
        let within = match described.of {
            Type::Objects(_) => format!("{within}{name}[]."),
            _ => format!("{within}{name}."),
        };
        let parts = known.flat_map(|v| v.as_array().map_or(vec![v], |all| all.iter().collect()));
        add_keys(&inner, &within, &parts.collect::<Vec<_>>(), rows);
    }
}

/// `text` with each block as it is generated; the names of the blocks go to `used`.
fn generated(file: &Path, text: &str, used: &mut BTreeSet<String>) -> String {
    let all = generators();
    let mut parts = text.split(BEGIN);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").expect("a name and the end of the comment");
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{name} has no {END}"));
        let (_, block) = all
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("{}: nothing generates `{name}`", file.display()));
        let _ = write!(out, "{BEGIN}{name} -->\n\n{block}\n{END}{after}");
        used.insert(name.to_owned());
    }
    out
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.filter(|path| path.extension().is_some_and(|e| e == "md"))
        .chain([root.join("README.md")])
        .collect()
}

#[test]
fn docs_have_the_tables_of_the_program() {
    let mut used = BTreeSet::new();
    let mut different = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let right = generated(&path, &text, &mut used);
        if right == text {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, right).unwrap();
        } else {
            different.push(path);
        }
    }
    assert!(
        different.is_empty(),
        "not as generated: {different:?}; `UPDATE_DOCS=1 cargo test --test pure docs` writes them"
    );
    let unused: Vec<_> =
        generators().into_iter().map(|g| g.0).filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "no document has these blocks: {unused:?}");
}
