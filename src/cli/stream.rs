//! The command line of `stream`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{keep, top};
use super::{ChooseArgs, Format, WatchArgs};
use crate::model::duration;
use crate::model::rotation::{Rotation, parse_rotation};

/// Options of `stream`.
#[derive(Clone, Debug, Default, Args)]
pub struct StreamArgs {
    /// Kinds of lines [default: opens talkers]
    #[arg(value_enum)]
    pub kinds: Vec<Kind>,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Output format; csv takes one kind
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// End after this time, counted from `ready` [default: until SIGINT or SIGTERM]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    #[command(flatten)]
    pub choose: ChooseArgs,
    /// Only the N largest talkers, the rest in `other` [default: all]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<usize>,
    /// Add this field to each line of JSON, or this column to CSV; may be repeated
    #[arg(long = "field", value_name = "KEY=VALUE", value_parser = field)]
    pub fields: Vec<(String, String)>,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options of `stream` for the way of its lines out.
#[derive(Clone, Debug, Default, Args)]
pub struct OutputArgs {
    /// Write into files of this directory instead of stdout: ebpftop-20261130T134500Z-0000.jsonl, in UTC
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Begin the next file at this size, with K, M or G, or after this time [default: one file]
    #[arg(long, value_name = "SIZE|TIME", requires = "output", value_parser = parse_rotation)]
    pub rotate: Option<Rotation>,
    /// Remove the oldest files of the directory beyond N, those of earlier runs included [default: keep all]
    #[arg(long, value_name = "N", requires = "output", value_parser = keep)]
    pub keep: Option<usize>,
    /// When the disk or the reader is slow: wait, and let the kernel count what finds no room, or drop lines
    /// and count them
    #[arg(long, value_enum, default_value_t = OnSlow::Block)]
    pub on_slow: OnSlow,
}

/// The behaviour of `stream` while its output is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnSlow {
    /// Wait; events that find no room in the ring buffers are `lost`
    #[default]
    Block,
    /// Drop lines when 8 MiB wait, and count them
    Drop,
}

/// A kind of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A line for each return from an open
    Opens,
    /// A table for each interval, direction and interface
    Talkers,
    /// A line for each connection that begins or ends, with its process, and a table of processes for
    /// each interval
    Connections,
    /// A line for each change of a file: create, unlink, rename, link, mkdir, truncate, chmod, chown and the
    /// like, with the error of one that failed
    Files,
    /// A line for each program that a process starts (exec), with its arguments, and for each process that
    /// ends, with its status
    Processes,
    /// A line for each process and file that it read or wrote in an interval, with bytes and calls; --io adds
    /// them to other kinds
    Io,
    /// A line for each call that read or wrote a file and took 10ms, or the time of --slow, or longer; --slow
    /// adds them to other kinds
    Slow,
    /// A line for each TCP listener and bound UDP socket that is there at the start, and for each that begins,
    /// changes or ends between two readings
    Listeners,
}

const PROCESSES: &[Kind] = &[
    Kind::Opens,
    Kind::Connections,
    Kind::Files,
    Kind::Processes,
    Kind::Io,
    Kind::Slow,
    Kind::Listeners,
];

/// The options that choose lines, each with the kinds whose lines it chooses; it leaves other kinds alone.
pub const CHOOSING: [(&str, &[Kind]); 5] = [
    ("--pid", PROCESSES),
    ("--uid", PROCESSES),
    ("--process", PROCESSES),
    ("--failed", &[Kind::Opens, Kind::Files, Kind::Slow]),
    ("--path", &[Kind::Opens, Kind::Files, Kind::Io, Kind::Slow]),
];

impl StreamArgs {
    /// Whether this kind is selected.
    pub fn writes(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
            || (kind == Kind::Io && self.watch.io.is_some())
            || (kind == Kind::Slow && self.watch.slow.is_some())
            || (self.kinds.is_empty() && matches!(kind, Kind::Opens | Kind::Talkers))
    }

    /// Options given that have no effect on the selected kinds, each with the kinds that it is for.
    pub fn without_effect(&self) -> Vec<(&'static str, &'static [Kind])> {
        self.unused(|kind| self.writes(kind))
    }

    /// Options given that have no effect on what `selects` accepts, each with the kinds that it is for.
    pub fn unused(&self, selects: impl Fn(Kind) -> bool) -> Vec<(&'static str, &'static [Kind])> {
        const OPENS: &[Kind] = &[Kind::Opens];
        const TALKERS: &[Kind] = &[Kind::Talkers];
        const INTERVALS: &[Kind] = &[Kind::Talkers, Kind::Connections, Kind::Io, Kind::Listeners];
        let watch = &self.watch;
        let options = [
            ("--latency", OPENS, watch.latency),
            ("--io", &[Kind::Io], watch.io.is_some()),
            ("--slow", &[Kind::Opens, Kind::Io, Kind::Slow], watch.slow.is_some()),
            ("--names", &[Kind::Connections], watch.names),
            ("--unix-listeners", &[Kind::Listeners], watch.unix_listeners),
            ("--interval", INTERVALS, watch.interval.is_some()),
            ("--interface", TALKERS, watch.interface.is_some()),
            ("--netns", TALKERS, watch.netns.is_some()),
            ("--xdp-mode", TALKERS, watch.xdp_mode.is_some()),
            ("--top", TALKERS, self.top.is_some()),
        ];
        let choosing = CHOOSING.into_iter().map(|(name, kinds)| (name, kinds, self.has(name)));
        let selected = |kinds: &[Kind]| kinds.iter().any(|kind| selects(*kind));
        let given = choosing.chain(options).filter(|(_, kinds, given)| *given && !selected(kinds));
        given.map(|(name, kinds, _)| (name, kinds)).collect()
    }

    /// Whether an option of [`CHOOSING`] is given.
    fn has(&self, option: &str) -> bool {
        let choose = &self.choose;
        match option {
            "--pid" => choose.pid.is_some(),
            "--uid" => choose.uid.is_some(),
            "--process" => self.watch.process.is_some(),
            "--failed" => choose.failed,
            "--path" => choose.path.is_some(),
            _ => false,
        }
    }
}

impl Kind {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Opens => "opens",
            Kind::Talkers => "talkers",
            Kind::Connections => "connections",
            Kind::Files => "files",
            Kind::Processes => "processes",
            Kind::Io => "io",
            Kind::Slow => "slow",
            Kind::Listeners => "listeners",
        }
    }
}

/// A name that is a word in every language that reads the lines, and any value.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("use KEY=VALUE, as in env=prod")?;
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !first || !rest || name.len() > 64 {
        return Err("the key is a letter and up to 63 letters, digits and underscores".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn options_without_effect_are_known() {
        for (line, none) in [
            ("stream --failed --top 3", &[][..]),
            ("stream talkers -i eth0 --top 3", &[]),
            ("stream talkers --failed -p x --uid 0", &["--uid", "--process", "--failed"]),
            ("stream connections -p x --pid 1 --uid 0 --interval 2s", &[]),
            (
                "stream connections --latency --path /etc --netns blue",
                &["--path", "--latency", "--netns"],
            ),
            ("stream opens -i eth0 --pid 1 --top 1", &["--interface", "--top"]),
            ("stream opens --slow 20ms", &[]),
            ("stream io --failed --path x", &["--failed"]),
        ] {
            let words = std::iter::once("ebpftop").chain(line.split_whitespace());
            let Some(Command::Stream(args)) = Cli::parse_from(words).command else { panic!() };
            let options: Vec<_> = args.without_effect().into_iter().map(|o| o.0).collect();
            assert_eq!(options, none, "{line}");
        }
    }
}
