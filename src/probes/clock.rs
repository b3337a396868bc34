//! The two clocks: the monotonic one that the kernel stamps with, and the wall's.

use nix::time::{ClockId, clock_gettime};

use crate::model::time::{Mono, NS_PER_SEC, Stamp, WallOffset};

fn read(clock: ClockId) -> u64 {
    // Both clocks exist since Linux 2.6 and cannot fail with a valid pointer.
    clock_gettime(clock).map_or(0, |t| {
        let sec = u64::try_from(t.tv_sec()).unwrap_or(0);
        sec.saturating_mul(NS_PER_SEC).saturating_add(u64::try_from(t.tv_nsec()).unwrap_or(0))
    })
}

/// Now, as `bpf_ktime_get_ns` tells it.
pub fn mono() -> Mono {
    Mono(read(ClockId::CLOCK_MONOTONIC))
}

/// Nanoseconds since boot, sleep included: what processes' starts are stamped with.
pub fn boottime_ns() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// What makes a wall-clock time of a monotonic one, at this moment.
pub fn wall_offset() -> WallOffset {
    let wall = read(ClockId::CLOCK_REALTIME);
    WallOffset(i64::try_from(i128::from(wall) - i128::from(mono().0)).unwrap_or(0))
}

/// Now, with the wall offset that holds now.
pub fn now() -> Stamp {
    Stamp { mono: mono(), wall: wall_offset() }
}
