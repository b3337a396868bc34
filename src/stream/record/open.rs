//! `open`: a return from a call that opens.

use super::{Flags, Line, Maybe, Octal, Record, Text, Visitor, key};
use crate::model::cgroup::Cgroup;
use crate::model::errno::errno_name;
use crate::model::flags;
use crate::model::unit::systemd_unit;
use crate::stream::lines::OpenLine;

impl<'a> Line for &'a OpenLine<'a> {
    const TYPE: &'static str = "open";
}

impl<'a> Record for &'a OpenLine<'a> {
    #[inline(always)]
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("pid", "process ID (thread group) in the initial PID namespace"), |l| {
            l.open.meta.tgid
        });
        v.field(key!("tid", "thread ID in the initial PID namespace"), |l| l.open.meta.tid);
        v.field(key!("ppid", "process ID of the parent"), |l| l.open.meta.ppid);
        v.field(key!("uid", "real user ID in the initial user namespace"), |l| l.open.meta.uid);
        v.field(key!("comm", "name of the thread, 15 bytes at most"), |l| {
            Text(l.open.meta.comm.as_bytes())
        });
        v.field(key!("process", "name of the process's main thread"), |l| {
            Text(l.open.meta.process.as_bytes())
        });
        v.field(
            key!(
                "syscall",
                "open, openat, openat2, creat, open_by_handle_at, or io_uring for a request of a ring"
            ),
            |l| l.open.meta.syscall.name(),
        );
        v.field(
            key!(
                "path",
                "path as the program passed it; null where there is none or it could not be read"
            ),
            |l| l.open.path.map(Text),
        );
        v.field(
            key!(
                "resolved",
                "absolute path that the kernel resolved, from the root of the process's mount \
                 namespace; null where it is not known"
            ),
            |l| l.open.resolved.map(|(_, path)| Text(path)),
        );
        v.field(
            key!(
                "resolved_kind",
                "opened; deleted or tmpfile (no name any more, or none yet), anon (no file), or \
                 tried, for a failed open; null without resolved"
            ),
            |l| l.open.resolved.map(|(kind, _)| kind.name()),
        );
        v.field(
            key!(
                "flags",
                "flags of the open, the access mode first; unknown bits as one hexadecimal number; \
                 null where they could not be read"
            ),
            |l| l.open.meta.flags.map(Flags),
        );
        v.field(key!("mode", "mode in octal with O_CREAT or O_TMPFILE, else null"), |l| {
            flags::mode(l.open.meta.flags, l.open.meta.mode).map(Octal)
        });
        v.field(
            key!("fd", "descriptor; null for a failed open and a direct open of io_uring"),
            |l| l.open.meta.fd(),
        );
        v.field(key!("errno", "name of the error; null for a successful open"), |l| {
            l.open.meta.errno().map(errno_name)
        });
        v.field(key!("slot", "slot of a direct open of io_uring"), |l| Maybe(l.open.meta.slot));
        v.field(
            key!("latency_ns", ["ns"], "duration of the call; null without --latency or --slow"),
            |l| l.open.meta.latency_ns,
        );
        cgroup(v, |l: Self| l.cgroup);
    }
}

/// The cgroup of a task, and the unit, container and pod that it names.
#[inline(always)]
pub(super) fn cgroup<'a, R: Copy, V: Visitor<R> + ?Sized>(
    v: &mut V,
    read: impl Fn(R) -> Option<&'a Cgroup> + Copy,
) {
    v.field(key!("cgroup", "path of the cgroup; null where it is not known"), move |l| {
        read(l).map(|c| Text(&c.path))
    });
    v.field(
        key!("container", "container ID, 64 hexadecimal digits; null outside of one"),
        move |l| read(l).and_then(|c| c.owner.container()),
    );
    v.field(key!("pod", "UID of the Kubernetes pod; null outside of one"), move |l| {
        read(l).and_then(|c| c.owner.pod())
    });
    v.field(
        key!("unit", "systemd unit that the cgroup names; null where it names none"),
        move |l| read(l).and_then(|c| systemd_unit(&c.path)).map(Text),
    );
    v.field(
        key!("container_name", "name of the container; null where no file of its manager has it"),
        move |l| read(l).and_then(Cgroup::container_name).map(|name| Text(name.as_bytes())),
    );
    v.field(key!("pod_name", "name of the Kubernetes pod; null as for container_name"), move |l| {
        read(l).and_then(Cgroup::pod_name).map(|name| Text(name.as_bytes()))
    });
    v.field(key!("namespace", "Kubernetes namespace; null as for container_name"), move |l| {
        read(l).and_then(Cgroup::namespace).map(|name| Text(name.as_bytes()))
    });
}
