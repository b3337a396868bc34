//! Opens at full speed with as many threads as cores: events reported and lost. Needs root.
//!
//! `cargo bench --bench opens_speed [-- SECONDS]` (60)

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

fn main() {
    let seconds = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(60);
    let run = common::speed::full_speed(Duration::from_secs(seconds));
    run.assert_exact();
    println!(
        "{seconds} s, {:.0} opens/s: {} opens, {} lost",
        run.done.opens as f64 / seconds as f64,
        run.done.opens,
        run.lost.opens
    );
}
