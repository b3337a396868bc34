//! One return from an open, and batches of them.

use serde::{Deserialize, Serialize};

use super::time::{Mono, WallOffset};

/// A kernel task name: at most 15 bytes and a NUL (`TASK_COMM_LEN`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// A name from bytes, cut after 15 of them as the kernel does.
    pub fn new(name: &[u8]) -> Self {
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().take(15).zip(name) {
            *to = *from;
        }
        Self(comm)
    }

    /// The name without its NUL padding.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|b| *b == 0).next().unwrap_or(&[])
    }
}

impl std::fmt::Debug for Comm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The call that opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Syscall {
    Open,
    Openat,
    Openat2,
    Creat,
    OpenByHandleAt,
    IoUring,
}

impl Syscall {
    /// Every call, in the order of their numbers in a record.
    pub const ALL: [Syscall; 6] = [
        Syscall::Open,
        Syscall::Openat,
        Syscall::Openat2,
        Syscall::Creat,
        Syscall::OpenByHandleAt,
        Syscall::IoUring,
    ];

    /// The name in lines and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Syscall::Open => "open",
            Syscall::Openat => "openat",
            Syscall::Openat2 => "openat2",
            Syscall::Creat => "creat",
            Syscall::OpenByHandleAt => "open_by_handle_at",
            Syscall::IoUring => "io_uring",
        }
    }
}

/// The meaning of a resolved path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResolvedKind {
    /// The file behind the descriptor.
    Opened,
    /// The file behind the descriptor, whose name is gone.
    Deleted,
    /// A file made with `O_TMPFILE`: the directory it was made in.
    Tmpfile,
    /// Something without a place in the tree (a pipe, a memfd).
    Anon,
    /// A failed open: the absolute prefix, `/`, the path as given.
    Tried,
}

impl ResolvedKind {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            ResolvedKind::Opened => "opened",
            ResolvedKind::Deleted => "deleted",
            ResolvedKind::Tmpfile => "tmpfile",
            ResolvedKind::Anon => "anon",
            ResolvedKind::Tried => "tried",
        }
    }
}

/// A range of bytes in the batch's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// Everything about one return from an open but its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMeta {
    /// When it returned.
    pub at: Mono,
    /// Thread group id, as the initial PID namespace sees it.
    pub tgid: u32,
    /// Thread id, as the initial PID namespace sees it.
    pub tid: u32,
    /// The parent's thread group id.
    pub ppid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// When the process started, ns of `CLOCK_BOOTTIME`: together with `tgid` it is never reused.
    pub start_boottime_ns: u64,
    /// The thread's name.
    pub comm: Comm,
    /// The group leader's name.
    pub process: Comm,
    /// The call.
    pub syscall: Syscall,
    /// The flags as passed; `None` where they could not be read.
    pub flags: Option<u64>,
    /// The mode as passed; meaningful with `O_CREAT` or `O_TMPFILE` only.
    pub mode: u32,
    /// Result: a descriptor, or a negated errno.
    pub ret: i64,
    /// The slot of a direct io_uring open, which has no descriptor: `ret` says nothing then.
    pub slot: Option<u32>,
    /// From entry to return, where it was measured.
    pub latency_ns: Option<u64>,
    /// The id of the task's cgroup in the v2 hierarchy (its inode number), where known.
    pub cgroup_id: Option<u64>,
}

impl OpenMeta {
    /// The descriptor of a good open; a direct io_uring open has none.
    pub fn fd(&self) -> Option<i32> {
        if self.slot.is_some() { None } else { i32::try_from(self.ret).ok().filter(|fd| *fd >= 0) }
    }

    /// The positive errno of a failed open.
    pub fn errno(&self) -> Option<i32> {
        if self.ret < 0 { i32::try_from(self.ret.unsigned_abs()).ok() } else { None }
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    meta: OpenMeta,
    path: Option<Span>,
    resolved: Option<(ResolvedKind, Span)>,
}

/// One open with its texts, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// All but the texts.
    pub meta: &'a OpenMeta,
    /// The path as the program passed it; `None` where there was none or it could not be read whole.
    pub path: Option<&'a [u8]>,
    /// The absolute path as the kernel holds it, from the root of the process's mount namespace.
    pub resolved: Option<(ResolvedKind, &'a [u8])>,
}

impl<'a> Open<'a> {
    /// The best path there is to show: the resolved one, else the one that was passed.
    pub fn best_path(&self) -> Option<&'a [u8]> {
        self.resolved.map(|(_, path)| path).or(self.path)
    }
}

