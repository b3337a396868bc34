//! Tests of the built program that any user can run: its usage, its documents, `replay`, and what it
//! says where it lacks privileges. As root they drop these for the program.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/runner.rs"]
mod runner;

mod dashboard;
mod export;
mod otlp;
mod replay;
mod report;
mod terminal;
mod usage;
