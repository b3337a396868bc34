//! Making room: which entries go when a table is full, and how they are accounted for.
//!
//! An eighth goes at a time, so that the cost of choosing is spread over many insertions.

use std::hash::BuildHasher;

use super::{Opens, hash_bytes};
use crate::model::slab::{Slab, Slot};
use crate::model::time::NS_PER_SEC;

/// Later means more worth keeping: when it was last used, and each doubling of the count
/// weighs as much as ten seconds.
fn worth(last_ns: u64, count: u64) -> u64 {
    last_ns.saturating_add(u64::from(count.max(1).ilog2()) * 10 * NS_PER_SEC)
}

/// The eighth (one at least) of `candidates` that is worth least.
fn least(mut candidates: Vec<(u64, Slot)>) -> Vec<Slot> {
    let n = (candidates.len() / 8).max(1).min(candidates.len());
    if n < candidates.len() {
        candidates.select_nth_unstable(n);
        candidates.truncate(n);
    }
    candidates.into_iter().map(|(_, slot)| slot).collect()
}

impl Opens {
    pub(super) fn evict_processes(&mut self) {
        let rank = |(slot, p): (Slot, &super::Process)| {
            let worth = worth(p.tally.last.0, p.tally.opens);
            (if p.ended.is_some() { worth / 2 } else { worth }, slot)
        };
        let victims = least(self.processes.iter().map(rank).collect());
        let mut files = Vec::new();
        for slot in victims {
            let Some(process) = self.processes.remove(slot) else { continue };
            let hash = self.hasher.hash_one(process.key);
            if let Ok(found) = self.by_key.find_entry(hash, |s| *s == slot) {
                found.remove();
            }
            self.let_go.processes += 1;
            self.let_go.opens = self.let_go.opens.saturating_add(process.tally.opens);
            self.let_go.failed = self.let_go.failed.saturating_add(process.tally.failed);
            files.extend(process.files);
        }
        self.memo = None;
        self.drop_files(&files, None);
    }

    pub(super) fn evict_files(&mut self) {
        let victims = least(rank_files(&self.files, self.files.iter().map(|(slot, _)| slot)));
        self.drop_files(&victims, None);
    }

    /// The same, but `path` stays though nobody may use it yet.
    pub(super) fn evict_files_but(&mut self, path: Slot) {
        let victims = least(rank_files(&self.files, self.files.iter().map(|(slot, _)| slot)));
        self.drop_files(&victims, Some(path));
    }

    pub(super) fn evict_files_of(&mut self, process: Slot) {
        let Some(held) = self.processes.get(process) else { return };
        let victims = least(rank_files(&self.files, held.files.iter().copied()));
        for slot in &victims {
            self.unlink_file(*slot, None);
        }
        self.drop_orphans();
    }

    pub(super) fn evict_failures(&mut self) {
        let rank = |(slot, f): (Slot, &super::Failure)| (worth(f.last.0, f.count), slot);
        let victims = least(self.failures.iter().map(rank).collect());
        self.drop_failures(&victims);
    }

    /// Drops the failures whose process or path has gone: nobody could be told of them.
    fn drop_orphans(&mut self) {
        let gone = |f: &super::Failure| {
            self.processes.get(f.process).is_none() || self.paths.get(f.path).is_none()
        };
        let orphans: Vec<Slot> =
            self.failures.iter().filter(|(_, f)| gone(f)).map(|(slot, _)| slot).collect();
        self.drop_failures(&orphans);
    }

    fn drop_failures(&mut self, victims: &[Slot]) {
        for slot in victims {
            let Some(f) = self.failures.remove(*slot) else { continue };
            self.let_go.failures += 1;
            let hash = self.hasher.hash_one((f.process, f.path, f.errno));
            if let Ok(found) = self.by_failure.find_entry(hash, |s| s == slot) {
                found.remove();
            }
        }
    }

    /// Drops many uses at once: the lists that name them are swept once.
    fn drop_files(&mut self, victims: &[Slot], keep: Option<Slot>) {
        for slot in victims {
            self.forget_file(*slot);
        }
        let files = &self.files;
        let mut fewer = Vec::new();
        for (slot, process) in self.processes.iter_mut() {
            let before = process.files.len();
            process.files.retain(|s| files.get(*s).is_some());
            fewer.push((slot, (before - process.files.len()) as u64));
        }
        for (slot, gone) in fewer.into_iter().filter(|(_, gone)| *gone > 0) {
            if let Some(process) = self.processes.get_mut(slot) {
                process.files_let_go += gone;
            }
        }
        let mut unused = Vec::new();
        for (slot, path) in self.paths.iter_mut() {
            path.users.retain(|s| files.get(*s).is_some());
            if path.users.is_empty() && keep != Some(slot) {
                unused.push(slot);
            }
        }
        for slot in unused {
            self.drop_path(slot);
        }
        self.drop_orphans();
    }

    /// Drops one use and takes it out of the lists that name it.
    fn unlink_file(&mut self, slot: Slot, keep: Option<Slot>) {
        let Some(file) = self.forget_file(slot) else { return };
        if let Some(process) = self.processes.get_mut(file.process) {
            process.files.retain(|s| *s != slot);
            process.files_let_go += 1;
        }
        let Some(path) = self.paths.get_mut(file.path) else { return };
        path.users.retain(|s| *s != slot);
        if path.users.is_empty() && keep != Some(file.path) {
            self.drop_path(file.path);
        }
    }

    fn forget_file(&mut self, slot: Slot) -> Option<super::FileUse> {
        let file = self.files.remove(slot)?;
        let hash = self.hasher.hash_one((file.process, file.path));
        if let Ok(found) = self.by_pair.find_entry(hash, |s| *s == slot) {
            found.remove();
        }
        self.let_go.files += 1;
        self.given_bytes = self.given_bytes.saturating_sub(file.given.bytes());
        Some(file)
    }

    fn drop_path(&mut self, slot: Slot) {
        let Some(path) = self.paths.remove(slot) else { return };
        self.path_bytes = self.path_bytes.saturating_sub(path.bytes.len());
        let hash = hash_bytes(&self.hasher, &path.bytes);
        if let Ok(found) = self.by_path.find_entry(hash, |s| *s == slot) {
            found.remove();
        }
    }
}

fn rank_files(files: &Slab<super::FileUse>, among: impl Iterator<Item = Slot>) -> Vec<(u64, Slot)> {
    among
        .filter_map(|slot| files.get(slot).map(|f| (worth(f.tally.last.0, f.tally.opens), slot)))
        .collect()
}
