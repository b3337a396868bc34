//! `slow`: a call that read or wrote a file and took long.

use super::open::cgroup;
use super::{Line, Record, Text, Visitor, key};
use crate::model::errno::errno_name;
use crate::stream::lines::SlowLine;

impl Line for SlowLine<'_> {
    const TYPE: &'static str = "slow";
}

impl<'a> Record for SlowLine<'a> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("pid", "process ID (thread group) in the initial PID namespace"), |l| {
            l.event.key.tgid
        });
        v.field(key!("tid", "thread ID in the initial PID namespace"), |l| l.event.tid);
        v.field(key!("uid", "real user ID in the initial user namespace"), |l| l.event.uid);
        v.field(key!("comm", "name of the thread, 15 bytes at most"), |l| {
            Text(l.event.comm.as_bytes())
        });
        v.field(key!("process", "name of the process's main thread"), |l| {
            Text(l.event.process.as_bytes())
        });
        v.field(
            key!(
                "syscall",
                "name of the call; one that reads a file and writes another (sendfile, splice, \
                 copy_file_range) has a line for each"
            ),
            |l| l.event.call.name(),
        );
        v.field(key!("direction", "read or write: what the call does to this file"), |l| {
            if l.event.writes { "write" } else { "read" }
        });
        v.field(
            key!(
                "resolved",
                "absolute path of the file at its first use in the interval, from the root of the process's mount \
                 namespace; null where it is not known"
            ),
            |l| l.event.path().map(Text),
        );
        v.field(key!("resolved_kind", "as in io lines"), |l| {
            l.event.place.as_ref().map(|place| place.kind.name())
        });
        v.field(
            key!(
                "file_type",
                "as in io lines; null where the descriptor was closed during the call"
            ),
            |l| l.event.file_type.name(),
        );
        v.field(
            key!("bytes", ["bytes"], "bytes that the call moved; null for one that failed"),
            |l| l.event.moved(),
        );
        v.field(key!("errno", "name of the error; null for a call that did not fail"), |l| {
            l.event.errno().map(errno_name)
        });
        v.field(
            key!("duration_ns", ["ns"], "time from the call to its return, which is time"),
            |l| l.event.took_ns,
        );
        cgroup(v, |l: Self| l.cgroup);
    }
}
