//! The overhead of `--io` and `--slow` for a program that reads or calls, on the real kernel: the baseline, the probe,
//! `bpftrace` and `filetop`, interleaved; medians of the rounds. A tool that cannot run is left out, with its
//! error. Needs root.
//!
//! The load: one thread, pinned to CPU 0, reads a cached file over and over, as fast as it can: 1 byte, 4 KiB
//! and 64 KiB a call, and 4 KiB of 64 files in turn. `getppid` is a call that is not counted. A time is the median
//! of batches of 128 calls, so that what interrupts the load matters less.
//!
//! `cargo bench --bench io_cost [-- ROUNDS]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::median;
use ebpftop::model::event::{ProbeEvent, ProbeInfo};
use ebpftop::probes::CHANNEL_DEPTH;
use ebpftop::probes::io::{self, IoConfig};

const RUN: Duration = Duration::from_millis(300);
const LOADS: [(&str, usize, usize); 5] = [
    ("read of 1 byte", 1, 1),
    ("read of 4 KiB", 4 << 10, 1),
    ("read of 64 KiB", 64 << 10, 1),
    ("read of 4 KiB, 64 files", 4 << 10, 64),
    ("getppid", 0, 1),
];
const TOOLS: [&str; 5] =
    ["baseline", "ebpftop --io", "as on 5.10", "--slow 10ms", "--slow, as on 5.10"];
/// The other tools: what a shell is to run, which writes a line once its programs are attached.
const PEERS: [(&str, &str); 2] = [
    (
        "bpftrace, by process",
        "exec bpftrace -e 'BEGIN { printf(\"ready\\n\"); } \
        tracepoint:syscalls:sys_exit_read, tracepoint:syscalls:sys_exit_pread64 /args->ret >= 0/ \
        { @calls[comm, pid] = count(); @bytes[comm, pid] = sum(args->ret); }'",
    ),
    ("filetop", "PATH=$PATH:/usr/sbin exec filetop -C 1"),
];
/// Calls that are timed together.
const BATCH: usize = 128;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return load(&args[i + 1], args[i + 2].parse().unwrap(), args[i + 3].parse().unwrap());
    }
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(7);
    let dir = tempfile::Builder::new().prefix("io").tempdir_in("/tmp").unwrap();
    for i in 0..64 {
        std::fs::write(dir.path().join(i.to_string()), vec![b'x'; 64 << 10]).unwrap();
    }
    let dir = dir.path().to_str().unwrap();
    let peers = PEERS.iter().filter(|(name, command)| match with_peer(command, || ()) {
        Ok(()) => true,
        Err(error) => {
            println!("{name} is left out: {error}");
            false
        }
    });
    let peers: Vec<_> = peers.collect();
    println!("{rounds} rounds, medians of ns a call");
    for (name, bytes, files) in LOADS {
        let run = || run_load(dir, bytes, files);
        let mut times = vec![Vec::new(); TOOLS.len() + peers.len()];
        for _ in 0..rounds {
            for (tool, times) in times.iter_mut().enumerate() {
                let as_on_510 = tool == 2 || tool == 4;
                let slow = (tool > 2).then(|| Duration::from_millis(10));
                times.push(match tool.checked_sub(TOOLS.len()) {
                    Some(peer) => with_peer(peers[peer].1, run).unwrap(),
                    None if tool == 0 => run(),
                    None => with_probe(IoConfig { as_on_510, slow, ..IoConfig::default() }, run),
                });
            }
        }
        let bare = median(&mut times[0].clone());
        print!("  {name:24}");
        let names = TOOLS.into_iter().chain(peers.iter().map(|peer| peer.0));
        for (tool, times) in names.zip(&mut times) {
            let m = median(times);
            print!("  {tool} {m:7.0} x{:.2}", m / bare);
        }
        println!();
    }
}

/// Runs the load while another tool does, in a mount namespace of its own with tracefs; or why that cannot run.
fn with_peer<T>(command: &str, load: impl FnOnce() -> T) -> Result<T, String> {
    const START: &str = "test -d /sys/kernel/tracing/events \
        || mount -t tracefs tracefs /sys/kernel/tracing;";
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{START} {command} 2>&1")])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let (mut said, mut is_ready) = (String::new(), false);
    for line in lines.by_ref() {
        is_ready = line == "ready" || line.contains("loadavg");
        if is_ready {
            break;
        }
        said = line;
    }
    let result = if is_ready {
        // The pipe must not fill.
        let rest = std::thread::spawn(move || lines.for_each(drop));
        let result = load();
        child.kill().unwrap();
        rest.join().unwrap();
        Ok(result)
    } else {
        Err(said)
    };
    child.wait().unwrap();
    result
}

/// Runs the load while the probe does; all of its calls are counted.
fn with_probe(config: IoConfig, load: impl FnOnce() -> f64) -> f64 {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let mut probe = io::start(config, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::Started(ProbeInfo::Io(_))) => {}
        other => panic!("cannot start (root?): {other:?}"),
    }
    let reader = std::thread::spawn(move || while events.blocking_recv().is_some() {});
    let time = load();
    probe.stop();
    probe.join();
    reader.join().unwrap();
    time
}

/// Runs the load in a process of its own; ns a call.
fn run_load(dir: &str, bytes: usize, files: usize) -> f64 {
    let (bytes, files) = (bytes.to_string(), files.to_string());
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--load", dir, &bytes, &files])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn load(dir: &str, bytes: usize, files: usize) {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus).unwrap();
    let files: Vec<File> = (0..files).map(|i| File::open(format!("{dir}/{i}")).unwrap()).collect();
    let mut buffer = vec![0; bytes];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < RUN {
        let batch = Instant::now();
        for file in files.iter().cycle().take(BATCH) {
            if bytes == 0 {
                std::hint::black_box(nix::unistd::getppid());
            } else {
                file.read_exact_at(&mut buffer, 0).unwrap();
            }
        }
        times.push(batch.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    println!("{}", median(&mut times));
}
