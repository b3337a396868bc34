//! Calls that have not returned: opens, reads and writes on a file system that hangs, an open of a FIFO without
//! its other end.

use serde::{Deserialize, Serialize};

use super::file_io::FileType;
use super::open::{Comm, ResolvedKind, Syscall};
use super::process::ProcessKey;
use super::slow_call::IoCall;
use super::time::{Mono, WallOffset};

/// Calls of one kind that are named, some 4 KiB each at most: the oldest.
const MOST: usize = 256;

/// A call that has not returned for a second or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay<C> {
    /// The process.
    pub key: ProcessKey,
    /// The thread that waits.
    pub tid: u32,
    /// The real user of the thread, in the initial user namespace.
    pub uid: u32,
    /// The name of the thread.
    pub comm: Comm,
    /// The name of its group leader.
    pub process: Comm,
    pub call: C,
    /// Of an open the path as passed, else that of the open file; `None` where the kernel has not read it
    /// yet, or it is not known.
    pub path: Option<Box<[u8]>>,
    /// When it began.
    pub since: Mono,
}

impl<C> UnderWay<C> {
    /// Its size in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.path.as_deref().map_or(0, <[u8]>::len)
    }
}

/// A call that reads or writes a file. One that reads a file and writes another is two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCall {
    pub call: IoCall,
    /// It writes the file; else it reads it.
    pub writes: bool,
    pub file_type: FileType,
    /// The meaning of the path, where that is known.
    pub kind: Option<ResolvedKind>,
    /// See [`super::open::OpenMeta::cgroup_id`].
    pub cgroup_id: Option<u64>,
}

/// All of one kind that are under way at one moment, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllUnderWay<C> {
    pub calls: Vec<UnderWay<C>>,
    /// How many more there were.
    pub left_out: u64,
    pub at: Mono,
    pub wall: WallOffset,
}

impl<C> Default for AllUnderWay<C> {
    fn default() -> Self {
        Self { calls: Vec::new(), left_out: 0, at: Mono::default(), wall: WallOffset::default() }
    }
}

/// Opens, with `--latency` or `--slow`.
pub type OpensUnderWay = AllUnderWay<Syscall>;

/// Reads and writes, with `--slow`.
pub type FileCallsUnderWay = AllUnderWay<FileCall>;

impl<C> AllUnderWay<C> {
    /// Takes in one more, in any order; [`Self::keep_oldest`] comes last. Twice the bound is held meanwhile.
    pub fn add(&mut self, call: UnderWay<C>) {
        self.calls.push(call);
        if self.calls.len() >= 2 * MOST {
            self.keep_oldest();
        }
    }

    /// Leaves the oldest, in order, and counts the others.
    pub fn keep_oldest(&mut self) {
        self.calls.sort_by_key(|call| call.since);
        self.left_out = self.left_out.saturating_add(self.calls.len().saturating_sub(MOST) as u64);
        self.calls.truncate(MOST);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        (self.calls.len() as u64).saturating_add(self.left_out)
    }
}

/// A call that has not returned, of whichever kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<'a> {
    pub key: ProcessKey,
    pub tid: u32,
    pub uid: u32,
    pub comm: &'a Comm,
    pub process: &'a Comm,
    pub call: WaitingCall<'a>,
    /// See [`UnderWay::path`].
    pub path: Option<&'a [u8]>,
    pub since: Mono,
}

/// The call that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingCall<'a> {
    Open(Syscall),
    OnFile(&'a FileCall),
}

impl<'a> From<&'a Syscall> for WaitingCall<'a> {
    fn from(call: &'a Syscall) -> Self {
        Self::Open(*call)
    }
}

impl<'a> From<&'a FileCall> for WaitingCall<'a> {
    fn from(call: &'a FileCall) -> Self {
        Self::OnFile(call)
    }
}

impl<'a> WaitingCall<'a> {
    /// The name of the system call.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open(call) => call.name(),
            Self::OnFile(on) => on.call.name(),
        }
    }

    /// The read or write; `None` for an open.
    pub fn on_file(self) -> Option<&'a FileCall> {
        match self {
            Self::Open(_) => None,
            Self::OnFile(on) => Some(on),
        }
    }
}

impl<'a, C> From<&'a UnderWay<C>> for Waiting<'a>
where
    WaitingCall<'a>: From<&'a C>,
{
    fn from(of: &'a UnderWay<C>) -> Self {
        let UnderWay { key, tid, uid, comm, process, call, path, since } = of;
        Self {
            key: *key,
            tid: *tid,
            uid: *uid,
            comm,
            process,
            call: call.into(),
            path: path.as_deref(),
            since: *since,
        }
    }
}

impl Waiting<'_> {
    /// Whether this is the same call as it was found before, on the same file.
    pub fn is_same(&self, before: &Waiting<'_>) -> bool {
        let one = |of: &Waiting<'_>| (of.tid, of.since, of.call.on_file().map(|on| on.writes));
        one(self) == one(before)
    }
}

/// All calls that are under way, as last found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallsUnderWay {
    pub opens: OpensUnderWay,
    pub on_files: FileCallsUnderWay,
}

impl CallsUnderWay {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.opens.count().saturating_add(self.on_files.count())
    }

    /// The oldest one.
    pub fn oldest(&self) -> Option<Waiting<'_>> {
        self.all().min_by_key(|waiting| waiting.since)
    }

    /// The oldest one of a process.
    pub fn of(&self, key: ProcessKey) -> Option<Waiting<'_>> {
        self.all().filter(|waiting| waiting.key == key).min_by_key(|waiting| waiting.since)
    }

    fn all(&self) -> impl Iterator<Item = Waiting<'_>> {
        let opens = self.opens.calls.iter().map(Waiting::from);
        opens.chain(self.on_files.calls.iter().map(Waiting::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_named_whatever_their_order_and_all_are_counted() {
        let call = |n: u64| UnderWay {
            key: ProcessKey { tgid: 7, start_boottime_ns: 1 },
            tid: n as u32,
            uid: 0,
            comm: Comm::default(),
            process: Comm::default(),
            call: Syscall::Openat,
            path: None,
            since: Mono(n),
        };
        for all in [3, 256, 257, 2_000] {
            let mut found = OpensUnderWay::default();
            // Threads with lower ids have waited for less.
            for n in (0..all).rev() {
                found.add(call(n));
                assert!(found.calls.len() < 2 * MOST);
            }
            found.keep_oldest();
            let named = all.min(MOST as u64);
            assert!(found.calls.iter().map(|call| call.since.0).eq(0..named), "{all}");
            assert_eq!((found.left_out, found.count()), (all - named, all));
        }
    }
}
