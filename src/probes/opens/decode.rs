//! Records of the ring, read: pure, and proof against short and odd ones.

use std::collections::{HashSet, VecDeque};

use super::changes;
use super::names::{Names, Place};
use super::record::{Malformed, head_and_texts, kind_of, tried};
use crate::bpf::opens::types::{
    exit_record, name_head, name_place, open_bits, open_head, open_syscall, record_kind,
};
use crate::model::file_change::FileChange;
use crate::model::open::{Comm, Ended, OpenBatch, OpenMeta, ResolvedKind, Syscall};
use crate::model::process::ProcessKey;
use crate::model::process_event::{Args, ExitStatus, ProcessAction, ProcessEvent};
use crate::model::time::Mono;
use crate::sys::records::{NAME_HEAD_BYTES, OPEN_HEAD_BYTES};

/// Decodes records into a batch, and keeps the names that opens refer to.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Opens and ends since it was taken last.
    pub(super) batch: OpenBatch,
    /// Starts of programs and ends of processes since they were taken last.
    pub(super) processes: Vec<ProcessEvent>,
    /// Changes of files since they were taken last.
    pub(super) changes: Vec<FileChange>,
    /// The names of files.
    pub(super) names: Names,
    /// A 32-bit program was started.
    pub(super) compat_came: bool,
    /// Records that could not be read.
    pub(super) malformed: u64,
    /// Of these: changes of files.
    pub(super) malformed_changes: u64,
    ends: RecentEnds,
    tried: Vec<u8>,
}

/// How many ends are remembered: far more than come between two of one process.
const RECENT_ENDS: usize = 4096;

/// Processes whose end was reported lately. Two threads that end together may both find that no
/// other is left by the time the tracepoint is reached.
#[derive(Debug, Default)]
struct RecentEnds {
    known: HashSet<(u32, u64)>,
    order: VecDeque<(u32, u64)>,
}

impl RecentEnds {
    fn is_first(&mut self, ended: &Ended) -> bool {
        let process = (ended.tgid, ended.start_boottime_ns);
        if !self.known.insert(process) {
            return false;
        }
        if self.order.len() >= RECENT_ENDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(process);
        true
    }
}

impl Decoder {
    /// Takes a record in; one that cannot be read is counted.
    pub(super) fn take_in(&mut self, record: &[u8]) {
        if self.decode(record).is_err() {
            self.malformed += 1;
        }
    }

    fn decode(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let kind = record.first_chunk().map(|b| u32::from_ne_bytes(*b)).ok_or(Malformed)?;
        match record_kind(kind) {
            record_kind::RECORD_OPEN => self.open(record),
            record_kind::RECORD_NAME => take_name(&mut self.names, record),
            record_kind::RECORD_EXIT => {
                let exit: &exit_record = plain::from_bytes(record).map_err(|_| Malformed)?;
                self.end(exit.tgid, exit.start_boottime_ns, exit.ts_ns);
                Ok(())
            }
            record_kind::RECORD_EXEC => self.exec(record),
            record_kind::RECORD_ENDED => {
                let head: &open_head = plain::from_bytes(record).map_err(|_| Malformed)?;
                if self.end(head.tgid, head.start_boottime_ns, head.ts_ns) {
                    let action = ProcessAction::Exit(ExitStatus(head.mode));
                    self.processes.push(process_event(head, action));
                }
                Ok(())
            }
            record_kind::RECORD_CHANGE => {
                let change = changes::decode(record, &self.names, &mut self.tried);
                self.malformed_changes += u64::from(change.is_err());
                self.changes.push(change?);
                Ok(())
            }
            record_kind::RECORD_COMPAT => {
                self.compat_came = true;
                Ok(())
            }
            _ => Err(Malformed),
        }
    }

    /// Takes the end of a process; false where it is known already.
    fn end(&mut self, tgid: u32, start_boottime_ns: u64, ts_ns: u64) -> bool {
        let ended = Ended { tgid, start_boottime_ns, at: Mono(ts_ns) };
        let is_first = self.ends.is_first(&ended);
        if is_first {
            self.batch.ended.push(ended);
        }
        is_first
    }

