//! The dashboard at a glance, at 80x24, while other programs run.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

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
        let dir = tempfile::tempdir().unwrap();
        let (shell, cat) = (dir.path().join(name), dir.path().join(cat_name));
        std::fs::copy("/bin/sh", &shell).unwrap();
        std::fs::copy("/bin/cat", &cat).unwrap();
        let script = format!("while :; do {body}; sleep 0.02; done >/dev/null 2>&1");
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

/// Whether the row of a program, or the first one below it, has this in it.
fn has_first(screen: &str, program: &str, file: &str) -> bool {
    let mut rows = screen.lines().skip_while(|l| !l.contains(program)).take(2);
    rows.any(|row| row.contains(file))
}

/// A loop of short-lived processes is one row, with the only file that is its own: no key is pressed, and
/// `cat` opens libraries and locales as often as that file.
#[test]
fn a_loop_of_cat_is_one_program_with_its_file() {
    let _script = Script::start("glance-loop", "glance-cat", "$CAT /etc/hostname");
    for size in [(80, 24), (120, 36), (200, 60)] {
        let mut tty = dashboard(size);
        tty.wait_until("the loop's file", |s| has_first(s, "glance-cat ×", "/etc/hostname"));
        tty.send("q");
        assert_eq!(tty.wait(), 0);
    }
}

/// The file that a script's child misses is among the first failures, with the script's name: look-ups
/// that lead to the file in another directory are not.
#[test]
fn the_missed_file_and_its_script_are_among_the_first_failures() {
    let _script = Script::start("glance-job", "glance-miss", "$CAT /srv/glance/missing");
    let mut tty = dashboard((80, 24));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty.send("ttttt");
    tty.wait_until("the missed file", |s| {
        let mut rows = s.lines().skip_while(|l| !l.contains("PROCESS")).skip(1).take(8);
        rows.any(|row| ["glance-miss", "glance-job", "ENOENT"].iter().all(|w| row.contains(w)))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}
