//! The talkers probe and what happens to interfaces: switched, renamed, deleted, taken by others.
//!

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::common::attached::*;
use crate::common::net::*;
use crate::common::patience::until;
use ebpftop::model::compare::Compared;
use ebpftop::model::event::TalkersCommand;
use ebpftop::model::link::{Choice, Hook, XdpMode};
use ebpftop::model::talkers::{Direction, TalkersSample, Traffic};

/// `count` frames of 60 bytes from 10.0.0.n.
fn frames(n: u32, count: usize) -> Vec<Vec<u8>> {
    vec![ethernet(0x0800, &ipv4(v4(n), v4(99), 46)); count]
}

fn from(n: u32, packets: u64) -> Vec<(IpAddr, u64, u64)> {
    vec![(v4(n).into(), packets, packets * 60)]
}

fn named(name: &str) -> TalkersCommand {
    TalkersCommand::Watch(Choice::Named(name.into()))
}

#[test]
fn a_switch_keeps_the_counts_and_leaves_nothing_behind() {
    for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Off] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            veth("wa", "wb");
            let (to_a, to_b) = (Sender::on("vb"), Sender::on("wb"));
            let mut probe = probe("va", mode);
            to_a.send(&frames(1, 100));
            to_b.send(&frames(2, 7));
            probe.until_packets("va", Direction::Rx, 100);

            probe.send(named("wa"));
            probe.until("wa is watched", |p| p.watched[0].interface == "wa");
            nothing_attached("va");
            to_a.send(&frames(1, 1000));
            to_b.send(&frames(2, 50));
            probe.until_packets("wa", Direction::Rx, 50);

            probe.send(named("va"));
            probe.until("va is watched", |p| p.watched[0].interface == "va");
            nothing_attached("wa");
            to_b.send(&frames(2, 1000));
            to_a.send(&frames(1, 11));
            probe.until_packets("va", Direction::Rx, 111);

            let samples = probe.finish();
            assert_eq!(table(last(&samples, "va", Direction::Rx)), from(1, 111), "{mode:?}");
            assert_eq!(table(last(&samples, "wa", Direction::Rx)), from(2, 50), "{mode:?}");
            nothing_attached("va");
            nothing_attached("wa");
        })
        .join()
        .unwrap();
    }
}

/// Frames keep coming while the mode changes: none is lost, none is counted twice.
#[test]
fn a_change_between_generic_and_tcx_is_exact_under_traffic() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Generic);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sender = Sender::on("vb");
    let sent = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let batch: Vec<_> =
                (0..64).map(|i| ethernet(0x0800, &ipv4(v4(1 + i % 3), v4(99), 46))).collect();
            let mut sent = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                sender.send(&batch);
                sent += 64;
            }
            sent
        }
    });
    for round in 0..10 {
        let (mode, hook) = if round % 2 == 0 {
            (XdpMode::Off, Hook::Tcx)
        } else {
            (XdpMode::Generic, Hook::Generic)
        };
        probe.send(TalkersCommand::Mode(mode));
        probe.until("the new mode", |p| p.watched[0].rx == Ok(hook));
        let seen = probe.samples.len();
        probe.until("a tick", |p| p.samples.len() > seen);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let sent: u64 = sent.join().unwrap();
    probe.until_packets("va", Direction::Rx, sent);
    let seen = probe.samples.len();
    probe.until("two more ticks", |p| p.samples.len() > seen + 4);
    let samples = probe.finish();
    let sample = last(&samples, "va", Direction::Rx);
    assert_eq!(sample.total, Traffic { packets: sent, bytes: sent * 60 });
    assert_eq!(sample.other, Traffic::default());
    nothing_attached("va");
}

