//! Peers, holders, and the bounds of the tables.

use super::*;
use crate::model::bound::Bound;
use crate::model::listener::{Listener, Listeners};
use crate::model::quality::{Quality, Worst};
use crate::model::time::NS_PER_SEC;

#[test]
fn pairs_answer_from_both_sides() {
    let mut owners = Connections::default();
    owners.apply(&events(vec![
        conn(1, Connect, &[(1, Made, carried(10, 1))]),
        conn(2, Connect, &[(2, Made, carried(20, 2))]),
    ]));
    let ip = "10.0.0.2".parse().unwrap();
    let behind: Vec<_> = owners.behind(ip).iter().map(|p| (p.key.tgid, p.total.rx_bytes)).collect();
    assert_eq!(behind, [(2, 20), (1, 10)]);
    assert_eq!(owners.peers_of(owner(1, Made).key)[0].peer.ip, ip);
    assert_eq!(net(&owners, 1).peers, 1);
}

#[test]
fn equal_addresses_in_two_namespaces_or_on_two_links_are_two_peers() {
    let mut owners = Connections::default();
    let here = conn(1, Connect, &[(1, Made, carried(10, 1))]);
    let there = Conn { netns: 2, ..conn(2, Connect, &[(2, Made, carried(20, 2))]) };
    owners.apply(&events(vec![here, there]));
    let ip: std::net::IpAddr = "10.0.0.2".parse().unwrap();
    let mut namespaces: Vec<_> =
        owners.behind(ip).iter().map(|p| (p.key.tgid, p.peer.netns)).collect();
    namespaces.sort_unstable();
    assert_eq!(namespaces, [(1, 1), (2, 2)]);
    for (tgid, bytes) in [(1, 10), (2, 20)] {
        let peer = PeerAddr { netns: tgid, scope: 0, ip };
        let pair = owners.between(owner(tgid, Made).key, peer).unwrap();
        assert_eq!(pair.total.rx_bytes, bytes);
    }
    let link = |cookie, interface| {
        let mut conn = conn(cookie, Connect, &[(3, Made, carried(5, 0))]);
        (conn.interface, conn.remote) = (interface, "[fe80::1]:443".parse().unwrap());
        conn
    };
    owners.apply(&events(vec![link(3, 4), link(4, 5)]));
    let mut scopes: Vec<_> =
        owners.behind("fe80::1".parse().unwrap()).iter().map(|p| p.peer.scope).collect();
    scopes.sort_unstable();
    assert_eq!(scopes, [4, 5]);
    assert_eq!(net(&owners, 3).peers, 2);
}

#[test]
fn further_holders_are_counted() {
    let mut owners = Connections::with_changes();
    let mut batch = tick(vec![conn(1, Sample, &[(1, Made, carried(10, 1))])], false);
    // The process that calls is none of them, and one that has two descriptors counts once.
    let holders = (1..=21).chain(12..=13);
    let holders = holders.map(|tgid| Holder { cookie: 1, owner: owner(tgid, Found) });
    batch.tick.as_mut().unwrap().holders.extend(holders);
    owners.apply(&batch);
    owners.apply(&events(vec![conn(1, Close, &[(1, Made, carried(10, 1))])]));
    let closed = owners.take_changes().remove(0);
    assert_eq!((closed.holders.listed.len(), closed.holders.more), (8, 12));
}

#[test]
fn a_peer_of_a_socket_that_ended_since_counts_all_the_same() {
    let mut owners = Connections::default();
    owners.apply(&events(vec![udp(3, Close, &[(1, Sent, carried(10, 1))])]));
    let remote: SocketAddr = "10.0.0.9:53".parse().unwrap();
    let process = owner(1, Sent).key;
    let mut batch = tick(Vec::new(), false);
    let flow = PeerFlow { cookie: 3, process, remote, carried: carried(10, 1) };
    batch.tick.as_mut().unwrap().peers.push(flow);
    owners.apply(&batch);
    assert_eq!(owners.behind(remote.ip())[0].total, carried(10, 1));
    // Its process has the bytes once.
    assert_eq!(owners.total, carried(10, 1));
}

