//! Connections where no BPF program can watch them: polled from `sock_diag` and /proc. The kernel tests
//! need root, and a program built with debug assertions: only that one honours `EBPFTOP_REFUSE`.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use crate::common::conns::{done, lo_up, local, netns, process};
use crate::common::net::own_namespace;
use crate::common::program::{Stream, ended, program};
use crate::common::spawn::public_copy;
use crate::common::user::AS_USER;
use ebpftop::model::coverage::Attribution;
use ebpftop::model::event::{ProbeEvent, ProbeInfo};
use ebpftop::recording::{Item, Reader, Seen};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// The arguments of a run that polls often.
const OFTEN: [&str; 3] = ["connections", "--interval", "200ms"];

fn polled() -> Stream {
    Stream::json_by(program().env("EBPFTOP_REFUSE", "all").arg("stream").args(OFTEN))
}

/// Reads lines until those that were read are enough.
fn until(stream: &mut Stream, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut lines = stream.lines_so_far();
    if !enough(&lines) {
        stream.until("enough lines", |line| {
            lines.push(line.clone());
            enough(&lines)
        });
    }
    lines
}

fn of<'a>(lines: &'a [Value], kind: &str, pid: Pid) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind && l["pid"] == pid.as_raw()).collect()
}

/// Pipes by which children say that they are ready, and learn that they should end.
struct Gate {
    ready: (OwnedFd, OwnedFd),
    end: (OwnedFd, OwnedFd),
}

impl Gate {
    fn new() -> Self {
        Self { ready: nix::unistd::pipe().unwrap(), end: nix::unistd::pipe().unwrap() }
    }

    /// In a child: says that it is ready, and waits for the end.
    fn wait(&self) {
        nix::unistd::write(&self.ready.1, b"r").unwrap();
        nix::unistd::read(&self.end.0, &mut [0; 1]).unwrap();
    }

    fn all_ready(&self, children: usize) {
        for _ in 0..children {
            let mut fds = [PollFd::new(self.ready.0.as_fd(), PollFlags::POLLIN)];
            assert_ne!(
                poll(&mut fds, PollTimeout::from(10_000u16)).unwrap(),
                0,
                "no child is ready"
            );
            nix::unistd::read(&self.ready.0, &mut [0; 1]).unwrap();
        }
    }

    fn end(&self, children: &[Pid]) {
        nix::unistd::write(&self.end.1, &vec![b'e'; children.len()]).unwrap();
        children.iter().copied().for_each(done);
    }
}

/// The connections that `ss` lists here: local and remote address with the processes that it names.
fn ss(which: &str) -> BTreeSet<(String, String, i64)> {
    let out = ended(Command::new("ss").args(["-H", "-n", "-p", which, "state", "established"]));
    assert_eq!(out.code(), 0, "{}", out.stderr);
    let text = out.text();
    let row = |line: &str| {
        // Without a state, since one is chosen: Recv-Q, Send-Q, local, peer, processes.
        let mut fields = line.split_whitespace().skip(2).map(str::to_owned);
        let (local, remote, who) = (fields.next()?, fields.next()?, fields.next()?);
        let pid = who.split("pid=").nth(1)?.split(',').next()?.parse().ok()?;
        Some((local, remote, pid))
    };
    text.lines().filter_map(row).collect()
}

fn ends(line: &Value) -> (String, String, i64) {
    let end = |ip: &str, port: &str| {
        let ip: std::net::IpAddr = line[ip].as_str().unwrap().parse().unwrap();
        std::net::SocketAddr::new(ip, line[port].as_u64().unwrap() as u16).to_string()
    };
    (end("local_ip", "local_port"), end("remote_ip", "remote_port"), line["pid"].as_i64().unwrap())
}

