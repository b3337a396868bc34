//! Finds the entry of a path, of a use or of a failure, or inserts one, where a full table evicts another one.

use std::hash::{BuildHasher, Hash};

use hashbrown::DefaultHashBuilder;

use super::{Failure, FileUse, Opens, Path, RequestedPath, Tally};
use crate::model::history::Meter;
use crate::model::io_history::IoHistory;
use crate::model::open::Open;
use crate::model::slab::Slot;
use crate::model::time::Mono;

impl Opens {
    pub(super) fn add_file(
        &mut self,
        open: &Open<'_>,
        process: Slot,
        bytes: &[u8],
        ret: i32,
    ) -> Slot {
        let path = self.path_slot(bytes, open.meta.at);
        if let Some(entry) = self.paths.get_mut(path) {
            entry.tally.add(open.meta);
            entry.meter.add(&self.ticks, 1);
            entry.last_ret = ret;
        }
        let file = self.file_slot(process, path, open.meta.at);
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

    pub(super) fn path_slot(&mut self, bytes: &[u8], at: Mono) -> Slot {
        let hash = hash_bytes(&self.hasher, bytes);
        let paths = &self.paths;
        let same = |s: &Slot| paths.get(*s).is_some_and(|p| *p.bytes == *bytes);
        if let Some(slot) = self.by_path.find(hash, same) {
            return *slot;
        }
        if self.path_bytes + bytes.len() > self.limits.path_bytes {
            self.evict_files(None);
        }
        self.insert_path(bytes, Tally::starting(at))
    }

    pub(super) fn insert_path(&mut self, bytes: &[u8], tally: Tally) -> Slot {
        self.path_bytes += bytes.len();
        let slot = self.paths.insert(Path {
            bytes: bytes.into(),
            tally,
            meter: Meter::default(),
            io_history: IoHistory::default(),
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

    pub(super) fn file_slot(&mut self, process: Slot, path: Slot, at: Mono) -> Slot {
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
            tally: Tally::starting(at),
            meter: Meter::default(),
            last_ret: 0,
            given: RequestedPath::Same,
            last_good: None,
            evicted: 0,
        })
    }

    pub(super) fn use_slot(&self, process: Slot, path: Slot) -> Option<Slot> {
        self.files.find((process, path))
    }

    pub(super) fn insert_use(&mut self, file: FileUse) -> Slot {
        let (process, path) = (file.process, file.path);
        let slot = self.files.insert(file);
        if let Some(p) = self.processes.get_mut(process) {
            p.files.push(slot);
        }
        if let Some(p) = self.paths.get_mut(path) {
            p.users.push(slot);
        }
        slot
    }

    fn add_failure(&mut self, open: &Open<'_>, process: Slot, path: Slot, errno: i32) {
        let slot = self.failures.find((process, path, errno, false)).unwrap_or_else(|| {
            if self.failures.len() >= self.limits.failures {
                self.evict_failures();
            }
            let at = open.meta.at;
            let (count, meter, evicted) = (0, Meter::default(), 0);
            self.failures.insert(Failure {
                process,
                path,
                errno,
                count,
                meter,
                first: at,
                last: at,
                evicted,
                found_elsewhere: false,
            })
        });
        if let Some(failure) = self.failures.get_mut(slot) {
            failure.count += 1;
            failure.meter.add(&self.ticks, 1);
            failure.last = failure.last.max(open.meta.at);
        }
    }
}

/// Bytes without the length prefix that `Hash` for slices adds: one pass, no copy.
pub(super) fn hash_bytes(hasher: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    bytes.hash(&mut state);
    std::hash::Hasher::finish(&state)
}
