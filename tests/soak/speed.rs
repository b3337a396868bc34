//! Ten seconds (`make soak`: two minutes; among the kernel tests a few) of opens as fast as all cores
//! can. Whether the reader keeps up depends on the machine; that every open is reported or counted does
//! not.

use std::time::Duration;

use crate::common::speed::full_speed;

#[test]
fn at_full_speed_every_open_is_reported_or_counted() {
    let seconds = crate::soak_seconds(10);
    let run = full_speed(Duration::from_secs(seconds));
    run.assert_exact();
    assert!(run.reported.opens > 0 && run.done.failed > 0, "{run:?}");
    println!("{seconds} s: {} opens, {} of them lost", run.done.opens, run.lost.opens);
}
