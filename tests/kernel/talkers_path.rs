//! Frames that take another path than through driver and stack: dropped by a queue or a filter,
//! redirected, sent by somebody's program.

use crate::common::net::*;
use crate::common::patience::until;
use crate::talkers_links::attach_clsact;
use ebpftop::model::link::{Hook, XdpMode};
use ebpftop::model::talkers::{Direction, TalkersSample, Traffic};

/// `count` frames of 60 bytes from 10.0.0.n.
fn frames(n: u32, count: usize) -> Vec<Vec<u8>> {
    vec![ethernet(0x0800, &ipv4(v4(n), v4(99), 46)); count]
}

fn packets(packets: u64) -> Traffic {
    Traffic { packets, bytes: packets * 60 }
}

/// tc, whose words are separated by spaces.
fn tc(args: &str) {
    run("tc", args);
}

/// Stops the probe; the last sample of tx and of rx.
fn ended(probe: Probe) -> (TalkersSample, TalkersSample) {
    let samples = probe.finish();
    (last(&samples, "va", Direction::Tx).clone(), last(&samples, "va", Direction::Rx).clone())
}

#[test]
fn frames_that_the_queue_drops_were_not_sent() {
    for mode in [XdpMode::Auto, XdpMode::Off] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            let mut probe = probe("va", mode);
            assert_eq!(probe.hooks().1, Hook::Socket);
            Sender::on("va").send(&frames(1, 100));
            tc("qdisc add dev va root blackhole");
            Sender::on("va").send(&frames(1, 50));
            tc("qdisc del dev va root");
            Sender::on("va").send(&frames(1, 7));
            probe.until_packets("va", Direction::Tx, 107);
            let (tx, _) = ended(probe);
            assert_eq!((tx.total, tx.partial), (packets(107), None), "{mode:?}");
        })
        .join()
        .unwrap();
    }
}

/// Sends datagrams of 60 bytes, with their headers, over `va`: a dropped one is no error.
fn datagrams(count: usize) {
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..count {
        let _ = socket.send_to(&[0; 18], "10.9.0.2:9");
    }
}

fn address_on_va() {
    ip("addr add 10.9.0.1/24 dev va");
    ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev va nud permanent");
}

