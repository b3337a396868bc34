//! Programs: the processes of one name in one cgroup, counted together.
//!
//! An open counts for the name and the cgroup that its process has at that moment. So the counts of a
//! program stay exact whatever becomes of its processes: they end, are evicted, or run another program.
//! A process keeps the handle of its program, so an open costs no lookup by name.

use serde::{Deserialize, Serialize};

use super::Opens;
use super::entry::{Earlier, Process, Tally};
use super::evict::{least, worth};
use crate::model::history::{History, Meter, Ticks};
use crate::model::io_history::{Counting, IoHistory};
use crate::model::open::Comm;
use crate::model::slab::{Slab, Slot};
use crate::model::time::Mono;

/// The name and the cgroup that the processes of a program share.
///
/// Rows by unit or by container add up programs whose cgroups belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgramKey {
    /// The name of the process, that of its group leader.
    pub name: Comm,
    pub cgroup_id: Option<u64>,
}

impl ProgramKey {
    /// Stands for evicted programs: no process has an empty name.
    pub const EVICTED: Self = Self { name: Comm([0; 16]), cgroup_id: Some(u64::MAX) };
}

/// The opens of all processes of a program, from the first on.
#[derive(Clone, Debug)]
pub struct Program {
    pub key: ProgramKey,
    pub tally: Tally,
    pub meter: Meter,
    pub fail_meter: Meter,
    pub history: History,
    /// Of bytes, where these are counted.
    pub io_history: IoHistory,
    /// Processes so far, those included that ended or were evicted. A process that runs one program
    /// after the other counts in both.
    pub processes: u64,
    /// How many evicted programs this stands for; 0: it is a program.
    pub evicted: u64,
}

impl Program {
    pub(super) fn new(key: ProgramKey, at: Mono) -> Self {
        Self { tally: Tally::starting(at), ..Self::empty(key) }
    }

    pub(super) fn empty(key: ProgramKey) -> Self {
        Self {
            key,
            tally: Tally::default(),
            meter: Meter::default(),
            fail_meter: Meter::default(),
            history: History::default(),
            io_history: IoHistory::default(),
            processes: 0,
            evicted: 0,
        }
    }

    /// See [`Process::past`].
    pub fn past(&self, of: Counting) -> Option<&History> {
        match of {
            Counting::Opens => Some(&self.history),
            Counting::Bytes(direction) => self.io_history.of(direction),
        }
    }

    fn merge(&mut self, other: &Self, ticks: &Ticks) {
        self.tally.merge(&other.tally);
        self.meter.merge(&other.meter, ticks);
        self.fail_meter.merge(&other.fail_meter, ticks);
        self.processes = self.processes.saturating_add(other.processes);
        self.evicted = self.evicted.saturating_add(other.evicted.max(1));
    }
}

impl Process {
    /// The program that the process runs now.
    pub fn program_key(&self) -> ProgramKey {
        ProgramKey { name: self.name, cgroup_id: self.cgroup_id }
    }

    /// The process's part in the counts of its present program. The times, the latency and
    /// the longest call are those of all that the process did.
    pub fn part(&self) -> Tally {
        Tally {
            opens: self.tally.opens.saturating_sub(self.earlier.opens),
            failed: self.tally.failed.saturating_sub(self.earlier.failed),
            io: self.tally.io.since(&self.earlier.io),
            ..self.tally
        }
    }

    fn part_meter(&self, ticks: &Ticks) -> Meter {
        let mut meter = self.meter;
        meter.take_out(&self.earlier.meter, ticks);
        meter
    }
}

impl Opens {
    /// The programs, and among them the one that stands for evicted ones.
    pub fn programs(&self) -> &Slab<Program> {
        &self.programs
    }

    /// The program that a process runs now, or that an entry for evicted processes stands for;
    /// `None` if it was evicted.
    pub fn program_of(&self, process: &Process) -> Option<Slot> {
        let held = process.program.filter(|slot| self.programs.get(*slot).is_some());
        held.or_else(|| self.by_program.get(&process.program_key()).copied())
    }

