//! A kernel that refuses programs, one at a time: the probe starts, the rest is exact, and `ready` names
//! the feature that is missing.
//!
//! `EBPFTOP_REFUSE` makes the kernel refuse a program (a flag that no kernel knows). Release builds know
//! nothing of it.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;

use crate::common::conns::{
    Gate, Run, ask, at_rest, bytes, done, lo_up, local, netns, process, serve,
};
use crate::common::net::own_namespace;
use crate::common::program::{Ended, Stream, ended, program};
use ebpftop::probes::programs::{self, FEATURES, Object};
use io_uring::{IoUring, opcode, types};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

/// The programs that are refused together in one run: each program of an object alone, and the first program of each
/// form of a feature that has several.
fn cases(object: Object) -> Vec<Vec<&'static str>> {
    let features =
        || FEATURES.iter().filter(|f| f.object == object && !f.name.starts_with("files: "));
    let alone: BTreeSet<_> = features().flat_map(|f| f.forms.iter().copied().flatten()).collect();
    let all_forms = features()
        .filter(|f| f.forms.len() > 1)
        .map(|f| f.forms.iter().map(|form| *form.last().unwrap()).collect());
    alone.into_iter().map(|program| vec![*program]).chain(all_forms).collect()
}

/// The features that are lost where these programs are refused.
fn lost(object: Object, refused: &[&str]) -> BTreeSet<&'static str> {
    FEATURES
        .iter()
        .filter(|feature| feature.object == object)
        .filter(|f| f.forms.iter().all(|form| form.iter().any(|p| refused.contains(p))))
        .map(|feature| feature.name)
        .collect()
}

fn stream(refused: &[&str], args: &[&str]) -> Stream {
    let mut command = program();
    Stream::json_by(command.env("EBPFTOP_REFUSE", refused.join(",")).arg("stream").args(args))
}

/// The missing features in `ready`.
fn all_missing(ended: &Ended) -> Vec<Value> {
    let ready = &ended.of_type("ready")[0];
    assert_eq!(ended.of_type("summary")[0]["missing"], ready["missing"]);
    ready["missing"].as_array().unwrap().clone()
}

