//! Tests on the real kernel: probes, the dashboard in a pseudo-terminal, the lines of `stream`. They
//! load BPF programs and make network namespaces, so they need root, and fail without it. `make
//! test` runs them in a QEMU guest where this kernel does not let root load BPF.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/fake.rs"]
mod fake;
#[path = "../common/runner.rs"]
mod runner;

mod btf;
mod calls;
mod cgroups;
mod compat;
mod conn_sums;
mod connections;
mod dashboard;
mod dashboard_config;
mod dashboard_glance;
mod dashboard_names;
mod dashboard_pivot;
mod dashboard_record;
mod dashboard_rewind;
mod dashboard_terminal;
mod dashboard_wire;
mod datagrams;
mod doctor;
mod export;
mod faults;
mod files;
mod floor;
mod hostile;
mod invoker;
mod io;
mod io_cases;
mod io_closed;
mod io_files;
mod io_floor;
mod io_recording;
mod io_reuse;
mod io_slow;
mod io_uring;
mod ktls;
mod listeners;
mod names;
mod names_local;
mod names_packets;
mod netns;
mod opens;
mod opens_processes;
mod owners;
mod privileges;
mod process_details;
mod processes;
mod procfs;
mod quality;
mod recording;
mod recording_files;
mod refused;
mod remote;
mod report;
mod resolved;
mod rights;
mod stream;
mod stream_files;
mod stream_wire;
mod talk;
mod talkers;
mod talkers_links;
mod talkers_path;
mod whole;

// Short forms of what `make soak` runs for minutes.
#[path = "../soak/speed.rs"]
mod speed;
#[path = "../soak/switches.rs"]
mod switches;

/// Seconds that a short form lasts.
fn soak_seconds(_long: u64) -> u64 {
    3
}
