//! The files that processes hold at one moment.

use strum::IntoStaticStr;

use super::open::Comm;
use super::process::ProcessKey;

/// What a process has a file as; the words stand in lines.
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

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum FileKind {
    Regular,
    Directory,
    Device,
    Pipe,
    Socket,
    /// Files of the kernel's own without a type: `anon_inode:[eventfd]` and others.
    Anonymous,
}

impl FileKind {
    /// The type in a mode (`S_IFMT` of inode(7)).
    pub fn of(mode: u16) -> Self {
        match u32::from(mode) & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFLNK => FileKind::Regular,
            libc::S_IFDIR => FileKind::Directory,
            libc::S_IFCHR | libc::S_IFBLK => FileKind::Device,
            libc::S_IFIFO => FileKind::Pipe,
            libc::S_IFSOCK => FileKind::Socket,
            _ => FileKind::Anonymous,
        }
    }

    /// The word.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A process holds a file.
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
    pub kind: FileKind,
    /// The number of the inode in its file system.
    pub inode: u64,
    /// The device of the file system, as `st_dev` has it.
    pub device: u32,
    /// The absolute path in the process's mount namespace, `pipe:[7]` outside of the tree. `None` where
    /// only the identity was asked for, and for 4,095 bytes or more.
    pub path: Option<Box<[u8]>>,
    /// No name leads to it any more.
    pub deleted: bool,
}

/// The files held at one moment, in the order of process ids, and how many more there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllHeld {
    pub held: Vec<Held>,
    /// Files that found no room.
    pub left_out: u64,
}
