//! Listeners of two network namespaces, as `ss -lp` prints them in each, and in the dashboard.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;

use ebpftop::model::conn::{TCP, UDP};
use ebpftop::model::listener::{Listener, Listeners};
use ebpftop::probes::connections::listeners;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use serde_json::{Value, json};

use crate::common::conns::*;
use crate::common::net::own_namespace;
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop, ended, run};
use crate::common::tty::Tty;

/// Protocol, address, waiting, limit of TCP, and process of each listener.
type Rows = BTreeSet<(u16, SocketAddr, u32, Option<u32>, u32)>;

/// What `ss` prints, in the namespace of a process where one is given.
fn ss(of: Option<i32>) -> Rows {
    let mut rows = Rows::new();
    for (protocol, which) in [(TCP, "-Hltnp"), (UDP, "-Hlunp")] {
        let out = match of {
            Some(pid) => {
                ended(Command::new("nsenter").args(["-t", &pid.to_string(), "-n", "ss", which]))
            }
            None => ended(Command::new("ss").arg(which)),
        };
        let text = String::from_utf8(out.stdout).unwrap();
        for line in text.lines() {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let (ip, port) = words[3].rsplit_once(':').unwrap();
            // Both families at once.
            let ip = if ip == "*" { "::" } else { ip.trim_matches(['[', ']']) };
            let local = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port.parse().unwrap());
            let (_, pid) = line.split_once("pid=").unwrap();
            let pid = pid.split(',').next().unwrap().parse().unwrap();
            let limit = (protocol == TCP).then(|| words[2].parse().unwrap());
            rows.insert((protocol, local, words[1].parse().unwrap(), limit, pid));
        }
    }
    rows
}

/// The found ones of a namespace.
fn found_in(found: &Listeners, netns: u64) -> Vec<&Listener> {
    found.rows.iter().filter(|l| u64::from(l.netns) == netns).collect()
}

fn rows(found: &[&Listener]) -> Rows {
    let row = |l: &&Listener| {
        let pid = l.owner.expect("the process is found").key.tgid;
        (l.protocol, l.local, l.waiting, l.limit, pid)
    };
    found.iter().map(row).collect()
}

/// Sockets of both protocols and families.
fn listen() -> (Vec<TcpListener>, Vec<UdpSocket>) {
    let tcp = ["127.0.0.1", "::1", "::"].map(|ip| TcpListener::bind(local(ip)).unwrap());
    let udp = ["127.0.0.1", "::1"].map(|ip| UdpSocket::bind(local(ip)).unwrap());
    udp[0].send_to(&[0; 100], udp[0].local_addr().unwrap()).unwrap();
    (tcp.into(), udp.into())
}

#[test]
fn listeners_are_those_of_ss_in_each_namespace() {
    own_namespace();
    lo_up();
    // Before there are sockets here, which it would have open, too.
    let (ready, go) = (Gate::new(), Gate::new());
    let there = process(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        lo_up();
        let sockets = listen();
        ready.open();
        go.wait();
        drop(sockets);
    });
    ready.wait();
    let here = listen();
    let full = &here.0[0];
    // Room for two: more than the limit may wait.
    nix::sys::socket::listen(full, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let to = SockaddrStorage::from(full.local_addr().unwrap());
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let flags = SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
            assert_eq!(connect(fd.as_raw_fd(), &to), Err(Errno::EINPROGRESS));
            fd
        })
        .collect();
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!("/proc/{there}/ns/net")).unwrap(),
    );
    let found = until("the queue to fill", || {
        let found = listeners();
        let full = found.rows.iter().find(|l| l.local == full.local_addr().unwrap());
        full.is_some_and(|l| l.waiting == 2 && l.drops > Some(0)).then_some(found)
    });
    assert_eq!((found.left_out, &found.problem), (0, &None));
    let own = found_in(&found, netns());
    assert_eq!(rows(&own), ss(None));
    assert_eq!(own.len(), 5, "{own:?}");
    assert!(own.iter().all(|l| l.drops.is_some() && l.cgroup.is_some()), "{own:?}");
    // Elsewhere the limit is not known.
    let others = found_in(&found, inode);
    let truth: Rows = ss(Some(there.as_raw()))
        .into_iter()
        .map(|(protocol, local, waiting, _, pid)| (protocol, local, waiting, None, pid))
        .collect();
    assert_eq!(rows(&others), truth);
    assert_eq!(others.len(), 5, "{others:?}");
    assert!(others.iter().all(|l| l.owner.unwrap().key.tgid == there.as_raw().unsigned_abs()));
    drop(clients);
    go.open();
    done(there);
    let gone = listeners();
    assert!(found_in(&gone, inode).is_empty(), "{gone:?}");
}

