//! The whole program and its terminal: one that is not read, that changes its size all the time,
//! that clicks; and what is said when there is nothing to show.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::net::*;
use crate::common::opener::opener;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use nix::sys::signal::Signal;

const ENV: [(&str, &str); 2] = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];

/// The dashboard on `lo` of a namespace of its own.
fn dashboard(size: (u16, u16)) -> Tty {
    own_namespace();
    ip("link set lo up");
    let tty = Tty::start(ebpftop(), &["--interval", "100ms", "-i", "lo"], &ENV, size);
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty
}

/// Writes until the terminal takes no more: a key, and a whole screen changes.
fn fill(tty: &mut Tty) {
    tty.hold(true);
    let mut full = 0;
    for _ in 0..4_000 {
        tty.send("?");
        std::thread::sleep(Duration::from_millis(15));
        full = if tty.takes_more() { 0 } else { full + 1 };
        if full == 20 {
            return;
        }
    }
    panic!("the terminal never got full");
}

#[test]
fn a_terminal_that_is_not_read_does_not_keep_a_signal_waiting() {
    let mut tty = dashboard((200, 60));
    fill(&mut tty);
    tty.kill(Signal::SIGTERM);
    assert_eq!(tty.wait(), 0);
    tty.hold(false);
    tty.settle();
    tty.assert_given_back();
}

#[test]
fn a_terminal_that_is_read_again_shows_the_present() {
    let opener = opener("opn-unread");
    let mut tty = dashboard((200, 60));
    opener.find(&mut tty);
    fill(&mut tty);
    // Keys are taken in all the same: out of the help, and into the filter.
    tty.send("\x1b");
    tty.send("/\x15no-such-name\r");
    tty.hold(false);
    let shown = "filter no-such-name";
    tty.wait_until("the filter", |s| s.contains(shown) && s.contains("no match"));
    tty.send("\x7f");
    opener.find(&mut tty);
    // Stop and start are keys like others here, and do nothing.
    tty.send("\x13t");
    tty.wait_for("by process");
    tty.send("\x11q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn resized_all_the_time_under_load() {
    let opener = opener("opn-sizes");
    let mut tty = dashboard((120, 40));
    let stop = Arc::new(AtomicBool::new(false));
    let load = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            while !stop.load(Ordering::Relaxed) {
                socket.send_to(&[0; 100], socket.local_addr().unwrap()).unwrap();
            }
        }
    });
    // The same sizes and keys in every run.
    let mut seed = 7u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    const KEYS: [&str; 28] = [
        "j", "k", "\r", "\x1b", "t", "s", "S", "f", "d", "x", "p", "m", "N", "F", "e", "<", ">",
        "+", "-", "?", "i", "\t", "g", "G", "/a~[", "\x15", "\x1b[5~", "\x1b[6~",
    ];
    for round in 0..100 {
        let small = if round % 3 == 0 { (12, 5) } else { (220, 70) };
        let size = (1 + random(small.0) as u16, 1 + random(small.1) as u16);
        tty.resize(if round % 10 == 0 { (1, 1) } else { size });
        for _ in 0..3 {
            tty.send(KEYS[random(28) as usize]);
        }
        std::thread::sleep(Duration::from_millis(u64::from(random(25))));
    }
    stop.store(true, Ordering::Relaxed);
    load.join().unwrap();
    tty.resize((100, 30));
    tty.wait_for("lost ");
    tty.send("\x03");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
    drop(opener);
}

#[test]
fn one_probe_alone_works_on_and_the_end_says_so() {
    own_namespace();
    ip("link set lo up");
    let opener = opener("opn-alone");
    let mut tty = Tty::start(ebpftop(), &["-i", "veht7", "--interval", "200ms"], &ENV, (160, 40));
    tty.wait_for("no such interface");
    let screen = tty.wait_for("choose another with -i: lo");
    assert!(screen.contains("no interface"), "{screen}");
    opener.find(&mut tty);
    for key in ["i", "n", "b", "x"] {
        tty.send(key);
        tty.wait_for("the talkers probe is not running: watch veht7");
    }
    tty.send("q");
    assert_eq!(tty.wait(), 1);
    tty.settle();
    tty.assert_given_back();
    let text = tty.text();
    assert!(text.contains("ebpftop: watch veht7: no such interface"), "{text}");
}

