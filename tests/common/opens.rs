//! Runs the opens probe and collects its events of chosen processes.

use std::time::Instant;

use ebpftop::model::event::{OpensInfo, ProbeEnd, ProbeEvent, ProbeInfo};
use ebpftop::model::file_change::FileChanges;
use ebpftop::model::open::{Ended, LostOpens, Open, OpenBatch, OpenCounts, OpenMeta, ResolvedKind};
use ebpftop::model::process_event::ProcessEvent;
use ebpftop::probes::{CHANNEL_DEPTH, OpensConfig, ProbeThread, opens};
use tokio::sync::mpsc::{Receiver, channel};

use super::patience::{next, patience};

/// An open that owns its texts.
#[derive(Clone, Debug)]
pub struct Seen {
    pub meta: OpenMeta,
    pub path: Option<Vec<u8>>,
    pub resolved: Option<(ResolvedKind, Vec<u8>)>,
}

impl Seen {
    fn of(open: Open<'_>) -> Self {
        Self {
            meta: *open.meta,
            path: open.path.map(<[u8]>::to_vec),
            resolved: open.resolved.map(|(k, p)| (k, p.to_vec())),
        }
    }

    /// The path as passed, for messages.
    pub fn path_str(&self) -> String {
        String::from_utf8_lossy(self.path.as_deref().unwrap_or(b"<none>")).into_owned()
    }

    /// The resolved path, for messages.
    pub fn resolved_str(&self) -> String {
        self.resolved
            .as_ref()
            .map_or("<none>".into(), |(_, p)| String::from_utf8_lossy(p).into_owned())
    }
}

/// All events of a probe.
#[derive(Debug, Default)]
pub struct All {
    pub seen: Vec<Seen>,
    pub ended: Vec<Ended>,
    /// The last word on each process whose opens were lost.
    pub lost_by: Vec<LostOpens>,
    pub counts: OpenCounts,
    /// Changes of files, as they came.
    pub changes: Vec<FileChanges>,
    /// Starts and ends of processes.
    pub processes: Vec<ProcessEvent>,
}

impl All {
    /// How many opens of a process were lost.
    pub fn lost_of(&self, tgid: u32) -> u64 {
        self.lost_by.iter().filter(|l| l.tgid == tgid).map(|l| l.opens).sum()
    }
}

/// A probe that is attached.
pub struct Watch {
    probe: ProbeThread<opens::Begin>,
    events: Receiver<ProbeEvent>,
    pub info: OpensInfo,
}

/// Starts the probe; fails the test where it cannot start (it needs root).
pub fn watch(config: OpensConfig) -> Watch {
    let (sink, mut events) = channel(CHANNEL_DEPTH);
    let probe = opens::start(config, sink);
    match next(&mut events) {
        Some(ProbeEvent::Started(ProbeInfo::Opens(info))) => Watch { probe, events, info },
        other => panic!("the opens probe must start here (the tests need root): {other:?}"),
    }
}

impl Watch {
    /// Receives until a batch is as asked for; every open until then.
    pub fn wait_for(&mut self, mut asked: impl FnMut(&OpenBatch) -> bool) -> Vec<Seen> {
        let deadline = Instant::now() + patience();
        let mut seen = Vec::new();
        while let Some(event) = next(&mut self.events) {
            let batch = match event {
                ProbeEvent::Opens(batch) => batch,
                ProbeEvent::Cgroups(_) => continue,
                other => panic!("unexpected {other:?}"),
            };
            seen.extend(batch.iter().map(Seen::of));
            if asked(&batch) {
                return seen;
            }
            assert!(Instant::now() < deadline, "no such batch within a minute");
        }
        panic!("the probe ended without a word");
    }

    /// Stops the probe; every open of the processes that `keep` chooses, and the counts.
    pub fn finish(self, keep: impl Fn(&OpenMeta) -> bool) -> (Vec<Seen>, OpenCounts) {
        let all = self.finish_all(keep);
        (all.seen, all.counts)
    }

    /// Stops the probe and returns its events, of opens those that `keep` selects.
    pub fn finish_all(mut self, keep: impl Fn(&OpenMeta) -> bool) -> All {
        self.probe.stop();
        let mut all = All::default();
        let deadline = Instant::now() + patience();
        while let Some(event) = next(&mut self.events) {
            match event {
                ProbeEvent::Opens(batch) => {
                    all.seen.extend(batch.iter().filter(|o| keep(o.meta)).map(Seen::of));
                    all.ended.extend(&batch.ended);
                    if !batch.lost_by.is_empty() {
                        let who = |l: &LostOpens| (l.tgid, l.start_boottime_ns);
                        let known = |l: &LostOpens| batch.lost_by.iter().any(|n| who(n) == who(l));
                        all.lost_by.retain(|l| !known(l));
                        all.lost_by.extend(&batch.lost_by);
                    }
                }
                ProbeEvent::Ended(ProbeEnd::Opens(counts)) => {
                    all.counts = counts;
                    return all;
                }
                ProbeEvent::Files(changes) => all.changes.push(changes),
                ProbeEvent::Processes(events) => all.processes.extend(events.events),
                ProbeEvent::Cgroups(_) => {}
                other => panic!("unexpected {other:?}"),
            }
            assert!(Instant::now() < deadline, "the probe does not end");
        }
        panic!("the probe ended without a word");
    }
}

/// Runs `act` in a forked process and waits for it; its pid. A panic in it fails the test.
pub fn in_child(act: impl FnOnce()) -> u32 {
    // SAFETY: the child runs `act`, which allocates: the C library's allocator is usable after
    // fork in a process with threads (glibc takes its locks around fork).
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            // SAFETY: ends the process without running the test harness's own exit.
            unsafe { libc::_exit(i32::from(done.is_err())) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            let status = super::patience::reaped(child);
            assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0), "in the child");
            child.as_raw() as u32
        }
    }
}

/// This thread's name: a forked child has it as its process's.
pub fn own_comm() -> Vec<u8> {
    std::fs::read("/proc/thread-self/comm").unwrap().strip_suffix(b"\n").unwrap().to_vec()
}
