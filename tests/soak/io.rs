//! Ten seconds (`make soak`: two minutes) of reads and writes as fast as all cores can: each call is in the
//! counts of its file.

use std::time::Duration;

use crate::common::io_speed::full_speed;

#[test]
fn at_full_speed_every_read_and_write_is_counted() {
    let seconds = crate::soak_seconds(10);
    let run = full_speed(Duration::from_secs(seconds), None);
    assert_eq!(run.counted, run.done);
    println!("{seconds} s: {} calls", run.done.read_calls + run.done.write_calls);
}
