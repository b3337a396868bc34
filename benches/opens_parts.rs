//! The overhead of each part of the opens probe, on the real kernel: parts are switched on and off by
//! the configuration and by the files opened, in turn; medians of the rounds. Needs root.
//!
//! Times are CPU time of the program that opens, per call, so that other load disturbs less.
//!
//! `cargo bench --bench opens_parts [-- ROUNDS]`
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

mod common;
#[cfg(target_arch = "x86_64")]
#[path = "../tests/common/i386.rs"]
mod i386;

use std::ffi::{CStr, CString};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{median, with_probe};
use ebpftop::model::event::Only;
use ebpftop::probes::OpensConfig;
use nix::time::{ClockId, clock_gettime};

/// CPU time of one run of the load.
const RUN_NS: u64 = 200_000_000;
/// Directories between the root and the missing file of the load `deep`.
const DEEP: usize = 20;
const FILES: usize = 100;

const BASELINE: &str = "baseline";
const UNSELECTED: &str = "not selected";
const WHOLE: &str = "all";
const LATENCY: &str = "--latency";
const COMPAT: &str = "32-bit task";
const SETUPS: [&str; 5] = [BASELINE, UNSELECTED, WHOLE, LATENCY, COMPAT];

const LOADS: [&str; 6] = ["no path", "at root", "deep", "cached", "new", "getppid"];

const SHARED: &str = "one ring for both";
const OWN: &str = "a ring each";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(i) = args.iter().position(|a| a == "--load") {
        return println!("{}", load(&args[i + 1], &args[i + 2], args[i + 3].parse().unwrap()));
    }
    let rounds = args.iter().find_map(|a| a.parse().ok()).unwrap_or(9);
    let dir = tempfile::Builder::new().prefix("opens").tempdir_in("/tmp").unwrap();
    parts(dir.path(), rounds);
    producers(dir.path(), rounds);
}

/// One producer, each setup with each load.
fn parts(dir: &Path, rounds: usize) {
    let mut times = vec![vec![Vec::new(); LOADS.len()]; SETUPS.len()];
    let mut lost = [0; SETUPS.len()];
    for _ in 0..rounds {
        for ((name, times), lost) in SETUPS.iter().zip(&mut times).zip(&mut lost) {
            let run = || {
                for (load, times) in LOADS.iter().zip(times) {
                    times.push(finish(start(load, dir, 0)));
                }
            };
            let asleep = (*name == COMPAT).then(|| sleeper(dir)).flatten();
            if *name == BASELINE {
                run();
            } else {
                *lost += with_probe(config(name), run).lost;
            }
            if let Some(mut asleep) = asleep {
                asleep.kill().unwrap();
                asleep.wait().unwrap();
            }
        }
    }
    println!("ns a call, medians of {rounds} rounds; in brackets the difference from the baseline");
    print!("{:12}", "");
    LOADS.iter().for_each(|load| print!("{load:>16}"));
    println!("{:>10}", "lost");
    let all: Vec<Vec<f64>> =
        times.iter_mut().map(|t| t.iter_mut().map(|t| median(t)).collect()).collect();
    for ((name, row), lost) in SETUPS.iter().zip(&all).zip(lost) {
        print!("{name:12}");
        for (ns, bare) in row.iter().zip(&all[0]) {
            print!("{:>16}", format!("{ns:.0} ({:+.0})", ns - bare));
        }
        println!("{lost:>10}");
    }
    let more = |setup: &str, load: &str| {
        let of = |all: &[&str], one: &str| all.iter().position(|n| *n == one).unwrap();
        let (setup, load) = (of(&SETUPS, setup), of(&LOADS, load));
        all[setup][load] - all[0][load]
    };
    println!("from these, ns:");
    for (part, ns) in [
        ("any other system call", more(WHOLE, "getppid")),
        ("exit: tracepoint, count, not selected", more(UNSELECTED, "no path")),
        ("exit: registers, ids, names, ring", more(WHOLE, "no path") - more(UNSELECTED, "no path")),
        ("path as passed, start of the walk", more(WHOLE, "at root") - more(WHOLE, "no path")),
        ("walk, each directory", (more(WHOLE, "deep") - more(WHOLE, "at root")) / DEEP as f64),
        ("names of a new file", more(WHOLE, "new") - more(WHOLE, "cached")),
        ("entry, for latencies", more(LATENCY, "no path") - more(WHOLE, "no path")),
        ("32-bit task: any other call", more(COMPAT, "getppid") - more(WHOLE, "getppid")),
        ("32-bit task: an open and a close", more(COMPAT, "cached") - more(WHOLE, "cached")),
    ] {
        println!("  {part:38}{ns:6.0}");
    }
}

