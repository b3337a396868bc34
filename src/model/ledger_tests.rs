//! The ledger against a model of what the kernel side does.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

fn ip(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))
}

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}

/// `talkers.bpf.c` in small: two sides of a hash with room for `capacity`, two CPUs with a
/// cache record each, totals; and the truth beside it.
struct Kernel {
    capacity: usize,
    most: usize,
    active: Side,
    hashes: [BTreeMap<IpAddr, Traffic>; 2],
    totals: [Traffic; 2],
    caches: [[Option<(IpAddr, Traffic)>; 2]; 2],
    ledger: Ledger,
    now: u64,
    sent: Traffic,
    sent_before: Traffic,
    /// Traffic of each source, by the moment.
    log: Vec<(u64, IpAddr, Traffic)>,
}

fn index(side: Side) -> usize {
    match side {
        Side::Zero => 0,
        Side::One => 1,
    }
}

impl Kernel {
    fn new(capacity: usize) -> Self {
        Self::that_grows(capacity, capacity)
    }

    fn that_grows(capacity: usize, most: usize) -> Self {
        let mut ledger = Ledger::default();
        assert!(ledger.open(capacity, most, Mono(0)).is_empty());
        Self {
            capacity,
            most,
            active: Side::Zero,
            hashes: Default::default(),
            totals: Default::default(),
            caches: Default::default(),
            ledger,
            now: 1,
            sent: Traffic::default(),
            sent_before: Traffic::default(),
            log: vec![],
        }
    }

    fn frame(&mut self, cpu: usize, source: Option<IpAddr>, bytes: u64) {
        self.now += 1;
        let one = traffic(1, bytes);
        let side = index(self.active);
        self.sent = self.sent + one;
        self.totals[side] = self.totals[side] + one;
        let Some(source) = source else { return };
        self.log.push((self.now, source, one));
        match &mut self.caches[side][cpu] {
            Some((last, sum)) if *last == source => *sum = *sum + one,
            cache => {
                if let Some((last, sum)) = cache.replace((source, one)) {
                    let full = self.hashes[side].len() >= self.capacity;
                    match self.hashes[side].get_mut(&last) {
                        Some(entry) => *entry = *entry + sum,
                        None if full => {}
                        None => drop(self.hashes[side].insert(last, sum)),
                    }
                }
            }
        }
    }

    fn turn(&mut self) -> Folded {
        self.now += 1;
        let side = self.active;
        self.active = side.other();
        let folded = self.read(side);
        self.check(&folded);
        folded
    }

    fn read(&mut self, side: Side) -> Folded {
        let i = index(side);
        let reading = Reading {
            total: self.totals[i],
            sources: self.hashes[i].iter().map(|(k, v)| (*k, *v)).collect(),
            cached: self.caches[i].iter_mut().filter_map(Option::take).collect(),
        };
        let folded = self.ledger.fold(side, &reading, Mono(self.now));
        for ip in &folded.remove {
            assert!(self.hashes[i].remove(ip).is_some(), "{ip} was not there");
        }
        for ip in &folded.insert {
            assert!(self.hashes[i].insert(*ip, Traffic::default()).is_none(), "{ip} was there");
        }
        assert!(self.hashes[i].len() <= self.capacity, "no room for the held ones");
        folded
    }

    fn check(&mut self, folded: &Folded) {
        let sum = |f: fn(&Source) -> Traffic| {
            folded.sources.iter().map(f).fold(Traffic::default(), |a, b| a + b)
        };
        assert_eq!(folded.total, self.sent);
        assert_eq!(sum(|s| s.total) + folded.other, folded.total);
        assert_eq!(sum(|s| s.delta) + folded.other_delta, folded.delta);
        assert_eq!(folded.delta, self.sent.minus(self.sent_before));
        self.sent_before = self.sent;
        for source in &folded.sources {
            let mut all = Traffic::default();
            for (at, ip, t) in &self.log {
                if *ip == source.ip && Mono(*at) >= source.since {
                    all = all + *t;
                }
            }
            assert!(source.total.packets <= all.packets, "{source:?} of {all:?}");
            assert!(source.total.bytes <= all.bytes, "{source:?} of {all:?}");
        }
    }

    /// A turn, after which everything counts from nothing.
    fn restart(&mut self) {
        self.turn();
        self.ledger.restart(Mono(self.now));
        self.sent = Traffic::default();
        self.sent_before = Traffic::default();
        self.log.clear();
    }

    /// Away and back, or to larger maps: new maps, the same book.
    fn again(&mut self) {
        let side = self.active;
        self.now += 1;
        let folded = self.read(side);
        self.check(&folded);
        self.ledger.close();
        self.now += 1;
        let held = self.ledger.open(self.capacity, self.most, Mono(self.now));
        self.active = Side::Zero;
        self.totals = Default::default();
        self.caches = Default::default();
        if held.len() > self.capacity {
            self.capacity = self.most;
        }
        for hash in &mut self.hashes {
            *hash = held.iter().map(|ip| (*ip, Traffic::default())).collect();
        }
    }
}

