//! Tests on made-up data at fixed times: models, screens, keys. They need neither root nor BPF nor a
//! terminal.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/fake.rs"]
mod fake;
#[path = "../common/runner.rs"]
mod runner;

/// Compares the screen at several sizes with the snapshots of this name, in the caller's module.
macro_rules! snapshots {
    ($name:expr, $app:expr) => {
        for (size, text) in $app.at_sizes() {
            insta::assert_snapshot!(format!("{}_{size}", $name), text);
        }
    };
}

mod bounds;
mod conns_view;
mod dashboard_keys;
mod detail;
mod docs;
mod io_views;
mod layers;
mod links;
mod opens_views;
mod pivot;
mod process_details;
mod procfs;
mod programs;
mod remote;
mod rewind;
mod screens;
mod supply;
mod ui_properties;
mod units;
mod words;
