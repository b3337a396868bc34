use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::model::conn::{OwnerFrom, OwnersTick, Share, TCP, UDP};
use crate::model::coverage::Attribution;
use crate::model::open::Comm;

fn owner(tgid: u32, from: OwnerFrom) -> Owner {
    let key = ProcessKey { tgid, start_boottime_ns: 1 };
    Owner { key, uid: 0, comm: Comm::new(b"one"), from }
}

fn carried(rx_bytes: u64, tx_bytes: u64, packets: u64) -> Carried {
    Carried { rx_bytes, tx_bytes, rx_packets: packets, tx_packets: packets }
}

fn conn(cookie: u64, event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    let share = |(tgid, from, carried): &(u32, OwnerFrom, Carried)| Share {
        owner: (*from != OwnerFrom::None).then(|| owner(*tgid, *from)),
        carried: *carried,
    };
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    Conn {
        at: Mono(10),
        since: Some(Mono(1)),
        cookie,
        event,
        protocol: TCP,
        local: at("10.0.0.1:4711"),
        remote: at("10.0.0.2:443"),
        netns: 1,
        state: 1,
        error: 0,
        shares: shares.iter().map(share).collect(),
        current: shares.len() - 1,
        left_out: false,
        kernels: false,
        passive: false,
        wrapping: true,
    }
}

fn events(events: Vec<Conn>) -> OwnersBatch {
    OwnersBatch { at: Mono(10), events, ..OwnersBatch::default() }
}

fn tick(samples: Vec<Conn>, complete: bool) -> OwnersBatch {
    let tick = Some(OwnersTick { samples, complete, ..OwnersTick::default() });
    OwnersBatch { at: Mono(20), tick, ..OwnersBatch::default() }
}

fn total_of(owners: &Owners) -> Carried {
    owners.processes().fold(owners.no_owner.total() + owners.other, |sum, net| sum + net.total)
}

use ConnEvent::{Accept, Close, Connect, Sample, Seen};
use OwnerFrom::{Accepted, Found, Made};

/// One from outside.
fn passive(event: ConnEvent, shares: &[(u32, OwnerFrom, Carried)]) -> Conn {
    Conn { passive: true, ..conn(7, event, shares) }
}

#[test]
fn what_came_before_it_was_accepted_waits_for_who_accepts() {
    let mut owners = Owners::telling();
    owners.apply(&tick(vec![passive(Sample, &[(0, OwnerFrom::None, carried(5, 0, 1))])], false));
    assert_eq!(owners.no_owner.parts()[2], (Why::Waiting, carried(5, 0, 1)));
    owners.apply(&events(vec![
        passive(Accept, &[(2, Accepted, carried(6, 0, 1))]),
        passive(Close, &[(2, Accepted, carried(9, 3, 4))]),
    ]));
    let told: Vec<_> = owners
        .take_told()
        .into_iter()
        .map(|t| (t.what, t.conn.owner().unwrap().key.tgid))
        .collect();
    assert_eq!(told, [(What::Accept, 2), (What::Close, 2)]);
    assert_eq!(owners.process(owner(2, Made).key).unwrap().total, carried(9, 3, 4));
    assert_eq!(owners.no_owner.total(), Carried::default());
    assert_eq!(owners.live(), 0);
    assert_eq!(total_of(&owners), owners.total);
}

#[test]
fn what_nobody_accepted_ends_without_an_owner() {
    let mut owners = Owners::telling();
    owners.apply(&events(vec![passive(Close, &[(0, OwnerFrom::None, carried(9, 0, 4))])]));
    let told: Vec<_> = owners.take_told().into_iter().map(|t| (t.what, t.conn.owner())).collect();
    assert_eq!(told, [(What::Close, None)]);
    assert_eq!(owners.no_owner.parts()[2], (Why::Waiting, carried(9, 0, 4)));
}

