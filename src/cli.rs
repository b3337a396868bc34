//! The command line: commands, options, and the form of their values.
//!
//! Nothing is done here, and no default is set: [`crate::config`] merges the command line with the
//! configuration file and the defaults.

mod export;
mod record;
mod report;
mod screen;
mod stream;
mod values;
mod watch;

use clap::{Parser, Subcommand, ValueEnum};

pub use export::{DEFAULT_LISTEN, ExportArgs};
pub use record::RecordArgs;
pub use report::{By, ReportArgs};
pub use screen::{ReplayArgs, ScreenArgs};
pub use stream::{CHOOSING, Kind, OnSlow, OutputArgs, StreamArgs};
pub(crate) use values::{filter, interface, process};
pub use watch::{BtfArgs, ChangesArgs, ChooseArgs, OwnArgs, OwnersArgs, WatchArgs};

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

#[cfg(test)]
mod tests;
