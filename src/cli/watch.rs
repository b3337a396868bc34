//! Options that several commands share: what they watch, and what they choose.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValue, TypedValueParser as _};
use clap::{Args, ValueEnum};

use super::values::{filter, interface, netns, path, process, uid};
use crate::model::duration;
use crate::model::file_io::FileTypes;
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;

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
    /// Time calls that read and write files, and report each that takes this time or longer; implies --io and
    /// --latency, and slows calls and opens down further, since a second program runs at their entry
    #[arg(long, value_name = "TIME", value_parser = duration::parse_slow)]
    pub slow: Option<Duration>,
    /// Show names that processes asked for beside the addresses of their connections: from answers of DNS
    /// and the ClientHello of TLS
    #[arg(long)]
    pub names: bool,
    /// Show Unix sockets that listen (stream and seqpacket) among the listeners, too
    #[arg(long)]
    pub unix_listeners: bool,
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