#[test]
fn packets_of_tcp_wrap_and_bytes_go_on() {
    let mut owners = Owners::telling();
    let near = u64::from(u32::MAX) - 1;
    owners.apply(&events(vec![conn(1, Connect, &[(1, Made, carried(0, 0, 0))])]));
    // More than half of the range in one step is no step.
    for packets in [near / 2, near] {
        owners.apply(&tick(vec![conn(1, Sample, &[(1, Made, carried(8, 9, packets))])], false));
    }
    owners.apply(&tick(vec![conn(1, Sample, &[(1, Made, carried(8, 9, 3))])], false));
    let net = owners.process(owner(1, Made).key).unwrap();
    assert_eq!(net.total, carried(8, 9, near + 5));
    assert_eq!(net.delta, carried(0, 0, 5));
}

#[test]
fn an_end_that_was_not_seen_is_missed() {
    let mut owners = Owners::telling();
    let one = conn(1, Connect, &[(1, Made, carried(1, 1, 1))]);
    let two = conn(2, Connect, &[(1, Made, carried(1, 1, 1))]);
    owners.apply(&events(vec![one, two.clone()]));
    owners.take_told();
    assert_eq!(owners.process(owner(1, Made).key).unwrap().live, 2);
    owners.apply(&tick(vec![two], true));
    let told = owners.take_told();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].what, told[0].unseen, told[0].conn.cookie), (What::Close, true, 1));
    assert_eq!(owners.process(owner(1, Made).key).unwrap().live, 1);
}

#[test]
fn pairs_answer_from_both_sides() {
    let mut owners = Owners::telling();
    owners.apply(&events(vec![
        conn(1, Connect, &[(1, Made, carried(10, 1, 1))]),
        conn(2, Connect, &[(2, Made, carried(20, 2, 1))]),
    ]));
    let ip = "10.0.0.2".parse().unwrap();
    let behind: Vec<_> = owners.behind(ip).iter().map(|p| (p.key.tgid, p.total.rx_bytes)).collect();
    assert_eq!(behind, [(2, 20), (1, 10)]);
    assert_eq!(owners.peers_of(owner(1, Made).key)[0].ip, ip);
    assert_eq!(owners.process(owner(1, Made).key).unwrap().peers, 1);
}

#[test]
fn a_flow_of_a_socket_that_ended_since_is_a_peer_all_the_same() {
    let mut owners = Owners::telling();
    let mut socket = conn(3, Close, &[(1, Made, carried(10, 1, 1))]);
    socket.protocol = UDP;
    socket.remote.set_port(0);
    owners.apply(&events(vec![socket]));
    let remote: SocketAddr = "10.0.0.9:53".parse().unwrap();
    let flow = PeerFlow { cookie: 3, remote, carried: carried(10, 1, 1) };
    let mut batch = tick(Vec::new(), false);
    batch.tick.as_mut().unwrap().flows.push(flow);
    owners.apply(&batch);
    assert_eq!(owners.behind(remote.ip())[0].total, carried(10, 1, 1));
    // Its process has the bytes once.
    assert_eq!(owners.total, carried(10, 1, 1));
}

#[test]
fn tables_are_bounded_and_the_sum_holds() {
    let mut owners = Owners::telling();
    for n in 0..(MAX_PROCESSES as u32 + 4_000) {
        let mut conn = conn(u64::from(n), Close, &[(n + 1, Made, carried(3, 2, 1))]);
        conn.at = Mono(u64::from(n));
        owners.apply(&events(vec![conn]));
    }
    owners.apply(&tick(Vec::new(), false));
    assert!(owners.processes().count() <= MAX_PROCESSES);
    assert!(owners.let_go > 0);
    assert_eq!(total_of(&owners), owners.total);
    assert_eq!(owners.total.rx_bytes, 3 * (MAX_PROCESSES as u64 + 4_000));
    for cookie in 0..(MAX_CONNS as u64 + 10) {
        owners.apply(&events(vec![conn(
            1 << 32 | cookie,
            Connect,
            &[(1, Found, Carried::default())],
        )]));
    }
    assert_eq!(owners.live(), MAX_CONNS);
}

