//! Waits that end: what must come fails the test when it does not come within [`patience`].

use std::fs::File;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ebpftop::model::event::ProbeEvent;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::sync::mpsc::Receiver;

/// How long a test waits for one thing: a minute, and three where everything is slower.
pub fn patience() -> Duration {
    Duration::from_secs(if slowness() > 1 { 180 } else { 60 })
}

/// The next event of a probe; nothing after its end.
#[track_caller]
pub fn next(events: &mut Receiver<ProbeEvent>) -> Option<ProbeEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let event = runtime.block_on(async { tokio::time::timeout(patience(), events.recv()).await });
    event.unwrap_or_else(|_| panic!("the probe sent nothing for {} s", patience().as_secs()))
}

/// Waits until `done` returns something.
#[track_caller]
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the end of a forked process.
#[track_caller]
pub fn reaped(pid: Pid) -> WaitStatus {
    // No thread here: a process that has unshared its pid namespace cannot start one.
    until("the end of a forked process", || {
        let status = waitpid(pid, Some(WaitPidFlag::WNOHANG)).unwrap();
        (status != WaitStatus::StillAlive).then_some(status)
    })
}

/// Waits for the end of a program.
#[track_caller]
pub fn exited(child: &mut Child) -> ExitStatus {
    until("the end of a program", || child.try_wait().unwrap())
}

/// Sleeps so long, times [`slowness`]: for what has to happen meanwhile and cannot be waited for.
pub fn pause(time: Duration) {
    std::thread::sleep(time * slowness());
}

/// How many times slower than usual everything is, as `EBPFTOP_TEST_SLOWNESS` says: in an emulator.
pub fn slowness() -> u32 {
    std::env::var("EBPFTOP_TEST_SLOWNESS").map_or(1, |s| s.parse().unwrap())
}

/// Kills a process unless it is dropped in time: reading what the process writes then ends, too.
#[derive(Debug)]
pub struct Leash {
    _held: Sender<()>,
}

impl Leash {
    pub fn on(pid: u32) -> Self {
        let (held, dropped) = channel();
        std::thread::spawn(move || {
            if dropped.recv_timeout(patience()) == Err(RecvTimeoutError::Timeout) {
                eprintln!("process {pid} took over {} s: killed", patience().as_secs());
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
        });
        Self { _held: held }
    }
}

/// Waits until no other test holds this: for those that fill the ring of the whole machine, and
/// those of the same module that would lose events by it. The lock is one on the test binary.
pub fn alone() -> Flock<File> {
    let file = File::open("/proc/self/exe").unwrap();
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e).unwrap()
}