#[test]
fn every_mode_follows_every_other() {
    own_namespace();
    veth("va", "vb");
    let sender = Sender::on("vb");
    let mut probe = probe("va", XdpMode::Auto);
    assert_eq!(probe.hooks(), (Hook::Generic, Hook::Socket));
    let mut sent = 0;
    for (mode, hook) in [
        (XdpMode::Native, Hook::Native),
        (XdpMode::Generic, Hook::Generic),
        (XdpMode::Off, Hook::Tcx),
        (XdpMode::Native, Hook::Native),
        (XdpMode::Auto, Hook::Generic),
    ] {
        probe.send(TalkersCommand::Mode(mode));
        probe.until("the mode", |p| p.watched[0].mode == mode && p.watched[0].rx == Ok(hook));
        sender.send(&frames(1, 100));
        sent += 100;
        probe.until_packets("va", Direction::Rx, sent);
    }
    let samples = probe.finish();
    assert_eq!(table(last(&samples, "va", Direction::Rx)), from(1, sent));
}

#[test]
fn a_mode_that_cannot_be_had_says_so_and_another_one_heals_it() {
    own_namespace();
    ip("link set lo up");
    let mut probe = probe("lo", XdpMode::Generic);
    send_on_lo(30);
    probe.send(TalkersCommand::Mode(XdpMode::Native));
    probe.until("the refusal", |p| p.watched[0].rx.is_err());
    let problem = probe.watched[0].rx.clone().unwrap_err();
    assert_eq!(
        problem.to_string(),
        "attach native XDP to lo: the driver has no native XDP; use --xdp-mode generic or auto"
    );
    assert_eq!(probe.watched[0].tx, Ok(Hook::Socket));
    probe.send(TalkersCommand::Mode(XdpMode::Generic));
    probe.until("generic", |p| p.watched[0].rx == Ok(Hook::Generic));
    assert_eq!(probe.watched[0].price, "switches software GRO off");
    // The counts from before are not forgotten.
    send_on_lo(20);
    let samples = probe.finish();
    let lo: IpAddr = "127.0.0.1".parse().unwrap();
    assert_eq!(table(last(&samples, "lo", Direction::Rx)), [(lo, 50, 50 * 142)]);
    // It is reported from the beginning, too.
    let refused = try_probe(Choice::Named("lo".into()), XdpMode::Native).ok().unwrap();
    assert!(refused.watched[0].rx.is_err() && refused.watched[0].tx.is_ok());
    refused.finish();
}

/// `count` datagrams to this host itself, 142 bytes each with their Ethernet header.
fn send_on_lo(count: usize) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        socket.send_to(&[0; 100], socket.local_addr().unwrap()).unwrap();
    }
}

#[test]
fn an_interface_that_goes_is_taken_up_when_it_returns() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Auto);
    Sender::on("vb").send(&frames(1, 10));
    probe.until_packets("va", Direction::Rx, 10);
    ip("link del va");
    probe.until("gone", |p| p.watched[0].gone.is_some());
    assert_eq!(probe.watched[0].ifindex, 0);
    veth("va", "vb");
    probe.until("back", |p| p.watched[0].gone.is_none() && p.watched[0].ifindex == ifindex("va"));
    assert_eq!(probe.hooks(), (Hook::Generic, Hook::Socket));
    Sender::on("vb").send(&frames(1, 5));
    probe.until_packets("va", Direction::Rx, 15);
    let samples = probe.finish();
    assert_eq!(table(last(&samples, "va", Direction::Rx)), from(1, 15));
}

/// The reader of the events stands still, so the probe sees the deletion and the new interface at once.
#[test]
fn another_interface_with_the_same_name_and_index_is_another() {
    own_namespace();
    let make = || {
        ip("link add va index 777 type veth peer name vb");
        ip("link set va up");
        ip("link set vb up");
    };
    make();
    let mut probe = probe("va", XdpMode::Auto);
    Sender::on("vb").send(&frames(1, 10));
    probe.until_packets("va", Direction::Rx, 10);
    probe.until_blocked();
    ip("link del va");
    make();
    let mut sent = 10;
    // Until the probe has attached to the new one nothing counts.
    let seen = probe.samples.len();
    probe.until("the backlog", |p| p.samples.len() > seen + 40);
    for _ in 0..3 {
        Sender::on("vb").send(&frames(1, 10));
        Sender::on("va").send(&frames(2, 10));
        sent += 10;
        probe.until_packets("va", Direction::Rx, sent);
        probe.until_packets("va", Direction::Tx, sent - 10);
    }
    // The index goes to an interface of another name: the chosen name is gone.
    ip("link del va");
    ip("link add wa index 777 type veth peer name wb");
    probe.until("gone", |p| p.watched[0].gone.is_some());
    assert_eq!(probe.watched[0].interface, "va");
    probe.finish();
}

