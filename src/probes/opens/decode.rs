//! Records of the ring, read: pure, and proof against short and odd ones.

use crate::bpf::opens::types::open_head;
use crate::bpf::sys::records::OPEN_HEAD_BYTES;
use crate::model::open::{Comm, OpenBatch, OpenMeta, Syscall};
use crate::model::time::Mono;

/// Bits of `open_head.bits`, as in `opens.h`.
const HAS_PATH: u8 = 1;
const HAS_FLAGS: u8 = 2;
const HAS_LATENCY: u8 = 4;

/// A record that cannot be what the program writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Adds the open that `record` tells of to `batch`.
pub(super) fn decode(record: &[u8], batch: &mut OpenBatch) -> Result<(), Malformed> {
    let (head, tail) = record.split_at_checked(OPEN_HEAD_BYTES).ok_or(Malformed)?;
    let head: &open_head = plain::from_bytes(head).map_err(|_| Malformed)?;
    let syscall = *Syscall::ALL.get(usize::from(head.syscall)).ok_or(Malformed)?;
    // libbpf hands out the length as reserved: rounded up it is not, but a check costs nothing.
    let path = tail.get(..usize::from(head.path_len)).ok_or(Malformed)?;
    let has = |bit| head.bits & bit != 0;
    let meta = OpenMeta {
        at: Mono(head.ts_ns),
        tgid: head.tgid,
        tid: head.tid,
        ppid: head.ppid,
        uid: head.uid,
        start_boottime_ns: head.start_boottime_ns,
        comm: Comm(head.comm),
        process: Comm(head.process),
        syscall,
        flags: has(HAS_FLAGS).then_some(head.flags),
        mode: head.mode,
        ret: head.ret,
        latency_ns: has(HAS_LATENCY).then_some(head.latency_ns),
        cgroup_id: (head.cgroup_id != 0).then_some(head.cgroup_id),
    };
    batch.push(meta, has(HAS_PATH).then_some(path), None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::sys::records::head_bytes;

    /// The head's words in a record of `path`, aligned as the ring's records are.
    fn record(path: &[u8], edit: impl FnOnce(&mut open_head)) -> Vec<u64> {
        let mut head = open_head {
            ts_ns: 7,
            tgid: 10,
            tid: 11,
            path_len: path.len() as u16,
            syscall: 1,
            bits: HAS_PATH | HAS_FLAGS,
            flags: 0o2000000,
            ret: -2,
            ..Default::default()
        };
        head.comm[..4].copy_from_slice(b"worm");
        edit(&mut head);
        let mut bytes = head_bytes(&head).to_vec();
        bytes.extend_from_slice(path);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.chunks(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect()
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    fn decode_words(words: &[u64], len: usize) -> Result<OpenBatch, Malformed> {
        // An 8-byte aligned copy, cut to `len`.
        let mut aligned = vec![0u64; words.len() + 1];
        aligned[..words.len()].copy_from_slice(words);
        let flat = bytes(&aligned);
        let offset = flat.as_ptr().align_offset(8);
        let mut shifted = vec![0u8; offset];
        shifted.extend_from_slice(&flat);
        let mut batch = OpenBatch::default();
        decode(&shifted[offset..offset + len], &mut batch).map(|()| batch)
    }

    #[test]
    fn reads_every_part() {
        let words = record(b"/etc/x\xff", |_| {});
        let batch = decode_words(&words, OPEN_HEAD_BYTES + 7).unwrap();
        let open = batch.iter().next().unwrap();
        assert_eq!(open.path, Some(&b"/etc/x\xff"[..]));
        assert_eq!((open.meta.tgid, open.meta.tid, open.meta.ret), (10, 11, -2));
        assert_eq!(open.meta.errno(), Some(2));
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert_eq!(open.meta.flags, Some(0o2000000));
        assert_eq!(open.meta.comm.as_bytes(), b"worm");
        assert_eq!((open.meta.latency_ns, open.meta.cgroup_id), (None, None));
    }

    #[test]
    fn short_and_odd_records_are_refused() {
        let words = record(b"/etc/x", |_| {});
        for len in [0, 1, OPEN_HEAD_BYTES - 1, OPEN_HEAD_BYTES, OPEN_HEAD_BYTES + 5] {
            assert_eq!(decode_words(&words, len).err(), Some(Malformed), "{len} bytes");
        }
        let unknown = record(b"", |h| h.syscall = 99);
        assert_eq!(decode_words(&unknown, OPEN_HEAD_BYTES).err(), Some(Malformed));
    }

    #[test]
    fn no_path_is_not_an_empty_path() {
        let none = record(b"", |h| h.bits = HAS_FLAGS);
        let empty = record(b"", |_| {});
        let path = |w: &[u64]| {
            let batch = decode_words(w, OPEN_HEAD_BYTES).unwrap();
            batch.iter().next().unwrap().path.map(<[u8]>::to_vec)
        };
        assert_eq!(path(&none), None);
        assert_eq!(path(&empty), Some(vec![]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(words in proptest::collection::vec(0u64.., 0..64), cut in 0usize..512) {
            let len = cut.min(words.len() * 8);
            let _ = decode_words(&words, len);
        }
    }
}
