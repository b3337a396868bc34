//! `ebpftop`: which process opens which files, and who is on the wire, live from eBPF.
//!
//! Data flows one way: [`probes`] read the kernel and send messages, [`app`] decides,
//! [`model`] keeps the numbers, [`ui`] draws them. [`stream`] writes the same numbers as lines.

pub mod app;
pub mod bpf;
pub mod cli;
pub mod config;
#[cfg(test)]
mod corpus;
pub mod doctor;
pub mod files;
pub mod keymap;
pub mod keys;
pub mod logging;
pub mod man;
pub mod model;
pub mod probes;
pub mod recording;
pub mod rights;
/// Each unit test in a process of its own, within a time limit.
#[cfg(test)]
#[path = "../tests/common/runner.rs"]
#[allow(unsafe_code, clippy::unwrap_used)]
mod runner;
pub mod runtime;
pub mod settings;
pub mod stream;
pub mod ui;
