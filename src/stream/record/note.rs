//! `ready`, `lost` and `summary`: lines about the run.

use super::{Line, Maybe, Plain, Record, Rows, Seconds, Text, Visitor, key};
use crate::cli::Kind;
use crate::model::coverage::{Attribution, Missing};
use crate::model::event::Watched;
use crate::model::link::Hook;
use crate::model::talkers::Direction;
use crate::model::under_way::FileCall;
use crate::stream::lines::{Loss, Lost, UnderWayLine};
use crate::stream::summary::{Coverage, Ready, Summary, hook};

/// Version of the lines: it grows with each incompatible change.
const SCHEMA: u32 = 1;

impl Line for &Ready {
    const TYPE: &'static str = "ready";
}

impl Record for &Ready {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("opens", "the opens probe runs"), |r| r.kinds.has(Kind::Opens));
        v.field(key!("talkers", "the talkers probe runs"), |r| r.kinds.has(Kind::Talkers));
        v.field(key!("interface", "watched interface; all for several; null for none"), |r| {
            r.interface().map(Text)
        });
        v.field(
            key!(
                "xdp_mode",
                "hook that counts rx: native, generic, tcx or socket; null for none, or where \
                 interfaces differ"
            ),
            |r| r.hook(Direction::Rx).map(Hook::name),
        );
        v.field(key!("tx_mode", "hook that counts tx: tcx or socket; null as for xdp_mode"), |r| {
            r.hook(Direction::Tx).map(Hook::name)
        });
        v.field(key!("version", "version of ebpftop"), |_| env!("CARGO_PKG_VERSION"));
        v.field(
            key!("schema", "version of these lines; it grows with each incompatible change"),
            |_| SCHEMA,
        );
        v.field(key!("host", "name of the machine"), |r| Text(r.host.as_bytes()));
        v.field(
            key!("boot_id", "random id of the kernel's boot; null where it is not known"),
            |r| r.boot_id.as_ref().map(|id| Text(id.as_bytes())),
        );
        v.field(key!("connections", "true where the connections probe runs"), |r| {
            Maybe(r.kinds.has(Kind::Connections).then_some(true))
        });
        v.field(key!("files", "true where changes of files are reported"), |r| {
            Maybe(r.kinds.has(Kind::Files).then_some(true))
        });
        v.field(key!("processes", "true where starts and ends of processes are reported"), |r| {
            Maybe(r.kinds.has(Kind::Processes).then_some(true))
        });
        v.field(key!("io", "true where bytes read and written are counted"), |r| {
            Maybe(r.kinds.has(Kind::Io).then_some(true))
        });
        v.field(key!("slow", "true where slow calls are reported"), |r| {
            Maybe(r.kinds.has(Kind::Slow).then_some(true))
        });
        v.field(key!("listeners", "true where listeners are read"), |r| {
            Maybe(r.kinds.has(Kind::Listeners).then_some(true))
        });
        v.field(key!("interfaces", "where several are watched: each with its hooks"), |r| {
            Maybe((r.watched.len() > 1).then(|| Rows(r.watched.iter())))
        });
        v.field(key!("file", "number of this file in the run, from 1; with --output"), |r| {
            Maybe(r.file)
        });
        v.field(key!("netns", "network namespace of --netns"), |r| {
            Maybe(r.netns.as_ref().map(|name| Text(name.as_bytes())))
        });
        coverage(&mut v.of(|r: Self| &r.coverage));
    }
}

impl Record for &Watched {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("interface", "name of the interface"), |w| Text(w.interface.as_bytes()));
        v.field(key!("xdp_mode", "hook that counts rx; null for none"), |w| {
            hook(w, Direction::Rx).map(Hook::name)
        });
        v.field(key!("tx_mode", "hook that counts tx; null for none"), |w| {
            hook(w, Direction::Tx).map(Hook::name)
        });
    }
}

impl Lost {
    fn of(self, loss: Loss) -> Maybe<u64> {
        Maybe((self.loss == loss).then_some(self.count))
    }

    /// The place that had no room for them.
    fn reason(self) -> &'static str {
        if self.loss == Loss::Lines { "output" } else { "ring buffer" }
    }
}

impl Line for Lost {
    const TYPE: &'static str = "lost";
}

