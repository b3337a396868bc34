//! Undo records for stepping back in time.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{
    Evicted, Failure, FileUse, IoState, LiveOpen, Opens, Path, Process, ProcessKey, Program, Tally,
};
use crate::model::history::{History, Meter, Ticks};
use crate::model::io_history::IoHistory;
use crate::model::open::OpenCounts;
use crate::model::slab::Slot;
use crate::model::table::Keyed;
use crate::model::undo::{Reading, Undoable, Window, Writing};

/// Sums and the live feed when the turn began.
#[derive(Clone, Debug)]
pub(super) struct TurnStart {
    sums: Sums,
    history: History,
    fail_history: History,
    io_history: IoHistory,
    live: VecDeque<LiveOpen>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sums {
    ticks: Ticks,
    total: Tally,
    meter: Meter,
    fail_meter: Meter,
    evicted: Evicted,
    io: IoState,
    counts: OpenCounts,
    counts_base: OpenCounts,
    left_out: u64,
    live_next: u64,
}

impl TurnStart {
    fn of(opens: &Opens) -> Self {
        Self {
            sums: Sums {
                ticks: opens.ticks,
                total: opens.total.clone(),
                meter: opens.meter,
                fail_meter: opens.fail_meter,
                evicted: opens.evicted,
                io: opens.io,
                counts: opens.counts,
                counts_base: opens.counts_base,
                left_out: opens.left_out,
                live_next: opens.live_next,
            },
            history: opens.history.clone(),
            fail_history: opens.fail_history.clone(),
            io_history: opens.io_history.clone(),
            live: opens.live.clone(),
        }
    }

    /// All but the opens that the live feed still has.
    fn write(&self, now: &VecDeque<LiveOpen>, to: &mut Writing) {
        to.put(&self.sums);
        self.history.write(to);
        self.fail_history.write(to);
        self.io_history.write(to);
        let numbers = |live: &VecDeque<LiveOpen>| {
            live.front().map_or(0, |l| l.number)..live.back().map_or(0, |l| l.number + 1)
        };
        let there = numbers(now);
        to.put(&numbers(&self.live));
        let gone: Vec<_> = self.live.iter().filter(|l| !there.contains(&l.number)).collect();
        to.put(&gone);
    }
}

impl Opens {
    /// Writes the undo records since the last call, and begins the next turn: see
    /// [`crate::model::slab::Slab::changes`].
    pub fn changes(&mut self, window: Window, to: &mut Writing) {
        let now = TurnStart::of(self);
        self.turn_start.take().unwrap_or_else(|| Box::new(now.clone())).write(&now.live, to);
        self.turn_start = Some(Box::new(now));
        self.processes.changes(window, to);
        self.paths.changes(window, to);
        self.files.changes(window, to);
        self.failures.changes(window, to);
        self.programs.changes(window, to);
    }

    /// Goes back by what [`Opens::changes`] wrote next. [`Opens::settle`] has to follow before
    /// the tables are read; opens cannot be counted any more.
    pub fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let sums: Sums = from.get()?;
        self.ticks = sums.ticks;
        self.total = sums.total;
        self.meter = sums.meter;
        self.fail_meter = sums.fail_meter;
        self.evicted = sums.evicted;
        self.io = sums.io;
        self.counts = sums.counts;
        self.counts_base = sums.counts_base;
        self.left_out = sums.left_out;
        self.live_next = sums.live_next;
        self.history.read(from)?;
        self.fail_history.read(from)?;
        self.io_history.read(from)?;
        let numbers: std::ops::Range<u64> = from.get()?;
        let gone: Vec<LiveOpen> = from.get()?;
        self.live.retain(|l| numbers.contains(&l.number));
        self.live.extend(gone);
        self.live.make_contiguous().sort_unstable_by_key(|l| l.number);
        self.processes.go_back(from)?;
        self.paths.go_back(from)?;
        self.files.go_back(from)?;
        self.failures.go_back(from)?;
        self.programs.go_back(from)
    }

