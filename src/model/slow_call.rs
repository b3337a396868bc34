//! Calls that read or wrote a file and took long.

use serde::{Deserialize, Serialize};

use super::event_log::Logged;
use super::file_io::{FilePlace, FileType};
use super::open::Comm;
use super::process::ProcessKey;
use super::time::{Mono, WallOffset};

/// A call that moves bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IoCall {
    Read,
    Pread64,
    Readv,
    Preadv,
    Preadv2,
    Write,
    Pwrite64,
    Writev,
    Pwritev,
    Pwritev2,
    Sendfile,
    Tee,
    Splice,
    CopyFileRange,
    /// A request of io_uring, from its submission to its completion.
    IoUring,
}

impl IoCall {
    /// The name of the system call.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Pread64 => "pread64",
            Self::Readv => "readv",
            Self::Preadv => "preadv",
            Self::Preadv2 => "preadv2",
            Self::Write => "write",
            Self::Pwrite64 => "pwrite64",
            Self::Writev => "writev",
            Self::Pwritev => "pwritev",
            Self::Pwritev2 => "pwritev2",
            Self::Sendfile => "sendfile",
            Self::Tee => "tee",
            Self::Splice => "splice",
            Self::CopyFileRange => "copy_file_range",
            Self::IoUring => "io_uring",
        }
    }
}

/// A call of the limit's duration or longer (`--slow`). One that reads a file and writes another is two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowCall {
    /// When it returned.
    pub at: Mono,
    /// How long it took, ns.
    pub took_ns: u64,
    pub key: ProcessKey,
    /// The thread that called.
    pub tid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// The name of the thread.
    pub comm: Comm,
    /// The name of its group leader.
    pub process: Comm,
    /// See [`super::open::OpenMeta::cgroup_id`].
    pub cgroup_id: Option<u64>,
    pub call: IoCall,
    /// The call writes the file; else it reads it.
    pub writes: bool,
    pub file_type: FileType,
    /// The place of the file; `None` where it is not known.
    pub place: Option<FilePlace>,
    /// The bytes that it moved, or the negative error.
    pub ret: i64,
}

impl SlowCall {
    /// The bytes that it moved; `None`: it failed.
    pub fn moved(&self) -> Option<u64> {
        u64::try_from(self.ret).ok()
    }

    /// The error that it failed with.
    pub fn errno(&self) -> Option<i32> {
        (self.ret < 0).then(|| i32::try_from(self.ret.unsigned_abs()).unwrap_or(i32::MAX))
    }

    /// The path of the file, where it is known.
    pub fn path(&self) -> Option<&[u8]> {
        self.place.as_ref().map(|place| &*place.path)
    }
}

impl Logged for SlowCall {
    fn key(&self) -> ProcessKey {
        self.key
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.path().map_or(0, <[u8]>::len)
    }
}

/// Slow calls of one drain of the ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowCalls {
    pub calls: Vec<SlowCall>,
    /// Slow calls without a record since the start: they found no room in the ring.
    pub lost: u64,
    pub wall: WallOffset,
}