#[test]
fn frames_in_a_cache_record_count() {
    let mut kernel = Kernel::new(8);
    kernel.frame(0, Some(ip(1)), 100);
    kernel.frame(0, Some(ip(1)), 100);
    kernel.frame(1, None, 60);
    let folded = kernel.turn();
    assert_eq!(folded.sources.len(), 1);
    assert_eq!(folded.sources[0].total, traffic(2, 200));
    assert_eq!(folded.other, traffic(1, 60));
    assert_eq!(folded.insert, [ip(1)]);
}

/// 128 CPUs that each have a part of every source, read in turns of both sides.
#[test]
fn the_parts_of_128_cpus_add_up() {
    const CPUS: u64 = 128;
    const SOURCES: u32 = 2_000;
    let mut ledger = Ledger::default();
    ledger.open(4_096, 4_096, Mono(0));
    let mut side = Side::Zero;
    let mut expected = Traffic::default();
    // The counts of one CPU for a source after so many turns of this side.
    let part = |cpu: u64, n: u32, turns: u64| {
        let packets = (cpu + u64::from(n)) % 5 * turns;
        traffic(packets, packets * (60 + cpu))
    };
    for turn in 0..6u64 {
        let mut reading = Reading::default();
        for n in 0..SOURCES {
            let mut values = Vec::new();
            for cpu in 0..CPUS {
                let one = part(cpu, n, turn / 2 + 1);
                values.extend(one.packets.to_ne_bytes());
                values.extend(one.bytes.to_ne_bytes());
                expected = expected + part(cpu, n, 1);
            }
            let sum = merged(&values);
            reading.total = reading.total + sum;
            reading.sources.push((IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)), sum));
        }
        let folded = ledger.fold(side, &reading, Mono(turn + 1));
        assert_eq!((folded.total, folded.other), (expected, Traffic::default()));
        assert_eq!(folded.sources.len(), SOURCES as usize);
        let held = folded.sources.iter().fold(Traffic::default(), |sum, s| sum + s.total);
        assert_eq!(held, expected);
        side = side.other();
    }
    assert_eq!(merged(&[0; 15]), Traffic::default());
}

/// A detail view opens in the middle of an interval: the next account has all of the interval.
#[test]
fn a_side_absorbed_amid_an_interval_is_reported_with_the_next() {
    let mut ledger = Ledger::default();
    ledger.open(64, 64, Mono(0));
    let reading = |of: Traffic| Reading { total: of, sources: vec![(ip(1), of)], cached: vec![] };
    let first = ledger.fold(Side::Zero, &reading(traffic(5, 500)), Mono(100));
    assert_eq!((first.interval_ns, first.delta), (100, traffic(5, 500)));
    let quiet = ledger.absorb(Side::One, &reading(traffic(2, 200)), Mono(130));
    assert_eq!((quiet.total, quiet.sources.len()), (Traffic::default(), 0));
    let next = ledger.fold(Side::Zero, &reading(traffic(9, 900)), Mono(200));
    assert_eq!((next.interval_ns, next.total), (100, traffic(11, 1100)));
    assert_eq!((next.delta, next.sources[0].delta), (traffic(6, 600), traffic(6, 600)));
}

#[test]
fn each_side_adds_to_the_other() {
    let mut kernel = Kernel::new(8);
    for turn in 1..=5u64 {
        kernel.frame(0, Some(ip(1)), 100);
        kernel.frame(0, Some(ip(2)), 10);
        let folded = kernel.turn();
        assert_eq!(folded.sources[0].total, traffic(turn, turn * 100));
        assert_eq!(folded.sources[0].delta, traffic(1, 100));
        assert_eq!(folded.sources[1].total, traffic(turn, turn * 10));
    }
}

#[test]
fn counts_go_on_after_a_switch_away_and_back() {
    let mut kernel = Kernel::new(8);
    kernel.frame(0, Some(ip(1)), 100);
    kernel.again();
    kernel.frame(1, Some(ip(1)), 100);
    let folded = kernel.turn();
    assert_eq!(folded.sources[0].total, traffic(2, 200));
    assert_eq!(folded.sources[0].delta, traffic(1, 100));
    assert_eq!(folded.sources[0].since, Mono(0));
}

#[test]
fn the_heavy_stay_through_a_flood_and_the_rest_is_other() {
    let mut kernel = Kernel::new(8);
    for round in 0..50u64 {
        kernel.frame(0, Some(ip(1)), 1000);
        for n in 0..20 {
            kernel.frame(0, Some(ip(100 + n)), 60);
        }
        kernel.frame(1, Some(ip(1)), 1000);
        let folded = kernel.turn();
        assert_eq!(folded.sources[0].ip, ip(1));
        assert_eq!(folded.sources[0].total.packets, 2 * (round + 1), "exact while held");
        assert_eq!(folded.sources[0].since, Mono(0));
        assert!(folded.sources.len() <= 6);
    }
    assert!(kernel.turn().evicted > 0);
}

