//! Records of `held.bpf.c`, as the model has them.

use crate::bpf::held::types::{held_as, held_head};
use crate::model::held::{Descriptor, Held, HeldAs};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::sys::records::HELD_HEAD_BYTES;

/// The words that the kernel puts behind the path of a file without a name (fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// Hands over the whole records at the beginning of `bytes`; returns how many bytes these are.
pub(super) fn records(bytes: &[u8], mut take: impl FnMut(Held)) -> usize {
    let mut at = 0;
    while let Some((head, rest)) = bytes.get(at..).and_then(head_and_rest) {
        let Some(path) = rest.get(..head.path_len as usize) else { break };
        // A form that is not known is left out.
        if let Some(held) = held(&head, path) {
            take(held);
        }
        at += HELD_HEAD_BYTES + path.len();
    }
    at
}

fn head_and_rest(bytes: &[u8]) -> Option<(held_head, &[u8])> {
    let mut head = held_head::default();
    plain::copy_from_bytes(&mut head, bytes).ok()?;
    Some((head, bytes.get(HELD_HEAD_BYTES..)?))
}

fn held(head: &held_head, path: &[u8]) -> Option<Held> {
    let deleted = head.deleted != 0;
    let path = if deleted { path.strip_suffix(DELETED).unwrap_or(path) } else { path };
    Some(Held {
        key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
        uid: head.uid,
        process: Comm(head.process),
        cgroup_id: head.cgroup_id,
        held_as: match held_as(head.r#as.into()) {
            held_as::HELD_DESCRIPTOR => HeldAs::Descriptor(Descriptor {
                fd: head.fd,
                flags: head.flags,
                offset: head.offset,
            }),
            held_as::HELD_CWD => HeldAs::Cwd,
            held_as::HELD_ROOT => HeldAs::Root,
            held_as::HELD_EXECUTABLE => HeldAs::Executable,
            held_as::HELD_MAPPED => HeldAs::Mapped,
            _ => return None,
        },
        path: (!path.is_empty()).then(|| path.into()),
        deleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::records::bytes_of;

    fn record(path: &[u8], deleted: bool) -> Vec<u8> {
        let head = held_head {
            tgid: 7,
            fd: 3,
            flags: 0o2,
            r#as: held_as::HELD_DESCRIPTOR.0 as u8,
            deleted: deleted.into(),
            path_len: path.len() as u32,
            ..held_head::default()
        };
        [bytes_of(&head), path].concat()
    }

    #[test]
    fn records_that_are_cut_wait_for_their_rest() {
        let (first, second) = (record(b"/a", false), record(b"/b\xff (deleted)", true));
        let both = [first.clone(), second].concat();
        for cut in 0..=both.len() {
            let mut found = Vec::new();
            let taken = records(&both[..cut], |held| found.push(held));
            let whole = [0, first.len(), both.len()].into_iter().filter(|n| *n <= cut).max();
            assert_eq!(Some(taken), whole);
            assert!(found.first().is_none_or(|held| held.path.as_deref() == Some(b"/a")));
        }
        let mut found = Vec::new();
        records(&both, |held| found.push(held));
        assert_eq!(found.len(), 2);
        assert!(found[1].deleted);
        assert_eq!(found[1].path.as_deref(), Some(&b"/b\xff"[..]));
        let named = record(b"/c (deleted)", false);
        records(&named, |held| assert_eq!(held.path.as_deref(), Some(&b"/c (deleted)"[..])));
    }
}
