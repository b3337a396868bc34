//! `ebpftop stream`: events of the probes as lines on stdout.
//!
//! One thread receives the events, filters and writes them; it stores counts and nothing else. `record`
//! describes the lines, `json` and `csv` write them by that description; `text` is laid out by hand.

mod conns;
mod csv;
mod documented;
mod fields;
#[cfg(test)]
mod hostile;
mod json;
mod kinds;
mod lines;
mod out;
mod put;
mod queue;
pub(crate) mod record;
#[doc(hidden)]
pub mod sample;
mod session;
mod summary;
mod tally;
mod text;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::cli::{Format, Kind, OutputArgs, StreamArgs};
use crate::console::say;
use crate::model::escape::escape;
use crate::probes::preflight;
use crate::session::{Choose, OutError, Stop, new_loop};
use crate::settings::Settings;

pub use csv::Csv;
pub(crate) use csv::header as csv_header;
pub(crate) use documented::described;
pub use documented::{Documented, csv_headers, documented};
use fields::Fields;
pub use json::Json;
pub use kinds::Kinds;
pub use lines::{
    FileLine, IoLine, Lines, ListenerLine, Loss, Lost, Note, OpenLine, ProcessLine, SlowLine,
};
pub use record::{Described, Key, Type};
pub use summary::{
    ConnectionsSummary, Coverage, FilesSummary, IoSummary, OpensSummary, ProcessesSummary, Ready,
    SlowSummary, Summary,
};
pub use text::Text;
pub(crate) use text::note as text_note;

use out::Out;
use session::Session;

/// Runs until a signal or `--duration`. The exit status: 0 done as asked, 1 done in part or not at all,
/// 2 wrong usage.
pub fn run(settings: &Settings, args: &StreamArgs) -> anyhow::Result<ExitCode> {
    let wanted = Kinds::wanted(args);
    let settings = &wanted.settings(settings);
    let reserved =
        if args.fields.is_empty() { Default::default() } else { documented::own_names() };
    let fields = match Fields::new(&args.fields, &reserved) {
        Ok(fields) => fields,
        Err(e) => {
            say(&e);
            return Ok(ExitCode::from(2));
        }
    };
    let lines: Box<dyn Lines> = match (args.format, wanted.one()) {
        (Format::Json, _) => Box::new(Json::with(&fields)),
        (Format::Text, _) => {
            let in_columns = args.output.output.is_none() && std::io::stdout().is_terminal();
            Box::new(Text::new(wanted.has(Kind::Opens) && in_columns, settings.latency))
        }
        (Format::Csv, Some(kind)) => Box::new(Csv::with(kind, fields)),
        (Format::Csv, None) => {
            let names: Vec<_> = Kind::value_variants().iter().map(|kind| kind.name()).collect();
            let (last, others) = names.split_last().unwrap_or((&"", &[]));
            let others = others.join("`, `");
            say(&format!("--format csv takes one kind: `stream {others}` or `{last}`"));
            return Ok(ExitCode::from(2));
        }
    };
    let choose = match Choose::new(settings, &args.choose) {
        Ok(choose) => choose.with_top(args.top),
        Err(e) => {
            say(&format!("invalid filter: {e}"));
            return Ok(ExitCode::from(2));
        }
    };
    if args.format == Format::Text && !args.fields.is_empty() {
        say("--field has no effect with --format text");
    }
    for (option, kinds) in args.without_effect() {
        let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
        let verb = if kinds.len() > 1 { "are" } else { "is" };
        let kinds = kinds.join(" and ");
        say(&format!("{option} has no effect: {kinds} {verb} not among the selected kinds"));
    }
    if choose.chooses_changes() && !wanted.has(Kind::Files) {
        say("`op:` has no effect: `files` is not among the selected kinds");
    }
    if choose.only().tgid.is_some() && preflight::in_initial_pid_namespace() == Some(false) {
        say("process ids are those of the initial PID namespace, for --pid and pid: too: this is \
             another namespace, in which processes have other ids");
    }
    write(settings, wanted, lines, choose, (args.format, &args.output), args.duration)
}

/// Runs the probes for `lines` until a signal, or for `duration`, counted from `ready`.
pub(crate) fn write(
    settings: &Settings,
    wanted: Kinds,
    lines: Box<dyn Lines>,
    choose: Choose,
    (format, output): (Format, &OutputArgs),
    duration: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("listen to signals")?;
    let named = output
        .output
        .as_ref()
        .map_or("stdout".into(), |dir| escape(dir.as_os_str().as_encoded_bytes()).into_owned());
    let out = Out::of(output, stop.clone(), format).with_context(|| format!("write to {named}"))?;
    let runtime = new_loop()?;
    let mut session = Session::new(wanted, lines, choose, out, duration);
    match runtime.block_on(session.run(settings, &stop)) {
        Ok(()) if session.is_complete() => Ok(ExitCode::SUCCESS),
        Ok(()) => Ok(ExitCode::FAILURE),
        Err(OutError::Closed) => Ok(ExitCode::SUCCESS),
        Err(e) => {
            say(&e.to_string());
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Prints a text that is complete. A reader that closes early is no error.
pub(crate) fn print(mut text: Vec<u8>, format: Format) -> anyhow::Result<()> {
    let stop = Stop::on_signals().context("listen to signals")?;
    match Out::stdout(stop, format).context("open stdout")?.write(&mut text) {
        Ok(()) | Err(OutError::Closed) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