impl Record for Lost {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("opens", "opens lost since the last such line"), |l| l.of(Loss::Opens));
        v.field(key!("connections", "connection events lost since the last such line"), |l| {
            l.of(Loss::Connections)
        });
        v.field(key!("files", "changes of files lost since the last such line"), |l| {
            l.of(Loss::Files)
        });
        v.field(
            key!("processes", "starts and ends of processes lost since the last such line"),
            |l| l.of(Loss::Processes),
        );
        v.field(key!("slow", "slow calls lost since the last such line"), |l| {
            l.of(Loss::SlowCalls)
        });
        v.field(
            key!(
                "lines",
                "lines dropped since the last such line, of every kind, with --on-slow drop"
            ),
            |l| l.of(Loss::Lines),
        );
        v.field(
            key!(
                "reason",
                "where there was no room: ring buffer (the reader was too slow for the kernel), or \
                 output (the disk or the reader of the lines was too slow)"
            ),
            Lost::reason,
        );
    }
}

impl Line for UnderWayLine<'_> {
    const TYPE: &'static str = "under_way";
}

impl Record for UnderWayLine<'_> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("pid", "process id, in the initial namespace"), |l| l.waiting.key.tgid);
        v.field(key!("tid", "id of the thread that waits"), |l| l.waiting.tid);
        v.field(key!("uid", "real user id of the thread"), |l| l.waiting.uid);
        v.field(key!("comm", "name of the thread"), |l| Text(l.waiting.comm.as_bytes()));
        v.field(key!("process", "name of the process"), |l| Text(l.waiting.process.as_bytes()));
        v.field(key!("syscall", "call that has not returned"), |l| l.waiting.call.name());
        v.field(
            key!(
                "path",
                "path as passed to an open; null where the kernel has not read it yet, and for reads and \
                 writes"
            ),
            |l| l.waiting.path.filter(|_| l.waiting.call.on_file().is_none()).map(Text),
        );
        v.field(key!("under_way_s", ["s"], "time since the call"), |l| {
            Seconds(l.at.mono.since(l.waiting.since))
        });
        v.field(
            key!(
                "direction",
                "read or write: what the call does to this file; absent for opens, as the next two"
            ),
            |l| {
                let of = |call: &FileCall| if call.writes { "write" } else { "read" };
                Maybe(l.waiting.call.on_file().map(of))
            },
        );
        v.field(
            key!(
                "resolved",
                "absolute path of the file, as in slow lines; null where it is not known"
            ),
            |l| Maybe(l.waiting.call.on_file().map(|_| l.waiting.path.map(Text))),
        );
        v.field(key!("file_type", "as in slow lines"), |l| {
            Maybe(l.waiting.call.on_file().map(|call| call.file_type.name()))
        });
    }
}

impl Line for &Summary {
    const TYPE: &'static str = "summary";
}