/// Until then the kernel drops what is sent, and says nothing (noop_qdisc).
fn carrier_is_back(name: &str) {
    until("a carrier", || ip(&format!("link show dev {name}")).contains("state UP").then_some(()));
    // The kernel sets the state before it starts the queues, both under the lock that this takes
    // (linkwatch_do_dev).
    ip(&format!("link set {name} up"));
}

#[test]
fn a_renamed_interface_is_followed() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Auto);
    let sender = Sender::on("vb");
    sender.send(&frames(1, 10));
    ip("link set va down");
    probe.until("down", |p| p.watched[0].gone.is_some());
    let reported = probe.watched[0].gone.clone().unwrap().to_string();
    assert_eq!(reported, "watch va: the interface is down; ip link set va up");
    ip("link set va name vx");
    ip("link set vx up");
    probe.until("up again", |p| p.watched[0].interface == "vx" && p.watched[0].gone.is_none());
    carrier_is_back("vb");
    sender.send(&frames(1, 10));
    probe.until_packets("vx", Direction::Rx, 20);
    let samples = probe.finish();
    assert_eq!(table(last(&samples, "vx", Direction::Rx)), from(1, 20));
    nothing_attached("vx");
}

#[test]
fn an_interface_that_moves_away_is_released() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("vb", XdpMode::Auto);
    let child = std::process::Command::new("unshare").args(["-n", "sleep", "60"]).spawn();
    let mut child = child.unwrap();
    let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let theirs = format!("/proc/{}/ns/net", child.id());
    until("its own namespace", || (std::fs::read_link(&theirs).unwrap() != own).then_some(()));
    ip(&format!("link set vb netns {}", child.id()));
    probe.until("gone", |p| p.watched[0].gone.is_some());
    // By a thread that goes there: busybox's nsenter, in a guest, would run busybox's own ip.
    let entered = std::fs::File::open(&theirs).unwrap();
    let look = move || {
        nix::sched::setns(entered, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        ip("-d link show dev vb")
    };
    let there = std::thread::spawn(look).join().unwrap();
    assert!(!there.contains("xdp"), "{there}");
    child.kill().unwrap();
    child.wait().unwrap();
    probe.finish();
}

#[test]
fn a_foreign_program_is_never_touched() {
    for (flags, kind) in
        [(libbpf_sys::XDP_FLAGS_SKB_MODE, "generic"), (libbpf_sys::XDP_FLAGS_DRV_MODE, "native")]
    {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            let program = trivial_program(libbpf_sys::BPF_PROG_TYPE_XDP, 2);
            let foreign = link(&program, "va", libbpf_sys::BPF_XDP, flags);
            let before = ip("-d link show dev va");
            let xdp_line = |reported: &str| {
                reported.lines().find(|l| l.contains("prog/xdp")).map(str::to_owned)
            };
            assert!(xdp_line(&before).is_some(), "{before}");

            let mut ours = probe("va", XdpMode::Auto);
            assert_eq!(ours.hooks(), (Hook::Tcx, Hook::Socket));
            assert_eq!(ours.watched[0].partial.as_deref(), Some("after foreign XDP"));
            Sender::on("vb").send(&frames(1, 10));
            ours.until_packets("va", Direction::Rx, 10);
            assert_eq!(xdp_line(&ip("-d link show dev va")), xdp_line(&before));
            ours.until("the links", |p| !p.links.is_empty());
            let reported = ours.links.iter().find(|l| l.name == "va").unwrap();
            assert_eq!(reported.xdp.as_ref().unwrap().0, kind);
            assert_eq!(reported.would_get, Some(Hook::Tcx));
            let samples = ours.finish();
            let sample = last(&samples, "va", Direction::Rx);
            assert_eq!(table(sample), from(1, 10));
            assert_eq!(sample.partial.as_deref(), Some("after foreign XDP"));
            assert_eq!(xdp_line(&ip("-d link show dev va")), xdp_line(&before));

            for mode in [XdpMode::Generic, XdpMode::Native] {
                let refused = probe("va", mode);
                let problem = refused.watched[0].rx.clone().unwrap_err();
                assert!(problem.why.contains("another XDP program"), "{problem}");
                refused.finish();
            }
            assert_eq!(xdp_line(&ip("-d link show dev va")), xdp_line(&before));

            // When it goes, auto takes what it would have taken.
            let mut ours = probe("va", XdpMode::Auto);
            drop(foreign);
            ours.until("generic", |p| p.watched[0].rx == Ok(Hook::Generic));
            assert_eq!(ours.watched[0].partial, None);
            ours.finish();
            nothing_attached("va");
        })
        .join()
        .unwrap();
    }
}

