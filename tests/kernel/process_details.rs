//! The details of a process on the screen: of one that has ended, and the descriptors of one that leaks them.
//! Needs root.

use std::fs::File;
use std::process::Command;

use crate::common::conns::{Gate, done, process};
use crate::common::program::ebpftop;
use crate::common::tty::Tty;

/// A dashboard with the rows that a filter matches.
fn dashboard(filter: &str) -> Tty {
    let args = ["-i", "lo", "--xdp-mode", "off", "-f", filter];
    Tty::start(ebpftop(), &args, &[("XDG_CONFIG_HOME", "/nonexistent")], (160, 50))
}

/// The text of a line of the details.
fn of<'a>(screen: &'a str, label: &str) -> &'a str {
    screen.lines().find(|line| line.contains(&format!("│ {label:<9} "))).unwrap_or_default()
}

/// It has ended before its details are opened: its program, its arguments and its status are there.
#[test]
fn a_process_that_has_ended_keeps_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file = root.join("short");
    drop(File::create(&file).unwrap());
    let mut tty = dashboard(&format!("path:{}", root.file_name().unwrap().to_str().unwrap()));
    tty.wait_until("the start", |s| s.contains("opens") && !s.contains("starting"));
    let script = format!("exec 3<{}; exit 3", file.display());
    let ended = Command::new("/bin/sh").args(["-c", &script, "an argument"]).status().unwrap();
    assert_eq!(ended.code(), Some(3));
    tty.wait_until("its row", |s| s.contains("/short"));
    tty.send("te\r");
    let screen = tty.wait_until("its status", |s| of(s, "exit").contains(" 3 after "));
    assert!(of(&screen, "command").contains("/bin/sh -c 'exec 3<"), "{screen}");
    let sh = std::fs::canonicalize("/bin/sh").unwrap();
    assert!(of(&screen, "exe").contains(sh.to_str().unwrap()), "{screen}");
    assert!(of(&screen, "started").contains(" ago"), "{screen}");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// Of a process that lives the details have its parent and that one's parent, the nearest first.
#[test]
fn a_process_that_lives_has_its_ancestors() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let file = root.join("held");
    drop(File::create(&file).unwrap());
    let (start, end) = (Gate::new(), Gate::new());
    let parent = process(|| {
        let child = process(|| {
            start.wait();
            let held = File::open(&file).unwrap();
            end.wait();
            drop(held);
        });
        done(child);
    });
    let mut tty = dashboard(&format!("path:{}", root.file_name().unwrap().to_str().unwrap()));
    tty.wait_until("the start", |s| s.contains("opens") && !s.contains("starting"));
    start.open();
    tty.wait_until("its row", |s| s.contains("/held"));
    tty.send("te\r");
    // Those that were seen are there at once, the others when /proc has been read.
    let pids = [format!(" {parent} "), format!(" {} ", std::process::id())];
    let places = |s: &str| pids.each_ref().map(|pid| of(s, "parents").find(pid));
    let screen = tty.wait_until("its parents", |s| places(s).iter().all(Option::is_some));
    assert!(places(&screen).is_sorted(), "{}", of(&screen, "parents"));
    end.open();
    done(parent);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// The mark is set in the list; the details are opened when the descriptors are there.
#[test]
fn descriptors_grow_since_a_mark_in_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (leaked, other) = (root.join("leaked"), root.join("other"));
    [&leaked, &other].iter().for_each(|path| drop(File::create(path).unwrap()));
    let gates = || (Gate::new(), Gate::new());
    let ((start, end), (start_other, end_other), leak) = (gates(), gates(), Gate::new());
    let leaks = process(|| {
        start.wait();
        let first = File::open(&leaked).unwrap();
        leak.wait();
        let more = [(); 5].map(|()| File::open(&leaked).unwrap());
        end.wait();
        drop((first, more));
    });
    let does_not = process(|| {
        start_other.wait();
        let file = File::open(&other).unwrap();
        end_other.wait();
        drop(file);
    });
    let mut tty = dashboard(&format!("path:{}", root.file_name().unwrap().to_str().unwrap()));
    tty.wait_until("the start", |s| s.contains("opens") && !s.contains("starting"));
    start.open();
    start_other.open();
    tty.wait_until("both", |s| s.contains("/leaked") && s.contains("/other"));
    // One thread answers questions about processes, one after the other: the mark's comes first.
    tty.send(&format!("m\x1b/pid:{does_not}\rte\r"));
    tty.wait_until("an answer", |s| of(s, "holds").contains(" descriptor"));
    leak.open();
    tty.send("\x1b");
    tty.wait_until("the list", |s| of(s, "holds").is_empty());
    tty.send(&format!("\x1b/pid:{leaks}\r\r"));
    tty.wait_until("the growth", |s| of(s, "holds").contains(" (+5 in "));
    end.open();
    end_other.open();
    done(leaks);
    done(does_not);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
