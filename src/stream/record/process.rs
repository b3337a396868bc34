//! `process`: a program that was started, or a process that has ended.

use super::open::cgroup;
use super::{Line, Record, Seconds, Text, Texts, Visitor, key};
use crate::model::process_event::{Args, ExitStatus, ProcessAction};
use crate::stream::lines::ProcessLine;

impl<'a> ProcessLine<'a> {
    fn args(self) -> Option<&'a Args> {
        match &self.event.action {
            ProcessAction::Exec { args, .. } => args.as_ref(),
            ProcessAction::Exit(_) => None,
        }
    }

    fn executable(self) -> Option<&'a [u8]> {
        match &self.event.action {
            ProcessAction::Exec { executable, .. } => executable.as_deref(),
            ProcessAction::Exit(_) => None,
        }
    }

    fn status(self) -> Option<ExitStatus> {
        match self.event.action {
            ProcessAction::Exec { .. } => None,
            ProcessAction::Exit(status) => Some(status),
        }
    }
}

impl Line for ProcessLine<'_> {
    const TYPE: &'static str = "process";
}

impl<'a> Record for ProcessLine<'a> {
    fn fields<V: Visitor<Self>>(v: &mut V) {
        v.field(key!("event", "exec: the process started a program; exit: it has ended"), |l| {
            match l.event.action {
                ProcessAction::Exec { .. } => "exec",
                ProcessAction::Exit(_) => "exit",
            }
        });
        v.field(key!("pid", "process ID (thread group) in the initial PID namespace"), |l| {
            l.event.key.tgid
        });
        v.field(key!("ppid", "process ID of the parent"), |l| l.event.ppid);
        v.field(key!("uid", "real user ID in the initial user namespace"), |l| l.event.uid);
        v.field(
            key!("comm", "name of the thread, 15 bytes at most; of an exec that of the program"),
            |l| Text(l.event.comm.as_bytes()),
        );
        v.field(key!("process", "name of the process's main thread"), |l| {
            Text(l.event.process.as_bytes())
        });
        v.field(
            key!(
                "executable",
                "path of the executable, of a script that of its interpreter, from the root of the \
                 process's mount namespace; null for an exit, and where it is not known"
            ),
            |l| l.executable().map(Text),
        );
        v.field(
            key!(
                "args",
                "arguments, the name of the program first; 4,095 bytes at most; null for an exit, \
                 and where they could not be read"
            ),
            |l| l.args().map(|args| Texts(args.iter())),
        );
        v.field(
            key!(
                "args_bytes",
                ["bytes"],
                "length of all arguments, with a NUL each; null as for args"
            ),
            |l| l.args().map(|args| args.bytes),
        );
        v.field(
            key!("status", "exit status; null for an exec, and where a signal ended it"),
            |l| l.status().and_then(ExitStatus::code).map(u32::from),
        );
        v.field(key!("signal", "signal that ended the process; else null"), |l| {
            l.status().and_then(ExitStatus::signal_name)
        });
        v.field(
            key!("duration_s", ["s"], "time from the process's start to its end; null for an exec"),
            |l| l.status().map(|_| Seconds(l.event.age_ns)),
        );
        cgroup(v, |l: Self| l.cgroup);
    }
}
