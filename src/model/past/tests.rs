use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::model::conn::{
    Carried, Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Limits as ConnLimits, Owner,
    OwnerFrom, PeerFlow, Share, TCP, TcpCounts, UDP,
};
use crate::model::connections::{Bounds, ConnHistory};
use crate::model::link::Hook;
use crate::model::open::{Comm, Ended, LostOpens, OpenBatch, OpenMeta, ResolvedKind, Syscall};
use crate::model::opens::Limits;
use crate::model::process::ProcessKey;
use crate::model::quality::{Quality, Windows};
use crate::model::talkers::{
    DetailSample, Direction, Flow, FlowKind, Source, TalkersSample, Traffic,
};
use crate::model::time::{Stamp, WallOffset};

const START: u64 = 1_000 * NS_PER_SEC;

#[derive(Clone, Debug)]
enum Step {
    /// Process, file, and what came of it.
    Open(u32, u32, i64),
    Lost(u32, u64),
    Ended(u32),
    /// Interface, addresses held, and whether the details of one are open.
    Talk(u8, Vec<(u8, u16)>, bool),
    /// Sockets with their process, peer, bytes and event, and whether an interval ends with them.
    Connections(Vec<(u8, u8, u8, u16, u8)>, bool),
    /// Milliseconds until the tick.
    Tick(u64),
    /// Milliseconds in which nothing is taken in.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let talk = (0u8..3, prop::collection::vec((0u8..6, 0u16..3), 0..5), any::<bool>());
    let sockets = (0u8..9, 0u8..6, 0u8..4, 0u16..900, 0u8..5);
    let connections = (prop::collection::vec(sockets, 0..6), any::<bool>());
    let step = prop_oneof![
        12 => (0u32..9, 0u32..12, -3i64..4).prop_map(|(p, f, r)| Step::Open(p, f, r)),
        1 => (0u32..9, 1u64..5).prop_map(|(p, n)| Step::Lost(p, n)),
        1 => (0u32..9).prop_map(Step::Ended),
        6 => connections.prop_map(|(changes, ends)| Step::Connections(changes, ends)),
        4 => talk.prop_map(|(i, t, detail)| Step::Talk(i, t, detail)),
        4 => prop_oneof![4 => Just(1_000u64), 1 => 1u64..9_000, 1 => 50_000u64..90_000]
            .prop_map(Step::Tick),
        1 => (0u64..90_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Clone)]
struct All {
    opens: Opens,
    wire: Wire,
    connections: Connections,
}

impl All {
    fn all(&mut self) -> Tables<'_> {
        let Self { opens, wire, connections } = self;
        Tables { opens, wire, connections }
    }

    /// All that a screen could show at `now`.
    fn shown(&self, now: Mono) -> String {
        shown(&self.opens, &self.wire, now) + &shown_of(&self.connections, now)
    }
}

/// Tables, the past, and what was shown at each of its moments.
struct World {
    tables: All,
    past: Past<usize>,
    shown: Vec<String>,
    now: u64,
    sums: [[u64; 6]; 3],
    lost: [u64; 9],
}

impl World {
    fn new(most: usize) -> Self {
        let limits = Limits {
            processes: 5,
            programs: 4,
            files: 9,
            files_of_one: 4,
            path_bytes: 60,
            given_bytes: 12,
            failures: 4,
            live: 6,
        };
        Self {
            tables: All {
                opens: Opens::with_limits(limits),
                wire: Wire::default(),
                connections: Connections::with_bounds(Bounds {
                    conns: 6,
                    processes: 3,
                    pairs: 5,
                    events: 7,
                    closed: 4,
                    histories: 3,
                }),
            },
            past: Past::new(Duration::from_secs(1), most),
            shown: Vec::new(),
            now: START,
            sums: [[0; 6]; 3],
            lost: [0; 9],
        }
    }