#[test]
fn help_lists_every_key() {
    let mut tty = dashboard((80, 24));
    tty.send("?");
    tty.wait_for(" Help ");
    let mut seen = tty.text();
    let last = "no activity now; ended processes";
    // The figures above the page change by themselves.
    let page = |screen: &str| screen.lines().skip(4).collect::<Vec<_>>().join("\n");
    while !seen.contains(last) {
        let before = page(&tty.text());
        tty.send("\x1b[6~");
        seen.push_str(&tty.wait_until("the next page", |s| page(s) != before));
    }
    for binding in ebpftop::keys::of(ebpftop::keys::Mode::Main) {
        let shown = seen.lines().any(|l| {
            l.contains(&binding.names()) && l.contains(&binding.help[..9.min(binding.help.len())])
        });
        assert!(shown, "{} {}\n{seen}", binding.names(), binding.help);
    }
    // The lines that match stay, key, column or mark; Esc leaves the search first, then the page.
    tty.send("/LATENCY");
    let found = |s: &str| s.contains("mean duration") && !s.contains("; / searches it");
    tty.wait_until("what was found", found);
    tty.send("\x7f\x7f\x7f\x7f\x7f\x7f\x7fno such thing");
    tty.wait_for("no match");
    tty.send("\x15quit");
    tty.wait_for("search quit\u{258f}");
    tty.send("\r");
    tty.wait_until("quit", |s| s.contains("q F10") && !s.contains("search quit\u{258f}"));
    let first = "processes of one name";
    tty.send("\x1b");
    tty.wait_for(first);
    tty.send("\x1b");
    tty.wait_until("the panes", |s| !s.contains(first));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn a_bad_pattern_is_marked_and_the_last_good_one_holds() {
    own_namespace();
    ip("link set lo up");
    let (one, two) = (opener("opn-good"), opener("opn-other"));
    let mut tty = Tty::start(ebpftop(), &["--interval", "200ms", "-i", "lo"], &ENV, (160, 40));
    one.find(&mut tty);
    tty.send("/\x15~opn-(good");
    tty.wait_for("invalid filter");
    // The filter from before the bracket was open, `~opn-`, still applies.
    tty.wait_until("both", |s| s.contains("file-of-opn-good") && s.contains("file-of-opn-other"));
    tty.send(")");
    let screen = tty
        .wait_until("one", |s| !s.contains("invalid filter") && !s.contains("file-of-opn-other"));
    assert!(screen.contains("file-of-opn-good"), "{screen}");
    tty.send("\rq");
    assert_eq!(tty.wait(), 0);
    drop(two);
}

/// A name that would clear the screen, and press Enter where it is pasted.
#[test]
fn a_click_selects_and_copied_text_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OsStr::from_bytes(b"evil\x1b[2J\n\xff;\x07.txt"));
    std::fs::write(&path, b"").unwrap();
    let plain = dir.path().join("plain-one.txt");
    std::fs::write(&plain, b"").unwrap();
    let mut tty = dashboard((160, 40));
    for _ in 0..20 {
        drop((std::fs::File::open(&plain).unwrap(), std::fs::File::open(&path).unwrap()));
    }
    let unique = dir.path().file_name().unwrap().to_str().unwrap();
    tty.send(&format!("ttt/path:{unique}\r"));
    let line = |s: &str, name: &str| {
        let at = |l: &str| l.contains(name) && l.contains(" 20 ");
        s.lines().position(at)
    };
    let names = [("evil\\x1b[2J\\n\\xff;\\x07.txt", &path), ("plain-one.txt", &plain)];
    tty.wait_until("both files", |s| names.iter().all(|n| line(s, n.0).is_some()));
    // Paused, no row changes its place.
    tty.send("p");
    let screen = tty.wait_for("PAUSED");
    let row = |name| line(&screen, name).unwrap_or_else(|| panic!("no row of {name}:\n{screen}"));
    let mut rows = names.map(|(name, path)| (row(name), path));
    // The lower one first: a click on the row that is selected would open its details.
    rows.sort();
    rows.reverse();
    for (y, path) in rows {
        tty.send(&format!("\x1b[<0;20;{0}M\x1b[<0;20;{0}my", y + 1));
        let escaped = ebpftop::model::escape::escape(path.as_os_str().as_bytes()).into_owned();
        tty.wait_for(&format!("clipboard: {escaped}"));
        let copy = format!("\x1b]52;c;{}\x07", base64(escaped.as_bytes()));
        tty.wait_until(&copy, |_| String::from_utf8_lossy(&tty.bytes()).contains(&copy));
    }
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

