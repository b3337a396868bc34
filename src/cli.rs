//! The command line: commands, options, and the form of their values.
//!
//! Nothing is done here, and no default is set: [`crate::config`] merges the command line with the
//! configuration file and the defaults.

mod export;
mod record;
mod report;
mod stream;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{
    OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser as _,
};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::duration;
use crate::model::file_io::FileTypes;
use crate::model::filter::{Filter, Pattern};
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::settings::saved_view::THEME_NAMES;

pub use export::{DEFAULT_LISTEN, ExportArgs};
pub use record::RecordArgs;
pub use report::{By, ReportArgs};
pub use stream::{Kind, OnSlow, OutputArgs, StreamArgs};

/// Shows live, from eBPF, which process opens which files, and who is on the wire.
#[derive(Clone, Debug, Parser)]
#[command(name = "ebpftop", version, args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[cfg(feature = "bpf")]
    #[command(flatten)]
    pub watch: WatchArgs,
    #[cfg(feature = "bpf")]
    #[command(flatten)]
    pub owners: OwnersArgs,
    #[cfg(feature = "bpf")]
    #[command(flatten)]
    pub own: OwnArgs,
    #[command(flatten)]
    pub changes: ChangesArgs,
    #[cfg(feature = "bpf")]
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// The commands beside the dashboard.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print events as lines on stdout: text, JSON or CSV
    #[cfg(feature = "bpf")]
    Stream(Box<StreamArgs>),
    /// Write what the probes see to a file, for `replay`
    #[cfg(feature = "bpf")]
    Record(Box<RecordArgs>),
    /// Show a recording in the dashboard: without privileges, on any machine
    Replay(Box<ReplayArgs>),
    /// Print totals once, of some seconds or of a recording: by program, unit, file, talker, ...
    #[cfg(feature = "bpf")]
    Report(Box<ReportArgs>),
    /// Serve metrics for Prometheus over HTTP, write them to a file for node_exporter, or send them by
    /// OTLP
    #[cfg(feature = "bpf")]
    Export(Box<ExportArgs>),
    /// Check what this machine, kernel and user can do, with the fix for what is missing
    #[cfg(feature = "bpf")]
    Doctor {
        /// Output format
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

/// Options of the dashboard, `stream` and `record`.
#[derive(Clone, Debug, Default, Args)]
pub struct WatchArgs {
    /// Interface to watch; `all` for every one that is up [default: the default route's]
    #[arg(short, long, value_name = "IFACE")]
    #[arg(value_parser = OsStringValueParser::new().try_map(|name: OsString| interface(name.as_bytes())))]
    pub interface: Option<InterfaceName>,
    /// Watch the interfaces of this network namespace: a name of `ip netns`, a process ID, or a
    /// path [default: the current one]; opens are those of the whole machine in any case
    #[arg(long, value_name = "NAME|PID", value_parser = netns)]
    pub netns: Option<String>,
    /// Only opens by processes whose name matches: a substring, or ~REGEX; ! in front negates
    #[arg(short, long, value_name = "PATTERN", value_parser = process)]
    pub process: Option<String>,
    /// Only what matches all terms: names and pid: uid: parent: path: err: op: cgroup: unit: container: pod: ip: peer: port: name: state: rtt: retrans:; ! negates
    #[arg(short, long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<String>,
    /// Time between refreshes, 100ms to 60s [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse_interval)]
    pub interval: Option<Duration>,
    /// Hook that counts received packets [default: auto]
    #[arg(long, value_name = "MODE", value_enum)]
    pub xdp_mode: Option<XdpMode>,
    /// Time each open, and report those that do not return; slows opens down, since a second program runs at their entry
    #[arg(long)]
    pub latency: bool,
    /// Count bytes and calls read and written by process and file: of regular files, or with `=all` of
    /// pipes, sockets, terminals and devices too; slows each call down
    #[arg(long, value_name = "FILES", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "regular")]
    pub io: Option<FileTypes>,
    /// Time calls that read and write files, and report each that takes this time or longer; implies --io,
    /// and slows calls down further, since a second program runs at their entry
    #[arg(long, value_name = "TIME", value_parser = duration::parse_slow)]
    pub slow: Option<Duration>,
    /// Show names that processes asked for beside the addresses of their connections: from answers of DNS
    /// and the ClientHello of TLS
    #[arg(long)]
    pub names: bool,
    #[command(flatten)]
    pub types: BtfArgs,
    /// Drop all privileges not needed for reading counters; interface and mode cannot change
    /// afterwards
    #[arg(long)]
    pub lock: bool,
}

/// Options of the dashboard and `record`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OwnersArgs {
    /// Do not attribute connections to processes; attaches no programs for them. `record` leaves out listeners,
    /// too, which it reads every 10s otherwise, with the descriptors of all processes
    #[arg(long)]
    pub no_owners: bool,
}

