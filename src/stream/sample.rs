//! Made-up data for tests and benches of lines, and for the examples in the documentation.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;

use super::summary::{
    ConnectionsSummary, Coverage, FilesSummary, IoSummary, ListenersSummary, OpensSummary,
    ProcessesSummary, Ready, SlowSummary, Summary,
};
use crate::cli::Kind;
use crate::model::bound::{Bound, UnixKind, UnixName};
use crate::model::call_times::CallTimes;
use crate::model::cgroup::Cgroup;
use crate::model::conn::{Owner, OwnerFrom, TCP, UDP};
use crate::model::coverage::{Attribution, Missing};
use crate::model::event::Watched;
use crate::model::file_change::{ChangeCall, FileChange, FileChanges, How, Name, Op};
use crate::model::file_io::{FileIo, FilePlace, FileType, IoCounts, IoSample};
use crate::model::link::{Hook, XdpMode};
use crate::model::listener::{Listener, Listeners};
use crate::model::open::{Comm, OpenBatch, OpenMeta, ResolvedKind, Syscall};
use crate::model::process::ProcessKey;
use crate::model::process_event::{Args, ExitStatus, ProcessAction, ProcessEvent, ProcessEvents};
use crate::model::slow_call::{IoCall, SlowCall, SlowCalls};
use crate::model::talkers::{Direction, Source, TalkersSample, Traffic};
use crate::model::time::{Mono, Stamp, WallOffset};
use crate::model::under_way::{FileCall, UnderWay};

/// 2026-11-22T12:00:00Z less one second, so that `Mono(1 s)` is noon.
pub const WALL: WallOffset = WallOffset(1_795_348_799_000_000_000);

/// A successful open of nginx, and a failed one of cat.
pub fn opens() -> OpenBatch {
    let mut batch = OpenBatch::default();
    batch.wall = WALL;
    let meta = OpenMeta {
        at: Mono(1_000_000_000),
        tgid: 812,
        tid: 813,
        ppid: 1,
        uid: 0,
        start_boottime_ns: 5,
        comm: Comm::new(b"worker"),
        process: Comm::new(b"nginx"),
        syscall: Syscall::Openat,
        flags: Some(0o2000000),
        mode: 0,
        ret: 5,
        slot: None,
        latency_ns: None,
        cgroup_id: Some(7),
    };
    let resolved = (ResolvedKind::Opened, &b"/etc/nginx/conf/site.conf"[..]);
    batch.push(meta, Some(b"conf/site.conf"), Some(resolved));
    let failed = OpenMeta {
        at: Mono(1_000_500_000),
        tgid: 1044,
        tid: 1044,
        ppid: 900,
        uid: 1000,
        comm: Comm::new(b"cat"),
        process: Comm::new(b"cat"),
        syscall: Syscall::Creat,
        flags: Some(0o1101),
        mode: 0o644,
        ret: -2,
        latency_ns: Some(12_345),
        ..meta
    };
    batch.push(failed, Some(b"=a \"b\",\n\x1b[31m\xff\\"), None);
    batch
}

/// A program that was started, its end, and a process that a signal ended.
pub fn processes() -> ProcessEvents {
    let event = |at, action| ProcessEvent {
        at: Mono(at),
        key: ProcessKey { tgid: 1044, start_boottime_ns: 5 },
        ppid: 900,
        uid: 1000,
        comm: Comm::new(b"cat"),
        process: Comm::new(b"cat"),
        cgroup_id: Some(7),
        age_ns: 12_345_678,
        action,
    };
    let args = Args { text: (*b"cat\0=a \"b\",\n\x1b[31m\xff\0").into(), bytes: 19 };
    let exec =
        ProcessAction::Exec { args: Some(args), executable: Some((*b"/usr/bin/cat").into()) };
    let events = vec![
        event(1_000_000_000, exec),
        event(1_012_345_678, ProcessAction::Exit(ExitStatus(1 << 8))),
        event(1_500_000_000, ProcessAction::Exit(ExitStatus(9))),
    ];
    ProcessEvents { events, lost: 0, wall: WALL }
}

