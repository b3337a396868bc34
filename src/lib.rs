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
pub mod runtime;
pub mod settings;
pub mod stream;
pub mod ui;