/// The features that `ready` says are missing beside those that this kernel has not at all (`absent`),
/// with a reason each that names a refused program.
fn missing(ended: &Ended, refused: &[&str], absent: &[Value]) -> BTreeSet<String> {
    let mut missing = all_missing(ended);
    missing.retain(|entry| !absent.contains(entry));
    for entry in &missing {
        assert!(refused.contains(&entry["program"].as_str().unwrap()), "{entry}");
        let error = entry["error"].as_str().unwrap();
        assert!(
            error.starts_with("the kernel refused to load ") && error.contains("EINVAL"),
            "{entry}"
        );
    }
    missing.iter().map(|entry| entry["feature"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn opens_and_processes_without_one_program_are_exact_but_for_its_feature() {
    const TIMES: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let path = CString::new(root.join("file").to_str().unwrap()).unwrap();
    let absent = all_missing(&stream(&[], &["opens", "processes", "--latency"]).interrupt());
    for refused in cases(Object::Opens) {
        // A form that needs a program which this kernel has not at all is no way out.
        let absent_programs = absent.iter().filter_map(|entry| entry["program"].as_str());
        let gone: Vec<_> = refused.iter().copied().chain(absent_programs).collect();
        let mut lost = lost(Object::Opens, &gone);
        lost.retain(|feature| absent.iter().all(|entry| entry["feature"] != *feature));
        let stream = stream(&refused, &["opens", "processes", "--latency"]);
        let child = process(|| {
            for _ in 0..TIMES {
                std::fs::File::open(root.join("file")).unwrap();
            }
            let mut ring = IoUring::new(8).unwrap();
            let entry = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build();
            // SAFETY: the path lives through the wait.
            unsafe { ring.submission().push(&entry).unwrap() };
            ring.submit_and_wait(1).unwrap();
            assert!(ring.completion().next().unwrap().result() >= 0);
        });
        done(child);
        let mut program = Command::new("true").spawn().unwrap();
        assert!(program.wait().unwrap().success());
        let ended = stream.interrupt();
        assert_eq!(ended.code(), 0, "{refused:?}: {}", ended.stderr);
        let events = ended.of_type("process").into_iter().filter(|e| e["pid"] == program.id());
        let events: Vec<_> = events.map(|e| e["event"].as_str().unwrap().to_owned()).collect();
        let seen = [("exec", programs::PROCESS_EXEC), ("exit", programs::PROCESS_EXIT)];
        let seen = seen.into_iter().filter(|(_, feature)| !lost.contains(feature));
        assert_eq!(events, seen.map(|(event, _)| event).collect::<Vec<_>>(), "{refused:?}");
        assert_eq!(
            missing(&ended, &refused, &absent),
            lost.iter().map(ToString::to_string).collect()
        );
        let mut opens = ended.of_type("open");
        opens.retain(|open| {
            open["pid"] == child.as_raw() && open["resolved"] == path.to_str().unwrap()
        });
        let by =
            |call: &str| opens.iter().filter(|open| open["syscall"] == call).collect::<Vec<_>>();
        let calls = by("openat");
        assert_eq!(
            calls.len(),
            if lost.contains(programs::OPEN_CALLS) { 0 } else { TIMES },
            "{refused:?}"
        );
        let rings = if lost.contains(programs::IO_URING) { 0 } else { 1 };
        assert_eq!(by("io_uring").len(), rings, "{refused:?}");
        for open in calls {
            assert_eq!(open["path"], path.to_str().unwrap(), "{refused:?}");
            assert_eq!(
                open["latency_ns"].is_u64(),
                !lost.contains(programs::OPEN_ENTRY),
                "{refused:?}: {open}"
            );
        }
    }
}

/// A file that an open and a ring create, a file that is removed, a directory that a ring makes.
#[test]
fn changes_of_files_without_some_programs_are_exact_but_for_their_features() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let absent = all_missing(&stream(&[], &["files"]).interrupt());
    for refused in [
        &["open_exit", "change_exit"][..],
        &["open_exit", "open_exit_516"],
        &["change_exit", "change_exit_516"],
        &["uring_submit", "ring_complete"],
        &["uring_complete", "ring_submit"],
    ] {
        let lost = lost(Object::Opens, refused);
        let stream = stream(refused, &["files"]);
        let child = process(|| {
            std::env::set_current_dir(&root).unwrap();
            std::fs::write("file", "x").unwrap();
            std::fs::remove_file("file").unwrap();
            let mut ring = IoUring::new(8).unwrap();
            let create = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), c"by ring".as_ptr())
                .flags(libc::O_CREAT)
                .mode(0o600);
            let mkdir = opcode::MkDirAt::new(types::Fd(libc::AT_FDCWD), c"dir".as_ptr());
            for entry in [create.build(), mkdir.build()] {
                // SAFETY: the path lives through the wait.
                unsafe { ring.submission().push(&entry).unwrap() };
                ring.submit_and_wait(1).unwrap();
                assert!(ring.completion().next().unwrap().result() >= 0);
            }
        });
        done(child);
        for name in ["by ring", "dir"] {
            let path = root.join(name);
            std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
        }
        let ended = stream.interrupt();
        assert_eq!(ended.code(), 0, "{refused:?}: {}", ended.stderr);
        let lost_names = lost.iter().map(ToString::to_string).collect();
        assert_eq!(missing(&ended, refused, &absent), lost_names);
        let events = ended.of_type("file").into_iter().filter(|e| e["pid"] == child.as_raw());
        let events: Vec<_> = events
            .map(|e| (e["op"].as_str().unwrap().to_owned(), e["syscall"] == "io_uring"))
            .collect();
        let expected = [
            ("create", false, programs::OPEN_CALLS),
            ("unlink", false, programs::CHANGE_CALLS),
            ("create", true, programs::IO_URING),
            ("mkdir", true, programs::CHANGE_RING),
        ];
        let there = expected.into_iter().filter(|(.., feature)| !lost.contains(feature));
        let there: Vec<_> = there.map(|(op, ring, _)| (op.to_owned(), ring)).collect();
        assert_eq!(events, there, "{refused:?}");
    }
}

