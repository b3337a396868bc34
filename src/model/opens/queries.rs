//! Queries; nothing here changes the tables.

use super::{Evicted, Failure, FileUse, LiveOpen, Opens, Path, Process, ProcessKey, Tally};
use crate::model::history::{History, Meter};
use crate::model::open::OpenCounts;
use crate::model::slab::{Slab, Slot};

impl Opens {
    /// Everything that was counted.
    pub fn total(&self) -> &Tally {
        &self.total
    }

    /// Opens a second in the last interval.
    pub fn rate(&self) -> f64 {
        self.meter.rate(&self.ticks)
    }

    /// Failed opens a second in the last interval.
    pub fn fail_rate(&self) -> f64 {
        self.fail_meter.rate(&self.ticks)
    }

    /// Opens in each of the last seconds.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Failed opens in each of the last seconds.
    pub fn fail_history(&self) -> &History {
        &self.fail_history
    }

    /// Opens whose record was lost in the kernel or could not be read, or
    /// could not be written in time to the recording that is shown: the totals have them where
    /// it is known whose they were, the files do not.
    pub fn lost(&self) -> u64 {
        let sum = |c: OpenCounts| c.lost.saturating_add(c.malformed);
        sum(self.counts).saturating_sub(sum(self.counts_base)).saturating_add(self.missing)
    }

    /// Opens through io_uring without a path, since their request is not known.
    pub fn unnamed(&self) -> u64 {
        self.counts.unnamed.saturating_sub(self.counts_base.unnamed)
    }

    /// Opens by the reader's own process, which are left out: in none of the other numbers.
    pub fn own(&self) -> u64 {
        self.counts.own.saturating_sub(self.counts_base.own)
    }

    /// Opens of processes that the command line did not ask for: in none of the other numbers.
    pub fn left_out(&self) -> u64 {
        let skipped = self.counts.skipped.saturating_sub(self.counts_base.skipped);
        skipped.saturating_add(self.left_out)
    }

    /// Counts of evicted entries.
    pub fn evicted(&self) -> Evicted {
        self.evicted
    }

    /// A meter's rate on these tables' clock.
    pub fn rate_of(&self, meter: &Meter) -> f64 {
        meter.rate(&self.ticks)
    }

    /// The processes held.
    pub fn processes(&self) -> &Slab<Process> {
        self.processes.slab()
    }

    /// How many processes are held, without the entries for evicted ones.
    pub fn process_count(&self) -> usize {
        self.processes.len() - self.stand_ins.len()
    }

    /// How many processes use a path, at most: one whose use was evicted counts again when it comes back.
    pub fn users_of(&self, path: &Path) -> usize {
        path.users.iter().filter_map(|slot| self.files.get(*slot)).map(FileUse::uses).sum()
    }

    /// Whether uses of a path were evicted.
    pub fn has_evicted_users(&self, path: &Path) -> bool {
        let mut users = path.users.iter().filter_map(|slot| self.files.get(*slot));
        users.any(|file| file.evicted > 0)
    }

    /// The slot of a process.
    pub fn find(&self, key: ProcessKey) -> Option<Slot> {
        self.processes.find(key)
    }

    /// The paths held.
    pub fn paths(&self) -> &Slab<Path> {
        &self.paths
    }

    /// The path of this name.
    pub fn path_named(&self, name: &[u8]) -> Option<Slot> {
        self.paths.iter().find(|(_, path)| *path.bytes == *name).map(|(slot, _)| slot)
    }

    /// The paths of each process.
    pub fn files(&self) -> &Slab<FileUse> {
        self.files.slab()
    }

    /// A process's use of a path, if it is held.
    pub fn use_of(&self, process: Slot, path: Slot) -> Option<&FileUse> {
        self.files.get(self.use_slot(process, path)?)
    }

    /// The failures held.
    pub fn failures(&self) -> &Slab<Failure> {
        self.failures.slab()
    }

    /// The failures of a process at a path for a reason as one, which they are not in the table where it failed
    /// again after it was noted that the file was found elsewhere. The slot is that of the later ones, and
    /// so is what says whether the file was found. Evicted ones are several anyway.
    pub fn failures_by_path(&self) -> impl Iterator<Item = (Slot, Failure)> {
        let slots = self.failures.iter().map(|(slot, _)| slot);
        slots.filter_map(|slot| Some((slot, self.failure(slot)?)))
    }

    /// One of [`Self::failures_by_path`]; `None` for the earlier ones.
    pub fn failure(&self, slot: Slot) -> Option<Failure> {
        let mut failure = self.failures.get(slot)?.clone();
        let Failure { process, path, errno, found_elsewhere, .. } = failure;
        let other = self.failures.row((process, path, errno, !found_elsewhere));
        match other.filter(|_| failure.evicted == 0) {
            Some(_) if found_elsewhere => return None,
            Some(earlier) => failure.merge(earlier, &self.ticks),
            None => {}
        }
        Some(failure)
    }

    /// The last opens, oldest first.
    pub fn live(&self) -> impl DoubleEndedIterator<Item = &LiveOpen> + ExactSizeIterator {
        self.live.iter()
    }
}
