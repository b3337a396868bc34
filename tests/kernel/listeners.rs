//! Listeners of two network namespaces, as `ss -lp` prints them in each, and in the dashboard.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use ebpftop::model::bound::Bound;
use ebpftop::model::conn::{TCP, UDP};
use ebpftop::model::listener::{Listener, Listeners};
use ebpftop::probes::listeners::ListenerReader;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, socket,
};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::common::conns::*;
use crate::common::net::own_namespace;
use crate::common::patience::{exited, until};
use crate::common::program::{Stream, ebpftop, ended, program, run};
use crate::common::tty::Tty;

/// Protocol, address, waiting, limit of TCP, drops, and process of each listener.
type Rows = BTreeSet<(u16, SocketAddr, u32, Option<u32>, u32, u32)>;

/// What `ss` prints, in the namespace of a process where one is given.
fn ss(of: Option<i32>) -> Rows {
    let mut rows = Rows::new();
    for (protocol, which) in [(TCP, "-HOltnpm"), (UDP, "-HOlunpm")] {
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
            // skmem:(…,bl0,d17)
            let (_, drops) = line.rsplit_once(",d").unwrap();
            let drops = drops.split(')').next().unwrap().parse().unwrap();
            rows.insert((protocol, local, words[1].parse().unwrap(), limit, drops, pid));
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
        let drops = l.drops.expect("the drops are known");
        let Bound::Ip { protocol, local, .. } = l.bound else { panic!("{l:?}") };
        (protocol, local, l.waiting, l.limit, drops, pid)
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

/// Connections to a listener that accepts none and has room for two: more than the limit may wait.
pub fn fill(full: &TcpListener) -> Vec<OwnedFd> {
    nix::sys::socket::listen(full, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let to = SockaddrStorage::from(full.local_addr().unwrap());
    let connect = |_| {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        assert_eq!(connect(fd.as_raw_fd(), &to), Err(Errno::EINPROGRESS));
        fd
    };
    (0..4).map(connect).collect()
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
        let clients = fill(&sockets.0[0]);
        ready.open();
        go.wait();
        drop((sockets, clients));
    });
    ready.wait();
    let here = listen();
    let clients = fill(&here.0[0]);
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!("/proc/{there}/ns/net")).unwrap(),
    );
    let reader = ListenerReader::load(false);
    assert_eq!(reader.missing(), []);
    // The clients try again, which is dropped again.
    let found = until("the listeners of ss, with full queues", || {
        let found = reader.read();
        let is = |netns, of| {
            let rows = rows(&found_in(&found, netns));
            let is_full = rows.iter().any(|row| row.2 == 2 && row.3 == Some(1) && row.4 > 0);
            is_full && rows == ss(of)
        };
        (is(netns(), None) && is(inode, Some(there.as_raw()))).then_some(found)
    });
    assert_eq!((found.left_out, &found.problem), (0, &None));
    let (own, others) = (found_in(&found, netns()), found_in(&found, inode));
    assert_eq!((own.len(), others.len()), (5, 5), "{own:?} {others:?}");
    assert!(own.iter().all(|l| l.cgroup.is_some()), "{own:?}");
    assert!(others.iter().all(|l| l.owner.unwrap().key.tgid == there.as_raw().unsigned_abs()));
    drop(clients);
    go.open();
    done(there);
    let gone = reader.read();
    assert!(found_in(&gone, inode).is_empty(), "{gone:?}");
}

/// A listener of MPTCP at an own port of 127.0.0.1, as programs of Go make them.
fn multipath() -> OwnedFd {
    // SAFETY: a plain call.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 262) };
    assert!(fd >= 0, "this needs a kernel with CONFIG_MPTCP: {}", std::io::Error::last_os_error());
    // SAFETY: the descriptor has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    bind(fd.as_raw_fd(), &SockaddrStorage::from(local("127.0.0.1"))).unwrap();
    nix::sys::socket::listen(&fd, nix::sys::socket::Backlog::new(7).unwrap()).unwrap();
    fd
}