    fn take(&mut self, step: &Step) {
        let now = Mono(self.now);
        let mut batch = OpenBatch::default();
        let mut first = now;
        let (mut sample, mut connections) = (None, None);
        match step {
            Step::Open(process, file, ret) => {
                let path = format!("/d{}/{file}", file % 3);
                let given = format!("{file}/..");
                let given = if process % 2 == 0 { &path } else { &given };
                let resolved = (ResolvedKind::Opened, path.as_bytes());
                batch.push(meta(*process, now, *ret), Some(given.as_bytes()), Some(resolved));
            }
            Step::Lost(process, n) => {
                let reported = &mut self.lost[*process as usize];
                *reported += n;
                let key = meta(*process, now, 0);
                batch.lost_by.push(LostOpens {
                    tgid: key.tgid,
                    start_boottime_ns: key.start_boottime_ns,
                    process: key.process,
                    uid: 0,
                    opens: *reported,
                    failed: *reported / 2,
                });
            }
            Step::Ended(process) => {
                let OpenMeta { tgid, start_boottime_ns, .. } = meta(*process, now, 0);
                batch.ended.push(Ended { tgid, start_boottime_ns, at: now });
            }
            Step::Talk(port, talkers, detail) => {
                first = Mono(self.now - 2_500_000_000);
                sample = Some(self.sample(*port, talkers, *detail));
            }
            Step::Connections(changes, ends) => connections = Some(conns(now, changes, *ends)),
            Step::Wait(ms) => return self.now += ms * 1_000_000,
            Step::Tick(ms) => {
                self.now += ms * 1_000_000;
                let now = Mono(self.now);
                self.tables.opens.tick(now);
                let (next, with) = (self.past.next(), self.shown.len());
                self.past.tick(&mut self.tables.all(), now, with, now);
                if self.past.next() > next {
                    self.shown.push(self.tables.shown(now));
                }
                return;
            }
        }
        let (next, with) = (self.past.next(), self.shown.len());
        self.past.before(&mut self.tables.all(), now, first, || with);
        if self.past.next() > next {
            self.shown.push(self.tables.shown(now));
        }
        self.tables.opens.add_batch(&batch, now);
        sample.iter().for_each(|s| self.tables.wire.add_sample(s));
        connections.iter().for_each(|batch| self.tables.connections.apply(batch));
    }

    fn sample(&mut self, port: u8, talkers: &[(u8, u16)], detail: bool) -> TalkersSample {
        let of = |n: u64| Traffic { packets: n, bytes: n * 100 };
        let mut sources: Vec<Source> = Vec::new();
        for (last, n) in talkers {
            let sum = &mut self.sums[usize::from(port)][usize::from(*last)];
            let ip = IpAddr::from([10, 0, 0, *last]);
            if sources.iter().any(|s| s.ip == ip) {
                continue;
            }
            *sum += u64::from(*n);
            let (total, delta) = (of(*sum), of(u64::from(*n)));
            sources.push(Source { ip, since: Mono(START), total, delta });
        }
        let sum = |f: fn(&Source) -> Traffic| sources.iter().map(f).fold(of(1), |a, b| a + b);
        let at = Mono(self.now);
        let flow = FlowKind::Ports { there: 443, here: 40_000 + u16::from(port) };
        let detail = detail.then(|| DetailSample {
            ip: Some(IpAddr::from([10, 0, 0, 1])),
            since: Mono(START),
            all: of(2),
            flows: vec![(Flow { proto: 6, what: flow }, of(2))],
            ..DetailSample::default()
        });
        TalkersSample {
            ifindex: u32::from(port) + 1,
            interface: format!("eth{port}").as_str().into(),
            direction: if self.now.is_multiple_of(2) { Direction::Rx } else { Direction::Tx },
            hook: Hook::Generic,
            at: Stamp { mono: at, wall: WallOffset(0) },
            interval_ns: 2_500_000_000,
            total: sum(|s| s.total),
            delta: sum(|s| s.delta),
            other: of(1),
            other_delta: of(1),
            partial: None,
            sources: sources.clone(),
            evicted: 0,
            compared: Default::default(),
            detail,
        }
    }
}

