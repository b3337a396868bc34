//! The rows of a report: their subjects and their counts.

use std::net::IpAddr;

use super::conn_row::{self, ConnRow};
use crate::cli::By;
use crate::model::call_times::{self, CallTimes};
use crate::model::errno::errno_name;
use crate::model::held::Held;
use crate::model::listener::Listener;
use crate::stream::record::{Flags, Record, Text, Visitor, key};

/// A row. Each table has some of its fields.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// It is the rest: everything that has no row of its own.
    pub other: bool,
    pub program: Option<Box<[u8]>>,
    pub process: Option<Box<[u8]>>,
    pub pid: Option<u32>,
    pub uid: Option<u32>,
    pub place: RowPlace,
    pub processes: Option<u64>,
    pub resolved: Option<Box<[u8]>>,
    pub directory: Option<Box<[u8]>>,
    pub files: Option<u64>,
    pub errno: Option<i32>,
    pub interface: Option<Box<[u8]>>,
    pub ip: Option<IpAddr>,
    pub opens: u64,
    pub failed: u64,
    /// Bytes of payload by process, of frames by talker; `None` where they are unknown.
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
    pub rx_packets: u64,
    pub tx_packets: u64,
    /// The file that the process holds, by holder.
    pub held: Option<Box<Held>>,
    /// Connections, by connection.
    pub connections: u64,
    /// The connection, by connection.
    pub connection: Option<Box<ConnRow>>,
    /// The listener, by listener.
    pub listener: Option<Box<Listener>>,
    /// Bytes of files; `None` where they are not counted.
    pub read_bytes: Option<u64>,
    pub written_bytes: Option<u64>,
    /// Durations of the calls that read and wrote these; `None` where they are not timed.
    pub times: Option<Box<CallTimes>>,
    /// Slow calls, failed ones too, those of no row too in the rest; `None` where calls are not timed.
    pub slow: Option<u64>,
}

impl Row {
    /// Bytes in both directions.
    pub fn bytes(&self) -> u64 {
        self.rx_bytes.unwrap_or(0).saturating_add(self.tx_bytes.unwrap_or(0))
    }

    /// Bytes of files in both directions.
    pub fn io_bytes(&self) -> u64 {
        self.read_bytes.unwrap_or(0).saturating_add(self.written_bytes.unwrap_or(0))
    }

    /// Adds counts.
    pub fn add(&mut self, other: &Row) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        self.opens = self.opens.saturating_add(other.opens);
        self.failed = self.failed.saturating_add(other.failed);
        self.connections = self.connections.saturating_add(other.connections);
        self.processes = sum(self.processes, other.processes);
        self.files = sum(self.files, other.files);
        self.rx_bytes = sum(self.rx_bytes, other.rx_bytes);
        self.tx_bytes = sum(self.tx_bytes, other.tx_bytes);
        self.read_bytes = sum(self.read_bytes, other.read_bytes);
        self.written_bytes = sum(self.written_bytes, other.written_bytes);
        call_times::merge(&mut self.times, &other.times);
        self.slow = sum(self.slow, other.slow);
        self.rx_packets = self.rx_packets.saturating_add(other.rx_packets);
        self.tx_packets = self.tx_packets.saturating_add(other.tx_packets);
    }

    /// The rest of these counts without those of the rows.
    pub fn rest(&self, rows: &[Row]) -> Row {
        let mut shown = Row::default();
        rows.iter().for_each(|row| shown.add(row));
        let less = |a: Option<u64>, b: Option<u64>| Some(a?.saturating_sub(b.unwrap_or(0)));
        Row {
            other: true,
            opens: self.opens.saturating_sub(shown.opens),
            failed: self.failed.saturating_sub(shown.failed),
            rx_bytes: less(self.rx_bytes, shown.rx_bytes),
            tx_bytes: less(self.tx_bytes, shown.tx_bytes),
            read_bytes: less(self.read_bytes, shown.read_bytes),
            written_bytes: less(self.written_bytes, shown.written_bytes),
            slow: less(self.slow, shown.slow),
            rx_packets: self.rx_packets.saturating_sub(shown.rx_packets),
            tx_packets: self.tx_packets.saturating_sub(shown.tx_packets),
            ..Row::default()
        }
    }

    /// Whether it counts nothing.
    pub fn is_empty(&self) -> bool {
        let bytes = [self.bytes(), self.io_bytes()];
        let slow = self.slow.unwrap_or(0);
        let counts = [self.opens, self.failed, self.rx_packets, self.tx_packets, slow];
        counts.into_iter().chain(bytes).all(|n| n == 0)
    }
}

/// The place of a process, as far as its cgroup is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RowPlace {
    /// The systemd unit.
    pub unit: Option<Box<[u8]>>,
    pub container: Option<String>,
    pub pod: Option<String>,
    pub container_name: Option<String>,
    pub pod_name: Option<String>,
    /// The Kubernetes namespace of the pod.
    pub namespace: Option<String>,
}

/// Does something with the record that a table of rows is written as.
pub trait WithRecord {
    /// Is called with the type of the record.
    fn with<'a, R: Record>(&mut self, wrap: fn(&'a Row) -> R, rows: &'a [Row]);
}

