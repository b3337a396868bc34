//! Switching between interfaces under traffic for 20 s (`make soak`: two minutes; among the kernel
//! tests a few). Nothing is missing from the totals, nothing stays attached, killed or not.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::attached::*;
use crate::common::net::*;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use ebpftop::model::event::TalkersCommand;
use ebpftop::model::link::{Choice, XdpMode};
use ebpftop::model::talkers::Direction;
use nix::sys::signal::Signal;

const PAIRS: [(&str, &str); 3] = [("ua", "ub"), ("va", "vb"), ("wa", "wb")];

fn end() -> Instant {
    let seconds = crate::soak_seconds(20);
    Instant::now() + Duration::from_secs(seconds)
}

/// Three pairs, and frames that never stop on each until this is dropped.
struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

fn traffic() -> Traffic {
    let stop = Arc::new(AtomicBool::new(false));
    for (a, b) in PAIRS {
        veth(a, b);
    }
    let on = |(n, (_, b)): (usize, &(&str, &str))| {
        let (sender, stop) = (Sender::on(b), stop.clone());
        let from = |i: u32| ethernet(0x0800, &ipv4(v4(1 + i % 5 + 10 * n as u32), v4(99), 46));
        let frames: Vec<_> = (0..40).map(from).collect();
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sender.send(&frames);
                std::thread::sleep(Duration::from_millis(3));
            }
        })
    };
    let threads = PAIRS.iter().enumerate().map(on).collect();
    Traffic { stop, threads }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The kernel's count of frames that arrive on an interface: those that a packet socket is
/// offered, whether it takes them or not (`packet_rcv`, right behind generic XDP).
struct Arriving {
    socket: OwnedFd,
    total: u64,
}

impl Arriving {
    fn on(name: &str) -> Self {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: three integers; the descriptor is ours alone.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "a packet socket");
            OwnedFd::from_raw_fd(fd)
        };
        // SAFETY: integers, for which zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        address.sll_ifindex = ifindex(name) as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: a whole sockaddr_ll of the length stated.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        assert_eq!(bound, 0, "bind to {name}");
        Self { socket, total: 0 }
    }

    /// So far. The kernel restarts the count with each reading.
    fn read(&mut self) -> u64 {
        let mut stats = [0u32; 2];
        let mut length = size_of_val(&stats) as u32;
        // SAFETY: struct tpacket_stats is two u32, as stated.
        let ret = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                stats.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        assert_eq!(ret, 0);
        self.total += u64::from(stats[0]);
        self.total
    }
}

/// The kernel's description of the interfaces, without counters and values that change by themselves.
fn as_they_are() -> String {
    let reported = |(a, _): &(&str, &str)| {
        nothing_attached(a);
        let link = ip(&format!("-d link show dev {a}"));
        format!(
            "{link}{}{}",
            run("ethtool", &format!("-k {a}")),
            run("tc", &format!("filter show dev {a} ingress"))
        )
    };
    PAIRS.iter().map(reported).collect()
}

/// A frame that is between the hook and the packet socket on some CPU when that is read.
fn slack() -> u64 {
    std::thread::available_parallelism().unwrap().get() as u64
}

#[test]
fn switches_under_traffic_lose_nothing() {
    own_namespace();
    let end = end();
    let _traffic = traffic();
    let before = as_they_are();
    let mut arriving = PAIRS.map(|(a, _)| Arriving::on(a));
    let mut probe = probe(PAIRS[2].0, XdpMode::Auto);
    let modes = [XdpMode::Auto, XdpMode::Off, XdpMode::Generic];
    let reported =
        |p: &Probe, name: &str| p.last(name, Direction::Rx).map_or(0, |s| s.total.packets);
    let mut visits = 0;
    let mut counted = 0;
    let mut entered: Option<(usize, u64, u64, u64)> = None;
    while Instant::now() < end || visits < 12 {
        let (next, mode) = (visits % 3, modes[visits / 9 % 3]);
        // Every third round another mode: what is watched changes its mode first, under traffic as well.
        if visits % 9 == 0 {
            probe.send(TalkersCommand::Mode(mode));
            probe.until("the mode", |p| p.watched[0].mode == mode);
        }
        let name = PAIRS[next].0;
        let least = entered.map(|(which, ..)| arriving[which].read());
        let earliest = arriving[next].read();
        probe.send(TalkersCommand::Watch(Choice::Named(name.into())));
        let base = reported(&probe, name);
        probe.until("the switch", |p| p.watched[0].interface == name && p.watched[0].rx.is_ok());
        let latest = arriving[next].read();
        if let Some((which, earliest, latest, base)) = entered {
            let name = PAIRS[which].0;
            let sure = least.unwrap().saturating_sub(latest + slack());
            let most = arriving[which].read() + slack() - earliest;
            let seen = reported(&probe, name) - base;
            assert!(
                (sure..=most).contains(&seen),
                "visit {visits} of {name}: {seen} counted, {sure} to {most} arrived"
            );
            nothing_attached(name);
            counted += seen;
        }
        entered = Some((next, earliest, latest, base));
        let ticks = probe.samples.len();
        probe.until("a tick with traffic", |p| {
            p.samples.len() > ticks + visits % 4 && reported(p, name) > base
        });
        visits += 1;
    }
    let samples = probe.finish();
    for (name, _) in PAIRS {
        assert_eq!(last(&samples, name, Direction::Rx).other.packets, 0, "{name}");
    }
    assert_eq!(as_they_are(), before);
    assert!(counted > 0);
    println!("{visits} switches, {counted} packets");
}

#[test]
fn killed_in_the_middle_of_switches_it_leaves_nothing() {
    own_namespace();
    let end = end();
    let _traffic = traffic();
    let before = as_they_are();
    let mut kills = 0;
    while Instant::now() < end || kills < 8 {
        let mode = ["auto", "native", "generic", "off"][kills % 4];
        let args = ["--interval", "100ms", "-i", "ua", "--xdp-mode", mode];
        let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
        let mut tty = Tty::start(ebpftop(), &args, &env, (120, 30));
        tty.wait_until("the first", |s| s.contains(" ua ") && !s.contains("starting"));
        for step in 0..1 + kills % 5 {
            tty.send(["n", "b", "n", "x", "n"][step]);
        }
        // Anywhere between before the first of them and after the last.
        std::thread::sleep(Duration::from_millis((kills as u64 * 37) % 250));
        tty.kill(Signal::SIGKILL);
        tty.wait();
        assert_eq!(as_they_are(), before, "{mode}, kill {kills}");
        kills += 1;
    }
    println!("{kills} kills");
}
