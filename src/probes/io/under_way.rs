//! Reads and writes that have not returned, as the model has them: pure.

use super::slow::call_of;
use crate::bpf::io::types::io_under_way_head;
use crate::model::file_io::FileType;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::model::under_way::{FileCall, UnderWay};
use crate::probes::opens::decode::path_of_name;
use crate::probes::opens::record::kind_of;
use crate::sys::records::IO_UNDER_WAY_HEAD_BYTES;

/// Hands over the whole records at the beginning of `bytes`; returns how many bytes these are.
pub(super) fn records(bytes: &[u8], take: &mut dyn FnMut(UnderWay<FileCall>)) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let mut head = io_under_way_head::default();
        if plain::copy_from_bytes(&mut head, rest).is_err() {
            break;
        }
        let name = rest
            .get(IO_UNDER_WAY_HEAD_BYTES..)
            .and_then(|rest| rest.get(..head.name_bytes as usize));
        let Some(name) = name else { break };
        at += IO_UNDER_WAY_HEAD_BYTES + name.len();
        // A number that no such call has is left out.
        let Some(call) = call_of(head.call) else { continue };
        let kind = kind_of(head.resolved).unwrap_or_default();
        let path = kind.and_then(|_| path_of_name(name).ok());
        take(UnderWay {
            key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
            tid: head.tid,
            uid: head.uid,
            comm: Comm(head.names.comm),
            process: Comm(head.names.process),
            call: FileCall {
                call,
                writes: head.writes != 0,
                file_type: FileType::of_mode(head.r#type),
                kind: kind.filter(|_| path.is_some()),
                cgroup_id: (head.cgroup_id != 0).then_some(head.cgroup_id),
            },
            path,
            since: Mono(head.entry_ns),
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::opens::types::name_head;
    use crate::sys::records::bytes_of;

    /// A record with the names of a file, or with bytes that are none.
    fn record(names: &[u8], call: i64, odd: bool) -> Vec<u8> {
        let names_len = names.len() as u32 + u32::from(odd);
        let name = name_head { record: 2, names_len, place: 0, ..Default::default() };
        let name = [bytes_of(&name), names].concat();
        let head = io_under_way_head {
            tgid: 7,
            call: call as u32,
            resolved: 1,
            r#type: 8,
            name_bytes: if names.is_empty() { 0 } else { name.len() as u32 },
            ..Default::default()
        };
        let name = if names.is_empty() { &[][..] } else { &name };
        [bytes_of(&head), name].concat()
    }

    #[test]
    fn cut_records_wait_for_their_rest_and_odd_ones_do_no_harm() {
        let first = record(b"page\0mnt\0", libc::SYS_read, false);
        let all = [
            first.clone(),
            record(b"", libc::SYS_write, false),
            record(b"other\0", libc::SYS_tee, false),
            record(b"x\0", libc::SYS_read, true),
            record(b"x\0", libc::SYS_getppid, false),
        ]
        .concat();
        for cut in 0..all.len() {
            let mut found = 0;
            let taken = records(&all[..cut], &mut |_| found += 1);
            assert!(taken <= cut && (found == 0) == (cut < first.len()), "{cut}");
        }
        let mut found = Vec::new();
        assert_eq!(records(&all, &mut |call| found.push((call.path, call.call))), all.len());
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_deref()).collect();
        assert_eq!(paths, [Some(&b"/mnt/page"[..]), None, Some(&b"/other"[..]), None]);
        assert!(found.iter().all(|(path, call)| path.is_some() == call.kind.is_some()));
    }
}
