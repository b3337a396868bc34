//! The command line: what may be said, and what a value has to look like.
//!
//! Nothing is done here, and no default is set: [`crate::config`] merges what was said with
//! the file and the defaults.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{
    OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser as _,
};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::duration;
use crate::model::filter::{Filter, Pattern};
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::recording::parse_size;
use crate::settings::THEME_NAMES;

/// Which process opens which files, and who is on the wire: live, exact, from eBPF.
#[derive(Clone, Debug, Parser)]
#[command(name = "ebpftop", version, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub watch: WatchArgs,
    #[command(flatten)]
    pub owners: OwnersArgs,
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// What to do instead of the dashboard.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write what is seen as lines on stdout
    Stream(Box<StreamArgs>),
    /// Write down what the probes see, for `replay`
    Record(Box<RecordArgs>),
    /// Show a recording in the dashboard, without rights, on any machine
    Replay(Box<ReplayArgs>),
    /// Say what this machine, kernel and user can do, with the fix where something is missing
    Doctor {
        /// How to write it
        #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
        format: DoctorFormat,
        #[command(flatten)]
        types: BtfArgs,
    },
    /// Print the commented default configuration
    Config,
    /// Print shell completions
    Completions {
        /// The shell to complete for
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

/// What the dashboard, `stream` and `record` have in common.
#[derive(Clone, Debug, Default, Args)]
pub struct WatchArgs {
    /// Interface to watch; `all` for every one that is up [default: the default route's]
    #[arg(short, long, value_name = "IFACE")]
    #[arg(value_parser = OsStringValueParser::new().try_map(|name: OsString| interface(name.as_bytes())))]
    pub interface: Option<InterfaceName>,
    /// Watch the interfaces of this network namespace: a name of `ip netns`, a process id, or a
    /// path [default: our own]; opens are those of the whole machine all the same
    #[arg(long, value_name = "NAME|PID", value_parser = netns)]
    pub netns: Option<String>,
    /// Only opens by processes whose name matches: a substring, or ~REGEX; ! in front negates
    #[arg(short, long, value_name = "PATTERN", value_parser = process)]
    pub process: Option<String>,
    /// Only what matches: names and pid: uid: path: err: cgroup: ip: terms, ! in front negates
    #[arg(short, long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<String>,
    /// Time between refreshes, 100ms to 60s [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_interval)]
    pub interval: Option<Duration>,
    /// How arriving packets are counted [default: auto]
    #[arg(long, value_name = "MODE", value_enum)]
    pub xdp_mode: Option<XdpMode>,
    /// Time each open (a second program: it costs)
    #[arg(long)]
    pub latency: bool,
    #[command(flatten)]
    pub types: BtfArgs,
    /// Keep to what is watched at first, and give up all rights but those that reading counts takes
    #[arg(long)]
    pub lock: bool,
}

/// What the dashboard and `record` have in common.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OwnersArgs {
    /// Do without the processes behind connections: nothing is attached for them
    #[arg(long)]
    pub no_owners: bool,
}

/// What everything that loads programs takes.
#[derive(Clone, Debug, Default, Args)]
pub struct BtfArgs {
    /// Take the kernel's types from this BTF file, where the kernel has none at
    /// /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

/// What only the dashboard takes.
#[derive(Clone, Debug, Default, Args)]
pub struct ScreenArgs {
    /// Configuration file [default: $XDG_CONFIG_HOME/ebpftop/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Colours of the dashboard
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(THEME_NAMES))]
    pub theme: Option<String>,
    /// Tell country and network of addresses from this MMDB file; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub mmdb: Vec<PathBuf>,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Plain ASCII: no braille and no line drawing
    #[arg(long)]
    pub ascii: bool,
    /// Write a log here
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// `stream`.
#[derive(Clone, Debug, Default, Args)]
pub struct StreamArgs {
    /// What to write; opens and talkers when nothing is named
    #[arg(value_enum)]
    pub kinds: Vec<Kind>,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// How to write it; csv takes one kind
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// End after this time, counted from `ready` [default: until SIGINT or SIGTERM]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    /// Only opens that failed
    #[arg(long)]
    pub failed: bool,
    /// Only opens by this process
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Only opens by this user, a number or a name
    #[arg(long, value_name = "UID", value_parser = uid)]
    pub uid: Option<u32>,
    /// Only opens whose path, as passed or resolved, matches
    #[arg(long, value_name = "PATTERN", value_parser = path)]
    pub path: Option<String>,
    /// Only the N largest talkers, the rest in `other` [default: all]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<usize>,
}

/// `record`.
#[derive(Clone, Debug, Args)]
pub struct RecordArgs {
    /// Where to; nothing that is there already is written over
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub watch: WatchArgs,
    #[command(flatten)]
    pub owners: OwnersArgs,
    /// End after this time [default: until SIGINT or SIGTERM]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    /// End before the file is larger: bytes, or with K, M or G [default: no bound]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
}

/// `replay`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReplayArgs {
    /// What `record` or `R` wrote [default: the built-in demo]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only opens by processes whose name matches: a substring, or ~REGEX; ! in front negates
    #[arg(short, long, value_name = "PATTERN", value_parser = process)]
    pub process: Option<String>,
    /// Only what matches: names and pid: uid: path: err: cgroup: ip: terms, ! in front negates
    #[arg(short, long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<String>,
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// What `stream` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A line for each return from an open
    Opens,
    /// A table for each interval, direction and interface
    Talkers,
    /// A line for each connection that begins and that ends, with the process behind it, and a table
    /// of processes for each interval
    Connections,
}