/// Calls `what` for the table of `by`.
pub fn with_record(by: By, rows: &[Row], what: &mut impl WithRecord) {
    match by {
        By::Program => what.with(ByProgram, rows),
        By::Unit => what.with(ByUnit, rows),
        By::Process => what.with(ByProcess, rows),
        By::File => what.with(ByFile, rows),
        By::Directory => what.with(ByDirectory, rows),
        By::Failure => what.with(ByFailure, rows),
        By::Talker => what.with(ByTalker, rows),
        By::Peer => what.with(ByPeer, rows),
        By::Connection => what.with(ByConnection, rows),
        By::Holder => what.with(ByHolder, rows),
        By::Listener => what.with(ByListener, rows),
    }
}

/// A table: groups of keys, in their order.
macro_rules! tables {
    ($($table:ident($by:literal): $($keys:ident)+;)+) => {$(
        #[doc = concat!("A row by ", $by, ".")]
        #[derive(Clone, Copy, Debug)]
        pub struct $table<'a>(&'a Row);

        impl Record for $table<'_> {
            fn fields<V: Visitor<Self>>(v: &mut V) {
                v.field(key!("by", "the kind of the rows"), |_| $by);
                v.field(
                    key!("other", "true for the rest: all that has no row of its own"),
                    |row| row.0.other,
                );
                $($keys(&mut v.of(|row: Self| row.0));)+
            }
        }
    )+};
}

tables! {
    ByProgram("program"): program place processes opens payload io;
    ByUnit("unit"): place processes opens payload io;
    ByProcess("process"): process place opens payload io;
    ByFile("file"): file processes opens io;
    ByDirectory("directory"): directory opens io;
    ByFailure("failure"): program file errno failed;
    ByTalker("talker"): interface address frames;
    ByPeer("peer"): program address payload;
    ByConnection("connection"): process connection payload quality;
    ByHolder("holder"): process place held;
    ByListener("listener"): process place listener;
}

fn program<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("program", "name of the program's processes; null for other"), |r| {
        r.program.as_deref().map(Text)
    });
}

fn place<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("unit", "systemd unit, from the cgroup; null where it has none"), |r| {
        r.place.unit.as_deref().map(Text)
    });
    v.field(key!("container", "id or name of the container; null outside of one"), |r| {
        r.place.container.as_deref().map(|name| Text(name.as_bytes()))
    });
    v.field(key!("pod", "uid of the pod; null outside of one"), |r| {
        r.place.pod.as_deref().map(|uid| Text(uid.as_bytes()))
    });
    v.field(key!("container_name", "name of the container; null where it is not known"), |r| {
        r.place.container_name.as_deref().map(|name| Text(name.as_bytes()))
    });
    v.field(key!("pod_name", "name of the pod; null where it is not known"), |r| {
        r.place.pod_name.as_deref().map(|name| Text(name.as_bytes()))
    });
    v.field(key!("namespace", "namespace of the pod; null as for pod_name"), |r| {
        r.place.namespace.as_deref().map(|name| Text(name.as_bytes()))
    });
}

fn processes<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("processes", "processes, ended ones included; one that was evicted and came back may count again; null for other"), |r| r.processes);
}

fn process<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("pid", "process id in the initial namespace; null for other"), |r| r.pid);
    v.field(key!("process", "name of the process; null for other"), |r| {
        r.process.as_deref().map(Text)
    });
    v.field(key!("uid", "real user id; null for other"), |r| r.uid);
}

fn file<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(
        key!("resolved", "path of the file, or as passed where it is not known; null for other"),
        |r| r.resolved.as_deref().map(Text),
    );
}

fn held<'a, V: Visitor<&'a Row>>(v: &mut V) {
    let held = |r: &'a Row| r.held.as_deref();
    let descriptor = move |r: &'a Row| held(r).and_then(|h| h.held_as.descriptor());
    v.field(
        key!("held_as", "descriptor, cwd, root, executable (the program that runs), mapped"),
        move |r| held(r).map(|h| h.held_as.name()),
    );
    v.field(key!("fd", "number of the descriptor; null for what is none"), move |r| {
        descriptor(r).map(|d| d.fd)
    });
    v.field(key!("flags", "flags that it was opened with; null as for fd"), move |r| {
        descriptor(r).map(|d| Flags(d.flags.into()))
    });
    v.field(
        key!("offset", ["bytes"], "position of the descriptor in the file; null as for fd"),
        move |r| descriptor(r).map(|d| d.offset),
    );
    v.field(
        key!(
            "resolved",
            "path that it was opened by, in the process's mount namespace; null as for fd, and where the kernel does not give it"
        ),
        |r| r.resolved.as_deref().map(Text),
    );
    v.field(key!("deleted", "true where no name leads to the file any more"), move |r| {
        held(r).is_some_and(|h| h.deleted)
    });
}

fn connection<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("connections", "1; of other the number of all others"), |r| r.connections);
    conn_row::ends(v, |r: &'a Row| r.connection.as_deref());
}