/// Exact counts of the probe since it was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCounts {
    /// Every return from an open, before anything was chosen.
    pub seen: u64,
    /// Opens by this process, where they are not reported ([`crate::model::event::Only::without_own`]); among the seen.
    pub own: u64,
    /// Opens that were not selected ([`crate::model::event::Only`]): seen, and not reported.
    pub skipped: u64,
    /// Opens whose record could not be written.
    pub lost: u64,
    /// Lost opens whose process is unknown, too.
    pub lost_unowned: u64,
    /// Requests of io_uring whose completion has not been seen: not among the seen.
    pub unfinished: u64,
    /// Opens through io_uring without a path, since the request was not known; among the seen.
    pub unnamed: u64,
    /// Records that user space could not read: never expected, never hidden.
    pub malformed: u64,
}

/// The end of a process: of its last thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Thread group id.
    pub tgid: u32,
    /// When the process had started, ns of `CLOCK_BOOTTIME`.
    pub start_boottime_ns: u64,
    /// When it ended.
    pub at: Mono,
}

/// Opens of one process whose records were lost, counted in the kernel, cumulative since attach:
/// with these a process's totals are exact even when its details are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostOpens {
    /// Thread group id.
    pub tgid: u32,
    /// When the process started, ns of `CLOCK_BOOTTIME`.
    pub start_boottime_ns: u64,
    /// Real user id.
    pub uid: u32,
    /// The group leader's name.
    pub process: Comm,
    /// How many opens.
    pub opens: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// Opens of one drain of the rings, in kernel-time order, their texts in one arena.
#[derive(Clone, Debug, Default)]
pub struct OpenBatch {
    entries: Vec<Entry>,
    texts: Vec<u8>,
    /// The wall offset when the ring was drained.
    pub wall: WallOffset,
    /// The counts after the drain.
    pub counts: OpenCounts,
    /// The processes that ended.
    pub ended: Vec<Ended>,
    /// Every process that has lost opens, when there are more than in the batch before; else empty.
    pub lost_by: Vec<LostOpens>,
    /// Whether opens by 32-bit tasks are watched: only while there are such tasks.
    pub compat: bool,
    /// How many opens [`OpenBatch::retain`] has left out.
    pub left_out: u64,
}

impl OpenBatch {
    /// Adds an open; the texts are copied into the arena.
    pub fn push(
        &mut self,
        meta: OpenMeta,
        path: Option<&[u8]>,
        resolved: Option<(ResolvedKind, &[u8])>,
    ) {
        let span = path.map(|p| self.store(p));
        let resolved = resolved.map(|(kind, p)| match span {
            Some(span) if path == Some(p) => (kind, span),
            _ => (kind, self.store(p)),
        });
        let path = span;
        self.entries.push(Entry { meta, path, resolved });
    }

    /// Sorts by the time of return: rings and CPUs are drained one after the other.
    pub fn sort_by_time(&mut self) {
        if !self.entries.is_sorted_by_key(|e| e.meta.at) {
            self.entries.sort_by_key(|e| e.meta.at);
        }
    }

    /// Keeps the opens, and the losses, of processes that are wanted: by tgid, uid and names.
    pub fn retain(&mut self, mut wanted: impl FnMut(u32, u32, &[&[u8]]) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|e| {
            let m = &e.meta;
            wanted(m.tgid, m.uid, &[m.comm.as_bytes(), m.process.as_bytes()])
        });
        self.left_out += (before - self.entries.len()) as u64;
        self.lost_by.retain(|l| wanted(l.tgid, l.uid, &[l.process.as_bytes()]));
    }

    /// Keeps the opens that are wanted.
    pub fn retain_opens(&mut self, mut wanted: impl FnMut(&Open<'_>) -> bool) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|e| wanted(&self.open(e)));
        self.entries = entries;
    }

    /// How many opens it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Its approximate size in memory, bytes.
    pub fn bytes(&self) -> usize {
        let others = size_of_val(&*self.ended) + size_of_val(&*self.lost_by);
        size_of::<Self>() + size_of_val(&*self.entries) + self.texts.len() + others
    }

    /// Whether it holds no open.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The opens, in order.
    pub fn iter(&self) -> impl Iterator<Item = Open<'_>> {
        self.entries.iter().map(|e| self.open(e))
    }

    fn open<'a>(&'a self, e: &'a Entry) -> Open<'a> {
        Open {
            meta: &e.meta,
            path: e.path.map(|s| self.text(s)),
            resolved: e.resolved.map(|(kind, s)| (kind, self.text(s))),
        }
    }

    fn store(&mut self, text: &[u8]) -> Span {
        let start = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.extend_from_slice(text);
        Span { start, len: u32::try_from(text.len()).unwrap_or(0) }
    }

    fn text(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.texts.get(start..start + span.len as usize).unwrap_or(&[])
    }
}