/// How `stream` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One object a line
    Json,
    /// A header line and rows
    Csv,
}

/// How `doctor` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// An array of objects
    Json,
}

impl ValueEnum for XdpMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[XdpMode::Auto, XdpMode::Native, XdpMode::Generic, XdpMode::Off]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            XdpMode::Auto => PossibleValue::new("auto").help("the best that disturbs nothing"),
            XdpMode::Native => PossibleValue::new("native").help("in the driver"),
            XdpMode::Generic => PossibleValue::new("generic").help("in the core"),
            XdpMode::Off => PossibleValue::new("off").help("no XDP: TCX, else a packet socket"),
        })
    }
}

/// The words that clap's derive would not check: each is parsed where it is used, too.
pub(crate) fn interface(name: &[u8]) -> Result<InterfaceName, String> {
    // The kernel takes no slash, no colon and no white space in a name (dev_valid_name). An alternative
    // name has 127 bytes at most (ALTIFNAMSIZ), here each perhaps as an escape.
    const LONGEST: usize = 127 * "\\x1b".len();
    let excluded = |byte: &u8| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() > LONGEST || name.iter().any(excluded) {
        return Err("no interface can have this name".into());
    }
    Ok(InterfaceName::from(name))
}

fn uid(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("there is no such user".into()),
        Err(e) => Err(format!("the user cannot be looked up: {e}")),
    }
}

fn top(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("none would be left; `stream opens` writes no talkers".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("a number is wanted".into()),
    }
}

impl StreamArgs {
    /// Whether this kind is written.
    pub fn writes(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind) || (self.kinds.is_empty() && kind != Kind::Connections)
    }

    /// Options that were given and do nothing for the kinds that are written.
    pub fn idle(&self) -> Vec<&'static str> {
        let watch = &self.watch;
        let of_opens = [
            ("--process", watch.process.is_some()),
            ("--latency", watch.latency),
            ("--failed", self.failed),
            ("--pid", self.pid.is_some()),
            ("--uid", self.uid.is_some()),
            ("--path", self.path.is_some()),
        ];
        let of_talkers = [
            ("--interface", watch.interface.is_some()),
            ("--netns", watch.netns.is_some()),
            ("--interval", watch.interval.is_some()),
            ("--xdp-mode", watch.xdp_mode.is_some()),
            ("--top", self.top.is_some()),
        ];
        let idle = |kind, options: &[(&'static str, bool)]| {
            let given = options.iter().filter(|(_, given)| *given && !self.writes(kind));
            given.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        [idle(Kind::Opens, &of_opens), idle(Kind::Talkers, &of_talkers)].concat()
    }
}

fn netns(text: &str) -> Result<String, String> {
    if text.is_empty() || matches!(text, "." | "..") {
        return Err("no network namespace has this name".into());
    }
    Ok(text.to_owned())
}

pub(crate) fn process(text: &str) -> Result<String, String> {
    Pattern::parse_name(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}

pub(crate) fn path(text: &str) -> Result<String, String> {
    Pattern::parse(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}

pub(crate) fn filter(text: &str) -> Result<String, String> {
    Filter::parse(text).map(|_| text.to_owned()).map_err(|e| e.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_taken_and_what_is_not() {
        for (line, taken) in [
            ("", true),
            ("-i eth0 -p ~ng --interval 100ms --latency --xdp-mode off --ascii", true),
            ("--netns blue -i va", true),
            ("stream --netns 812", true),
            ("stream --netns ..", false),
            ("stream", true),
            ("stream opens talkers --format json --duration 5s --failed --pid 1 --top 3", true),
            ("stream -f !x --path /etc --uid 0", true),
            ("doctor --format json", true),
            ("completions bash", true),
            ("man", true),
            ("config", true),
            ("record a.rec -i all --duration 5s --max-size 10M", true),
            ("--no-owners", true),
            ("record a.rec --no-owners", true),
            ("stream --no-owners", false),
            ("replay", true),
            ("replay a.rec -f nginx --ascii", true),
            ("record", false),
            ("record a.rec --max-size 1", false),
            ("replay -i lo", false),
            ("stream files", false),
            ("stream --interval 99ms", false),
            ("stream --interval 61s", false),
            ("stream --duration 5", false),
            ("stream --theme x", false),
            ("stream -f path:", false),
            ("stream -p ~(", false),
            ("stream --pid x", false),
            ("stream --uid root", true),
            ("stream --uid nobody-of-that-name", false),
            ("stream --uid -1", false),
            ("stream --top 0", false),
            ("stream --top x", false),
            ("--failed", false),
            ("--xdp-mode fast", false),
            ("-i eth0 stream", false),
            ("-i a/b", false),
            ("doctor --format csv", false),
            ("nothing", false),
        ] {
            let words = std::iter::once("ebpftop").chain(line.split_whitespace());
            assert_eq!(Cli::try_parse_from(words).is_ok(), taken, "{line}");
        }
    }

    #[test]
    fn options_that_do_nothing_are_known() {
        for (line, idle) in [
            ("stream --failed --top 3", &[][..]),
            ("stream talkers -i eth0 --top 3", &[]),
            ("stream talkers --failed -p x --uid 0", &["--process", "--failed", "--uid"]),
            ("stream opens -i eth0 --pid 1 --top 1", &["--interface", "--top"]),
        ] {
            let words = std::iter::once("ebpftop").chain(line.split_whitespace());
            let Some(Command::Stream(args)) = Cli::parse_from(words).command else { panic!() };
            assert_eq!(args.idle(), idle, "{line}");
        }
    }
}
