//! The opens probe: a thread that loads, attaches and drains the programs of `opens.bpf.c`.
//!
//! It owns the skeleton on its own stack. Dropping the handle, or the process's end however it
//! comes, detaches everything: all attachments are descriptors.

mod attach;
mod compat;
mod decode;
mod drain;
mod names;
mod rings;

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::cgroups::made::Made;
use super::{OpensConfig, Sink, cgroups};
use crate::model::event::ProbeEvent;
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::privileges::{self, ThreadRole};

/// Asks the thread to count and report from now on.
#[derive(Debug)]
struct Begin {
    /// For how long; `None`: until the probe stops.
    duration: Option<Duration>,
    /// Where it answers since when.
    began: oneshot::Sender<Mono>,
}

/// A running opens probe.
#[derive(Debug)]
pub struct OpensProbe {
    /// Dropped to stop the thread.
    commands: Option<mpsc::Sender<Begin>>,
    thread: Option<JoinHandle<()>>,
}

impl OpensProbe {
    /// Starts the thread; [`ProbeEvent::OpensStarted`] tells how that went.
    pub fn start(config: OpensConfig, sink: Sink) -> Self {
        let (sender, commands) = mpsc::channel();
        let spawned = thread::Builder::new().name("opens".into()).spawn({
            let sink = sink.clone();
            move || run(&config, &commands, &sink)
        });
        match spawned {
            Ok(thread) => Self { commands: Some(sender), thread: Some(thread) },
            Err(e) => {
                let problem = Problem::new("start the opens probe", e.to_string(), "");
                // A thread that did not start sends nothing, so there is room for this one.
                let _ = sink.try_send(ProbeEvent::OpensStarted(Err(problem)));
                Self { commands: None, thread: None }
            }
        }
    }

    /// Begins to count and report, where [`OpensConfig::waits`], for `duration` or until it stops. The
    /// answer is when: a moment ahead, so that counts are exact from it on. No answer: it has ended.
    pub fn begin(&self, duration: Option<Duration>) -> oneshot::Receiver<Mono> {
        let (began, answer) = oneshot::channel();
        if let Some(commands) = &self.commands {
            // A thread that has ended drops the sender with the message.
            let _ = commands.send(Begin { duration, began });
        }
        answer
    }

    /// Asks it to detach, to drain what is left, and to end; [`ProbeEvent::OpensEnded`] is its
    /// last word. Does not wait: the events have to be received meanwhile.
    pub fn stop(&mut self) {
        self.commands = None;
    }

    /// Waits for the thread's end. The channel must be drained or closed by then.
    pub fn join(mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(config: &OpensConfig, commands: &mpsc::Receiver<Begin>, sink: &Sink) {
    super::quiet_libbpf();
    let made = Made::attach();
    let mut storage = super::programs::storage();
    let mut attached = match attach::attach(config, &mut storage) {
        Ok(attached) => attached,
        Err(e) => {
            let _ = sink.blocking_send(ProbeEvent::OpensStarted(Err(e.into())));
            return;
        }
    };
    let missing = &mut attached.info.missing;
    missing.extend(cgroups::missing(cgroups::OUTSIDE_NAMES));
    missing.extend(made.as_ref().err().cloned());
    privileges::keep(&[ThreadRole::Opens], config.locked);
    if sink.blocking_send(ProbeEvent::OpensStarted(Ok(attached.info.clone()))).is_err() {
        return;
    }
    if let Err(e) = drain::drain(attached, made.ok(), commands, sink) {
        tracing::error!("the opens probe ended: {e}");
        let problem = Problem::new("read the opens", e.to_string(), "start ebpftop again");
        let _ = sink.blocking_send(ProbeEvent::OpensStarted(Err(problem)));
    }
}
