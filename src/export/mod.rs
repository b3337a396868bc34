//! `ebpftop export`: metrics for Prometheus and OpenTelemetry, without a screen.
//!
//! `counts` adds the events of the probes, or of a recording, up into counters by group; each interval
//! they become a snapshot, which `serve` answers scrapes from, `textfile` writes and `otlp` sends. A
//! scrape reads nothing of the kernel and stops no probe.

mod counts;
mod families;
mod group_counts;
mod groups;
mod http;
mod live;
mod otlp;
mod output;
mod publish;
mod recorded;
mod series;
mod serve;
mod systemd;
mod text;
mod textfile;
mod web;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::ExportArgs;
use crate::console::say;
use crate::machine;
use crate::session::{Stop, new_loop};
use crate::settings::Settings;

pub use counts::{Counts, Usage};
pub use families::FAMILIES;
pub use groups::{PlaceLabels, Places};
use otlp::Host;
pub use otlp::proto;
use output::Output;
pub use series::Seen;
pub use text::{Family, Format, Kind, Sample, Samples, Value};

/// Runs until asked to end. The exit status is that of `stream`.
pub fn run(settings: &Settings, args: &ExportArgs, watched: &[String]) -> anyhow::Result<ExitCode> {
    let counts = match Counts::new(args.max_groups, watched) {
        Ok(counts) => counts,
        Err(e) => {
            say(&format!("invalid pattern of a watched path: {e}"));
            return Ok(ExitCode::from(2));
        }
    };
    let stop = Stop::on_signals().context("listen to signals")?;
    let runtime = new_loop()?;
    let host = match &args.from {
        Some(file) => recorded::host(file)?,
        None => Host { name: machine::name(), id: machine::id() },
    };
    let output = match Output::start(settings, args, counts, &host) {
        Err(e) if e.is::<otlp::Usage>() => {
            say(&e.to_string());
            return Ok(ExitCode::from(2));
        }
        output => output?,
    };
    runtime.block_on(async {
        match &args.from {
            Some(file) => recorded::run(file, args.at_once, output, settings, &stop).await,
            None => live::run(output, settings, &stop).await,
        }
    })
}