#[test]
fn bytes_of_files_without_one_program_are_exact_but_for_its_feature() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("written");
    let timed = ["io", "--slow", "10ms"];
    let absent = all_missing(&stream(&[], &timed).interrupt());
    for refused in cases(Object::Io) {
        let mut lost = lost(Object::Io, &refused);
        if lost.contains(programs::IO_CALLS) {
            let mut command = program();
            command.env("EBPFTOP_REFUSE", refused.join(",")).args(["stream", "io"]);
            let ended = ended(&mut command);
            assert_eq!(ended.code(), 1, "{}", ended.stderr);
            assert!(
                ended.stderr.contains("the kernel refused to load io_exit"),
                "{}",
                ended.stderr
            );
            continue;
        }
        lost.retain(|feature| absent.iter().all(|entry| entry["feature"] != *feature));
        let stream = stream(&refused, &timed);
        let child = process(|| std::fs::write(&path, [0; 12_345]).unwrap());
        done(child);
        let ended = stream.interrupt();
        let code = i32::from(lost.contains(programs::IO_TIMES));
        assert_eq!(ended.code(), code, "{refused:?}: {}", ended.stderr);
        let lines = ended.of_type("io");
        let of_child = lines.iter().filter(|line| {
            line["pid"] == child.as_raw() && line["resolved"] == path.to_str().unwrap()
        });
        let written: u64 = of_child.map(|line| line["written_bytes"].as_u64().unwrap()).sum();
        assert_eq!(written, 12_345, "{refused:?}");
        assert_eq!(
            missing(&ended, &refused, &absent),
            lost.iter().map(ToString::to_string).collect()
        );
    }
}

/// One TCP connection over each family, and datagrams.
#[test]
fn connections_without_one_program_are_exact_but_for_its_feature() {
    const DATAGRAMS: usize = 7;
    const BYTES: usize = 100;
    own_namespace();
    lo_up();
    for refused in cases(Object::Connections) {
        let lost = lost(Object::Connections, &refused);
        if lost.contains(programs::TCP) {
            continue; // nothing is left: see `tests/procfs.rs`
        }
        let mut stream = stream(&refused, &["connections", "--interval", "200ms"]);
        let ends = ["127.0.0.1", "::1"].map(|ip| {
            let listener = TcpListener::bind(local(ip)).unwrap();
            let to = listener.local_addr().unwrap();
            let server = process(|| serve(&listener, 70_001));
            let client = process(|| ask(to, 100_003));
            done(client);
            done(server);
            (client, server, to.port())
        });
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to: SocketAddr = receiver.local_addr().unwrap();
        let sender = process(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..DATAGRAMS {
                socket.send_to(&[b'd'; BYTES], to).unwrap();
            }
        });
        done(sender);
        drop(receiver);
        at_rest();
        // Without `sock_released` the end of a datagram socket is found at the end of an interval.
        stream.until_polled();
        let ended = stream.interrupt();
        assert_eq!(ended.code(), 0, "{refused:?}: {}", ended.stderr);
        assert_eq!(missing(&ended, &refused, &[]), lost.iter().map(ToString::to_string).collect());
        let run = Run { ended, netns: netns() };
        for (client, server, port) in ends {
            let closes = run.of("close");
            let of = |key: &str| {
                closes
                    .iter()
                    .find(|close| close[key] == port)
                    .unwrap_or_else(|| panic!("{refused:?}: {closes:?}"))
            };
            assert_eq!(bytes(of("remote_port")), (70_001, 100_003), "{refused:?}");
            assert_eq!(bytes(of("local_port")), (100_003, 70_001), "{refused:?}");
            assert_eq!(of("remote_port")["pid"], client.as_raw(), "{refused:?}");
            // Without `accept`, the server is known by its first call, or when it is found to hold
            // the connection.
            assert_eq!(of("local_port")["pid"], server.as_raw(), "{refused:?}");
        }
        let mut datagrams = run.by("close", sender);
        datagrams.retain(|close| close["protocol"] == "udp");
        let sent: Vec<_> = datagrams.iter().map(bytes).collect();
        let by_call = !lost.contains(programs::CALLS);
        let whole = vec![(0, (DATAGRAMS * BYTES) as u64)];
        assert_eq!(sent, if by_call { whole } else { vec![] }, "{refused:?}");
        let ready = &run.ended.of_type("ready")[0];
        let attribution = if by_call { "call" } else { "connection" };
        assert_eq!(ready["attribution"], attribution, "{refused:?}");
    }
}

