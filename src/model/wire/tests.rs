use super::*;
use crate::model::link::Hook;
use crate::model::talkers::Source;
use crate::model::time::{NS_PER_SEC, Stamp, WallOffset};

fn traffic(packets: u64, bytes: u64) -> Traffic {
    Traffic { packets, bytes }
}

/// A snapshot at second `at`, of sources `(last byte, since, total bytes, delta bytes)`.
pub(super) fn sample(
    interface: &str,
    direction: Direction,
    at: u64,
    sources: &[(u8, u64, u64, u64)],
    other: u64,
) -> TalkersSample {
    let of = |n: u64| traffic(n / 100, n);
    let source = |&(last, since, total, delta): &(u8, u64, u64, u64)| Source {
        ip: IpAddr::from([10, 0, 0, last]),
        since: Mono(since),
        total: of(total),
        delta: of(delta),
    };
    let sources: Vec<_> = sources.iter().map(source).collect();
    let sum = |f: fn(&Source) -> Traffic| sources.iter().map(f).fold(of(other), |a, b| a + b);
    TalkersSample {
        ifindex: 2,
        interface: interface.into(),
        direction,
        hook: Hook::Generic,
        at: Stamp { mono: Mono(at * NS_PER_SEC), wall: WallOffset(0) },
        interval_ns: NS_PER_SEC,
        total: sum(|s| s.total),
        delta: sum(|s| s.delta),
        other: of(other),
        other_delta: of(other),
        partial: None,
        sources: sources.clone(),
        evicted: 0,
        compared: Default::default(),
        detail: None,
    }
}

fn talker(wire: &Wire, last: u8) -> Option<&Talker> {
    wire.talkers().iter().map(|(_, t)| t).find(|t| t.ip == IpAddr::from([10, 0, 0, last]))
}

#[test]
fn both_directions_of_an_address_are_one_row() {
    let mut wire = Wire::default();
    wire.add_sample(&sample("eth0", Direction::Rx, 10, &[(1, 1, 5000, 1000)], 60));
    wire.add_sample(&sample("eth0", Direction::Tx, 10, &[(1, 1, 700, 200), (2, 1, 100, 0)], 0));
    assert_eq!(wire.talkers().len(), 2);
    let one = talker(&wire, 1).unwrap();
    assert_eq!((one.rx.total().bytes, one.tx.total().bytes), (5000, 700));
    let now = Mono(10 * NS_PER_SEC);
    assert_eq!(wire.rate(one, Direction::Rx, now), Rate { pps: 10.0, bps: 8000.0 });
    assert_eq!(wire.rate(one, Direction::Rx, Mono(60 * NS_PER_SEC)), Rate::default());
    assert_eq!(wire.ports()[0].rx.other().bytes, 60);
}

#[test]
fn a_source_that_is_evicted_leaves_to_other_and_totals_hold() {
    let mut wire = Wire::default();
    wire.add_sample(&sample("eth0", Direction::Rx, 10, &[(1, 1, 500, 0), (2, 1, 300, 0)], 0));
    wire.add_sample(&sample("eth0", Direction::Rx, 11, &[(1, 1, 500, 0)], 300));
    assert!(talker(&wire, 2).is_none());
    assert_eq!(wire.ports()[0].rx.other().bytes, 300);
}

#[test]
fn another_interface_does_not_change_the_counts() {
    let mut wire = Wire::default();
    wire.add_sample(&sample("eth0", Direction::Rx, 10, &[(1, 1, 500, 100)], 0));
    wire.add_sample(&sample("eth1", Direction::Rx, 11, &[(2, 1, 300, 100)], 0));
    assert_eq!(talker(&wire, 1).unwrap().rx.total().bytes, 500);
    assert_eq!(wire.port_named(&"eth1".into()), Some(1));
}

#[test]
fn a_restart_counts_from_there_also_for_those_that_come_back() {
    let mut wire = Wire::default();
    wire.add_sample(&sample("eth0", Direction::Rx, 10, &[(1, 1, 500, 0), (2, 1, 300, 0)], 40));
    wire.restart();
    assert_eq!(wire.ports()[0].rx.other(), Traffic::default());
    assert_eq!(wire.ports()[0].rx.side.total(), Traffic::default());
    // 1 goes on, 2 was evicted (300 to other) and admitted again, something else has 10 more.
    let next = sample("eth0", Direction::Rx, 11, &[(1, 1, 700, 200), (2, 9, 50, 50)], 350);
    wire.add_sample(&next);
    assert_eq!(talker(&wire, 1).unwrap().rx.total().bytes, 200);
    assert_eq!(talker(&wire, 2).unwrap().rx.total().bytes, 50);
    assert_eq!(wire.ports()[0].rx.side.total().bytes, 260);
    assert_eq!(wire.ports()[0].rx.other().bytes, 10);
}

#[test]
fn an_interval_of_no_length_has_no_rate() {
    let mut wire = Wire::default();
    let mut s = sample("eth0", Direction::Rx, 10, &[(1, 1, 500, 100)], 0);
    s.interval_ns = 0;
    wire.add_sample(&s);
    let one = talker(&wire, 1).unwrap();
    assert_eq!(wire.rate(one, Direction::Rx, Mono(10 * NS_PER_SEC)), Rate::default());
}

#[test]
fn a_recording_that_begins_later_counts_from_there() {
    let rx = |interface, at, sources: &[_], evicted| TalkersSample {
        evicted,
        ..sample(interface, Direction::Rx, at, sources, 60)
    };
    let mut first = Wire::default();
    first.add_sample(&rx("eth0", 10, &[(1, 1, 5_000, 1_000)], 7));
    let mut later = Wire::default();
    first.counted_before(WallOffset(0)).iter().for_each(|known| later.add_sample(known));
    later.begin_after();
    assert_eq!((later.ports()[0].rx.side.total().bytes, later.ports()[0].rx.evicted), (0, 0));
    later.add_sample(&rx("eth0", 11, &[(1, 1, 5_600, 600)], 9));
    assert_eq!((later.ports()[0].rx.side.total().bytes, later.ports()[0].rx.evicted), (600, 2));
    assert_eq!(talker(&later, 1).unwrap().rx.total().bytes, 600);
    // A new interface counts from its beginning, one that is attached again from there.
    later.add_sample(&rx("eth1", 11, &[], 3));
    later.add_sample(&rx("eth0", 12, &[(1, 1, 5_600, 0)], 1));
    assert_eq!((later.ports()[1].rx.evicted, later.ports()[0].rx.evicted), (3, 1));
    // The next recording begins where this one ends.
    let known = later.counted_before(WallOffset(0));
    assert_eq!((known[0].total.bytes, known[0].evicted, known[1].evicted), (5_660, 1, 3));
}
