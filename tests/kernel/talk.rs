//! Details of one address: frames made byte by byte, classified on the real kernel by every hook.
//!

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::common::net::*;
use ebpftop::model::event::{DetailOf, TalkersCommand};
use ebpftop::model::link::{Hook, XdpMode};
use ebpftop::model::talkers::{
    DetailSample, Direction, Flow, FlowKind, SIZES, TalkersSample, Traffic,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

fn ports(proto: u8, there: u16, here: u16) -> Flow {
    Flow { proto, what: FlowKind::Ports { there, here } }
}

fn flow(proto: u8, what: FlowKind) -> Flow {
    Flow { proto, what }
}

/// An IPv4 packet from 10.0.0.1 with the protocol and what follows the header.
fn four(proto: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(v4(1), v4(99), 20);
    packet[9] = proto;
    packet[2..4].copy_from_slice(&((20 + rest.len()) as u16).to_be_bytes());
    packet.extend(rest);
    packet
}

/// The same at this place among the fragments, in units of 8 bytes.
fn fragment(proto: u8, offset: u16, rest: &[u8]) -> Vec<u8> {
    let mut packet = four(proto, rest);
    packet[6..8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
    packet
}

fn six_addr() -> Ipv6Addr {
    "2001:db8::1".parse().unwrap()
}

/// An IPv6 packet from 2001:db8::1 whose first next header is `next`.
fn six(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = ipv6(six_addr(), "2001:db8::2".parse().unwrap(), next, 40);
    packet[4..6].copy_from_slice(&(rest.len() as u16).to_be_bytes());
    packet.extend(rest);
    packet
}

/// A header that begins with two ports, of `bytes` bytes.
fn l4(source: u16, dest: u16, bytes: usize) -> Vec<u8> {
    let mut header = source.to_be_bytes().to_vec();
    header.extend(dest.to_be_bytes());
    header.resize(bytes.max(4), 0);
    header
}

/// An IPv6 extension header of `units` times 8 bytes, and what follows.
fn extension(next: u8, units: usize, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, (units - 1) as u8];
    header.resize(units * 8, 0);
    header.extend(rest);
    header
}

type Case = (Vec<u8>, Flow);

/// Frames of 10.0.0.1, and the class of each.
fn zoo4() -> Vec<Case> {
    let mut options = four(UDP, &[]);
    options[0] = 0x47;
    options.extend([1; 8]);
    options.extend(l4(53, 4000, 30));
    options[3] = options.len() as u8;
    let tagged = tag(0x0800, &four(TCP, &l4(443, 50_001, 200)));
    let ip = |packet: Vec<u8>| ethernet(0x0800, &packet);
    vec![
        (ip(four(TCP, &l4(443, 50_000, 26))), ports(TCP, 443, 50_000)),
        (ip(four(TCP, &l4(443, 50_000, 1480))), ports(TCP, 443, 50_000)),
        (ip(four(UDP, &l4(53, 4000, 100))), ports(UDP, 53, 4000)),
        (ip(options), ports(UDP, 53, 4000)),
        (ip(four(132, &l4(9, 10, 40))), ports(132, 9, 10)),
        (ethernet(VLAN, &tagged), ports(TCP, 443, 50_001)),
        (ethernet(0x8864, &pppoe(0x0021, &four(TCP, &l4(1, 2, 500)))), ports(TCP, 1, 2)),
        (ethernet(0x8847, &mpls(2, &four(TCP, &l4(3, 4, 30)))), ports(TCP, 3, 4)),
        (ip(four(1, &[8, 0, 1, 1, 0, 0, 0, 1])), flow(1, FlowKind::Icmp { kind: 8, code: 0 })),
        (ip(four(1, &[3, 13, 0, 0, 0, 0, 0, 0])), flow(1, FlowKind::Icmp { kind: 3, code: 13 })),
        (ip(four(47, &[0; 60])), flow(47, FlowKind::Other)),
        (ip(four(58, &[128, 0, 0, 0])), flow(58, FlowKind::Other)),
        (ip(fragment(UDP, 0, &l4(700, 800, 64))), ports(UDP, 700, 800)),
        (ip(fragment(UDP, 8, &[0; 64])), flow(UDP, FlowKind::Fragment)),
        (ip(fragment(TCP, 1, &l4(9, 9, 64))), flow(TCP, FlowKind::Fragment)),
        (ip(four(TCP, &[0; 3])), flow(TCP, FlowKind::Short)),
        (ip(four(UDP, &[])), flow(UDP, FlowKind::Short)),
    ]
}

/// The same of 2001:db8::1.
fn zoo6() -> Vec<Case> {
    let ip = |packet: Vec<u8>| ethernet(0x86dd, &packet);
    let tcp = l4(22, 60_000, 20);
    let fragment = |offset: u16, rest: &[u8]| {
        let mut header = vec![UDP, 0];
        header.extend((offset << 3 | 1).to_be_bytes());
        header.extend([0, 0, 0, 7]);
        header.extend(rest);
        header
    };
    let mut ah = vec![TCP, 4];
    ah.resize(24, 0);
    ah.extend(&tcp);
    let deep = (0..8).fold(extension(TCP, 1, &tcp), |rest, _| extension(60, 1, &rest));
    vec![
        (ip(six(TCP, &tcp)), ports(TCP, 22, 60_000)),
        (ip(six(UDP, &l4(5353, 5353, 300))), ports(UDP, 5353, 5353)),
        // Hop-by-hop, routing, destination options, one after the other.
        (
            ip(six(0, &extension(43, 1, &extension(60, 3, &extension(TCP, 2, &tcp))))),
            ports(TCP, 22, 60_000),
        ),
        (ip(six(51, &ah)), ports(TCP, 22, 60_000)),
        (ip(six(44, &fragment(0, &l4(7, 8, 80)))), ports(UDP, 7, 8)),
        (ip(six(44, &fragment(185, &l4(7, 8, 80)))), flow(UDP, FlowKind::Fragment)),
        (ip(six(58, &[135, 0, 0, 0])), flow(58, FlowKind::Icmp { kind: 135, code: 0 })),
        (ip(six(59, &[])), flow(59, FlowKind::Other)),
        (ip(six(0, &[TCP, 200, 0, 0, 0, 0, 0, 0])), flow(TCP, FlowKind::Short)),
        (ip(six(0, &[6, 0])), flow(0, FlowKind::Short)),
        // More extension headers than are stepped over.
        (ip(six(60, &deep)), flow(60, FlowKind::Other)),
    ]
}

/// Frames of another address, which must not be counted.
fn others() -> Vec<Vec<u8>> {
    vec![
        ethernet(0x0800, &ipv4(v4(2), v4(1), 100)),
        ethernet(0x86dd, &ipv6("::ffff:10.0.0.1".parse().unwrap(), six_addr(), UDP, 80)),
        ethernet(0x0806, &[0; 28]),
    ]
}

fn size_class(bytes: usize) -> usize {
    [64, 128, 256, 512, 1024, 1515, 9015].iter().filter(|limit| bytes >= **limit).count()
}

#[derive(Debug, Default, PartialEq)]
struct Sums {
    flows: BTreeMap<Flow, Traffic>,
    all: Traffic,
    left: Traffic,
    sizes: [u64; SIZES],
}

/// The sum of all samples of the details in one direction; each sample must add up.
fn reported(samples: &[TalkersSample], direction: Direction) -> Sums {
    let details =
        samples.iter().filter(|s| s.direction == direction).filter_map(|s| s.detail.as_ref());
    let mut reported = Sums::default();
    for detail in details {
        assert_eq!(detail.problem, None);
        let sum = detail.flows.iter().fold(detail.left, |sum, (_, t)| sum + *t);
        assert_eq!(
            (sum, detail.sizes.iter().sum::<u64>()),
            (detail.all, detail.all.packets),
            "{detail:?}"
        );
        reported.all = reported.all + detail.all;
        reported.left = reported.left + detail.left;
        for (sum, n) in reported.sizes.iter_mut().zip(detail.sizes) {
            *sum += n;
        }
        for (flow, traffic) in &detail.flows {
            let sum = reported.flows.entry(*flow).or_default();
            *sum = *sum + *traffic;
        }
    }
    reported
}

fn expected(cases: &[Case], times: u64) -> Sums {
    let mut reported = Sums::default();
    for (frame, flow) in cases {
        let one = Traffic { packets: times, bytes: times * frame.len() as u64 };
        let sum = reported.flows.entry(*flow).or_default();
        *sum = *sum + one;
        reported.all = reported.all + one;
        reported.sizes[size_class(frame.len())] += times;
    }
    reported
}

fn open_detail(probe: &mut Probe, interface: &str, ip: IpAddr) {
    probe.send(TalkersCommand::Detail(Some(DetailOf { interface: interface.into(), ip })));
    probe.until("a detail", |p| p.samples.iter().any(|s| is_of(s.detail.as_ref(), ip)));
}

fn is_of(detail: Option<&DetailSample>, ip: IpAddr) -> bool {
    detail.is_some_and(|l| l.ip == Some(ip))
}

/// Frames before the details open, while they are open, and after: those in between are exact.
fn rx_is_exact(mode: XdpMode, hook: Hook) {
    for (ip, cases) in [(v4(1).into(), zoo4()), (six_addr().into(), zoo6())] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            let taken = if hook == Hook::Socket { fill_tcx("va") } else { vec![] };
            let mut probe = probe("va", mode);
            assert_eq!(probe.hooks().0, hook);
            let sender = Sender::on("vb");
            let frames: Vec<_> = cases.iter().map(|(f, _)| f.clone()).chain(others()).collect();
            let each = frames.len() as u64;
            sender.send(&frames);
            probe.until_packets("va", Direction::Rx, each);
            open_detail(&mut probe, "va", ip);
            let before = of(probe.last("va", Direction::Rx).unwrap(), ip);
            for _ in 0..10 {
                sender.send(&frames);
            }
            probe.until_packets("va", Direction::Rx, 11 * each);
            let after = of(probe.last("va", Direction::Rx).unwrap(), ip);
            probe.send(TalkersCommand::Detail(None));
            let seen = probe.samples.len();
            probe.until("closed details", |p| p.samples[seen..].iter().any(|s| s.detail.is_none()));
            sender.send(&frames);
            probe.until_packets("va", Direction::Rx, 12 * each);
            let samples = probe.finish();
            let reported = reported(&samples, Direction::Rx);
            assert_eq!(reported, expected(&cases, 10), "{mode:?} {ip}");
            // The parts add up to what the address itself got in that time.
            assert_eq!(before + reported.all, after);
            drop(taken);
        })
        .join()
        .unwrap();
    }
}