#[test]
fn an_unknown_interface_is_reported_with_the_known_ones() {
    own_namespace();
    veth("veth7", "vb");
    let problem = try_probe(Choice::Named("veht7".into()), XdpMode::Auto).err().unwrap();
    assert_eq!(problem.what, "watch veht7");
    assert_eq!(problem.why, "no such interface");
    assert!(problem.fix.starts_with("choose another with -i: veth7, "), "{}", problem.fix);
}

#[test]
fn all_interfaces_come_and_go() {
    own_namespace();
    ip("link set lo up");
    veth("va", "vb");
    let mut probe = try_probe(Choice::All, XdpMode::Auto).ok().unwrap();
    let names = |p: &Probe| {
        let mut names: Vec<_> = p.watched.iter().map(|w| w.interface.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&probe), ["lo", "va", "vb"]);
    veth("wa", "wb");
    probe.until("the new ones", |p| names(p) == ["lo", "va", "vb", "wa", "wb"]);
    Sender::on("wb").send(&frames(3, 20));
    probe.until_packets("wa", Direction::Rx, 20);
    probe.until_packets("wb", Direction::Tx, 20);
    ip("link del va");
    probe.until("they are gone", |p| names(p) == ["lo", "wa", "wb"]);
    let samples = probe.finish();
    assert_eq!(table(last(&samples, "wa", Direction::Rx)), from(3, 20));
    assert_eq!(table(last(&samples, "wb", Direction::Tx)), vec![(v4(99).into(), 20, 1200)]);
}

/// A tun device: packets come and go without a link-layer header.
#[test]
fn a_tun_device_has_no_ethernet_header() {
    own_namespace();
    let tun = open_tun(c"tun0", None);
    ip("link set tun0 up");
    for (mode, hook) in [(XdpMode::Auto, Hook::Tcx), (XdpMode::Generic, Hook::Generic)] {
        let mut probe = probe("tun0", mode);
        assert_eq!(probe.hooks().0, hook);
        // A MAC-like beginning must not be taken for one: only the ARPHRD type decides.
        let six = ipv6("2001:db8::5".parse().unwrap(), "2001:db8::6".parse().unwrap(), 17, 77);
        for _ in 0..10 {
            for packet in [ipv4(v4(1), v4(2), 100), ipv4(v4(3), v4(2), 20), six.clone()] {
                assert_eq!(nix::unistd::write(&tun, &packet).unwrap(), packet.len());
            }
        }
        probe.until_packets("tun0", Direction::Rx, 30);
        let samples = probe.finish();
        let sample = last(&samples, "tun0", Direction::Rx);
        assert_eq!(
            table(sample),
            [
                (v4(1).into(), 10, 1000),
                (v4(3).into(), 10, 200),
                ("2001:db8::5".parse().unwrap(), 10, 770)
            ]
        );
        assert_eq!(sample.other, Traffic::default());
    }
}

