//! `report --by listener`: listeners with their processes now, at the end of a time, or at the last reading of a
//! recording.

use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::gather::{csv_header, write_rows};
use super::listener_rows::{chosen, first};
use crate::cli::{By, Format, ReportArgs};
use crate::console::say;
use crate::files;
use crate::model::connections::Connections;
use crate::model::escape::escape;
use crate::model::event::{ProbeEvent, ProbeInfo};
use crate::model::listener::{KnownListeners, Listeners};
use crate::model::time::{Mono, Stamp};
use crate::privileges;
use crate::probes::listeners::ListenerReader;
use crate::recording::{Item, Reader, Seen};
use crate::session::Choose;
use crate::stream::print;

/// Runs the report of a moment. The exit status is 1 where a part is missing.
pub(super) fn run(
    args: &ReportArgs,
    choose: &Choose,
    top: usize,
    with_unix: bool,
) -> anyhow::Result<ExitCode> {
    let (found, mut is_whole) = match &args.file {
        Some(file) => recorded(file, args.duration)?,
        None => {
            let reader = ListenerReader::load(with_unix);
            reader.missing().iter().for_each(|missing| say(&missing.to_string()));
            (reader.read(), reader.missing().is_empty())
        }
    };
    if let Some(why) = found.doubt() {
        say(&why);
        is_whole = false;
    }
    let at = Stamp { mono: found.at, wall: found.wall };
    let rows = found.rows.into_iter().filter_map(|listener| chosen(choose, listener)).collect();
    let (rows, heading) = first(rows, top);
    let mut out = Vec::new();
    match args.format {
        Format::Text => out.extend_from_slice((heading + "\n").as_bytes()),
        Format::Csv => csv_header(By::Listener, &mut out),
        Format::Json => {}
    }
    if args.format != Format::Text || !rows.is_empty() {
        write_rows(By::Listener, &rows, args.format, at, &mut out);
    }
    print(out, args.format)?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last reading of a recording, or of its first part that took so long, and whether the recording is whole.
fn recorded(file: &Path, duration: Option<Duration>) -> anyhow::Result<(Listeners, bool)> {
    let name = escape(file.as_os_str().as_encoded_bytes()).into_owned();
    let source = files::open(file).map_err(|e| anyhow::anyhow!("report {name}: {e}"))?;
    let mut reader =
        Reader::new(BufReader::new(source)).map_err(|e| anyhow::anyhow!("report {name}: {e}"))?;
    // Nothing else is opened.
    privileges::keep(&[], false);
    let start = reader.head().started.mono;
    let end = duration
        .map(|d| Mono(start.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))));
    let (mut last, mut connections) = (None, None::<Connections>);
    let (mut known, mut missed) = (KnownListeners::default(), Vec::new());
    let is_whole = loop {
        match reader.read() {
            Ok(Item::Seen(at, _)) if end.is_some_and(|end| at > end) => break true,
            Ok(Item::Seen(_, Seen::Probe(ProbeEvent::Listeners(mut found)))) => {
                missed = known.missed_by(&found);
                known.follow(&mut found, |_, _| {});
                last = Some(*found);
            }
            Ok(Item::Seen(at, Seen::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))))) => {
                connections.get_or_insert_default().start(at, info.attribution);
            }
            Ok(Item::Seen(_, Seen::Probe(ProbeEvent::Connections(batch)))) => {
                if let Some(connections) = &mut connections {
                    connections.apply(&batch);
                }
            }
            Ok(Item::Seen(..) | Item::Block(_)) => {}
            Ok(Item::End(_)) => break true,
            Err(e) => {
                say(&format!("{name}: {e}"));
                break false;
            }
        }
    };
    let mut found = last.ok_or_else(|| anyhow::anyhow!("report {name}: it has no listeners"))?;
    let Some(connections) = connections.filter(|connections| !connections.polled()) else {
        return Ok((found, is_whole));
    };
    connections.accepted.fill_in(&mut found, &missed);
    let left_out = connections.accepted.left_out;
    if left_out > 0 {
        say(&format!("{left_out} accepted connections to further addresses are not counted"));
    }
    Ok((found, is_whole && left_out == 0))
}
