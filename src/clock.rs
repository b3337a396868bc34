//! The two clocks: the monotonic one of the kernel's time stamps, and the wall clock.
//!
//! In a time namespace the process's monotonic clocks differ from those of the kernel's time stamps
//! (`bpf_ktime_get_ns`, `task->start_boottime`) by the offsets in /proc/self/timens_offsets.

use std::sync::LazyLock;

use nix::time::{ClockId, clock_gettime};

use crate::model::time::{Mono, NS_PER_SEC, Stamp, WallOffset};

fn read(clock: ClockId) -> u64 {
    // Both clocks exist since Linux 2.6 and cannot fail with a valid pointer.
    clock_gettime(clock).map_or(0, |t| {
        let sec = u64::try_from(t.tv_sec()).unwrap_or(0);
        sec.saturating_mul(NS_PER_SEC).saturating_add(u64::try_from(t.tv_nsec()).unwrap_or(0))
    })
}

/// How far this process's monotonic and boot-time clocks are ahead of the kernel's own, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ahead {
    mono: i64,
    boot: i64,
}

/// It cannot change while the process runs.
static AHEAD: LazyLock<Ahead> = LazyLock::new(|| {
    std::fs::read_to_string("/proc/self/timens_offsets").map_or(Ahead::default(), |t| ahead(&t))
});

/// Lines of a clock's name, seconds and nanoseconds.
fn ahead(text: &str) -> Ahead {
    let of = |clock: &str| {
        let mut fields = text.lines().find_map(|l| l.strip_prefix(clock))?.split_whitespace();
        let mut number = || fields.next()?.parse::<i64>().ok();
        number()?.checked_mul(NS_PER_SEC.try_into().ok()?)?.checked_add(number()?)
    };
    Ahead { mono: of("monotonic").unwrap_or(0), boot: of("boottime").unwrap_or(0) }
}

/// Now, on the clock of `bpf_ktime_get_ns`.
pub fn mono() -> Mono {
    Mono(read(ClockId::CLOCK_MONOTONIC).saturating_add_signed(AHEAD.mono.saturating_neg()))
}

/// Converts a time since boot as this process sees it to the kernel's.
pub fn boottime_of_kernel(ns: u64) -> u64 {
    ns.saturating_add_signed(AHEAD.boot.saturating_neg())
}

/// Nanoseconds since boot, sleep included: the clock of the start times of processes.
pub fn boottime_ns() -> u64 {
    boottime_of_kernel(read(ClockId::CLOCK_BOOTTIME))
}

/// The offset from monotonic to wall-clock time, now.
pub fn wall_offset() -> WallOffset {
    let wall = read(ClockId::CLOCK_REALTIME);
    WallOffset(i64::try_from(i128::from(wall) - i128::from(mono().0)).unwrap_or(0))
}

/// Now, with the wall clock's offset of now.
pub fn now() -> Stamp {
    Stamp { mono: mono(), wall: wall_offset() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_namespace_is_read() {
        let text = "monotonic      100000         5\nboottime           -2 500000000\n";
        assert_eq!(ahead(text), Ahead { mono: 100_000_000_000_005, boot: -1_500_000_000 });
        for text in ["", "monotonic\n", "monotonic x y\nboottime 9223372036854775807 0"] {
            assert_eq!(ahead(text), Ahead::default(), "{text}");
        }
    }
}