fn of(sample: &TalkersSample, ip: IpAddr) -> Traffic {
    sample.sources.iter().find(|s| s.ip == ip).unwrap().total
}

#[test]
fn frames_are_classified_by_generic_xdp() {
    rx_is_exact(XdpMode::Generic, Hook::Generic);
}

#[test]
fn frames_are_classified_by_native_xdp() {
    rx_is_exact(XdpMode::Native, Hook::Native);
}

#[test]
fn frames_are_classified_by_tcx() {
    rx_is_exact(XdpMode::Off, skb_hook());
}

#[test]
fn frames_are_classified_by_a_socket() {
    rx_is_exact(XdpMode::Off, Hook::Socket);
}

/// Sent frames, by destination, with the ports the other way round; by TCX and by a socket.
#[test]
fn sent_frames_are_classified_by_destination() {
    for hook in [Hook::Socket, skb_hook()] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            refuse_sockets(hook == Hook::Tcx);
            let mut probe = probe("va", XdpMode::Auto);
            assert_eq!(probe.hooks().1, hook);
            open_detail(&mut probe, "va", v4(99).into());
            let cases: Vec<Case> = zoo4()
                .into_iter()
                .map(|(frame, flow)| {
                    let what = match flow.what {
                        FlowKind::Ports { there: a, here: b } => {
                            FlowKind::Ports { there: b, here: a }
                        }
                        what => what,
                    };
                    (frame, Flow { what, ..flow })
                })
                .collect();
            let frames: Vec<_> = cases.iter().map(|(f, _)| f.clone()).chain(others()).collect();
            let sender = Sender::on("va");
            for _ in 0..10 {
                sender.send(&frames);
            }
            probe.until_packets("va", Direction::Tx, 10 * frames.len() as u64);
            let samples = probe.finish();
            assert_eq!(reported(&samples, Direction::Tx), expected(&cases, 10), "{hook:?}");
            assert_eq!(reported(&samples, Direction::Rx), Sums::default());
        })
        .join()
        .unwrap();
    }
}