    /// Opens per second by a process under its present name.
    pub fn part_rate(&self, process: &Process) -> f64 {
        process.part_meter(&self.ticks).rate(&self.ticks)
    }

    /// The program for which an open by a process counts that has this name and cgroup now.
    #[inline]
    pub(super) fn program_at(&mut self, process: Slot, key: ProgramKey, at: Mono) -> Slot {
        if let Some(p) = self.processes.get(process)
            && let Some(program) = p.program
            && p.program_key() == key
            && self.programs.get(program).is_some()
        {
            return program;
        }
        self.join(process, key, at)
    }

    /// The program that a process runs, as far as is known.
    pub(super) fn present_program(&mut self, process: Slot, at: Mono) -> Option<Slot> {
        let key = self.processes.get(process)?.program_key();
        Some(self.program_at(process, key, at))
    }

    /// Makes a process one of a program.
    #[cold]
    fn join(&mut self, process: Slot, key: ProgramKey, at: Mono) -> Slot {
        let renamed = |p: &Process| p.program.is_some() && p.program_key() != key;
        if self.processes.get(process).is_some_and(renamed) {
            self.leave(process);
        }
        let program = self.program_slot(key, at);
        if let Some(entry) = self.programs.get_mut(program) {
            entry.processes = entry.processes.saturating_add(1);
        }
        if let Some(p) = self.processes.get_mut(process) {
            p.program = Some(program);
            (p.name, p.cgroup_id) = (key.name, key.cgroup_id);
        }
        program
    }

    /// Counts the process's part in its program for the entry that stands for evicted processes: it is
    /// about to be evicted, or to run another program.
    pub(super) fn leave(&mut self, process: Slot) {
        let stand_in = self.stand_in_of(process);
        let Some(p) = self.processes.get_mut(process).filter(|p| !p.is_stand_in()) else { return };
        let (part, meter) = (p.part(), p.part_meter(&self.ticks));
        let (opens, failed, io) = (p.tally.opens, p.tally.failed, p.tally.io.clone());
        p.earlier = Earlier { opens, failed, io, meter: p.meter };
        let Some(into) = self.processes.get_mut(stand_in).filter(|_| !part.is_empty()) else {
            return;
        };
        match into.tally.is_empty() {
            true => into.tally = part,
            false => into.tally.merge(&part),
        }
        into.meter.merge(&meter, &self.ticks);
    }

    fn program_slot(&mut self, key: ProgramKey, at: Mono) -> Slot {
        if let Some(slot) = self.by_program.get(&key) {
            return *slot;
        }
        if self.programs.len() >= self.limits.programs {
            self.evict_programs();
        }
        let slot = self.programs.insert(Program::new(key, at));
        self.by_program.insert(key, slot);
        slot
    }

    /// Merges the eighth of the programs that is worth least into one entry: those without a process
    /// that lives first.
    fn evict_programs(&mut self) {
        let living = self.processes.iter().filter(|(_, p)| p.ended.is_none() && !p.is_stand_in());
        let living: hashbrown::HashSet<Slot> = living.filter_map(|(_, p)| p.program).collect();
        let rank = |(slot, p): (Slot, &Program)| {
            let worth = worth(p.tally.last.0, p.tally.opens);
            (if living.contains(&slot) { worth } else { worth / 2 }, slot)
        };
        let real = self.programs.iter().filter(|(_, p)| p.evicted == 0);
        let victims = least(real.map(rank).collect());
        for slot in victims {
            let Some(program) = self.programs.remove(slot) else { continue };
            self.by_program.remove(&program.key);
            self.evicted.programs += 1;
            let key = ProgramKey::EVICTED;
            let to = self.by_program.get(&key).copied().unwrap_or_else(|| {
                let Tally { first, last, .. } = program.tally;
                let tally = Tally { first, last, ..Tally::default() };
                let slot = self.programs.insert(Program { tally, ..Program::empty(key) });
                self.by_program.insert(key, slot);
                slot
            });
            if let Some(into) = self.programs.get_mut(to) {
                into.merge(&program, &self.ticks);
            }
        }
    }
}
