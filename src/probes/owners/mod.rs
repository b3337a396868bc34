//! The owners probe: which processes are behind which connections, and what those carry.
//!
//! A thread that owns the skeleton on its stack. Everything is attached through links beside those
//! of others, and ends with the handle or the process. Where no program can be attached, `procfs` polls.

mod attach;
mod decode;
mod flows;
mod procfs;
mod read;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::programs::Storage;
use super::{Sink, refusal};
use crate::model::event::{OwnersInfo, ProbeEvent};
use crate::model::problem::Problem;
use crate::privileges::{self, ThreadRole};

/// A running owners probe.
#[derive(Debug)]
pub struct OwnersProbe {
    /// Dropped to say stop.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How the owners probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnersConfig {
    /// Between readings of what lives.
    pub interval: Duration,
    /// Nothing more is attached after the start, and the rights for that are given up.
    pub locked: bool,
}

impl OwnersProbe {
    /// Starts the thread; [`ProbeEvent::OwnersStarted`] tells how that went.
    pub fn start(config: OwnersConfig, sink: Sink) -> Self {
        let (stop, stopped) = mpsc::channel();
        let spawned = thread::Builder::new().name("owners".into()).spawn({
            let sink = sink.clone();
            move || run(&config, &stopped, &sink)
        });
        match spawned {
            Ok(thread) => Self { stop: Some(stop), thread: Some(thread) },
            Err(e) => {
                let problem = Problem::new("start the owners probe", e.to_string(), "");
                // A thread that did not start sends nothing, so there is room for this one.
                let _ = sink.try_send(ProbeEvent::OwnersStarted(Err(problem)));
                Self { stop: None, thread: None }
            }
        }
    }

    /// Asks it to detach, to read what is left, and to end; [`ProbeEvent::OwnersEnded`] is its last
    /// word. Does not wait: the events have to be received meanwhile.
    pub fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits for the thread's end. The channel must be drained or closed by then.
    pub fn join(mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(config: &OwnersConfig, stopped: &mpsc::Receiver<()>, sink: &Sink) {
    super::quiet_libbpf();
    let mut storage = super::programs::storage();
    let (attached, info) = match attach(&mut storage) {
        Ok(attached) => attached,
        Err(refused) if refused.can_poll => return poll(&refused, config, stopped, sink),
        Err(Refused { why, .. }) => {
            let _ = sink.blocking_send(ProbeEvent::OwnersStarted(Err(why)));
            return;
        }
    };
    privileges::keep(&[ThreadRole::Owners], config.locked);
    if let Err(e) = read::read(attached, info, config.interval, stopped, sink) {
        tracing::error!("the owners probe ended: {e}");
        let problem = Problem::new("read the connections", e.to_string(), "start ebpftop again");
        let _ = sink.blocking_send(ProbeEvent::OwnersStarted(Err(problem)));
    }
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
fn attach(storage: &mut Storage) -> Result<(attach::Attached<'_>, OwnersInfo), Refused> {
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

/// Goes on by polling, where no program can be attached.
fn poll(
    Refused { why, program, .. }: &Refused,
    config: &OwnersConfig,
    stopped: &mpsc::Receiver<()>,
    sink: &Sink,
) {
    tracing::warn!("connections are polled: {why}");
    privileges::keep(&[ThreadRole::Polling], config.locked);
    if let Err(problem) = procfs::read(why, program, config.interval, stopped, sink) {
        let _ = sink.blocking_send(ProbeEvent::OwnersStarted(Err(problem)));
    }
}