/// Options of the dashboard, `record` and `export` about changes of files.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ChangesArgs {
    /// Report changes of files (create, rename, unlink and the like), for the view of changes, timelines
    /// and metrics; starting and ending take a second longer
    #[arg(long)]
    pub files: bool,
}

/// Options of the dashboard alone.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OwnArgs {
    /// Show the opens of ebpftop itself, too; else the header has their number
    #[arg(long)]
    pub own_opens: bool,
}

/// Options of every command that loads BPF programs.
#[derive(Clone, Debug, Default, Args)]
pub struct BtfArgs {
    /// Read the kernel's types from this BTF file, for a kernel without /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

/// Options of the dashboard and `replay`.
#[derive(Clone, Debug, Default, Args)]
pub struct ScreenArgs {
    /// Configuration file [default: $XDG_CONFIG_HOME/ebpftop/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Colour theme
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(THEME_NAMES))]
    pub theme: Option<String>,
    /// Show country and network of addresses from this MMDB file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub mmdb: Vec<PathBuf>,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Plain ASCII: no braille, no line drawing
    #[arg(long)]
    pub ascii: bool,
    /// Write a log to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// Options of `stream` and `report` that choose opens and processes.
#[derive(Clone, Debug, Default, Args)]
pub struct ChooseArgs {
    /// Only opens that failed
    #[arg(long)]
    pub failed: bool,
    /// Only this process
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Only this user, a number or a name
    #[arg(long, value_name = "UID", value_parser = uid)]
    pub uid: Option<u32>,
    /// Only opens whose path, as passed or resolved, matches
    #[arg(long, value_name = "PATTERN", value_parser = path)]
    pub path: Option<String>,
}

/// Options of `replay`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReplayArgs {
    /// Recording made by `record` or the key R; `-` reads a live one from stdin [default: the built-in demo]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only opens by processes whose name matches: a substring, or ~REGEX; ! in front negates
    #[arg(short, long, value_name = "PATTERN", value_parser = process)]
    pub process: Option<String>,
    /// Only what matches all terms: names and pid: uid: parent: path: err: op: cgroup: unit: container: pod: ip: peer: port: state: rtt: retrans:; ! negates
    #[arg(short, long, value_name = "EXPR", value_parser = filter)]
    pub filter: Option<String>,
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// The output format of `stream`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; may change between versions
    #[default]
    Text,
    /// One object per line
    Json,
    /// A header line and rows
    Csv,
}

/// The output format of `doctor`.
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
            XdpMode::Auto => PossibleValue::new("auto")
                .help("the best one that neither resets the link nor slows it down"),
            XdpMode::Native => PossibleValue::new("native").help("XDP in the driver"),
            XdpMode::Generic => PossibleValue::new("generic").help("XDP in the network core"),
            XdpMode::Off => PossibleValue::new("off").help("no XDP: TCX, else a packet socket"),
        })
    }
}

impl ValueEnum for FileTypes {
    fn value_variants<'a>() -> &'a [Self] {
        &[FileTypes::Regular, FileTypes::All]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            FileTypes::Regular => PossibleValue::new("regular").help("regular files"),
            FileTypes::All => {
                PossibleValue::new("all").help("pipes, sockets, terminals and devices as well")
            }
        })
    }
}

