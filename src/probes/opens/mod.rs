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

use super::cgroups::made::Made;
use super::{OpensConfig, ProbeEvent, Sink, cgroups};
use crate::model::problem::Problem;
use crate::privileges::{self, ThreadRole};

/// A running opens probe.
#[derive(Debug)]
pub struct OpensProbe {
    /// Dropped to say stop.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OpensProbe {
    /// Starts the thread; [`ProbeEvent::OpensStarted`] tells how that went.
    pub fn start(config: OpensConfig, sink: Sink) -> Self {
        let (stop, stopped) = mpsc::channel();
        let spawned = thread::Builder::new().name("opens".into()).spawn({
            let sink = sink.clone();
            move || run(&config, &stopped, &sink)
        });
        match spawned {
            Ok(thread) => Self { stop: Some(stop), thread: Some(thread) },
            Err(e) => {
                let problem = Problem::new("start the opens probe", e.to_string(), "");
                // A thread that did not start sends nothing, so there is room for this one.
                let _ = sink.try_send(ProbeEvent::OpensStarted(Err(problem)));
                Self { stop: None, thread: None }
            }
        }
    }

    /// Asks it to detach, to drain what is left, and to end; [`ProbeEvent::OpensEnded`] is its
    /// last word. Does not wait: the events have to be received meanwhile.
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

fn run(config: &OpensConfig, stopped: &mpsc::Receiver<()>, sink: &Sink) {
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
    if let Err(e) = drain::drain(attached, made.ok(), stopped, sink) {
        tracing::error!("the opens probe ended: {e}");
        let problem = Problem::new("read the opens", e.to_string(), "start ebpftop again");
        let _ = sink.blocking_send(ProbeEvent::OpensStarted(Err(problem)));
    }
}
