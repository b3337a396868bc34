//! `stream` and `record` under a steady load for 20 s (`make soak`: two minutes). Memory and
//! descriptors stay as they are after a third of it, and nothing is lost.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::net::*;
use crate::common::program::program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Ever new processes, 60,000 paths in turn, frames of 600 addresses, until dropped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = Sender::on("vb");
        let on = |mut act: Box<dyn FnMut(u32) + Send>, pause: u64| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    act(n);
                    std::thread::sleep(Duration::from_millis(pause));
                }
            })
        };
        let opens = |n: u32| {
            for i in 0..20 {
                let name = (n * 20 + i) % 60_000;
                let _ = std::fs::File::open(format!("/no/such/folder-{}/file-{name}", name % 90));
            }
        };
        let processes = |_| {
            Command::new("true").status().unwrap();
        };
        let frames = move |n: u32| {
            let one = |i| ethernet(0x0800, &ipv4(v4(1 + (n * 20 + i) % 600), v4(999), 46));
            sender.send(&(0..20).map(one).collect::<Vec<_>>());
        };
        let threads =
            vec![on(Box::new(opens), 2), on(Box::new(processes), 40), on(Box::new(frames), 3)];
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|t| t.join().unwrap());
    }
}

/// Anonymous memory in KiB, and descriptors.
fn held(child: &Child) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let kib = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    (kib, std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count())
}

/// Runs it under the load, ends it, and fails if its memory or descriptors grew.
fn stays_flat(args: &[&str], ready: &str) {
    own_namespace();
    veth("va", "vb");
    let seconds = crate::soak_seconds(20);
    let mut command = program();
    command.args(args).args(["-i", "va"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (
        BufReader::new(child.stdout.take().unwrap()),
        BufReader::new(child.stderr.take().unwrap()),
    );
    let first: &mut dyn BufRead = if args[0] == "stream" { &mut out } else { &mut err };
    let mut line = String::new();
    while !line.contains(ready) {
        line.clear();
        assert!(first.read_line(&mut line).unwrap() > 0, "it must start here (this needs root)");
    }
    // Returns the last line that is not an open.
    let reader = std::thread::spawn(move || {
        out.lines().map(Result::unwrap).filter(|l| !l.contains("\"open\"")).last()
    });
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        err.read_to_string(&mut said).unwrap();
        said
    });
    let load = Load::start();
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::sleep(Duration::from_secs(seconds) / 3);
    let early = held(&child);
    let mut most = early;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(200));
        let now = held(&child);
        most = (most.0.max(now.0), most.1.max(now.1));
    }
    drop(load);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    let said = said.join().unwrap();
    println!("{args:?}, {seconds} s: {early:?}, at most {most:?} KiB and descriptors\n{said}");
    // Room for a name more or less in a table, not for something that grows with each open.
    assert!(most.0 <= early.0 + 3_072, "memory grew: {early:?} {most:?} KiB");
    assert!(most.1 <= early.1 + 2, "descriptors grew: {early:?} {most:?}");
    match reader.join().unwrap() {
        Some(summary) => {
            let summary: Value = serde_json::from_str(&summary).unwrap();
            assert_eq!((&summary["type"], &summary["opens_lost"]), (&"summary".into(), &0.into()));
            assert!(summary["opens"].as_u64() > Some(seconds * 500), "{summary}");
        }
        None => assert!(said.contains(" opens, 0 lost"), "{said}"),
    }
}

#[test]
fn stream_stays_as_it_is() {
    stays_flat(&["stream", "opens", "talkers", "--format", "json"], "\"ready\"");
}

#[test]
fn record_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.ebpftop");
    stays_flat(&["record", file.to_str().unwrap()], "recording");
    assert!(file.metadata().unwrap().len() > 10_000);
}
