//! Every key of the configuration: how it is read, its default, and how it is described.

use super::readers::{self, FileConfig, Wrong};
use crate::cli;
use crate::model::duration;
use crate::settings::saved_view::{SAVED, Saved, SavedView, Value, Values};

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    /// The option of the command line that is about the same; empty where there is none.
    pub flag: &'static str,
    /// The purpose of the key: sentences.
    pub help: &'static str,
    /// The default in TOML; of a setting that `W` saves, [`Setting::default`] has it.
    default: &'static str,
    pub(super) read: Read,
}

/// How a key is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// A value; an error is about the key's line.
    Value(fn(&mut FileConfig, &str, &readers::DeValue<'_>) -> Result<(), String>),
    /// Several values; an error may be about one of them.
    Values(fn(&mut FileConfig, &str, &readers::DeValue<'_>) -> Result<(), Wrong>),
    /// A setting that `W` saves.
    Saved(&'static Saved),
}

impl Setting {
    /// The default in TOML; empty for a table, whose rows are printed one by one.
    pub fn default(&self) -> String {
        match self.read {
            Read::Saved(saved) => {
                let values = SavedView::default().values();
                let value = values.into_iter().find(|v| v.0 == saved.key).map(|v| v.1);
                value.map_or(String::new(), toml)
            }
            _ => self.default.into(),
        }
    }

    /// The values that it takes, where these are few; else empty.
    pub fn values(&self) -> String {
        let Read::Saved(saved) = self.read else { return String::new() };
        match saved.values {
            Values::Words(words) => one_of(words().iter().map(|word| format!("\"{word}\""))),
            Values::Numbers(numbers) => one_of(numbers.iter().map(u16::to_string)),
            Values::Range(first, last) => format!("{first} to {last}"),
            Values::Flag => String::new(),
        }
    }

    /// Whether the key `W` saves it.
    pub fn is_saved(&self) -> bool {
        matches!(self.read, Read::Saved(_))
    }
}

/// `a, b or c`.
fn one_of(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<_> = all.collect();
    match all.pop() {
        Some(last) if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// A value in TOML.
fn toml(value: Value) -> String {
    match value {
        Value::Word(word) => format!("\"{word}\""),
        Value::Number(n) => n.to_string(),
        Value::Flag(flag) => flag.to_string(),
    }
}

const fn value(
    key: &'static str,
    flag: &'static str,
    default: &'static str,
    help: &'static str,
    read: fn(&mut FileConfig, &str, &readers::DeValue<'_>) -> Result<(), String>,
) -> Setting {
    Setting { key, flag, help, default, read: Read::Value(read) }
}

const fn values(
    key: &'static str,
    flag: &'static str,
    default: &'static str,
    help: &'static str,
    read: fn(&mut FileConfig, &str, &readers::DeValue<'_>) -> Result<(), Wrong>,
) -> Setting {
    Setting { key, flag, help, default, read: Read::Values(read) }
}

/// Settings that apply to `stream` and `record`, too.
const OF_ALL: &[Setting] = &[
    value(
        "interface",
        "--interface",
        "\"\"",
        "Interface to watch: a name, \"all\" for every one that is up, or \"\" for the one of the \
         default route.",
        |c, key, v| {
            readers::checked(key, v, readers::interface).map(|name| c.interface = Some(name))
        },
    ),
    value(
        "process",
        "--process",
        "\"\"",
        "Only opens by processes whose name matches: a substring, or \"~REGEX\"; \"!\" in front \
         negates.",
        |c, key, v| readers::optional(key, v, cli::process).map(|text| c.process = Some(text)),
    ),
    value(
        "filter",
        "--filter",
        "\"\"",
        "Only what matches all terms: names and pid: uid: parent: path: err: op: cgroup: unit: container: pod: \
         ip: peer: port: name: state: rtt: retrans:",
        |c, key, v| readers::checked(key, v, cli::filter).map(|text| c.filter = Some(text)),
    ),
    value(
        "interval",
        "--interval",
        "\"1s\"",
        "Time between refreshes, \"100ms\" to \"60s\".",
        |c, key, v| {
            readers::checked(key, v, duration::parse_interval).map(|t| c.interval = Some(t))
        },
    ),
    value(
        "xdp_mode",
        "--xdp-mode",
        "\"auto\"",
        "Hook that counts received packets: \"auto\", \"native\", \"generic\" or \"off\".",
        |c, key, v| readers::checked(key, v, readers::xdp_mode).map(|mode| c.xdp_mode = Some(mode)),
    ),
    value(
        "latency",
        "--latency",
        "false",
        "Time each open, and report those that do not return. It costs: a second program runs at each open's \
         entry.",
        |c, key, v| readers::boolean(key, v).map(|flag| c.latency = Some(flag)),
    ),
    value(
        "io",
        "--io",
        "\"off\"",
        "Count bytes and calls read and written by process and file: \"off\", \"regular\" (files) or \
         \"all\" (pipes, sockets, terminals and devices too). It costs: a program runs at each call's return.",
        |c, key, v| readers::checked(key, v, readers::file_types).map(|types| c.io = Some(types)),
    ),
    value(
        "slow",
        "--slow",
        "\"off\"",
        "Time calls that read and write files, and report each that takes this time (\"10ms\") or longer: \
         implies io and latency. It costs: a second program runs at the entry of each call and of each open.",
        |c, key, v| readers::checked(key, v, readers::slow).map(|slow| c.slow = Some(slow)),
    ),
    value(
        "asked_names",
        "--names",
        "false",
        "Show the names that processes asked for beside the addresses of their connections: from answers of \
         DNS and from the ClientHello of TLS. They say which sites are visited; recordings and lines have \
         them too.",
        |c, key, v| readers::boolean(key, v).map(|flag| c.asked_names = Some(flag)),
    ),
    value(
        "unix_listeners",
        "--unix-listeners",
        "false",
        "Show Unix sockets that listen among the listeners, too; recordings, lines and reports have them then.",
        |c, key, v| readers::boolean(key, v).map(|flag| c.unix_listeners = Some(flag)),
    ),
    value(
        "owners",
        "--no-owners",
        "true",
        "Attribute connections to processes, in the dashboard and in recordings. Needs cgroup v2 and \
         kernel 5.12 (5.13 to read counts while connections live).",
        |c, key, v| readers::boolean(key, v).map(|flag| c.owners = Some(flag)),
    ),
];

/// Settings of the dashboard alone, without those that `W` saves.
const OF_SCREEN: &[Setting] = &[
    values(
        "mmdb",
        "--mmdb",
        "[]",
        "MMDB files with country and network (AS) of addresses; nothing is ever downloaded.",
        |c, key, v| {
            let files = readers::texts(key, v)?;
            c.mmdb = files.into_iter().map(|(file, _)| file.to_owned()).collect();
            Ok(())
        },
    ),
    values(
        "watched",
        "",
        "[]",
        "Paths that the timeline of a process marks where data is sent soon after they were opened: \
         a coincidence in time, no proof. `*` is anything within a name, `**/` any directories: \
         [\"/etc/shadow\", \"**/id_*\", \"/root/.aws/credentials\"]",
        readers::watched,
    ),
    value(
        "own_opens",
        "--own-opens",
        "false",
        "Show the opens of ebpftop itself, too; else the header has their number.",
        |c, key, v| readers::boolean(key, v).map(|flag| c.own_opens = Some(flag)),
    ),
    value(
        "files",
        "--files",
        "false",
        "Report changes of files (create, rename, unlink and the like) in the dashboard and in recordings. \
         It costs: starting and ending take a second longer, since each call has a tracepoint.",
        |c, key, v| readers::boolean(key, v).map(|flag| c.files = Some(flag)),
    ),
    value("mouse", "--no-mouse", "true", "Use the mouse.", |c, key, v| {
        readers::boolean(key, v).map(|flag| c.mouse = Some(flag))
    }),
    value("ascii", "--ascii", "false", "Plain ASCII: no braille, no line drawing.", |c, key, v| {
        readers::boolean(key, v).map(|flag| c.ascii = Some(flag))
    }),
];

/// Tables of the file.
const TABLES: &[Setting] = &[
    values(
        "columns",
        "",
        "",
        "Columns of each table, in this order. Columns without data are left out, and in a narrow \
         pane those that matter least.",
        |c, _, v| readers::columns(v).map(|columns| c.columns = columns),
    ),
    values(
        "keys",
        "",
        "",
        "Keys of each action. They replace all its keys; a key of another action has to be taken from \
         that one first. Ctrl-C always quits.",
        |c, _, v| readers::keys(v).map(|keys| c.keys = Some(keys)),
    ),
];

/// Every key of the configuration, in the order in which it is printed.
pub fn settings() -> impl Iterator<Item = Setting> {
    let saved = SAVED.iter().map(|saved| Setting {
        key: saved.key,
        flag: saved.flag,
        help: saved.help,
        default: "",
        read: Read::Saved(saved),
    });
    let of_all = OF_ALL.iter().copied();
    of_all.chain(saved).chain(OF_SCREEN.iter().chain(TABLES).copied())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::model::filter::TERMS;

    #[test]
    fn every_option_that_a_key_names_exists() {
        let command = cli::Cli::command();
        let options: Vec<_> = command.get_arguments().filter_map(|a| a.get_long()).collect();
        for setting in settings() {
            let known = setting.flag.strip_prefix("--").is_none_or(|flag| options.contains(&flag));
            assert!(known, "{} {}", setting.key, setting.flag);
        }
    }

    /// The filter's keys, in the configuration and on the command line.
    #[test]
    fn help_names_each_key_of_the_filter() {
        let command = cli::Cli::command();
        let option = command.get_arguments().find(|a| a.get_long() == Some("filter")).unwrap();
        let of_option = option.get_help().unwrap().to_string();
        let of_key = settings().find(|s| s.key == "filter").unwrap().help;
        for term in TERMS.iter().filter(|term| !term.key.is_empty()) {
            for help in [of_key, &of_option] {
                assert!(help.split([' ', ';']).any(|word| word == term.written), "{help}");
            }
        }
    }

    #[test]
    fn a_key_stands_once() {
        let mut keys: Vec<_> = settings().map(|s| s.key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
