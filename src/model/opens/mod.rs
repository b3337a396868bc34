//! Processes and the files that they open: exact totals, bounded tables.
//!
//! Owns the processes, the paths, which process uses which path, the failures, and the last
//! opens. Evicted entries are counted: totals stay exact, and the difference to the entries held
//! is in [`Opens::evicted`].

mod entry;
mod evict;
mod group;
mod insert;
mod io;
mod later_success;
mod program;
mod queries;
mod requested_path;
mod undo;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

pub use super::process::ProcessKey;
pub use entry::{
    Failure, FileUse, Latency, LiveOpen, MAX_THREAD_NAMES, NO_FD, Path, Process, Tally,
};
pub use group::{Group, GroupKey, Place, sum_of};
pub use io::IoState;
pub use later_success::LaterSuccess;
pub use program::{Program, ProgramKey};
pub use requested_path::RequestedPath;

use super::history::{History, Meter, Ticks};
use super::io_history::IoHistory;
use super::open::{Comm, LostOpens, Open, OpenBatch, OpenCounts};
use super::slab::{Slab, Slot};
use super::table::Table;
use super::time::Mono;

/// Sizes of the tables. A full one evicts the oldest and smallest entries, an eighth at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub processes: usize,
    pub programs: usize,
    /// Uses of files, of all processes together.
    pub files: usize,
    pub files_of_one: usize,
    /// Bytes of path text.
    pub path_bytes: usize,
    /// Bytes of requested paths that differ from the resolved ones.
    pub given_bytes: usize,
    pub failures: usize,
    pub live: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 16_384,
            programs: 2_048,
            files: 24_576,
            files_of_one: 1_024,
            path_bytes: 2 << 20,
            given_bytes: 1 << 20,
            failures: 8_192,
            live: 1_024,
        }
    }
}

/// Counts of evicted entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Evicted {
    pub programs: u64,
    pub processes: u64,
    /// Opens and failures of those processes.
    pub opens: u64,
    pub failed: u64,
    pub files: u64,
    pub failures: u64,
}

/// Counts of the probe before a recording began; cumulative since it started.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Before {
    counts: OpenCounts,
    /// Opens, and those that failed, lost by each process.
    lost: Vec<(ProcessKey, u64, u64)>,
}

impl Before {
    /// Takes the counts of a batch: what comes after it is counted from there.
    pub fn follow(&mut self, batch: &OpenBatch) {
        self.counts = batch.counts;
        // The list is complete where there is one.
        if !batch.lost_by.is_empty() {
            let key = |lost: &LostOpens| ProcessKey {
                tgid: lost.tgid,
                start_boottime_ns: lost.start_boottime_ns,
            };
            let lost = batch.lost_by.iter().map(|lost| (key(lost), lost.opens, lost.failed));
            self.lost = lost.collect();
        }
    }

    /// Memory of its list, bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lost)
    }

    /// The probe's counts.
    pub fn counts(&self) -> OpenCounts {
        self.counts
    }

    /// Opens, and those that failed, that each process had lost.
    pub fn lost_by(&self) -> &[(ProcessKey, u64, u64)] {
        &self.lost
    }

    /// How many opens the kernel had lost.
    pub fn lost(&self) -> u64 {
        self.counts.lost
    }
}

/// The tables.
#[derive(Clone, Debug, Default)]
pub struct Opens {
    limits: Limits,
    hasher: DefaultHashBuilder,
    pub(crate) ticks: Ticks,
    processes: Table<Process>,
    paths: Slab<Path>,
    by_path: HashTable<Slot>,
    path_bytes: usize,
    given_bytes: usize,
    files: Table<FileUse>,
    failures: Table<Failure>,
    live: std::collections::VecDeque<LiveOpen>,
    live_next: u64,
    /// The process of the last open: the next one is often its own.
    memo: Option<(ProcessKey, Slot)>,
    /// The entries that stand for evicted processes.
    stand_ins: HashMap<evict::StandIn, Slot>,
    programs: Slab<Program>,
    by_program: HashMap<ProgramKey, Slot>,
    total: Tally,
    meter: Meter,
    fail_meter: Meter,
    history: History,
    fail_history: History,
    io_history: IoHistory,
    evicted: Evicted,
    /// Bytes read and written.
    io: IoState,
    counts: OpenCounts,
    counts_base: OpenCounts,
    /// Opens of processes that were not asked for, as far as the kernel reported them.
    left_out: u64,
    /// Opens that a recording has not.
    missing: u64,
    /// Losses of each process as reported last: cumulative since the start.
    lost_reported: HashMap<ProcessKey, (u64, u64)>,
    /// Sums when the turn began, where changes are noted for stepping back.
    turn_start: Option<Box<undo::TurnStart>>,
}

impl Opens {
    /// Empty tables with bounds of their own.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Counts a batch that came in at `now`.
    pub fn add_batch(&mut self, batch: &OpenBatch, now: Mono) {
        for open in batch.iter() {
            self.add(&open, now);
        }
        for ended in &batch.ended {
            let key = ProcessKey { tgid: ended.tgid, start_boottime_ns: ended.start_boottime_ns };
            self.process_ended(key, ended.at);
        }
        if !batch.lost_by.is_empty() {
            self.add_lost(&batch.lost_by, now);
        }
        self.left_out += batch.left_out;
        self.counts = batch.counts;
    }

