//! `io`: bytes and calls of a process on a file in an interval.

use super::open::cgroup;
use super::{Line, Record, Seconds, Text, Visitor, key};
use crate::stream::lines::IoLine;

impl Line for IoLine<'_> {
    const TYPE: &'static str = "io";
}

impl<'a> Record for IoLine<'a> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("interval_s", ["s"], "length of the interval, as measured"), |l| {
            Seconds(l.interval_ns)
        });
        v.field(
            key!(
                "other",
                "true for the last line of an interval: everything that has no line of its own, for lack of room \
                 or by the filter; what is about a process or a file is null there"
            ),
            |l| l.of.is_none(),
        );
        v.field(key!("pid", "process ID (thread group) in the initial PID namespace"), |l| {
            l.of.map(|one| one.key.tgid)
        });
        v.field(key!("uid", "real user ID in the initial user namespace"), |l| {
            l.of.map(|one| one.uid)
        });
        v.field(key!("process", "name of the process's main thread"), |l| {
            l.of.map(|one| Text(one.process.as_bytes()))
        });
        v.field(
            key!(
                "resolved",
                "absolute path of the file at its first use in the interval, from the root of the process's mount \
                 namespace; null where it is not known"
            ),
            |l| l.place().map(|place| Text(&place.path)),
        );
        v.field(
            key!(
                "resolved_kind",
                "opened; deleted or tmpfile (no name any more, or none yet), or anon (no file); null without \
                 resolved"
            ),
            |l| l.place().map(|place| place.kind.name()),
        );
        v.field(
            key!(
                "file_type",
                "regular; with --io=all also directory, pipe, socket, character, block or other"
            ),
            |l| l.of.and_then(|one| one.file_type.name()),
        );
        v.field(
            key!(
                "read_bytes",
                ["bytes"],
                "bytes that calls read, from the page cache too; mapped memory is not seen"
            ),
            |l| l.counts.read_bytes,
        );
        v.field(
            key!(
                "written_bytes",
                ["bytes"],
                "bytes that calls wrote, to the page cache too; mapped memory is not seen"
            ),
            |l| l.counts.written_bytes,
        );
        v.field(key!("read_calls", "calls that read and did not fail"), |l| l.counts.read_calls);
        v.field(key!("write_calls", "calls that wrote and did not fail"), |l| l.counts.write_calls);
        v.field(
            key!(
                "p50_ns",
                ["ns"],
                "duration that half of the calls did not exceed, failed calls included: an upper limit, the true \
                 one is at most a third below, of 1,024 any shorter one; null without --slow, and where no call was timed (io_uring below kernel 6.4, requests submitted before the start)"
            ),
            |l| l.times().and_then(|times| times.percentile_ns(50)),
        );
        v.field(key!("p99_ns", ["ns"], "likewise of 99 % of the calls"), |l| {
            l.times().and_then(|times| times.percentile_ns(99))
        });
        v.field(
            key!("max_ns", ["ns"], "duration of the longest call; below kernel 5.17 a shorter one where two return in the same instant; null as p50_ns"),
            |l| l.times().map(|times| times.max_ns),
        );
        v.field(
            key!(
                "slow_calls",
                "calls that took the time of --slow or longer, failed ones included; null as p50_ns, but known for \
                 other"
            ),
            |l| l.times().map(|times| times.slow).or(l.other_slow),
        );
        cgroup(v, |l: Self| l.cgroup);
    }
}
