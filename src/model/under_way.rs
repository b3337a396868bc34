//! Opens that have not returned: on a file system that hangs, a FIFO without its other end.

use serde::{Deserialize, Serialize};

use super::open::{Comm, Syscall};
use super::process::ProcessKey;
use super::time::{Mono, WallOffset};

/// An open that has not returned for a second or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
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
    pub syscall: Syscall,
    /// The path as passed; `None` where the kernel has not read it yet.
    pub path: Option<Box<[u8]>>,
    /// When it began.
    pub since: Mono,
}

impl UnderWay {
    /// Its size in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.path.as_deref().map_or(0, <[u8]>::len)
    }
}

/// All that are under way at one moment, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWayOpens {
    pub opens: Vec<UnderWay>,
    /// How many more there were.
    pub left_out: u64,
    pub at: Mono,
    pub wall: WallOffset,
}

impl UnderWayOpens {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.opens.len() as u64 + self.left_out
    }

    /// The oldest one of a process.
    pub fn of(&self, key: ProcessKey) -> Option<&UnderWay> {
        self.opens.iter().find(|open| open.key == key)
    }
}
