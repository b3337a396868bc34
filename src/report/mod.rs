//! `ebpftop report`: totals of a time or of a recording, once, as a table.
//!
//! The events come as those of `stream` do, with the same filters, from ready to the end, or from a
//! recording. `sums` adds them up, `row` describes the tables, `table` lays them out for people.

mod conn_row;
mod connections;
mod gather;
mod holders;
mod listener_rows;
mod listeners;
mod recorded;
mod row;
mod sums;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{By, Kind, OutputArgs, ReportArgs, StreamArgs};
use crate::console::say;
use crate::session::Choose;
use crate::settings::Settings;
use crate::stream::{self, Kinds};

use gather::Gather;
pub use gather::documented;

/// Duration of a live report where none is asked for.
const DURATION: Duration = Duration::from_secs(10);

/// Rows where no number is asked for.
const ROWS: usize = 20;

/// Runs a report. The exit status is that of `stream`.
pub fn run(settings: &Settings, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let (watch, choose) = (args.watch.clone(), args.choose.clone());
    let options = StreamArgs { watch, choose, ..StreamArgs::default() };
    let unused = options.unused(|kind| args.by.kinds().contains(&kind));
    let of_a_time = [
        ("--duration", args.duration.is_some() && args.by == By::Holder),
        ("--top", args.top.is_some() && args.by == By::Holder),
    ];
    let of_a_time = of_a_time.into_iter().filter(|(_, given)| *given);
    let unused = unused.into_iter().map(|(option, _)| option);
    for option in unused.chain(of_a_time.map(|(option, _)| option)) {
        say(&format!("{option} has no effect on a report by {}", args.by.name()));
    }
    if args.by == By::Holder {
        return holders::run(args);
    }
    let choose = match Choose::new(settings, &args.choose) {
        Ok(choose) => choose,
        Err(e) => {
            say(&format!("invalid filter: {e}"));
            return Ok(ExitCode::from(2));
        }
    };
    if choose.chooses_changes() {
        say(&format!("`op:` has no effect on a report by {}", args.by.name()));
    }
    if args.by == By::Listener && (args.file.is_some() || args.duration.is_none()) {
        let top = args.top.unwrap_or(ROWS);
        return listeners::run(args, &choose, top, settings.unix_listeners);
    }
    let gather = Gather::new(args.by, args.top.unwrap_or(ROWS), args.format, choose.clone());
    match &args.file {
        Some(file) => recorded::run(file, &choose, gather, args),
        None => {
            let duration = args.duration.unwrap_or(DURATION);
            let wanted = wanted(args.by, settings);
            stream::write(
                settings,
                wanted,
                Box::new(gather),
                choose,
                (args.format, &OutputArgs::default()),
                Some(duration),
            )
        }
    }
}

/// The kinds of events that a table counts; connections and bytes of files where the settings have them.
fn wanted(by: By, settings: &Settings) -> Kinds {
    let counts = |kind: &Kind| match kind {
        Kind::Connections => settings.owners || matches!(by, By::Peer | By::Connection),
        Kind::Io => settings.io.is_some(),
        _ => true,
    };
    by.kinds().iter().copied().filter(counts).collect()
}
