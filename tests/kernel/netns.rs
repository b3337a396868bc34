//! `--netns`: another network namespace is watched from outside, by name, process or path, and left
//! when it ends. The whole program, in namespaces of the test's own. Needs root.

use std::process::{Child, Command};

use crate::common::net::*;
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop, run, run_without_privileges};
use crate::common::tty::{Tty, touch};
use nix::mount::{MsFlags, mount};

/// Names of namespaces that this test alone sees; outside, with `va`, and `blue`, with `vb`.
fn outside_of_blue() {
    own_namespace();
    let none = None::<&str>;
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    ip("netns add blue");
    run_in_blue("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    pair("va", "vb");
}

fn run_in_blue(command: &str) -> String {
    ip(&format!("netns exec blue {command}"))
}

/// A pair with one end in `blue`, both up.
fn pair(here: &str, there: &str) {
    ip(&format!("link add {here} type veth peer name {there} netns blue"));
    ip(&format!("link set {here} up"));
    ip(&format!("-n blue link set {there} up"));
}

fn frames(n: u32, count: usize) -> Vec<Vec<u8>> {
    vec![ethernet(0x0800, &ipv4(v4(n), v4(99), 46)); count]
}

/// A process in `blue`.
struct Inside(Child);

impl Inside {
    fn new() -> Self {
        let child = Command::new("ip").args(["netns", "exec", "blue", "sleep", "600"]).spawn();
        let inside = Self(child.unwrap());
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let its = format!("/proc/{}/ns/net", inside.0.id());
        until("its namespace", || (std::fs::read_link(&its).unwrap() != own).then_some(()));
        inside
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_name_a_process_and_a_path_lead_there_and_opens_are_machine_wide() {
    outside_of_blue();
    let inside = Inside::new();
    let pid = inside.0.id().to_string();
    let dir = tempfile::tempdir().unwrap();
    for named in ["blue", &pid, "/run/netns/blue"] {
        let args = ["--netns", named, "-i", "vb", "--interval", "100ms"];
        let stream = Stream::json(&args);
        Sender::on("va").send(&frames(1, 70));
        let file = touch(dir.path(), &format!("of-{}", named.len()));
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{}", run.stderr);
        let ready = &run.of_type("ready")[0];
        assert_eq!((&ready["netns"], &ready["interface"]), (&named.into(), &"vb".into()));
        assert_eq!(ready["xdp_mode"], "generic");
        let lines = run.of_type("talkers");
        let rx = lines.iter().rfind(|l| l["direction"] == "rx").unwrap();
        assert_eq!((&rx["packets"], &rx["bytes"]), (&70.into(), &4200.into()), "{named}");
        let path = file.to_str().unwrap();
        assert!(run.of_type("open").iter().any(|o| o["resolved"] == path), "opened out here");
        assert!(!run_in_blue("ip -d link show dev vb").contains("xdp"));
    }
    // Without an interface it is the one that is up there; `all` are all of that namespace.
    let text = Stream::text(&["talkers", "--netns", "blue"]).interrupt();
    assert!(
        text.stderr.contains("talkers on vb in netns blue (rx generic, tx socket)"),
        "{text:?}"
    );
    run_in_blue("ip link set lo up");
    let all = Stream::json(&["talkers", "--netns", "blue", "-i", "all"]).interrupt();
    let ready = all.of_type("ready")[0].clone();
    let of = |at: usize| ready["interfaces"][at]["interface"].as_str().unwrap().to_owned();
    assert_eq!([of(0), of(1)], ["lo", "vb"]);
}

#[test]
fn a_namespace_that_cannot_be_entered_is_reported() {
    outside_of_blue();
    std::fs::write("/run/netns/file", b"").unwrap();
    for (named, reported) in [
        (
            "blew",
            "watch the network namespace blew: there is none; a process id or a path will do, or one of these: blue, file",
        ),
        ("999999999", "namespace 999999999: there is none"),
        ("/run/nothing", "namespace /run/nothing: there is none"),
        ("file", "this is not a network namespace; give a name of `ip netns`, a process id"),
        ("/proc/self/ns/uts", "this is not a network namespace"),
        ("a\x1bb", "namespace a\\x1bb: there is none"),
    ] {
        let run = run(&["stream", "talkers", "--netns", named]);
        assert_eq!(run.code(), 1, "{named}");
        assert!(run.stderr.contains(reported), "{named}: {}", run.stderr);
    }
    let run = run_without_privileges(&["stream", "talkers", "--netns", "/proc/self/ns/net"]);
    assert!(run.stderr.contains("this needs root; run it with sudo"), "{}", run.stderr);
    // The talkers cannot start, the opens go on.
    let half = Stream::json(&["--netns", "blew"]).interrupt();
    assert_eq!(half.code(), 1);
    let ready = &half.of_type("ready")[0];
    assert_eq!((&ready["opens"], &ready["talkers"]), (&true.into(), &false.into()));
}

/// Waits until the kernel has removed the namespace, and with it the other end of its veth.
fn until_it_is_no_more() {
    until("the end of the namespace", || {
        let shown = Command::new("ip").args(["link", "show", "dev", "va"]).output().unwrap();
        (!shown.status.success()).then_some(())
    });
}

#[test]
fn a_namespace_that_ends_is_left_and_the_opens_go_on() {
    for by_name in [true, false] {
        let test = move || {
            outside_of_blue();
            let mut inside = Inside::new();
            let pid = inside.0.id().to_string();
            let named = if by_name { "blue" } else { &pid };
            // Its next tick is a minute away: the end is noticed before.
            let args = ["--netns", named, "-i", "vb", "--interval", "60s", "--path", "afterwards"];
            let stream = Stream::json(&args);
            Sender::on("va").send(&frames(1, 30));
            ip("netns del blue");
            inside.end();
            until_it_is_no_more();
            let dir = tempfile::tempdir().unwrap();
            let file = touch(dir.path(), "afterwards");
            let run = stream.interrupt();
            assert_eq!(run.code(), 1, "{}", run.stderr);
            let reported = format!("watch the network namespace {named}: /");
            assert!(run.stderr.contains(&reported), "{}", run.stderr);
            assert!(run.stderr.contains("is gone; start again when it is back"), "{}", run.stderr);
            assert!(run.of_type("open").iter().any(|o| o["resolved"] == file.to_str().unwrap()));
            // The counts until then are reported.
            assert_eq!(run.of_type("summary")[0]["rx_packets"], 30, "{:?}", run.of_type("talkers"));
        };
        std::thread::spawn(test).join().unwrap();
    }
}

#[test]
fn the_dashboard_says_which_and_switches_within_it() {
    outside_of_blue();
    pair("wa", "wb");
    ip("-n blue addr add 10.0.0.5/24 dev vb");
    let args = ["--interval", "200ms", "--netns", "blue", "-i", "vb"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (160, 45));
    tty.wait_for("netns blue · vb generic");
    Sender::on("va").send(&frames(5, 3));
    tty.wait_until("a mark from there", |s| s.contains("10.0.0.5 ") && s.contains(" self "));
    tty.send("i");
    tty.wait_until("its interfaces alone", |s| {
        s.contains("Interfaces of netns blue") && s.contains(" wb ") && !s.contains(" va ")
    });
    tty.send("\x1b");
    tty.send("n");
    tty.wait_for("netns blue · wb generic");
    tty.send("b");
    tty.wait_for("netns blue · vb generic");
    ip("netns del blue");
    tty.wait_for("/run/netns/blue is gone");
    until_it_is_no_more();
    tty.send("i");
    tty.wait_for("the talkers probe is not running");
    tty.send("q");
    assert_eq!(tty.wait(), 1);
    tty.assert_given_back();
}