/// Packets that the kernel's own counter has as sent.
fn kernel_sent(name: &str) -> u64 {
    let links = ip(&format!("-j -s link show dev {name}"));
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    links[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
}

/// A shaper lets some pass and drops the rest; the kernel counts those that passed.
#[test]
fn frames_that_a_shaper_drops_were_not_sent() {
    own_namespace();
    veth("va", "vb");
    tc("qdisc add dev va root tbf rate 1mbit burst 10kb limit 20kb");
    let before = kernel_sent("va");
    let mut probe = probe("va", XdpMode::Auto);
    address_on_va();
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..1_000 {
        let _ = socket.send_to(&[0; 1_000], "10.9.0.2:9");
    }
    until("an empty queue", || {
        let shown = std::process::Command::new("tc")
            .args(["-s", "qdisc", "show", "dev", "va"])
            .output()
            .unwrap();
        String::from_utf8(shown.stdout).unwrap().contains("backlog 0b 0p").then_some(())
    });
    let left = kernel_sent("va") - before;
    assert!((10..200).contains(&left), "{left}");
    probe.until_packets("va", Direction::Tx, left);
    let (tx, _) = ended(probe);
    assert_eq!(tx.total.packets, left);
}

#[test]
fn frames_that_a_filter_drops_were_not_sent() {
    own_namespace();
    veth("va", "vb");
    address_on_va();
    let mut probe = probe("va", XdpMode::Auto);
    datagrams(20);
    // TC_ACT_SHOT
    let drop = trivial_program(libbpf_sys::BPF_PROG_TYPE_SCHED_CLS, 2);
    attach_clsact(&drop, "va");
    datagrams(30);
    tc("qdisc del dev va clsact");
    datagrams(5);
    probe.until_packets("va", Direction::Tx, 25);
    assert_eq!(ended(probe).0.total, packets(25));
}

#[test]
fn beside_foreign_xdp_tx_is_partial() {
    own_namespace();
    veth("va", "vb");
    let mut probe = probe("va", XdpMode::Off);
    let partial = |p: &Probe, direction| p.last("va", direction).and_then(|s| s.partial.clone());
    probe.until("a sample", |p| p.last("va", Direction::Tx).is_some());
    assert_eq!(partial(&probe, Direction::Tx), None);
    // XDP_TX
    let back = trivial_program(libbpf_sys::BPF_PROG_TYPE_XDP, 3);
    let _link = link(&back, "va", libbpf_sys::BPF_XDP, libbpf_sys::XDP_FLAGS_SKB_MODE);
    let tx = Some("without frames that foreign XDP sends".to_owned());
    probe.until("the doubt about tx", |p| partial(p, Direction::Tx) == tx);
    assert_eq!(partial(&probe, Direction::Rx).as_deref(), Some("after foreign XDP"));
    probe.finish();
}

/// The device takes frames and drops them: a tun device without a reader.
#[test]
fn frames_that_the_device_drops_are_reported() {
    own_namespace();
    let _tun = open_tun(c"va", None);
    ip("link set va txqueuelen 10 up");
    tc("qdisc replace dev va root noqueue");
    ip("addr add 10.9.0.1/24 dev va");
    let mut probe = probe("va", XdpMode::Auto);
    let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
    for _ in 0..100 {
        let _ = socket.send_to(&[0; 100], "10.9.0.2:9");
    }
    probe.until_packets("va", Direction::Tx, 100);
    let (tx, _) = ended(probe);
    assert_eq!(tx.total.packets, 100);
    assert_eq!(tx.partial.as_deref(), Some("the device reports 90 dropped"));
}

/// XDP does not see frames that a filter redirects here; `auto` takes a hook that does.
#[test]
fn redirected_frames_are_counted() {
    for (mode, hook, counted, partial) in [
        (XdpMode::Auto, skb_hook(), 30, None),
        (XdpMode::Generic, Hook::Generic, 0, Some("without frames that tc redirects here")),
    ] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            veth("wa", "wb");
            tc("qdisc add dev wa handle ffff: ingress");
            tc("filter add dev wa parent ffff: protocol all u32 match u32 0 0 \
                action mirred ingress redirect dev va");
            let mut probe = probe("va", mode);
            assert_eq!(probe.hooks().0, hook);
            Sender::on("wb").send(&frames(1, 30));
            probe.until_packets("va", Direction::Rx, counted);
            let seen = probe.samples.len();
            probe.until("a turn", |p| p.samples.len() > seen + 4);
            let (_, rx) = ended(probe);
            assert_eq!((rx.total, rx.partial.as_deref()), (packets(counted), partial), "{mode:?}");
        })
        .join()
        .unwrap();
    }
}

/// Shaping on arrival sends frames through an ifb device, which receives them a second time.
#[test]
fn frames_that_ifb_returns_count_once() {
    for (mode, times, partial) in [
        (XdpMode::Auto, 1, None),
        (XdpMode::Generic, 2, Some("frames that ifb returns count twice")),
    ] {
        std::thread::spawn(move || {
            own_namespace();
            veth("va", "vb");
            // Loaded by itself the module makes ifb0 and ifb1, which would stay.
            let _ = std::process::Command::new("modprobe").args(["ifb", "numifbs=0"]).status();
            ip("link add ifb7 type ifb");
            ip("link set ifb7 up");
            tc("qdisc add dev va handle ffff: ingress");
            tc("filter add dev va parent ffff: protocol all u32 match u32 0 0 \
                action mirred egress redirect dev ifb7");
            let mut probe = probe("va", mode);
            Sender::on("vb").send(&frames(1, 30));
            probe.until_packets("va", Direction::Rx, 30 * times);
            let seen = probe.samples.len();
            probe.until("a turn", |p| p.samples.len() > seen + 4);
            let (_, rx) = ended(probe);
            assert_eq!(
                (rx.total.packets, rx.partial.as_deref()),
                (30 * times, partial),
                "{mode:?}"
            );
        })
        .join()
        .unwrap();
    }
}
