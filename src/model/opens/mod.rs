//! Which process opens which files: exact totals, bounded tables.
//!
//! Owns the processes, the paths, which process uses which path, the failures, and the last
//! opens. What has to make room is counted: totals stay exact, and what the held entries do
//! not account for is in [`Opens::let_go`].

mod entry;
mod evict;
mod later_success;
mod queries;
mod requested_path;
mod undo;

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

pub use super::process::ProcessKey;
pub use entry::{
    Failure, FileUse, Latency, LiveOpen, MAX_THREAD_NAMES, NO_FD, Path, Process, Tally,
};
pub use later_success::LaterSuccess;
pub use requested_path::RequestedPath;

use super::history::{History, Meter, Ticks};
use super::open::{Comm, LostOpens, Open, OpenBatch, OpenCounts};
use super::slab::{Slab, Slot};
use super::time::Mono;

/// Sizes of the tables. A full one evicts the oldest and smallest entries, an eighth at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub processes: usize,
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
pub struct LetGo {
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
    processes: Slab<Process>,
    by_key: HashTable<Slot>,
    paths: Slab<Path>,
    by_path: HashTable<Slot>,
    path_bytes: usize,
    given_bytes: usize,
    files: Slab<FileUse>,
    by_pair: HashTable<Slot>,
    failures: Slab<Failure>,
    by_failure: HashTable<Slot>,
    live: std::collections::VecDeque<LiveOpen>,
    live_next: u64,
    /// The process of the last open: the next one is often its own.
    memo: Option<(ProcessKey, Slot)>,
    /// The entries that stand for evicted processes.
    programs: HashMap<evict::Program, Slot>,
    total: Tally,
    meter: Meter,
    fail_meter: Meter,
    history: History,
    fail_history: History,
    let_go: LetGo,
    counts: OpenCounts,
    counts_base: OpenCounts,
    /// Opens of processes that were not asked for, as far as the kernel reported them.
    left_out: u64,
    /// Opens that a recording has not.
    missing: u64,
    /// Losses of each process as reported last: cumulative since the start.
    lost_told: HashMap<ProcessKey, (u64, u64)>,
    /// Sums when the turn began, where changes are noted for stepping back.
    told: Option<Box<undo::Told>>,
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
        let told = std::mem::take(&mut self.lost_told);
        for lost in lost_by {
            let key = ProcessKey { tgid: lost.tgid, start_boottime_ns: lost.start_boottime_ns };
            self.lost_told.insert(key, (lost.opens, lost.failed));
            let (before, failed_before) = told.get(&key).copied().unwrap_or_default();
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
        self.process_slot(key, || {
            let tally = Tally::starting(at);
            Process { name, uid, tally, ..Process::empty(key) }
        });
    }

    /// Ends the interval that is under way.
    pub fn tick(&mut self, now: Mono) {
        self.ticks.tick(now);
    }

    /// Notes that a process has ended. It stays, marked, until it has to make room.
    pub fn process_ended(&mut self, key: ProcessKey, at: Mono) {
        let hash = self.hasher.hash_one(key);
        let processes = &self.processes;
        let found =
            self.by_key.find(hash, |s| processes.get(*s).is_some_and(|p| p.key == key)).copied();
        if let Some(process) = found.and_then(|s| self.processes.get_mut(s)) {
            process.ended.get_or_insert(at);
        }
    }

    /// Starts the counts again; losses before are not counted any more either.
    pub fn restart(&mut self) {
        let counts = self.counts;
        let ticks = self.ticks;
        let lost_told = std::mem::take(&mut self.lost_told);
        *self = Self {
            counts,
            counts_base: counts,
            ticks,
            lost_told,
            ..Self::with_limits(self.limits)
        };
    }

    /// The counts so far: later ones are differences to these.
    pub fn counted_before(&self) -> Before {
        let lost = self.lost_told.iter().map(|(key, (opens, failed))| (*key, *opens, *failed));
        Before { counts: self.counts, lost: lost.collect() }
    }

    /// Counts only what comes after that.
    pub fn begin_after(&mut self, before: Before) {
        (self.counts, self.counts_base) = (before.counts, before.counts);
        self.lost_told = before.lost.into_iter().map(|(key, o, f)| (key, (o, f))).collect();
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
        let hash = self.hasher.hash_one(key);
        let processes = &self.processes;
        let found =
            self.by_key.find(hash, |s| processes.get(*s).is_some_and(|p| p.key == key)).copied();
        let slot = found.unwrap_or_else(|| {
            if self.process_count() >= self.limits.processes {
                self.evict_processes();
            }
            let slot = self.processes.insert(new());
            let (processes, hasher) = (&self.processes, &self.hasher);
            self.by_key.insert_unique(hash, slot, |s| {
                processes.get(*s).map_or(0, |p| hasher.hash_one(p.key))
            });
            slot
        });
        self.memo = Some((key, slot));
        slot
    }