#[test]
fn polled_connections_have_their_process_and_no_bytes_of_it() {
    own_namespace();
    lo_up();
    let gate = Gate::new();
    let mut stream = polled();
    let mut children = Vec::new();
    let mut truths = Vec::new();
    for ip in ["127.0.0.1", "::1"] {
        let listener = TcpListener::bind(local(ip)).unwrap();
        let to = listener.local_addr().unwrap();
        let server = process(|| {
            let (mut conn, _) = listener.accept().unwrap();
            conn.read_exact(&mut [0; 1_000]).unwrap();
            conn.write_all(&[0; 70]).unwrap();
            gate.wait();
        });
        let client = process(|| {
            let mut conn = TcpStream::connect(to).unwrap();
            conn.write_all(&[0; 1_000]).unwrap();
            conn.read_exact(&mut [0; 70]).unwrap();
            gate.wait();
        });
        let datagrams = UdpSocket::bind(local(ip)).unwrap();
        let to = datagrams.local_addr().unwrap();
        let sender = process(|| {
            let socket = UdpSocket::bind(local(ip)).unwrap();
            socket.connect(to).unwrap();
            socket.send(b"x").unwrap();
            gate.wait();
        });
        gate.all_ready(3);
        children.extend([server, client, sender]);
        truths.push((server, client, sender));
        // Held by the test until the end: neither is a connection.
        std::mem::forget((listener, datagrams));
    }
    let of_here = |lines: &[Value], kind: &str| -> Vec<Value> {
        let here = netns();
        lines.iter().filter(|l| l["type"] == kind && l["netns"] == here).cloned().collect()
    };
    until(&mut stream, |lines| of_here(lines, "seen").len() >= 6);
    stream.until_polled();
    let lines = stream.lines_so_far();
    let seen = of_here(&lines, "seen");
    assert_eq!(seen.len(), 6, "{seen:#?}");
    for (kind, protocol) in [("-t", "tcp"), ("-u", "udp")] {
        let mine = seen.iter().filter(|l| l["protocol"] == protocol).map(ends);
        assert_eq!(mine.collect::<BTreeSet<_>>(), ss(kind), "as ss says");
    }
    for line in &seen {
        assert_eq!(
            (&line["from"], &line["attribution"], &line["errno"], &line["unattributed"]),
            (&json!("found"), &json!("procfs"), &Value::Null, &Value::Null)
        );
    }
    let table = lines.iter().rfind(|l| l["type"] == "owners").unwrap();
    assert_eq!((&table["attribution"], &table["rx_bytes"]), (&json!("procfs"), &Value::Null));
    assert_eq!((&table["unattributed"], &table["other"]), (&Value::Null, &Value::Null));
    for pid in &children {
        let mut rows = table["processes"].as_array().unwrap().iter();
        let row = rows.find(|row| row["pid"] == pid.as_raw()).unwrap();
        for unknown in ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_bps", "tx_bps"] {
            assert_eq!(row[unknown], Value::Null, "{unknown}: {row}");
        }
        assert_eq!(
            (&row["live"], &row["peers"], &row["attribution"]),
            (&json!(1), &json!(1), &json!("procfs"))
        );
    }
    gate.end(&children);
    let lines = until(&mut stream, |lines| of_here(lines, "close").len() >= 6);
    let run = stream.interrupt();
    for (server, client, sender) in truths {
        // The socket's own counts, where there are any, and no share for a process.
        for (pid, rx, tx) in [
            (server, json!(1_000), json!(70)),
            (client, json!(70), json!(1_000)),
            (sender, Value::Null, Value::Null),
        ] {
            let closes = of(&lines, "close", pid);
            assert_eq!(closes.len(), 1, "{closes:?}");
            let close = closes[0];
            assert_eq!((&close["rx_bytes"], &close["tx_bytes"]), (&rx, &tx), "{close}");
            assert_eq!(
                (&close["unseen"], &close["since"], &close["duration_s"], &close["attribution"]),
                (&json!(true), &Value::Null, &Value::Null, &json!("procfs"))
            );
            assert_eq!(close["owners"][0]["rx_bytes"], Value::Null, "{close}");
        }
    }
    // An answer in part, and stderr says which.
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("short connections may be missing"), "{}", run.stderr);
    let ready = &run.of_type("ready")[0];
    let summary = &run.of_type("summary")[0];
    assert_eq!(ready["connections"], true);
    for note in [ready, summary] {
        assert_eq!(note["attribution"], "procfs");
        assert_eq!(note["missing"][0]["program"], "all", "{note}");
        assert!(note["missing"][0]["feature"].as_str().unwrap().contains("bytes per process"));
    }
    assert!(summary["seen"].as_u64().unwrap() >= 6);
    for kind in ["connect", "accept"] {
        assert!(lines.iter().all(|l| l["type"] != kind), "polling does not see who began it");
    }
}