#[test]
fn talkers_without_one_program_are_exact_by_another_hook() {
    const DATAGRAMS: u64 = 10;
    const BYTES: u64 = 100;
    own_namespace();
    lo_up();
    for refused in cases(Object::Talkers) {
        let lost = lost(Object::Talkers, &refused);
        let stream = stream(&refused, &["talkers", "-i", "lo"]);
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..DATAGRAMS {
            sender.send_to(&[b'd'; BYTES as usize], receiver.local_addr().unwrap()).unwrap();
        }
        let ended = stream.interrupt();
        assert_eq!(ended.code(), 0, "{refused:?}: {}", ended.stderr);
        let ready = &ended.of_type("ready")[0];
        assert_eq!(missing(&ended, &refused, &[]), lost.iter().map(ToString::to_string).collect());
        assert_eq!(ready["xdp_mode"] == "generic", !lost.contains(programs::XDP), "{ready}");
        assert_eq!(
            ready["tx_mode"] == "socket",
            !lost.contains(programs::PACKET_SOCKET),
            "{ready}"
        );
        let summary = &ended.of_type("summary")[0];
        for way in ["rx", "tx"] {
            let counted =
                [format!("{way}_packets"), format!("{way}_bytes")].map(|key| summary[key].as_u64());
            // Ethernet, IP and UDP headers.
            assert_eq!(counted, [Some(DATAGRAMS), Some(DATAGRAMS * (BYTES + 42))], "{refused:?}");
        }
    }
}

#[test]
fn connections_without_a_program_for_names_are_exact_but_for_these() {
    own_namespace();
    lo_up();
    for refused in cases(Object::Hostnames) {
        let lost = lost(Object::Hostnames, &refused);
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        let to = listener.local_addr().unwrap();
        let stream = stream(&refused, &["connections", "--names", "--interval", "200ms"]);
        let server = process(|| serve(&listener, 3));
        let client = process(|| ask(to, 5));
        done(client);
        done(server);
        at_rest();
        let run = Run { ended: stream.interrupt(), netns: netns() };
        assert_eq!(run.ended.code(), 0, "{}", run.ended.stderr);
        let missing = missing(&run.ended, &refused, &[]);
        assert_eq!(missing, lost.iter().map(|name| (*name).to_owned()).collect());
        let close = &run.by("close", client)[0];
        assert_eq!((bytes(close), &close["name"]), ((3, 5), &Value::Null));
        // With one of the two, the other feature is there.
        let table = run.ended.of_type("owners").pop().unwrap();
        assert_eq!(table["names"].is_null(), lost.len() == 2, "{refused:?}");
    }
}

