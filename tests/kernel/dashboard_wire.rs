//! The whole program in a pseudo-terminal and a network namespace of its own: the screen shows the
//! traffic of the test.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::attached::*;
use crate::common::net::*;
use crate::common::opener::opener;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use nix::sys::signal::Signal;

/// The dashboard on an interface, once both panes show their state.
fn dashboard(interface: &str, mode: &str) -> Tty {
    let args = ["--interval", "200ms", "-i", interface, "--xdp-mode", mode];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let tty = Tty::start(ebpftop(), &args, &env, (160, 45));
    tty.wait_until("both probes", |s| {
        s.contains("Files") && s.contains(&format!(" {interface} ")) && !s.contains("starting")
    });
    tty
}

/// `count` frames of 60 bytes from 10.0.0.n.
fn frames(n: u32, count: usize) -> Vec<Vec<u8>> {
    vec![ethernet(0x0800, &ipv4(v4(n), v4(99), 46)); count]
}

/// The first line of the screen.
fn header(screen: &str) -> &str {
    screen.lines().next().unwrap_or("")
}

fn wait_header(tty: &Tty, what: &str) -> String {
    tty.wait_until(&format!("{what:?} in the header"), |s| header(s).contains(what))
}

/// Whether the talkers' table has a row of this address.
fn has_row(screen: &str, ip: &str) -> bool {
    let edge = |rest: &str| rest.starts_with(' ') || rest.starts_with('│');
    screen.lines().skip(3).any(|l| {
        l.match_indices(ip)
            .any(|(at, _)| edge(&l[at + ip.len()..]) && l[..at].ends_with(['│', ' ']))
    })
}

/// Opens the details of an address, waits for these counts, and closes them.
fn counted(tty: &mut Tty, ip: &str, counts: &str) {
    tty.wait_until(&format!("a row of {ip}"), |s| has_row(s, ip));
    tty.send(&format!("2/\x15ip:{ip}\r"));
    tty.wait_until("one row", |s| header(s).contains(&format!("filter ip:{ip}")));
    tty.send("g\r");
    tty.wait_until(&format!("{ip}: {counts}"), |s| s.contains("first seen") && s.contains(counts));
    tty.send("\x7f");
    tty.wait_until("the way back", |s| !s.contains("first seen"));
    tty.send("\x7f");
    tty.wait_until("no filter", |s| !header(s).contains("filter"));
}

fn quit(mut tty: Tty) {
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

/// Frames that never stop, until dropped.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn traffic(on: &str) -> Traffic {
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, ended) = (Sender::on(on), stop.clone());
    let thread = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            sender.send(&frames(1, 50));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    Traffic { stop, thread: Some(thread) }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn both_panes_show_the_actions_of_the_test() {
    own_namespace();
    veth("va", "vb");
    let opener = opener("opn-wire");
    let mut tty = dashboard("va", "generic");
    let screen = opener.find(&mut tty);
    assert!(header(&screen).contains("va generic"), "{screen}");
    assert!(header(&screen).contains("lost "), "{screen}");
    assert!(screen.contains(&opener.child.id().to_string()), "{screen}");
    tty.send("\x7f");
    let six: [std::net::Ipv6Addr; 2] =
        ["2001:db8::7".parse().unwrap(), "2001:db8::99".parse().unwrap()];
    let there = Sender::on("vb");
    there.send(&frames(1, 10));
    there.send(&frames(2, 1_234));
    there.send(&vec![ethernet(0x86dd, &ipv6(six[0], six[1], 17, 86)); 7]);
    there.send(&vec![ethernet(0x0806, &[0; 46]); 3]);
    counted(&mut tty, "10.0.0.1", "600 bytes in 10 packets");
    counted(&mut tty, "10.0.0.2", "74 040 bytes in 1234 packets");
    counted(&mut tty, "2001:db8::7", "700 bytes in 7 packets");
    // Traffic that the interface itself sends, by destination.
    Sender::on("va").send(&frames(1, 21));
    counted(&mut tty, "10.0.0.99", "1260 bytes in 21 packets");
    for (title, rx, tx) in [("rx ", true, false), ("tx ", false, true), ("rx+tx ", true, true)] {
        tty.send("d");
        tty.wait_until(title, |s| {
            s.contains(&format!("va · {title}"))
                && has_row(s, "10.0.0.1") == rx
                && has_row(s, "10.0.0.99") == tx
        });
    }
    quit(tty);
    nothing_attached("va");
}

