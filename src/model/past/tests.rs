mod shown;
mod step;

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::model::connections::Bounds;
use crate::model::link::Hook;
use crate::model::open::{Ended, LostOpens, OpenBatch, OpenMeta, ResolvedKind};
use crate::model::opens::Limits;
use crate::model::talkers::{
    DetailSample, Direction, Flow, FlowKind, Source, TalkersSample, Traffic,
};
use crate::model::time::{Stamp, WallOffset};
use shown::{assert_same, shown, shown_of};
use step::{IO_INTERVAL_NS, Step, bytes_of_files, conns, meta, steps};

const START: u64 = 1_000 * NS_PER_SEC;

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
                    gone: 3,
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
        let (mut sample, mut connections, mut io) = (None, None, None);
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
            Step::Io(uses, other) => {
                first = Mono(self.now - IO_INTERVAL_NS);
                io = Some(bytes_of_files(now, uses, *other));
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
        io.iter().for_each(|sample| self.tables.opens.add_io(sample));
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
