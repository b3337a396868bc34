//! `report --by holder FILE`: the processes that hold a file now, and as what.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use anyhow::Context as _;

use super::gather::{csv_header, write_rows};
use super::row::{Row, RowPlace};
use crate::cli::{By, Format, ReportArgs};
use crate::clock;
use crate::console::say;
use crate::files;
use crate::model::escape::escape;
use crate::model::held::Held;
use crate::probes::cgroups::Cgroups;
use crate::probes::held::Reader;
use crate::probes::programs;
use crate::stream::print;

/// Runs the report. The exit status is 1 where the kernel refused a part of it.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let path = args.file.as_deref().context("name the file: report --by holder FILE")?;
    let shown = escape(path.as_os_str().as_encoded_bytes()).into_owned();
    let file = files::open_place(path).with_context(|| format!("find {shown}"))?;
    let mut storage = programs::storage();
    let mut reader = Reader::load(&mut storage)?;
    let found = reader.holders(file.as_fd()).context("read who holds it")?;
    let missing = reader.missing();
    missing.iter().for_each(|missing| say(&missing.to_string()));
    if found.left_out > 0 {
        say(&format!("{} more holders found no room", found.left_out));
    }
    let mut cgroups = Cgroups::with_containers();
    let rows: Vec<Row> = found.held.into_iter().map(|held| row(held, &mut cgroups)).collect();
    let mut out = Vec::new();
    match args.format {
        Format::Text => out.extend_from_slice(heading(&shown, &rows).as_bytes()),
        Format::Csv => csv_header(By::Holder, &mut out),
        Format::Json => {}
    }
    if args.format != Format::Text || !rows.is_empty() {
        write_rows(By::Holder, &rows, args.format, clock::now(), &mut out);
    }
    print(out, args.format)?;
    match missing.is_empty() && found.left_out == 0 {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn heading(shown: &str, rows: &[Row]) -> String {
    let mut processes: Vec<_> = rows.iter().map(|row| row.pid).collect();
    processes.dedup(); // they are in the order of process ids
    match (rows.len(), processes.len()) {
        (0, _) => format!("{shown} · no process holds it\n"),
        (_, 1) => format!("{shown} · held by 1 process\n"),
        (_, n) => format!("{shown} · held by {n} processes\n"),
    }
}

fn row(held: Held, cgroups: &mut Cgroups) -> Row {
    let cgroup = cgroups.get(held.cgroup_id, clock::mono);
    Row {
        pid: Some(held.key.tgid),
        process: Some(held.process.as_bytes().into()),
        uid: Some(held.uid),
        place: cgroup.map(RowPlace::of).unwrap_or_default(),
        resolved: held.path.clone(),
        held: Some(Box::new(held)),
        ..Row::default()
    }
}