/// A TCP listener, a UDP socket of another namespace, a listener of the kernel's, and a Unix socket.
pub fn listeners() -> Listeners {
    let owner = Owner {
        key: ProcessKey { tgid: 812, start_boottime_ns: 5 },
        uid: 0,
        comm: Comm::new(b"ng\x1b[31m\xff"),
        from: OwnerFrom::Found,
    };
    let ip = |protocol, local| Bound::Ip { protocol, local, interface: 0 };
    let tcp = Listener {
        bound: ip(TCP, SocketAddr::from(([0, 0, 0, 0], 443))),
        netns: 4_026_531_840,
        inode: 7_001,
        since: None,
        waiting: 3,
        limit: Some(511),
        drops: Some(17),
        accepted: Some(1_204),
        accepting: 2,
        owner: Some(owner),
        others: 4,
        cgroup: Some((*b"/system.slice/nginx.service").into()),
    };
    let at = Mono(2_000_000_000);
    let udp = Listener {
        bound: ip(UDP, SocketAddr::from(([127, 0, 0, 53], 53))),
        netns: 4_026_532_201,
        since: Some(at),
        limit: None,
        accepted: None,
        accepting: 0,
        others: 0,
        ..tcp.clone()
    };
    let kernel = Listener {
        bound: ip(TCP, SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 2_049))),
        inode: 0,
        waiting: 0,
        limit: None,
        drops: None,
        accepted: Some(0),
        owner: None,
        others: 0,
        cgroup: None,
        ..tcp.clone()
    };
    let problem = Some("descriptors of 2 processes cannot be read".to_owned());
    let unix = Listener {
        bound: Bound::Unix {
            kind: UnixKind::Stream,
            name: UnixName::new(b"\0=a \"b\",\n\x1b[31m\xff"),
        },
        limit: Some(4_096),
        drops: None,
        accepted: None,
        accepting: 0,
        ..tcp.clone()
    };
    let rows = vec![tcp, udp, kernel, unix];
    Listeners { at, wall: WALL, rows, problem, ..Listeners::default() }
}

/// A file that was created, one that was renamed, one that could not be removed, and the rest of the arguments.
pub fn files() -> FileChanges {
    let name = |requested: &[u8], kind, resolved: &[u8]| Name {
        requested: Some(requested.into()),
        resolved: Some((kind, resolved.into())),
    };
    let event = |at, op, call, path, to, how, errno| FileChange {
        at: Mono(at),
        key: ProcessKey { tgid: 1044, start_boottime_ns: 5 },
        tid: 1045,
        ppid: 900,
        uid: 1000,
        comm: Comm::new(b"worker"),
        process: Comm::new(b"backup"),
        cgroup_id: Some(7),
        op,
        call,
        errno,
        path,
        to,
        how,
    };
    let (opened, tried) = (ResolvedKind::Opened, ResolvedKind::Tried);
    let new = name(b"site.tar.tmp", opened, b"/srv/backup/site.tar.tmp");
    let old = name(b"site.tar.tmp", tried, b"/srv/backup/site.tar.tmp");
    let to = name(
        b"=site \"1\",\n\x1b[31m\xff.tar",
        tried,
        b"/srv/backup/=site \"1\",\n\x1b[31m\xff.tar",
    );
    let gone = name(b"/srv/backup/old.tar", tried, b"/srv/backup/old.tar");
    let owner = How::Owner { uid: Some(33), gid: None };
    let events = vec![
        event(
            1_000_000_000,
            Op::Create,
            ChangeCall::Openat,
            new.clone(),
            Name::default(),
            How::Mode(0o644),
            None,
        ),
        event(
            1_000_250_000,
            Op::Truncate,
            ChangeCall::Ftruncate,
            new.clone(),
            Name::default(),
            How::Length(4_096),
            None,
        ),
        event(1_000_300_000, Op::Chown, ChangeCall::Fchown, new, Name::default(), owner, None),
        event(1_000_500_000, Op::Rename, ChangeCall::Renameat2, old, to, How::Rename(1), None),
        event(
            1_001_000_000,
            Op::Unlink,
            ChangeCall::Unlink,
            gone,
            Name::default(),
            How::None,
            Some(13),
        ),
    ];
    let seen = events.len() as u64;
    FileChanges { events, seen, lost: 0, wall: WALL }
}

