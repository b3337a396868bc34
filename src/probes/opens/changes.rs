//! Changes of files: attaches the programs, and reads their records.

use std::io;

use libbpf_rs::Link;

use super::names::Names;
use super::record::{Malformed, head_and_texts, kind_of, tried};
use crate::bpf::opens::OpensSkel;
use crate::bpf::opens::types::{
    change_call, change_head, change_op, open_bits, open_head, open_syscall, resolved_kind,
};
use crate::model::file_change::{ChangeCall, FileChange, How, Name, Op};
use crate::model::open::{Comm, ResolvedKind};
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::probes::programs::{CHANGE_CALLS, CHANGE_RING, Choice};
use crate::sys::records::CHANGE_HEAD_BYTES;
use crate::sys::tracepoint::{self, TraceFs};

/// Whether this architecture has a call.
fn is_here(call: ChangeCall) -> bool {
    use ChangeCall as C;
    let is_older = matches!(
        call,
        C::Unlink
            | C::Rmdir
            | C::Rename
            | C::Link
            | C::Symlink
            | C::Mkdir
            | C::Mknod
            | C::Chmod
            | C::Chown
            | C::Lchown
    );
    call.is_own() && (cfg!(target_arch = "x86_64") || !is_older)
}

/// Attaches the programs of `choice`; calls and requests that cannot be seen are added to `missing`. False where
/// no call is seen.
pub(super) fn attach(
    skel: &OpensSkel<'_>,
    choice: &Choice,
    tracefs: &TraceFs,
    links: &mut Vec<Link>,
    mut missing: impl FnMut(&str, &str, &io::Error),
) -> bool {
    let mut any = false;
    let (exit, name) = if choice.uses("change_exit") {
        (&skel.progs.change_exit, "change_exit")
    } else {
        (&skel.progs.change_exit_516, "change_exit_516")
    };
    let calls = ChangeCall::ALL.iter().filter(|call| choice.has(CHANGE_CALLS) && is_here(**call));
    for call in calls {
        let attach_one = |program, edge| {
            let id = tracefs.id("syscalls", &format!("sys_{edge}_{}", call.name()))?;
            tracepoint::attach(program, id)
        };
        // Entry first: without it the arguments of a call under way are not known.
        let entered = if choice.uses("change_enter") {
            attach_one(&skel.progs.change_enter, "enter").map(|link| links.push(link))
        } else {
            Ok(())
        };
        match entered.and_then(|()| attach_one(exit, "exit")) {
            Ok(link) => {
                links.push(link);
                any = true;
            }
            // Kernel 6.6: before, no program can call it.
            Err(e) if *call == ChangeCall::Fchmodat2 && e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => missing(&format!("files: {}", call.name()), name, &e),
        }
    }
    if choice.has(CHANGE_RING) {
        match attach_ring(skel, tracefs) {
            Ok(ring) => links.extend(ring),
            Err(e) => missing(CHANGE_RING, "ring_submit", &e),
        }
    }
    any
}

/// Completion first, so that no completion is missed.
fn attach_ring(skel: &OpensSkel<'_>, tracefs: &TraceFs) -> io::Result<[Link; 2]> {
    let complete = tracefs.id("io_uring", "io_uring_complete")?;
    let submit = tracefs.id("io_uring", "io_uring_submit_req")?;
    Ok([
        tracepoint::attach(&skel.progs.ring_complete, complete)?,
        tracepoint::attach(&skel.progs.ring_submit, submit)?,
    ])
}

/// Reads a record; `text` is a place to put a path together in.
pub(super) fn decode(
    record: &[u8],
    names: &Names,
    text: &mut Vec<u8>,
) -> Result<FileChange, Malformed> {
    let (change, texts) = head_and_texts::<change_head>(record, CHANGE_HEAD_BYTES)?;
    let head = &change.head;
    let (path, rest) = texts.split_at_checked(head.path_len.into()).ok_or(Malformed)?;
    let second = rest.get(..change.to_len.into()).ok_or(Malformed)?;
    let has = |bit: open_bits| u32::from(head.bits) & bit.0 != 0;
    let op = op(change.op).ok_or(Malformed)?;
    let requested = has(open_bits::OPEN_HAS_PATH).then_some(path);
    let to = has(open_bits::OPEN_HAS_TO).then_some(second);
    let mut resolve = |kind: u8, key, requested: Option<&[u8]>| {
        if resolved_kind(kind.into()) == resolved_kind::RESOLVED_MADE {
            let base = names.get(key);
            let whole = base.is_some_and(|base| tried(text, base, second));
            return Ok(whole.then(|| (ResolvedKind::Opened, text.as_slice().into())));
        }
        let place = kind_of(kind)?.and_then(|kind| Some((kind, names.get(key)?)));
        Ok(match (place, requested) {
            (Some((ResolvedKind::Tried, base)), Some(requested)) => {
                tried(text, base, requested).then(|| (ResolvedKind::Tried, text.as_slice().into()))
            }
            (Some((ResolvedKind::Tried, _)), None) | (None, _) => None,
            (Some((kind, path)), _) => Some((kind, path.into())),
        })
    };
    let resolved = resolve(head.resolved, head.key, requested)?;
    let to_resolved = resolve(change.to_resolved, change.to_key, to)?;
    Ok(FileChange {
        at: Mono(head.ts_ns),
        key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
        tid: head.tid,
        ppid: head.ppid,
        uid: head.uid,
        comm: Comm(head.names.comm),
        process: Comm(head.names.process),
        cgroup_id: (head.cgroup_id != 0).then_some(head.cgroup_id),
        op,
        call: call(head.syscall).ok_or(Malformed)?,
        errno: (head.ret < 0).then(|| i32::try_from(head.ret.unsigned_abs()).ok()).flatten(),
        path: Name { requested: requested.map(Into::into), resolved },
        to: Name { requested: to.map(Into::into), resolved: to_resolved },
        how: how(op, head, change.value),
    })
}

