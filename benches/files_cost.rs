//! The overhead of creating and deleting a file, on the real kernel: the baseline and the probe of opens with and without
//! changes of files, interleaved; medians of the rounds. Needs root.
//!
//! The load: one thread creates 100,000 empty files in one directory and deletes them, pinned to CPU 0. Its CPU time is
//! measured, which includes that of the programs: what else runs on the machine matters less.
//!
//! `cargo bench --bench files_cost [-- ROUNDS [DIR]]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::ffi::CString;
use std::process::Command;

use common::{median, with_probe};
use ebpftop::probes::OpensConfig;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::unlink;

const FILES: usize = 100_000;
const TOOLS: [&str; 4] = ["baseline", "files", "opens", "opens and files"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return load(&args[i + 1]);
    }
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(5);
    let parent = args.iter().skip(1).find(|a| a.starts_with('/')).map_or("/tmp", |dir| dir);
    let dir = tempfile::Builder::new().prefix("files").tempdir_in(parent).unwrap();
    let dir = dir.path().to_str().unwrap();

    let mut table = TOOLS.map(|name| (name, Vec::new()));
    for _ in 0..rounds {
        for (name, times) in &mut table {
            let mut run = || times.push(run_load(dir));
            let (calls, files) = (name.contains("opens"), name.contains("files"));
            if *name == TOOLS[0] {
                run();
            } else {
                with_probe(OpensConfig { calls, files, ..OpensConfig::default() }, run);
            }
        }
    }
    println!("{parent}, {rounds} rounds, medians of ns for creating and deleting a file");
    let bare = median(&mut table[0].1.clone());
    for (name, times) in &mut table {
        let m = median(times);
        println!("  {name:22} {m:8.0}  x{:.2}", m / bare);
    }
}

/// Runs the load in a process of its own; ns a file.
fn run_load(dir: &str) -> f64 {
    let out =
        Command::new(std::env::current_exe().unwrap()).args(["--load", dir]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn load(dir: &str) {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(0).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus).unwrap();
    let path = |i| CString::new(format!("{dir}/file{i:06}")).unwrap();
    let paths: Vec<CString> = (0..FILES).map(path).collect();
    let start = cpu_ns();
    for path in &paths {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        drop(open(path.as_c_str(), flags, Mode::S_IRUSR).unwrap());
    }
    for path in &paths {
        unlink(path.as_c_str()).unwrap();
    }
    println!("{}", (cpu_ns() - start) as f64 / FILES as f64);
}

/// CPU time of this thread.
fn cpu_ns() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}
