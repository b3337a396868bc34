//! Changes of files and directories: creations, removals, renames and the like.

use serde::{Deserialize, Serialize};

use super::event_log::Logged;
use super::open::{Comm, ResolvedKind};
use super::process::ProcessKey;
use super::time::{Mono, WallOffset};

/// A call that changes a file or a directory has returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// When it returned.
    pub at: Mono,
    pub key: ProcessKey,
    /// Thread id, as the initial PID namespace sees it.
    pub tid: u32,
    /// The parent's thread group id.
    pub ppid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// The thread's name.
    pub comm: Comm,
    /// The group leader's name.
    pub process: Comm,
    /// See [`crate::model::open::OpenMeta::cgroup_id`].
    pub cgroup_id: Option<u64>,
    pub op: Op,
    pub call: ChangeCall,
    /// The positive errno of a failed change.
    pub errno: Option<i32>,
    /// The file; of a link, a symbolic link and a rename its first name.
    pub path: Name,
    /// The second name of those; unknown for all others.
    pub to: Name,
    pub how: How,
}

/// A name that a call was passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// As the program passed it; `None` where there was none or it could not be read whole.
    pub requested: Option<Box<[u8]>>,
    /// The absolute path, from the root of the process's mount namespace. [`ResolvedKind::Tried`]: the directory
    /// that the name starts from, as the kernel holds it, and the name as passed, whose symbolic links are not followed.
    pub resolved: Option<(ResolvedKind, Box<[u8]>)>,
}

impl Name {
    /// The absolute path.
    pub fn resolved(&self) -> Option<&[u8]> {
        self.resolved.as_ref().map(|(_, path)| &**path)
    }

    /// The best text there is to show: the absolute path, else the one that was passed.
    pub fn best(&self) -> Option<&[u8]> {
        self.resolved().or(self.requested.as_deref())
    }

    fn bytes(&self) -> usize {
        self.requested.as_ref().map_or(0, |text| text.len())
            + self.resolved().map_or(0, <[u8]>::len)
    }
}

/// The rest of a change's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Neither.
    None,
    /// The mode that was asked for, before the umask.
    Mode(u32),
    /// The length that the file was given, bytes.
    Length(u64),
    /// Ids in the caller's user namespace; `None` for one that stays (-1).
    Owner { uid: Option<u32>, gid: Option<u32> },
    /// Flags of `renameat2`.
    Rename(u32),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

words! {
    /// A kind of change.
    Op {
        /// An open made the file.
        Create = "create",
        Unlink = "unlink",
        Rmdir = "rmdir",
        Rename = "rename",
        Link = "link",
        Symlink = "symlink",
        Mkdir = "mkdir",
        Mknod = "mknod",
        /// A call set the length, or an open cut the file to nothing.
        Truncate = "truncate",
        Chmod = "chmod",
        Chown = "chown",
    }
}

impl Op {
    /// The kind with this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|op| op.name().eq_ignore_ascii_case(name))
    }
}

words! {
    /// A call that changes a file.
    ChangeCall {
        Open = "open",
        Openat = "openat",
        Openat2 = "openat2",
        Creat = "creat",
        IoUring = "io_uring",
        Unlink = "unlink",
        Unlinkat = "unlinkat",
        Rmdir = "rmdir",
        Rename = "rename",
        Renameat = "renameat",
        Renameat2 = "renameat2",
        Link = "link",
        Linkat = "linkat",
        Symlink = "symlink",
        Symlinkat = "symlinkat",
        Mkdir = "mkdir",
        Mkdirat = "mkdirat",
        Mknod = "mknod",
        Mknodat = "mknodat",
        Truncate = "truncate",
        Ftruncate = "ftruncate",
        Chmod = "chmod",
        Fchmod = "fchmod",
        Fchmodat = "fchmodat",
        Fchmodat2 = "fchmodat2",
        Chown = "chown",
        Lchown = "lchown",
        Fchown = "fchown",
        Fchownat = "fchownat",
        // Last: recordings hold the numbers.
        OpenByHandleAt = "open_by_handle_at",
    }
}

impl ChangeCall {
    /// Whether it is a call of its own, not an open or a request of a ring.
    pub const fn is_own(self) -> bool {
        !matches!(
            self,
            Self::Open
                | Self::Openat
                | Self::Openat2
                | Self::Creat
                | Self::OpenByHandleAt
                | Self::IoUring
        )
    }
}

/// Changes of one drain of the rings, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChanges {
    pub events: Vec<FileChange>,
    /// Changes since the probe counts, before any were selected.
    pub seen: u64,
    /// Of the seen: those without a record.
    pub lost: u64,
    pub wall: WallOffset,
}

impl Logged for FileChange {
    fn key(&self) -> ProcessKey {
        self.key
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.path.bytes() + self.to.bytes()
    }
}

impl FileChange {
    /// Its names, as passed and absolute.
    pub fn paths(&self) -> Vec<&[u8]> {
        [&self.path, &self.to]
            .into_iter()
            .flat_map(|name| [name.requested.as_deref(), name.resolved()])
            .flatten()
            .collect()
    }

    /// Whether it has two names.
    pub fn has_to(&self) -> bool {
        matches!(self.op, Op::Rename | Op::Link | Op::Symlink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_names() {
        for op in Op::ALL {
            assert_eq!(Op::named(&op.name().to_uppercase()), Some(*op));
        }
        assert_eq!(Op::named("open"), None);
        assert_eq!(ChangeCall::ALL.iter().filter(|call| call.is_own()).count(), 24);
    }
}
