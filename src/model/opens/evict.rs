//! Eviction: which entries go when a table is full, and where their counts go.
//!
//! The counts of a row do not shrink while it is there. So the use of a path by a process is not
//! dropped but merged into that by its stand-in: an entry of `processes` for all evicted ones of one name,
//! user and cgroup ([`Process::is_stand_in`]). A path is merged into the rest of its directory
//! ([`Path::is_rest`]), the rest of a directory into that of the one above. Failures go the same ways.
//! So totals by file, directory and failure are exact under filters by name, user, cgroup, directory and
//! error; a filter by process id finds what is held.
//!
//! An eighth goes at a time, so that the cost of choosing is spread over many insertions.

use hashbrown::{HashMap, HashSet};

use super::entry::{Failure, FileUse, MAX_THREAD_NAMES, Path, Process, Tally};
use super::insert::hash_bytes;
use super::{LaterSuccess, Opens, RequestedPath};
use crate::model::open::Comm;
use crate::model::process::{NS_PER_TICK, ProcessKey};
use crate::model::slab::Slot;
use crate::model::table::Keyed;
use crate::model::time::NS_PER_SEC;

/// Entries that stand for evicted processes; those for which there is no further one share an entry
/// without a name.
const MOST_STAND_INS: usize = 1_024;

/// Passes over the paths to free enough: the rest of a directory moves up one level in each.
const MOST_PASSES: usize = 64;

/// Name, user and cgroup of processes.
pub(super) type StandIn = (Comm, u32, Option<u64>);

/// Later means more worth keeping: when it was last used, and each doubling of the count
/// weighs as much as ten seconds.
pub(super) fn worth(last_ns: u64, count: u64) -> u64 {
    last_ns.saturating_add(u64::from(count.max(1).ilog2()) * 10 * NS_PER_SEC)
}

/// The eighth (one at least) of `candidates` that is worth least.
pub(super) fn least(mut candidates: Vec<(u64, Slot)>) -> Vec<Slot> {
    let n = (candidates.len() / 8).max(1).min(candidates.len());
    if n < candidates.len() {
        candidates.select_nth_unstable(n);
        candidates.truncate(n);
    }
    candidates.into_iter().map(|(_, slot)| slot).collect()
}

/// Seven eighths: what is left of a table that was full.
fn after(limit: usize) -> usize {
    limit - (limit / 8).max(1).min(limit)
}

/// The path that stands for the evicted files of the directory of `path`, or, where that stands for
/// such files itself, of the directory above. `None`: there is none above.
pub(super) fn rest_of(path: &[u8]) -> Option<Vec<u8>> {
    let inside = match path.strip_suffix(&[0]) {
        Some(dir) => dir.strip_suffix(b"/").filter(|dir| !dir.is_empty())?,
        None => path,
    };
    let dir = inside.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    // No path has a NUL in it.
    Some([inside.get(..dir).unwrap_or_default(), &[0]].concat())
}

/// The failures whose files were found elsewhere, which is not noted yet.
fn newly_found<'a>(
    found: &LaterSuccess<'_>,
    failures: impl Iterator<Item = (Slot, &'a Failure)>,
) -> Vec<Slot> {
    let news = failures.filter(|(_, f)| !f.found_elsewhere && found.elsewhere(f));
    news.map(|(slot, _)| slot).collect()
}

impl Opens {
    pub(super) fn evict_processes(&mut self) {
        self.note_found();
        let rank = |(slot, p): (Slot, &Process)| {
            let worth = worth(p.tally.last.0, p.tally.opens);
            (if p.ended.is_some() { worth / 2 } else { worth }, slot)
        };
        let real = self.processes.iter().filter(|(_, p)| !p.is_stand_in());
        let victims: HashSet<Slot> = least(real.map(rank).collect()).into_iter().collect();
        self.move_failures(|f| victims.contains(&f.process).then_some(f.path));
        for slot in victims {
            self.leave(slot);
            let stand_in = self.stand_in_of(slot);
            let Some(process) = self.processes.remove(slot) else { continue };
            self.evicted.processes += 1;
            self.evicted.opens = self.evicted.opens.saturating_add(process.tally.opens);
            self.evicted.failed = self.evicted.failed.saturating_add(process.tally.failed);
            for file in process.files {
                let path = self.files.get(file).map(|f| f.path);
                if let Some(path) = path {
                    self.move_use(file, stand_in, path);
                }
            }
        }
        self.memo = None;
        self.sweep();
    }