/// Links that begin with the IP header, by their ARPHRD type: PPP, raw IP, IPIP, ip6tnl, SIT, GRE,
/// ip6gre, none (WireGuard). A tun device takes each type, whatever modules the kernel has.
#[test]
fn links_without_a_header_are_known_by_their_type() {
    for arphrd in [512, 519, 768, 769, 776, 778, 823, 0xfffe] {
        std::thread::spawn(move || {
            own_namespace();
            let tun = open_tun(c"tun0", Some(arphrd));
            ip("link set tun0 up");
            let taken = if arphrd == 776 { fill_tcx("tun0") } else { vec![] };
            refuse_sockets(arphrd == 512);
            let mut probe = probe("tun0", XdpMode::Auto);
            let rx = if arphrd == 776 { Hook::Socket } else { Hook::Tcx };
            let tx = if arphrd == 512 { Hook::Tcx } else { Hook::Socket };
            assert_eq!(probe.hooks(), (rx, tx), "{arphrd}");
            let six: [std::net::Ipv6Addr; 2] =
                ["2001:db8::5".parse().unwrap(), "2001:db8::6".parse().unwrap()];
            // A first byte that a MAC address could begin with too.
            for packet in [ipv4(v4(1), v4(2), 100), ipv6(six[0], six[1], 17, 77)] {
                assert_eq!(nix::unistd::write(&tun, &packet).unwrap(), packet.len());
            }
            let sender = Sender::on("tun0");
            sender.send(&[ipv4(v4(1), v4(2), 60)]);
            sender.send(&[ipv6(six[0], six[1], 17, 70)]);
            probe.until_packets("tun0", Direction::Rx, 2);
            probe.until_packets("tun0", Direction::Tx, 2);
            let samples = probe.finish();
            let (four, six) = ((v4(1).into(), 1, 100), (six[0].into(), 1, 77));
            assert_eq!(table(last(&samples, "tun0", Direction::Rx)), [four, six], "{arphrd}");
            assert_eq!(last(&samples, "tun0", Direction::Tx).total.bytes, 130, "{arphrd}");
            drop(taken);
        })
        .join()
        .unwrap();
    }
}

/// The kernel's own counter agrees where the table says that it can be compared.
#[test]
fn the_kernels_counter_is_compared() {
    for (name, mode, hook) in [
        ("va", XdpMode::Generic, Some(Hook::Generic)),
        ("va", XdpMode::Native, Some(Hook::Native)),
        ("lo", XdpMode::Generic, Some(Hook::Generic)),
        ("tun0", XdpMode::Generic, Some(Hook::Generic)),
        ("va", XdpMode::Off, None),
    ] {
        std::thread::spawn(move || {
            own_namespace();
            ip("link set lo up");
            veth("va", "vb");
            let tun = open_tun(c"tun0", None);
            ip("link set tun0 up");
            let mut probe = probe(name, mode);
            let there = Sender::on("vb");
            for round in 1..=6 {
                match name {
                    "lo" => send_on_lo(500),
                    "va" => there.send(&frames(1, 500)),
                    _ => (0..500).for_each(|_| {
                        assert_eq!(nix::unistd::write(&tun, &ipv4(v4(1), v4(2), 60)), Ok(60));
                    }),
                }
                probe.until_packets(name, Direction::Rx, round * 500);
            }
            let seen = probe.samples.len();
            probe.until("some turns", |p| p.samples.len() > seen + 10);
            let rx = |s: &&TalkersSample| s.direction == Direction::Rx;
            let expected = if hook.is_some() { Compared::Agrees } else { Compared::NotComparable };
            for sample in probe.finish().iter().filter(rx).skip(1) {
                assert_eq!(sample.compared, expected, "{name} {mode:?}");
            }
        })
        .join()
        .unwrap();
    }
}

/// A program that is no longer run counts nothing, and the kernel's own counter gives that away.
#[test]
fn a_difference_to_the_kernels_counter_is_reported_when_it_stays() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Generic);
    let there = Sender::on("vb");
    there.send(&frames(1, 100));
    probe.until_packets("va", Direction::Rx, 100);
    let seen = probe.samples.len();
    probe.until("a turn", |p| p.samples.len() > seen + 2);
    detach_by_force("va");
    there.send(&frames(1, 70));
    let reported = |p: &Probe| p.last("va", Direction::Rx).map(|s| s.compared);
    probe.until("a difference", |p| reported(p) == Some(Compared::Differs(70)));
    assert_eq!(probe.last("va", Direction::Rx).unwrap().total.packets, 100);
    probe.finish();
}

