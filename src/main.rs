//! Parse, run, exit status; nothing else.

use std::process::ExitCode;

use ebpftop::runtime;
use ebpftop::settings::{ScreenSettings, Settings};

fn main() -> ExitCode {
    match runtime::run(&Settings::default(), &ScreenSettings::default()) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("ebpftop: {e:#}");
            ExitCode::from(1)
        }
    }
}