    /// Counts one open that came in at `now`.
    pub fn add(&mut self, open: &Open<'_>, now: Mono) {
        let meta = open.meta;
        let failed = meta.ret < 0;
        self.total.add(meta);
        self.meter.add(&self.ticks, 1);
        self.history.add(now, 1);
        if failed {
            self.fail_meter.add(&self.ticks, 1);
            self.fail_history.add(now, 1);
        }
        let at = self.process_slot(ProcessKey::of(meta), || Process::new(meta));
        let key = ProgramKey { name: meta.process, cgroup_id: meta.cgroup_id };
        let program = self.program_at(at, key, meta.at);
        if let Some(program) = self.programs.get_mut(program) {
            program.tally.add(meta);
            program.meter.add(&self.ticks, 1);
            program.history.add(now, 1);
            if failed {
                program.fail_meter.add(&self.ticks, 1);
            }
        }
        if let Some(process) = self.processes.get_mut(at) {
            process.refresh(meta);
            process.tally.add(meta);
            process.meter.add(&self.ticks, 1);
            process.history.add(now, 1);
            if failed {
                process.fail_meter.add(&self.ticks, 1);
            }
        }
        let ret = match meta.slot {
            Some(_) => NO_FD,
            None => i32::try_from(meta.ret).unwrap_or(if failed { i32::MIN } else { NO_FD }),
        };
        let path = open.best_path().map(|bytes| self.add_file(open, at, bytes, ret));
        let number = self.live_next;
        self.live_next += 1;
        let live = LiveOpen {
            number,
            at: meta.at,
            process: at,
            path,
            comm: meta.comm,
            ret,
            flags: meta.flags,
            latency_ns: meta.latency_ns,
        };
        if self.live.len() >= self.limits.live {
            self.live.pop_front();
        }
        self.live.push_back(live);
    }

    /// Counts opens that are known by number alone: totals and rates stay exact, files do not.
    fn add_lost(&mut self, lost_by: &[LostOpens], now: Mono) {
        let reported = std::mem::take(&mut self.lost_reported);
        for lost in lost_by {
            let key = ProcessKey { tgid: lost.tgid, start_boottime_ns: lost.start_boottime_ns };
            self.lost_reported.insert(key, (lost.opens, lost.failed));
            let (before, failed_before) = reported.get(&key).copied().unwrap_or_default();
            let opens = lost.opens.saturating_sub(before);
            let failed = lost.failed.saturating_sub(failed_before);
            if opens == 0 {
                continue;
            }
            let (n, failed_n) = (
                u32::try_from(opens).unwrap_or(u32::MAX),
                u32::try_from(failed).unwrap_or(u32::MAX),
            );
            self.total.add_lost(opens, failed, now);
            self.meter.add(&self.ticks, n);
            self.history.add(now, opens);
            self.fail_meter.add(&self.ticks, failed_n);
            self.fail_history.add(now, failed);
            let at = self.process_slot(key, || Process::unseen(lost, now));
            if let Some(program) = self.present_program(at, now)
                && let Some(program) = self.programs.get_mut(program)
            {
                program.tally.add_lost(opens, failed, now);
                program.meter.add(&self.ticks, n);
                program.fail_meter.add(&self.ticks, failed_n);
                program.history.add(now, opens);
            }
            if let Some(process) = self.processes.get_mut(at) {
                process.tally.add_lost(opens, failed, now);
                process.meter.add(&self.ticks, n);
                process.fail_meter.add(&self.ticks, failed_n);
                process.history.add(now, opens);
            }
        }
    }

    /// Takes in a process that is known from elsewhere and may never open anything.
    pub fn meet(&mut self, key: ProcessKey, name: Comm, uid: u32, at: Mono) {
        let process = self.process_slot(key, || {
            let tally = Tally::starting(at);
            Process { name, uid, tally, ..Process::empty(key) }
        });
        self.present_program(process, at);
    }

    /// Ends the interval that is under way.
    pub fn tick(&mut self, now: Mono) {
        self.ticks.tick(now);
    }

    /// Notes that a process has ended. It stays, marked, until it is evicted.
    pub fn process_ended(&mut self, key: ProcessKey, at: Mono) {
        if let Some(process) = self.processes.row_mut(key) {
            process.ended.get_or_insert(at);
        }
    }

    /// Starts the counts again; losses before are not counted any more either.
    pub fn restart(&mut self) {
        let counts = self.counts;
        let ticks = self.ticks;
        let lost_reported = std::mem::take(&mut self.lost_reported);
        let io = self.io.restarted();
        *self = Self {
            io,
            counts,
            counts_base: counts,
            ticks,
            lost_reported,
            ..Self::with_limits(self.limits)
        };
    }

    /// The counts so far: later ones are differences to these.
    pub fn counted_before(&self) -> Before {
        let lost = self.lost_reported.iter().map(|(key, (opens, failed))| (*key, *opens, *failed));
        Before { counts: self.counts, lost: lost.collect() }
    }

    /// Counts only what comes after that.
    pub fn begin_after(&mut self, before: Before) {
        (self.counts, self.counts_base) = (before.counts, before.counts);
        self.lost_reported = before.lost.into_iter().map(|(key, o, f)| (key, (o, f))).collect();
    }

    /// Counts opens of which a recording has the number alone.
    pub fn add_missing(&mut self, opens: u64) {
        self.missing = self.missing.saturating_add(opens);
    }

    /// Takes over the probe's last counts.
    pub fn set_counts(&mut self, counts: OpenCounts) {
        self.counts = counts;
    }

    fn process_slot(&mut self, key: ProcessKey, new: impl FnOnce() -> Process) -> Slot {
        if let Some((held, slot)) = self.memo
            && held == key
        {
            return slot;
        }
        let slot = self.processes.find(key).unwrap_or_else(|| {
            if self.process_count() >= self.limits.processes {
                self.evict_processes();
            }
            self.processes.insert(new())
        });
        self.memo = Some((key, slot));
        slot
    }
}

#[cfg(test)]
mod tests;
