//! The command line of `replay`, and the options of the screen that it shares with the dashboard.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::values::{filter, process};
use crate::settings::saved_view::THEME_NAMES;

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
