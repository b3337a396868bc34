//! Random keys, clicks and sizes under opens and packets for a minute (`make soak`: ten);
//! `EBPFTOP_SOAK_SEED` presses the same again. No panic, memory and descriptors steady, and the
//! terminal restored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::net::*;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use crossterm::event::{KeyCode, KeyModifiers};
use ebpftop::keys::{Action, BINDINGS, Binding};

/// Input beside the keys of the table: text for the input lines, a paste, an unbound key.
const TEXTS: [&str; 6] = ["/a~[", "/pid:1 ", "?/rx", "\x15", "\x1b[200~a b\x1b[201~", "Z"];

/// Every key of every mode, as a terminal sends it, but those that quit in one of them; and texts.
fn keys() -> Vec<String> {
    let quits = |b: &Binding, key: &KeyCode| {
        let same = |o: &&Binding| o.action == Action::Quit && o.modifiers == b.modifiers;
        BINDINGS.iter().filter(same).any(|o| o.keys.contains(key))
    };
    let mut all: Vec<_> = TEXTS.map(String::from).into();
    for binding in BINDINGS {
        for key in binding.keys.iter().filter(|key| !quits(binding, key)) {
            all.push(match key {
                KeyCode::Char(c) if binding.modifiers.contains(KeyModifiers::CONTROL) => {
                    char::from(*c as u8 & 0x1f).into()
                }
                KeyCode::Char(c) => (*c).into(),
                KeyCode::F(n @ 1..=4) => format!("\x1bO{}", char::from(b'O' + n)),
                KeyCode::F(5) => "\x1b[15~".into(),
                KeyCode::F(6) => "\x1b[17~".into(),
                KeyCode::Enter => "\r".into(),
                KeyCode::Esc => "\x1b".into(),
                KeyCode::Tab => "\t".into(),
                KeyCode::BackTab => "\x1b[Z".into(),
                KeyCode::Backspace => "\x7f".into(),
                KeyCode::Up => "\x1b[A".into(),
                KeyCode::Down => "\x1b[B".into(),
                KeyCode::Right => "\x1b[C".into(),
                KeyCode::Left => "\x1b[D".into(),
                KeyCode::End => "\x1b[F".into(),
                KeyCode::Home => "\x1b[H".into(),
                KeyCode::PageUp => "\x1b[5~".into(),
                KeyCode::PageDown => "\x1b[6~".into(),
                other => panic!("{other:?}: what does a terminal send for it?"),
            });
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Resident memory of its own in KiB, and open descriptors.
fn held(pid: i32) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kib, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count())
}

/// The kinds of open descriptors with their numbers, for the message when there are too many.
fn descriptors(pid: i32) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let Ok(link) = std::fs::read_link(entry.path()) else { continue };
        let path = format!("/proc/{pid}/fdinfo/{}", entry.file_name().display());
        let info = std::fs::read_to_string(path).unwrap_or_default();
        let of = |key: &str| info.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("").trim();
        let kind = format!("{} {} {}", link.display(), of("map_type:"), of("max_entries:"));
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

/// A load that goes on until `stop` is set.
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
    let seconds = crate::soak_seconds(60);
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..2_000).map(|i| dir.path().join(format!("{}/{i}", i % 40))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut next = 0;
    // The same files all the time: the tables are full soon, and stay so.
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
    // `W` and `R` write here; it is removed at the end.
    let place = dir.path().to_str().unwrap();
    let env = [("XDG_CONFIG_HOME", place), ("SUDO_USER", "")];
    let args = ["-C", place, ebpftop(), "--interval", "100ms", "-i", "lo"];
    let mut tty = Tty::start("env", &args, &env, (120, 40));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));

    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let seed: u32 = std::env::var("EBPFTOP_SOAK_SEED").map_or(now, |s| s.parse().unwrap());
    println!("EBPFTOP_SOAK_SEED={seed} presses the same again");
    let keys = keys();
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
            _ => tty.send(&keys[random(keys.len() as u32) as usize]),
        }
        std::thread::sleep(Duration::from_millis(u64::from(random(20))));
        if early.is_none() && Instant::now() > third {
            early = Some((held(tty.pid()), descriptors(tty.pid())));
        }
    }
    let ((early, were), late) = (early.unwrap(), held(tty.pid()));
    let are = descriptors(tty.pid());
    println!("KiB and descriptors: {early:?}, then {late:?}");
    // Memory grows to its bounds, and not with the number of keys.
    assert!(late.0 < early.0 + 8 * 1024, "memory from {early:?} to {late:?}");
    // By what is on at the moment: a hook takes ten (maps, programs, links), and the one before it
    // as many until it has gone; a look at an address four maps; a recording one file; what is read
    // or saved meanwhile a few. A leak of each key would be hundreds.
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
