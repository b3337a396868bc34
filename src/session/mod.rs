//! Parts that `stream`, `record` and the dashboard have in common: the choice of opens and addresses,
//! the configuration of the probes, the end on a signal, messages on stderr.

mod choose;
mod config;
mod stop;

use std::io::Write as _;

pub use choose::Choose;
pub use stop::Stop;

/// Writes a line to stderr; where that is closed, to nowhere.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "ebpftop: {text}");
}