    /// Makes room for uses, and in the text of paths; `keep` stays though no process may use it yet.
    pub(super) fn evict_files(&mut self, keep: Option<Slot>) {
        self.note_found();
        if self.files.len() > after(self.limits.files) {
            self.merge_shared_uses();
        }
        for _ in 0..MOST_PASSES {
            if !self.is_crowded() || !self.evict_paths(keep) {
                break;
            }
        }
    }

    /// Merges uses of paths that several processes have opened into those of stand-ins until there is room:
    /// those of ended processes first, of living ones an eighth at most.
    fn merge_shared_uses(&mut self) {
        let rank = |(slot, f): (Slot, &FileUse)| {
            let process = self.processes.get(f.process).filter(|p| !p.is_stand_in())?;
            let is_shared = self.paths.get(f.path).is_some_and(|p| p.users.len() > 1);
            let worth = worth(f.tally.last.0, f.tally.opens);
            is_shared.then_some((process.ended.is_none(), worth, slot))
        };
        let mut ranked: Vec<_> = self.files.iter().filter_map(rank).collect();
        ranked.sort_unstable();
        let ended = ranked.partition_point(|(lives, ..)| !lives);
        let most = ended + (ranked.len() - ended).div_ceil(8);
        for (_, _, slot) in ranked.into_iter().take(most) {
            if self.files.len() <= after(self.limits.files) {
                break;
            }
            self.move_to_stand_in(slot);
        }
        self.sweep();
    }

    /// Whether a process that has not ended has opened this path.
    fn is_used_by_living(&self, path: &Path) -> bool {
        let user = |slot: &Slot| self.processes.get(self.files.get(*slot)?.process);
        path.users.iter().filter_map(user).any(|p| !p.is_stand_in() && p.ended.is_none())
    }

    fn is_crowded(&self) -> bool {
        self.files.len() > after(self.limits.files)
            || self.path_bytes > after(self.limits.path_bytes)
    }

    /// Merges paths into the rests of their directories until there is room, files without a living process
    /// first; false where there are none.
    fn evict_paths(&mut self, keep: Option<Slot>) -> bool {
        let rank = |(slot, p): (Slot, &Path)| {
            let above = keep != Some(slot) && rest_of(&p.bytes).is_some();
            let worth = || worth(p.tally.last.0, p.tally.opens);
            above.then(|| (p.is_rest() || self.is_used_by_living(p), worth(), slot))
        };
        let mut ranked: Vec<_> = self.paths.iter().filter_map(rank).collect();
        ranked.sort_unstable();
        let mut moved: HashMap<Slot, Slot> = HashMap::new();
        for (_, _, slot) in ranked {
            if !self.is_crowded() {
                break;
            }
            if let Some(rest) = self.move_path(slot) {
                moved.insert(slot, rest);
            }
        }
        self.move_failures(|f| {
            let mut path = *moved.get(&f.path)?;
            // The rest may have moved up by now as well.
            while let Some(above) = moved.get(&path) {
                path = *above;
            }
            Some(path)
        });
        self.sweep();
        !moved.is_empty()
    }

    /// Makes room in the list of one process.
    pub(super) fn evict_in(&mut self, process: Slot) {
        let Some(held) = self.processes.get(process).filter(|p| !p.is_stand_in()) else { return };
        let ranked = held.files.iter().filter_map(|slot| {
            self.files.get(*slot).map(|f| (worth(f.tally.last.0, f.tally.opens), *slot))
        });
        let victims = least(ranked.collect());
        // Once for an eighth of its files, as the sweep, and where it has failed at all.
        if held.tally.failed > 0 {
            let own = self.failures.iter().filter(|(_, f)| f.process == process);
            let news = newly_found(&LaterSuccess::of(self, HashSet::from([process])), own);
            self.mark_found(news, true);
        }
        for slot in &victims {
            self.move_to_stand_in(*slot);
        }
        let files = &self.files;
        if let Some(process) = self.processes.get_mut(process) {
            process.files.retain(|s| files.get(*s).is_some());
            process.files_evicted += victims.len() as u64;
        }
        self.sweep_users();
    }