#[test]
fn a_socket_of_two_processes_has_both_and_one_that_is_older_is_not_new() {
    own_namespace();
    lo_up();
    let gate = Gate::new();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[0; 500]).unwrap();
    server.read_exact(&mut [0; 500]).unwrap();
    let child = process(|| gate.wait());
    gate.all_ready(1);
    let mut stream = polled();
    stream.until_polled();
    let lines = stream.lines_so_far();
    assert!(lines.iter().all(|l| l["netns"] != netns()), "it was there before: {lines:?}");
    client.write_all(&[0; 30]).unwrap();
    server.read_exact(&mut [0; 30]).unwrap();
    stream.until_polled();
    gate.end(&[child]);
    let port = client.local_addr().unwrap().port();
    drop((client, server));
    let closed = |lines: &[Value]| {
        let mut closes = lines.iter().filter(|l| l["type"] == "close" && l["netns"] == netns());
        closes.find(|l| l["local_port"] == port).cloned()
    };
    let lines = until(&mut stream, |lines| closed(lines).is_some());
    let close = closed(&lines).unwrap();
    // Counted since the first poll.
    assert_eq!((&close["rx_bytes"], &close["tx_bytes"]), (&json!(0), &json!(30)), "{close}");
    assert_eq!(stream.interrupt().code(), 1);
}

#[test]
fn a_second_holder_is_listed() {
    own_namespace();
    lo_up();
    let gate = Gate::new();
    let mut stream = polled();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let parent = process(|| {
        let conn = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let child = process(|| gate.wait());
        gate.wait();
        drop(conn);
        done(child);
    });
    gate.all_ready(2);
    until(&mut stream, |lines| !of(lines, "seen", parent).is_empty());
    stream.until_polled();
    nix::unistd::write(&gate.end.1, b"ee").unwrap();
    done(parent);
    let lines = until(&mut stream, |lines| !of(lines, "close", parent).is_empty());
    let close = of(&lines, "close", parent)[0].clone();
    assert_eq!(close["holders"].as_array().unwrap().len(), 1, "{close}");
    assert_ne!(close["holders"][0]["pid"], close["pid"]);
    stream.interrupt();
}

#[test]
fn sockets_of_other_namespaces_are_listed_and_these_are_not_kept() {
    own_namespace();
    let gate = Gate::new();
    let mut stream = polled();
    let there = process(|| {
        own_namespace();
        lo_up();
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap();
        gate.wait();
        drop((client, server));
    });
    gate.all_ready(1);
    let lines = until(&mut stream, |lines| of(lines, "seen", there).len() >= 2);
    let seen = of(&lines, "seen", there)[0].clone();
    assert_ne!(seen["netns"], netns());
    // Between polls the program is where it was, and holds nothing by which the other one would live.
    let proc = format!("/proc/{}", stream.child.id());
    for dir in ["fd", "task"] {
        for entry in std::fs::read_dir(format!("{proc}/{dir}")).unwrap().flatten() {
            let link = if dir == "fd" { entry.path() } else { entry.path().join("ns/net") };
            let Ok(link) = std::fs::read_link(link) else { continue };
            let other = format!("net:[{}]", seen["netns"]);
            assert_ne!(link.to_str().unwrap(), other, "{dir}");
        }
    }
    gate.end(&[there]);
    until(&mut stream, |lines| of(lines, "close", there).len() >= 2);
    stream.interrupt();
}