/// Takes the XDP program off an interface behind its owner's back.
fn detach_by_force(name: &str) {
    // SAFETY: fills one u32; the descriptor is ours alone and closed in the end.
    unsafe {
        let mut id = 0u32;
        let flags = libbpf_sys::XDP_FLAGS_SKB_MODE as i32;
        assert_eq!(libbpf_sys::bpf_xdp_query_id(ifindex(name) as i32, flags, &raw mut id), 0);
        let link = libbpf_rs::query::LinkInfoIter::default().find(|l| l.prog_id == id).unwrap();
        let fd = libbpf_sys::bpf_link_get_fd_by_id(link.id);
        assert!(fd >= 0);
        assert_eq!(libbpf_sys::bpf_link_detach(fd), 0);
        libc::close(fd);
    }
}

#[test]
fn features_are_as_before_in_the_end() {
    own_namespace();
    veth("va", "vb");
    let before = run("ethtool", "-k va");
    for mode in [XdpMode::Generic, XdpMode::Native, XdpMode::Off, XdpMode::Auto] {
        let mut probe = probe("va", mode);
        probe.until("a tick", |p| !p.samples.is_empty());
        probe.finish();
        assert_eq!(run("ethtool", "-k va"), before, "{mode:?}");
    }
}

#[test]
fn the_links_are_reported_with_their_kind() {
    own_namespace();
    ip("link set lo up");
    veth("va", "vb");
    ip("addr add 192.0.2.5/24 dev va");
    ip("link set vb mtu 1400");
    let mut probe = probe("va", XdpMode::Auto);
    probe.until("links", |p| !p.links.is_empty());
    let find = |name: &str| probe.links.iter().find(|l| l.name == name).unwrap().clone();
    let (lo, va, vb) = (find("lo"), find("va"), find("vb"));
    assert!(lo.loopback && lo.up && lo.arphrd == 772);
    assert!(va.up && va.carrier && va.arphrd == 1 && va.ifindex == ifindex("va"));
    assert_eq!(va.addresses, ["192.0.2.5".parse::<IpAddr>().unwrap()]);
    assert_eq!(va.driver.as_deref(), Some("veth"));
    assert_eq!(va.speed_mbit, Some(10_000));
    assert_eq!(vb.mtu, 1400);
    assert_eq!(va.would_get, Some(Hook::Generic));
    assert_eq!(va.price, "switches software GRO off");
    probe.finish();
}

/// Three interfaces under traffic, switched between as fast as it goes.
#[test]
fn a_run_of_switches_under_traffic_loses_nothing_and_leaves_nothing() {
    own_namespace();
    let pairs = [("ua", "ub"), ("va", "vb"), ("wa", "wb")];
    for (a, b) in pairs {
        veth(a, b);
    }
    let senders: Vec<_> = pairs.iter().map(|(_, b)| Sender::on(b)).collect();
    let mut probe = probe("ua", XdpMode::Auto);
    let mut counted = [0u64; 3];
    for round in 0..30 {
        let which = round % 3;
        let name = pairs[which].0;
        if round > 0 {
            probe.send(named(name));
            probe.until("the switch", |p| p.watched[0].interface == name);
        }
        // Only what is sent while it is watched counts, and all of that.
        for (n, sender) in senders.iter().enumerate() {
            sender.send(&frames(n as u32 + 1, 10 + round));
        }
        counted[which] += 10 + round as u64;
    }
    let samples = probe.finish();
    for (n, (name, _)) in pairs.iter().enumerate() {
        let sample = last(&samples, name, Direction::Rx);
        assert_eq!(table(sample), from(n as u32 + 1, counted[n]), "{name}");
        nothing_attached(name);
    }
}

