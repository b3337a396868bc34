//! Known transfers between real processes, and the lines of `stream connections` about them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork};
use serde_json::Value;

use super::net::{ip, own_namespace};
use super::patience::{patience, reaped, slowness, until};
use super::program::{Ended, Stream};

/// Runs `work` in a process of its own.
pub fn process(work: impl FnOnce()) -> Pid {
    // SAFETY: the child does nothing but socket calls on memory of its own, and ends with `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
            // SAFETY: ends the process at once: no destructors of the parent's run.
            unsafe { libc::_exit(if done { 0 } else { 1 }) }
        }
    }
}

pub fn done(pid: Pid) {
    assert_eq!(reaped(pid), WaitStatus::Exited(pid, 0));
}

/// A pipe by which processes wait for each other.
pub struct Gate(pub OwnedFd, pub OwnedFd);

impl Gate {
    pub fn new() -> Self {
        let (wait, open) = nix::unistd::pipe().unwrap();
        Self(wait, open)
    }

    #[track_caller]
    pub fn wait(&self) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let most = PollTimeout::try_from(patience()).unwrap();
        assert_eq!(poll(&mut fds, most).unwrap(), 1, "the gate stays closed");
        assert_eq!(nix::unistd::read(&self.0, &mut [0]).unwrap(), 1);
    }

    pub fn open(&self) {
        nix::unistd::write(&self.1, b"!").unwrap();
    }
}

/// A run, and the namespace that its test is in.
pub struct Run {
    pub ended: Ended,
    pub netns: u64,
}

pub fn netns() -> u64 {
    std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

/// The loopback interface with v6.
pub fn lo_up() {
    for conf in ["all", "lo"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{conf}/disable_ipv6"), "0").unwrap();
    }
    ip("link set lo up");
}

/// The root of cgroup v2.
pub fn cgroup2() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
    let mount = mounts.into_iter().find(|l| l[2] == "cgroup2");
    mount.unwrap_or_else(|| panic!("no cgroup v2 is mounted"))[1].to_owned()
}

pub fn here() -> Stream {
    own_namespace();
    lo_up();
    Stream::json(&["connections", "--interval", "200ms"])
}

/// Waits until TCP here has closed: the last FIN may still be on its way through ksoftirqd.
pub fn at_rest() {
    const LISTEN_OR_TIME_WAIT: [&str; 2] = ["0A", "06"];
    let lively = |table: &str| {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap();
        let mut states = text.lines().skip(1).filter_map(|l| l.split_whitespace().nth(3));
        states.any(|state| !LISTEN_OR_TIME_WAIT.contains(&state))
    };
    until("the end of all connections", || {
        (!["tcp", "tcp6"].into_iter().any(lively)).then_some(())
    });
}

/// Events of a run that may be lost in an emulated machine: packets that arrive while the program runs in
/// a process's context change the state of connections, and the kernel does not run a program in the
/// midst of itself (05b24ff9b2cf, kernel 6.1). One interrupt can bring all that wait. The counts hold all the
/// same: the walk finds what was lost. Elsewhere none is.
fn may_be_skipped() -> u64 {
    if slowness() > 1 { u64::MAX } else { 0 }
}

/// Ends a run whose processes a filter chooses.
pub fn end_filtered(stream: Stream) -> Run {
    at_rest();
    let ended = stream.interrupt();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let run = Run { ended, netns: netns() };
    let summary = &run.ended.of_type("summary")[0];
    let lost = summary["connections_lost"].as_u64().unwrap();
    assert!(lost <= may_be_skipped(), "{lost} lost");
    for line in run.ended.of_type("owners") {
        let unattributed = line["unattributed"].as_object().unwrap().values();
        let parts = unattributed.chain([&line["other"]]);
        let rows = line["processes"].as_array().unwrap().iter().chain(parts);
        for key in ["rx_bytes", "tx_bytes", "rx_packets", "tx_packets"] {
            let sum: u64 = rows.clone().map(|row| row[key].as_u64().unwrap()).sum();
            assert_eq!(sum, line[key].as_u64().unwrap(), "{key}: {line}");
        }
    }
    run
}

/// Ends a run; without a filter nothing may be in `other`, which is what the other parts lack.
pub fn end(stream: Stream) -> Run {
    let run = end_filtered(stream);
    for line in run.ended.of_type("owners").iter().filter(|line| line["evicted"] == 0) {
        let other = line["other"].as_object().unwrap();
        assert!(other.values().all(|count| *count == 0), "of no process: {line}");
    }
    run
}

impl Run {
    /// Lines of connections in this test's namespace.
    pub fn of(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.ended.of_type(kind);
        lines.retain(|line| line["netns"] == self.netns);
        lines
    }

    pub fn by(&self, kind: &str, pid: Pid) -> Vec<Value> {
        let mut lines = self.of(kind);
        lines.retain(|line| line["pid"] == pid.as_raw());
        lines
    }

    /// The last table's row of a process.
    pub fn row(&self, pid: Pid) -> Value {
        let table = self.ended.of_type("owners").pop().unwrap();
        let rows = table["processes"].as_array().unwrap();
        rows.iter()
            .find(|row| row["pid"] == pid.as_raw())
            .unwrap_or_else(|| panic!("{pid}: {table}"))
            .clone()
    }
}

/// Received and sent bytes of a row or a close.
pub fn bytes(line: &Value) -> (u64, u64) {
    (line["rx_bytes"].as_u64().unwrap(), line["tx_bytes"].as_u64().unwrap())
}

/// A datagram socket on 127.0.0.1.
pub fn udp() -> UdpSocket {
    UdpSocket::bind(local("127.0.0.1")).unwrap()
}

pub fn local(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 0)
}

/// Accepts one connection, reads it to its end, answers with `answer` bytes.
pub fn serve(listener: &TcpListener, answer: usize) {
    let (mut conn, _) = listener.accept().unwrap();
    conn.read_to_end(&mut Vec::new()).unwrap();
    conn.write_all(&vec![b'a'; answer]).unwrap();
}

/// Sends `bytes`, then reads the answer to its end.
pub fn ask(to: SocketAddr, bytes: usize) {
    let mut conn = TcpStream::connect(to).unwrap();
    conn.write_all(&vec![b'q'; bytes]).unwrap();
    conn.shutdown(std::net::Shutdown::Write).unwrap();
    conn.read_to_end(&mut Vec::new()).unwrap();
}