impl Record for &Summary {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("duration_s", ["s"], "time from ready to the end"), |s| {
            Seconds(s.duration_ns)
        });
        v.field(key!("opens", "open lines written; null where opens were not asked for"), |s| {
            s.opens.map(|o| o.written)
        });
        v.field(
            key!("opens_seen", "opens since ready, before any filter; null as for opens"),
            |s| s.opens.map(|o| o.seen),
        );
        v.field(key!("opens_lost", "opens_seen whose record was lost; null as for opens"), |s| {
            s.opens.map(|o| o.lost)
        });
        v.field(
            key!(
                "opens_unfinished",
                "requests of io_uring whose completion was not seen; null as for opens"
            ),
            |s| s.opens.map(|o| o.unfinished),
        );
        v.field(key!("opens_unnamed", "opens_seen by io_uring without a path, since their request was not seen; null as for opens"), |s| {
            s.opens.map(|o| o.unnamed)
        });
        v.field(
            key!(
                "rx_packets",
                "packets received since ready; null where talkers were not asked for"
            ),
            |s| s.talkers.map(|t| t.0.packets),
        );
        v.field(key!("rx_bytes", ["bytes"], "bytes received; null as for rx_packets"), |s| {
            s.talkers.map(|t| t.0.bytes)
        });
        v.field(key!("tx_packets", "packets sent; null as for rx_packets"), |s| {
            s.talkers.map(|t| t.1.packets)
        });
        v.field(key!("tx_bytes", ["bytes"], "bytes sent; null as for rx_packets"), |s| {
            s.talkers.map(|t| t.1.bytes)
        });
        v.field(key!("connects", "connect lines written; with connections"), |s| {
            Maybe(s.connections.map(|c| c.connects))
        });
        v.field(key!("accepts", "accept lines written; with connections"), |s| {
            Maybe(s.connections.map(|c| c.accepts))
        });
        v.field(key!("closes", "close lines written; with connections"), |s| {
            Maybe(s.connections.map(|c| c.closes))
        });
        v.field(key!("connections_lost", "connection events lost; with connections"), |s| {
            Maybe(s.connections.map(|c| c.lost))
        });
        v.field(key!("files", "file lines written; with files"), |s| {
            Maybe(s.files.map(|f| f.written))
        });
        v.field(
            key!("files_seen", "changes of files since ready, before any filter; with files"),
            |s| Maybe(s.files.map(|f| f.seen)),
        );
        v.field(key!("files_lost", "files_seen whose record was lost; with files"), |s| {
            Maybe(s.files.map(|f| f.lost))
        });
        v.field(key!("processes", "process lines written; with processes"), |s| {
            Maybe(s.processes.map(|p| p.written))
        });
        v.field(key!("processes_lost", "starts and ends of processes lost; with processes"), |s| {
            Maybe(s.processes.map(|p| p.lost))
        });
        v.field(key!("listeners", "listener lines written; with listeners"), |s| {
            Maybe(s.listeners.map(|l| l.written))
        });
        v.field(
            key!(
                "listeners_left_out",
                "the most listeners of one reading that found no room, and so have no line; with listeners"
            ),
            |s| Maybe(s.listeners.map(|l| l.left_out)),
        );
        v.field(
            key!(
                "accepted_left_out",
                "accepted connections to addresses beyond 4,096, which are in accepted of no listener; with listeners"
            ),
            |s| Maybe(s.listeners.map(|l| l.accepted_left_out)),
        );
        v.field(
            key!("read_bytes", ["bytes"], "bytes that calls read from files since ready; with io"),
            |s| Maybe(s.io.map(|io| io.counts.read_bytes)),
        );
        v.field(
            key!(
                "written_bytes",
                ["bytes"],
                "bytes that calls wrote to files since ready; with io"
            ),
            |s| Maybe(s.io.map(|io| io.counts.written_bytes)),
        );
        v.field(key!("read_calls", "calls that read files since ready; with io"), |s| {
            Maybe(s.io.map(|io| io.counts.read_calls))
        });
        v.field(key!("write_calls", "calls that wrote files since ready; with io"), |s| {
            Maybe(s.io.map(|io| io.counts.write_calls))
        });
        v.field(
            key!(
                "io_unknown_calls",
                "calls whose descriptor was closed by the time they returned, in no other number: whether \
                 their files are of a type that is counted is unknown; with io"
            ),
            |s| Maybe(s.io.map(|io| io.unknown_calls())),
        );
        v.field(
            key!(
                "io_untimed_calls",
                "calls on files without a duration, with --slow: of io_uring below kernel 6.4, those whose beginning \
                 found no place, and those that began before the start; with io"
            ),
            |s| Maybe(s.io.map(|io| io.untimed)),
        );
        v.field(
            key!(
                "io_uncounted_requests",
                "requests by io_submit, and of io_uring splices and completions that found no room in their ring: \
                 their bytes are in no number; with io"
            ),
            |s| Maybe(s.io.map(|io| io.uncounted)),
        );
        v.field(key!("slow", "slow lines written; with slow"), |s| {
            Maybe(s.slow.map(|slow| slow.written))
        });
        v.field(key!("slow_lost", "slow calls lost; with slow"), |s| {
            Maybe(s.slow.map(|slow| slow.lost))
        });
        v.field(
            key!(
                "under_way_left_out",
                "the most opens, or reads and writes, of one second that were under way and not among the 256 \
                 oldest, which alone have under_way lines; absent where there were none"
            ),
            |s| Maybe(s.under_way_left_out),
        );
        v.field(key!("seen", "seen lines written; where connections are polled"), |s| {
            Maybe(s.connections.and_then(|c| c.seen))
        });
        v.field(
            key!("lines_dropped", "lines that --on-slow drop dropped; opens counts without them"),
            |s| Maybe(s.dropped),
        );
        coverage(&mut v.of(|s: Self| &s.coverage));
    }
}

fn coverage<'a, V: Visitor<&'a Coverage>>(v: &mut V) {
    v.field(
        key!(
            "attribution",
            "how connections are attributed to processes: call, connection or procfs; null \
             without connections"
        ),
        |c| c.attribution.map(Attribution::name),
    );
    v.field(
        key!(
            "missing",
            "features that the kernel or its policy refused, and calls that no program sees"
        ),
        |c| Rows(c.missing.iter()),
    );
}

impl Record for &Missing {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("feature", "what cannot be seen"), |m| Plain(&m.feature));
        v.field(
            key!("program", "the BPF program that was refused, or that does not see the calls"),
            |m| Plain(&m.program),
        );
        v.field(key!("error", "the error, and what it means here"), |m| Plain(&m.error));
    }
}
