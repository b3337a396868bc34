//! `report` of what happens now, on the real kernel.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::conns::{Gate, ask, bytes, done, lo_up, local, netns, process, serve};
use crate::common::net::{ip, own_namespace};
use crate::common::patience::{exited, until};
use crate::common::program::{Ended, Stream, program, run};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// A running report, counting from now on.
fn report(args: &[&str]) -> Stream {
    let command = &mut program();
    Stream::text_by(command.arg("report").args(args).args(["--format", "json"]))
}

fn row(run: &Ended, key: &str, value: &str) -> Value {
    let rows = run.of_type("report");
    rows.iter().find(|r| r[key] == value).cloned().unwrap_or_else(|| panic!("{value}: {rows:?}"))
}

/// A loop of processes that live for a moment is one row; the file is another, and so is a failure.
#[test]
fn short_lived_processes_are_one_program() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("read-by-all"), "x").unwrap();
    let cat = path("cat-of-the-test");
    std::fs::copy("/bin/cat", &cat).unwrap();
    let reports = ["program", "file", "failure", "directory", "unit"]
        .map(|by| report(&["--by", by, "--top", "100000", "--duration", "60s"]));
    for _ in 0..26 {
        let cat = &mut Command::new(&cat);
        let cat = cat.args([path("read-by-all"), path("not-there")]).stderr(Stdio::null());
        cat.stdout(Stdio::null()).status().unwrap();
    }
    let [program, file, failure, directory, unit] = reports.map(Stream::interrupt);
    assert_eq!(program.code(), 0, "{}", program.stderr);
    assert_eq!(row(&program, "program", "cat-of-the-test")["processes"], 26);
    assert!(row(&program, "program", "cat-of-the-test")["failed"].as_u64() >= Some(26));
    let read = row(&file, "resolved", &path("read-by-all"));
    assert_eq!(
        (&read["opens"], &read["failed"], &read["processes"]),
        (&26.into(), &0.into(), &26.into())
    );
    let missed = row(&failure, "resolved", &path("not-there"));
    assert_eq!(
        (&missed["program"], &missed["errno"], &missed["failed"]),
        (&"cat-of-the-test".into(), &"ENOENT".into(), &26.into())
    );
    let inside = row(&directory, "directory", dir.path().to_str().unwrap());
    assert!(inside["opens"].as_u64() >= Some(52), "{inside}");
    for run in [&program, &file, &directory, &unit] {
        let opens: u64 = run.of_type("report").iter().filter_map(|r| r["opens"].as_u64()).sum();
        assert_eq!(Some(opens), run.lines().last().unwrap()["opens"].as_u64());
    }
}

#[test]
fn it_ends_by_itself_after_the_duration() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("opened");
    std::fs::write(&path, "x").unwrap();
    let pid = std::process::id().to_string();
    let running = report(&["--by", "file", "--pid", &pid, "--duration", "2s"]);
    for _ in 0..100 {
        File::open(&path).unwrap();
    }
    let run = running.wait();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert_eq!(row(&run, "resolved", path.to_str().unwrap())["opens"], 100);
    assert_eq!(run.lines().last().unwrap()["duration_s"], 2.0);
}

#[test]
fn talkers_and_peers_are_counted_from_ready() {
    own_namespace();
    ip("link set lo up");
    let talkers = report(&["--by", "talker", "-i", "lo", "--duration", "60s"]);
    let peers = report(&["--by", "peer", "--duration", "60s"]);
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 2_000];
    for _ in 0..50 {
        client.send(&[7; 1_000]).unwrap();
        assert_eq!(server.recv(&mut buffer).unwrap(), 1_000);
    }
    let (talkers, peers) = (talkers.interrupt(), peers.interrupt());
    let own = row(&talkers, "ip", "127.0.0.1");
    let frame = 1_000 + 8 + 20 + 14;
    assert_eq!((&own["rx_packets"], &own["rx_bytes"]), (&50.into(), &(50 * frame).into()));
    let peer = row(&peers, "ip", "127.0.0.1");
    assert!(peer["tx_bytes"].as_u64() >= Some(50_000), "{peer} {}", peers.stderr);
}

