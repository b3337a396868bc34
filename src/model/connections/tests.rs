use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::model::conn::{ConnectionsTick, Holder, OwnerFrom, Share, TCP, TcpCounts, UDP};
use crate::model::coverage::Attribution;
use crate::model::open::Comm;

use ConnEvent::{Accept, Close, Connect, Sample, Seen};
use OwnerFrom::{Accepted, Found, Made, Sent};

fn owner(tgid: u32, from: OwnerFrom) -> Owner {
    let key = ProcessKey { tgid, start_boottime_ns: 1 };
    Owner { key, uid: 0, comm: Comm::new(b"one"), from }
}

fn carried(rx_bytes: u64, tx_bytes: u64) -> Carried {
    Carried { rx_bytes, tx_bytes, ..Carried::default() }
}

fn tcp(rx_bytes: u64, tx_bytes: u64, queued: u32) -> Option<TcpCounts> {
    Some(TcpCounts { carried: carried(rx_bytes, tx_bytes), queued })
}

/// A connection whose processes called for these bytes; TCP's counters say the same.
fn conn(cookie: u64, event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let sum = shares.iter().fold(Carried::default(), |sum, (.., carried)| sum + *carried);
    let share = |(tgid, from, carried): &(u32, OwnerFrom, Carried)| Share {
        owner: owner(*tgid, *from),
        carried: *carried,
    };
    Conn {
        at: Mono(10),
        since: Some(Mono(1)),
        cookie,
        event,
        protocol: TCP,
        local: at("10.0.0.1:4711"),
        remote: at("10.0.0.2:443"),
        netns: 1,
        interface: 0,
        state: 1,
        error: 0,
        shares: shares.iter().map(share).collect(),
        current: shares.len().saturating_sub(1),
        left_out: Carried::default(),
        tcp: Some(TcpCounts { carried: sum, queued: 0 }),
        shared: false,
        kernel: false,
        passive: false,
        stream: true,
        unseen: false,
        quality: Default::default(),
    }
}

/// A connection of process 1, for tests elsewhere.
pub(crate) fn sample(cookie: u64) -> Conn {
    conn(cookie, Sample, &[(1, Made, carried(10, 20))])
}

/// A connection from outside.
fn passive(event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    Conn { passive: true, ..conn(7, event, shares) }
}

fn udp(cookie: u64, event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    let mut conn = Conn { tcp: None, stream: false, ..conn(cookie, event, shares) };
    conn.protocol = UDP;
    conn.remote.set_port(0);
    conn
}

fn events(events: Vec<Conn>) -> ConnectionsBatch {
    ConnectionsBatch { at: Mono(10), events, ..ConnectionsBatch::default() }
}

fn tick(samples: Vec<Conn>, complete: bool) -> ConnectionsBatch {
    let tick = Some(ConnectionsTick { samples, complete, ..ConnectionsTick::default() });
    ConnectionsBatch { at: Mono(20), tick, ..ConnectionsBatch::default() }
}

fn total_of(owners: &Connections) -> Carried {
    owners.processes().fold(owners.unattributed.total() + owners.other, |sum, net| sum + net.total)
}

fn part(owners: &Connections, reason: Reason) -> Carried {
    owners.unattributed.parts().find(|(of, _)| *of == reason).unwrap().1
}

fn net(owners: &Connections, tgid: u32) -> Net {
    *owners.process(owner(tgid, Made).key).unwrap()
}

fn changes(owners: &mut Connections) -> Vec<(What, Option<u32>)> {
    let changes = owners.take_changes();
    changes.iter().map(|c| (c.what, c.conn.owner().map(|owner| owner.key.tgid))).collect()
}

