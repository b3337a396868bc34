//! Parse, run, exit status.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ebpftop::cli::{Cli, Command, DoctorFormat, Format, ReplayArgs};
use ebpftop::config::{self, ConfigError};
use ebpftop::console::{reads_utf8, say};
use ebpftop::model::escape::{escape, inert, only_ascii};
use ebpftop::settings::Settings;
use ebpftop::{doctor, logging, man, privileges, probes, recording, runtime, stream};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(e) => {
            say(&format!("{e:#}"));
            // A wrong word in the file is wrong usage, as on the command line.
            match e.downcast_ref() {
                Some(ConfigError::Content { .. }) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return refuse(&usage),
    };
    if !reads_utf8() && is_for_people(&cli) {
        only_ascii();
    }
    // Before the fence, behind which groups stay as they are. An error comes with the first file.
    let _ = privileges::invoker();
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
            let text = doctor::render(&report, *format);
            // The one sign of its own that is beyond ASCII.
            let text = if reads_utf8() { text } else { text.replace('–', "-") };
            print(text.as_bytes())?;
            Ok(if report.can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(Command::Config) => print(config::printed().as_bytes()),
        Some(Command::Completions { shell }) => print(&man::completions(*shell)),
        Some(Command::Man) => print(&man::page()?),
    }
}

/// Prints what is wrong with the command line, or the help that it asks for. An argument may be anybody's
/// words.
fn refuse(usage: &clap::Error) -> anyhow::Result<ExitCode> {
    let text = usage.render().to_string();
    match inert(text.as_bytes(), !reads_utf8()) {
        Cow::Owned(inert) if usage.use_stderr() => {
            let _ = std::io::stderr().write_all(inert.as_bytes());
        }
        _ => usage.print()?,
    }
    Ok(ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2)))
}

/// Whether the output is read by people; what programs read is the same in every locale.
fn is_for_people(cli: &Cli) -> bool {
    match &cli.command {
        Some(Command::Stream(args)) => args.format == Format::Text,
        Some(Command::Doctor { format, .. }) => *format == DoctorFormat::Text,
        _ => true,
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

fn open_log(log: &Path) -> anyhow::Result<()> {
    let shown = escape(log.as_os_str().as_encoded_bytes());
    logging::to_file(log).with_context(|| format!("write the log {shown}"))
}

fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        say("a replay needs a terminal; for lines on stdout use `ebpftop stream`");
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &args.screen.log {
        open_log(log)?;
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
        say("the dashboard needs a terminal; for lines on stdout use `ebpftop stream`");
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &cli.screen.log {
        open_log(log)?;
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
