//! Random keys, clicks and sizes under opens and packets for a while: 45 s, or
//! `EBPFTOP_SOAK_SECONDS` (`make soak`: ten minutes). No panic, memory and descriptors steady, and the terminal
//! given back. Needs root, and fails without it.
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::net::*;
use common::tty::Tty;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebpftop");

/// Neither quits nor writes a file.
const KEYS: [&str; 44] = [
    "j",
    "k",
    "\r",
    "\x1b",
    "t",
    "s",
    "S",
    "f",
    "d",
    "x",
    "p",
    "m",
    "N",
    "F",
    "e",
    "<",
    ">",
    "+",
    "-",
    "?",
    "i",
    "\t",
    "g",
    "G",
    "u",
    "T",
    "n",
    "b",
    "y",
    "1",
    "2",
    "\x1b[5~",
    "\x1b[6~",
    "\x1b[C",
    "\x1b[D",
    "/a~[",
    "/pid:1 ",
    "\x15",
    "\x7f",
    "?/rx",
    "\x12",
    "\x1b[200~a b\x1b[201~",
    "Z",
    " ",
];

/// Resident memory of its own in KiB, and open descriptors.
fn held(pid: i32) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kib, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// What the open descriptors are, and how many of each: what is read when there are too many.
fn descriptors(pid: i32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        let told = format!("/proc/{pid}/fdinfo/{}", entry.file_name().display());
        let told = std::fs::read_to_string(told).unwrap_or_default();
        let of = |key: &str| told.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("").trim();
        let kind = format!("{} {} {}", link.display(), of("map_type:"), of("max_entries:"));
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// A load that goes on until it is told to stop.
fn forever(stop: &Arc<AtomicBool>, mut work: impl FnMut() + Send + 'static) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            work();
        }
    });
}

#[test]
fn random_keys_and_sizes_under_load() {
    own_namespace();
    ip("link set lo up");
    let seconds = std::env::var("EBPFTOP_SOAK_SECONDS").map_or(45, |s| s.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..2_000).map(|i| dir.path().join(format!("{}/{i}", i % 40))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut next = 0;
    // Ever the same files: the tables are full soon, and stay so.
    forever(&stop, move || {
        for _ in 0..200 {
            let _ = std::fs::File::open(&files[next % files.len()]);
            next += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    });
    let sockets: Vec<_> = (1..200)
        .map(|i| std::net::UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 1, i), 0)).unwrap())
        .collect();
    forever(&stop, move || {
        for socket in &sockets {
            let _ = socket.send_to(&[0; 100], "127.0.0.1:9");
        }
        std::thread::sleep(Duration::from_millis(2));
    });
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let args = ["--interval", "100ms", "-i", "lo"];
    let mut tty = Tty::start(PROGRAM, &args, &env, (120, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));

    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    println!("the seed is {seed}");
    let mut state = seed;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let third = Instant::now() + Duration::from_secs(seconds) / 3;
    let mut early = None;
    while Instant::now() < end {
        match random(12) {
            0 => tty.resize((1 + random(220) as u16, 1 + random(70) as u16)),
            1 => {
                let (x, y) = (1 + random(200), 1 + random(60));
                let button = [0, 32, 64, 65][random(4) as usize];
                tty.send(&format!("\x1b[<{button};{x};{y}M\x1b[<0;{x};{y}m"));
            }
            _ => tty.send(KEYS[random(KEYS.len() as u32) as usize]),
        }
        std::thread::sleep(Duration::from_millis(u64::from(random(20))));
        if early.is_none() && Instant::now() > third {
            early = Some((held(tty.pid()), descriptors(tty.pid())));
        }
    }
    let ((early, were), late) = (early.unwrap(), held(tty.pid()));
    let are = descriptors(tty.pid());
    println!("KiB and descriptors: {early:?}, then {late:?}");
    // What is held grows to its bounds, and no further: not with the keys that were pressed.
    assert!(late.0 < early.0 + 8 * 1024, "memory from {early:?} to {late:?}");
    // A hook and a look at an address take some, and give them back. What each key would leave
    // behind were hundreds.
    let more: BTreeMap<_, _> =
        are.iter().filter(|(kind, n)| were.get(*kind).is_none_or(|then| then < n)).collect();
    println!("more of {more:?}");
    assert!(late.1 <= early.1 + 32, "descriptors from {early:?} to {late:?}: {more:?}");
    stop.store(true, Ordering::Relaxed);
    // Out of whatever is open, and it still answers.
    tty.resize((100, 30));
    tty.send("\x1b\x1b\x1b\x1b");
    tty.wait_for("lost ");
    tty.send("\x03");
    assert_eq!(tty.wait(), 0, "the seed was {seed}");
    tty.assert_given_back();
}