#[test]
fn ended_sockets_whose_peers_are_expected_are_bounded_and_calls_of_others_counted() {
    let mut owners = Connections::with_bounds(Bounds { gone: 2, ..Bounds::default() });
    let calls = Carried { tx_packets: 4, rx_packets: 1, ..carried(10, 1) };
    let ends = (1..=3).map(|cookie| udp(cookie, Close, &[(1, Sent, calls)]));
    owners.apply(&events(ends.collect()));
    assert_eq!(owners.known_before()[0].known.len(), 2);
    let mut batch = tick(Vec::new(), false);
    let flow = |cookie| PeerFlow {
        cookie,
        process: owner(1, Sent).key,
        remote: "10.0.0.9:53".parse().unwrap(),
        carried: calls,
    };
    batch.tick.as_mut().unwrap().peers.extend((1..=3).map(flow));
    batch.limits.peers = 7;
    owners.apply(&batch);
    assert_eq!(owners.behind("10.0.0.9".parse().unwrap())[0].total, calls + calls);
    assert_eq!(owners.limits.peers, 7 + 5);
    // All of the interval before: the next one has room again.
    let again = Conn { cookie: 4, ..udp(4, Close, &[(1, Sent, calls)]) };
    owners.apply(&ConnectionsBatch { limits: batch.limits, ..events(vec![again]) });
    assert_eq!((owners.known_before()[0].known.len(), owners.limits.peers), (1, 12));
    // What was counted before a restart is in no count after it.
    owners.restart();
    assert_eq!(owners.limits, Limits::default());
    batch.limits.peers += 2;
    batch.tick = None;
    owners.apply(&ConnectionsBatch { events: vec![sample(5)], ..batch });
    assert_eq!(owners.limits.peers, 2);
}

#[test]
fn events_that_timelines_lack_are_counted() {
    let mut owners = Connections::with_bounds(Bounds { events: 3, ..Bounds::default() });
    let connects = (1..=4).map(|cookie| conn(cookie, Connect, &[(1, Made, carried(0, 0))]));
    owners.apply(&events(connects.collect()));
    assert_eq!((owners.events_of(owner(1, Made).key).count(), owners.events_evicted), (3, 1));
    // The traffic of an interval is an event, too.
    owners.apply(&tick(vec![conn(1, Sample, &[(1, Made, carried(5, 0))])], false));
    assert_eq!(owners.events_evicted, 2);
    owners.restart();
    assert_eq!(owners.events_evicted, 0);
}

#[test]
fn changes_that_no_line_takes_are_bounded_and_counted() {
    let mut owners = Connections::with_changes();
    let most = changes::MAX_QUEUED as u64;
    let ends = |n| (0..n).map(|cookie| conn(cookie, Close, &[])).collect();
    owners.apply(&events(ends(most + 3)));
    assert_eq!(owners.dropped(), 3);
    assert_eq!(owners.take_changes().len() as u64, most);
    owners.apply(&events(ends(1)));
    assert_eq!((owners.take_changes().len(), owners.dropped()), (1, 3));
}

#[test]
fn services_of_a_pair_are_bounded_and_more_are_marked() {
    let mut owners = Connections::default();
    let to = |port: u16| {
        let mut conn = conn(port.into(), Connect, &[(1, Made, carried(1, 1))]);
        conn.remote.set_port(port);
        conn
    };
    let pair = |owners: &Connections| {
        let pair = owners.pairs().next().unwrap();
        (pair.services.len(), pair.more_services, pair.total.rx_bytes)
    };
    owners.apply(&events((1..=8).map(to).collect()));
    assert_eq!(pair(&owners), (8, false, 8));
    owners.apply(&events(vec![to(9)]));
    assert_eq!(pair(&owners), (8, true, 9));
}

#[test]
fn tables_are_bounded_and_the_sum_holds() {
    let mut owners = Connections::default();
    for n in 0..(MAX_PROCESSES as u32 + 4_000) {
        let mut conn = conn(u64::from(n), Close, &[(n + 1, Made, carried(3, 2))]);
        conn.at = Mono(u64::from(n));
        owners.apply(&events(vec![conn]));
    }
    owners.apply(&tick(Vec::new(), false));
    assert!(owners.processes().count() <= MAX_PROCESSES);
    assert!(owners.evicted > 0);
    assert_eq!(total_of(&owners), owners.total);
    assert_eq!(owners.total.rx_bytes, 3 * (MAX_PROCESSES as u64 + 4_000));
    let before = owners.evicted;
    for cookie in 0..(MAX_CONNS as u64 + 10) {
        let shares = [(1, Found, Carried::default())];
        owners.apply(&events(vec![conn(1 << 32 | cookie, Connect, &shares)]));
    }
    assert_eq!((owners.live(), owners.evicted), (MAX_CONNS, before + 10));
}

