//! The talkers probe on the real kernel, frame by frame.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::common::net::*;
use ebpftop::model::link::{Hook, XdpMode};
use ebpftop::model::talkers::{Direction, TalkersSample, Traffic};

/// Frames of every kind, with the address each belongs to.
fn zoo() -> Vec<(Vec<u8>, Option<IpAddr>)> {
    let (a, b, c): (IpAddr, IpAddr, IpAddr) = (v4(1).into(), v4(2).into(), v4(3).into());
    let d: Ipv6Addr = "2001:db8::d".parse().unwrap();
    let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
    let to6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let ip = |n, bytes| ipv4(v4(n), v4(99), bytes);
    let mut options = ip(2, 60);
    options[0] = 0x4f;
    let mut short_options = ip(2, 40);
    short_options[0] = 0x4f;
    let mut fragment = ip(3, 100);
    fragment[6..8].copy_from_slice(&[0x20, 0x10]);
    let mut bad_version = ip(1, 60);
    bad_version[0] = 0x55;
    let mut bad_ihl = ip(1, 60);
    bad_ihl[0] = 0x44;
    vec![
        (ethernet(0x0800, &ip(1, 46)), Some(a)),
        (ethernet(0x0800, &ip(2, 1400)), Some(b)),
        (ethernet(0x0800, &ip(3, 20)), Some(c)),
        (ethernet(0x0800, &options), Some(b)),
        (ethernet(0x0800, &fragment), Some(c)),
        (ethernet(0x86dd, &ipv6(d, to6, 17, 100)), Some(d.into())),
        (ethernet(0x86dd, &ipv6(d, to6, 0, 80)), Some(d.into())),
        (ethernet(0x86dd, &ipv6(mapped, to6, 6, 60)), Some(mapped.into())),
        (ethernet(VLAN, &tag(0x0800, &ip(1, 200))), Some(a)),
        (ethernet(QINQ, &tag(VLAN, &tag(0x0800, &ip(2, 300)))), Some(b)),
        (ethernet(VLAN, &tag(0x86dd, &ipv6(d, to6, 58, 64))), Some(d.into())),
        (ethernet(0x8864, &pppoe(0x0021, &ip(3, 90))), Some(c)),
        (ethernet(0x8864, &pppoe(0x0057, &ipv6(d, to6, 17, 90))), Some(d.into())),
        (ethernet(0x8847, &mpls(1, &ip(1, 120))), Some(a)),
        (ethernet(0x8847, &mpls(3, &ipv6(d, to6, 17, 90))), Some(d.into())),
        (ethernet(VLAN, &tag(0x8864, &pppoe(0x0021, &ip(1, 70)))), Some(a)),
        // In `other`: ARP, LLDP, LCP in PPPoE, a label stack of something else, too many tags.
        (ethernet(0x0806, &[0; 28]), None),
        (ethernet(0x88cc, &[1; 50]), None),
        (ethernet(0x8864, &pppoe(0xc021, &[1; 10])), None),
        (ethernet(0x8847, &mpls(2, &[0; 40])), None),
        (ethernet(0x8847, &mpls(7, &ip(1, 40))), None),
        (
            ethernet(
                VLAN,
                &tag(VLAN, &tag(VLAN, &tag(VLAN, &tag(VLAN, &tag(0x0800, &ip(1, 60)))))),
            ),
            None,
        ),
        // Cut short at every place that matters, and malformed.
        (ethernet(0x0800, &[]), None),
        (ethernet(0x0800, &ip(1, 20)[..19]), None),
        (ethernet(0x0800, &short_options), None),
        (ethernet(0x86dd, &ipv6(d, to6, 17, 40)[..39]), None),
        (ethernet(VLAN, &tag(0x0800, &ip(1, 20)[..10])), None),
        (ethernet(0x8864, &pppoe(0x0021, &[])[..7]), None),
        (ethernet(0x8847, &mpls(1, &[])), None),
        (ethernet(0x0800, &bad_version), None),
        (ethernet(0x0800, &bad_ihl), None),
        (ethernet(0x0800, &ipv6(d, to6, 17, 60)), None),
    ]
}