#[test]
fn keys_switch_the_interface_and_counts_are_kept() {
    own_namespace();
    veth("va", "vb");
    veth("wa", "wb");
    let mut order = ["va", "vb", "wa", "wb"];
    order.sort_by_key(|name| ifindex(name));
    let (to_a, to_b) = (Sender::on("vb"), Sender::on("wb"));
    let mut tty = dashboard("va", "auto");
    to_a.send(&frames(1, 10));
    counted(&mut tty, "10.0.0.1", "600 bytes in 10 packets");

    // The picker: a row an interface, by index; its cursor is on the one that is watched.
    let place = |name: &str| order.iter().position(|n| *n == name).unwrap();
    tty.send("i");
    tty.wait_for("ADDRESSES");
    let (from, to) = (place("va"), place("wa"));
    tty.send(&if from < to { "j".repeat(to - from) } else { "k".repeat(from - to) });
    tty.send("\r");
    wait_header(&tty, "wa generic");
    nothing_attached("va");
    to_a.send(&frames(1, 500));
    to_b.send(&frames(1, 20));
    counted(&mut tty, "10.0.0.1", "1200 bytes in 20 packets");

    // Round by `n` to the first one, and by `b` once more.
    for step in 1..=3 {
        tty.send("n");
        wait_header(&tty, &format!(" {} generic", order[(to + step) % 4]));
    }
    let mut at = (to + 3) % 4;
    while order[at] != "va" {
        at = (at + 3) % 4;
        tty.send("b");
        wait_header(&tty, &format!(" {} generic", order[at]));
    }
    nothing_attached("wa");
    to_a.send(&frames(1, 5));
    to_b.send(&frames(1, 500));
    counted(&mut tty, "10.0.0.1", "900 bytes in 15 packets");
    quit(tty);
    order.into_iter().for_each(nothing_attached);
}

#[test]
fn a_key_changes_the_mode_and_nothing_is_lost() {
    own_namespace();
    veth("va", "vb");
    let there = Sender::on("vb");
    let mut tty = dashboard("va", "auto");
    let mut sent = 0;
    // auto, native, generic, off, and round again; "auto" says what it is once the note has gone.
    for (said, hook) in
        [("native", "native"), ("generic", "generic"), ("off", "tcx"), ("auto", "generic")]
    {
        tty.send("x");
        tty.wait_for(&format!("XDP mode: {said}"));
        wait_header(&tty, &format!("va {hook}"));
        there.send(&frames(1, 7));
        sent += 7;
        counted(&mut tty, "10.0.0.1", &format!("{} bytes in {sent} packets", sent * 60));
    }
    quit(tty);
    nothing_attached("va");
}

#[test]
fn an_interface_that_goes_is_reported_and_watched_again() {
    own_namespace();
    veth("va", "vb");
    let mut tty = dashboard("va", "auto");
    Sender::on("vb").send(&frames(1, 10));
    counted(&mut tty, "10.0.0.1", "600 bytes in 10 packets");
    ip("link del va");
    wait_header(&tty, "va gone");
    tty.wait_for("va: the interface is gone");
    veth("va", "vb");
    wait_header(&tty, "va generic");
    tty.wait_until("the word gone", |s| !s.contains("the interface is gone"));
    Sender::on("vb").send(&frames(1, 5));
    counted(&mut tty, "10.0.0.1", "900 bytes in 15 packets");
    quit(tty);
    nothing_attached("va");
}

#[test]
fn a_foreign_program_is_reported_and_left_alone() {
    own_namespace();
    veth("va", "vb");
    let program = trivial_program(libbpf_sys::BPF_PROG_TYPE_XDP, 2);
    let foreign = link(&program, "va", libbpf_sys::BPF_XDP, libbpf_sys::XDP_FLAGS_SKB_MODE);
    let before = xdp_line("va");
    assert!(before.is_some());
    let mut tty = dashboard("va", "auto");
    wait_header(&tty, "va tcx");
    tty.wait_for("after foreign XDP");
    Sender::on("vb").send(&frames(1, 10));
    counted(&mut tty, "10.0.0.1", "600 bytes in 10 packets");
    // The picker names the programs of other tools, and the device.
    tty.send("i");
    tty.wait_for("third-party programs: XDP generic foreign #");
    tty.wait_for("driver veth · MTU 1500 · 10 Gb/s");
    tty.wait_for("TCX has no side effects");
    tty.send("\x1b");
    // A mode that is not available is refused, and the foreign program stays.
    tty.send("x");
    tty.wait_for("another XDP program");
    assert_eq!(xdp_line("va"), before);
    tty.send("xxx");
    wait_header(&tty, "va tcx");
    quit(tty);
    assert_eq!(xdp_line("va"), before);
    assert_eq!(tcx_programs("va"), 0);
    drop(foreign);
}

