//! `replay` in a pseudo-terminal, without privileges.

use crate::common::program::{ebpftop, ended_into, program, run};
use crate::common::spawn::public_copy;
use crate::common::tty::{Tty, without_privileges};
use crate::common::user::USER;

#[test]
fn the_demo_needs_no_privileges() {
    let (_dir, program) = public_copy();
    let mut tty = without_privileges(&program, &["replay"], (120, 36));
    tty.wait_for("REPLAY");
    tty.wait_for("/srv/www/index.html");
    tty.send("p");
    tty.wait_for("PAUSED");
    tty.send("]]]]");
    let screen = tty.wait_until("what came later", |s| s.contains("worker"));
    assert!(screen.contains("ENOENT") && screen.contains("PAUSED"), "{screen}");
    tty.send("{");
    tty.wait_until("the start", |s| s.contains(" 0:00/") && !s.contains("worker"));
    tty.send("..");
    tty.wait_for("×4");
    tty.send(",p");
    tty.wait_until("twice the speed", |s| s.contains("×2") && s.contains("REPLAY"));
    tty.send("}");
    tty.wait_for(" END ");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn a_file_that_cannot_be_played_is_an_error() {
    let done = run(&["replay"]);
    assert_eq!(done.code(), 2);
    assert!(done.stderr.contains("ebpftop stream"), "{}", done.stderr);
    for (file, says) in [("/no/such", "No such file"), ("/etc/passwd", "no recording")] {
        let env = [("XDG_CONFIG_HOME", "/nonexistent")];
        let mut tty = Tty::start(ebpftop(), &["replay", file], &env, (100, 30));
        assert_eq!(tty.wait(), 1);
        assert!(tty.text().contains(says), "{}", tty.text());
        assert!(!String::from_utf8_lossy(&tty.bytes()).contains('\x1b'), "the screen was taken");
    }
}

/// `replay -` of what a shell's command writes.
fn piped(command: &str, size: (u16, u16)) -> (tempfile::TempDir, Tty) {
    let (dir, program) = public_copy();
    let demo = dir.path().join("demo");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo.ebpftop"), &demo).unwrap();
    std::os::unix::fs::chown(&demo, Some(USER), None).unwrap_or_default();
    let command = command.replace("DEMO", demo.to_str().unwrap());
    let script = format!("{{ {command}; }} | {} replay -", program.display());
    let tty = without_privileges(std::path::Path::new("/bin/sh"), &["-c", &script], size);
    (dir, tty)
}

#[test]
fn a_recording_from_a_pipe_is_shown_with_its_host_to_its_end() {
    for (command, header, footer, status) in [
        ("cat DEMO", "ended", "the recorder ended: ", 0),
        ("head -c 100000 DEMO", "broken off", "it broke off: ", 1),
        ("head -c 100000 DEMO; head -c 99999 /dev/zero", "broken off", "it is damaged at byte ", 1),
    ] {
        let (_dir, mut tty) = piped(command, (120, 40));
        tty.wait_for(footer);
        let screen = tty.text();
        let first = screen.lines().next().unwrap();
        assert!(first.contains("demo") && first.contains(header), "{screen}");
        // The keys come from the terminal, and the last minutes are there.
        tty.send("p[[[");
        tty.wait_until("an earlier moment", |s| s.contains(" -0:0") && !s.contains(" -0:00/"));
        tty.send("p1/worker\r");
        tty.wait_for("filter worker");
        tty.send("q");
        assert_eq!(tty.wait(), status, "{command}");
        tty.assert_given_back();
    }
}

#[test]
fn a_recording_that_does_not_come_is_an_error() {
    for (command, says) in [
        ("true", "replay -: stdin has no recording of ebpftop"),
        ("echo sudo: a password is required", "replay -: stdin has no recording of ebpftop"),
        ("head -c 20 DEMO", "replay -: it was cut off"),
    ] {
        let (_dir, mut tty) = piped(command, (100, 30));
        assert_eq!(tty.wait(), 1);
        assert!(tty.text().replace('\n', "").contains(says), "{}", tty.text());
    }
    // Nothing is read from a terminal, or written to one.
    let env = [("XDG_CONFIG_HOME", "/nonexistent")];
    for args in [["replay", "-"], ["record", "-"]] {
        let mut tty = Tty::start(ebpftop(), &args, &env, (100, 30));
        assert_eq!(tty.wait(), 2);
        assert!(tty.text().contains("is a terminal"), "{}", tty.text());
    }
    let done = ended_into(program().args(["replay", "-"]), std::process::Stdio::piped());
    assert_eq!(done.code(), 2, "{}", done.stderr);
}