/// The process holds the socket of MPTCP, and the kernel lists the subflow.
#[test]
fn listeners_of_multipath_tcp_have_their_process_and_queue() {
    own_namespace();
    lo_up();
    let (ready, go) = (Gate::new(), Gate::new());
    let there = process(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        lo_up();
        let listener = multipath();
        ready.open();
        go.wait();
        drop(listener);
    });
    ready.wait();
    let here = multipath();
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!("/proc/{there}/ns/net")).unwrap(),
    );
    let found = ListenerReader::load(false).read();
    let pids = [(netns(), std::process::id()), (inode, there.as_raw().unsigned_abs())];
    for (netns, pid) in pids {
        let rows = rows(&found_in(&found, netns));
        let all: Vec<_> = rows.iter().map(|row| (row.0, row.2, row.3, row.4, row.5)).collect();
        assert_eq!(all, [(TCP, 0, Some(7), 0, pid)], "{found:?}");
    }
    drop(here);
    go.open();
    done(there);
}

/// A thread with descriptors of its own: those of the process's first thread lack the listener.
#[test]
fn a_listener_that_one_thread_has_open_has_its_process() {
    own_namespace();
    lo_up();
    let (made, is_made) = std::sync::mpsc::channel();
    let (end, is_end) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_FILES).unwrap();
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        made.send(()).unwrap();
        // Until the other end is gone.
        let _ = is_end.recv();
        drop(listener);
    });
    is_made.recv().unwrap();
    let found = ListenerReader::load(false).read();
    let own = found_in(&found, netns());
    assert_eq!(own.len(), 1, "{own:?}");
    let pid = own[0].owner.expect("the process is found").key.tgid;
    assert_eq!((pid, own[0].others), (std::process::id(), 0), "{own:?}");
    drop(end);
    thread.join().unwrap();
}

/// The longest path has no NUL in `sun_path`.
#[test]
fn a_unix_listener_elsewhere_has_the_longest_path() {
    let dir = tempfile::tempdir().unwrap();
    let room = 108 - dir.path().as_os_str().len() - 1;
    let path = dir.path().join("x".repeat(room));
    let path = path.to_str().unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let there = process(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
        let fd = fd.unwrap();
        // SAFETY: all of it may be zero.
        let mut at: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        at.sun_family = libc::AF_UNIX as u16;
        for (to, from) in at.sun_path.iter_mut().zip(path.bytes()) {
            *to = from as libc::c_char;
        }
        let len = size_of_val(&at) as u32;
        // SAFETY: the address is `len` bytes long.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const at).cast(), len) };
        assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
        nix::sys::socket::listen(&fd, nix::sys::socket::Backlog::new(3).unwrap()).unwrap();
        ready.open();
        go.wait();
        drop(fd);
    });
    ready.wait();
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!("/proc/{there}/ns/net")).unwrap(),
    );
    let found = ListenerReader::load(true).read();
    let rows = unix_rows(&found_in(&found, inode), "");
    let pid = there.as_raw().unsigned_abs();
    assert_eq!(Vec::from_iter(rows), [("u_str".into(), path.to_owned(), 0, 3, pid)]);
    go.open();
    done(there);
}

/// Type, name, waiting, limit and process of each Unix socket that listens.
type UnixRows = BTreeSet<(String, String, u32, u32, u32)>;

/// What `ss` prints of the Unix sockets whose name contains `mine`, in the namespace of a process where one
/// is given.
fn ss_unix(of: Option<i32>, mine: &str) -> UnixRows {
    let out = match of {
        Some(pid) => {
            ended(Command::new("nsenter").args(["-t", &pid.to_string(), "-n", "ss", "-Hxlp"]))
        }
        None => ended(Command::new("ss").arg("-Hxlp")),
    };
    let text = String::from_utf8(out.stdout).unwrap();
    let row = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, pid) = line.split_once("pid=").unwrap();
        let pid = pid.split(',').next().unwrap().parse().unwrap();
        let number = |at: usize| words[at].parse().unwrap();
        (words[0].to_owned(), words[4].to_owned(), number(2), number(3), pid)
    };
    text.lines().filter(|line| line.contains(mine)).map(row).collect()
}