#[test]
fn nothing_stays_attached_however_it_ends() {
    for (mode, hook) in [("generic", "generic"), ("native", "native"), ("off", "tcx")] {
        let in_namespace = move || {
            own_namespace();
            veth("va", "vb");
            let features = run("ethtool", "-k va");
            for signal in [Some(Signal::SIGKILL), Some(Signal::SIGTERM), None] {
                let _traffic = traffic("vb");
                let mut tty = dashboard("va", mode);
                wait_header(&tty, &format!("va {hook}"));
                tty.wait_until("traffic", |s| has_row(s, "10.0.0.1"));
                match signal {
                    Some(signal) => tty.kill(signal),
                    None => tty.send("q"),
                }
                let status = tty.wait();
                nothing_attached("va");
                assert_eq!(run("ethtool", "-k va"), features, "{mode} {signal:?}");
                if signal != Some(Signal::SIGKILL) {
                    assert_eq!(status, 0, "{mode} {signal:?}");
                    tty.assert_given_back();
                }
            }
        };
        std::thread::spawn(in_namespace).join().unwrap();
    }
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    own_namespace();
    veth("va", "vb");
    let there = Sender::on("vb");
    let mut first = dashboard("va", "auto");
    wait_header(&first, "va generic");
    let carried = xdp_line("va");
    let mut second = dashboard("va", "auto");
    wait_header(&second, "va tcx");
    second.wait_for("after foreign XDP");
    there.send(&frames(1, 10));
    for tty in [&mut first, &mut second] {
        counted(tty, "10.0.0.1", "600 bytes in 10 packets");
    }
    // The second ends, the first goes on; and a third as the second did.
    quit(second);
    assert_eq!(xdp_line("va"), carried);
    let mut third = dashboard("va", "auto");
    wait_header(&third, "va tcx");
    there.send(&frames(1, 10));
    counted(&mut first, "10.0.0.1", "1200 bytes in 20 packets");
    counted(&mut third, "10.0.0.1", "600 bytes in 10 packets");
    // The first ends: the other takes what has become free.
    quit(first);
    wait_header(&third, "va generic");
    there.send(&frames(1, 10));
    counted(&mut third, "10.0.0.1", "1200 bytes in 20 packets");
    quit(third);
    nothing_attached("va");
}

/// Counts that arrive while the screen is paused are there when it goes on.
#[test]
fn counting_goes_on_while_paused() {
    own_namespace();
    veth("va", "vb");
    let there = Sender::on("vb");
    let mut tty = dashboard("va", "generic");
    there.send(&frames(1, 10));
    counted(&mut tty, "10.0.0.1", "600 bytes in 10 packets");
    tty.send("p");
    let before = wait_header(&tty, "PAUSED");
    there.send(&frames(1, 90));
    let two: IpAddr = v4(2).into();
    there.send(&frames(2, 50));
    // Three intervals in which nothing may change; this cannot fail by a slow machine.
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert_eq!(tty.text(), before);
    tty.send("p");
    tty.wait_until("going on", |s| !s.contains("PAUSED"));
    counted(&mut tty, "10.0.0.1", "6000 bytes in 100 packets");
    counted(&mut tty, &two.to_string(), "3000 bytes in 50 packets");
    quit(tty);
}

/// `Enter` on a talker opens its details; `Esc` goes back to the same row, wherever it is now.
#[test]
fn the_details_of_a_talker_open_and_close() {
    own_namespace();
    veth("va", "vb");
    let there = Sender::on("vb");
    let udp = |n: u32, source: u16, dest: u16| {
        let mut packet = ipv4(v4(n), v4(99), 46);
        packet[20..22].copy_from_slice(&source.to_be_bytes());
        packet[22..24].copy_from_slice(&dest.to_be_bytes());
        ethernet(0x0800, &packet)
    };
    let mut tty = dashboard("va", "generic");
    there.send(&frames(1, 50));
    there.send(&vec![udp(2, 53, 40_000); 20]);
    tty.wait_until("both", |s| has_row(s, "10.0.0.1") && has_row(s, "10.0.0.2"));
    // By bytes: the first is 10.0.0.1, the second 10.0.0.2.
    tty.send("2ssssg");
    tty.wait_for("BYTES▼");
    tty.send("j\r");
    tty.wait_for("ports and protocols since ");
    there.send(&vec![udp(2, 53, 40_000); 300]);
    there.send(&vec![udp(2, 50_000, 51_000); 7]);
    tty.wait_for("rx 307 packets, tx 0");
    let screen = tty.wait_until("the ports", |s| s.contains("domain") && s.contains("50000"));
    assert!(screen.contains("udp 100 %") && screen.contains("0-63 100 %"), "{screen}");
    // Now the second is the first.
    tty.send("\x1b");
    tty.wait_until("the way back", |s| {
        !s.contains("ports and protocols") && has_row(s, "10.0.0.2")
    });
    tty.send("\r");
    let screen = tty.wait_for("first seen");
    assert!(screen.contains("10.0.0.2  first seen"), "{screen}");
    quit(tty);
    nothing_attached("va");
}

/// A frame that arrives on a port passes the bridge too.
#[test]
fn a_bridge_adds_nothing_to_the_sum() {
    own_namespace();
    veth("va", "vb");
    ip("link add br0 type bridge");
    ip("link set va master br0");
    ip("link set br0 up");
    let args = ["--interval", "200ms", "-i", "all", "--no-owners"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let tty = Tty::start(ebpftop(), &args, &env, (200, 45));
    tty.wait_until("all", |s| header(s).contains(" all (3), sum of 2 "));
    let busy = traffic("vb");
    // What is sent on vb and received on va; were the bridge in the sum, it would be a third.
    let half = |s: &str| {
        let row = s.lines().find(|l| l.contains("10.0.0.1 ") && l.contains(" va "));
        let share = row?.split(" %").next()?.split_whitespace().last()?.parse::<f64>().ok()?;
        Some((45.0..=55.0).contains(&share))
    };
    tty.wait_until("a share of a half", |s| half(s) == Some(true));
    drop(busy);
    quit(tty);
}