/// The beginning of the second pane: cells from the left, or lines from the top.
fn second_pane(screen: &str) -> (Option<usize>, Option<usize>) {
    let of = |l: &str| l.find("╭─ 2 Talkers").map(|at| l.get(..at).unwrap().chars().count());
    (screen.lines().find_map(of), screen.lines().position(|l| of(l).is_some()))
}

#[test]
fn the_mouse_moves_the_split_sorts_scrolls_and_brings_up_help_lines() {
    let opener = opener("opn-mouse");
    let mut tty = dashboard((160, 40));
    opener.find(&mut tty);
    // By process there is a column for the pid.
    tty.send("tee");
    let at = second_pane(&tty.wait_for("Talkers")).0.unwrap();
    // A press on the line, a move to the left, a release; moves after that have no effect.
    tty.send(&format!("\x1b[<0;{};20M\x1b[<32;60;21M\x1b[<32;50;22M\x1b[<0;50;22m", at + 1));
    tty.wait_until("the split at 50", |s| second_pane(s).0.is_some_and(|x| (49..=51).contains(&x)));
    tty.send("\x1b[<32;90;22M");
    // With Shift held a press is the terminal's.
    tty.send("\x1b[<4;50;20M\x1b[<36;90;20M\x1b[<4;90;20m");
    // A click on a header orders by it, one more turns it round.
    let screen = tty.wait_for("OPENS/S▼");
    assert!((49..=51).contains(&second_pane(&screen).0.unwrap()), "{screen}");
    let y = screen.lines().position(|l| l.contains("OPENS/S▼")).unwrap();
    let header = screen.lines().nth(y).unwrap();
    let x = header.get(..header.find("PID").unwrap()).unwrap().chars().count() + 1;
    let click = format!("\x1b[<0;{x};{0}M\x1b[<0;{x};{0}m", y + 1);
    tty.send(&click);
    tty.wait_for("pid ▼");
    tty.send(&click);
    tty.wait_for("pid ▲");
    // The wheel scrolls the help that lies on top.
    tty.send("?");
    let first = "processes, ended ones last";
    tty.wait_for(first);
    tty.send(&"\x1b[<65;80;20M".repeat(20));
    tty.wait_until("further down", |s| !s.contains(first));
    tty.send("\x1b");
    tty.resize((100, 40));
    let at = second_pane(&tty.wait_until("stacked", |s| second_pane(s).1.is_some_and(|y| y > 5))).1;
    let at = at.unwrap();
    tty.send(&format!("\x1b[<0;30;{}M\x1b[<32;30;26M\x1b[<0;30;26m", at + 1));
    tty.wait_until("the split there", |s| second_pane(s).1.is_some_and(|y| (24..=27).contains(&y)));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn without_the_mouse_none_is_asked_for() {
    own_namespace();
    ip("link set lo up");
    let mut tty = Tty::start(ebpftop(), &["-i", "lo", "--no-mouse"], &ENV, (80, 24));
    tty.wait_for("Files");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    let bytes = tty.bytes();
    let written = String::from_utf8_lossy(&bytes);
    for mode in ["1000", "1002", "1003", "1006"] {
        assert!(!written.contains(&format!("\x1b[?{mode}h")), "mouse mode {mode}");
    }
    tty.assert_given_back();
}

fn base64(bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = std::process::Command::new("base64")
        .arg("-w0")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}
