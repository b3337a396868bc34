//! Entries of the table as uses of files: pure, and proof against odd ones.

use std::cmp::Reverse;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::bpf::io::types::{io_counts, io_entry, io_key, io_last, io_times};
use crate::model::call_times::{self, CallTimes};
use crate::model::file_io::{FileIo, FilePlace, FileType, IoCounts};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::probes::opens::names::Names;
use crate::probes::opens::record::kind_of;

/// The uses of an interval: each process's use of a path once, however many descriptors it was by, and
/// each path once in memory, however many processes use it. A process that took another name, user or cgroup
/// in the interval has a use under each.
#[derive(Debug, Default)]
pub(super) struct Uses {
    uses: Vec<FileIo>,
    /// Indexes in `uses`.
    found: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The path of each place. The same path has another place in each epoch.
    by_place: HashMap<u64, Option<Arc<[u8]>>>,
    paths: HashSet<Arc<[u8]>>,
}

impl Uses {
    /// Adds what an entry counts.
    pub(super) fn add(
        &mut self,
        key: &io_key,
        entry: &io_entry,
        times: Option<&io_times>,
        names: &Names,
    ) {
        let kind = kind_of(entry.resolved).unwrap_or_default();
        let times = times.filter(|times| times.max_ns > 0).map(|times| Box::new(call_times(times)));
        let one = FileIo {
            key: ProcessKey { tgid: key.tgid, start_boottime_ns: key.start_boottime_ns },
            process: Comm(entry.process),
            uid: entry.uid,
            cgroup_id: (entry.cgroup_id != 0).then_some(entry.cgroup_id),
            file_type: FileType::of_mode(entry.r#type),
            place: kind
                .zip(self.path(entry.place, names))
                .map(|(kind, path)| FilePlace { kind, path }),
            counts: counts(&entry.counts),
            times,
        };
        let Self { uses, found, hasher, .. } = self;
        let hash = |one: &FileIo| hasher.hash_one(identity(one));
        let held = |at: &u32| uses.get(*at as usize);
        let same = |at: &u32| held(at).is_some_and(|held| identity(held) == identity(&one));
        if let Some(at) = found.find(hash(&one), same).copied() {
            if let Some(held) = uses.get_mut(at as usize) {
                held.counts += one.counts;
                call_times::merge(&mut held.times, &one.times);
            }
            return;
        }
        // Never more: the table in the kernel has fewer entries.
        let Ok(at) = u32::try_from(uses.len()) else { return };
        found.insert_unique(hash(&one), at, |at| held(at).map_or(0, hash));
        uses.push(one);
    }

    /// One in memory for all places that have it.
    fn path(&mut self, place: u64, names: &Names) -> Option<Arc<[u8]>> {
        let Self { by_place, paths, .. } = self;
        let find = || {
            let path = names.get(place)?;
            if !paths.contains(path) {
                paths.insert(Arc::from(path));
            }
            paths.get(path).cloned()
        };
        by_place.entry(place).or_insert_with(find).clone()
    }

    /// The uses, the largest first.
    pub(super) fn into_sorted(self) -> Vec<FileIo> {
        let mut uses = self.uses;
        let path = |one: &FileIo| one.place.as_ref().map(|place| place.path.clone());
        uses.sort_by(|a, b| {
            let bytes = |one: &FileIo| Reverse(one.counts.bytes());
            bytes(a)
                .cmp(&bytes(b))
                .then_with(|| a.key.tgid.cmp(&b.key.tgid))
                .then_with(|| path(a).cmp(&path(b)))
        });
        uses
    }
}

/// What distinguishes a use from others, but its path is compared as the place in memory.
fn identity(one: &FileIo) -> impl Hash + PartialEq {
    let place = one.place.as_ref().map(|place| (place.kind, place.path.as_ptr()));
    (one.key, one.process, one.uid, one.cgroup_id, one.file_type, place)
}

fn call_times(times: &io_times) -> CallTimes {
    let counts = times.counts.iter().map(|n| u64::from(*n));
    CallTimes::new(times.max_ns, times.slow.into(), counts)
}

/// Adds `more`, of other calls.
pub(super) fn add(sum: &mut io_counts, more: &io_counts) {
    sum.read_bytes = sum.read_bytes.saturating_add(more.read_bytes);
    sum.written_bytes = sum.written_bytes.saturating_add(more.written_bytes);
    sum.read_calls = sum.read_calls.saturating_add(more.read_calls);
    sum.write_calls = sum.write_calls.saturating_add(more.write_calls);
}

/// The counts of a CPU's record of reads, or of writes.
pub(super) fn of_last(record: &io_last, writes: bool) -> io_counts {
    let io_last { bytes, calls, .. } = *record;
    match writes {
        false => io_counts { read_bytes: bytes, read_calls: calls, ..Default::default() },
        true => io_counts { written_bytes: bytes, write_calls: calls, ..Default::default() },
    }
}

pub(super) fn counts(counts: &io_counts) -> IoCounts {
    IoCounts {
        read_bytes: counts.read_bytes,
        written_bytes: counts.written_bytes,
        read_calls: counts.read_calls,
        write_calls: counts.write_calls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::opens::names::Place;

    fn entry(place: u64, read_bytes: u64) -> io_entry {
        let counts = io_counts { read_bytes, read_calls: 1, ..Default::default() };
        io_entry { counts, place, resolved: 1, r#type: 8, ..Default::default() }
    }

    fn key(tgid: u32, file: u64) -> io_key {
        io_key { tgid, file, ..Default::default() }
    }

    #[test]
    fn a_file_is_one_use_of_a_process_by_whatever_descriptor_and_place() {
        let mut names = Names::default();
        // The second key is that of another epoch.
        names.insert(7, 0, Place::Tree(b"log\0var\0"));
        names.insert(9, 0, Place::Tree(b"log\0var\0"));
        let mut uses = Uses::default();
        let times = io_times { max_ns: 5, slow: 1, ..Default::default() };
        uses.add(&key(1, 1), &entry(7, 10), None, &names);
        uses.add(&key(1, 2), &entry(7, 20), Some(&times), &names);
        uses.add(&key(1, 3), &entry(9, 30), Some(&times), &names);
        uses.add(&key(2, 1), &entry(9, 5), None, &names);
        // Not known, and another kind.
        uses.add(&key(1, 4), &entry(8, 1), None, &names);
        uses.add(&key(1, 5), &io_entry { resolved: 2, ..entry(7, 2) }, None, &names);
        let uses = uses.into_sorted();
        let of = |one: &FileIo| (one.key.tgid, one.counts.read_bytes, one.counts.read_calls);
        assert_eq!(
            uses.iter().map(of).collect::<Vec<_>>(),
            [(1, 60, 3), (2, 5, 1), (1, 2, 1), (1, 1, 1)]
        );
        assert_eq!(uses[0].times.as_ref().map(|times| times.slow), Some(2));
        assert_eq!(uses[3].place, None);
    }

    #[test]
    fn a_process_that_takes_another_name_or_cgroup_has_a_use_under_each() {
        let mut names = Names::default();
        names.insert(7, 0, Place::Tree(b"log\0var\0"));
        let mut uses = Uses::default();
        let named = io_entry { process: *b"sh\0\0\0\0\0\0\0\0\0\0\0\0\0\0", ..entry(7, 20) };
        let moved = io_entry { cgroup_id: 5, ..entry(7, 30) };
        for one in [entry(7, 10), named, moved, named] {
            uses.add(&key(1, 1), &one, None, &names);
        }
        let uses = uses.into_sorted();
        let of =
            |one: &FileIo| (one.counts.read_bytes, one.process.as_bytes().len(), one.cgroup_id);
        assert_eq!(
            uses.iter().map(of).collect::<Vec<_>>(),
            [(40, 2, None), (30, 0, Some(5)), (10, 0, None)]
        );
    }

    #[test]
    fn a_path_is_in_memory_once_however_many_processes_use_it() {
        const PROCESSES: u32 = 65_536;
        let name = [vec![b'x'; 4_000], vec![0]].concat();
        let mut names = Names::default();
        names.insert(7, 0, Place::Tree(&name));
        let mut uses = Uses::default();
        for tgid in 1..=PROCESSES {
            uses.add(&key(tgid, 1), &entry(7, 1), None, &names);
        }
        let uses = uses.into_sorted();
        assert_eq!(uses.len(), PROCESSES as usize);
        let first = uses[0].place.as_ref().unwrap();
        assert_eq!(first.path.len(), 4_001);
        // 262 MB, if each had its own.
        assert!(uses.iter().all(|one| Arc::ptr_eq(&one.place.as_ref().unwrap().path, &first.path)));
        assert_eq!(Arc::strong_count(&first.path), PROCESSES as usize);
    }
}
