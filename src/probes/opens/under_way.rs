//! Opens that have not returned, as the model has them: pure.

use super::decode::syscall;
use crate::bpf::opens::types::under_way_head;
use crate::model::open::{Comm, Syscall};
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::model::under_way::UnderWay;
use crate::sys::records::UNDER_WAY_HEAD_BYTES;

/// Hands over the whole records at the beginning of `bytes`; returns how many bytes these are.
pub(super) fn records(bytes: &[u8], take: &mut dyn FnMut(UnderWay<Syscall>)) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let mut head = under_way_head::default();
        if plain::copy_from_bytes(&mut head, rest).is_err() {
            break;
        }
        let path =
            rest.get(UNDER_WAY_HEAD_BYTES..).and_then(|rest| rest.get(..head.path_len as usize));
        let Some(path) = path else { break };
        at += UNDER_WAY_HEAD_BYTES + path.len();
        // A call that is not known is left out.
        let Some(call) = syscall(head.syscall) else { continue };
        take(UnderWay {
            key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
            tid: head.tid,
            uid: head.uid,
            comm: Comm(head.names.comm),
            process: Comm(head.names.process),
            call,
            path: (!path.is_empty()).then(|| path.into()),
            since: Mono(head.entry_ns),
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::records::bytes_of;

    #[test]
    fn a_cut_record_waits_for_its_rest() {
        let record = |memory: &[u8]| {
            let path_len = memory.len() as u32;
            let head = under_way_head { tgid: 7, path_len, syscall: 1, ..Default::default() };
            [bytes_of(&head), memory].concat()
        };
        let (first, second) = (record(b"/a"), record(b"\xff"));
        let both = [first.clone(), second, record(b"")].concat();
        for cut in 0..both.len() {
            let mut found = 0;
            let taken = records(&both[..cut], &mut |_| found += 1);
            assert!(taken <= cut && (found == 0) == (cut < first.len()), "{cut}");
        }
        let mut paths = Vec::new();
        assert_eq!(records(&both, &mut |open| paths.push(open.path)), both.len());
        assert_eq!(paths, [Some(b"/a"[..].into()), Some(b"\xff"[..].into()), None]);
    }
}
