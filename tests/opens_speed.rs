//! Ten seconds of opens as fast as all cores can (`EBPFTOP_SOAK_SECONDS`: another time). Whether
//! the reader keeps up depends on the machine; that every open is told or counted does not. Needs
//! root, and fails without it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::speed::full_speed;

#[test]
fn at_full_speed_every_open_is_told_or_counted() {
    let seconds = std::env::var("EBPFTOP_SOAK_SECONDS").map_or(10, |s| s.parse().unwrap());
    let run = full_speed(Duration::from_secs(seconds));
    run.assert_exact();
    assert!(run.told.opens > 0 && run.done.failed > 0, "{run:?}");
    println!("{seconds} s: {} opens, {} of them lost", run.done.opens, run.lost.opens);
}