/// The sums of `frames`: by address, and the rest.
fn truth(frames: &[(Vec<u8>, Option<IpAddr>)], times: u64) -> (Vec<(IpAddr, u64, u64)>, Traffic) {
    let mut by_ip: BTreeMap<IpAddr, Traffic> = BTreeMap::new();
    let mut other = Traffic::default();
    for (frame, ip) in frames {
        let one = Traffic { packets: times, bytes: times * frame.len() as u64 };
        match ip {
            Some(ip) => {
                let t = by_ip.entry(*ip).or_default();
                *t = *t + one;
            }
            None => other = other + one,
        }
    }
    (by_ip.into_iter().map(|(ip, t)| (ip, t.packets, t.bytes)).collect(), other)
}

/// Sends the zoo ten times and compares to the packet and the byte.
fn zoo_is_exact(mode: XdpMode, hook: Hook, prepare: impl Fn()) {
    own_namespace();
    veth("va", "vb");
    prepare();
    let mut probe = probe("va", mode);
    assert_eq!(probe.hooks().0, hook);
    let zoo = zoo();
    let frames: Vec<Vec<u8>> = zoo.iter().map(|(f, _)| f.clone()).collect();
    let sender = Sender::on("vb");
    for _ in 0..10 {
        sender.send(&frames);
    }
    probe.until_packets("va", Direction::Rx, 10 * frames.len() as u64);
    let samples = probe.finish();
    let sample = last(&samples, "va", Direction::Rx);
    let (by_ip, other) = truth(&zoo, 10);
    assert_eq!(sample.hook, hook);
    assert_eq!(table(sample), by_ip);
    assert_eq!(sample.other, other);
    assert_eq!(last(&samples, "va", Direction::Tx).total, Traffic::default());
}

#[test]
fn frames_of_every_kind_by_generic_xdp() {
    zoo_is_exact(XdpMode::Generic, Hook::Generic, || ());
}

#[test]
fn frames_of_every_kind_by_native_xdp() {
    zoo_is_exact(XdpMode::Native, Hook::Native, || ());
}

#[test]
fn frames_of_every_kind_by_tcx() {
    zoo_is_exact(XdpMode::Off, skb_hook(), || ());
}

#[test]
fn frames_of_every_kind_by_a_socket() {
    zoo_is_exact(XdpMode::Off, Hook::Socket, || std::mem::forget(fill_tcx("va")));
}

/// Many frames of four sources, two of which take turns: a million in all.
fn a_million(mode: XdpMode) {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", mode);
    let frames: Vec<Vec<u8>> = (0..1000)
        .map(|i| ethernet(0x0800, &ipv4(v4([1, 1, 2, 3, 4][i % 5]), v4(99), 46)))
        .collect();
    let sender = Sender::on("vb");
    for _ in 0..1000 {
        sender.send(&frames);
    }
    probe.until_packets("va", Direction::Rx, 1_000_000);
    let samples = probe.finish();
    let sample = last(&samples, "va", Direction::Rx);
    let expected: Vec<(IpAddr, u64, u64)> =
        [(1, 400_000), (2, 200_000), (3, 200_000), (4, 200_000)]
            .map(|(n, packets)| (v4(n).into(), packets, packets * 60))
            .to_vec();
    assert_eq!(table(sample), expected);
    assert_eq!(sample.total, Traffic { packets: 1_000_000, bytes: 60_000_000 });
    assert_eq!(sample.other, Traffic::default());
}

#[test]
fn a_million_frames_by_generic_xdp() {
    a_million(XdpMode::Generic);
}

#[test]
fn a_million_frames_by_native_xdp() {
    a_million(XdpMode::Native);
}