/// More pairs of ports than the table of an interval has room for: the rest is counted.
#[test]
fn pairs_without_room_are_left_and_the_sums_hold() {
    own_namespace();
    veth("va", "vb");
    for mode in [XdpMode::Generic, XdpMode::Off] {
        let mut probe = probe("va", mode);
        open_detail(&mut probe, "va", v4(1).into());
        let frames: Vec<_> = (0..20_000u16)
            .map(|n| ethernet(0x0800, &four(UDP, &l4(20_000 + n, 40_000 + n % 3, 26))))
            .collect();
        let sender = Sender::on("vb");
        for _ in 0..5 {
            sender.send(&frames);
        }
        probe.until_packets("va", Direction::Rx, 100_000);
        let samples = probe.finish();
        let reported = reported(&samples, Direction::Rx);
        assert_eq!(reported.all, Traffic { packets: 100_000, bytes: 6_000_000 }, "{mode:?}");
        assert_eq!(reported.sizes[0], 100_000);
        assert!(reported.left.packets > 0, "{mode:?}: the table is larger than was thought");
        assert!(reported.flows.len() > 1_000);
    }
}

/// The detail goes on while the mode changes and while the table of sources grows, to the packet;
/// where the interface goes and returns it restarts.
#[test]
fn a_detail_view_outlives_changes_around_it() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Generic);
    let frame = ethernet(0x0800, &four(TCP, &l4(443, 50_000, 26)));
    let one = ports(TCP, 443, 50_000);
    open_detail(&mut probe, "va", v4(1).into());
    let sender = Sender::on("vb");
    let mut sent = 0;
    let mut in_all = 0;
    for (mode, hook) in [
        (XdpMode::Off, Hook::Tcx),
        (XdpMode::Generic, Hook::Generic),
        (XdpMode::Native, Hook::Native),
        (XdpMode::Generic, Hook::Generic),
    ] {
        probe.send(TalkersCommand::Mode(mode));
        probe.until("the mode", |p| p.watched[0].mode == mode && p.watched[0].rx == Ok(hook));
        sender.send(&vec![frame.clone(); 100]);
        sent += 100;
        probe.until_packets("va", Direction::Rx, sent);
    }
    in_all += sent;
    let many: Vec<_> =
        (0..30_000).map(|n| ethernet(0x0800, &ipv4(v4(1000 + n), v4(99), 46))).collect();
    while probe.last("va", Direction::Rx).is_none_or(|s| s.sources.len() < 30_001) {
        assert!(in_all < 3_000_000, "it does not grow");
        sender.send(&many);
        sender.send(&vec![frame.clone(); 10]);
        sent += 10;
        in_all += 30_010;
        probe.until_packets("va", Direction::Rx, in_all);
    }
    let first = reported(&probe.samples, Direction::Rx);
    assert_eq!(first.flows.get(&one).map(|t| t.packets), Some(sent));
    assert_eq!(first.all.packets, sent);
    let since = |p: &Probe| p.samples.iter().rev().find_map(|s| Some(s.detail.as_ref()?.since));
    let began = since(&probe);
    ip("link del va");
    probe.until("gone", |p| p.watched[0].gone.is_some());
    veth("va", "vb");
    probe.until("back", |p| p.watched[0].gone.is_none());
    let seen = probe.samples.len();
    probe.until("a detail", |p| p.samples[seen..].iter().any(|s| s.detail.is_some()));
    assert!(since(&probe) > began);
    Sender::on("vb").send(&vec![frame.clone(); 10]);
    probe.until_packets("va", Direction::Rx, in_all + 10);
    let samples = probe.finish();
    assert_eq!(reported(&samples[seen..], Direction::Rx).all.packets, 10);
}

/// Packets without a link-layer header.
#[test]
fn frames_of_a_tun_device_are_classified() {
    own_namespace();
    let tun = open_tun(c"tun0", None);
    ip("link set tun0 up");
    for mode in [XdpMode::Off, XdpMode::Generic] {
        for (ip, cases) in [(v4(1).into(), zoo4()), (six_addr().into(), zoo6())] {
            let plain: Vec<Case> = cases
                .into_iter()
                .filter(|(f, _)| f[12] == 0x08 && f[13] == 0 || f[12] == 0x86)
                .map(|(frame, flow)| (frame[14..].to_vec(), flow))
                .collect();
            let mut probe = probe("tun0", mode);
            open_detail(&mut probe, "tun0", ip);
            for (packet, _) in &plain {
                assert_eq!(nix::unistd::write(&tun, packet).unwrap(), packet.len());
            }
            probe.until_packets("tun0", Direction::Rx, plain.len() as u64);
            let samples = probe.finish();
            assert_eq!(reported(&samples, Direction::Rx), expected(&plain, 1), "{mode:?} {ip}");
        }
    }
}