#[test]
fn an_evicted_source_counts_from_zero_when_it_returns() {
    let mut kernel = Kernel::new(4);
    for n in 1..=5 {
        kernel.frame(0, Some(ip(n)), 100 * u64::from(n));
    }
    kernel.turn();
    // Three are kept: 1 and 2 were the lightest.
    kernel.frame(0, None, 1);
    let at = kernel.now;
    let folded = kernel.turn();
    assert_eq!(folded.sources.len(), 3);
    let begun = kernel.now;
    kernel.frame(0, Some(ip(1)), 5000);
    let folded = kernel.turn();
    let back = folded.sources.iter().find(|s| s.ip == ip(1)).unwrap();
    assert_eq!(back.total, traffic(1, 5000));
    assert!(back.since >= Mono(at) && back.since <= Mono(begun));
}

#[test]
fn an_idle_source_gives_way_in_the_end() {
    let mut kernel = Kernel::new(4);
    kernel.frame(0, Some(ip(1)), 10_000);
    let mut held = true;
    for _ in 0..400 {
        for n in 2..=6 {
            kernel.frame(0, Some(ip(n)), 100);
        }
        held = kernel.turn().sources.iter().any(|s| s.ip == ip(1));
    }
    assert!(!held);
}

#[test]
fn a_restart_begins_at_nothing() {
    let mut kernel = Kernel::new(8);
    kernel.frame(0, Some(ip(1)), 100);
    kernel.frame(0, Some(ip(2)), 100);
    kernel.turn();
    kernel.frame(0, Some(ip(1)), 100);
    kernel.frame(1, None, 60);
    kernel.restart();
    let at = kernel.now;
    assert_eq!(kernel.turn().sources, []);
    kernel.frame(1, Some(ip(1)), 70);
    let folded = kernel.turn();
    assert_eq!(folded.total, traffic(1, 70));
    assert_eq!(folded.other, traffic(0, 0));
    let [one] = folded.sources.as_slice() else { panic!("{:?}", folded.sources) };
    assert_eq!((one.ip, one.total, one.since), (ip(1), traffic(1, 70), Mono(at)));
}

#[derive(Clone, Debug)]
enum Op {
    Frame(usize, u8, u64),
    NotIp(usize),
    Turn,
    Again,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0..2usize, 0..24u8, 14..9000u64).prop_map(|(c, s, b)| Op::Frame(c, s, b)),
        2 => (0..2usize).prop_map(Op::NotIp),
        3 => Just(Op::Turn),
        1 => Just(Op::Again),
        1 => Just(Op::Restart),
    ]
}

proptest! {
    #[test]
    fn sources_and_other_are_the_totals(ops in prop::collection::vec(op(), 0..400), capacity in 1usize..20, more in 0usize..20) {
        let mut kernel = Kernel::that_grows(capacity, capacity + more);
        for op in ops {
            match op {
                Op::Frame(cpu, source, bytes) => kernel.frame(cpu, Some(ip(source)), bytes),
                Op::NotIp(cpu) => kernel.frame(cpu, None, 60),
                Op::Turn => drop(kernel.turn()),
                Op::Again => kernel.again(),
                Op::Restart => kernel.restart(),
            }
        }
        kernel.turn();
        kernel.turn();
    }

    /// With room for all, every source is exact from its first frame.
    #[test]
    fn with_room_nothing_is_other(ops in prop::collection::vec(op(), 0..300)) {
        let mut kernel = Kernel::new(64);
        let mut truth: BTreeMap<IpAddr, Traffic> = BTreeMap::new();
        let mut other = Traffic::default();
        for op in ops {
            match op {
                Op::Frame(cpu, source, bytes) => {
                    kernel.frame(cpu, Some(ip(source)), bytes);
                    let t = truth.entry(ip(source)).or_default();
                    *t = *t + traffic(1, bytes);
                }
                Op::NotIp(cpu) => {
                    kernel.frame(cpu, None, 60);
                    other = other + traffic(1, 60);
                }
                Op::Turn => drop(kernel.turn()),
                Op::Again => kernel.again(),
                Op::Restart => {
                    kernel.restart();
                    truth.clear();
                    other = Traffic::default();
                }
            }
        }
        let folded = kernel.turn();
        let seen: BTreeMap<IpAddr, Traffic> =
            folded.sources.iter().map(|s| (s.ip, s.total)).collect();
        prop_assert_eq!(seen, truth);
        prop_assert_eq!(folded.other, other);
    }
}