#[test]
fn a_name_of_any_bytes_is_an_interface() {
    use std::os::unix::ffi::OsStrExt as _;
    own_namespace();
    let name = std::ffi::OsStr::from_bytes(b"v\xff\x1b[31m");
    let made = std::process::Command::new("ip")
        .args(["link", "add"])
        .arg(name)
        .args(["type", "veth", "peer", "name", "vb"])
        .status()
        .unwrap();
    assert!(made.success());
    // As it is shown, so it can be typed.
    let mut probe = probe("v\\xff\\x1b[31m", XdpMode::Auto);
    assert!(probe.watched[0].gone.is_some(), "it is down");
    let up = std::process::Command::new("ip").args(["link", "set"]).arg(name).arg("up").status();
    assert!(up.unwrap().success());
    ip("link set vb up");
    probe.until("up", |p| p.watched[0].gone.is_none());
    carrier_is_back("vb");
    Sender::on("vb").send(&frames(1, 10));
    let counted = |p: &Probe| {
        let rx = p.samples.iter().rfind(|s| s.direction == Direction::Rx)?;
        (rx.interface.as_bytes() == name.as_bytes()).then_some(rx.total.packets)
    };
    probe.until("10 packets", |p| counted(p) == Some(10));
    let link = probe.links.iter().find(|l| l.name.as_bytes() == name.as_bytes()).unwrap();
    assert_eq!(link.driver.as_deref(), Some("veth"));
    probe.finish();
}

/// Two names that are the same text once what is not UTF-8 is replaced.
#[test]
fn names_that_look_alike_are_two_interfaces() {
    use std::os::unix::ffi::OsStrExt as _;
    own_namespace();
    for (name, peer) in [(&b"v\xff"[..], "va"), (b"v\xfe", "vb")] {
        let name = std::ffi::OsStr::from_bytes(name);
        let ip = |args: [&std::ffi::OsStr; 2], rest: &str| {
            let mut ip = std::process::Command::new("ip");
            assert!(
                ip.arg("link").args(args).args(rest.split_whitespace()).status().unwrap().success()
            );
        };
        ip(["add".as_ref(), name], &format!("type veth peer name {peer}"));
        ip(["set".as_ref(), name], "up");
        ip(["set".as_ref(), peer.as_ref()], "up");
    }
    let mut probe = try_probe(Choice::All, XdpMode::Auto).ok().unwrap();
    Sender::on("va").send(&frames(1, 5));
    Sender::on("vb").send(&frames(2, 7));
    let counted = |p: &Probe, name: &[u8]| {
        let of =
            |s: &&TalkersSample| s.interface.as_bytes() == name && s.direction == Direction::Rx;
        p.samples.iter().rfind(of).map(|s| s.total.packets)
    };
    probe.until("both", |p| (counted(p, b"v\xff"), counted(p, b"v\xfe")) == (Some(5), Some(7)));
    probe.finish();
}

#[test]
fn an_interface_is_found_by_its_alternative_names_and_with_its_peer() {
    own_namespace();
    veth("va", "vb");
    ip("link property add dev va altname uplink-of-the-web-server");
    for typed in ["uplink-of-the-web-server", "va@vb", "va@if2", "uplink-of-the-web-server@vb"] {
        let probe = probe(typed, XdpMode::Auto);
        assert_eq!(probe.watched[0].interface, "va", "{typed}");
        probe.finish();
    }
    // Renamed, it is still the one that was chosen.
    let mut probe = probe("uplink-of-the-web-server", XdpMode::Auto);
    ip("link property del dev va altname uplink-of-the-web-server");
    ip("link set va down");
    ip("link set va name vc");
    probe.until("the new name", |p| p.watched[0].interface == "vc");
    probe.finish();
}

#[test]
fn the_default_is_the_default_routes_interface_else_one_that_is_up() {
    own_namespace();
    let watched = || {
        let probe = try_probe(Choice::Default, XdpMode::Auto).ok().unwrap();
        let name = probe.watched[0].interface.clone();
        probe.finish();
        name
    };
    ip("link set lo up");
    assert_eq!(watched(), "lo");
    ip("link add va type veth peer name vb");
    assert_eq!(watched(), "lo");
    veth("wa", "wb");
    let first_up = if ifindex("wa") < ifindex("wb") { "wa" } else { "wb" };
    assert_eq!(watched(), first_up);
    ip("link set va up");
    ip("link set vb up");
    ip("addr add 192.0.2.1/24 dev wb");
    ip("route add default via 192.0.2.2 dev wb metric 50");
    assert_eq!(watched(), "wb");
}

