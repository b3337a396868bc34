//! Starts of programs and ends of processes.

use std::borrow::Cow;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::event_log::{EventLog, Logged};
use super::open::Comm;
use super::process::ProcessKey;
use super::time::{Mono, WallOffset};

/// A process started a program, or it has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEvent {
    /// When the program was started (`exec` succeeded), or the last thread ended.
    pub at: Mono,
    pub key: ProcessKey,
    /// The parent's thread group id.
    pub ppid: u32,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// The name of the thread that did it: of an exec, that of the new program.
    pub comm: Comm,
    /// The group leader's name.
    pub process: Comm,
    /// See [`crate::model::open::OpenMeta::cgroup_id`].
    pub cgroup_id: Option<u64>,
    /// Time since the process was made (`fork`), ns.
    pub age_ns: u64,
    pub action: ProcessAction,
}

/// Action of a process event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessAction {
    /// It started a program.
    Exec {
        /// `None` where they could not be read.
        args: Option<Args>,
        /// The path of the executable; of a script, that of its interpreter. `None` where it is not known.
        executable: Option<Box<[u8]>>,
    },
    /// It ended.
    Exit(ExitStatus),
}

/// The arguments of a program, the name that it was called by first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Args {
    /// A NUL after each; cut after 4,095 bytes.
    pub text: Box<[u8]>,
    /// Bytes of all of them, the NULs included.
    pub bytes: u64,
}

impl Args {
    /// The arguments; the last one may be cut where [`Self::is_cut`].
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.text.strip_suffix(&[0]).unwrap_or(&self.text);
        let some = !self.text.is_empty();
        some.then(|| whole.split(|b| *b == 0)).into_iter().flatten()
    }

    /// Whether more arguments follow, or more of the last one.
    pub fn is_cut(&self) -> bool {
        self.bytes > self.text.len() as u64
    }
}

/// The status of a process as `wait()` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// The status that it exited with; `None` where a signal ended it.
    pub fn code(self) -> Option<u8> {
        self.signal().is_none().then(|| self.0.to_le_bytes()[1])
    }

    /// The number of the signal that ended it.
    pub fn signal(self) -> Option<u32> {
        Some(self.0 & 0x7f).filter(|signal| *signal != 0)
    }

    /// The name of that signal; the number of one without a name.
    pub fn signal_name(self) -> Option<Cow<'static, str>> {
        let signal = self.signal()?;
        let named = i32::try_from(signal).ok().and_then(|n| Signal::try_from(n).ok());
        Some(named.map_or_else(|| signal.to_string().into(), |signal| signal.as_str().into()))
    }

    /// The signal's name, else the code.
    pub fn text(self) -> Cow<'static, str> {
        let code = || self.code().unwrap_or_default().to_string().into();
        self.signal_name().unwrap_or_else(code)
    }
}

/// Events of one drain of the rings, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEvents {
    pub events: Vec<ProcessEvent>,
    /// Events lost since the probe counts: no room in the rings, or the program did not run.
    pub lost: u64,
    pub wall: WallOffset,
}

/// The last program that a process started, and its end, as far as the log has these events.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastEvents<'a> {
    pub exec: Option<&'a ProcessEvent>,
    pub exit: Option<(&'a ProcessEvent, ExitStatus)>,
}

impl<'a> LastEvents<'a> {
    /// Those of a process until `now`.
    pub fn of(log: &'a EventLog<ProcessEvent>, key: ProcessKey, now: Mono) -> Self {
        let mut last = Self::default();
        for event in log.of(key).map(|event| &**event).filter(|event| event.at <= now) {
            match event.action {
                ProcessAction::Exec { .. } => {
                    last.exec = last.exec.filter(|exec| exec.at > event.at).or(Some(event));
                }
                ProcessAction::Exit(status) => last.exit = Some((event, status)),
            }
        }
        last
    }

    /// Either of them.
    pub fn any(self) -> Option<&'a ProcessEvent> {
        self.exec.or(self.exit.map(|(event, _)| event))
    }

    /// The path of the program, where it is known.
    pub fn executable(self) -> Option<&'a [u8]> {
        match &self.exec?.action {
            ProcessAction::Exec { executable, .. } => executable.as_deref(),
            ProcessAction::Exit(_) => None,
        }
    }

    /// Its arguments, where they could be read.
    pub fn args(self) -> Option<&'a Args> {
        match &self.exec?.action {
            ProcessAction::Exec { args, .. } => args.as_ref(),
            ProcessAction::Exit(_) => None,
        }
    }
}

impl Logged for ProcessEvent {
    fn key(&self) -> ProcessKey {
        self.key
    }

    fn bytes(&self) -> usize {
        let texts = match &self.action {
            ProcessAction::Exec { args, executable } => {
                let path = executable.as_ref().map_or(0, |path| path.len());
                args.as_ref().map_or(0, |args| args.text.len()) + path
            }
            ProcessAction::Exit(_) => 0,
        };
        size_of::<Self>() + texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_taken_apart() {
        let of = |text: &[u8], bytes| Args { text: text.into(), bytes };
        let list = |args: &Args| args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(list(&of(b"sh\0-c\0\0", 7)), [&b"sh"[..], b"-c", b""]);
        assert_eq!(list(&of(b"\0", 1)), [b""]);
        assert!(list(&of(b"", 0)).is_empty());
        let cut = of(b"a\0bc", 9);
        assert!(cut.is_cut() && !of(b"a\0", 2).is_cut());
        assert_eq!(list(&cut), [&b"a"[..], b"bc"]);
    }

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        let parts = |status| (ExitStatus(status).code(), ExitStatus(status).signal());
        assert_eq!(parts(0), (Some(0), None));
        assert_eq!(parts(3 << 8), (Some(3), None));
        assert_eq!(parts(9), (None, Some(9)));
        assert_eq!(parts(0x80 | 11), (None, Some(11)));
        let text = |status| ExitStatus(status).text().into_owned();
        assert_eq!([text(0), text(255 << 8), text(9), text(40)], ["0", "255", "SIGKILL", "40"]);
    }
}