fn how(op: Op, head: &open_head, value: u64) -> How {
    let [low, high] = [value as u32, (value >> 32) as u32];
    let id = |id| (id != u32::MAX).then_some(id);
    match op {
        Op::Create => How::Mode(head.mode & 0o7777),
        // The kind of the node is in the upper bits.
        Op::Mknod => How::Mode(low),
        Op::Mkdir | Op::Chmod => How::Mode(low & 0o7777),
        // The kernel refuses a negative one.
        Op::Truncate if value > i64::MAX as u64 => How::None,
        Op::Truncate => How::Length(value),
        Op::Chown => How::Owner { uid: id(low), gid: id(high) },
        Op::Rename => How::Rename(head.flags as u32),
        Op::Unlink | Op::Rmdir | Op::Link | Op::Symlink => How::None,
    }
}

fn op(number: u8) -> Option<Op> {
    Some(match change_op(number.into()) {
        change_op::OP_CREATE => Op::Create,
        change_op::OP_UNLINK => Op::Unlink,
        change_op::OP_RMDIR => Op::Rmdir,
        change_op::OP_RENAME => Op::Rename,
        change_op::OP_LINK => Op::Link,
        change_op::OP_SYMLINK => Op::Symlink,
        change_op::OP_MKDIR => Op::Mkdir,
        change_op::OP_MKNOD => Op::Mknod,
        change_op::OP_TRUNCATE => Op::Truncate,
        change_op::OP_CHMOD => Op::Chmod,
        change_op::OP_CHOWN => Op::Chown,
        _ => return None,
    })
}

fn call(number: u8) -> Option<ChangeCall> {
    use ChangeCall as C;
    match open_syscall(number.into()) {
        open_syscall::CALL_OPEN => return Some(C::Open),
        open_syscall::CALL_OPENAT => return Some(C::Openat),
        open_syscall::CALL_OPENAT2 => return Some(C::Openat2),
        open_syscall::CALL_CREAT => return Some(C::Creat),
        open_syscall::CALL_OPEN_BY_HANDLE_AT => return Some(C::OpenByHandleAt),
        open_syscall::CALL_IO_URING => return Some(C::IoUring),
        _ => {}
    }
    Some(match change_call(number.into()) {
        change_call::CHANGE_UNLINK => C::Unlink,
        change_call::CHANGE_UNLINKAT => C::Unlinkat,
        change_call::CHANGE_RMDIR => C::Rmdir,
        change_call::CHANGE_RENAME => C::Rename,
        change_call::CHANGE_RENAMEAT => C::Renameat,
        change_call::CHANGE_RENAMEAT2 => C::Renameat2,
        change_call::CHANGE_LINK => C::Link,
        change_call::CHANGE_LINKAT => C::Linkat,
        change_call::CHANGE_SYMLINK => C::Symlink,
        change_call::CHANGE_SYMLINKAT => C::Symlinkat,
        change_call::CHANGE_MKDIR => C::Mkdir,
        change_call::CHANGE_MKDIRAT => C::Mkdirat,
        change_call::CHANGE_MKNOD => C::Mknod,
        change_call::CHANGE_MKNODAT => C::Mknodat,
        change_call::CHANGE_TRUNCATE => C::Truncate,
        change_call::CHANGE_FTRUNCATE => C::Ftruncate,
        change_call::CHANGE_CHMOD => C::Chmod,
        change_call::CHANGE_FCHMOD => C::Fchmod,
        change_call::CHANGE_FCHMODAT => C::Fchmodat,
        change_call::CHANGE_FCHMODAT2 => C::Fchmodat2,
        change_call::CHANGE_CHOWN => C::Chown,
        change_call::CHANGE_LCHOWN => C::Lchown,
        change_call::CHANGE_FCHOWN => C::Fchown,
        change_call::CHANGE_FCHOWNAT => C::Fchownat,
        _ => return None,
    })
}
