//! The probe of listeners: a thread that reads them again and again.

mod files;
mod proc_net;
mod read;

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::connections::procfs::cpu_time;
use super::{Commands, ProbeThread, Sink};
use crate::model::coverage::Missing;
use crate::model::event::{ListenersInfo, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::privileges::{self, ThreadRole};

pub use read::ListenerReader;

/// Readings take at most this part of a CPU: the pause is so many times the CPU time of one.
const PAUSE: u32 = 50;

/// How the probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenersConfig {
    /// Between readings, at least.
    pub interval: Duration,
    /// Unix sockets, too.
    pub unix: bool,
    /// The privileges to read descriptors of others are given up.
    pub locked: bool,
}

/// Starts the probe. Nothing is attached to what processes do.
pub fn start(config: ListenersConfig, sink: Sink) -> ProbeThread {
    let run = move |stopped: &Commands, sink: &Sink| {
        run(&config, stopped, sink);
        Ok(ProbeEnd::Listeners)
    };
    ProbeThread::spawn(ProbeId::Listeners, sink, None, run)
}

fn run(config: &ListenersConfig, stopped: &Commands, sink: &Sink) {
    let reader = ListenerReader::load(config.unix);
    privileges::keep(&[ThreadRole::Listeners], config.locked);
    let info = ListenersInfo { missing: reader.missing().to_vec() };
    if sink.blocking_send(ProbeEvent::Started(ProbeInfo::Listeners(info))).is_err() {
        return;
    }
    loop {
        let began = (Instant::now(), cpu_time());
        let found = ProbeEvent::Listeners(Box::new(reader.read()));
        // Not by the clock: where others have the CPUs, a reading that waits for them is no more work.
        let took = cpu_time().saturating_sub(began.1);
        let pause = config.interval.max(took.saturating_mul(PAUSE));
        if sink.blocking_send(found).is_err() {
            return;
        }
        match stopped.recv_timeout(pause.saturating_sub(began.0.elapsed())) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if sink.is_closed() => return,
            Err(RecvTimeoutError::Disconnected) => {
                let _ = sink.blocking_send(ProbeEvent::Listeners(Box::new(reader.read())));
                return;
            }
            Ok(never) => match never {},
        }
    }
}

/// The features that the kernel refuses.
pub fn tried() -> Vec<Missing> {
    ListenerReader::load(true).missing().to_vec()
}
