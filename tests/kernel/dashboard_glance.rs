//! The dashboard at a glance, at 80x24, while other programs run.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use crate::common::net::{ip, own_namespace};
use crate::common::program::ebpftop;
use crate::common::spawn::fresh;
use crate::common::tty::Tty;

/// A shell script of a name of its own that runs copies of `cat`, called `cat_name`, until dropped.
struct Script {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Script {
    fn start(name: &str, cat_name: &str, body: &str) -> Self {
        Self::every("0.05", name, cat_name, body)
    }

    fn every(seconds: &str, name: &str, cat_name: &str, body: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (shell, cat) = (dir.path().join(name), dir.path().join(cat_name));
        std::fs::copy("/bin/sh", &shell).unwrap();
        std::fs::copy("/bin/cat", &cat).unwrap();
        let script = format!("while :; do {body}; sleep {seconds}; done >/dev/null 2>&1");
        let child = fresh(Command::new(&shell).arg0("sh").args(["-c", &script]).env("CAT", &cat));
        Self { child, _dir: dir }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn dashboard(size: (u16, u16)) -> Tty {
    let args = ["--interval", "500ms", "-i", "lo", "--xdp-mode", "off"];
    Tty::start(ebpftop(), &args, &[("XDG_CONFIG_HOME", "/nonexistent")], size)
}

/// Whether a row of a program, or the first one below it, has this in it.
fn has_first(screen: &str, program: &str, file: &str) -> bool {
    let rows: Vec<_> = screen.lines().collect();
    let mut pairs = rows.windows(2).filter(|pair| pair[0].contains(program));
    pairs.any(|pair| pair.iter().any(|row| row.contains(file)))
}

/// A load like a build's: short-lived processes that open many files, without taking the machine from other tests.
fn build() -> Script {
    Script::every("0.3", "glance-make", "glance-cc", "$CAT /etc/*")
}

/// The rows of a program in the first view.
fn rows_of<'a>(screen: &'a str, program: &str) -> Vec<&'a str> {
    screen.lines().filter(|line| line.contains(program)).collect()
}

fn quit(mut tty: Tty) {
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// A loop of short-lived processes is one row, with the only file that is its own: no key is pressed, and
/// `cat` opens libraries and locales as often as that file.
#[test]
fn a_loop_of_cat_is_one_program_with_its_file() {
    let _build = build();
    let _script = Script::start("glance-loop", "glance-cat", "$CAT /etc/hostname");
    for size in [(80, 24), (120, 36), (200, 60)] {
        let tty = dashboard(size);
        tty.wait_until("the loop's file, and the build in one row", |s| {
            // A busy machine may lose records: their opens have a row of their own, without a cgroup.
            has_first(s, "glance-cat ×", "/etc/hostname")
                && (1..=2).contains(&rows_of(s, "glance-cat ×").len())
                && (1..=2).contains(&rows_of(s, "glance-cc ×").len())
        });
        quit(tty);
    }
}

/// The first view shows the missed file beside the program that failed to open it.
#[test]
fn the_missed_file_is_in_the_first_view() {
    let _build = build();
    let _script = Script::start("glance-job", "glance-miss", "$CAT /srv/glance/missing");
    let tty = dashboard((80, 24));
    tty.wait_until("the missed file", |s| {
        has_first(s, "glance-miss ×", "/missing") && has_first(s, "glance-miss ×", "ENOENT")
    });
    quit(tty);
}

/// The row of a talker has the process that exchanges data with it.
#[test]
fn the_talker_has_its_process_in_the_first_view() {
    own_namespace();
    ip("link set lo up");
    let _build = build();
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let client = dir.path().join("glance-client");
    std::fs::copy("/bin/bash", &client).unwrap();
    let script = format!("exec 3<>/dev/tcp/127.0.0.2/{port}; while read -u 3 -r line; do :; done");
    let mut client = fresh(Command::new(&client).args(["-c", &script]));
    let (connection, _) = server.accept().unwrap();
    let tty = dashboard((80, 24));
    tty.wait_until("the process of the talker", |s| {
        (&connection).write_all(&[b'\n'; 100]).unwrap();
        rows_of(s, "127.0.0.2").iter().any(|row| row.contains("glance-client"))
    });
    quit(tty);
    client.kill().unwrap();
    client.wait().unwrap();
}

/// The header counts the opens of the dashboard itself, which no row has.
#[test]
fn own_opens_are_left_out_and_counted() {
    let tty = dashboard((100, 24));
    let own = |s: &str| s.lines().next().is_some_and(|header| header.contains("   own "));
    let screen = tty.wait_until("own opens", own);
    let row = format!("ebpftop {}", tty.pid());
    assert!(rows_of(&screen, &row).is_empty(), "{screen}");
    quit(tty);
    let args = ["--own-opens", "-i", "lo", "--xdp-mode", "off"];
    let tty = Tty::start(ebpftop(), &args, &[("XDG_CONFIG_HOME", "/nonexistent")], (200, 60));
    let screen = tty.wait_until("own opens in a row", |s| !rows_of(s, "ebpftop ").is_empty());
    assert!(!own(&screen), "{screen}");
    quit(tty);
}

/// The file that a script's child misses is among the first failures, with the script's name: look-ups
/// that lead to the file in another directory are not.
#[test]
fn the_missed_file_and_its_script_are_among_the_first_failures() {
    let _script = Script::start("glance-job", "glance-miss", "$CAT /srv/glance/missing");
    let _build = build();
    let mut tty = dashboard((80, 24));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty.send("ttttt");
    tty.wait_until("the missed file and its script", |s| {
        let mut rows = s.lines().skip_while(|l| !l.contains("PROCESS")).skip(1).take(8);
        rows.any(|row| ["glance-miss", "glance-job", "ENOENT"].iter().all(|w| row.contains(w)))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
