//! The processes that hold a file at one moment.

use strum::IntoStaticStr;

use super::open::Comm;
use super::process::ProcessKey;

/// The way in which a process has a file; the words stand in lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum HeldAs {
    /// Behind a descriptor.
    Descriptor(Descriptor),
    /// As its working directory.
    Cwd,
    /// As its root directory.
    Root,
    /// As the program that it runs.
    Executable,
    /// In its memory.
    Mapped,
}

/// An open descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    /// Its number.
    pub fd: u32,
    /// The flags that the file was opened with, without `O_CLOEXEC`, which is the descriptor's.
    pub flags: u32,
    /// The position in the file, bytes.
    pub offset: u64,
}

impl HeldAs {
    /// The word.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The descriptor, where it is held by one.
    pub fn descriptor(self) -> Option<Descriptor> {
        match self {
            HeldAs::Descriptor(descriptor) => Some(descriptor),
            _ => None,
        }
    }
}

/// A process holds the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The process.
    pub key: ProcessKey,
    /// Its real user, in the initial user namespace.
    pub uid: u32,
    /// The name of its group leader.
    pub process: Comm,
    /// The id of its cgroup, [tagged with the hierarchy](super::cgroup::hierarchy_of).
    pub cgroup_id: u64,
    pub held_as: HeldAs,
    /// The absolute path that a descriptor was opened by, in its mount namespace, `pipe:[7]` outside of the
    /// tree; `None` for what is no descriptor, for 4,095 bytes or more, and where the kernel has refused the
    /// program that reads it.
    pub path: Option<Box<[u8]>>,
    /// No name leads to it any more.
    pub deleted: bool,
}

/// All that hold a file at one moment, in the order of process ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    pub held: Vec<Held>,
    /// Holds that found no room.
    pub left_out: u64,
}
