//! `listener`: a listener that was found, is new, changed or has gone.

use std::net::IpAddr;

use super::{Line, Maybe, Record, Text, Visitor, key};
use crate::model::conn::protocol_name;
use crate::stream::lines::ListenerLine;

impl Line for ListenerLine<'_> {
    const TYPE: &'static str = "listener";
}

impl<'a> Record for ListenerLine<'a> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(
            key!(
                "event",
                "seen: found, and not known to be new, as by the first reading; listen: it is new; change: its queue, limit, \
                 drops or process changed; close: it has gone, with its last values"
            ),
            |l| l.event.name(),
        );
        v.field(
            key!(
                "pid",
                "process ID of the first process that has it open; null where none is known"
            ),
            |l| l.row.owner.map(|owner| owner.key.tgid),
        );
        v.field(key!("uid", "its real user ID in the initial user namespace"), |l| {
            l.row.owner.map(|owner| owner.uid)
        });
        v.field(key!("process", "its name"), |l| {
            l.row.owner.as_ref().map(|owner| Text(owner.comm.as_bytes()))
        });
        v.field(key!("more_processes", "further processes that have it open"), |l| l.row.others);
        v.field(key!("protocol", "tcp or udp"), |l| protocol_name(l.row.protocol));
        v.field(key!("local_ip", "address that it is bound to; 0.0.0.0 or :: for all"), |l| {
            IpAddr::to_canonical(&l.row.local.ip())
        });
        v.field(key!("local_port", "its port"), |l| l.row.local.port());
        v.field(key!("netns", "inode number of its network namespace"), |l| l.row.netns);
        v.field(
            key!(
                "waiting",
                "of tcp connections that wait to be accepted, of udp bytes that wait to be read"
            ),
            |l| l.row.waiting,
        );
        v.field(
            key!(
                "limit",
                "connections that may wait; null for udp, and in other network namespaces"
            ),
            |l| l.row.limit,
        );
        v.field(
            key!(
                "drops",
                "connections or datagrams that the socket dropped, most often since its queue was full; null for tcp \
                 in other network namespaces"
            ),
            |l| l.row.drops,
        );
        v.field(
            key!(
                "since",
                "time of the reading that found it first; null where it was there before the first one"
            ),
            |l| l.row.since,
        );
        super::open::cgroup(v, |l: Self| l.cgroup);
        v.field(
            key!("partial", "why listeners or processes may be missing; absent where none is"),
            |l| Maybe(l.problem.map(|why| Text(why.as_bytes()))),
        );
    }
}
