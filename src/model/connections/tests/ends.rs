//! Polled sockets, ends and failures.

use super::*;

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