    fn exec(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let (head, tail) = head_and_texts::<open_head>(record, OPEN_HEAD_BYTES)?;
        let text = tail.get(..usize::from(head.path_len)).ok_or(Malformed)?;
        let has_args = u32::from(head.bits) & open_bits::OPEN_HAS_PATH.0 != 0;
        let args = has_args.then(|| Args { text: text.into(), bytes: head.flags });
        let executable = self.names.get(head.key).map(Into::into);
        self.processes.push(process_event(head, ProcessAction::Exec { args, executable }));
        Ok(())
    }

    fn open(&mut self, record: &[u8]) -> Result<(), Malformed> {
        let (head, tail) = head_and_texts::<open_head>(record, OPEN_HEAD_BYTES)?;
        let syscall = syscall(head.syscall).ok_or(Malformed)?;
        let path = tail.get(..usize::from(head.path_len)).ok_or(Malformed)?;
        let has = |bit: open_bits| u32::from(head.bits) & bit.0 != 0;
        let meta = OpenMeta {
            at: Mono(head.ts_ns),
            tgid: head.tgid,
            tid: head.tid,
            ppid: head.ppid,
            uid: head.uid,
            start_boottime_ns: head.start_boottime_ns,
            comm: Comm(head.names.comm),
            process: Comm(head.names.process),
            syscall,
            flags: has(open_bits::OPEN_HAS_FLAGS).then_some(head.flags),
            mode: head.mode,
            ret: head.ret,
            slot: has(open_bits::OPEN_HAS_SLOT).then_some(head.slot),
            latency_ns: has(open_bits::OPEN_HAS_LATENCY).then_some(head.latency_ns),
            cgroup_id: (head.cgroup_id != 0).then_some(head.cgroup_id),
        };
        let path = has(open_bits::OPEN_HAS_PATH).then_some(path);
        let place =
            kind_of(head.resolved)?.and_then(|kind| Some((kind, self.names.get(head.key)?)));
        let resolved = match place {
            Some((ResolvedKind::Tried, base)) => {
                let tried = path.is_some_and(|path| tried(&mut self.tried, base, path));
                tried.then_some((ResolvedKind::Tried, self.tried.as_slice()))
            }
            place => place,
        };
        self.batch.push(meta, path, resolved);
        Ok(())
    }
}

/// Takes a name record into `names`.
pub(in crate::probes) fn take_name(names: &mut Names, record: &[u8]) -> Result<(), Malformed> {
    let (head, tail) = head_and_texts::<name_head>(record, NAME_HEAD_BYTES)?;
    names.insert(head.key, head.epoch, place_of(head, tail)?);
    Ok(())
}

/// The path in a record of a name, which may begin at any address.
pub(in crate::probes) fn path_of_name(record: &[u8]) -> Result<Box<[u8]>, Malformed> {
    let mut head = name_head::default();
    plain::copy_from_bytes(&mut head, record).map_err(|_| Malformed)?;
    let mut path = Vec::new();
    place_of(&head, record.get(NAME_HEAD_BYTES..).ok_or(Malformed)?)?.write(&mut path);
    Ok(path.into())
}

fn place_of<'a>(head: &name_head, tail: &'a [u8]) -> Result<Place<'a>, Malformed> {
    let text = tail.get(..head.names_len as usize).ok_or(Malformed)?;
    Ok(match name_place(head.place) {
        name_place::PLACE_TREE => Place::Tree(text),
        name_place::PLACE_NAMED => Place::Named(text),
        name_place::PLACE_NUMBERED => Place::Numbered(text, head.ino),
        name_place::PLACE_ANON_INODE => Place::AnonInode(text),
        _ => return Err(Malformed),
    })
}

fn process_event(head: &open_head, action: ProcessAction) -> ProcessEvent {
    ProcessEvent {
        at: Mono(head.ts_ns),
        key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
        ppid: head.ppid,
        uid: head.uid,
        comm: Comm(head.names.comm),
        process: Comm(head.names.process),
        cgroup_id: (head.cgroup_id != 0).then_some(head.cgroup_id),
        age_ns: head.latency_ns,
        action,
    }
}

