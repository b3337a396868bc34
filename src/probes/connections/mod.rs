//! The connections probe: connections, their processes and their traffic.
//!
//! A thread owns the skeleton on its stack. Everything is attached through links beside those of
//! others, and ends with the handle or the process. If no program can be attached, `procfs` polls.

mod attach;
mod decode;
mod holders;
mod hostnames;
pub(super) mod procfs;
mod read;
mod shares;
mod walk;

use std::time::Duration;

use tokio::sync::oneshot;

pub use hostnames::{HostnamesConfig, tried as tried_hostnames};

use super::programs::Storage;
use super::{Commands, ProbeThread, Sink, refusal};
use crate::model::event::{ConnectionsInfo, ProbeEnd, ProbeId};
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::privileges::{self, ThreadRole};

/// How the probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsConfig {
    /// Between readings of what lives.
    pub interval: Duration,
    /// Nothing more is attached after the start, and the privileges for that are given up.
    pub locked: bool,
    /// Names that processes ask for.
    pub hostnames: HostnamesConfig,
    /// Sockets are polled where no program can be attached.
    pub may_poll: bool,
}

impl ConnectionsConfig {
    /// The tasks of the thread.
    fn roles(&self) -> &'static [ThreadRole] {
        match self.hostnames.may_switch {
            true => &[ThreadRole::Connections, ThreadRole::Hostnames],
            false => &[ThreadRole::Connections],
        }
    }
}

/// What the thread is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Switches the search for names that processes ask for.
    Names(bool),
    /// Reads all counts, and begins the intervals, at a moment.
    Begin(Begin),
}

/// A reading that a run counts from.
#[derive(Debug)]
pub struct Begin {
    /// When; `None`: at once.
    at: Option<Mono>,
    /// Receives the time of the batch with that reading, which is in the channel by then.
    began: oneshot::Sender<Mono>,
}

/// Starts the probe.
pub fn start(config: ConnectionsConfig, sink: Sink) -> ProbeThread<Command> {
    let run = move |commands: &Commands<Command>, sink: &Sink| {
        run(&config, commands, sink).map(|()| ProbeEnd::Connections)
    };
    ProbeThread::spawn(ProbeId::Connections, sink, None, run)
}

impl ProbeThread<Command> {
    /// Reads all counts at `at`, a moment ahead, or at once: a run's counts begin there. The answer is the time
    /// of the batch with that reading, which was sent before. No answer: it has ended.
    pub fn begin(&self, at: Option<Mono>) -> oneshot::Receiver<Mono> {
        let (began, answer) = oneshot::channel();
        // A thread that has ended drops the sender with the message.
        self.send(Command::Begin(Begin { at, began }));
        answer
    }
}

fn run(
    config: &ConnectionsConfig,
    commands: &Commands<Command>,
    sink: &Sink,
) -> Result<(), Problem> {
    let mut storage = super::programs::storage();
    let (attached, info) = match attach(&mut storage) {
        Ok(attached) => attached,
        Err(refused) if refused.can_poll && config.may_poll => {
            return poll(&refused, config, commands, sink);
        }
        Err(Refused { why, .. }) => return Err(why),
    };
    read::read(attached, info, config, commands, sink)
        .map_err(|e| Problem::new("read the connections", e.to_string(), "start ebpftop again"))
}

/// Why no program watches.
struct Refused {
    why: Problem,
    /// The program that the kernel refused; the object's name, where it was not about one.
    program: String,
    /// Not where memory is short: that is to be put right.
    can_poll: bool,
}

/// A loaded and attached object, or what refuses it: for tests all of it, where `EBPFTOP_REFUSE` says so.
fn attach(storage: &mut Storage) -> Result<(attach::Attached<'_>, ConnectionsInfo), Refused> {
    if refusal::is_injected("all") {
        let why = Problem::new(attach::WATCH, "refused by EBPFTOP_REFUSE", "");
        return Err(Refused { why, program: "all".to_owned(), can_poll: true });
    }
    attach::attach(storage).map_err(|e| Refused {
        program: e.program().to_owned(),
        can_poll: !e.is_out_of_memory(),
        why: e.into(),
    })
}

/// Polls instead, where no program can be attached.
fn poll(
    Refused { why, program, .. }: &Refused,
    config: &ConnectionsConfig,
    commands: &Commands<Command>,
    sink: &Sink,
) -> Result<(), Problem> {
    tracing::warn!("connections are polled: {why}");
    privileges::keep(&[ThreadRole::Polling], config.locked);
    procfs::read(why, program, config, commands, sink)
}