fn unix_rows(found: &[&Listener], mine: &str) -> UnixRows {
    let row = |l: &&Listener| {
        let pid = l.owner.expect("the process is found").key.tgid;
        let limit = l.limit.expect("the limit is known");
        (l.bound.protocol().into_owned(), l.bound.to_string(), l.waiting, limit, pid)
    };
    let unix = found.iter().filter(|l| l.bound.unix().is_some());
    unix.filter(|l| l.bound.to_string().contains(mine)).map(row).collect()
}

/// Listeners by a path, by an abstract name and of the type seqpacket, with two connections that wait.
fn listen_by_names(dir: &Path, mine: &str) -> Vec<OwnedFd> {
    let path = dir.join(format!("{mine}.sock"));
    let stream = UnixListener::bind(&path).unwrap();
    let name = unix::SocketAddr::from_abstract_name(format!("{mine}-abstract")).unwrap();
    let by_name = UnixListener::bind_addr(&name).unwrap();
    let flags = SockFlag::SOCK_CLOEXEC;
    let seq = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    let at = UnixAddr::new_abstract(format!("{mine}-seq").as_bytes()).unwrap();
    bind(seq.as_raw_fd(), &at).unwrap();
    nix::sys::socket::listen(&seq, nix::sys::socket::Backlog::new(3).unwrap()).unwrap();
    let clients = [(); 2].map(|()| OwnedFd::from(UnixStream::connect(&path).unwrap()));
    [stream.into(), by_name.into(), seq].into_iter().chain(clients).collect()
}