#[test]
fn bytes_that_wait_to_be_accepted_go_to_the_process_that_reads_them() {
    let mut owners = Connections::with_changes();
    let waits = Conn { tcp: tcp(90, 0, 90), ..passive(Sample, &[]) };
    owners.apply(&tick(vec![waits], false));
    assert_eq!(part(&owners, Reason::Waiting), carried(90, 0));
    let accepted = passive(Accept, &[(2, Accepted, carried(0, 0))]);
    owners.apply(&events(vec![Conn { tcp: tcp(100, 0, 100), ..accepted }]));
    assert_eq!(part(&owners, Reason::Waiting), carried(0, 0));
    assert_eq!(part(&owners, Reason::Queued), carried(100, 0));
    owners.apply(&events(vec![passive(Close, &[(2, Accepted, carried(100, 11))])]));
    assert_eq!(changes(&mut owners), [(What::Accept, Some(2)), (What::Close, Some(2))]);
    assert_eq!(net(&owners, 2).total, carried(100, 11));
    assert_eq!(owners.unattributed.total(), Carried::default());
    assert_eq!((owners.live(), total_of(&owners)), (0, owners.total));
}

#[test]
fn traffic_of_before_a_restart_is_attributed_to_no_process_after_it() {
    let mut owners = Connections::default();
    let waits = Conn { tcp: tcp(90, 0, 90), ..passive(Sample, &[]) };
    owners.apply(&tick(vec![waits], false));
    owners.restart();
    owners.apply(&tick(vec![passive(Sample, &[(7, Accepted, carried(100, 0))])], false));
    assert_eq!(net(&owners, 7).total, carried(10, 0));
    assert_eq!(total_of(&owners), owners.total);
}

#[test]
fn a_connection_that_no_process_accepted_ends_unattributed() {
    let mut owners = Connections::with_changes();
    owners.apply(&events(vec![Conn { tcp: tcp(9, 0, 9), ..passive(Close, &[]) }]));
    assert_eq!(changes(&mut owners), [(What::Close, None)]);
    assert_eq!(part(&owners, Reason::Waiting), carried(9, 0));
}

#[test]
fn each_process_has_the_bytes_of_its_calls() {
    let mut owners = Connections::default();
    let shares: Vec<_> = (1..=8).map(|tgid| (tgid, Sent, carried(0, 1_000))).collect();
    let left_out = carried(0, 500);
    let shared = Conn { left_out, tcp: tcp(0, 8_500, 0), ..conn(1, Sample, &shares) };
    owners.apply(&tick(vec![shared], false));
    for tgid in 1..=8 {
        assert_eq!(net(&owners, tgid).total, carried(0, 1_000));
        assert!(net(&owners, tgid).shared);
        assert_eq!(owners.peers_of(owner(tgid, Sent).key)[0].total, carried(0, 1_000));
    }
    assert_eq!(part(&owners, Reason::Sharers), left_out);
    assert_eq!((owners.total, total_of(&owners)), (carried(0, 8_500), owners.total));
}

/// A call under way, or `splice` from the socket: TCP has moved bytes that no call returned yet.
#[test]
fn bytes_without_a_call_are_those_of_the_only_process() {
    let mut owners = Connections::default();
    let writes = |called, written| Conn {
        tcp: tcp(0, written, 0),
        ..conn(1, Sample, &[(1, Made, carried(0, called))])
    };
    owners.apply(&tick(vec![writes(0, 700)], false));
    assert_eq!(net(&owners, 1).total, carried(0, 700));
    owners.apply(&tick(vec![writes(1_000, 1_000)], false));
    assert_eq!(net(&owners, 1).total, carried(0, 1_000));
    // It was another one's call: corrected when that returns.
    owners.apply(&tick(vec![writes(1_000, 1_600)], false));
    assert_eq!(net(&owners, 1).total, carried(0, 1_600));
    let both = conn(1, Sample, &[(1, Made, carried(0, 1_000)), (2, Sent, carried(0, 600))]);
    owners.apply(&tick(vec![both.clone()], false));
    assert_eq!(net(&owners, 1).total, carried(0, 1_000));
    assert_eq!(net(&owners, 2).total, carried(0, 600));
    owners.apply(&tick(vec![Conn { tcp: tcp(0, 1_900, 0), ..both }], false));
    assert_eq!(part(&owners, Reason::Uncalled), carried(0, 300));
    assert_eq!(total_of(&owners), owners.total);
}