fn quality<'a, V: Visitor<&'a Row>>(v: &mut V) {
    conn_row::quality(v, |r: &'a Row| r.connection.as_deref());
}

fn listener<'a, V: Visitor<&'a Row>>(v: &mut V) {
    let of = |r: &'a Row| r.listener.as_deref();
    v.field(
        key!("protocol", "tcp, udp, or u_str and u_seq for Unix sockets (stream, seqpacket)"),
        move |r| of(r).map(|l| l.bound.protocol()),
    );
    v.field(
        key!(
            "local_ip",
            "address that it is bound to; 0.0.0.0 or :: for all; null for Unix sockets"
        ),
        move |r| of(r).and_then(|l| l.bound.ip()).map(|local| local.ip()),
    );
    v.field(key!("local_port", "its port; null for Unix sockets"), move |r| {
        of(r).and_then(|l| l.bound.ip()).map(|local| local.port())
    });
    v.field(
        key!("path", "path of a Unix socket, or its abstract name after an @; null for others"),
        move |r| of(r).and_then(|l| l.bound.unix()).map(|name| Text(name.as_bytes())),
    );
    v.field(
        key!("waiting", "connections that wait to be accepted, of udp bytes that wait to be read"),
        move |r| of(r).map(|l| l.waiting),
    );
    v.field(
        key!("limit", "connections that may wait (backlog); null for udp, and in other network namespaces where it is not known"),
        move |r| of(r).and_then(|l| l.limit),
    );
    v.field(
        key!(
            "drops",
            "handshake packets or datagrams that the socket dropped; null for Unix sockets, and for tcp in other network namespaces where that is not known"
        ),
        move |r| of(r).and_then(|l| l.drops),
    );
    v.field(
        key!(
            "accepted",
            "of a recording and with --duration, connections to its address that processes accepted; null for udp, and where these \
             are not counted"
        ),
        move |r| of(r).and_then(|l| l.accepted),
    );
    v.field(
        key!(
            "accepted_by",
            "listeners at its address, which accepted is the sum of; null where accepted is"
        ),
        move |r| of(r).and_then(|l| l.accepted.map(|_| l.accepting)),
    );
    v.field(key!("more_processes", "further processes that have it open"), move |r| {
        of(r).map(|l| l.others)
    });
    v.field(key!("netns", "inode number of its network namespace"), move |r| {
        of(r).map(|l| l.netns)
    });
}

fn directory<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("directory", "directory of the files; null for other"), |r| {
        r.directory.as_deref().map(Text)
    });
    v.field(key!("files", "files in it that were opened; one that was evicted and came back may count again; null for other"), |r| r.files);
}

fn errno<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("errno", "name of the error; null for other"), |r| r.errno.map(errno_name));
}

fn failed<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("failed", "opens that failed"), |r| r.failed);
}

fn opens<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("opens", "opens since the start"), |r| r.opens);
    failed(v);
}

fn payload<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(
        key!("rx_bytes", ["bytes"], "payload received by connections; null where unknown"),
        |r| r.rx_bytes,
    );
    v.field(key!("tx_bytes", ["bytes"], "payload sent; null as for rx_bytes"), |r| r.tx_bytes);
}

fn io<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(
        key!(
            "read_bytes",
            ["bytes"],
            "bytes that calls read from files, from the page cache too; null without --io"
        ),
        |r| r.read_bytes,
    );
    v.field(
        key!("written_bytes", ["bytes"], "bytes that calls wrote to files; null without --io"),
        |r| r.written_bytes,
    );
    v.field(
        key!(
            "io_p50_ns",
            ["ns"],
            "duration that half of these calls did not exceed, failed calls included: an upper limit, the true one \
             is at most a third below, of 1,024 any shorter one; null without --slow, for other, and where no call was timed"
        ),
        |r| r.times.as_ref().and_then(|times| times.percentile_ns(50)),
    );
    v.field(key!("io_p99_ns", ["ns"], "likewise of 99 % of the calls"), |r| {
        r.times.as_ref().and_then(|times| times.percentile_ns(99))
    });
    v.field(
        key!("io_max_ns", ["ns"], "duration of the longest call; below kernel 5.17 a shorter one where two return in the same instant; null as io_p50_ns"),
        |r| r.times.as_ref().map(|times| times.max_ns),
    );
    v.field(
        key!(
            "slow_calls",
            "calls that took the time of --slow or longer; null as io_p50_ns, but known for other"
        ),
        |r| r.slow,
    );
}

fn interface<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("interface", "name of the interface; null for other"), |r| {
        r.interface.as_deref().map(Text)
    });
}

fn address<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("ip", "remote address; null for other"), |r| r.ip);
}

fn frames<'a, V: Visitor<&'a Row>>(v: &mut V) {
    v.field(key!("rx_packets", "packets received from it"), |r| r.rx_packets);
    v.field(key!("rx_bytes", ["bytes"], "bytes of these, Ethernet headers included"), |r| {
        r.rx_bytes
    });
    v.field(key!("tx_packets", "packets sent to it"), |r| r.tx_packets);
    v.field(key!("tx_bytes", ["bytes"], "bytes of these"), |r| r.tx_bytes);
}
