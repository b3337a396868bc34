//! The whole program on this kernel, whichever it is: its lines, its screen, and that nothing stays
//! attached. Runs on every kernel of the matrix.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;

use crate::common::net::{Sender, ethernet, ip, ipv4, ipv6, own_namespace, v4, veth};
use crate::common::opener::opener;
use crate::common::opens::in_child;
use crate::common::patience::until;
use crate::common::program::{Ended, Stream, ebpftop};
use crate::common::tty::Tty;
use libbpf_rs::query::ProgInfoIter;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

/// Packets and bytes by address of the last line of a direction; that line adds up.
fn sources(run: &Ended, direction: &str) -> (BTreeMap<String, (u64, u64)>, (u64, u64)) {
    let lines = run.of_type("talkers");
    let line = lines.into_iter().rfind(|l| l["direction"] == direction).unwrap();
    let of = |s: &Value| {
        (s["ip"].as_str().unwrap().to_owned(), (number(s, "packets"), number(s, "bytes")))
    };
    let sources: BTreeMap<_, _> = line["sources"].as_array().unwrap().iter().map(of).collect();
    let other = (number(&line, "other_packets"), number(&line, "other_bytes"));
    let sum = sources.values().fold(other, |sum, s| (sum.0 + s.0, sum.1 + s.1));
    assert_eq!(sum, (number(&line, "packets"), number(&line, "bytes")), "{line}");
    (sources, other)
}

/// Prints the sizes of the loaded programs, to compare kernels.
fn say_programs() {
    println!(); // from the harness's own line
    for program in ProgInfoIter::default() {
        println!("@@ insns {} {}", program.name.to_string_lossy(), program.verified_insns);
    }
}

#[test]
fn known_opens_are_reported_with_their_resolved_paths_and_results() {
    const TIMES: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/file"), "x").unwrap();
    std::os::unix::fs::symlink("a/file", root.join("link")).unwrap();
    let stream = Stream::json(&["opens", "--process", "ebpf-opener"]);
    say_programs();
    // Relative to the working directory, through "..", through a link, and without success.
    in_child(|| {
        nix::sys::prctl::set_name(c"ebpf-opener").unwrap();
        std::env::set_current_dir(root.join("a")).unwrap();
        for _ in 0..TIMES {
            for path in ["file", "b/../file", "../link", "../none"] {
                let _ = File::open(path);
            }
        }
    });
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let opens = run.of_type("open");
    let file = root.join("a/file").to_str().unwrap().to_owned();
    for (path, resolved, kind, errno) in [
        ("file", file.clone(), "opened", Value::Null),
        ("b/../file", file.clone(), "opened", Value::Null),
        ("../link", file, "opened", Value::Null),
        ("../none", format!("{}/a/../none", root.display()), "tried", json!("ENOENT")),
    ] {
        let ours: Vec<_> = opens.iter().filter(|o| o["path"] == path).collect();
        assert_eq!(ours.len() as u64, TIMES, "{path}");
        for open in ours {
            assert_eq!(open["resolved"], json!(resolved), "{open}");
            assert_eq!(open["resolved_kind"], kind);
            assert_eq!(open["errno"], errno);
            assert_eq!(open["process"], "ebpf-opener");
        }
    }
    let summary = run.of_type("summary").remove(0);
    let written = number(&summary, "opens");
    assert_eq!(written, opens.len() as u64);
    assert!(number(&summary, "opens_seen") >= written, "{summary}");
}

#[test]
fn known_frames_are_reported_in_every_mode() {
    let v6 = ipv6("2001:db8::d".parse().unwrap(), "2001:db8::1".parse().unwrap(), 17, 100);
    let of = |n: usize, frame: Vec<u8>| std::iter::repeat_n(frame, n);
    let frames: Vec<_> = of(60, ethernet(0x0800, &ipv4(v4(1), v4(99), 500)))
        .chain(of(20, ethernet(0x86dd, &v6)))
        .chain(of(10, ethernet(0x0806, &[0; 28])))
        .collect();
    own_namespace();
    veth("vt0", "vt1");
    for mode in ["generic", "native", "off"] {
        let stream =
            Stream::json(&["talkers", "-i", "vt0", "--interval", "200ms", "--xdp-mode", mode]);
        say_programs();
        Sender::on("vt1").send(&frames);
        Sender::on("vt0").send(&frames);
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{mode}: {}", run.stderr);
        let ready = run.of_type("ready").remove(0);
        println!(
            "@@ note rx by {}, tx by {} with --xdp-mode {mode}",
            ready["xdp_mode"], ready["tx_mode"]
        );
        let expected = BTreeMap::from([
            (v4(1).to_string(), (60, 60 * 514)),
            ("2001:db8::d".to_owned(), (20, 20 * 114)),
        ]);
        assert_eq!(sources(&run, "rx"), (expected, (10, 10 * 42)), "{mode}");
        let expected = BTreeMap::from([
            (v4(99).to_string(), (60, 60 * 514)),
            ("2001:db8::1".to_owned(), (20, 20 * 114)),
        ]);
        assert_eq!(sources(&run, "tx"), (expected, (10, 10 * 42)), "{mode}");
    }
}