/// A recording that begins in the midst of a run.
#[test]
fn traffic_of_before_a_recording_is_no_traffic_of_its_first_interval() {
    let mut live = Connections::default();
    let carries = |bytes| conn(1, Sample, &[(1, Made, carried(0, bytes))]);
    live.apply(&tick(vec![carries(300_000_000)], false));
    let mut replayed = Connections::default();
    live.known_before().iter().for_each(|batch| replayed.apply(batch));
    assert_eq!((replayed.live(), net(&replayed, 1).live), (1, 1));
    replayed.apply(&tick(vec![carries(300_001_000)], false));
    assert_eq!(net(&replayed, 1).delta, carried(0, 1_000));
    assert_eq!(replayed.total, carried(0, 1_000));
}

#[test]
fn packets_of_tcp_wrap_and_go_on() {
    let mut owners = Connections::default();
    let sample = |packets: u64| {
        let counts = Carried { rx_packets: packets, tx_packets: packets, ..carried(8, 9) };
        let tcp = Some(TcpCounts { carried: counts, queued: 0 });
        tick(vec![Conn { tcp, ..conn(1, Sample, &[(1, Made, carried(8, 9))]) }], false)
    };
    let near = u64::from(u32::MAX) - 1;
    // More than half of the range in one step is no step.
    for packets in [near / 2, near, 3] {
        owners.apply(&sample(packets));
    }
    let net = net(&owners, 1);
    assert_eq!((net.total.rx_packets, net.total.rx_bytes), (near + 5, 8));
    assert_eq!((net.delta.rx_packets, net.delta.rx_bytes), (5, 0));
}

#[test]
fn an_end_that_was_not_observed_is_missed() {
    let mut owners = Connections::with_changes();
    let one = conn(1, Connect, &[(1, Made, carried(1, 1))]);
    let two = conn(2, Connect, &[(1, Made, carried(1, 1))]);
    owners.apply(&events(vec![one, two.clone()]));
    owners.take_changes();
    assert_eq!(net(&owners, 1).live, 2);
    owners.apply(&tick(vec![two], true));
    let changes = owners.take_changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].what, changes[0].unseen, changes[0].conn.cookie),
        (What::Close, true, 1)
    );
    assert_eq!(net(&owners, 1).live, 1);
}

#[test]
fn a_process_begins_a_connection_once_however_often_it_takes_turns() {
    let mut owners = Connections::default();
    for n in 1..20 {
        let shares = [(1, Made, carried(0, n)), (2, Sent, carried(0, n))];
        let current = n as usize % 2;
        owners.apply(&tick(vec![Conn { current, ..conn(1, Sample, &shares) }], false));
        assert_eq!(net(&owners, 1).live + net(&owners, 2).live, 1);
    }
    assert_eq!((net(&owners, 1).begun, net(&owners, 2).begun), (1, 1));
}

#[test]
fn a_process_has_its_latest_name() {
    let mut owners = Connections::default();
    let mut conn = conn(1, Connect, &[(1, Made, carried(0, 0))]);
    owners.apply(&events(vec![conn.clone()]));
    conn.shares[0].owner.comm = Comm::new(b"sleep");
    owners.apply(&tick(vec![Conn { event: Sample, ..conn }], false));
    assert_eq!(net(&owners, 1).owner.comm, Comm::new(b"sleep"));
}

#[test]
fn a_process_has_its_latest_user() {
    let mut owners = Connections::default();
    let mut conn = conn(1, Connect, &[(1, Made, carried(0, 1))]);
    owners.apply(&events(vec![conn.clone()]));
    conn.shares[0].owner.uid = 33;
    owners.apply(&tick(vec![Conn { event: Sample, ..conn }], false));
    assert_eq!(net(&owners, 1).owner.uid, 33);
}

/// A server accepts in one process, and another one reads and writes.
#[test]
fn packets_of_a_stream_are_those_of_the_first_process_that_called() {
    let mut owners = Connections::default();
    let packets = |n| Carried { rx_packets: n, tx_packets: n, ..Carried::default() };
    let state = |event, shares: &[_], n| {
        let mut conn = passive(event, shares);
        conn.tcp.as_mut().unwrap().carried += packets(n);
        conn
    };
    let listens = (1, Accepted, carried(0, 0));
    owners.apply(&events(vec![state(Accept, &[listens], 2)]));
    assert_eq!(net(&owners, 1).total, packets(2));
    let works = (2, Sent, carried(7, 9));
    owners.apply(&tick(vec![state(Sample, &[listens, works], 5)], false));
    assert_eq!(net(&owners, 1).total, Carried::default());
    assert_eq!(net(&owners, 2).total, carried(7, 9) + packets(5));
    assert_eq!(total_of(&owners), owners.total);
}