#[test]
fn gateways_are_followed_as_they_change() {
    own_namespace();
    veth("va", "vb");
    ip("addr add 192.0.2.5/24 dev va");
    let mut probe = probe("va", XdpMode::Auto);
    let gateways = |p: &Probe| {
        let va = p.links.iter().find(|l| l.name == "va");
        va.map(|l| l.gateways.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let mut until = |wanted: &[&str]| {
        probe.until(&format!("{wanted:?}"), |p| gateways(p).is_some_and(|g| g == wanted));
    };
    until(&[]);
    // A route that is none of the default ones changes nothing.
    ip("route add 198.51.100.0/24 via 192.0.2.7");
    ip("route add default via 192.0.2.1");
    until(&["192.0.2.1"]);
    ip("route replace default via 192.0.2.2");
    until(&["192.0.2.2"]);
    ip("route add default via 192.0.2.3 metric 500");
    until(&["192.0.2.2", "192.0.2.3"]);
    // Down without a word about routes, as the kernel has it.
    ip("link set va down");
    until(&[]);
    ip("link set va up");
    std::fs::write("/proc/sys/net/ipv6/conf/va/disable_ipv6", "0").unwrap();
    ip("route add default via inet6 fe80::1 dev va");
    ip("-6 route add default via fe80::2 dev va metric 10");
    ip("-6 route add default via fe80::3 dev va metric 20");
    until(&["fe80::1", "fe80::2", "fe80::3"]);
    probe.finish();
}

/// A filter at the egress of clsact, as tools from before TCX attach it.
pub fn attach_clsact(program: &OwnedFd, name: &str) {
    let mut hook = libbpf_sys::bpf_tc_hook {
        sz: size_of::<libbpf_sys::bpf_tc_hook>() as u64,
        ifindex: ifindex(name) as i32,
        attach_point: libbpf_sys::BPF_TC_EGRESS,
        ..Default::default()
    };
    let mut opts = libbpf_sys::bpf_tc_opts {
        sz: size_of::<libbpf_sys::bpf_tc_opts>() as u64,
        prog_fd: program.as_raw_fd(),
        ..Default::default()
    };
    // SAFETY: whole structures of the sizes stated, a live descriptor.
    unsafe {
        assert_eq!(libbpf_sys::bpf_tc_hook_create(&raw mut hook), 0);
        assert_eq!(libbpf_sys::bpf_tc_attach(&raw const hook, &raw mut opts), 0);
    }
}

#[test]
fn programs_of_others_are_reported_and_ours_are_not() {
    use ebpftop::model::link::{Foreign, ForeignHook};
    own_namespace();
    veth("va", "vb");
    let xdp = trivial_program(libbpf_sys::BPF_PROG_TYPE_XDP, 2);
    let tc = trivial_program(libbpf_sys::BPF_PROG_TYPE_SCHED_CLS, -1);
    let id = |program: &OwnedFd| {
        use std::os::fd::AsFd as _;
        libbpf_rs::Program::id_from_fd(program.as_fd()).unwrap()
    };
    let _xdp = link(&xdp, "va", libbpf_sys::BPF_XDP, libbpf_sys::XDP_FLAGS_SKB_MODE);
    let tcx = link(&tc, "va", libbpf_sys::BPF_TCX_INGRESS, 0);
    attach_clsact(&tc, "va");
    let mut probe = probe("vb", XdpMode::Auto);
    let of = |p: &Probe, name: &str| {
        p.links.iter().find(|l| l.name == name).map(|l| l.foreign.clone()).unwrap_or_default()
    };
    let foreign = |hook, program| Foreign { hook, id: id(program), name: "foreign".into() };
    let (rx, tx) = (ForeignHook::Tc(Direction::Rx), ForeignHook::Tc(Direction::Tx));
    let at_xdp = foreign(ForeignHook::Xdp("generic".into()), &xdp);
    let all = [at_xdp.clone(), foreign(rx, &tc), foreign(tx.clone(), &tc)];
    probe.until("all three", |p| of(p, "va") == all);
    assert_eq!(of(&probe, "vb"), [], "our own are not listed");
    drop(tcx);
    probe.until("two", |p| of(p, "va") == [at_xdp.clone(), foreign(tx.clone(), &tc)]);
    ip("link del va");
    probe.finish();
}