    fn add_file(&mut self, open: &Open<'_>, process: Slot, bytes: &[u8], ret: i32) -> Slot {
        let path = self.path_slot(open, bytes);
        if let Some(entry) = self.paths.get_mut(path) {
            entry.tally.add(open.meta);
            entry.meter.add(&self.ticks, 1);
            entry.last_ret = ret;
        }
        let file = self.file_slot(open, process, path);
        if let Some(entry) = self.files.get_mut(file) {
            entry.tally.add(open.meta);
            entry.meter.add(&self.ticks, 1);
            entry.last_ret = ret;
            if ret >= 0 {
                entry.last_good = Some(open.meta.at);
            }
            let budget = self.limits.given_bytes;
            entry.given.set(open.path, bytes, &mut self.given_bytes, budget);
        }
        if let Some(errno) = open.meta.errno() {
            self.add_failure(open, process, path, errno);
        }
        path
    }

    fn path_slot(&mut self, open: &Open<'_>, bytes: &[u8]) -> Slot {
        let hash = hash_bytes(&self.hasher, bytes);
        let paths = &self.paths;
        let same = |s: &Slot| paths.get(*s).is_some_and(|p| *p.bytes == *bytes);
        if let Some(slot) = self.by_path.find(hash, same) {
            return *slot;
        }
        if self.path_bytes + bytes.len() > self.limits.path_bytes {
            self.evict_files(None);
        }
        self.insert_path(bytes, Tally::starting(open.meta.at))
    }

    fn insert_path(&mut self, bytes: &[u8], tally: Tally) -> Slot {
        self.path_bytes += bytes.len();
        let slot = self.paths.insert(Path {
            bytes: bytes.into(),
            tally,
            meter: Meter::default(),
            last_ret: 0,
            users: Vec::new(),
            evicted: 0,
        });
        let (paths, hasher) = (&self.paths, &self.hasher);
        self.by_path.insert_unique(hash_bytes(hasher, bytes), slot, |s| {
            paths.get(*s).map_or(0, |p| hash_bytes(hasher, &p.bytes))
        });
        slot
    }

    fn file_slot(&mut self, open: &Open<'_>, process: Slot, path: Slot) -> Slot {
        if let Some(slot) = self.use_slot(process, path) {
            return slot;
        }
        if self.processes.get(process).is_some_and(|p| p.files.len() >= self.limits.files_of_one) {
            self.evict_in(process);
        }
        if self.files.len() >= self.limits.files {
            self.evict_files(Some(path));
        }
        self.insert_use(FileUse {
            process,
            path,
            tally: Tally::starting(open.meta.at),
            meter: Meter::default(),
            last_ret: 0,
            given: RequestedPath::Same,
            last_good: None,
            evicted: 0,
        })
    }

    fn use_slot(&self, process: Slot, path: Slot) -> Option<Slot> {
        let hash = self.hasher.hash_one((process, path));
        let same = |f: &FileUse| f.path == path && f.process == process;
        self.by_pair.find(hash, |s| self.files.get(*s).is_some_and(same)).copied()
    }

    fn insert_use(&mut self, file: FileUse) -> Slot {
        let (process, path) = (file.process, file.path);
        let hash = self.hasher.hash_one((process, path));
        let slot = self.files.insert(file);
        let (files, hasher) = (&self.files, &self.hasher);
        self.by_pair.insert_unique(hash, slot, |s| {
            files.get(*s).map_or(0, |f| hasher.hash_one((f.process, f.path)))
        });
        if let Some(p) = self.processes.get_mut(process) {
            p.files.push(slot);
        }
        if let Some(p) = self.paths.get_mut(path) {
            p.users.push(slot);
        }
        slot
    }

    fn add_failure(&mut self, open: &Open<'_>, process: Slot, path: Slot, errno: i32) {
        let slot = self.failure_slot(process, path, errno).unwrap_or_else(|| {
            if self.failures.len() >= self.limits.failures {
                self.evict_failures();
            }
            let at = open.meta.at;
            let (count, meter, evicted) = (0, Meter::default(), 0);
            self.insert_failure(Failure {
                process,
                path,
                errno,
                count,
                meter,
                first: at,
                last: at,
                evicted,
            })
        });
        if let Some(failure) = self.failures.get_mut(slot) {
            failure.count += 1;
            failure.meter.add(&self.ticks, 1);
            failure.last = failure.last.max(open.meta.at);
        }
    }
}

impl Opens {
    fn failure_slot(&self, process: Slot, path: Slot, errno: i32) -> Option<Slot> {
        let hash = self.hasher.hash_one((process, path, errno));
        let same = |f: &Failure| f.errno == errno && f.path == path && f.process == process;
        self.by_failure.find(hash, |s| self.failures.get(*s).is_some_and(same)).copied()
    }

    fn insert_failure(&mut self, failure: Failure) -> Slot {
        let hash = self.hasher.hash_one((failure.process, failure.path, failure.errno));
        let slot = self.failures.insert(failure);
        let (failures, hasher) = (&self.failures, &self.hasher);
        self.by_failure.insert_unique(hash, slot, |s| {
            failures.get(*s).map_or(0, |f| hasher.hash_one((f.process, f.path, f.errno)))
        });
        slot
    }
}

/// Bytes without the length prefix that `Hash` for slices adds: one pass, no copy.
fn hash_bytes(hasher: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    bytes.hash(&mut state);
    std::hash::Hasher::finish(&state)
}

#[cfg(test)]
mod tests;