    pub(super) fn evict_failures(&mut self) {
        self.note_found();
        let rank = |(slot, f): (Slot, &Failure)| (worth(f.last.0, f.count), slot);
        let victims = least(self.failures.iter().map(rank).collect());
        let moves = victims.into_iter().filter_map(|s| Some((s, self.failures.get(s)?.path)));
        self.move_failures_to(moves.collect());
        for _ in 0..MOST_PASSES {
            if self.failures.len() <= after(self.limits.failures) {
                break;
            }
            let movable =
                |f: &Failure| self.paths.get(f.path).is_some_and(|p| rest_of(&p.bytes).is_some());
            let candidates = self.failures.iter().filter(|(_, f)| movable(f));
            let mut ranked: Vec<(u64, Slot)> = candidates.map(rank).collect();
            ranked.sort_unstable();
            ranked.truncate(self.failures.len() - after(self.limits.failures));
            let mut moves = Vec::new();
            for (_, slot) in ranked {
                let path = self.failures.get(slot).and_then(|f| self.paths.get(f.path));
                if let Some(rest) = path.and_then(|p| rest_of(&p.bytes)) {
                    moves.push((slot, self.rest_slot(&rest)));
                }
            }
            if moves.is_empty() {
                break;
            }
            self.move_failures_to(moves);
        }
        if self.failures.len() > after(self.limits.failures) {
            // No path is left to merge: whether a file was found is forgotten last.
            let found = self.failures.iter().filter(|(_, f)| f.found_elsewhere);
            let found = found.map(|(slot, _)| slot).collect();
            self.mark_found(found, false);
        }
    }

    /// The entry that stands for the evicted processes that are like this one.
    pub(super) fn stand_in_of(&mut self, slot: Slot) -> Slot {
        let Some(process) = self.processes.get(slot).filter(|p| !p.is_stand_in()) else {
            return slot;
        };
        let mut like = (process.name, process.uid, process.cgroup_id);
        let threads = process.threads.clone();
        if self.stand_ins.len() >= MOST_STAND_INS && !self.stand_ins.contains_key(&like) {
            like = (Comm::default(), u32::MAX, None);
        }
        let held = self.stand_ins.get(&like).copied().unwrap_or_else(|| {
            let start_boottime_ns = self.stand_ins.len() as u64 * NS_PER_TICK;
            let key = ProcessKey { tgid: 0, start_boottime_ns };
            let (name, uid, cgroup_id) = like;
            let entry = Process { name, uid, cgroup_id, ..Process::empty(key) };
            let slot = self.processes.insert(entry);
            self.stand_ins.insert(like, slot);
            slot
        });
        let known = self.processes.get(held).map_or(&[][..], |p| &p.threads);
        if threads.iter().any(|name| !known.contains(name))
            && known.len() < MAX_THREAD_NAMES
            && let Some(entry) = self.processes.get_mut(held)
        {
            for name in threads {
                if entry.threads.len() < MAX_THREAD_NAMES && !entry.threads.contains(&name) {
                    entry.threads.push(name);
                }
            }
        }
        held
    }

    /// The path of that name that stands for evicted files.
    fn rest_slot(&mut self, rest: &[u8]) -> Slot {
        let hash = hash_bytes(&self.hasher, rest);
        let paths = &self.paths;
        let same = |s: &Slot| paths.get(*s).is_some_and(|p| *p.bytes == *rest);
        if let Some(slot) = self.by_path.find(hash, same) {
            return *slot;
        }
        self.insert_path(rest, Tally::default())
    }

    fn move_to_stand_in(&mut self, slot: Slot) {
        let Some((process, path)) = self.files.get(slot).map(|f| (f.process, f.path)) else {
            return;
        };
        let stand_in = self.stand_in_of(process);
        self.move_use(slot, stand_in, path);
    }

    /// Merges a use into that of another process or path. The lists that name it are swept later.
    fn move_use(&mut self, slot: Slot, process: Slot, path: Slot) {
        let Some(file) = self.files.remove(slot) else { return };
        self.evicted.files += u64::from(file.evicted == 0);
        self.given_bytes = self.given_bytes.saturating_sub(file.given.bytes());
        let evicted = file.evicted.max(1);
        if let Some(to) = self.use_slot(process, path)
            && let Some(into) = self.files.get_mut(to)
        {
            if file.tally.last >= into.tally.last {
                into.last_ret = file.last_ret;
            }
            into.tally.merge(&file.tally);
            into.meter.merge(&file.meter, &self.ticks);
            into.last_good = into.last_good.max(file.last_good);
            into.evicted = into.evicted.saturating_add(evicted);
        } else {
            let given = RequestedPath::default();
            self.insert_use(FileUse { process, path, given, evicted, ..file });
        }
    }

