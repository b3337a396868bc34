//! The probe of bytes read and written: a thread that loads and attaches the programs of `io.bpf.c`, and
//! reads an interval's counts at its end.

mod attach;
mod decode;
mod read;
mod slow;
mod under_way;

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Commands, ProbeThread, Sink, cgroups};
use crate::model::event::{IoInfo, Only, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::privileges::{self, ThreadRole};

/// How the probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoConfig {
    /// Between readings of the counts.
    pub interval: Duration,
    /// Count pipes, sockets, terminals and devices too, not regular files alone.
    pub every_type: bool,
    /// Time calls, and report each of this duration or longer; `None`: neither.
    pub slow: Option<Duration>,
    /// Whose calls under way are reported: the process and the user.
    pub under_way: Only,
    /// Leave out this process.
    pub without_own: bool,
    /// Entries of the table of processes and files, for tests; `None`: as in docs/semantics.md.
    pub table_entries: Option<u32>,
    /// Nothing more is attached after the start, and the privileges for that are given up.
    pub locked: bool,
    /// Count nothing before [`Begin`].
    pub waits: bool,
    /// Use nothing that kernel 5.10 lacks, whatever this one has: for benches and tests.
    pub as_on_510: bool,
}

impl Default for IoConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            every_type: false,
            slow: None,
            under_way: Only::default(),
            without_own: false,
            table_entries: None,
            locked: false,
            waits: false,
            as_on_510: false,
        }
    }
}

impl IoConfig {
    /// The duration from which on a call is slow, ns; `None`: calls are not timed.
    fn slow_ns(&self) -> Option<u64> {
        self.slow.map(|slow| u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX).max(1))
    }
}

/// Asks the thread to count from now on.
#[derive(Debug)]
pub struct Begin {
    /// Receives the moment since when it counts.
    began: oneshot::Sender<Mono>,
}

/// Starts the probe.
pub fn start(config: IoConfig, sink: Sink) -> ProbeThread<Begin> {
    let run = move |commands: &Commands<_>, sink: &Sink| run(&config, commands, sink);
    ProbeThread::spawn(ProbeId::Io, sink, None, run)
}

/// Loads and attaches, and detaches at once: the features that the kernel refuses, or why nothing runs.
pub fn tried() -> Result<IoInfo, Problem> {
    super::quiet_libbpf();
    let mut storage = super::programs::storage();
    let config = IoConfig { waits: true, ..IoConfig::default() };
    Ok(attach::attach(&config, &mut storage)?.info)
}

impl ProbeThread<Begin> {
    /// Begins to count, where [`IoConfig::waits`]. The answer is when. No answer: it has ended.
    pub fn begin(&self) -> oneshot::Receiver<Mono> {
        let (began, answer) = oneshot::channel();
        // A thread that has ended drops the sender with the message.
        self.send(Begin { began });
        answer
    }
}

fn run(config: &IoConfig, commands: &Commands<Begin>, sink: &Sink) -> Result<ProbeEnd, Problem> {
    let mut storage = super::programs::storage();
    let mut attached = attach::attach(config, &mut storage)?;
    attached.info.missing.extend(cgroups::missing(cgroups::OUTSIDE_NAMES));
    privileges::keep(&[ThreadRole::Io], config.locked);
    let info = ProbeInfo::Io(attached.info.clone());
    if sink.blocking_send(ProbeEvent::Started(info)).is_err() {
        return Ok(ProbeEnd::Io);
    }
    read::read(attached, config, commands, sink)
        .map(|()| ProbeEnd::Io)
        .map_err(|e| Problem::new("read the bytes of files", e.to_string(), "start ebpftop again"))
}
