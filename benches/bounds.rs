//! Memory under more paths and processes than the tables hold: the model alone, then the dashboard
//! in a terminal on the real kernel, with the number of evicted rows that its screen shows.
//! Needs root.
//!
//! `cargo bench --bench bounds [-- PATHS PROCESSES]` (10,000,000 and 100,000)
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/fake.rs"]
mod fake;

use std::ffi::CString;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::net::{ip, own_namespace};
use common::tty::Tty;
use ebpftop::model::open::{OpenBatch, ResolvedKind};
use ebpftop::model::opens::Opens;
use fake::{at, meta};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut numbers = args.iter().filter_map(|a| a.parse().ok());
    let paths: u32 = numbers.next().unwrap_or(10_000_000);
    let processes: u32 = numbers.next().unwrap_or(100_000);
    if args.iter().any(|a| a == "--load") {
        return load(paths, processes);
    }
    println!("{paths} distinct paths by {processes} processes, none of which can be opened");
    model(paths, processes);
    dashboard(paths, processes);
}

/// Anonymous memory of a process, MiB.
fn rss_anon(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn path_of(process: u32, i: u32) -> String {
    format!("/srv/no/such/tree{process}/part/file{i}.c")
}

fn model(paths: u32, processes: u32) {
    let me = std::process::id();
    println!("the model: {:.1} MiB before", rss_anon(me));
    let mut opens = Opens::default();
    let each = paths / processes;
    let mut most = 0f64;
    let mut spent = Duration::ZERO;
    for first in (0..paths).step_by(2048) {
        let mut batch = OpenBatch::default();
        for i in first..paths.min(first + 2048) {
            let process = i / each.max(1);
            let path = path_of(process, i);
            // Process 0 would stand for evicted ones.
            let meta = meta(process + 1, "sh", at(f64::from(i) / 1e5), -2);
            batch.push(meta, Some(path.as_bytes()), Some((ResolvedKind::Tried, path.as_bytes())));
        }
        let now = at(f64::from(first) / 1e5);
        let begun = Instant::now();
        opens.add_batch(&batch, now);
        spent += begun.elapsed();
        if first / 2048 % 64 == 0 {
            most = most.max(rss_anon(me));
        }
    }
    let (end, gone) = (rss_anon(me), opens.evicted());
    let each = spent.as_nanos() as f64 / f64::from(paths);
    println!("  {most:.1} MiB at most, {end:.1} MiB at the end; {each:.0} ns an open");
    // Those of evicted processes have rows, too, which stand for them.
    let rows = opens.processes().iter().map(|(_, process)| process);
    let held: Vec<_> = rows.filter(|process| !process.is_stand_in()).collect();
    println!(
        "  held: {} processes, {} files, {} failures; evicted: {gone:?}",
        held.len(),
        opens.files().len(),
        opens.failures().len()
    );
    assert_eq!(opens.total().opens, u64::from(paths));
    let held: u64 = held.iter().map(|process| process.tally.opens).sum();
    assert_eq!(held + gone.opens, u64::from(paths), "every open is held or counted as evicted");
}

fn dashboard(paths: u32, processes: u32) {
    own_namespace();
    ip("link set lo up");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start(env!("CARGO_BIN_EXE_ebpftop"), &["-i", "lo"], &env, (200, 60));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    std::thread::sleep(Duration::from_secs(2));
    let pid = tty.pid() as u32;
    println!("the dashboard: {:.1} MiB before", rss_anon(pid));
    let done = AtomicBool::new(false);
    let begun = Instant::now();
    let most = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0f64;
            while !done.load(Ordering::Relaxed) {
                most = most.max(rss_anon(pid));
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let load = Command::new(std::env::current_exe().unwrap())
            .args(["--load", &paths.to_string(), &processes.to_string()])
            .status();
        assert!(load.unwrap().success());
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    let took = begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "  {most:.1} MiB at most, {:.1} MiB at the end; {:.0} opens/s, {:.0} processes/s",
        rss_anon(pid),
        f64::from(paths) / took,
        f64::from(processes) / took
    );
    let first = tty.text();
    println!("  {}", first.lines().find(|l| l.contains("lost")).unwrap_or_default().trim());
    for view in ["by process", "by service", "by file", "by directory", "failures"] {
        let screen = tty.wait_until(view, |s| s.contains(view));
        let line = screen.lines().find(|l| l.contains("evicted"));
        println!("  {}", line.map_or(view, str::trim));
        tty.send("t");
    }
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// Processes one after the other, each of which tries its paths and ends.
fn load(paths: u32, processes: u32) {
    let each = (paths / processes.max(1)).max(1);
    for process in 0..processes {
        // SAFETY: this process has one thread.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                for i in process * each..(process + 1) * each {
                    let path = CString::new(path_of(process, i)).unwrap();
                    // SAFETY: a string that lives through the call.
                    unsafe { libc::open(path.as_ptr(), libc::O_RDONLY) };
                }
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).unwrap();
            }
        }
    }
}