proptest! {
    /// Whatever is reported in whatever order: the parts sum to the total, and nothing panics.
    #[test]
    fn the_parts_always_make_the_whole(steps in prop::collection::vec(
        (0u64..4, 0u8..4, 0u32..4, 0u64..1_000, 0u64..1_000, 0u8..16), 0..60),
        restart in 0usize..60,
        by_call in any::<bool>(),
    ) {
        let mut owners = Connections::with_changes();
        let attribution = if by_call { Attribution::Call } else { Attribution::Connection };
        owners.start(Mono(1), attribution);
        for (n, (cookie, kind, tgid, rx, tx, bits)) in steps.into_iter().enumerate() {
            if n == restart {
                owners.restart();
            }
            let event = [Sample, Connect, Accept, Close][usize::from(kind)];
            let shares = [(1, Made, carried(rx, tx)), (2, Sent, carried(tx, rx)), (3, Found, carried(0, 9))];
            let mut conn = conn(cookie, event, &shares[..tgid as usize]);
            conn.passive = event == Accept;
            conn.kernel = bits & 8 != 0;
            if bits & 1 != 0 {
                conn.tcp = tcp(tx, rx, 300);
            }
            let ticks = bits & 2 != 0;
            owners.apply(&if ticks { tick(vec![conn], bits & 4 != 0) } else { events(vec![conn]) });
            prop_assert_eq!(total_of(&owners), owners.total);
            let live: u32 = owners.processes().map(|net| net.live).sum();
            prop_assert!(live as usize <= owners.live());
        }
    }
}

#[test]
fn histories_are_bounded_and_those_without_are_counted() {
    let mut owners = Connections::with_bounds(Bounds { histories: 2, ..Bounds::default() });
    let carries = |cookie, bytes| conn(cookie, Sample, &[(9, Made, carried(bytes, 0))]);
    let histories = |owners: &Connections| {
        let live = owners.live_conns();
        live.filter(|(slot, _)| owners.history_of(*slot).is_some()).count()
    };
    owners.apply(&tick((1..=4).map(|cookie| carries(cookie, 10)).collect(), false));
    assert_eq!((histories(&owners), owners.without_history), (2, 2));
    // One that ends takes its history along, and leaves its place to another. Bytes that are not counted are
    // no traffic.
    let mut polled = Connections::default();
    polled.start(Mono(1), Attribution::Procfs);
    polled.apply(&tick(vec![udp(1, Sample, &[(9, Found, carried(0, 0))])], false));
    assert_eq!((histories(&polled), polled.without_history), (0, 0));
    owners.apply(&events(vec![conn(1, Close, &[(9, Made, carried(10, 0))])]));
    assert!(owners.closed_lately().all(|(_, closed)| closed.history.is_some()));
    owners.apply(&tick((2..=4).map(|cookie| carries(cookie, 20)).collect(), false));
    assert_eq!((histories(&owners), owners.without_history), (2, 1));
}

#[test]
fn the_history_of_a_connection_lasts_until_its_end() {
    let mut owners = Connections::default();
    owners.start(Mono(10 * NS_PER_SEC), Attribution::Call);
    let second = |s: u64| Mono(s * NS_PER_SEC);
    let at = |s, event, bytes| {
        let quality = Quality { srtt_us: Some(700), ..Quality::default() };
        let of = conn(1, event, &[(9, Made, carried(bytes, 0))]);
        Conn { at: second(s), since: Some(second(s)), quality, ..of }
    };
    // It begins and ends between two readings.
    owners.apply(&events(vec![at(11, Connect, 0), at(12, Close, 4_000)]));
    let (_, closed) = owners.closed_lately().next().unwrap();
    let history = closed.history.as_ref().unwrap();
    assert_eq!(history.rx.last(second(14), 4).collect::<Vec<_>>(), [2_000, 2_000, 0, 0]);
    // The gauge has no value after the end.
    assert_eq!(history.srtt_us.last(second(14), 3).collect::<Vec<_>>(), [0, 700, 0]);
    assert_eq!((closed.delta, closed.is_new), (Some([4_000, 0]), true));
}