/// The call of a record; `None` for a number that no call has.
pub(super) fn syscall(number: u8) -> Option<Syscall> {
    Some(match open_syscall(u32::from(number)) {
        open_syscall::CALL_OPEN => Syscall::Open,
        open_syscall::CALL_OPENAT => Syscall::Openat,
        open_syscall::CALL_OPENAT2 => Syscall::Openat2,
        open_syscall::CALL_CREAT => Syscall::Creat,
        open_syscall::CALL_OPEN_BY_HANDLE_AT => Syscall::OpenByHandleAt,
        open_syscall::CALL_IO_URING => Syscall::IoUring,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::PATH_MAX;
    use super::*;
    use crate::sys::records::bytes_of;

    /// The words of a record: aligned as the ring's records are.
    fn words(bytes: &[u8]) -> Vec<u64> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.chunks(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect()
    }

    fn open(path: &[u8], edit: impl FnOnce(&mut open_head)) -> Vec<u8> {
        let mut head = open_head {
            record: record_kind::RECORD_OPEN.0,
            ts_ns: 7,
            tgid: 10,
            tid: 11,
            path_len: path.len() as u16,
            syscall: 1,
            bits: (open_bits::OPEN_HAS_PATH.0 | open_bits::OPEN_HAS_FLAGS.0) as u8,
            flags: 0o2000000,
            ret: -2,
            ..Default::default()
        };
        head.names.comm[..4].copy_from_slice(b"worm");
        edit(&mut head);
        [bytes_of(&head), path].concat()
    }

    fn name(key: u64, names: &[u8]) -> Vec<u8> {
        let head = name_head {
            record: record_kind::RECORD_NAME.0,
            key,
            names_len: names.len() as u32,
            ..Default::default()
        };
        [bytes_of(&head), names].concat()
    }

    fn decode(decoder: &mut Decoder, record: &[u8]) -> Result<(), Malformed> {
        let aligned = words(record);
        let bytes: Vec<u8> = aligned.iter().flat_map(|w| w.to_ne_bytes()).collect();
        let offset = bytes.as_ptr().align_offset(8);
        let mut shifted = vec![0u8; offset];
        shifted.extend_from_slice(&bytes);
        decoder.decode(&shifted[offset..offset + record.len()])
    }

    fn one(record: &[u8]) -> Result<OpenBatch, Malformed> {
        let mut decoder = Decoder::default();
        decode(&mut decoder, record).map(|()| decoder.batch)
    }

    #[test]
    fn reads_every_part() {
        let batch = one(&open(b"/etc/x\xff", |_| {})).unwrap();
        let open = batch.iter().next().unwrap();
        assert_eq!(open.path, Some(&b"/etc/x\xff"[..]));
        assert_eq!((open.meta.tgid, open.meta.tid, open.meta.ret), (10, 11, -2));
        assert_eq!(open.meta.errno(), Some(2));
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert_eq!(open.meta.flags, Some(0o2000000));
        assert_eq!(open.meta.comm.as_bytes(), b"worm");
        assert_eq!((open.meta.latency_ns, open.meta.cgroup_id), (None, None));
        assert_eq!(open.resolved, None);
    }

    #[test]
    fn names_come_before_the_opens_that_refer_to_them() {
        let mut decoder = Decoder::default();
        decode(&mut decoder, &name(9, b"hosts\0etc\0")).unwrap();
        decode(&mut decoder, &name(11, b"srv\0")).unwrap();
        decode(&mut decoder, &name(13, b"")).unwrap();
        for (path, key, resolved) in [
            ("hosts", 9, 1),
            ("x", 11, 5),
            ("/x", 13, 5),
            ("x", 13, 5),
            ("/x", 11, 5),
            ("x", 99, 1),
        ] {
            let record = open(path.as_bytes(), |h| {
                h.key = key;
                h.resolved = resolved;
            });
            decode(&mut decoder, &record).unwrap();
        }
        let resolved: Vec<_> = decoder
            .batch
            .iter()
            .map(|o| o.resolved.map(|(k, p)| (k.name(), String::from_utf8_lossy(p).into_owned())))
            .collect();
        let tried = |p: &str| Some(("tried", p.to_string()));
        assert_eq!(
            resolved,
            [
                Some(("opened", "/etc/hosts".into())),
                tried("/srv/x"),
                tried("/x"),
                tried("/x"),
                tried("/srv/x"),
                None
            ]
        );
    }

    #[test]
    fn a_tried_path_that_is_too_long_is_none() {
        let mut text = Vec::new();
        assert!(tried(&mut text, b"/a", &[b'x'; 4092]));
        assert_eq!(text.len(), 4095);
        assert!(!tried(&mut text, b"/a", &[b'x'; 4093]));
    }

    #[test]
    fn ends_of_processes_are_reported() {
        let exit = exit_record {
            record: record_kind::RECORD_EXIT.0,
            tgid: 5,
            ts_ns: 8,
            start_boottime_ns: 3,
        };
        let batch = one(bytes_of(&exit)).unwrap();
        assert_eq!(batch.ended, [Ended { tgid: 5, start_boottime_ns: 3, at: Mono(8) }]);
    }

    #[test]
    fn an_end_is_reported_once() {
        let mut decoder = Decoder::default();
        let exit = exit_record {
            record: record_kind::RECORD_EXIT.0,
            tgid: 5,
            ts_ns: 8,
            start_boottime_ns: 3,
        };
        decode(&mut decoder, bytes_of(&exit)).unwrap();
        decode(&mut decoder, bytes_of(&exit_record { ts_ns: 9, ..exit })).unwrap();
        assert_eq!(decoder.batch.ended.len(), 1);
        // The pid again, by another process; then as many as are remembered.
        for start in 4..4 + RECENT_ENDS as u64 {
            let other = exit_record { start_boottime_ns: start, ..exit };
            decode(&mut decoder, bytes_of(&other)).unwrap();
        }
        assert_eq!(decoder.batch.ended.len(), 1 + RECENT_ENDS);
        assert_eq!(decoder.ends.known.len(), RECENT_ENDS);
    }

    #[test]
    fn short_and_odd_records_are_refused() {
        let whole = open(b"/etc/x", |_| {});
        for len in [0, 1, 4, OPEN_HEAD_BYTES - 1, OPEN_HEAD_BYTES, OPEN_HEAD_BYTES + 5] {
            assert_eq!(one(&whole[..len]).err(), Some(Malformed), "{len} bytes");
        }
        for len in [4, NAME_HEAD_BYTES, NAME_HEAD_BYTES + 1] {
            assert_eq!(one(&name(1, b"a\0")[..len]).err(), Some(Malformed), "{len} bytes");
        }
        for odd in [
            open(b"", |h| h.syscall = 99),
            open(b"", |h| h.resolved = 99),
            open(b"", |h| h.record = 99),
        ] {
            assert_eq!(one(&odd).err(), Some(Malformed));
        }
    }

    #[test]
    fn no_path_is_not_an_empty_path() {
        let none = open(b"", |h| h.bits = open_bits::OPEN_HAS_FLAGS.0 as u8);
        let empty = open(b"", |_| {});
        let path =
            |record: &[u8]| one(record).unwrap().iter().next().unwrap().path.map(<[u8]>::to_vec);
        assert_eq!(path(&none), None);
        assert_eq!(path(&empty), Some(vec![]));
    }

    /// Records one after the other, each with its length of two bytes in front.
    #[test]
    fn any_records_do_no_harm() {
        crate::testing::fuzz::check("opens", |mut bytes| {
            let mut decoder = Decoder::default();
            while let Some((len, rest)) = bytes.split_first_chunk() {
                let (record, rest) =
                    rest.split_at(rest.len().min(usize::from(u16::from_le_bytes(*len))));
                let _ = decode(&mut decoder, record);
                bytes = rest;
            }
            for change in &decoder.changes {
                for name in [&change.path, &change.to] {
                    assert!(name.resolved().is_none_or(|path| path.len() <= PATH_MAX));
                }
            }
            for open in decoder.batch.iter() {
                assert!(open.resolved.is_none_or(|(_, path)| path.len() <= PATH_MAX));
            }
        });
    }
}