/// The name of an interface, as far as the kernel could have it.
pub(crate) fn interface(name: &[u8]) -> Result<InterfaceName, String> {
    // The kernel takes no slash, no colon and no white space in a name (dev_valid_name). An alternative
    // name has 127 bytes at most (ALTIFNAMSIZ), here each perhaps as an escape.
    const LONGEST: usize = 127 * "\\x1b".len();
    let excluded = |byte: &u8| matches!(byte, b'/' | b':') || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() > LONGEST || name.iter().any(excluded) {
        return Err("not a valid interface name".into());
    }
    Ok(InterfaceName::from(name))
}

fn uid(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match nix::unistd::User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("no such user".into()),
        Err(e) => Err(format!("cannot look up the user: {e}")),
    }
}

/// How many files stay.
fn keep(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 leaves no file".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number".into()),
    }
}

fn top(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("0 leaves no rows".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("not a number".into()),
    }
}

fn netns(text: &str) -> Result<String, String> {
    if text.is_empty() || matches!(text, "." | "..") {
        return Err("not a valid name of a network namespace".into());
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
    fn command_lines_are_accepted_or_refused() {
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
            ("--io", true),
            ("--io=all", true),
            ("--io=pipes", false),
            ("--slow 10ms", true),
            ("--slow 0ms", false),
            ("stream slow --slow 1s --io=all", true),
            ("stream --io opens", true),
            ("stream io --format csv", true),
            ("report --io --by file", true),
            ("export --io=regular", true),
            ("--own-opens", true),
            ("--files", true),
            ("record a.rec --files", true),
            ("stream --files", false),
            ("stream --own-opens", false),
            ("record a.rec --no-owners", true),
            ("stream --no-owners", false),
            ("replay", true),
            ("replay a.rec -f nginx --ascii", true),
            ("report", true),
            ("report a.rec --by unit --top 5 --format csv -f nginx", true),
            ("report --by talker -i all --duration 2s", true),
            ("report --by colour", false),
            ("report --by holder /etc/passwd", true),
            ("report --by holder", false),
            ("report --top 0", false),
            ("export", true),
            (
                "export -i all --listen 0.0.0.0:9 --max-groups 5000 --watched /etc/shadow --no-lock",
                true,
            ),
            ("export --from a.rec --at-once --textfile /x/a.prom --interval 15s", true),
            ("export --web.config.file web.yml", true),
            ("export --otlp", true),
            ("export --otlp http://localhost:4318 --listen 127.0.0.1:0", true),
            ("export --otlp --otlp-events -f path:/etc/", true),
            ("export --otlp-events", false),
            ("export --otlp -f path:/etc/", false),
            ("export --otlp --otlp-events -f path:", false),
            ("export --otlp a b", false),
            ("export --at-once", false),
            ("export --from a.rec -i lo", false),
            ("export --listen 9100", false),
            ("export --max-groups 0", false),
            ("export --max-groups 5001", false),
            ("export --watched shadow", false),
            ("export --textfile a.txt", false),
            ("export -f nginx", false),
            ("record", false),
            ("record - --duration 5s", true),
            ("replay -", true),
            ("record a.rec --max-size 1", false),
            ("replay -i lo", false),
            ("stream --interval 99ms", false),
            ("stream --interval 61s", false),
            ("stream --duration 5", false),
            ("stream --theme x", false),
            ("stream -f path:", false),
            ("stream -p ~(", false),
            ("stream --pid x", false),
            ("stream --uid root", true),
            ("stream --uid no-such-user", false),
            ("stream --uid -1", false),
            ("stream files --filter op:rename", true),
            ("stream files --filter op:move", false),
            ("stream --top 0", false),
            ("stream --top x", false),
            ("stream --field env=prod --field team=a=b --field empty=", true),
            ("stream --field env", false),
            ("stream --output /tmp --rotate 100M --keep 10 --on-slow drop", true),
            ("stream --output /tmp --rotate 1h", true),
            ("stream --rotate 1h", false),
            ("stream --output /tmp --rotate 1", false),
            ("stream --output /tmp --keep 0", false),
            ("stream --field =x", false),
            ("stream --field 1a=x", false),
            ("stream --field a-b=x", false),
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
}