    /// Merges a path into the rest of its directory, which it gives.
    fn move_path(&mut self, slot: Slot) -> Option<Slot> {
        let rest = rest_of(&self.paths.get(slot)?.bytes)?;
        let to = self.rest_slot(&rest);
        for user in self.paths.get(slot)?.users.clone() {
            if let Some(process) = self.files.get(user).map(|f| f.process) {
                let stand_in = self.stand_in_of(process);
                self.move_use(user, stand_in, to);
            }
        }
        let path = self.remove_path(slot)?;
        let into = self.paths.get_mut(to)?;
        if !path.tally.is_empty() {
            if path.tally.last >= into.tally.last {
                into.last_ret = path.last_ret;
            }
            match into.tally.is_empty() {
                true => into.tally = path.tally,
                false => into.tally.merge(&path.tally),
            }
        }
        into.meter.merge(&path.meter, &self.ticks);
        into.evicted = into.evicted.saturating_add(path.evicted.max(1));
        Some(to)
    }

    /// Merges the failures for which `to` has a path into those of their stand-ins there.
    fn move_failures(&mut self, to: impl Fn(&Failure) -> Option<Slot>) {
        let moves = self.failures.iter().filter_map(|(slot, f)| Some((slot, to(f)?))).collect();
        self.move_failures_to(moves);
    }

    fn move_failures_to(&mut self, moves: Vec<(Slot, Slot)>) {
        for (slot, path) in moves {
            let Some(process) = self.failures.get(slot).map(|f| f.process) else { continue };
            let process = self.stand_in_of(process);
            let Some(f) = self.failures.remove(slot) else { continue };
            self.evicted.failures += u64::from(f.evicted == 0);
            self.put_failure(Failure { process, path, evicted: f.evicted.max(1), ..f });
        }
    }

    /// Merges a failure into the one with the same key, or inserts it.
    fn put_failure(&mut self, f: Failure) {
        let same = self.failures.find(f.key());
        let Some(into) = same.and_then(|slot| self.failures.get_mut(slot)) else {
            self.failures.insert(f);
            return;
        };
        into.merge(&f, &self.ticks);
    }

    /// Notes which files that could not be opened were found elsewhere, before eviction makes that unknown.
    fn note_found(&mut self) {
        let news = newly_found(&LaterSuccess::new(self), self.failures.iter());
        self.mark_found(news, true);
    }

    /// Marks failures as found elsewhere or not, which is part of their key.
    fn mark_found(&mut self, slots: Vec<Slot>, found_elsewhere: bool) {
        for slot in slots {
            if let Some(f) = self.failures.remove(slot) {
                self.put_failure(Failure { found_elsewhere, ..f });
            }
        }
    }

    /// Takes uses that have gone out of the lists that name them.
    fn sweep(&mut self) {
        let files = &self.files;
        let mut fewer = Vec::new();
        for (slot, process) in self.processes.iter_mut() {
            let before = process.files.len();
            process.files.retain(|s| files.get(*s).is_some());
            fewer.push((slot, (before - process.files.len()) as u64, process.is_stand_in()));
        }
        for (slot, gone, stand_in) in fewer {
            if gone > 0
                && !stand_in
                && let Some(process) = self.processes.get_mut(slot)
            {
                process.files_evicted += gone;
            }
        }
        self.sweep_users();
    }

    fn sweep_users(&mut self) {
        let files = &self.files;
        for (_, path) in self.paths.iter_mut() {
            path.users.retain(|s| files.get(*s).is_some());
        }
    }

    fn remove_path(&mut self, slot: Slot) -> Option<Path> {
        let path = self.paths.remove(slot)?;
        self.path_bytes = self.path_bytes.saturating_sub(path.bytes.len());
        let hash = hash_bytes(&self.hasher, &path.bytes);
        if let Ok(found) = self.by_path.find_entry(hash, |s| *s == slot) {
            found.remove();
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::rest_of;

    #[test]
    fn the_rest_of_a_directory_moves_up() {
        let mut at = b"/usr/lib/x.so".to_vec();
        let mut rests = Vec::new();
        while let Some(rest) = rest_of(&at) {
            rests.push(String::from_utf8(rest.clone()).unwrap());
            at = rest;
        }
        assert_eq!(rests, ["/usr/lib/\0", "/usr/\0", "/\0"]);
        assert_eq!(rest_of(b"a/b"), Some(b"a/\0".to_vec()));
        assert_eq!(rest_of(b"a/\0"), Some(b"\0".to_vec()));
        assert_eq!((rest_of(b"a"), rest_of(b"\0")), (Some(b"\0".to_vec()), None));
        assert_eq!((rest_of(b""), rest_of(b"/")), (Some(b"\0".to_vec()), Some(b"/\0".to_vec())));
    }
}
