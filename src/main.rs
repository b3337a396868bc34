//! Parse, run, exit status.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ebpftop::cli::{Cli, Command, ReplayArgs};
use ebpftop::config::{self, ConfigError};
use ebpftop::model::escape::escape;
use ebpftop::settings::Settings;
use ebpftop::{doctor, logging, man, privileges, probes, recording, runtime, stream};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "ebpftop: {e:#}");
            // A wrong word in the file is wrong usage, as on the command line.
            match e.downcast_ref() {
                Some(ConfigError::Content { .. }) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if !matches!(
        &cli.command,
        Some(Command::Replay(_) | Command::Config | Command::Completions { .. } | Command::Man)
    ) {
        probes::mount_sysfs();
    }
    let seccomp = privileges::seccomp();
    take_types(&cli)?;
    match &cli.command {
        None => dashboard(&cli, &seccomp),
        Some(Command::Stream(args)) => {
            stream::run(&config::settings(&args.watch, &config::load(None)?), args)
        }
        Some(Command::Record(args)) => {
            let file = config::load(None)?;
            recording::run(&config::settings_with(&args.watch, args.owners, &file), args)
        }
        Some(Command::Replay(args)) => replay(args),
        Some(Command::Doctor { format, .. }) => {
            let report = doctor::examine();
            print(doctor::render(&report, *format).as_bytes())?;
            Ok(if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(Command::Config) => print(config::printed().as_bytes()),
        Some(Command::Completions { shell }) => print(&man::completions(*shell)),
        Some(Command::Man) => print(&man::page()?),
    }
}

/// The kernel's types from a file, if one was named.
fn take_types(cli: &Cli) -> anyhow::Result<()> {
    let types = match &cli.command {
        None => &cli.watch.types,
        Some(Command::Stream(args)) => &args.watch.types,
        Some(Command::Record(args)) => &args.watch.types,
        Some(Command::Doctor { types, .. }) => types,
        _ => return Ok(()),
    };
    let Some(path) = &types.btf else { return Ok(()) };
    let shown = escape(path.as_os_str().as_encoded_bytes());
    probes::use_btf_file(path).with_context(|| format!("read the kernel's types from {shown}"))
}

fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        let _ = writeln!(
            std::io::stderr(),
            "ebpftop: a replay needs a terminal; for lines on stdout use `ebpftop stream`"
        );
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &args.screen.log {
        logging::to_file(log).with_context(|| format!("write the log {}", log.display()))?;
    }
    let file = config::load(args.screen.config.as_deref())?;
    // What the file says of live watching (a filter, a process) is not meant for a recording.
    let (process, filter) = (args.process.clone(), args.filter.clone());
    let settings = Settings { process, filter, ..Settings::default() };
    let screen = config::screen_settings(&args.screen, &file);
    runtime::replay(&settings, &screen, args.file.as_deref())
}

fn dashboard(cli: &Cli, seccomp: &Result<(), String>) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        let _ = writeln!(
            std::io::stderr(),
            "ebpftop: the dashboard needs a terminal; for lines on stdout use `ebpftop stream`"
        );
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &cli.screen.log {
        logging::to_file(log).with_context(|| format!("write the log {}", log.display()))?;
        match seccomp {
            Ok(()) => tracing::info!("under the seccomp filter"),
            Err(e) => tracing::warn!("no seccomp filter: {e}"),
        }
    }
    let file = config::load(cli.screen.config.as_deref())?;
    let settings = config::settings_with(&cli.watch, cli.owners, &file);
    runtime::run(&settings, &config::screen_settings(&cli.screen, &file))
}

/// Prints a document; a reader that has seen enough is no error.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text).and_then(|()| std::io::stdout().flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(e).context("write to stdout"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
