//! The whole program in a pseudo-terminal, on the real kernel.

use std::time::Duration;

use crate::common::opener::opener;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use nix::sys::signal::Signal;

fn dashboard(size: (u16, u16)) -> Tty {
    let args = ["--interval", "200ms", "-i", "lo", "--xdp-mode", "off"];
    Tty::start(ebpftop(), &args, &[], size)
}

#[test]
fn shows_processes_with_their_files_and_quits_cleanly() {
    let opener = opener("opn-journey");
    let mut tty = dashboard((140, 40));
    let screen = opener.find(&mut tty);
    assert!(screen.contains("lost "), "{screen}");
    assert!(screen.contains(&opener.child.id().to_string()), "{screen}");
    tty.wait_for("missing-opn-journey");
    tty.wait_for("ENOENT");
    // Into the busiest process, and back.
    tty.send("\r");
    tty.wait_for("parent");
    tty.send("\x1b");
    tty.wait_until("the way back", |s| !s.contains("parent"));
    let views =
        ["by process", "by service", "by file", "by directory", "failures", "changes", "live"];
    for view in views.into_iter().chain(["by program"]) {
        tty.send("t");
        tty.wait_for(view);
    }
    tty.send("?");
    tty.wait_for("Help");
    tty.send("\x1b[6~");
    tty.wait_for("Shift-Tab");
    tty.send("\x1b");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn filters_while_typing() {
    let opener = opener("opn-filter");
    let mut tty = dashboard((120, 40));
    opener.find(&mut tty);
    tty.send("/\x15no-program-has-this-name");
    tty.wait_for("no match for the filter");
    tty.send("\x1b");
    tty.wait_until("no filter", |s| !s.contains("no match for the filter"));
    opener.find(&mut tty);
    // A pattern that is bad half-way: the last good one holds, the input is marked, and Enter does
    // not take it: what follows is typed into it still.
    tty.send("/ ~[");
    tty.wait_for("invalid filter");
    tty.send("\rq");
    tty.wait_for("~[q");
    tty.wait_for("file-of-opn-filter");
    tty.send("]\r");
    tty.wait_until("what was mended", |s| !s.contains("invalid filter") && !s.contains("\u{258f}"));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn pause_stands_still() {
    // A probe's state is shown even then; here both have reported it before.
    let opener = opener("opn-pause");
    let mut tty = dashboard((100, 30));
    opener.find(&mut tty);
    tty.send("p");
    tty.wait_for("PAUSED");
    let before = tty.text();
    // Nothing may change in several intervals; this cannot fail by a slow machine.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(tty.text(), before);
    tty.send("p");
    tty.wait_until("going on", |s| !s.contains("PAUSED"));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

#[test]
fn any_size_any_time() {
    let mut tty = dashboard((120, 40));
    tty.wait_for("Files");
    for size in [(80, 24), (10, 3), (1, 1), (200, 60), (19, 40), (40, 4), (300, 5), (60, 20)] {
        tty.resize(size);
        std::thread::sleep(Duration::from_millis(60));
        tty.send("tjk");
    }
    tty.resize((80, 24));
    tty.wait_for("lost 0");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut tty = dashboard((80, 24));
        tty.wait_for("Files");
        tty.kill(signal);
        assert_eq!(tty.wait(), 0, "{signal}");
        tty.assert_given_back();
    }
}

/// The probes run on through a stop by Ctrl-Z. (A process without a shell does not stop by it.)
#[test]
fn stops_and_goes_on() {
    let opener = opener("opn-stopped");
    let env = [("PS1", "prompt> "), ("HISTFILE", "")];
    let mut shell = Tty::start("bash", &["--norc", "--noprofile", "-i"], &env, (100, 30));
    shell.wait_for("prompt>");
    shell.send(&format!("{} --interval 200ms -i lo --xdp-mode off\r", ebpftop()));
    opener.find(&mut shell);
    shell.send("\x1a");
    shell.wait_until("the shell", |s| s.contains("Stopped") && !s.contains("file-of"));
    shell.send("clear; fg\r");
    shell.wait_for("file-of-opn-stopped");
    let _later = crate::common::opener::opener("opn-stopped2");
    shell.wait_for("file-of-opn-stopped2");
    shell.send("q");
    shell.wait_until("the shell", |s| s.contains("prompt>") && !s.contains("file-of"));
    shell.send("exit\r");
    assert_eq!(shell.wait(), 0);
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_on_any_thread_gives_the_terminal_back() {
    for when in ["700", "thread:700"] {
        let env = [("EBPFTOP_PANIC_AFTER_MS", when)];
        let mut tty = Tty::start(ebpftop(), &[], &env, (80, 24));
        assert_eq!(tty.wait(), 101, "{when}");
        tty.assert_given_back();
        let said = String::from_utf8_lossy(&tty.bytes()).into_owned();
        assert!(said.contains("as asked by EBPFTOP_PANIC_AFTER_MS"), "{said}");
    }
}

#[test]
fn no_colour_means_no_colour_codes() {
    let opener = opener("opn-nocolour");
    let env = [("NO_COLOR", "1")];
    let mut tty = Tty::start(ebpftop(), &[], &env, (100, 30));
    opener.find(&mut tty);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    let text = String::from_utf8_lossy(&tty.bytes()).into_owned();
    for sequence in text.split("\x1b[").skip(1) {
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        let (parameters, rest) = sequence.split_at(end);
        if rest.starts_with('m') {
            let colours = |p: &str| p.parse::<u32>().is_ok_and(|n| (30..=49).contains(&n));
            assert!(!parameters.split([';', ':']).any(colours), "a colour: {parameters:?}");
        }
    }
    tty.assert_given_back();
}

#[test]
fn ascii_means_no_other_byte_and_a_locale_without_utf8_means_ascii() {
    let opener = opener("opn-ascii");
    for (option, locale) in [("--ascii", "C.UTF-8"), ("--no-mouse", "C")] {
        let env = [("LC_ALL", locale)];
        let mut tty = Tty::start(ebpftop(), &[option, "-p", "opn-ascii"], &env, (120, 30));
        opener.find(&mut tty);
        for (key, seen) in [("t", "by process"), ("i", "ADDRESSES"), ("\x1b?", " Help ")] {
            tty.send(key);
            tty.wait_for(seen);
        }
        tty.send("q");
        assert_eq!(tty.wait(), 0);
        let bytes = tty.bytes();
        let other = bytes.iter().position(|b| !b.is_ascii());
        let around = other.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(40)..at + 3]));
        assert!(around.is_none(), "{option} {locale}: {around:?}");
    }
}
