//! Entries of the table as uses of files: pure, and proof against odd ones.

use crate::bpf::io::types::{io_counts, io_entry, io_key, io_times};
use crate::model::call_times::{self, CallTimes};
use crate::model::file_io::{FileIo, FilePlace, FileType, IoCounts};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::probes::opens::names::Names;
use crate::probes::opens::record::kind_of;

/// The use that an entry counts.
pub(super) fn file_io(
    key: &io_key,
    entry: &io_entry,
    times: Option<&io_times>,
    names: &Names,
) -> FileIo {
    let kind = kind_of(entry.resolved).unwrap_or_default();
    let place = kind.and_then(|kind| {
        let path = names.get(entry.place)?.into();
        Some(FilePlace { kind, path })
    });
    FileIo {
        key: ProcessKey { tgid: key.tgid, start_boottime_ns: key.start_boottime_ns },
        process: Comm(entry.process),
        uid: entry.uid,
        cgroup_id: (entry.cgroup_id != 0).then_some(entry.cgroup_id),
        file_type: FileType::of_mode(entry.r#type),
        place,
        counts: counts(&entry.counts),
        times: times.filter(|times| times.max_ns > 0).map(|times| Box::new(call_times(times))),
    }
}

fn call_times(times: &io_times) -> CallTimes {
    let counts = times.counts.iter().map(|n| u64::from(*n));
    CallTimes::new(times.max_ns, times.slow.into(), counts)
}

pub(super) fn counts(counts: &io_counts) -> IoCounts {
    IoCounts {
        read_bytes: counts.read_bytes,
        written_bytes: counts.written_bytes,
        read_calls: counts.read_calls,
        write_calls: counts.write_calls,
    }
}

/// Uses of one file by one process, by several descriptors, as one.
pub(super) fn merge(uses: Vec<FileIo>) -> Vec<FileIo> {
    let mut merged: hashbrown::HashMap<(ProcessKey, Option<FilePlace>, u8), FileIo> =
        hashbrown::HashMap::with_capacity(uses.len());
    for one in uses {
        let key = (one.key, one.place.clone(), one.file_type as u8);
        match merged.entry(key) {
            hashbrown::hash_map::Entry::Occupied(mut held) => {
                let held = held.get_mut();
                held.counts += one.counts;
                call_times::merge(&mut held.times, &one.times);
            }
            hashbrown::hash_map::Entry::Vacant(place) => {
                place.insert(one);
            }
        }
    }
    let mut uses: Vec<FileIo> = merged.into_values().collect();
    uses.sort_by(|a, b| {
        let bytes = |one: &FileIo| std::cmp::Reverse(one.counts.bytes());
        let path = |one: &FileIo| one.place.as_ref().map(|place| place.path.clone());
        bytes(a)
            .cmp(&bytes(b))
            .then_with(|| a.key.tgid.cmp(&b.key.tgid))
            .then_with(|| path(a).cmp(&path(b)))
    });
    uses
}
