//! Tests that go on for minutes, behind `make soak`; `EBPFTOP_SOAK_SECONDS` is how long each of them
//! lasts. They need root, and fail without it.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/runner.rs"]
mod runner;

mod io;
mod keys;
mod lines;
mod speed;
mod switches;

/// Duration of a test in seconds; `long` is its default.
fn soak_seconds(long: u64) -> u64 {
    std::env::var("EBPFTOP_SOAK_SECONDS").map_or(long, |s| s.parse().unwrap())
}
