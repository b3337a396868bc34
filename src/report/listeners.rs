//! `report --by listener [FILE]`: listeners with their processes now, or at the last reading of a recording.

use std::cmp::Reverse;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use super::gather::{csv_header, write_rows};
use super::row::{Row, RowPlace};
use crate::cli::{By, Format, ReportArgs};
use crate::console::say;
use crate::files;
use crate::model::cgroup::Cgroup;
use crate::model::connections::Connections;
use crate::model::escape::escape;
use crate::model::event::{ProbeEvent, ProbeInfo};
use crate::model::listener::{Counts, Listener, Listeners, counts};
use crate::model::time::Stamp;
use crate::privileges;
use crate::probes::listeners::ListenerReader;
use crate::recording::{Item, Reader, Seen};
use crate::session::Choose;
use crate::stream::print;

/// Runs the report. The exit status is 1 where a part is missing.
pub(super) fn run(
    args: &ReportArgs,
    choose: &Choose,
    top: usize,
    with_unix: bool,
) -> anyhow::Result<ExitCode> {
    let (found, mut is_whole) = match &args.file {
        Some(file) => recorded(file)?,
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
    let mut rows: Vec<Row> = Vec::new();
    for listener in found.rows {
        let cgroup = listener.cgroup.as_deref().map(Cgroup::at);
        if choose.listener(&listener, cgroup.as_ref()) {
            rows.push(row(listener, cgroup.as_ref()));
        }
    }
    rows.sort_by(|a, b| a.listener.as_deref().map(order).cmp(&b.listener.as_deref().map(order)));
    let all = rows.len();
    rows.truncate(top);
    let mut out = Vec::new();
    match args.format {
        Format::Text => {
            let Counts { tcp, udp, unix } =
                counts(rows.iter().filter_map(|r| r.listener.as_deref()));
            let unix = if unix > 0 { format!(" · {unix} Unix") } else { String::new() };
            let heading = format!("{tcp} TCP · {udp} UDP{unix} · {} more rows\n", all - rows.len());
            out.extend_from_slice(heading.as_bytes());
        }
        Format::Csv => csv_header(By::Listener, &mut out),
        Format::Json => {}
    }
    if args.format != Format::Text || !rows.is_empty() {
        write_rows(By::Listener, &rows, args.format, at, &mut out);
    }
    print(out, args.format)?;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The fullest queues and most drops first, then by port.
fn order(l: &Listener) -> impl Ord + '_ {
    (Reverse(l.drops), Reverse(l.waiting), l.place())
}

fn row(listener: Listener, cgroup: Option<&Cgroup>) -> Row {
    let owner = listener.owner.as_ref();
    Row {
        pid: owner.map(|owner| owner.key.tgid),
        process: owner.map(|owner| owner.comm.as_bytes().into()),
        uid: owner.map(|owner| owner.uid),
        place: cgroup.map(RowPlace::of).unwrap_or_default(),
        listener: Some(Box::new(listener)),
        ..Row::default()
    }
}

/// The last reading of a recording, and whether the recording is whole.
fn recorded(file: &Path) -> anyhow::Result<(Listeners, bool)> {
    let name = escape(file.as_os_str().as_encoded_bytes()).into_owned();
    let source = files::open(file).map_err(|e| anyhow::anyhow!("report {name}: {e}"))?;
    let mut reader =
        Reader::new(BufReader::new(source)).map_err(|e| anyhow::anyhow!("report {name}: {e}"))?;
    // Nothing else is opened.
    privileges::keep(&[], false);
    let (mut last, mut connections) = (None, None::<Connections>);
    let is_whole = loop {
        match reader.read() {
            Ok(Item::Seen(_, Seen::Probe(ProbeEvent::Listeners(found)))) => last = Some(*found),
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
    connections.accepted.fill_in(&mut found);
    let left_out = connections.accepted.left_out;
    if left_out > 0 {
        say(&format!("{left_out} accepted connections to further addresses are not counted"));
    }
    Ok((found, is_whole && left_out == 0))
}