/// One that ended, one that is open, one that failed; of a recording the same.
#[test]
fn connections_are_rows_with_their_bytes_and_quality() {
    own_namespace();
    lo_up();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let at = listener.local_addr().unwrap();
    let closed = TcpListener::bind(local("127.0.0.1")).unwrap().local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.ebpftop");
    let mut record = program();
    record.arg("record").arg(&file).args(["-i", "lo", "--xdp-mode", "off"]).stderr(Stdio::null());
    let mut record = record.spawn().unwrap();
    until("the recording", || file.exists().then_some(()));
    let live = report(&["--by", "connection", "--duration", "60s", "--top", "1000"]);
    let server = process(|| serve(&listener, 30));
    let client = process(|| ask(at, 5_000));
    done(client);
    done(server);
    let failed = process(|| assert!(TcpStream::connect(closed).is_err()));
    done(failed);
    let mut open = TcpStream::connect(at).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    open.write_all(&[1; 70_000]).unwrap();
    there.read_exact(&mut [0; 70_000]).unwrap();
    let live = live.interrupt();
    assert_eq!(live.code(), 0, "{}", live.stderr);
    kill(Pid::from_raw(record.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(exited(&mut record).code(), Some(0));
    let recorded = |more: &[&str]| {
        let name = file.to_str().unwrap();
        run(&[&["report", name, "--by", "connection", "--format", "json"], more].concat())
    };
    for run in [&live, &recorded(&["--top", "1000"])] {
        let rows = run.of_type("report");
        let of = |pid: u32| {
            let mut of = rows.iter().filter(|row| row["pid"] == pid && row["netns"] == netns());
            let row = of.next().unwrap_or_else(|| panic!("{pid}: {rows:?}")).clone();
            (row, of.count())
        };
        let pid = |pid: Pid| pid.as_raw().unsigned_abs();
        for (pid, carried, key) in
            [(pid(client), (30, 5_000), "remote_port"), (pid(server), (5_000, 30), "local_port")]
        {
            let (row, more) = of(pid);
            assert_eq!((bytes(&row), more, &row[key]), (carried, 0, &at.port().into()), "{row}");
            assert_eq!((&row["open"], &row["errno"]), (&false.into(), &Value::Null), "{row}");
            assert!(row["duration_s"].is_f64() && row["rx_packets"].as_u64() > Some(0), "{row}");
            assert!(row["srtt_us"].is_u64() && row["cwnd"].is_u64(), "{row}");
        }
        let (refused, _) = of(pid(failed));
        assert_eq!((&refused["errno"], &refused["open"]), (&"ECONNREFUSED".into(), &false.into()));
        assert_eq!(refused["remote_port"], closed.port());
        // Both ends of the open one.
        let (row, more) = of(std::process::id());
        assert_eq!((&row["open"], &row["state"], more), (&true.into(), &"established".into(), 1));
        assert_eq!(bytes(&row).0 + bytes(&row).1, 70_000, "{row}");
    }
    // What has no row is in the last one.
    let all = recorded(&["--top", "1000"]).of_type("report");
    let one = recorded(&["--top", "1"]).of_type("report");
    let sum =
        |rows: &[Value], key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum::<u64>();
    assert_eq!((one.len(), &one[1]["other"]), (2, &true.into()), "{one:?}");
    for key in ["connections", "rx_bytes", "tx_bytes"] {
        assert_eq!(sum(&one, key), sum(&all, key), "{key}");
    }
}

/// Two share an address, and with it the count; one ends before the end.
#[test]
fn listeners_of_a_time_have_the_connections_that_were_accepted() {
    own_namespace();
    lo_up();
    let pid = std::process::id().to_string();
    let running = report(&["--by", "listener", "--duration", "60s", "--pid", &pid]);
    let shares = |at: SocketAddr| {
        let listener =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
        setsockopt(&listener, sockopt::ReusePort, &true).unwrap();
        bind(listener.as_raw_fd(), &SockaddrStorage::from(at)).unwrap();
        listen(&listener, Backlog::new(8).unwrap()).unwrap();
        TcpListener::from(listener)
    };
    let first = shares(local("127.0.0.1"));
    let shared = first.local_addr().unwrap();
    let second = shares(shared);
    let alone = TcpListener::bind(local("127.0.0.1")).unwrap();
    let gone = TcpListener::bind(local("127.0.0.1")).unwrap();
    let gone_at = gone.local_addr().unwrap();
    let accepted_by = |listener: &TcpListener| {
        listener.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| listener.accept().ok()).count()
    };
    let connect = |to, n| (0..n).map(|_| TcpStream::connect(to).unwrap()).collect::<Vec<_>>();
    let clients = (connect(shared, 7), connect(alone.local_addr().unwrap(), 2));
    assert_eq!(accepted_by(&first) + accepted_by(&second), 7);
    assert_eq!(accepted_by(&alone), 2);
    drop(clients);
    // A reading has it, and a later one lacks it.
    another_reading(&running);
    drop(gone);
    another_reading(&running);
    let run = running.interrupt();
    // Namespaces of other tests come and go: one that cannot be read makes it 1.
    assert!(run.code() < 2, "{}", run.stderr);
    let of = |at: SocketAddr| {
        let mut rows = run.of_type("report");
        rows.retain(|row| row["local_port"] == at.port());
        rows.into_iter().map(|row| (row["accepted"].clone(), row["accepted_by"].clone()))
    };
    assert_eq!(of(shared).collect::<Vec<_>>(), vec![(json!(7), json!(2)); 2]);
    assert_eq!(of(alone.local_addr().unwrap()).collect::<Vec<_>>(), [(json!(2), json!(1))]);
    assert_eq!(of(gone_at).count(), 0);
}

/// Its child holds the socket when the process that is chosen has ended.
#[test]
fn a_listener_that_another_process_holds_in_the_end_is_not_listed() {
    own_namespace();
    lo_up();
    let at = SocketAddr::from(([127, 0, 0, 1], 8_080));
    let (bound, leave, end) = (Gate::new(), Gate::new(), Gate::new());
    let holder = process(|| {
        let _listener = TcpListener::bind(at).unwrap();
        process(|| end.wait());
        bound.open();
        leave.wait();
    });
    bound.wait();
    let pid = holder.to_string();
    let is_listed = |run: &Ended| {
        assert!(run.code() < 2, "{}", run.stderr);
        run.of_type("report").iter().any(|row| row["local_port"] == at.port())
    };
    let now = || run(&["report", "--by", "listener", "--pid", &pid, "--format", "json"]);
    assert!(is_listed(&now()));
    let running = report(&["--by", "listener", "--duration", "60s", "--pid", &pid]);
    another_reading(&running);
    leave.open();
    done(holder);
    another_reading(&running);
    let in_the_end = running.interrupt();
    end.open();
    assert!(!is_listed(&in_the_end));
}

/// Waits until a report has read the listeners once from now on: its thread has run, and sleeps again.
fn another_reading(report: &Stream) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", report.child.id())).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let comm = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).unwrap();
    let thread = tasks.find(|task| comm(task) == "listeners\n").unwrap();
    let read = |name: &str| std::fs::read_to_string(thread.join(name)).unwrap();
    let time = || read("schedstat").split(' ').next().unwrap().parse::<u64>().unwrap();
    let sleeps = format!("{} ", libc::SYS_futex);
    let asleep_after = |before| {
        until("a reading", || {
            let ran = time();
            let is_asleep = read("syscall").starts_with(&sleeps) && time() == ran;
            (is_asleep && ran > before).then_some(ran)
        })
    };
    asleep_after(asleep_after(0));
}