proptest! {
    /// Whatever is told in whatever order: the sum over all parts is the total, and nothing panics.
    #[test]
    fn the_parts_always_make_the_whole(steps in prop::collection::vec(
        (0u64..4, 0u8..4, 0u32..3, 0u64..1_000, 0u64..1_000, any::<bool>()), 0..60)
    ) {
        let mut owners = Owners::telling();
        for (cookie, kind, tgid, rx, tx, ticks) in steps {
            let event = [Sample, Connect, Accept, Close][usize::from(kind)];
            let from = [OwnerFrom::None, Made, Accepted][tgid as usize];
            let mut conn = conn(cookie, event, &[(tgid, from, carried(rx, tx, rx))]);
            conn.passive = event == Accept;
            owners.apply(&if ticks { tick(vec![conn], tx % 2 == 0) } else { events(vec![conn]) });
            prop_assert_eq!(total_of(&owners), owners.total);
            let live: u32 = owners.processes().map(|net| net.live).sum();
            prop_assert!(live as usize <= owners.live());
        }
    }
}

#[test]
fn where_sockets_are_polled_no_process_has_bytes() {
    let mut owners = Owners::telling();
    owners.start(Mono(1), Attribution::Procfs);
    let udp = Conn { protocol: UDP, ..conn(2, Seen, &[(1, Found, carried(0, 0, 0))]) };
    owners.apply(&events(vec![conn(1, Seen, &[(1, Found, carried(5, 7, 2))]), udp.clone()]));
    owners.apply(&tick(
        vec![conn(1, Sample, &[(1, Found, carried(50, 70, 20))]), Conn { event: Sample, ..udp }],
        true,
    ));
    let net = owners.process(owner(1, Found).key).unwrap();
    assert_eq!((net.total, net.live, net.begun, net.peers), (carried(0, 0, 0), 2, 2, 1));
    assert!(owners.total.is_none() && owners.no_owner.total().is_none());
    owners.apply(&tick(Vec::new(), true));
    let mut told: Vec<_> = owners
        .take_told()
        .into_iter()
        .map(|t| (t.what, t.conn.cookie, t.unseen, t.carried(), t.attribution))
        .collect();
    told.sort_by_key(|t| (t.2, t.1));
    // The socket's own counts are known, where TCP has some.
    let procfs = Attribution::Procfs;
    assert_eq!(
        told,
        [
            (What::Seen, 1, false, Some(carried(5, 7, 2)), procfs),
            (What::Seen, 2, false, None, procfs),
            (What::Close, 1, true, Some(carried(50, 70, 20)), procfs),
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
fn what_waited_to_be_accepted_goes_to_the_process_that_accepts() {
    let mut owners = Owners::default();
    let passive = |event, shares: &[_]| Conn { passive: true, ..conn(1, event, shares) };
    owners.apply(&tick(vec![passive(Sample, &[(0, OwnerFrom::None, carried(90, 0, 2))])], false));
    assert_eq!(owners.no_owner.parts()[2].1, carried(90, 0, 2));
    owners.apply(&events(vec![passive(Accept, &[(7, Accepted, carried(100, 0, 3))])]));
    owners.apply(&tick(vec![passive(Sample, &[(7, Accepted, carried(100, 11, 4))])], false));
    let process = owners.processes().next().unwrap();
    assert_eq!(process.total, carried(100, 11, 4));
    assert_eq!(owners.no_owner.total(), Carried::default());
    assert_eq!(total_of(&owners), owners.total);
    // After the counts began anew nothing of before is given to anybody.
    let mut owners = Owners::default();
    owners.apply(&tick(vec![passive(Sample, &[(0, OwnerFrom::None, carried(90, 0, 2))])], false));
    owners.restart();
    owners.apply(&tick(vec![passive(Sample, &[(7, Accepted, carried(100, 0, 3))])], false));
    assert_eq!(owners.processes().next().unwrap().total, carried(10, 0, 1));
    assert_eq!(total_of(&owners), owners.total);
}
