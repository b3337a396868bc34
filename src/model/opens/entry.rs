//! Entries of the tables: a process, a file, a process's use of a file, and a failure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::requested_path::RequestedPath;
use crate::model::file_io::{FileIo, IoTally};
use crate::model::history::{History, Meter, Ticks};
use crate::model::io_history::{Counting, IoHistory};
use crate::model::open::{Comm, LostOpens, OpenMeta};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// Names of threads kept of one process.
pub const MAX_THREAD_NAMES: usize = 8;

/// Counts of opens and failures, and their times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Every open.
    pub opens: u64,
    /// Failed opens.
    pub failed: u64,
    /// The first one.
    pub first: Mono,
    /// The last one.
    pub last: Mono,
    /// How long they took, where that is measured.
    pub latency: Latency,
    /// Bytes and calls read and written, where these are counted.
    pub io: IoTally,
}

/// How long the timed opens took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were timed.
    pub timed: u64,
    /// The sum of all durations, ns.
    pub sum_ns: u64,
    /// The longest duration, ns.
    pub max_ns: u64,
}

impl Latency {
    #[inline]
    fn add(&mut self, ns: u64) {
        self.timed += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Both together.
    pub fn merge(&mut self, other: &Latency) {
        self.timed = self.timed.saturating_add(other.timed);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The mean; `None` where nothing was timed.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.timed)
    }
}

impl Tally {
    /// A tally with its first open still to come, at `at`.
    pub(super) fn starting(at: Mono) -> Self {
        Self { first: at, last: at, ..Self::default() }
    }

    #[inline]
    pub(super) fn add(&mut self, meta: &OpenMeta) {
        self.opens = self.opens.saturating_add(1);
        self.failed = self.failed.saturating_add(u64::from(meta.ret < 0));
        self.last = self.last.max(meta.at);
        if let Some(ns) = meta.latency_ns {
            self.latency.add(ns);
        }
    }

    pub(super) fn add_lost(&mut self, opens: u64, failed: u64, now: Mono) {
        self.opens = self.opens.saturating_add(opens);
        self.failed = self.failed.saturating_add(failed);
        self.last = self.last.max(now);
    }

    /// Both together.
    pub fn merge(&mut self, other: &Tally) {
        self.opens += other.opens;
        self.failed += other.failed;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.latency.merge(&other.latency);
        self.io.merge(&other.io);
    }

    /// Counts bytes and calls of the interval with this number, which ended at `at`.
    pub(super) fn add_io(&mut self, one: &FileIo, interval: u32, at: Mono) {
        self.io.add(&one.counts, &one.times, interval);
        self.last = self.last.max(at);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.opens == 0 && self.io.is_none()
    }

    /// The share of opens that failed, 0 to 1.
    pub fn failed_share(&self) -> f64 {
        if self.opens == 0 { 0.0 } else { self.failed as f64 / self.opens as f64 }
    }
}

/// One process and what it opened.
#[derive(Clone, Debug)]
pub struct Process {
    pub key: ProcessKey,
    /// The group leader's name, as last seen.
    pub name: Comm,
    /// Other names its threads had.
    pub threads: Vec<Comm>,
    pub ppid: u32,
    pub uid: u32,
    pub cgroup_id: Option<u64>,
    pub tally: Tally,
    pub meter: Meter,
    pub fail_meter: Meter,
    pub history: History,
    /// Of bytes, where these are counted.
    pub io_history: IoHistory,
    /// When it was found to have ended.
    pub ended: Option<Mono>,
    /// Its files, in the order in which they were first opened.
    pub files: Vec<Slot>,
    /// Files that were evicted.
    pub files_evicted: u64,
    /// The program for which the last open counted.
    pub(super) program: Option<Slot>,
    /// Counts under earlier names.
    pub(super) earlier: Earlier,
}

/// The part of a process's counts that is older than its present name and cgroup.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Earlier {
    pub opens: u64,
    pub failed: u64,
    pub(super) io: IoTally,
    pub(super) meter: Meter,
}

impl Process {
    pub(super) fn new(meta: &OpenMeta) -> Self {
        Self {
            name: meta.process,
            ppid: meta.ppid,
            uid: meta.uid,
            cgroup_id: meta.cgroup_id,
            tally: Tally::starting(meta.at),
            ..Self::empty(ProcessKey::of(meta))
        }
    }

    /// One of which nothing but losses is known yet.
    pub(super) fn unseen(lost: &LostOpens, at: Mono) -> Self {
        let (tgid, start_boottime_ns) = (lost.tgid, lost.start_boottime_ns);
        Self {
            name: lost.process,
            uid: lost.uid,
            tally: Tally::starting(at),
            ..Self::empty(ProcessKey { tgid, start_boottime_ns })
        }
    }

    /// One of which nothing but its key is known yet.
    pub(super) fn empty(key: ProcessKey) -> Self {
        Self {
            key,
            name: Comm::default(),
            threads: Vec::new(),
            ppid: 0,
            uid: 0,
            cgroup_id: None,
            tally: Tally::default(),
            meter: Meter::default(),
            fail_meter: Meter::default(),
            history: History::default(),
            io_history: IoHistory::default(),
            ended: None,
            files: Vec::new(),
            files_evicted: 0,
            program: None,
            earlier: Earlier::default(),
        }
    }