#[test]
fn a_million_frames_by_tcx() {
    a_million(XdpMode::Off);
}

#[test]
fn sent_frames_count_by_destination() {
    for hook in [Hook::Socket, skb_hook()] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            refuse_sockets(hook == Hook::Tcx);
            let mut probe = probe("va", XdpMode::Auto);
            assert_eq!(probe.hooks().1, hook);
            let to6: Ipv6Addr = "2001:db8::99".parse().unwrap();
            let frames = [
                ethernet(0x0800, &ipv4(v4(1), v4(50), 100)),
                ethernet(0x0800, &ipv4(v4(1), v4(51), 200)),
                ethernet(VLAN, &tag(0x86dd, &ipv6(Ipv6Addr::LOCALHOST, to6, 17, 300))),
                ethernet(0x0806, &[0; 28]),
            ];
            let sender = Sender::on("va");
            for _ in 0..100 {
                sender.send(&frames);
            }
            probe.until_packets("va", Direction::Tx, 400);
            let samples = probe.finish();
            let sample = last(&samples, "va", Direction::Tx);
            assert_eq!(
                table(sample),
                [
                    (v4(50).into(), 100, 11_400),
                    (v4(51).into(), 100, 21_400),
                    (to6.into(), 100, 31_800)
                ]
            );
            assert_eq!(sample.other, Traffic { packets: 100, bytes: 4_200 });
            assert_eq!(last(&samples, "va", Direction::Rx).total, Traffic::default());
        })
        .join()
        .unwrap();
    }
}

#[test]
fn on_lo_each_packet_is_one_tx_and_one_rx() {
    own_namespace();
    ip("link set lo up");
    for mode in [XdpMode::Generic, XdpMode::Off] {
        let mut probe = probe("lo", mode);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = socket.local_addr().unwrap();
        for _ in 0..50 {
            socket.send_to(&[0; 100], to).unwrap();
        }
        probe.until_packets("lo", Direction::Rx, 50);
        let samples = probe.finish();
        for direction in [Direction::Rx, Direction::Tx] {
            let sample = last(&samples, "lo", direction);
            assert_eq!(table(sample), [("127.0.0.1".parse().unwrap(), 50, 50 * 142)], "{mode:?}");
        }
    }
}

/// So many thousands of sources at least, far more than the table has room for, and one that is heavy: those of
/// `frame`, with the last four bytes of the source address, at `at`, changed.
fn flood(mode: XdpMode, frame: &[u8], at: usize, thousands: u32, heavy: IpAddr) {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", mode);
    let sender = Sender::on("vb");
    let from = |n: u32| {
        let mut frame = frame.to_vec();
        frame[at..at + 4].copy_from_slice(&n.to_be_bytes());
        frame
    };
    let mut heavy_frame = from(0x0a00_0007);
    heavy_frame.resize(1000, 0);
    let mut frames = vec![frame.to_vec(); 1000];
    frames.extend(vec![heavy_frame.clone(); 50]);
    let mut rounds = 0;
    // One that comes and goes between two turns of a full table never was held: until some were.
    while rounds < thousands || probe.last("va", Direction::Rx).is_none_or(|s| s.evicted == 0) {
        assert!(rounds < 20 * thousands, "no source is evicted");
        for (i, frame) in frames.iter_mut().take(1000).enumerate() {
            let n = 0x0b00_0000 + rounds * 1000 + i as u32;
            frame[at..at + 4].copy_from_slice(&n.to_be_bytes());
        }
        sender.send(&frames);
        rounds += 1;
        if rounds % 100 == 0 {
            probe.until_packets("va", Direction::Rx, u64::from(rounds) * 1050);
        }
    }
    let (light, packets) = (u64::from(rounds) * 1000, u64::from(rounds) * 50);
    probe.until_packets("va", Direction::Rx, light + packets);
    let seen = probe.samples.len();
    probe.until("two more ticks", |p| p.samples.len() > seen + 4);
    let samples = probe.finish();
    let sample = last(&samples, "va", Direction::Rx);
    let bytes = light * frame.len() as u64 + packets * 1000;
    assert_eq!(sample.total, Traffic { packets: light + packets, bytes });
    let first = &sample.sources[0];
    assert_eq!((first.ip, first.total), (heavy, Traffic { packets, bytes: packets * 1000 }));
    assert!(sample.evicted > 0);
    assert!(sample.sources.len() <= 65_536);
    let held = sample.sources.iter().fold(Traffic::default(), |sum, s| sum + s.total);
    assert_eq!(held + sample.other, sample.total);
    assert!(sample.other.packets >= light - 65_536);
}

