//! Steps of the test, and the events that they bring.

use std::net::SocketAddr;

use proptest::prelude::*;

use crate::model::call_times::CallTimes;
use crate::model::conn::{
    Carried, Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Limits, Owner, OwnerFrom,
    PeerFlow, Share, TCP, TcpCounts, UDP,
};
use crate::model::file_io::{FileIo, FilePlace, FileType, IoCounts, IoSample};
use crate::model::open::{Comm, OpenMeta, ResolvedKind, Syscall};
use crate::model::process::ProcessKey;
use crate::model::quality::{Quality, Windows};
use crate::model::time::{Mono, Stamp, WallOffset};

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Process, file, and what came of it.
    Open(u32, u32, i64),
    Lost(u32, u64),
    Ended(u32),
    /// Interface, addresses held, and whether the details of one are open.
    Talk(u8, Vec<(u8, u16)>, bool),
    /// Sockets with their process, peer, bytes and event, and whether an interval ends with them.
    Connections(Vec<(u8, u8, u8, u16, u8)>, bool),
    /// Bytes of an interval by process and file, and calls without room.
    Io(Vec<(u32, u32, u16)>, u16),
    /// Milliseconds until the tick.
    Tick(u64),
    /// Milliseconds in which nothing is taken in.
    Wait(u64),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let talk = (0u8..3, prop::collection::vec((0u8..6, 0u16..3), 0..5), any::<bool>());
    let io = prop::collection::vec((0u32..9, 0u32..12, 0u16..900), 0..5);
    let sockets = (0u8..9, 0u8..6, 0u8..4, 0u16..900, 0u8..5);
    let connections = (prop::collection::vec(sockets, 0..6), any::<bool>());
    let step = prop_oneof![
        12 => (0u32..9, 0u32..12, -3i64..4).prop_map(|(p, f, r)| Step::Open(p, f, r)),
        1 => (0u32..9, 1u64..5).prop_map(|(p, n)| Step::Lost(p, n)),
        1 => (0u32..9).prop_map(Step::Ended),
        6 => connections.prop_map(|(changes, ends)| Step::Connections(changes, ends)),
        4 => (io, 0u16..3).prop_map(|(uses, other)| Step::Io(uses, other)),
        4 => talk.prop_map(|(i, t, detail)| Step::Talk(i, t, detail)),
        4 => prop_oneof![4 => Just(1_000u64), 1 => 1u64..9_000, 1 => 50_000u64..90_000]
            .prop_map(Step::Tick),
        1 => (0u64..90_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

pub(super) const IO_INTERVAL_NS: u64 = 2_500_000_000;

pub(super) fn bytes_of_files(at: Mono, uses: &[(u32, u32, u16)], other: u16) -> IoSample {
    let counts = |bytes: u16| IoCounts {
        read_bytes: bytes.into(),
        written_bytes: u64::from(bytes / 2),
        read_calls: 1,
        write_calls: 1,
    };
    let one = |(process, file, bytes): &(u32, u32, u16)| {
        let OpenMeta { tgid, start_boottime_ns, process, cgroup_id, .. } = meta(*process, at, 0);
        let path = format!("/d{}/{file}", file % 3).into_bytes();
        let slow = u64::from(*bytes % 2);
        FileIo {
            key: ProcessKey { tgid, start_boottime_ns },
            process,
            uid: 0,
            cgroup_id,
            file_type: FileType::Regular,
            place: (file % 5 > 0)
                .then(|| FilePlace { kind: ResolvedKind::Opened, path: path.into() }),
            counts: counts(*bytes),
            times: Some(Box::new(CallTimes::new((*bytes).into(), slow, [1, u64::from(*bytes)]))),
        }
    };
    IoSample {
        at: Stamp { mono: at, wall: WallOffset(0) },
        interval_ns: IO_INTERVAL_NS,
        uses: uses.iter().map(one).collect(),
        other: counts(other),
        other_slow: other.into(),
        untimed: 0,
        uncounted: 0,
        unknown: counts(other),
        more: false,
    }
}

pub(super) fn meta(process: u32, at: Mono, ret: i64) -> OpenMeta {
    OpenMeta {
        at,
        // 0 is the id of entries for evicted processes.
        tgid: process + 1,
        tid: process + 1,
        ppid: 1,
        uid: 0,
        start_boottime_ns: 77,
        comm: Comm::new(format!("t{}", at.0 % 3).as_bytes()),
        process: Comm::new(format!("main{}", (at.0 / 1_000 + u64::from(process)) % 3).as_bytes()),
        syscall: Syscall::Openat,
        flags: None,
        mode: 0,
        ret,
        slot: None,
        latency_ns: Some(at.0 % 1_000),
        cgroup_id: Some(at.0 % 2),
    }
}

/// Sockets as the probe reports them: half of them of datagrams.
pub(super) fn conns(at: Mono, changes: &[(u8, u8, u8, u16, u8)], ends: bool) -> ConnectionsBatch {
    let conn = |(cookie, process, peer, bytes, event): &(u8, u8, u8, u16, u8)| {
        let stream = cookie % 2 == 0;
        let carried = Carried { rx_bytes: (*bytes).into(), tx_packets: 1, ..Carried::default() };
        let key = ProcessKey { tgid: (*process).into(), start_boottime_ns: 77 };
        let comm = Comm::new(format!("p{}", at.0 % 3).as_bytes());
        let owner = Owner { key, uid: (at.0 % 3) as u32, comm, from: OwnerFrom::Made };
        let shares = (*process > 0).then_some(Share { owner, carried });
        use ConnEvent::{Accept, Close, Connect, Sample, Seen};
        Conn {
            at,
            since: None,
            cookie: (*cookie).into(),
            event: [Sample, Connect, Accept, Close, Seen][usize::from(*event)],
            protocol: if stream { TCP } else { UDP },
            local: SocketAddr::from(([10, 0, 0, 9], 4_000 + u16::from(*cookie))),
            remote: SocketAddr::from(([10, 0, 0, *peer], if stream { 443 } else { 0 })),
            netns: 1,
            interface: 0,
            state: 1 + (*bytes % 2) as u8,
            error: u32::from(*bytes % 3) * 104,
            shares: shares.into_iter().collect(),
            current: 0,
            left_out: Carried::default(),
            tcp: stream.then_some(TcpCounts { carried: carried + carried, queued: 3 }),
            shared: false,
            kernel: false,
            passive: *event == 2,
            stream,
            unseen: false,
            quality: Quality {
                srtt_us: Some((*bytes).into()),
                windows: Some(Windows { unsent: (*bytes).into(), ..Windows::default() }),
                ..Quality::default()
            },
        }
    };
    let all: Vec<Conn> = changes.iter().map(conn).collect();
    let limits = Limits { lost: changes.len() as u64, ..Limits::default() };
    let mut batch = ConnectionsBatch { at, limits, ..ConnectionsBatch::default() };
    let (samples, events) = all.into_iter().partition(|c| c.event == ConnEvent::Sample);
    batch.events = events;
    let peers = changes.iter().filter(|c| c.0 % 2 == 1).map(|(cookie, process, peer, bytes, _)| {
        let carried = Carried { rx_bytes: (*bytes).into(), ..Carried::default() };
        let process = ProcessKey { tgid: (*process).into(), start_boottime_ns: 77 };
        let remote = SocketAddr::from(([10, 0, 1, *peer], 53));
        PeerFlow { cookie: (*cookie).into(), process, remote, carried }
    });
    batch.tick = ends.then(|| ConnectionsTick {
        complete: changes.len() == 3,
        left_out: changes.len() as u64 / 4,
        samples,
        peers: peers.collect(),
        ..ConnectionsTick::default()
    });
    batch
}