    /// Takes over what may have changed since the last open; name and cgroup came with the program.
    #[inline]
    pub(super) fn refresh(&mut self, meta: &OpenMeta) {
        self.ppid = meta.ppid;
        self.uid = meta.uid;
        if meta.comm != meta.process
            && self.threads.len() < MAX_THREAD_NAMES
            && !self.threads.contains(&meta.comm)
        {
            self.threads.push(meta.comm);
        }
        if self.ended.is_some_and(|at| meta.at > at) {
            self.ended = None;
        }
    }

    /// The last minute; `None` where there is none of that.
    pub fn past(&self, of: Counting) -> Option<&History> {
        match of {
            Counting::Opens => Some(&self.history),
            Counting::Bytes(direction) => self.io_history.of(direction),
        }
    }

    /// Whether this is no process but stands for evicted ones of one name, user and cgroup: it has their
    /// counts, files and failures, and the counts of processes that have another name since.
    pub fn is_stand_in(&self) -> bool {
        self.key.tgid == 0
    }

    /// Every name it goes by: its own first.
    pub fn names(&self) -> ([&[u8]; MAX_THREAD_NAMES + 1], usize) {
        let mut names: [&[u8]; MAX_THREAD_NAMES + 1] = [&[]; MAX_THREAD_NAMES + 1];
        let mut n = 0;
        let all = std::iter::once(&self.name).chain(&self.threads);
        for (to, name) in names.iter_mut().zip(all) {
            *to = name.as_bytes();
            n += 1;
        }
        (names, n)
    }
}

/// One path, whoever opened it.
#[derive(Clone, Debug)]
pub struct Path {
    pub bytes: Box<[u8]>,
    pub tally: Tally,
    pub meter: Meter,
    /// As of a process.
    pub io_history: IoHistory,
    /// Result of the last open: a descriptor, or a negated errno.
    pub last_ret: i32,
    /// The uses of it by processes.
    pub users: Vec<Slot>,
    /// How many evicted files this stands for, at most: one that comes back and is evicted again counts again.
    /// 0: it is a file.
    pub evicted: u64,
}

impl Path {
    /// Whether this is no file but stands for evicted ones of one directory: its text is the directory's
    /// with a slash and a NUL.
    pub fn is_rest(&self) -> bool {
        self.bytes.last() == Some(&0)
    }

    /// The text for people: `/dir/ (12 evicted)` for evicted files, `/dir/ (evicted)` where failures alone
    /// refer to it.
    pub fn label(&self) -> Cow<'_, [u8]> {
        let evicted = match self.evicted {
            0 => " (evicted)".to_owned(),
            n => format!(" ({n} evicted)"),
        };
        match self.bytes.strip_suffix(&[0]) {
            Some(dir) => [dir, evicted.as_bytes()].concat().into(),
            None => (&*self.bytes).into(),
        }
    }
}

/// One process's use of one path.
#[derive(Clone, Debug)]
pub struct FileUse {
    pub process: Slot,
    pub path: Slot,
    pub tally: Tally,
    pub meter: Meter,
    /// Result of the last open: a descriptor, or a negated errno.
    pub last_ret: i32,
    /// The path as the program passed it to the last open.
    pub given: RequestedPath,
    /// When it was last opened with success.
    pub last_good: Option<Mono>,
    /// How many evicted uses this stands for; 0: it is a use.
    pub evicted: u32,
}

impl FileUse {
    /// How many uses this is.
    pub fn uses(&self) -> usize {
        self.evicted.max(1) as usize
    }
}

/// One process's failures to open one path for one reason.
#[derive(Clone, Debug)]
pub struct Failure {
    pub process: Slot,
    pub path: Slot,
    pub errno: i32,
    pub count: u64,
    pub meter: Meter,
    pub first: Mono,
    pub last: Mono,
    /// How many evicted failures this stands for; 0: it is one.
    pub evicted: u32,
    /// The process opened a file of the same name in another directory later: noted before eviction makes
    /// that unknown.
    pub found_elsewhere: bool,
}

impl Failure {
    /// How many failures of a process to open a path this is.
    pub fn failures(&self) -> usize {
        self.evicted.max(1) as usize
    }

    /// Both together.
    pub(super) fn merge(&mut self, other: &Self, ticks: &Ticks) {
        self.count = self.count.saturating_add(other.count);
        self.meter.merge(&other.meter, ticks);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.evicted = self.evicted.saturating_add(other.evicted);
    }
}

/// Stands for a descriptor where there is none: a direct io_uring open.
pub const NO_FD: i32 = i32::MAX;

/// One open of the live feed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LiveOpen {
    /// Its number since the start, from 0.
    pub number: u64,
    pub at: Mono,
    pub process: Slot,
    pub path: Option<Slot>,
    pub comm: Comm,
    pub ret: i32,
    pub flags: Option<u64>,
    pub latency_ns: Option<u64>,
}