#[test]
fn in_a_flood_the_heavy_stay_exact_and_the_rest_is_other() {
    let frame = ethernet(0x0800, &ipv4(v4(1), v4(99), 46));
    flood(XdpMode::Generic, &frame, 26, 1_000, v4(7).into());
}

#[test]
fn in_a_flood_of_ipv6_by_native_xdp_too() {
    let to = "2001:db8::1".parse().unwrap();
    let frame = ethernet(0x86dd, &ipv6("2001:db8::".parse().unwrap(), to, 17, 60));
    flood(XdpMode::Native, &frame, 34, 300, "2001:db8::a00:7".parse().unwrap());
}

#[test]
fn a_frame_of_9000_bytes_is_one_packet() {
    for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Off] {
        std::thread::spawn(move || {
            own_namespace();
            ip("link add va mtu 9000 type veth peer name vb mtu 9000");
            ip("link set va up");
            ip("link set vb up");
            let mut probe = probe("va", mode);
            let frames: Vec<_> =
                (1..=3).map(|n| ethernet(0x0800, &ipv4(v4(n), v4(99), 9000))).collect();
            Sender::on("vb").send(&frames);
            probe.until_packets("va", Direction::Rx, 3);
            let samples = probe.finish();
            let expected: Vec<(IpAddr, u64, u64)> =
                (1..=3).map(|n| (v4(n).into(), 1, 9014)).collect();
            assert_eq!(table(last(&samples, "va", Direction::Rx)), expected, "{mode:?}");
        })
        .join()
        .unwrap();
    }
}

/// More sources than the first table has room for: it grows, and from then on all are exact.
#[test]
fn a_crowded_table_grows() {
    const SOURCES: u32 = 30_000;
    own_namespace();
    veth("va", "vb");
    for mode in [XdpMode::Generic, XdpMode::Off] {
        let mut probe = probe("va", mode);
        let sender = Sender::on("vb");
        let frames: Vec<_> =
            (0..SOURCES).map(|n| ethernet(0x0800, &ipv4(v4(n), v4(99), 46))).collect();
        let mut sent = 0;
        while probe.last("va", Direction::Rx).is_none_or(|s| s.sources.len() < SOURCES as usize) {
            assert!(sent < 100 * u64::from(SOURCES), "it does not grow");
            sender.send(&frames);
            sent += u64::from(SOURCES);
            probe.until_packets("va", Direction::Rx, sent);
        }
        let before = probe.last("va", Direction::Rx).unwrap().clone();
        sender.send(&frames);
        sent += u64::from(SOURCES);
        probe.until_packets("va", Direction::Rx, sent);
        let samples = probe.finish();
        let after = last(&samples, "va", Direction::Rx);
        assert_eq!((after.evicted, after.sources.len()), (0, SOURCES as usize));
        assert_eq!(after.other, before.other);
        let one_more: Vec<_> =
            table(&before).into_iter().map(|(ip, p, b)| (ip, p + 1, b + 60)).collect();
        assert_eq!(table(after), one_more);
    }
}

