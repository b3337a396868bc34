//! `listener`: a listener that was found, is new, changed or has gone.

use std::net::IpAddr;

use super::{Line, Maybe, Record, Text, Visitor, key};
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
                 drops, accepted connections or process changed; close: it has gone, with its last values"
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
        v.field(
            key!("protocol", "tcp, udp, or u_str and u_seq for Unix sockets (stream, seqpacket)"),
            |l| l.row.bound.protocol(),
        );
        v.field(
            key!(
                "local_ip",
                "address that it is bound to; 0.0.0.0 or :: for all; null for Unix sockets"
            ),
            |l| l.row.bound.ip().map(|local| IpAddr::to_canonical(&local.ip())),
        );
        v.field(key!("local_port", "its port; null for Unix sockets"), |l| {
            l.row.bound.ip().map(|local| local.port())
        });
        v.field(
            key!("path", "path of a Unix socket, or its abstract name after an @; null for others"),
            |l| l.row.bound.unix().map(|name| Text(name.as_bytes())),
        );
        v.field(key!("netns", "inode number of its network namespace"), |l| l.row.netns);
        v.field(
            key!(
                "waiting",
                "connections that wait to be accepted, of udp bytes that wait to be read"
            ),
            |l| l.row.waiting,
        );
        v.field(
            key!(
                "limit",
                "connections that may wait (backlog); null for udp, and in other network namespaces where it is not known"
            ),
            |l| l.row.limit,
        );
        v.field(
            key!(
                "drops",
                "handshake packets or datagrams that the socket dropped, most often since its queue was full; null for Unix sockets, and for tcp \
                 in other network namespaces where that is not known"
            ),
            |l| l.row.drops,
        );
        v.field(
            key!(
                "accepted",
                "connections to its address that processes accepted since ready; null for udp, and where these are not \
                 counted"
            ),
            |l| l.row.accepted,
        );
        v.field(
            key!(
                "accepted_by",
                "listeners at its address, which accepted is the sum of; null where accepted is"
            ),
            |l| l.row.accepted.map(|_| l.row.accepting),
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
