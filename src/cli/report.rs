//! The command line of `report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::top;
use super::{ChooseArgs, Format, Kind, WatchArgs};
use crate::model::duration;

/// Options of `report`.
#[derive(Clone, Debug, Default, Args)]
pub struct ReportArgs {
    /// Recording to report on [default: what happens now]; by holder, the file whose holders are listed
    #[arg(value_name = "FILE", required_if_eq("by", "holder"))]
    pub file: Option<PathBuf>,
    /// Subject of a row
    #[arg(long, value_enum, default_value_t = By::Program)]
    pub by: By,
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Count for this time, from `ready` or from the recording's start [default: 10s, by listener no time, a whole recording]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    /// The N largest rows, the rest in `other` [default: 20]
    #[arg(long, value_name = "N", value_parser = top)]
    pub top: Option<usize>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(flatten)]
    pub choose: ChooseArgs,
}

/// The subject of a row of `report`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The processes of one name in one service or container
    #[default]
    Program,
    /// A service (systemd unit) or a container
    Unit,
    /// A process
    Process,
    /// A path, in whichever container
    File,
    /// A directory
    Directory,
    /// A file that a program could not open, and the error
    Failure,
    /// An address on an interface
    Talker,
    /// A program and a remote address of its connections
    Peer,
    /// A connection that was open at the end, or that ended in the time
    Connection,
    /// A process that holds FILE now: a descriptor, working directory, root, executable or mapping
    Holder,
    /// A TCP listener or bound UDP socket, at this moment; with --duration at its end, of a recording at its last reading
    Listener,
}

impl By {
    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            By::Program => "program",
            By::Unit => "unit",
            By::Process => "process",
            By::File => "file",
            By::Directory => "directory",
            By::Failure => "failure",
            By::Talker => "talker",
            By::Peer => "peer",
            By::Connection => "connection",
            By::Holder => "holder",
            By::Listener => "listener",
        }
    }

    /// The kinds of events that it counts.
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            By::Program | By::Unit | By::Process => &[Kind::Opens, Kind::Connections, Kind::Io],
            By::File | By::Directory => &[Kind::Opens, Kind::Io],
            By::Failure => &[Kind::Opens],
            By::Talker => &[Kind::Talkers],
            By::Peer | By::Connection => &[Kind::Connections],
            By::Holder => &[],
            By::Listener => &[Kind::Listeners],
        }
    }
}