fn meta(process: u32, at: Mono, ret: i64) -> OpenMeta {
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
fn conns(at: Mono, changes: &[(u8, u8, u8, u16, u8)], ends: bool) -> ConnectionsBatch {
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
    let limits = ConnLimits { lost: changes.len() as u64, ..ConnLimits::default() };
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

/// All that a screen could show of connections.
fn shown_of(connections: &Connections, now: Mono) -> String {
    let c = connections;
    let sums = (c.total, c.delta, c.other, c.evicted, c.limits, c.attribution, c.interval_ns);
    let turnover = (c.turnover, c.turnover_delta, c.closed_evicted);
    let mut text = format!("{sums:?} {turnover:?} {:?} {}\n", c.unattributed, c.live());
    let mut add = |what: &dyn std::fmt::Debug| text.push_str(&format!("{what:?}\n"));
    for net in c.processes() {
        add(&(net.owner, net.netns, net.total, net.delta));
        add(&(net.peers, net.live, net.begun, net.worst, net.shared, net.last));
        let found = c.process(net.owner.key).map(|net| net.total);
        let events: Vec<_> = c.events_of(net.owner.key).collect();
        add(&(found, events, c.peers_of(net.owner.key).len()));
    }
    for pair in c.pairs() {
        add(&(pair.key, pair.peer, pair.total, pair.delta, &pair.services));
        add(&(pair.more_services, pair.last, c.exchange(pair.key, pair.peer.ip)));
        add(&(c.between(pair.key, pair.peer).map(|p| p.total), c.behind(pair.peer.ip).len()));
    }
    c.conns().for_each(|(conn, owner)| add(&(conn, owner, c.parts_of(conn.cookie))));
    let lately = |h: &ConnHistory| {
        let bytes = [&h.rx, &h.tx].map(|h| h.last(now, 59).collect::<Vec<_>>());
        (bytes, h.srtt_us.gauge(now, 59))
    };
    for (slot, conn) in c.live_conns() {
        let history = c.history_of(slot).map(lately);
        add(&(c.conn_delta(slot), c.is_new_conn(slot), c.carried_by(conn), history));
    }
    for (number, closed) in c.closed_lately() {
        add(&(number, closed.what, closed.at, &closed.conn, closed.delta, closed.is_new));
        add(&(closed.history.as_deref().map(lately), c.ended_in_interval(number)));
    }
    text
}

/// All that a screen could show at `now`.
fn shown(opens: &Opens, wire: &Wire, now: Mono) -> String {
    let histories = |h: &crate::model::history::History| h.last(now, 59).collect::<Vec<_>>();
    let mut text = format!(
        "{:?} {} {} {:?} {:?} {} {} {:?}\n{:?}\n",
        opens.total(),
        opens.rate(),
        opens.fail_rate(),
        histories(opens.history()),
        histories(opens.fail_history()),
        opens.lost(),
        opens.left_out(),
        opens.evicted(),
        opens.live().collect::<Vec<_>>(),
    );
    let mut add = |what: &dyn std::fmt::Debug| text.push_str(&format!("{what:?}\n"));
    for (slot, p) in opens.processes().iter() {
        add(&(slot, p, opens.rate_of(&p.meter), opens.rate_of(&p.fail_meter)));
        add(&(p.part(), opens.part_rate(p), opens.program_of(p), opens.find(p.key)));
    }
    for (slot, p) in opens.programs().iter() {
        add(&(slot, p, opens.rate_of(&p.meter), opens.rate_of(&p.fail_meter)));
    }
    opens.paths().iter().for_each(|(slot, p)| add(&(slot, p, opens.rate_of(&p.meter))));
    for (slot, f) in opens.files().iter() {
        let held = opens.use_of(f.process, f.path).map(|f| f.tally.clone());
        add(&(slot, f, opens.rate_of(&f.meter), held));
    }
    opens.failures().iter().for_each(|(slot, f)| add(&(slot, f, opens.rate_of(&f.meter))));
    wire.ports().iter().for_each(|port| add(&(port, port.rx.other(), port.tx.other_delta())));
    for (slot, t) in wire.talkers().iter() {
        let (rx, tx) = (t.rx, t.tx);
        add(&(slot, t.port, t.ip, t.first, t.last, rx.held(), tx.held()));
        add(&(rx.total(), rx.delta(), tx.total(), tx.delta()));
        add(&(histories(&t.rx_history), histories(&t.tx_history)));
        add(&wire.talk(t).map(|talk| (talk.rx, talk.tx, talk.rows())));
    }
    add(&(opens.processes().len(), opens.process_count()));
    add(&(opens.files().len(), wire.talkers().len()));
    text
}

/// Compares what is shown line by line.
fn assert_same(now: &str, then: &str, at: Mono) {
    for (now, then) in now.lines().zip(then.lines()) {
        assert_eq!(now, then, "at {at:?}");
    }
    assert_eq!(now.lines().count(), then.lines().count(), "at {at:?}");
}

/// Goes back as far as there is a way, and forth again; how many moments there were.
fn there_and_back(world: &World) -> usize {
    let mut then = world.tables.clone();
    let begun = Changes::of(&mut then.all(), Window::ALL);
    let mut forth = vec![(Mono(world.now), then.shown(Mono(world.now)))];
    let mut redo = Vec::new();
    let mut number = world.past.next();
    while let Some(moment) = number.checked_sub(1).and_then(|n| world.past.moment(n)) {
        number -= 1;
        moment.until_next.as_ref().unwrap_or(&begun).take_back(&mut then.all());
        then.all().settle();
        redo.push(Changes::of(&mut then.all(), Window::ALL));
        let now = then.shown(moment.at);
        assert_same(&now, &world.shown[moment.with], moment.at);
        forth.push((moment.at, now));
    }
    forth.pop();
    let steps = redo.len();
    while let Some(changes) = redo.pop() {
        changes.take_back(&mut then.all());
        then.all().settle();
        Changes::of(&mut then.all(), Window::ALL);
        let (at, screen) = forth.pop().expect("as many as back");
        assert_same(&then.shown(at), &screen, at);
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    /// Each moment is as it was, whatever was counted, evicted, ended or opened in between.
    #[test]
    fn every_moment_is_shown_as_it_was(steps in steps()) {
        let mut world = World::new(PAST_BYTES);
        steps.iter().for_each(|step| world.take(step));
        // A tick drops moments that are too old.
        world.take(&Step::Tick(1));
        let kept = there_and_back(&world);
        let oldest = world.past.oldest();
        let within = |m: &Mono| world.now - m.0 <= PAST_NS;
        prop_assert!(oldest.is_none_or(|m| within(&m)));
        prop_assert!(kept <= world.shown.len());
    }
}

#[test]
fn the_oldest_goes_when_there_are_too_many_bytes_and_the_rest_is_as_it_was() {
    const MOST: usize = 20_000;
    let mut world = World::new(MOST);
    let mut oldest = Vec::new();
    for n in 0..300u32 {
        for file in 0..12 {
            world.take(&Step::Open(n % 9, (file + n) % 12, i64::from(n % 5) - 2));
        }
        world.take(&Step::Talk(0, vec![((n % 6) as u8, 1)], false));
        world.take(&Step::Tick(1_000));
        assert!(world.past.bytes() <= MOST);
        oldest.extend(world.past.oldest());
    }
    assert!(oldest[299] > oldest[150], "the reach is shown: {:?}", world.past.oldest());
    let kept = there_and_back(&world);
    assert!((10..290).contains(&kept), "{kept}");
    assert_eq!(world.past.oldest(), Some(Mono(world.now - (kept as u64 - 1) * NS_PER_SEC)));
}

#[test]
fn ten_minutes_are_kept_and_idle_ones_cost_next_to_nothing() {
    let mut world = World::new(PAST_BYTES);
    world.take(&Step::Open(1, 1, 3));
    world.take(&Step::Connections(vec![(2, 1, 1, 100, 1), (3, 2, 2, 100, 1)], true));
    for _ in 0..700 {
        world.take(&Step::Connections(Vec::new(), true));
        world.take(&Step::Tick(1_000));
    }
    assert_eq!(world.past.oldest(), Some(Mono(world.now - PAST_NS)));
    assert!(world.past.bytes() < 700 * 600, "{}", world.past.bytes());
    assert_eq!(there_and_back(&world), 601);
    world.past.clear();
    assert_eq!((world.past.oldest(), world.past.bytes(), there_and_back(&world)), (None, 0, 0));
}