/// A producer on each of two CPUs, with one ring for both or one each.
fn producers(dir: &Path, rounds: usize) {
    let mut table = [BASELINE, SHARED, OWN].map(|name| (name, Vec::new(), 0, 0));
    for _ in 0..rounds {
        for (name, times, seen, lost) in &mut table {
            let mut run = || {
                let both = [start("no path", dir, 0), start("no path", dir, 1)];
                times.push(both.map(finish).iter().sum::<f64>() / 2.0);
            };
            if *name == BASELINE {
                run();
            } else {
                let read = with_probe(config(name), run);
                (*seen, *lost) = (*seen + read.seen, *lost + read.lost);
            }
        }
    }
    println!("two at once, \"no path\", ns a call, medians of {rounds} rounds");
    for (name, times, seen, lost) in &mut table {
        println!("  {name:20}{:6.0}   lost {lost} of {seen}", median(times));
    }
}

fn config(setup: &str) -> OpensConfig {
    let whole = OpensConfig::default();
    match setup {
        UNSELECTED => {
            let only = Only { tgid: Some(std::process::id()), ..Only::default() };
            OpensConfig { only, ..whole }
        }
        LATENCY => OpensConfig { latency: true, ..whole },
        OWN => OpensConfig { cpus_per_ring: 1, ..whole },
        _ => whole,
    }
}

/// A 32-bit task that opens once a second.
#[cfg(target_arch = "x86_64")]
fn sleeper(dir: &Path) -> Option<Child> {
    let program = i386::program(dir, "asleep", "/etc/hostname", 1_000, 999_999_999);
    let started = Command::new(&program).spawn();
    Some(started.unwrap_or_else(|e| panic!("needs CONFIG_IA32_EMULATION: {e}")))
}

#[cfg(not(target_arch = "x86_64"))]
fn sleeper(_dir: &Path) -> Option<Child> {
    println!("the program of a 32-bit task is for x86 alone: its rows are meaningless");
    None
}

/// The load in a process of its own.
fn start(load: &str, dir: &Path, cpu: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--load", load, dir.to_str().unwrap(), &cpu.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(load: Child) -> f64 {
    let out = load.wait_with_output().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

/// CPU time of this process, ns.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn raw_open(path: *const libc::c_char) -> i64 {
    // SAFETY: null or a string that lives through the call.
    unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_RDONLY) }
}

fn open_and_close(path: &CStr) {
    let fd = raw_open(path.as_ptr());
    assert!(fd >= 0);
    // SAFETY: a descriptor of our own.
    unsafe { libc::close(fd as i32) };
}

/// ns a call.
fn load(kind: &str, dir: &str, cpu: usize) -> f64 {
    let mut cpus = nix::sched::CpuSet::new();
    cpus.set(cpu).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cpus).unwrap();
    let place = match kind {
        "deep" => "/d".repeat(DEEP - dir.matches('/').count()),
        _ => "/one/two".into(),
    };
    let place = format!("{dir}{place}");
    std::fs::create_dir_all(&place).unwrap();
    std::env::set_current_dir(&place).unwrap();
    let path = |i| format!("{place}/file{i:03}");
    let files: Vec<CString> = (0..FILES).map(|i| CString::new(path(i)).unwrap()).collect();
    let make = |i: usize| std::fs::write(path(i), b"x").unwrap();
    (0..FILES).for_each(make);
    let (mut spent, mut calls) = (0, 0);
    while spent < RUN_NS {
        if kind == "new" {
            // New files, whose names the probe does not know yet.
            for i in 0..FILES {
                std::fs::rename(path(i), format!("{place}/gone")).unwrap();
                make(i);
                std::fs::remove_file(format!("{place}/gone")).unwrap();
            }
        }
        let begun = cpu_ns();
        for _ in 0..if kind == "new" { 1 } else { 20 } {
            for file in &files {
                match kind {
                    "no path" => assert!(raw_open(std::ptr::null()) < 0),
                    "at root" => assert!(raw_open(c"/none".as_ptr()) < 0),
                    "deep" => assert!(raw_open(c"none".as_ptr()) < 0),
                    // SAFETY: a call without arguments.
                    "getppid" => assert!(unsafe { libc::syscall(libc::SYS_getppid) } > 0),
                    _ => open_and_close(file),
                }
                calls += 1;
            }
        }
        spent += cpu_ns() - begun;
    }
    spent as f64 / f64::from(calls)
}
