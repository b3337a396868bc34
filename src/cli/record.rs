//! The command line of `record`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::keep;
use super::{ChangesArgs, OwnersArgs, WatchArgs};
use crate::model::duration;
use crate::model::rotation::{Rotation, parse_rotation};
use crate::model::size::parse_size;

/// Options of `record`.
#[derive(Clone, Debug, Args)]
pub struct RecordArgs {
    /// File to write; an existing file is not overwritten; `-` is stdout, for `replay -`; with --rotate, the
    /// directory of the files
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub watch: WatchArgs,
    #[command(flatten)]
    pub owners: OwnersArgs,
    #[command(flatten)]
    pub changes: ChangesArgs,
    /// End after this time [default: until SIGINT or SIGTERM]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    /// End before the file exceeds this size: bytes, or with K, M or G [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,
    /// Write files into the directory FILE, each a recording of its own: ebpftop-20261130T134500Z-0000.rec, in
    /// UTC; begin the next one at this size, with K, M or G, or after this time
    #[arg(long, value_name = "SIZE|TIME", conflicts_with = "max_size", value_parser = parse_rotation)]
    pub rotate: Option<Rotation>,
    /// Remove the oldest recordings of the directory beyond N, those of earlier runs included [default: keep all]
    #[arg(long, value_name = "N", requires = "rotate", value_parser = keep)]
    pub keep: Option<usize>,
}