#[test]
fn each_packet_on_lo_is_one_sent_and_one_received() {
    own_namespace();
    ip("link set lo up");
    let stream = Stream::json(&["talkers", "-i", "lo", "--interval", "200ms"]);
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.2:0").unwrap();
    for _ in 0..50 {
        sender.send_to(&[7; 100], receiver.local_addr().unwrap()).unwrap();
    }
    let run = stream.interrupt();
    // 14 bytes of Ethernet header, 20 of IP, 8 of UDP
    assert_eq!(sources(&run, "rx").0, BTreeMap::from([("127.0.0.2".into(), (50, 50 * 142))]));
    assert_eq!(sources(&run, "tx").0, BTreeMap::from([("127.0.0.1".into(), (50, 50 * 142))]));
}

/// The dashboard's first screen, its filter, a switch to another interface, and the terminal as
/// it was.
#[test]
fn the_dashboard_shows_filters_switches_and_goes() {
    own_namespace();
    veth("vt0", "vt1");
    let _opener = opener("ebpf-shown");
    let mut tty = Tty::start(
        ebpftop(),
        &["-i", "vt0", "--interval", "200ms"],
        &[("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")],
        (80, 24),
    );
    tty.wait_until("the first screen", |s| {
        ["ebpftop", "vt0", "lost 0", "Files", "Talkers", "PROGRAM"].iter().all(|t| s.contains(t))
    });
    tty.send("/ebpf-shown\r");
    tty.wait_until("the filter", |s| {
        s.contains("filter ebpf-shown") && s.contains(" 1 of ") && s.contains("missing-ebpf-shown")
    });
    Sender::on("vt0").send(&vec![ethernet(0x0800, &ipv4(v4(1), v4(99), 46)); 10]);
    tty.send("n");
    tty.wait_until("the other interface", |s| s.contains("vt1 "));
    Sender::on("vt0").send(&vec![ethernet(0x0800, &ipv4(v4(77), v4(99), 46)); 10]);
    tty.send("2");
    tty.wait_for("10.0.0.77");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
    assert!(!ip("-d link show").contains("xdp"), "a program stayed");
}

/// Connections with their process, by BPF programs where the kernel takes them, else by polling.
#[test]
fn known_connections_are_reported_with_their_process() {
    own_namespace();
    ip("link set lo up");
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_str().unwrap().to_owned();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse().unwrap_or(0u32));
    if (numbers.next().unwrap(), numbers.next().unwrap()) < (5, 12) {
        // Refused there, and polled: a partial answer.
        let args = ["stream", "connections", "--duration", "1s", "--format", "json"];
        let run = crate::common::program::run(&args);
        assert_eq!(run.code(), 1, "{}", run.stderr);
        let ready = &run.of_type("ready")[0];
        assert_eq!(ready["attribution"], "procfs", "{ready}");
        let why = ready["missing"][0].to_string();
        assert!(why.contains("the kernel refused to load tcp_state"), "{ready}");
        return;
    }
    let stream = Stream::json(&["connections", "--interval", "200ms"]);
    say_programs();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let client = std::thread::spawn(move || {
        let mut conn = TcpStream::connect(to).unwrap();
        conn.write_all(&[7; 100_001]).unwrap();
    });
    let mut got = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
    client.join().unwrap();
    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    one.send_to(&[7; 321], other.local_addr().unwrap()).unwrap();
    other.recv(&mut [0; 400]).unwrap();
    drop((one, other));
    let run = stream.interrupt();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let netns = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let of = |kind: &str| -> Vec<Value> {
        let mut lines = run.of_type(kind);
        lines.retain(|l| l["netns"] == netns && l["pid"] == std::process::id());
        lines
    };
    assert_eq!((of("connect").len(), of("accept").len()), (1, 1));
    let mut carried: Vec<(u64, u64)> =
        of("close").iter().map(|l| (number(l, "rx_bytes"), number(l, "tx_bytes"))).collect();
    carried.sort_unstable();
    let mut expected = vec![(0, 321), (0, 100_001), (321, 0), (100_001, 0)];
    let ready = &run.of_type("ready")[0];
    if ready["attribution"] == "connection" {
        // Bytes are TCP's own counters there, and the line says what is missing.
        assert!(ready["missing"].to_string().contains("by calling process, datagrams"), "{ready}");
        expected.retain(|(rx, tx)| rx + tx == 100_001);
    } else {
        assert_eq!(ready["attribution"], "call", "{ready}");
    }
    assert_eq!(carried, expected);
}

#[test]
fn nothing_stays_after_sigkill() {
    own_namespace();
    veth("vt0", "vt1");
    let state = || ["vt0", "vt1"].map(|name| ip(&format!("-d link show {name}")));
    let before = state();
    for mode in ["generic", "native", "off"] {
        // tracepoints cannot be distinguished from here; once they are there too
        let kinds: &[&str] = if mode == "native" { &[] } else { &["talkers"] };
        let mut stream = Stream::json(&[kinds, &["-i", "vt0", "--xdp-mode", mode]].concat());
        let with = state();
        assert_eq!(with != before, mode != "off", "attached in mode {mode}: {with:?}");
        stream.signal(Signal::SIGKILL);
        stream.child.wait().unwrap();
        until(&format!("{before:?} after {mode}"), || (state() == before).then_some(()));
    }
}