/// Bulk TCP through segmentation offload: packets and bytes are those of the wire.
#[test]
fn merged_buffers_count_as_the_segments_they_are() {
    for hooks in
        [(skb_hook(), Hook::Socket), (Hook::Socket, Hook::Socket), (skb_hook(), skb_hook())]
    {
        // A stalled machine makes TCP send again what had arrived; such a run bounds the bytes,
        // and one without it counts them exactly.
        assert!(
            (0..8).any(|_| bulk_tcp_counted(hooks) == 0),
            "TCP sent something twice or out of order in each of eight runs"
        );
    }
}

/// Bytes of payload in one direction of [`bulk_tcp_counted`].
const BULK: usize = 8 << 20;

/// Sends bulk TCP in both directions, checks what was counted by these hooks for rx and tx, and returns
/// 0 where nothing was sent twice or out of order.
fn bulk_tcp_counted(hooks: (Hook, Hook)) -> u64 {
    use std::io::{Read as _, Write as _};
    own_namespace();
    veth("va", "vb");
    ip("addr add 192.0.2.1/24 dev va");
    let taken = if hooks == (Hook::Socket, Hook::Socket) { fill_tcx("va") } else { vec![] };
    refuse_sockets(hooks.1 == Hook::Tcx);
    // The other end lives in a namespace of its own, or the two would talk over lo.
    let (send_tid, tid) = std::sync::mpsc::channel();
    let (start, wait) = std::sync::mpsc::channel::<()>();
    let client = std::thread::spawn(move || {
        own_namespace();
        send_tid.send(nix::unistd::gettid()).unwrap();
        wait.recv().unwrap();
        ip("link set vb up");
        ip("addr add 192.0.2.2/24 dev vb");
        wait.recv().unwrap();
        let mut stream = std::net::TcpStream::connect("192.0.2.1:7777").unwrap();
        stream.write_all(&vec![7; BULK]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
        retransmitted_segments()
    });
    ip(&format!("link set vb netns {}", tid.recv().unwrap()));
    let listener = std::net::TcpListener::bind("192.0.2.1:7777").unwrap();
    start.send(()).unwrap();
    let probe = probe("va", XdpMode::Off);
    assert_eq!(probe.hooks(), hooks);
    start.send(()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), BULK);
    stream.write_all(&all).unwrap();
    drop(stream);
    drop(all);
    let again = client.join().unwrap() + retransmitted_segments();
    let samples = probe.finish();
    drop(taken);
    refuse_sockets(false);
    let directions = [Direction::Rx, Direction::Tx];
    let inexact = directions.map(|way| bytes_not_expected(last(&samples, "va", way), again));
    again + inexact.iter().sum::<u64>()
}

/// Bytes of one direction of [`bulk_tcp_counted`] beyond payload and headers, where `again` segments
/// were sent twice. Acknowledgements of segments that came out of order carry options, too.
fn bytes_not_expected(sample: &TalkersSample, again: u64) -> u64 {
    const OPTIONS: u64 = 64 * 40;
    /// Payload of a segment at an MTU of 1500.
    const SEGMENT: u64 = 1448;
    let peer = sample.sources.iter().find(|s| s.ip.to_string() == "192.0.2.2").unwrap().total;
    // 14 + 20 + 32 bytes of headers a segment, and 8 more of options in the SYN.
    let once = BULK as u64 + peer.packets * 66 + 8;
    let bytes = once..=once + again * SEGMENT + OPTIONS;
    assert!(
        bytes.contains(&peer.bytes),
        "{peer:?} {:?} {:?} {again}",
        sample.hook,
        sample.direction
    );
    // Merged buffers would be far fewer packets.
    assert!(peer.packets >= BULK as u64 / SEGMENT, "{peer:?}");
    peer.bytes - once
}

/// Segments that TCP has sent again in this thread's network namespace.
fn retransmitted_segments() -> u64 {
    let snmp = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let column = tcp.next().unwrap().split(' ').position(|name| name == "RetransSegs").unwrap();
    tcp.next().unwrap().split(' ').nth(column).unwrap().parse().unwrap()
}