    /// Works out what was not written: the files of a process, the users of a path, processes and
    /// programs by key.
    pub fn settle(&mut self) {
        self.by_program = self.programs.iter().map(|(slot, p)| (p.key, slot)).collect();
        let stand_ins = self.processes.iter().filter(|(_, p)| p.is_stand_in());
        self.stand_ins = stand_ins.map(|(slot, p)| ((p.name, p.uid, p.cgroup_id), slot)).collect();
        self.processes.settle();
        self.files.settle();
        self.failures.settle();
        self.processes.iter_mut().for_each(|(_, p)| p.files.clear());
        self.paths.iter_mut().for_each(|(_, p)| p.users.clear());
        let mut slots: Vec<Slot> = self.files.iter().map(|(slot, _)| slot).collect();
        slots.sort_unstable_by_key(|s| s.order());
        for slot in slots {
            let Some(file) = self.files.get(slot) else { continue };
            if let Some(process) = self.processes.unnoted_mut(file.process) {
                process.files.push(slot);
            }
            if let Some(path) = self.paths.unnoted_mut(file.path) {
                path.users.push(slot);
            }
        }
    }
}

impl Keyed for Process {
    type Key = ProcessKey;

    fn key(&self) -> ProcessKey {
        self.key
    }
}

impl Keyed for FileUse {
    type Key = (Slot, Slot);

    fn key(&self) -> Self::Key {
        (self.process, self.path)
    }
}

impl Keyed for Failure {
    type Key = (Slot, Slot, i32, bool);

    fn key(&self) -> Self::Key {
        (self.process, self.path, self.errno, self.found_elsewhere)
    }
}

impl Undoable for Process {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&self.key);
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        Some(Self::empty(from.get()?))
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(self.name, &self.threads, self.ppid, self.uid, self.cgroup_id));
        to.put(&(&self.tally, self.meter, self.fail_meter, self.ended, self.files_evicted));
        to.put(&(self.program, &self.earlier));
        self.history.write(to);
        self.io_history.write(to);
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.name, self.threads, self.ppid, self.uid, self.cgroup_id) = from.get()?;
        (self.tally, self.meter, self.fail_meter, self.ended, self.files_evicted) = from.get()?;
        (self.program, self.earlier) = from.get()?;
        self.history.read(from)?;
        self.io_history.read(from)
    }
}

impl Undoable for Program {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&self.key);
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        Some(Self::empty(from.get()?))
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(&self.tally, self.meter, self.fail_meter, self.processes, self.evicted));
        self.history.write(to);
        self.io_history.write(to);
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.tally, self.meter, self.fail_meter, self.processes, self.evicted) = from.get()?;
        self.history.read(from)?;
        self.io_history.read(from)
    }
}

impl Undoable for Path {
    fn write_fixed(&self, to: &mut Writing) {
        to.part(&self.bytes);
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        let bytes = from.part()?.0.into();
        let (tally, meter, io_history, users) = Default::default();
        Some(Self { bytes, tally, meter, io_history, last_ret: 0, users, evicted: 0 })
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(&self.tally, self.meter, self.last_ret, self.evicted));
        self.io_history.write(to);
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.tally, self.meter, self.last_ret, self.evicted) = from.get()?;
        self.io_history.read(from)
    }
}

impl Undoable for FileUse {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&(self.process, self.path));
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        let (process, path) = from.get()?;
        let (tally, meter, given) = Default::default();
        Some(Self { process, path, tally, meter, last_ret: 0, given, last_good: None, evicted: 0 })
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(
            &self.tally,
            self.meter,
            self.last_ret,
            &self.given,
            self.last_good,
            self.evicted,
        ));
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.tally, self.meter, self.last_ret, self.given, self.last_good, self.evicted) =
            from.get()?;
        Some(())
    }
}

impl Undoable for Failure {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&self.key());
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        let (process, path, errno, found_elsewhere) = from.get()?;
        let (count, meter, first, last, evicted) = Default::default();
        Some(Self { process, path, errno, count, meter, first, last, evicted, found_elsewhere })
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(self.count, self.meter, self.first, self.last, self.evicted));
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.count, self.meter, self.first, self.last, self.evicted) = from.get()?;
        Some(())
    }
}