#[test]
fn processes_that_may_not_be_read_are_named() {
    own_namespace();
    lo_up();
    let gate = Gate::new();
    let elsewhere = process(|| {
        own_namespace();
        lo_up();
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        gate.wait();
        drop(listener);
    });
    gate.all_ready(1);
    let missing = |command: &mut Command| {
        let mut command = Command::new(command.get_program());
        command.env("XDG_CONFIG_HOME", "/nonexistent").env("EBPFTOP_REFUSE", "all");
        command
    };
    // Nothing but what is its own.
    let (_dir, copy) = public_copy();
    let copy = copy.to_str().unwrap();
    let mut command = missing(&mut Command::new("setpriv"));
    let run =
        Stream::json_by(command.args(AS_USER).args([copy, "stream"]).args(OFTEN).current_dir("/"))
            .interrupt();
    let ready = &run.of_type("ready")[0];
    let found = ready["missing"].as_array().unwrap();
    let of_others = found.iter().find(|m| m["program"] == "/proc/PID/fd").unwrap();
    assert!(of_others["error"].as_str().unwrap().contains("CAP_SYS_PTRACE"), "{of_others}");
    assert_eq!((&ready["attribution"], run.code()), (&json!("procfs"), 1));
    // All processes, but not their namespaces.
    let root = ["--bounding-set", "-sys_admin", copy, "stream"];
    let mut command = missing(&mut Command::new("setpriv"));
    let run = Stream::json_by(command.args(root).args(OFTEN)).interrupt();
    let ready = &run.of_type("ready")[0];
    let found = ready["missing"].as_array().unwrap();
    let spaces = found.iter().find(|m| m["program"] == "setns").unwrap();
    assert!(spaces["error"].as_str().unwrap().contains("CAP_SYS_ADMIN"), "{spaces}");
    assert!(!spaces["error"].as_str().unwrap().starts_with("0 sockets"), "{spaces}");
    assert!(found.iter().all(|m| m["program"] != "/proc/PID/fd"), "{found:?}");
    gate.end(&[elsewhere]);
}

#[test]
fn the_program_that_was_refused_is_named() {
    let mut command = program();
    command.env("EBPFTOP_REFUSE", "tcp_state,tcp_state_raw").arg("stream").args(OFTEN);
    let run = Stream::json_by(&mut command).interrupt();
    let ready = &run.of_type("ready")[0];
    assert_eq!((&ready["attribution"], run.code()), (&json!("procfs"), 1));
    assert_eq!(ready["missing"][0]["program"], "tcp_state_raw", "{ready}");
    assert!(run.stderr.contains("tcp_state_raw"), "{}", run.stderr);
}

#[test]
fn a_program_that_is_asked_for_more_says_it_and_a_recording_keeps_it() {
    let doctor = ended(program().env("EBPFTOP_REFUSE", "all").args(["doctor", "--format", "json"]));
    let checks: Vec<Value> = serde_json::from_str(&doctor.text()).unwrap();
    let check = |name: &str| checks.iter().find(|c| c["check"] == name).unwrap();
    assert_eq!(check("connections")["ok"], false);
    assert!(check("connections")["detail"].as_str().unwrap().contains("procfs"));
    let refused = check("connections: short ones, bytes per process");
    assert!(refused["detail"].as_str().unwrap().contains("EBPFTOP_REFUSE"), "{refused}");

    own_namespace();
    lo_up();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("polled.rec");
    let mut record = program();
    record.env("EBPFTOP_REFUSE", "all").args(["record", file.to_str().unwrap(), "-i", "lo"]);
    let run = ended(record.args(["--interval", "200ms", "--duration", "1s"]));
    drop(client);
    // Connections are beside what it is mostly about.
    assert!(run.stderr.contains("procfs"), "{}", run.stderr);
    let mut reader = Reader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let mut info = None;
    let mut samples = 0;
    loop {
        match reader.read().unwrap() {
            Item::End(_) => break,
            Item::Seen(_, Seen::Probe(ProbeEvent::Started(ProbeInfo::Connections(started)))) => {
                info = Some(started)
            }
            Item::Seen(_, Seen::Probe(ProbeEvent::Connections(batch))) => {
                samples += batch.tick.map_or(0, |tick| tick.samples.len());
            }
            _ => {}
        }
    }
    let info = info.unwrap();
    assert_eq!(info.attribution, Attribution::Procfs);
    assert!(!info.missing.is_empty() && samples > 0);
}
