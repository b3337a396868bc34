//! `record -` into `replay -` on the real kernel: live, with a stall, a cut and a reader that is slow or
//! gone.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::net::{ip, own_namespace};
use crate::common::opener::opener;
use crate::common::patience::{exited, patience};
use crate::common::program::program;
use crate::common::spawn::public_copy;
use crate::common::tty::{Tty, without_privileges};
use ebpftop::model::event::{ProbeEnd, ProbeEvent};
use ebpftop::recording::{Item, Reader, Seen};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

fn record(more: &[&str]) -> Command {
    own_namespace();
    ip("link set lo up");
    let mut command = program();
    command.args(["record", "-", "-i", "lo", "--interval", "200ms"]).args(more);
    command.stderr(Stdio::piped());
    command
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// The status of a recorder that ends, and what it wrote to stderr.
fn end(mut child: Child) -> (Option<i32>, String) {
    let status = exited(&mut child);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// A recorder, and the dashboard of an unprivileged user at the other end of its pipe.
fn pair(dir: &Path, program: &Path, size: (u16, u16), more: &[&str]) -> (Child, Tty) {
    let fifo = dir.join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o644)).unwrap();
    let script = format!("exec {} replay - < {}", program.display(), fifo.display());
    let tty = without_privileges(Path::new("/bin/sh"), &["-c", &script], size);
    // Waits for the reader.
    let to = File::options().write(true).open(&fifo).unwrap();
    (record(more).stdout(to).spawn().unwrap(), tty)
}

#[test]
fn the_screen_is_live_and_shows_a_stall_and_a_cut() {
    let (dir, copy) = public_copy();
    let opener = opener("opn-remote");
    let (child, mut tty) = pair(dir.path(), &copy, (120, 40), &["-p", "opn-remote"]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    tty.wait_until("live data with host and delay", |s| {
        let header = s.lines().next().unwrap_or_default();
        header.contains(host.trim()) && header.contains("delay ") && s.contains("opn-remote")
    });
    signal(&child, Signal::SIGSTOP);
    tty.wait_for("stalled ");
    signal(&child, Signal::SIGCONT);
    tty.wait_for("delay ");
    // The last minutes are here, too.
    tty.send("p");
    tty.wait_for("PAUSED");
    tty.send("[[[");
    tty.wait_until("an earlier moment", |s| s.contains(" -0:0") && !s.contains(" -0:00/"));
    tty.send("p");
    tty.wait_until("the present", |s| !s.contains("PAUSED"));
    signal(&child, Signal::SIGKILL);
    tty.wait_for("broken off");
    tty.wait_for("it broke off: the recorder was killed, or the connection was cut");
    // It stays usable.
    tty.send("/no such thing\r");
    tty.wait_until("a filter", |s| !s.contains("file-of-opn-remote"));
    tty.send("/\u{1b}i");
    tty.wait_for("it shows the recorded interfaces");
    tty.wait_for("file-of-opn-remote");
    tty.send("q");
    assert_eq!(tty.wait(), 1);
    tty.assert_given_back();
    let (code, said) = end(child);
    assert_eq!((code, said.as_str()), (None, ""));
    drop(opener);
}

#[test]
fn a_recorder_that_ends_is_shown_with_its_totals() {
    let (dir, copy) = public_copy();
    let (child, mut tty) = pair(dir.path(), &copy, (80, 24), &[]);
    tty.wait_for("delay ");
    signal(&child, Signal::SIGINT);
    tty.wait_for("the recorder ended: ");
    tty.wait_until("the header", |s| s.lines().next().is_some_and(|l| l.contains("ended")));
    assert_eq!(end(child), (Some(0), String::new()));
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn the_recorder_ends_quietly_when_the_dashboard_is_left() {
    let (dir, copy) = public_copy();
    let (child, mut tty) = pair(dir.path(), &copy, (80, 24), &["-p", "nothing-of-this-name"]);
    tty.wait_for("delay ");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    assert_eq!(end(child), (Some(0), String::new()));
}

/// More than the pipe, the channel and the ring buffers take.
#[test]
fn opens_that_a_slow_reader_does_not_take_are_counted() {
    const OPENS: u64 = 250_000;
    let mut child = record(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = Reader::of_stream(BufReader::new(child.stdout.take().unwrap())).unwrap();
    for _ in 0..OPENS {
        File::open("/proc/self/stat").unwrap();
    }
    signal(&child, Signal::SIGINT);
    let (mut opens, mut ended) = (0, None);
    let totals = loop {
        match reader.read().unwrap() {
            Item::Seen(_, Seen::Probe(ProbeEvent::Opens(batch))) => opens += batch.len() as u64,
            Item::Seen(_, Seen::Probe(ProbeEvent::Ended(ProbeEnd::Opens(counts)))) => {
                ended = Some(counts);
            }
            Item::Seen(..) | Item::Block(_) => {}
            Item::End(totals) => break totals,
        }
    };
    let counts = ended.unwrap();
    assert_eq!((totals.opens, totals.unwritten), (opens, 0));
    assert!(counts.lost > 0 && opens + counts.lost >= OPENS, "{opens} {counts:?}");
    assert_eq!(end(child), (Some(0), String::new()));
}

#[test]
fn a_reader_that_takes_nothing_does_not_hold_up_the_end() {
    let mut child = record(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 100]).unwrap();
    for _ in 0..100_000 {
        File::open("/proc/self/stat").unwrap();
    }
    let began = std::time::Instant::now();
    signal(&child, Signal::SIGINT);
    signal(&child, Signal::SIGTERM);
    let (code, said) = end(child);
    // Whether all of it fits the pipe or not, it ends.
    assert!(matches!(code, Some(0 | 1)) && began.elapsed() < patience(), "{said}");
}
