//! `replay` in a pseudo-terminal, without privileges.

use crate::common::program::{ebpftop, run};
use crate::common::spawn::public_copy;
use crate::common::tty::{Tty, without_privileges};

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
