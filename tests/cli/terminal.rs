//! `replay` in terminals of all kinds: stopped and continued, without a size, without braille, without a
//! clipboard.

use nix::sys::signal::Signal;

use crate::common::program::ebpftop;
use crate::common::tty::Tty;

const NO_CONFIG: (&str, &str) = ("XDG_CONFIG_HOME", "/nonexistent");

fn replay(env: &[(&str, &str)], size: (u16, u16)) -> Tty {
    let tty = Tty::start(ebpftop(), &["replay"], &[&[NO_CONFIG], env].concat(), size);
    tty.wait_for("REPLAY");
    tty
}

#[test]
fn after_sigstop_the_terminal_is_taken_again() {
    let mut tty = replay(&[], (100, 30));
    // Paused, the screen stands still.
    tty.send("p");
    tty.wait_for("PAUSED");
    for _ in 0..2 {
        tty.settle();
        tty.kill(Signal::SIGSTOP);
        // A shell takes the terminal meanwhile.
        tty.stty(&["sane"]);
        tty.kill(Signal::SIGCONT);
        tty.send("?");
        tty.wait_for(" Help ");
        tty.send("\x1b");
        tty.wait_until("the panes", |s| s.contains("Files") && !s.contains("─ Help ─"));
    }
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_screen_given_back();
}

#[test]
fn ctrl_z_returns_to_the_shell_and_fg_continues() {
    let mut shell = Tty::start(
        "bash",
        &["--norc", "--noprofile", "-i"],
        &[NO_CONFIG, ("PS1", "prompt> "), ("HISTFILE", "")],
        (100, 30),
    );
    shell.wait_for("prompt>");
    shell.send(&format!("{} replay\r", ebpftop()));
    shell.wait_for("REPLAY");
    for _ in 0..2 {
        shell.send("\x1a");
        shell.wait_until("the shell", |s| s.contains("Stopped") && !s.contains("REPLAY"));
        shell.send("clear; fg\r");
        shell.wait_for("REPLAY");
    }
    // While a line is typed, too.
    shell.send("/x\x1a");
    shell.wait_until("the shell", |s| s.contains("Stopped") && !s.contains("REPLAY"));
    shell.send("fg\r");
    shell.wait_for("REPLAY");
    // F10: quits while a line is typed, too.
    shell.send("\x1b[21~");
    shell.wait_until("the shell", |s| s.contains("prompt>") && !s.contains("REPLAY"));
    shell.send("exit\r");
    assert_eq!(shell.wait(), 0);
}

/// No shell could continue it: as for any other program, nothing happens.
#[test]
fn ctrl_z_does_not_stop_a_program_without_a_shell() {
    let mut tty = replay(&[], (100, 30));
    tty.send("\x1a?");
    tty.wait_for("─ Help ─");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn a_terminal_without_a_size_has_the_usual_one() {
    let mut tty = replay(&[], (0, 0));
    let screen = tty.wait_for("Talkers");
    assert_eq!(screen.lines().next().map(|l| l.chars().count() > 60), Some(true), "{screen}");
    assert!(screen.lines().count() > 20, "{screen}");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn terminals_without_braille_get_ascii() {
    for (term, has_colours) in [("linux", true), ("vt100", false), ("dumb", false)] {
        let mut tty = replay(&[("TERM", term)], (80, 24));
        tty.wait_for("/srv/www/index.html");
        tty.send("y");
        tty.wait_for("this terminal has no clipboard");
        tty.send("?");
        tty.wait_for(" Help ");
        tty.send("\x1bq");
        assert_eq!(tty.wait(), 0);
        let bytes = tty.bytes();
        assert!(bytes.is_ascii(), "{term}: {:?}", tty.text());
        let written = String::from_utf8(bytes).unwrap();
        let coloured = written.contains("\x1b[38;5;") || written.contains("\x1b[36;49m");
        assert_eq!(coloured, has_colours, "{term}");
    }
}

#[test]
fn what_is_copied_is_claimed_only_as_far_as_it_is_known() {
    for (name, says) in [
        ("NOTHING", "sent to the terminal's clipboard: "),
        ("TMUX", "sent to tmux, which takes it with `set-clipboard on`: "),
        ("STY", "not copied, GNU screen passes nothing on: "),
    ] {
        let mut tty = replay(&[(name, "set")], (100, 30));
        tty.wait_for("/srv/www/index.html");
        tty.send("jy");
        tty.wait_for(says);
        tty.send("q");
        assert_eq!(tty.wait(), 0);
        let sent = String::from_utf8_lossy(&tty.bytes()).contains("\x1b]52;c;");
        assert_eq!(sent, name != "STY", "{name}");
    }
}
