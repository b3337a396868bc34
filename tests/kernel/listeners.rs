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

use crate::common::conns::*;
use crate::common::net::own_namespace;
use crate::common::patience::until;
use crate::common::program::{ebpftop, ended};
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
