//! Where the sums of connections begin and end, and whose name they have.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::conns::*;
use crate::common::net::own_namespace;
use crate::common::patience::reaped;
use crate::common::program::Stream;

/// Bytes of one call that writes.
const EACH: usize = 1_000;

/// A process that writes [`EACH`] bytes again and again, and one that answers. This process made the
/// connection, writes once and has it no more.
struct Flow {
    dir: tempfile::TempDir,
    writer: Pid,
    reader: Pid,
}

impl Flow {
    /// With a pause after each write. Returns when something was written.
    fn start(pause: Duration) -> Self {
        let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (stop, log) = (dir.path().join("stop"), dir.path().join("log"));
        // The socket has two callers: TCP's counters alone attribute none of its bytes.
        (&one).write_all(&[0; EACH]).unwrap();
        let begun = Gate::new();
        let writer = process(|| {
            nix::unistd::close(other.as_raw_fd()).unwrap();
            let mut written = String::new();
            while !stop.exists() {
                (&one).write_all(&[0; EACH]).unwrap();
                // TCP counts what was acknowledged, which an answer does at once.
                assert!((&one).read(&mut [0; 64]).unwrap() > 0);
                if written.is_empty() {
                    begun.open();
                }
                writeln!(written, "{}", Timestamp::now().as_nanosecond()).unwrap();
                std::thread::sleep(pause);
            }
            std::fs::write(&log, written).unwrap();
        });
        let reader = process(|| {
            nix::unistd::close(one.as_raw_fd()).unwrap();
            // The writer may end with an answer unread.
            while (&other).read(&mut [0; 64 << 10]).is_ok_and(|n| n > 0) {
                let _ = (&other).write_all(b"1");
            }
        });
        begun.wait();
        Self { dir, writer, reader }
    }

    /// The times at which its calls returned, in ns.
    fn stop(self) -> Vec<i128> {
        std::fs::write(self.dir.path().join("stop"), "").unwrap();
        done(self.writer);
        done(self.reader);
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        log.lines().map(|line| line.parse().unwrap()).collect()
    }
}

/// Bytes from before `ready` are in no sum, although the programs count them; bytes that were written when it could be
/// read are.
#[test]
fn the_sums_begin_at_ready() {
    own_namespace();
    lo_up();
    let flow = Flow::start(Duration::from_millis(1));
    let writer = flow.writer;
    // The other probe starts to count a moment after the programs of connections are attached.
    let mut stream = Stream::json(&["connections", "processes", "--interval", "200ms"]);
    let seen = Timestamp::now().as_nanosecond();
    stream.until_polled();
    let written = flow.stop();
    let run = end(stream);
    let ready: Timestamp = run.ended.of_type("ready")[0]["time"].as_str().unwrap().parse().unwrap();
    let before = written.iter().filter(|at| **at <= ready.as_nanosecond()).count();
    // The call that follows a return after `seen` began after it.
    let since = written.iter().filter(|at| **at > seen).count().saturating_sub(1);
    let (least, most) = (since * EACH, (written.len() - before) * EACH);
    let (_, sent) = bytes(&run.row(writer));
    assert!((least as u64..=most as u64).contains(&sent), "{least} {sent} {most}");
    assert!(before > 0 && since > 0, "{before} {since}");
}

/// In the last line, too, TCP has counted no more of a shared socket than what calls returned, but for one that is
/// under way.
#[test]
fn the_sums_end_while_all_programs_count() {
    let mut stream = here();
    let flow = Flow::start(Duration::ZERO);
    let pid = flow.writer.as_raw();
    let has_row = |line: &serde_json::Value| {
        line["processes"].as_array().is_some_and(|rows| rows.iter().any(|row| row["pid"] == pid))
    };
    stream.until("the writer", has_row);
    let ended = stream.interrupt();
    flow.stop();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let last = ended.of_type("owners").pop().unwrap();
    let sent =
        last["processes"].as_array().unwrap().iter().find(|row| row["pid"] == pid).map(bytes);
    let (_, uncalled) = bytes(&last["unattributed"]["uncalled"]);
    // Other processes of the machine may be in a call, too.
    assert!(sent.is_some_and(|(_, sent)| sent > 0) && uncalled <= 16 * EACH as u64, "{last}");
}

/// A process connects twice and runs another program, which has one of the connections. The other one ends later: its
/// last record has the name of that time.
#[test]
fn a_late_end_does_not_bring_an_older_name_back() {
    let mut stream = here();
    let listener = TcpListener::bind(local("127.0.0.1")).unwrap();
    let to = listener.local_addr().unwrap();
    let runs = process(|| {
        let [goes, stays] = [0; 2].map(|_| TcpStream::connect(to).unwrap());
        // More than its peer has room for: after exec TCP keeps it without a process.
        goes.set_nonblocking(true).unwrap();
        while (&goes).write(&[b'1'; 64 << 10]).is_ok() {}
        fcntl(&stays, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        (&stays).write_all(b"2").unwrap();
        panic!("{}", Command::new("sleep").arg("600").exec());
    });
    let mut accepted = [0; 2].map(|_| listener.accept().unwrap().0);
    accepted.iter_mut().for_each(|conn| conn.read_exact(&mut [0]).unwrap());
    let name = |line: &serde_json::Value| {
        let rows = line["processes"].as_array()?.iter();
        let mut names =
            rows.filter(|row| row["pid"] == runs.as_raw()).map(|row| row["comm"].clone());
        names.next()
    };
    stream.until("the new name", |line| name(line).is_some_and(|name| name == "sleep"));
    // With unread bytes: it is reset.
    let [goes, stays] = accepted;
    drop(goes);
    let is_end = |line: &serde_json::Value| line["type"] == "close" && line["pid"] == runs.as_raw();
    stream.until("the end of the first", is_end);
    stream.until_polled();
    kill(runs, Signal::SIGKILL).unwrap();
    reaped(runs);
    drop(stays);
    let run = end(stream);
    let names: Vec<_> = run.ended.of_type("owners").iter().filter_map(name).collect();
    let mut since = names.iter().skip_while(|name| *name != "sleep");
    assert!(since.next().is_some() && since.all(|name| name == "sleep"), "{names:?}");
    assert_ne!(run.by("close", runs)[0]["comm"], "sleep");
}
