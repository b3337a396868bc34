//! Which process the bytes of a connection go to.

use super::*;

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
fn a_recording_goes_on_where_the_last_interval_ended() {
    let mut live = Connections::default();
    let many = |packets| {
        let counts = Carried { rx_packets: packets, tx_packets: 9, ..carried(8, 9) };
        let tcp = Some(TcpCounts { carried: counts, queued: 0 });
        Conn { tcp, ..conn(1, Sample, &[(1, Made, carried(8, 9))]) }
    };
    let begins = conn(1, Connect, &[(1, Made, carried(8, 9))]);
    live.apply(&events(vec![Conn { local: "10.0.0.1:99".parse().unwrap(), ..begins }]));
    for packets in [1 << 30, 2 << 30, 3 << 30] {
        live.apply(&tick(vec![many(packets)], false));
    }
    let mut replayed = Connections::default();
    replayed.start(Mono(23), Attribution::Call);
    live.known_before().iter().for_each(|batch| replayed.apply(batch));
    let next = Conn { local: "10.0.0.1:99".parse().unwrap(), ..many((3 << 30) + 5) };
    replayed.apply(&ConnectionsBatch { at: Mono(30), ..tick(vec![next], false) });
    // Since the last reading, which was at 20.
    assert_eq!(replayed.interval_ns, 10);
    assert_eq!(net(&replayed, 1).total, Carried { rx_packets: 5, ..carried(0, 0) });
    // It was made from here: the service is the peer's, whose port is the larger one.
    let service = |owners: &Connections| owners.pairs().next().unwrap().services.clone();
    assert_eq!(service(&replayed), service(&live));
    assert_eq!(replayed.turnover.begun, 0);
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

/// A process connects twice and runs another program, which has the second connection alone.
#[test]
fn a_record_with_an_older_name_does_not_bring_it_back() {
    let named = |cookie, event, name: &[u8], uid, sent| {
        let mut conn = conn(cookie, event, &[(1, Made, carried(0, sent))]);
        conn.shares[0].owner.comm = Comm::new(name);
        conn.shares[0].owner.uid = uid;
        conn
    };
    let has = |owners: &Connections, name: &[u8], uid| {
        let owner = net(owners, 1).owner;
        assert_eq!((owner.comm, owner.uid), (Comm::new(name), uid));
    };
    let mut owners = Connections::default();
    let begin = (1..=2).map(|cookie| named(cookie, Connect, b"python", 0, 1));
    owners.apply(&events(begin.collect()));
    owners.apply(&tick(vec![named(2, Sample, b"sleep", 33, 1)], false));
    owners.apply(&tick(vec![named(1, Sample, b"python", 0, 1)], false));
    has(&owners, b"sleep", 33);
    // As known to a recording that begins now, in whatever order.
    let mut replayed = Connections::default();
    owners.known_before().iter().for_each(|batch| replayed.apply(batch));
    has(&replayed, b"sleep", 33);
    replayed.apply(&events(vec![named(1, Close, b"python", 0, 5)]));
    has(&replayed, b"sleep", 33);
    // After a restart, too, and after another one.
    owners.restart();
    owners.restart();
    owners.apply(&tick(vec![named(1, Sample, b"python", 0, 5)], false));
    has(&owners, b"sleep", 33);
    owners.apply(&events(vec![named(1, Close, b"python", 0, 6)]));
    has(&owners, b"sleep", 33);
    // Any connection may have the next name.
    owners.apply(&events(vec![named(3, Connect, b"cat", 33, 0)]));
    has(&owners, b"cat", 33);
    owners.apply(&tick(vec![named(2, Sample, b"sleep", 33, 9)], false));
    has(&owners, b"cat", 33);
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