#[test]
fn the_dashboard_shows_listeners() {
    own_namespace();
    lo_up();
    let (tcp, udp) = listen();
    let args = ["--interval", "300ms", "-i", "lo", "--xdp-mode", "off"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent")];
    let mut tty = Tty::start(ebpftop(), &args, &env, (100, 30));
    tty.wait_for("2 Talkers");
    tty.send("ct");
    tty.wait_for("2 Listeners");
    tty.send(&format!("/pid:{}\r", std::process::id()));
    let ports: Vec<(&str, SocketAddr)> = tcp
        .iter()
        .map(|l| ("tcp", l.local_addr().unwrap()))
        .chain(udp.iter().map(|s| ("udp", s.local_addr().unwrap())))
        .collect();
    tty.wait_until("all of them", |screen| {
        ports.iter().all(|(protocol, local)| {
            let local = format!(" {local} ");
            screen
                .lines()
                .any(|l| l.contains(&local) && l.contains(protocol) && l.contains(" kernel"))
        })
    });
    let gone = format!(" {} ", ports[0].1);
    drop(tcp);
    tty.wait_until("the end of the first", |screen| !screen.contains(&gone));
    tty.send("t");
    tty.wait_for("2 Talkers");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// The lines about the listener at an address.
fn about(lines: &[Value], local: SocketAddr) -> Vec<Value> {
    let is = |line: &&Value| {
        line["type"] == "listener"
            && line["local_ip"] == local.ip().to_string()
            && line["local_port"] == local.port()
    };
    lines.iter().filter(is).cloned().collect()
}

#[test]
fn lines_say_what_changes_between_readings() {
    own_namespace();
    lo_up();
    let old = TcpListener::bind(local("127.0.0.1")).unwrap();
    let at = old.local_addr().unwrap();
    let pid = std::process::id().to_string();
    let mut stream = Stream::json(&["listeners", "--interval", "100ms", "--pid", &pid]);
    stream.until("the one that was there", |line| line["event"] == "seen");
    let new = UdpSocket::bind(local("::1")).unwrap();
    let new_at = new.local_addr().unwrap();
    stream.until("the new one", |line| line["event"] == "listen");
    new.send_to(&[0; 100], new_at).unwrap();
    stream.until("its queue", |line| line["event"] == "change" && line["waiting"] != 0);
    // One that no process accepts.
    let client = std::net::TcpStream::connect(at).unwrap();
    stream.until("a connection that waits", |line| {
        line["event"] == "change" && line["protocol"] == "tcp" && line["waiting"] == 1
    });
    drop((new, client));
    stream.until("the end", |line| line["event"] == "close");
    let end = stream.interrupt();
    // Namespaces of other tests come and go: one that cannot be read makes it 1.
    assert!(end.code() < 2, "{end:?}");
    let lines = end.lines();
    assert_eq!(lines[0]["listeners"], true, "{}", lines[0]);
    assert_eq!(lines[lines.len() - 1]["listeners_left_out"], 0, "{}", lines[lines.len() - 1]);
    let of_old = about(&lines, at);
    assert!(
        of_old.iter().all(
            |line| line["since"].is_null() && line["pid"] == json!(pid.parse::<u32>().unwrap())
        )
    );
    assert_eq!(of_old[0]["limit"], 128, "{}", of_old[0]);
    let of_new = about(&lines, new_at);
    let events: Vec<_> = of_new.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("listen", "close"), "{of_new:?}");
    assert_eq!(of_new[0]["since"], of_new[0]["time"]);
    assert!(of_new.iter().all(|line| line["since"].is_string()), "{of_new:?}");
}

#[test]
fn a_recording_and_a_report_have_listeners() {
    own_namespace();
    lo_up();
    let (tcp, udp) = listen();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.ebpftop");
    let name = file.to_str().unwrap();
    let recorded = run(&["record", name, "--duration", "1s", "-i", "lo", "--xdp-mode", "off"]);
    assert_eq!(recorded.code(), 0, "{recorded:?}");
    let pid = std::process::id().to_string();
    let of = |args: &[&str]| {
        let args = [args, &["--by", "listener", "--format", "json", "--pid", &pid]].concat();
        // Namespaces of other tests come and go: one that cannot be read makes it 1.
        let report = until("a report", || Some(run(&args)).filter(|report| report.code() < 2));
        let of = |line: &Value| {
            let ip: IpAddr = line["local_ip"].as_str().unwrap().parse().unwrap();
            SocketAddr::new(ip, u16::try_from(line["local_port"].as_u64().unwrap()).unwrap())
        };
        report.lines().iter().map(of).collect::<BTreeSet<_>>()
    };
    let locals = tcp.iter().map(|l| l.local_addr()).chain(udp.iter().map(|s| s.local_addr()));
    let truth: BTreeSet<SocketAddr> = locals.map(Result::unwrap).collect();
    assert_eq!(of(&["report"]), truth);
    drop((tcp, udp));
    assert!(of(&["report"]).is_empty());
    assert_eq!(of(&["report", name]), truth);
    let mut tty = Tty::start(ebpftop(), &["replay", name], &[], (100, 30));
    tty.wait_for("2 Talkers");
    tty.send("ct");
    tty.wait_for("2 Listeners");
    tty.send(&format!("/pid:{pid}\r"));
    tty.wait_until("all of them", |screen| {
        truth.iter().all(|local| screen.contains(&format!(" {local} ")))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn the_dashboard_counts_accepted_connections() {
    own_namespace();
    lo_up();
    let args = ["--interval", "300ms", "-i", "lo", "--xdp-mode", "off"];
    let mut tty = Tty::start(ebpftop(), &args, &[("XDG_CONFIG_HOME", "/nonexistent")], (200, 50));
    tty.wait_for("2 Talkers");
    tty.send("c");
    tty.wait_for(" open ");
    tty.send("te");
    tty.wait_for("2 Listeners");
    tty.send(&format!("/pid:{}\r", std::process::id()));
    let listener = TcpListener::bind(local("::")).unwrap();
    let at = listener.local_addr().unwrap();
    for _ in 0..3 {
        let client = std::net::TcpStream::connect(("::1", at.port())).unwrap();
        drop((listener.accept().unwrap(), client));
    }
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    tty.wait_until("three accepted ones", |screen| {
        let row = screen.lines().find(|line| line.contains(&format!(" {at} ")));
        // Then waiting, limit, drops, and how many were accepted.
        row.is_some_and(|row| {
            let words = words(row);
            let local = words.iter().position(|word| *word == at.to_string());
            local.and_then(|local| words.get(local + 4)).is_some_and(|n| n == "3")
        })
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