#[test]
fn the_sizes_of_rows_are_those_that_are_documented() {
    let of_one_process = size_of::<Share>() + 4 * size_of::<ProcessKey>();
    let live = size_of::<Live>() + of_one_process + 2 * size_of::<(Party, Carried)>();
    assert!((700..=800).contains(&live), "{live}");
    let closed = size_of::<Closed>() + size_of::<Share>();
    assert!((400..=500).contains(&closed), "{closed}");
    assert!(size_of::<ConnHistory>() <= 420);
}

#[test]
fn a_process_has_the_worst_quality_of_its_living_connections() {
    let mut owners = Connections::default();
    let of = |cookie, srtt_us, retransmits| {
        let quality = Quality { srtt_us, retransmits: Some(retransmits), ..Quality::default() };
        Conn { quality, ..conn(cookie, Sample, &[(9, Made, carried(1, 1))]) }
    };
    owners.apply(&tick(vec![of(1, Some(300), 7), of(2, Some(90_000), 2), of(3, None, 0)], false));
    let worst = |srtt_us, retransmits| Worst { srtt_us, retransmits: Some(retransmits) };
    assert_eq!(net(&owners, 9).worst, worst(Some(90_000), 7));
    owners.apply(&events(vec![Conn { event: Close, ..of(2, Some(95_000), 9) }]));
    owners.apply(&tick(Vec::new(), false));
    assert_eq!(net(&owners, 9).worst, worst(Some(300), 7));
}

#[test]
fn accepted_connections_are_counted_by_listener() {
    let mut owners = Connections::default();
    let accepted = |cookie, local: SocketAddr| Conn {
        local,
        ..passive(Accept, &[(cookie, Accepted, Carried::default())])
    };
    let at = |n: u32| SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 80));
    let netns = accepted(1, at(1)).netns;
    let listener = |netns, local| Listener {
        bound: Bound::Ip { protocol: TCP, local, interface: 0 },
        netns,
        inode: 1,
        since: None,
        waiting: 0,
        limit: None,
        drops: None,
        accepted: None,
        accepting: 0,
        owner: None,
        others: 0,
        cgroup: None,
    };
    let by = |owners: &Connections, locals: &[SocketAddr]| {
        let rows = locals.iter().map(|local| listener(netns, *local)).collect();
        let mut found = Listeners { rows, ..Listeners::default() };
        owners.accepted.fill_in(&mut found, &[]);
        found.rows.iter().map(|row| row.accepted.unwrap()).collect::<Vec<_>>()
    };
    owners.apply(&events(vec![accepted(1, at(1)), accepted(1, at(1)), accepted(1, at(2))]));
    let any = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 80);
    let (all, both) = (any("0.0.0.0"), any("::"));
    assert_eq!(by(&owners, &[at(1), at(2), at(3), all, both]), [2, 1, 0, 0, 0]);
    // The one at all addresses has the rest, of IPv4 the one that is of IPv4.
    assert_eq!(by(&owners, &[at(1), all, both]), [2, 1, 0]);
    assert_eq!(by(&owners, &[at(2), both, both]), [1, 2, 2]);
    let mut two = Listeners { rows: vec![listener(netns, both); 2], ..Listeners::default() };
    owners.accepted.fill_in(&mut two, &[]);
    assert!(two.rows.iter().all(|row| (row.accepted, row.accepting) == (Some(3), 2)));
    // One of them was not read: it shares the count all the same.
    let missed = two.rows.split_off(1);
    owners.accepted.fill_in(&mut two, &missed);
    assert!(two.rows.iter().all(|row| (row.accepted, row.accepting) == (Some(3), 2)));
    let mut elsewhere = Listeners { rows: vec![listener(netns + 1, all)], ..Listeners::default() };
    owners.accepted.fill_in(&mut elsewhere, &[]);
    let row = &elsewhere.rows[0];
    assert_eq!((row.accepted, row.accepting), (Some(0), 1));
    let many = MAX_ACCEPTING as u32 + 7;
    owners.apply(&events((1..=many).map(|n| accepted(1, at(n))).collect()));
    assert_eq!(
        (owners.accepted.left_out, by(&owners, &[all])),
        (7, vec![3 + MAX_ACCEPTING as u64])
    );
    owners.restart();
    assert_eq!((owners.accepted.left_out, by(&owners, &[all])), (0, vec![0]));
}
