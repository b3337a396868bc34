//! The commands that read this machine's kernel.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use ebpftop::cli::{BtfArgs, By, Cli, Command, ExportArgs, ReportArgs};
use ebpftop::console::{reads_utf8, say};
use ebpftop::model::escape::escape;
use ebpftop::settings::Settings;
use ebpftop::{config, doctor, export, files, privileges, probes, record, report, runtime, stream};

/// Runs the command; without one, the dashboard.
pub(super) fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    // Before seccomp, which forbids mounts.
    probes::mount_sysfs();
    let seccomp = privileges::seccomp();
    match &cli.command {
        Some(Command::Stream(args)) => {
            take_types(&args.watch.types)?;
            stream::run(&config::settings(&args.watch, &config::load(None)?), args)
        }
        Some(Command::Record(args)) => {
            take_types(&args.watch.types)?;
            let file = config::load(None)?;
            record::run(
                &config::record_settings(&args.watch, args.owners, args.changes, &file),
                args,
            )
        }
        Some(Command::Report(args)) => report(args),
        Some(Command::Export(args)) => export(args),
        Some(Command::Doctor { format, types }) => {
            take_types(types)?;
            let report = doctor::examine();
            let text = doctor::render(&report, *format);
            // The one sign of its own that is beyond ASCII.
            let text = if reads_utf8() { text } else { text.replace('–', "-") };
            super::print(text.as_bytes())?;
            Ok(if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => {
            take_types(&cli.watch.types)?;
            dashboard(cli, &seccomp)
        }
    }
}

fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    if args.file.is_none() || args.by == By::Holder {
        take_types(&args.watch.types)?;
        let settings = config::settings(&args.watch, &config::load(None)?);
        // Rows have no names: only a filter asks for them.
        return report::run(&Settings { names: args.watch.names, ..settings }, args);
    }
    // The file's options of live watching (a filter, a process) do not apply to a recording.
    let (process, filter) = (args.watch.process.clone(), args.watch.filter.clone());
    report::run(&Settings { process, filter, ..Settings::default() }, args)
}

fn export(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    take_types(&args.types)?;
    let file = config::load(args.config.as_deref())?;
    let settings = config::settings_with(&args.watch(), args.owners, &file);
    let files = settings.files || args.changes.files;
    let settings = Settings { latency: false, names: false, files, ..settings };
    let watched = if args.watched.is_empty() { &file.watched } else { &args.watched };
    export::run(&settings, args, watched)
}

/// Takes the kernel's types from a file, if one was named.
fn take_types(types: &BtfArgs) -> anyhow::Result<()> {
    let Some(path) = &types.btf else { return Ok(()) };
    let shown = escape(path.as_os_str().as_encoded_bytes());
    files::open(path)
        .and_then(probes::use_btf_file)
        .with_context(|| format!("read the kernel's types from {shown}"))
}

fn dashboard(cli: &Cli, seccomp: &Result<(), String>) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        say("the dashboard needs a terminal; for lines on stdout use `ebpftop stream`");
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &cli.screen.log {
        super::open_log(log)?;
        match seccomp {
            Ok(()) => tracing::info!("seccomp is in force"),
            Err(e) => tracing::warn!("without seccomp: {e}"),
        }
    }
    let file = config::load(cli.screen.config.as_deref())?;
    let settings = config::dashboard_settings(&cli.watch, cli.owners, cli.changes, cli.own, &file);
    runtime::run(&settings, &config::screen_settings(&cli.screen, &file))
}