/// iSCSI: a process connects, then kernel threads use the socket, in part without a call.
#[test]
fn a_process_keeps_its_bytes_where_kernel_threads_use_its_socket() {
    let mut owners = Connections::default();
    let left_out = carried(0, 400);
    let tcp = tcp(9_000, 500, 0);
    let conn =
        Conn { kernel: true, left_out, tcp, ..conn(1, Sample, &[(1, Made, carried(50, 100))]) };
    owners.apply(&tick(vec![conn], false));
    assert_eq!(net(&owners, 1).total, carried(50, 100));
    assert_eq!(part(&owners, Reason::Kernel), carried(8_950, 400));
    assert_eq!(total_of(&owners), owners.total);
}

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
fn below_the_attribution_by_call_bytes_are_the_connections() {
    let mut owners = Connections::default();
    owners.start(Mono(1), Attribution::Connection);
    let nothing = carried(0, 0);
    let counts = tcp(50, 70, 10);
    owners.apply(&events(vec![Conn { tcp: counts, ..conn(1, Connect, &[(1, Made, nothing)]) }]));
    owners.apply(&tick(vec![Conn { tcp: counts, ..passive(Sample, &[]) }], false));
    assert_eq!(net(&owners, 1).total, carried(50, 70));
    assert_eq!(part(&owners, Reason::Waiting), carried(50, 70));
    assert_eq!(total_of(&owners), owners.total);
}

#[test]
fn where_sockets_are_polled_no_process_has_bytes() {
    let mut owners = Connections::with_changes();
    owners.start(Mono(1), Attribution::Procfs);
    let shares = [(1, Found, carried(0, 0))];
    let of_tcp = |event, rx, tx| Conn { tcp: tcp(rx, tx, 0), ..conn(1, event, &shares) };
    let of_udp = |event| Conn { remote: "10.0.0.2:53".parse().unwrap(), ..udp(2, event, &shares) };
    owners.apply(&events(vec![of_tcp(Seen, 5, 7), of_udp(Seen)]));
    owners.apply(&tick(vec![of_tcp(Sample, 50, 70), of_udp(Sample)], true));
    let net = net(&owners, 1);
    assert_eq!((net.total, net.live, net.begun, net.peers), (carried(0, 0), 2, 2, 1));
    assert!(owners.total.is_none() && owners.unattributed.total().is_none());
    owners.apply(&tick(Vec::new(), true));
    let mut changes: Vec<_> = owners
        .take_changes()
        .into_iter()
        .map(|c| (c.what, c.conn.cookie, c.unseen, c.carried(), c.attribution))
        .collect();
    changes.sort_by_key(|c| (c.2, c.1));
    // The socket's own counts are known, where TCP has some.
    let procfs = Attribution::Procfs;
    assert_eq!(
        changes,
        [
            (What::Seen, 1, false, Some(carried(5, 7)), procfs),
            (What::Seen, 2, false, None, procfs),
            (What::Close, 1, true, Some(carried(50, 70)), procfs),
            (What::Close, 2, true, None, procfs),
        ]
    );
    assert_eq!(owners.process(owner(1, Found).key).unwrap().live, 0);
}

#[test]
fn a_process_is_the_same_by_bpf_and_by_proc() {
    let key = |start_boottime_ns| ProcessKey { tgid: 1, start_boottime_ns };
    let exact = key(1_234_567_890);
    let mut known = HashMap::new();
    known.insert(exact, ());
    assert!(known.contains_key(&key(1_230_000_000)));
    assert!(!known.contains_key(&key(1_240_000_000)));
    assert!(!known.contains_key(&ProcessKey { tgid: 2, ..exact }));
}

