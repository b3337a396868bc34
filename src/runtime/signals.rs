//! The signals that the dashboard answers, and the word of a panic on any thread.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::Notify;

/// Notified by the panic hook.
pub(super) static PANICKED: Notify = Notify::const_new();

/// A signal.
pub(super) enum Signal {
    /// SIGTERM, SIGHUP, SIGINT and what else would end the process where it stands: end.
    End,
    /// SIGTSTP: give the terminal back and stop.
    Stop,
    /// SIGCONT: take the terminal again, also after a SIGSTOP, which cannot be caught.
    Continue,
    /// SIGWINCH: the terminal has another size.
    Resize,
    /// A thread panicked.
    Panic,
}

/// The streams of signals.
pub(super) struct Signals {
    terminate: Stream,
    hangup: Stream,
    interrupt: Stream,
    quit: Stream,
    alarm: Stream,
    user1: Stream,
    user2: Stream,
    stop: Stream,
    proceed: Stream,
    resize: Stream,
}

impl Signals {
    /// From now on these signals no longer end the process by themselves.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            alarm: signal(SignalKind::alarm())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            stop: signal(SignalKind::from_raw(nix::libc::SIGTSTP))?,
            proceed: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.quit.recv() => Signal::End,
            _ = self.alarm.recv() => Signal::End,
            _ = self.user1.recv() => Signal::End,
            _ = self.user2.recv() => Signal::End,
            _ = self.stop.recv() => Signal::Stop,
            _ = self.proceed.recv() => Signal::Continue,
            _ = self.resize.recv() => Signal::Resize,
            () = PANICKED.notified() => Signal::Panic,
        }
    }
}