/// A log that nginx writes, and calls without room.
pub fn io() -> IoSample {
    let counts = |read_bytes, written_bytes, read_calls, write_calls| IoCounts {
        read_bytes,
        written_bytes,
        read_calls,
        write_calls,
    };
    let log = FileIo {
        key: ProcessKey { tgid: 812, start_boottime_ns: 5 },
        process: Comm::new(b"nginx"),
        uid: 0,
        cgroup_id: Some(7),
        file_type: FileType::Regular,
        place: Some(FilePlace {
            kind: ResolvedKind::Opened,
            path: (*b"/var/log/nginx/access.log").into(),
        }),
        counts: counts(0, 81_920, 0, 512),
        times: Some(Box::new(CallTimes::new(14_200_000, 1, [0, 300, 200, 0, 11]))),
    };
    IoSample {
        at: Stamp { mono: Mono(2_002_000_000), wall: WALL },
        interval_ns: 1_002_000_000,
        uses: vec![log],
        other: counts(4_096, 0, 1, 0),
        other_slow: 1,
        untimed: 2,
        uncounted: 3,
        ..IoSample::default()
    }
}

/// Three sources on eth0.
pub fn talkers() -> TalkersSample {
    let source = |ip: &str, packets, bytes| Source {
        ip: ip.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
        since: Mono(1_000_000_000),
        total: Traffic { packets, bytes },
        delta: Traffic { packets: packets / 10, bytes: bytes / 10 },
    };
    let sources = vec![
        source("10.0.0.2", 900, 80_000),
        source("fe80::1", 50, 4_000),
        source("10.0.0.3", 10, 900),
    ];
    TalkersSample {
        ifindex: 2,
        interface: "eth0".into(),
        direction: Direction::Rx,
        hook: Hook::Generic,
        at: Stamp { mono: Mono(2_002_000_000), wall: WALL },
        interval_ns: 1_002_000_000,
        total: Traffic { packets: 970, bytes: 85_500 },
        delta: Traffic { packets: 97, bytes: 8_550 },
        other: Traffic { packets: 10, bytes: 600 },
        other_delta: Traffic { packets: 1, bytes: 60 },
        partial: None,
        sources,
        evicted: 0,
        compared: Default::default(),
        detail: None,
    }
}

/// Two interfaces with different hooks.
pub fn watched() -> Vec<Watched> {
    let watched = |ifindex, interface: &str, rx| Watched {
        ifindex,
        interface: interface.into(),
        netns: 1,
        rx: Ok(rx),
        tx: Ok(Hook::Tcx),
        mode: XdpMode::Auto,
        partial: None,
        price: String::new(),
        missing: Vec::new(),
        gone: None,
    };
    vec![watched(2, "eth0", Hook::Native), watched(1, "lo", Hook::Generic)]
}

/// A direct open of io_uring.
pub fn direct() -> OpenBatch {
    let batch = opens();
    let mut direct = OpenBatch::default();
    if let Some(open) = batch.iter().next() {
        let meta = OpenMeta { syscall: Syscall::IoUring, ret: 0, slot: Some(3), ..*open.meta };
        direct.push(meta, open.path, open.resolved);
    }
    direct
}

/// The cgroup of a container in a pod.
pub fn cgroup() -> Cgroup {
    Cgroup::at(
        b"/kubepods.slice/kubepods-pod0f6a2a1e_7c35_4f0e_9f1b_2d6c8b1a4e5d.slice/\
          cri-containerd-4d2c8f0e1b7a69385c4d2c8f0e1b7a69385c4d2c8f0e1b7a69385c4d2c8f0e1b.scope",
    )
}