#[test]
fn bytes_that_are_read_after_the_close_of_tcp_are_not_queued() {
    // TCP's counters stand still at CLOSE, with everything unread.
    let read = Conn { tcp: tcp(100, 0, 100), ..conn(1, Close, &[(1, Made, carried(100, 0))]) };
    assert_eq!(read.queued(), Some(0));
    let partly = Conn { tcp: tcp(100, 0, 100), ..conn(1, Close, &[(1, Made, carried(70, 0))]) };
    assert_eq!(partly.queued(), Some(30));
}

#[test]
fn failures_are_counted_by_reason_and_ended_connections_stay_for_a_minute() {
    let mut owners = Connections::with_bounds(Bounds { closed: 3, ..Bounds::default() });
    let shares = [(1, Made, carried(10, 20))];
    let ends = |cookie, state, error, at| Conn {
        at: Mono(at),
        state,
        error,
        ..conn(cookie, Close, &shares)
    };
    const SYN_SENT: u8 = 2;
    let begins = (1..=3).map(|cookie| conn(cookie, Connect, &shares));
    owners.apply(&events(begins.collect()));
    owners.apply(&events(vec![
        ends(4, SYN_SENT, 111, 20),
        ends(5, SYN_SENT, 110, 21),
        ends(6, SYN_SENT, 0, 22),
        ends(1, 1, 104, 23), // reset
        ends(2, 8, 0, 24),
    ]));
    let failed: Vec<_> = owners.turnover.failed.parts().filter(|(_, n)| *n > 0).collect();
    let once = |why: Failure| (why, 1);
    use Failure::{Aborted, Refused, Reset, TimedOut};
    assert_eq!(failed, [Refused, TimedOut, Reset, Aborted].map(once));
    assert_eq!((owners.turnover.begun, owners.turnover.closed), (3, 2));
    // Two of five found no room.
    let stays = |owners: &Connections| -> Vec<u64> {
        owners.closed_lately().map(|(_, closed)| closed.conn.cookie).collect()
    };
    assert_eq!((stays(&owners), owners.closed_evicted), (vec![6, 1, 2], 2));
    let tick = |at| ConnectionsBatch { at: Mono(at), ..tick(Vec::new(), false) };
    owners.apply(&tick(100));
    assert_eq!(owners.turnover_delta, owners.turnover);
    owners.apply(&tick(CLOSED_STAYS_NS + 23));
    assert_eq!((stays(&owners), owners.closed_evicted), (vec![1, 2], 2));
    assert_eq!(owners.turnover_delta, Turnover::default());
    owners.apply(&tick(CLOSED_STAYS_NS + 25));
    assert!(stays(&owners).is_empty());
}

#[test]
fn a_connection_has_the_bytes_of_the_last_interval() {
    let mut owners = Connections::default();
    let reads = |rx, tx| conn(1, Sample, &[(1, Made, carried(rx, tx))]);
    let mut deltas = Vec::new();
    for samples in [vec![reads(100, 7)], vec![reads(150, 7)], vec![], vec![]] {
        owners.apply(&tick(samples, false));
        deltas.extend(owners.live_conns().map(|(slot, _)| owners.conn_delta(slot)));
    }
    assert_eq!(deltas, [Some([100, 7]), Some([50, 0]), Some([0, 0]), Some([0, 0])]);
    // Traffic from before a recording is of no interval.
    let mut owners = Connections::default();
    owners.apply(&ConnectionsBatch { known: vec![reads(100, 7)], ..Default::default() });
    owners.apply(&tick(vec![reads(101, 9)], false));
    let deltas: Vec<_> = owners.live_conns().map(|(slot, _)| owners.conn_delta(slot)).collect();
    assert_eq!(deltas, [Some([1, 2])]);
}

#[test]
fn a_connect_without_a_port_was_not_given_up() {
    let failed =
        |local: &str| Conn { state: 2, local: local.parse().unwrap(), ..conn(1, Close, &[]) };
    let why = |local| Failure::of(What::Failed, &failed(local));
    assert_eq!(why("0.0.0.0:0"), Some(Failure::Other));
    assert_eq!(why("10.0.0.1:4711"), Some(Failure::Aborted));
}
