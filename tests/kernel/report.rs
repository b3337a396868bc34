//! `report` of what happens now, on the real kernel.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::common::net::{ip, own_namespace};
use crate::common::program::{Ended, Stream, program};
use serde_json::Value;

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
