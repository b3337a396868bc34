//! The opens probe: a thread that loads, attaches and drains the programs of `opens.bpf.c`.
//!
//! It owns the skeleton on its stack. All attachments are descriptors: they end with the thread, and
//! with the process however it ends.

mod attach;
mod changes;
pub(super) mod compat;
pub(super) mod decode;
mod drain;
pub(super) mod names;
pub(super) mod record;
pub(super) mod rings;
mod under_way;

use std::time::Duration;

use tokio::sync::oneshot;

use super::cgroups::made::Made;
use super::{Commands, OpensConfig, ProbeThread, Sink, cgroups};
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::privileges::{self, ThreadRole};

/// Asks the thread to count and report from now on.
#[derive(Debug)]
pub struct Begin {
    /// Length of the window; `None`: until the probe stops.
    duration: Option<Duration>,
    /// Receives the moment since when it counts.
    began: oneshot::Sender<Mono>,
}

/// Starts the probe.
pub fn start(config: OpensConfig, sink: Sink) -> ProbeThread<Begin> {
    let run = move |commands: &Commands<_>, sink: &Sink| run(&config, commands, sink);
    ProbeThread::spawn(ProbeId::Opens, sink, None, run)
}

impl ProbeThread<Begin> {
    /// Begins to count and report, where [`OpensConfig::waits`], for `duration` or until it stops. The
    /// answer is when: a moment ahead, so that counts are exact from it on. No answer: it has ended.
    pub fn begin(&self, duration: Option<Duration>) -> oneshot::Receiver<Mono> {
        let (began, answer) = oneshot::channel();
        // A thread that has ended drops the sender with the message.
        self.send(Begin { duration, began });
        answer
    }
}

fn run(config: &OpensConfig, commands: &Commands<Begin>, sink: &Sink) -> Result<ProbeEnd, Problem> {
    let made = Made::attach();
    let mut storage = super::programs::storage();
    let mut attached = attach::attach(config, &mut storage)?;
    let missing = &mut attached.info.missing;
    missing.extend(cgroups::missing(cgroups::OUTSIDE_NAMES));
    missing.extend(made.as_ref().err().cloned());
    privileges::keep(&[ThreadRole::Opens], config.locked);
    let info = ProbeInfo::Opens(attached.info.clone());
    if sink.blocking_send(ProbeEvent::Started(info)).is_err() {
        return Ok(ProbeEnd::Opens(Default::default()));
    }
    drain::drain(attached, made.ok(), config.only, commands, sink)
        .map(ProbeEnd::Opens)
        .map_err(|e| Problem::new("read the opens", e.to_string(), "start ebpftop again"))
}
