//! Memory under more paths and processes than the tables hold: the model alone, then the dashboard
//! in a terminal on the real kernel, with the number of evicted rows that its screen shows. Then the same for bytes
//! of files, without and with durations. Needs root.
//!
//! `cargo bench --bench bounds [-- opens|io [PATHS PROCESSES]]` (10,000,000 and 100,000; of io 1,000,000 and 1,000)
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, unsafe_code)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/fake.rs"]
mod fake;

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::net::{ip, own_namespace};
use common::tty::Tty;
use ebpftop::model::call_times::CallTimes;
use ebpftop::model::file_io::{FileIo, FilePlace, FileType, IoCounts, IoSample};
use ebpftop::model::open::{Comm, OpenBatch, ResolvedKind};
use ebpftop::model::opens::Opens;
use ebpftop::model::process::ProcessKey;
use ebpftop::model::time::Stamp;
use fake::{at, meta};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let numbers: Vec<u32> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let sizes = |paths, processes| match numbers[..] {
        [paths, processes] => (paths, processes),
        _ => (paths, processes),
    };
    let has = |arg: &str| args.iter().any(|a| a == arg);
    let (opens, io) = (sizes(10_000_000, 100_000), sizes(1_000_000, 1_000));
    if has("--open") {
        return load(opens, |path| drop(File::open(path)));
    }
    if has("--write") {
        return load(io, write);
    }
    if !has("io") {
        let (paths, processes) = opens;
        println!("{paths} distinct paths by {processes} processes, none of which can be opened");
        model(opens);
        dashboard(&[], "--open", opens);
    }
    if !has("opens") {
        let (paths, processes) = io;
        println!("{paths} distinct files written by {processes} processes");
        model_of_io(io, false);
        dashboard(&["--io"], "--write", io);
        println!("the same, timed");
        model_of_io(io, true);
        dashboard(&["--slow", "10ms"], "--write", io);
    }
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

fn model((paths, processes): (u32, u32)) {
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

fn dashboard(options: &[&str], work: &str, (paths, processes): (u32, u32)) {
    own_namespace();
    ip("link set lo up");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let options = [&["-i", "lo"], options].concat();
    let mut tty = Tty::start(env!("CARGO_BIN_EXE_ebpftop"), &options, &env, (200, 60));
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
            .args([work, &paths.to_string(), &processes.to_string()])
            .status();
        assert!(load.unwrap().success());
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    let took = begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "  {most:.1} MiB at most, {:.1} MiB at the end; {:.0} paths/s, {:.0} processes/s",
        rss_anon(pid),
        f64::from(paths) / took,
        f64::from(processes) / took
    );
    let first = tty.text();
    println!("  {}", first.lines().find(|l| l.contains("lost")).unwrap_or_default().trim());
    for line in first.lines().filter(|l| l.contains(" other: ")) {
        println!("  {line}");
    }
    let mut last = String::new();
    while last != "failures" {
        let screen = tty.wait_until("the next view", |s| view(s).is_some_and(|view| view != last));
        last = view(&screen).unwrap().to_owned();
        let line = screen.lines().find(|l| l.contains("evicted"));
        println!("  {last}: {}", line.map_or("", str::trim));
        tty.send("t");
    }
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// The view of files on the screen.
fn view(screen: &str) -> Option<&str> {
    screen.split_once("Files · ")?.1.split_once(" ─").map(|(view, _)| view.trim())
}

/// Processes one after the other, each of which does something with its paths and ends.
fn load((paths, processes): (u32, u32), work: impl Fn(&str)) {
    let each = (paths / processes.max(1)).max(1);
    for process in 0..processes {
        // SAFETY: this process has one thread.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                (process * each..(process + 1) * each).for_each(|i| work(&path_of(process, i)));
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).unwrap();
            }
        }
    }
}

/// Writes to a new file that is named like the last part of the path, and deletes it.
fn write(path: &str) {
    let name = path.rsplit('/').next().unwrap();
    let path = format!("/tmp/ebpftop-bounds-{}-{name}", std::process::id());
    File::create(&path).unwrap().write_all(b"x").unwrap();
    std::fs::remove_file(&path).unwrap();
}

/// Intervals with as many uses as the kernel's table has room for; timed, with a call in each bucket.
fn model_of_io((files, processes): (u32, u32), timed: bool) {
    const USES: u32 = 65_536;
    const PARTS: u32 = 8;
    let me = std::process::id();
    println!("the model: {:.1} MiB before", rss_anon(me));
    let (mut opens, mut most) = (Opens::default(), 0f64);
    let use_of = |i: u32| FileIo {
        key: ProcessKey::of(&meta(i % processes + 1, "sh", at(0.0), 0)),
        process: Comm::new(b"sh"),
        uid: 0,
        cgroup_id: None,
        file_type: FileType::Regular,
        place: Some(FilePlace {
            kind: ResolvedKind::Opened,
            path: path_of(i % processes, i).into_bytes().into(),
        }),
        counts: IoCounts { written_bytes: 1, write_calls: 54, ..IoCounts::default() },
        times: timed.then(|| Box::new(CallTimes::new(1 << 40, 1, [1; 54]))),
    };
    for (n, first) in (0..files).step_by((USES / PARTS) as usize).enumerate() {
        let uses = (first..files.min(first + USES / PARTS)).map(use_of).collect();
        let more = !(n as u32 + 1).is_multiple_of(PARTS);
        let at = Stamp { mono: at(f64::from(n as u32 / PARTS + 1)), ..Stamp::default() };
        opens.add_io(&IoSample {
            at,
            interval_ns: 1_000_000_000,
            uses,
            more,
            ..IoSample::default()
        });
        most = most.max(rss_anon(me));
    }
    println!(
        "  {most:.1} MiB at most; held: {} processes, {} files; evicted: {:?}",
        opens.processes().len(),
        opens.files().len(),
        opens.evicted()
    );
    assert_eq!(opens.total().io.total.write_calls, u64::from(files) * 54);
}
