//! `ebpftop` shows live, from eBPF, which process opens which files, and which addresses and
//! processes are on the wire.
//!
//! Data flows one way. Three [`probes`] (opens, talkers, connections) read the kernel and send
//! events; [`app`] decides, [`model`] stores the numbers, [`ui`] draws them. [`stream`] writes the
//! same events as lines, [`recording`] as a file, [`mod@export`] as metrics.

pub mod app;
#[cfg(feature = "bpf")]
pub mod bpf;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
#[cfg(feature = "bpf")]
pub mod doctor;
#[cfg(feature = "bpf")]
pub mod export;
pub mod files;
pub mod keymap;
pub mod keys;
pub mod logging;
pub mod machine;
pub mod man;
pub mod model;
pub mod privileges;
#[cfg(feature = "bpf")]
pub mod probes;
#[cfg(feature = "bpf")]
pub mod record;
pub mod recording;
#[cfg(feature = "bpf")]
pub mod report;
/// Each unit test in a process of its own, within a time limit.
#[cfg(test)]
#[path = "../tests/common/runner.rs"]
#[allow(unsafe_code, clippy::unwrap_used)]
mod runner;
pub mod runtime;
#[cfg(feature = "bpf")]
pub mod session;
pub mod settings;
#[cfg(feature = "bpf")]
pub mod stream;
mod sys;
#[cfg(test)]
mod testing;
pub mod ui;