#[test]
fn holders_without_one_program_are_listed_but_for_its_feature() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for refused in cases(Object::Held) {
        let mut command = program();
        let command = command.env("EBPFTOP_REFUSE", refused.join(","));
        let ended = ended(command.args(["report", "--by", "holder", path, "--format", "json"]));
        let lost = lost(Object::Held, &refused);
        assert_eq!(ended.code(), i32::from(!lost.is_empty()), "{refused:?}: {}", ended.stderr);
        let reason = |program| format!("the kernel refused to load {program}: EINVAL");
        let is_said = refused.iter().any(|program| ended.stderr.contains(&reason(*program)));
        assert!(is_said != lost.is_empty(), "{refused:?}: {}", ended.stderr);
        let rows = ended.of_type("report");
        let expected = if lost.contains(programs::HELD_DESCRIPTORS) { 0 } else { 1 };
        assert_eq!(rows.len(), expected, "{refused:?}: {rows:?}");
        for row in rows {
            assert_eq!(row["pid"], std::process::id());
            assert_eq!(row["resolved"].is_null(), lost.contains(programs::HELD_PATHS), "{row}");
        }
    }
}

/// Processes of listeners are found in /proc then, and only the limit in another namespace is not known.
#[test]
fn listeners_without_the_program_for_them_lack_limits_elsewhere() {
    own_namespace();
    lo_up();
    let (ready, go) = (Gate::new(), Gate::new());
    let there = process(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        lo_up();
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        ready.open();
        go.wait();
        drop(listener);
    });
    ready.wait();
    let here = TcpListener::bind(local("127.0.0.1")).unwrap();
    for refused in cases(Object::Listeners) {
        let lost = lost(Object::Listeners, &refused);
        let mut stream = stream(&refused, &["listeners", "--interval", "100ms"]);
        stream.until("the one elsewhere", |line| line["pid"] == there.as_raw());
        let ended = stream.interrupt();
        let limit = |pid: u32| {
            let lines = ended.of_type("listener");
            lines.iter().find(|line| line["pid"] == pid).map(|line| line["limit"].clone())
        };
        assert_eq!(missing(&ended, &refused, &[]), lost.iter().map(ToString::to_string).collect());
        assert_eq!(limit(std::process::id()), Some(Value::from(128)), "{}", ended.stderr);
        assert_eq!(limit(there.as_raw().unsigned_abs()), Some(Value::Null), "{}", ended.stderr);
    }
    go.open();
    done(there);
    drop(here);
}

/// Accepted connections are not counted then, and nothing is polled in their place.
#[test]
fn listeners_without_connections_lack_accepted_ones() {
    own_namespace();
    lo_up();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let mut stream = stream(&["all"], &["listeners", "--interval", "100ms"]);
    stream.until("the listener", |line| line["pid"] == std::process::id());
    let ended = stream.interrupt();
    let lines = ended.lines();
    let features: Vec<&Value> =
        lines[0]["missing"].as_array().unwrap().iter().map(|m| &m["feature"]).collect();
    assert!(features.contains(&&"listeners: accepted connections".into()), "{}", lines[0]);
    assert_eq!(lines[0]["attribution"], Value::Null, "{}", lines[0]);
    let listeners = ended.of_type("listener");
    assert!(listeners.iter().all(|line| line["accepted"].is_null()), "{listeners:?}");
    // Namespaces of other tests come and go, and each is said.
    assert!(ended.code() == 0 || ended.stderr.contains("listeners: "), "{}", ended.stderr);
    drop(listener);
}

#[test]
fn doctor_names_refused_programs_with_reasons() {
    own_namespace();
    lo_up();
    let mut command = program();
    let out =
        command.env("EBPFTOP_REFUSE", "holders").args(["doctor", "--format", "json"]).output();
    let checks: Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
    let check =
        checks.as_array().unwrap().iter().find(|c| c["check"] == programs::HOLDERS).unwrap();
    assert_eq!(check["ok"], false, "{check}");
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains("the kernel refused to load holders: EINVAL"), "{detail}");
    assert!(!detail.contains("5.1"), "the version is not the reason: {detail}");
}