#[test]
fn unix_listeners_are_those_of_ss_in_each_namespace() {
    own_namespace();
    lo_up();
    let dir = tempfile::tempdir().unwrap();
    let mine = format!("ebpftop-{}", std::process::id());
    let (ready, go) = (Gate::new(), Gate::new());
    let there = process(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let sockets = listen_by_names(dir.path(), &format!("{mine}-there"));
        // A line of /proc/net/unix that looks like one of another socket.
        let forged = "\nffff: 00000002 00000000 00010000 0001 01 4711 /forged";
        let evil = unix::SocketAddr::from_abstract_name(format!("{mine}-evil{forged}")).unwrap();
        let evil = UnixListener::bind_addr(&evil).unwrap();
        ready.open();
        go.wait();
        drop((sockets, evil));
    });
    ready.wait();
    let here = listen_by_names(dir.path(), &format!("{mine}-here"));
    let inode = std::os::unix::fs::MetadataExt::ino(
        &std::fs::metadata(format!("/proc/{there}/ns/net")).unwrap(),
    );
    let found = ListenerReader::load(true).read();
    let own = unix_rows(&found_in(&found, netns()), &format!("{mine}-here"));
    let of_there = format!("{mine}-there");
    let others = unix_rows(&found_in(&found, inode), &of_there);
    assert_eq!(own, ss_unix(None, &format!("{mine}-here")));
    assert_eq!(others, ss_unix(Some(there.as_raw()), &of_there));
    for rows in [&own, &others] {
        let all: Vec<_> = rows.iter().map(|row| (&*row.0, row.2)).collect();
        assert_eq!(all, [("u_seq", 0), ("u_str", 2), ("u_str", 0)], "{rows:?}");
    }
    let evil = unix_rows(&found_in(&found, inode), "evil");
    let name = format!("@{mine}-evil\\nffff: 00000002 00000000 00010000 0001 01 4711 /forged");
    assert_eq!(evil.iter().map(|row| &row.1).collect::<Vec<_>>(), [&name]);
    // They are not asked for.
    let without = ListenerReader::load(false).read();
    assert!(without.rows.iter().all(|l| l.bound.unix().is_none()));
    let pid = there.to_string();
    let args =
        ["report", "--by", "listener", "--unix-listeners", "--format", "json", "--pid", &pid];
    // Namespaces of other tests come and go: one that cannot be read makes it 1.
    let report = until("a report", || Some(run(&args)).filter(|report| report.code() < 2));
    let rows = report.lines();
    assert_eq!(rows.len(), 4, "{rows:?}");
    let row = rows.iter().find(|row| row["path"] == format!("@{of_there}-seq")).unwrap();
    assert_eq!(
        (&row["protocol"], &row["limit"], &row["local_ip"], &row["local_port"], &row["drops"]),
        (&json!("u_seq"), &json!(3), &Value::Null, &Value::Null, &Value::Null)
    );
    let mut stream = Stream::json(&["listeners", "--unix-listeners", "--pid", &pid]);
    stream.until("the forged one", |line| line["path"] == name);
    stream.interrupt();
    drop(here);
    go.open();
    done(there);
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
    // One that no process accepts, at first.
    let client = std::net::TcpStream::connect(at).unwrap();
    let is_old = |line: &Value| line["event"] == "change" && line["protocol"] == "tcp";
    stream.until("a connection that waits", |line| {
        is_old(line) && line["waiting"] == 1 && line["accepted"] == 0
    });
    drop(old.accept().unwrap());
    stream.until("that it was accepted", |line| {
        is_old(line) && line["waiting"] == 0 && line["accepted"] == 1
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
    assert_eq!((&of_old[0]["limit"], &of_old[0]["accepted"]), (&json!(128), &json!(0)));
    assert!(lines[0]["connections"].is_null(), "only counted: {}", lines[0]);
    assert!(lines.iter().all(|line| line["type"] != "connect" && line["type"] != "owners"));
    let of_new = about(&lines, new_at);
    let events: Vec<_> = of_new.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("listen", "close"), "{of_new:?}");
    assert_eq!(of_new[0]["since"], of_new[0]["time"]);
    assert!(of_new.iter().all(|line| line["since"].is_string()), "{of_new:?}");
    assert!(of_new.iter().all(|line| line["accepted"].is_null()), "{of_new:?}");
}

#[test]
fn a_recording_and_a_report_have_listeners() {
    own_namespace();
    lo_up();
    let (tcp, udp) = listen();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.ebpftop");
    let name = file.to_str().unwrap();
    let mut record = program();
    record.args(["record", name, "-i", "lo", "--xdp-mode", "off"]).stderr(Stdio::null());
    let mut record = record.spawn().unwrap();
    // It is made when all probes run.
    until("the recording", || file.exists().then_some(()));
    for _ in 0..2 {
        let client = std::net::TcpStream::connect(tcp[0].local_addr().unwrap()).unwrap();
        drop((tcp[0].accept().unwrap(), client));
    }
    kill(Pid::from_raw(record.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut record).code(), Some(0));
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
    let tcp_at = [&tcp[0], &tcp[1]].map(|listener| listener.local_addr().unwrap());
    let udp_at = udp[0].local_addr().unwrap();
    drop((tcp, udp));
    assert!(of(&["report"]).is_empty());
    assert_eq!(of(&["report", name]), truth);
    let report = run(&["report", name, "--by", "listener", "--format", "json", "--pid", &pid]);
    let accepted = |local: SocketAddr| {
        let rows = report.lines();
        let is = |line: &&Value| line["local_port"] == local.port();
        rows.iter().find(is).map(|line| line["accepted"].clone())
    };
    let two_of = [(tcp_at[0], json!(2)), (tcp_at[1], json!(0)), (udp_at, Value::Null)];
    for (local, n) in two_of {
        assert_eq!(accepted(local), Some(n), "{local}");
    }
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