/// A server on a plain socket has each client with its bytes.
#[test]
fn peers_of_a_datagram_server_are_listed_with_their_bytes() {
    own_namespace();
    lo_up();
    let (bound, go) = (Gate::new(), Gate::new());
    let at = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = at.local_addr().unwrap();
    let server = process(|| {
        bound.open();
        go.wait();
        for _ in 0..30 {
            let (n, from) = at.recv_from(&mut [0; 2_000]).unwrap();
            at.send_to(&vec![0; n / 10], from).unwrap();
        }
    });
    bound.wait();
    let running = report(&["--by", "peer", "--duration", "60s", "--pid", &server.to_string()]);
    go.open();
    for client in 2..5_u8 {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 0, client), 0)).unwrap();
        for _ in 0..10 {
            socket.send_to(&vec![0; usize::from(client) * 100], to).unwrap();
            socket.recv(&mut [0; 2_000]).unwrap();
        }
    }
    done(server);
    let run = running.interrupt();
    for client in 2..5_u64 {
        let row = row(&run, "ip", &format!("127.0.0.{client}"));
        assert_eq!(bytes(&row), (client * 1_000, client * 100), "{row}");
    }
}

/// The holders of a file, by each way to hold one; what it reports of itself is left out.
#[test]
fn holders_of_a_file_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (log, sleep) = (path("log"), path("sleep-of-the-test"));
    std::fs::write(&log, "12345").unwrap();
    std::fs::hard_link(&log, path("other-name")).unwrap();
    std::fs::copy("/bin/sleep", &sleep).unwrap();
    // At the end of the file, for appending, as descriptor 7; once more as 8, by another name.
    let script =
        format!("exec 7>>{log} 8<{} && echo 678 >&7 && exec {sleep} 100", path("other-name"));
    let mut command = Command::new("/bin/bash");
    let child = command.args(["-c", &script]).current_dir(dir.path()).spawn().unwrap();
    let child = Reaped(child);
    let holders = |file: &str| {
        let ended = crate::common::program::ended(
            program().args(["report", "--by", "holder", file, "--format", "json"]),
        );
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        ended.of_type("report")
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while holders(&sleep).is_empty() {
        assert!(Instant::now() < deadline, "the script did not get there");
    }
    let ways = |rows: &[Value]| -> Vec<(u64, String, Value)> {
        let way = |r: &Value| {
            let held_as = r["held_as"].as_str().unwrap().to_owned();
            (r["pid"].as_u64().unwrap(), held_as, r["fd"].clone())
        };
        rows.iter().map(way).collect()
    };
    let pid = u64::from(child.0.id());
    let way = |held_as: &str, fd: Value| (pid, held_as.to_owned(), fd);
    let rows = holders(&log);
    assert_eq!(ways(&rows), [way("descriptor", 7.into()), way("descriptor", 8.into())]);
    assert_eq!(rows[0]["resolved"], *log);
    assert_eq!(rows[1]["resolved"], *path("other-name"), "each by its own name");
    assert_eq!((&rows[0]["offset"], &rows[1]["offset"]), (&9.into(), &0.into()));
    let flags = |row: &Value| row["flags"].as_array().unwrap().contains(&"O_APPEND".into());
    assert!(flags(&rows[0]) && !flags(&rows[1]), "{rows:?}");
    assert_eq!(rows[0]["process"], "sleep-of-the-te");
    assert_eq!(ways(&holders(dir.path().to_str().unwrap())), [way("cwd", Value::Null)]);
    let running = [way("executable", Value::Null), way("mapped", Value::Null)];
    assert_eq!(ways(&holders(&sleep)), running);
    // Its names go; the file stays while it is held.
    std::fs::remove_file(&log).unwrap();
    std::fs::remove_file(path("other-name")).unwrap();
    let rows = holders(&format!("/proc/{pid}/fd/7"));
    assert_eq!(ways(&rows).len(), 2);
    assert!(rows.iter().all(|row| row["deleted"] == true), "{rows:?}");
    assert_eq!(rows[0]["resolved"], *log);
    let text = crate::common::program::run(&["report", "--by", "holder", "/nowhere/at/all"]);
    assert_eq!(text.code(), 1);
    assert!(text.stderr.contains("find /nowhere/at/all: No such file"), "{}", text.stderr);
    drop(child);
    assert_eq!(holders(&sleep).len(), 0);
}

/// A child that ends with the test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
