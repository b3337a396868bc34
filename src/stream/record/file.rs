//! `file`: a return from a call that changes a file or a directory.

use super::open::cgroup;
use super::{Line, Octal, Record, Sink, Text, Type, Value, Visitor, key};
use crate::model::errno::errno_name;
use crate::model::file_change::{How, Name};
use crate::stream::lines::FileLine;

/// Flags of `renameat2` (include/uapi/linux/fs.h).
const RENAME_FLAGS: [(u32, &[u8]); 3] =
    [(1, b"RENAME_NOREPLACE"), (2, b"RENAME_EXCHANGE"), (4, b"RENAME_WHITEOUT")];

/// Flags of a rename, unknown bits as one hexadecimal number.
struct RenameFlags(u32);

impl Value for RenameFlags {
    const TYPE: Type = Type::Strings;
    fn write<S: Sink>(self, to: &mut S) {
        let set = |(bit, _): &(u32, &[u8])| self.0 & bit != 0;
        let rest = RENAME_FLAGS.iter().fold(self.0, |rest, (bit, _)| rest & !bit);
        let rest = (rest != 0).then(|| format!("{rest:#x}"));
        let names = RENAME_FLAGS.into_iter().filter(set).map(|(_, name)| name);
        to.texts(names.chain(rest.as_deref().map(str::as_bytes)));
    }
}

fn requested<'a>(name: &'a Name) -> Option<Text<'a>> {
    name.requested.as_deref().map(Text)
}

fn resolved<'a>(name: &'a Name) -> Option<Text<'a>> {
    name.resolved().map(Text)
}

fn kind(name: &Name) -> Option<&'static str> {
    name.resolved.as_ref().map(|(kind, _)| kind.name())
}

impl Line for FileLine<'_> {
    const TYPE: &'static str = "file";
}

impl<'a> Record for FileLine<'a> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("pid", "process ID (thread group) in the initial PID namespace"), |l| {
            l.event.key.tgid
        });
        v.field(key!("tid", "thread ID in the initial PID namespace"), |l| l.event.tid);
        v.field(key!("ppid", "process ID of the parent"), |l| l.event.ppid);
        v.field(key!("uid", "real user ID in the initial user namespace"), |l| l.event.uid);
        v.field(key!("comm", "name of the thread, 15 bytes at most"), |l| {
            Text(l.event.comm.as_bytes())
        });
        v.field(key!("process", "name of the process's main thread"), |l| {
            Text(l.event.process.as_bytes())
        });
        v.field(
            key!(
                "op",
                "create, unlink, rmdir, rename, link, symlink, mkdir, mknod, truncate, chmod or chown"
            ),
            |l| l.event.op.name(),
        );
        v.field(key!("syscall", "name of the call, or io_uring for a request of a ring"), |l| {
            l.event.call.name()
        });
        v.field(
            key!(
                "path",
                "path as the program passed it, of two the first one (the old name; the target of a \
                 link); null where there is none or it could not be read"
            ),
            |l| requested(&l.event.path),
        );
        v.field(
            key!(
                "resolved",
                "absolute path from the root of the process's mount namespace; null where it is not \
                 known, and for the target of a symbolic link"
            ),
            |l| resolved(&l.event.path),
        );
        v.field(
            key!(
                "resolved_kind",
                "opened: as the kernel holds the file; deleted: likewise, without a name now; tried: \
                 the directory that the path starts from, and the path as passed; null without resolved"
            ),
            |l| kind(&l.event.path),
        );
        v.field(
            key!(
                "to",
                "second path of rename, link and symlink as passed: the new name; else null"
            ),
            |l| requested(&l.event.to),
        );
        v.field(
            key!("to_resolved", "absolute path of to, of the kind tried; null as for to"),
            |l| resolved(&l.event.to),
        );
        v.field(
            key!(
                "mode",
                "mode in octal of create, mkdir, mknod and chmod, before the umask; else null"
            ),
            |l| match l.event.how {
                How::Mode(mode) => Some(Octal(mode as u16)),
                _ => None,
            },
        );
        v.field(
            key!(
                "size",
                ["bytes"],
                "length that truncate sets; null for a negative one, and for the others"
            ),
            |l| match l.event.how {
                How::Length(bytes) => Some(bytes),
                _ => None,
            },
        );
        v.field(
            key!(
                "owner",
                "user ID that chown sets, in the process's user namespace; null for one that stays, \
                 and for the others"
            ),
            |l| match l.event.how {
                How::Owner { uid, .. } => uid,
                _ => None,
            },
        );
        v.field(key!("group", "group ID that chown sets; null as for owner"), |l| {
            match l.event.how {
                How::Owner { gid, .. } => gid,
                _ => None,
            }
        });
        v.field(
            key!(
                "flags",
                "of a rename: RENAME_NOREPLACE, RENAME_EXCHANGE (both names change places), \
                 RENAME_WHITEOUT; unknown bits as one hexadecimal number; null for the others"
            ),
            |l| match l.event.how {
                How::Rename(flags) => Some(RenameFlags(flags)),
                _ => None,
            },
        );
        v.field(key!("errno", "name of the error; null for a change that was made"), |l| {
            l.event.errno.map(errno_name)
        });
        cgroup(v, |l: Self| l.cgroup);
    }
}
