//! The identity of a process, which opens and connections refer to.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::open::OpenMeta;

/// Clock ticks a second in /proc (`USER_HZ`, 100 wherever eBPF runs), as nanoseconds a tick.
pub const NS_PER_TICK: u64 = 10_000_000;

/// Identifies a process: ids are reused, an id with its start time is not.
///
/// /proc has the start in ticks of 10 ms only. Such a key equals that of every process with this id
/// which started in that tick; two exact keys are equal when they are the same. (So equality is not
/// transitive: of two processes that had one id within 10 ms, a polled socket goes to either.)
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Thread group id, as the initial PID namespace has it.
    pub tgid: u32,
    /// When the process started, ns of `CLOCK_BOOTTIME`.
    pub start_boottime_ns: u64,
}

impl PartialEq for ProcessKey {
    fn eq(&self, other: &Self) -> bool {
        let starts = match self.is_of_proc() || other.is_of_proc() {
            true => self.start_tick() == other.start_tick(),
            false => self.start_boottime_ns == other.start_boottime_ns,
        };
        self.tgid == other.tgid && starts
    }
}

impl Eq for ProcessKey {}

impl Hash for ProcessKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.tgid, self.start_tick()).hash(state);
    }
}

impl ProcessKey {
    fn start_tick(self) -> u64 {
        self.start_boottime_ns / NS_PER_TICK
    }

    /// A start in whole ticks is one of /proc: of others one in ten million is.
    fn is_of_proc(self) -> bool {
        self.start_boottime_ns.is_multiple_of(NS_PER_TICK)
    }

    /// The process that did this open.
    pub fn of(meta: &OpenMeta) -> Self {
        Self { tgid: meta.tgid, start_boottime_ns: meta.start_boottime_ns }
    }
}