/// Runs of one interface and of several.
pub fn ready() -> [Ready; 2] {
    let at = Stamp { mono: Mono(1_000_000_000), wall: WALL };
    let several = Ready {
        at,
        kinds: Kind::value_variants().iter().copied().collect(),
        watched: watched(),
        host: "web-1".into(),
        boot_id: Some("0f6a2a1e-7c35-4f0e-9f1b-2d6c8b1a4e5d".into()),
        file: Some(1),
        netns: Some("blue".into()),
        coverage: coverage(),
    };
    let one = Ready { watched: watched().into_iter().take(1).collect(), ..several.clone() };
    [one, several]
}

/// A run of every kind.
pub fn summary() -> Summary {
    let traffic = |packets, bytes| Traffic { packets, bytes };
    Summary {
        at: Stamp { mono: Mono(6_000_000_000), wall: WALL },
        duration_ns: 5_000_000_000,
        opens: Some(OpensSummary {
            written: 1_234,
            seen: 1_300,
            lost: 0,
            unfinished: 0,
            unnamed: 0,
        }),
        talkers: Some((traffic(970, 85_500), traffic(410, 39_000))),
        connections: Some(ConnectionsSummary {
            connects: 12,
            accepts: 3,
            closes: 14,
            seen: Some(2),
            lost: 0,
        }),
        files: Some(FilesSummary { written: 90, seen: 120, lost: 0 }),
        processes: Some(ProcessesSummary { written: 40, lost: 0 }),
        listeners: Some(ListenersSummary { written: 12, left_out: 0, accepted_left_out: 0 }),
        io: Some(IoSummary {
            counts: io().total(),
            unknown: IoCounts::default(),
            untimed: 0,
            uncounted: 0,
        }),
        slow: Some(SlowSummary { written: 3, lost: 0 }),
        under_way_left_out: Some(44),
        dropped: Some(340),
        coverage: coverage(),
    }
}

fn coverage() -> Coverage {
    let missing = Missing {
        feature: "talkers: TCX ingress".into(),
        program: "tcx_ingress".into(),
        error: "EINVAL: invalid argument".into(),
    };
    Coverage { attribution: Some(Attribution::Connection), missing: vec![missing] }
}

/// A write to a log that waited, and a read from a share that failed.
pub fn slow() -> SlowCalls {
    let write = SlowCall {
        at: Mono(2_000_000_000),
        took_ns: 14_200_000,
        key: ProcessKey { tgid: 812, start_boottime_ns: 5 },
        tid: 812,
        uid: 0,
        comm: Comm::new(b"nginx"),
        process: Comm::new(b"nginx"),
        cgroup_id: Some(7),
        call: IoCall::Write,
        writes: true,
        file_type: FileType::Regular,
        place: Some(FilePlace {
            kind: ResolvedKind::Opened,
            path: (*b"/var/log/nginx/access.log").into(),
        }),
        ret: 160,
    };
    let read = SlowCall {
        took_ns: 30_000_000_000,
        call: IoCall::Pread64,
        writes: false,
        place: Some(FilePlace { kind: ResolvedKind::Opened, path: (*b"/mnt/share/page").into() }),
        ret: -5,
        ..write.clone()
    };
    SlowCalls { calls: vec![write, read], lost: 0, wall: WALL }
}

/// An open of a FIFO without a writer.
pub fn under_way(at: Mono) -> UnderWay<Syscall> {
    UnderWay {
        key: ProcessKey { tgid: 1044, start_boottime_ns: 5 },
        tid: 1045,
        uid: 1000,
        comm: Comm::new(b"worker"),
        process: Comm::new(b"backup"),
        call: Syscall::Openat,
        path: Some(b"/srv/queue"[..].into()),
        since: Mono(at.0.saturating_sub(1_500_000_000)),
    }
}

/// A read of a file whose server does not answer.
pub fn file_call_under_way(at: Mono) -> UnderWay<FileCall> {
    let UnderWay { key, tid, uid, comm, process, since, .. } = under_way(at);
    let call = FileCall {
        call: IoCall::Read,
        writes: false,
        file_type: FileType::Regular,
        kind: Some(ResolvedKind::Opened),
        cgroup_id: None,
    };
    let path = Some(b"/mnt/share/page"[..].into());
    UnderWay { key, tid, uid, comm, process, call, path, since }
}
