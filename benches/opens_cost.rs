//! The overhead of an open for the program that opens, on the real kernel: the baseline, the probe
//! in its forms, and `opensnoop`, interleaved; medians of the rounds. Needs root.
//!
//! The load: one thread opens and closes 100 cached files, paths of five components, as fast as
//! it can, pinned to CPU 0; the tool runs where the scheduler puts it.
//!
//! `cargo bench --bench opens_cost [-- ROUNDS]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::CString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Read, median, with_probe};
use ebpftop::model::event::Only;
use ebpftop::model::open::Comm;
use ebpftop::probes::OpensConfig;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

const BASELINE: &str = "baseline";
const OTHERS: &str = "another process only";
const NAMED: &str = "another name only";
const LATENCY: &str = "ebpftop --latency";
const OLDEST: &str = "ebpftop as on 5.10";
const PEER: &str = "opensnoop";
const TOOLS: [&str; 7] = [BASELINE, "ebpftop", OTHERS, NAMED, LATENCY, OLDEST, PEER];
const FILES: usize = 100;
const RUN: Duration = Duration::from_millis(700);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return load(&args[i + 1], &args[i + 2]);
    }
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(7);
    let dir = tempfile::Builder::new().prefix("opens").tempdir_in("/tmp").unwrap();
    let deep = dir.path().join("one/two/three");
    std::fs::create_dir_all(&deep).unwrap();
    for i in 0..FILES {
        std::fs::write(deep.join(format!("file{i:03}")), b"x").unwrap();
    }
    let deep = deep.to_str().unwrap();

    for load in ["cached", "failing", "new"] {
        let mut table: Vec<(&str, Vec<f64>, Read)> =
            TOOLS.into_iter().map(|name| (name, vec![], Read::default())).collect();
        for _ in 0..rounds {
            for (name, times, sum) in &mut table {
                let config = match *name {
                    OTHERS => {
                        let only = Only { tgid: Some(std::process::id()), ..Only::default() };
                        OpensConfig { only, ..OpensConfig::default() }
                    }
                    NAMED => {
                        let name = Some(Comm::new(b"another"));
                        OpensConfig {
                            only: Only { name, ..Only::default() },
                            ..OpensConfig::default()
                        }
                    }
                    LATENCY => OpensConfig { latency: true, ..OpensConfig::default() },
                    OLDEST => OpensConfig { as_on_510: true, ..OpensConfig::default() },
                    _ => OpensConfig::default(),
                };
                let mut run = || times.push(run_load(load, deep));
                match *name {
                    BASELINE => run(),
                    PEER => with_opensnoop(run),
                    _ => {
                        let read = with_probe(config, run);
                        sum.seen += read.seen;
                        sum.lost += read.lost;
                        sum.cpu_ns += read.cpu_ns;
                    }
                };
            }
        }
        println!("{load} files, {rounds} rounds, medians of ns a pair of open and close");
        let bare = median(&mut table[0].1.clone());
        for (name, times, sum) in &mut table {
            let m = median(times);
            print!("  {name:22} {m:8.0}  x{:.2}", m / bare);
            if sum.seen > 0 {
                let each = sum.cpu_ns as f64 / sum.seen as f64;
                print!("   seen {}, lost {}, read at {each:.0} ns each", sum.seen, sum.lost);
            }
            println!();
        }
    }
}

/// Runs the load in a process of its own; ns a pair of open and close.
fn run_load(kind: &str, dir: &str) -> f64 {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--load", kind, dir])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn load(kind: &str, dir: &str) {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus).unwrap();
    let suffix = if kind == "failing" { ".none" } else { "" };
    let paths: Vec<CString> =
        (0..FILES).map(|i| CString::new(format!("{dir}/file{i:03}{suffix}")).unwrap()).collect();
    let mut pairs = 0u64;
    let mut spent = Duration::ZERO;
    let mut round = 0;
    let all = Instant::now();
    while all.elapsed() < RUN {
        if kind == "new" {
            // Ever new files: made outside of the timed part.
            for (i, path) in paths.iter().enumerate() {
                let from = path.to_str().unwrap();
                std::fs::rename(from, format!("{dir}/r{round}-{i}")).unwrap();
                std::fs::write(from, b"x").unwrap();
                std::fs::remove_file(format!("{dir}/r{round}-{i}")).unwrap();
            }
            round += 1;
        }
        let start = Instant::now();
        for _ in 0..if kind == "new" { 1 } else { 20 } {
            for path in &paths {
                drop(open(path.as_c_str(), OFlag::O_RDONLY, Mode::empty()));
                pairs += 1;
            }
        }
        spent += start.elapsed();
    }
    println!("{}", spent.as_nanos() as f64 / pairs as f64);
}

/// opensnoop needs a mounted tracefs: it gets a mount namespace of its own.
fn with_opensnoop(load: impl FnOnce()) {
    const START: &str = "test -d /sys/kernel/tracing/events \
        || mount -t tracefs tracefs /sys/kernel/tracing; \
        PATH=$PATH:/usr/sbin exec opensnoop";
    let mut child = Command::new("unshare")
        .args(["--mount", "sh", "-c", START])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(
        child.try_wait().unwrap().is_none(),
        "opensnoop did not stay: is the package libbpf-tools installed?"
    );
    load();
    child.kill().unwrap();
    child.wait().unwrap();
}
