//! Parses the command line, runs the command, and turns the result into an exit status.

#[cfg(feature = "bpf")]
#[path = "main/probing.rs"]
mod probing;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ebpftop::cli::{Cli, Command, ReplayArgs};
#[cfg(feature = "bpf")]
use ebpftop::cli::{DoctorFormat, Format};
use ebpftop::config::{self, ConfigError};
use ebpftop::console::{reads_utf8, say};
use ebpftop::model::escape::{escape, inert, only_ascii};
use ebpftop::settings::Settings;
use ebpftop::{logging, man, privileges, runtime};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(e) => {
            say(&format!("{e:#}"));
            // An invalid configuration is wrong usage, as an invalid option is.
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
    // Before seccomp, behind which groups stay as they are. An error comes with the first file.
    let _ = privileges::invoker();
    match &cli.command {
        Some(Command::Replay(args)) => without_probes(|| replay(args)),
        Some(Command::Config) => without_probes(|| print(config::printed().as_bytes())),
        Some(Command::Completions { shell }) => without_probes(|| print(&man::completions(*shell))),
        Some(Command::Man) => without_probes(|| print(&man::page()?)),
        #[cfg(feature = "bpf")]
        _ => probing::run(&cli),
        #[cfg(not(feature = "bpf"))]
        None => {
            say("this program was built without probes; `ebpftop replay` shows a recording");
            Ok(ExitCode::from(2))
        }
    }
}

/// Runs a command that needs no probe, behind seccomp where the kernel allows that.
fn without_probes(command: impl FnOnce() -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
    let _ = privileges::seccomp();
    command()
}

/// Prints what is wrong with the command line, or the help that it asks for. An argument may be anybody's
/// words.
fn refuse(usage: &clap::Error) -> anyhow::Result<ExitCode> {
    let text = usage.render().to_string();
    match inert(text.as_bytes(), !reads_utf8()) {
        Cow::Owned(inert) if usage.use_stderr() => {
            let _ = std::io::stderr().write_all(inert.as_bytes());
        }
        // A reader of the help that has enough is no error.
        _ => match usage.print() {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
            _ => {}
        },
    }
    Ok(ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2)))
}

/// Whether the output is read by people; what programs read is the same in every locale.
fn is_for_people(cli: &Cli) -> bool {
    match &cli.command {
        #[cfg(feature = "bpf")]
        Some(Command::Stream(args)) => args.format == Format::Text,
        #[cfg(feature = "bpf")]
        Some(Command::Report(args)) => args.format == Format::Text,
        #[cfg(feature = "bpf")]
        Some(Command::Export(_)) => false,
        #[cfg(feature = "bpf")]
        Some(Command::Doctor { format, .. }) => *format == DoctorFormat::Text,
        _ => true,
    }
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
    if args.file.as_ref().is_some_and(|file| file == "-") && std::io::stdin().is_terminal() {
        say(
            "stdin is a terminal; `replay -` reads a live recording from a pipe, as in `ssh HOST sudo \
             ebpftop record - | ebpftop replay -`",
        );
        return Ok(ExitCode::from(2));
    }
    if let Some(log) = &args.screen.log {
        open_log(log)?;
    }
    let file = config::load(args.screen.config.as_deref())?;
    // The file's options of live watching (a filter, a process) do not apply to a recording.
    let (process, filter) = (args.process.clone(), args.filter.clone());
    let settings = Settings { process, filter, ..Settings::default() };
    let screen = config::screen_settings(&args.screen, &file);
    runtime::replay(&settings, &screen, args.file.as_deref())
}

/// Prints a document; a reader that closes early is no error.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().write_all(text).and_then(|()| std::io::stdout().flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(e).context("write to stdout"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}
