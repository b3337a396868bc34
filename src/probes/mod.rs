//! The probes: they load, attach and drain, each on a thread of its own.
//!
//! The only module that uses libbpf, netlink, tracefs and /proc. Their events go
//! through one bounded channel as [`ProbeEvent`]s; when its reader is slow they wait, the
//! ring fills, and the kernel side counts what it loses.

pub mod cgroups;
pub mod connections;
pub mod containers;
pub mod held;
pub mod io;
mod iterator;
mod kernel;
pub mod listeners;
pub mod log;
pub mod opens;
pub mod preflight;
pub mod process_info;
pub mod programs;
mod refusal;
pub mod set;
pub mod talkers;
mod thread;
mod under_way;

use std::time::Duration;

use crate::model::event::{Only, ProbeEvent};
use crate::model::link::{Choice, XdpMode};

pub use crate::bpf::btf::{mount_sysfs, take_from as use_btf_file};
pub(crate) use log::quiet_libbpf;
pub use set::{Order, ProbeSet, ProbesConfig};
pub use thread::{Commands, ProbeThread};

/// The channel into which probes send their events.
pub type Sink = tokio::sync::mpsc::Sender<ProbeEvent>;

/// How many events may wait for the reader before the probes wait for it.
pub const CHANNEL_DEPTH: usize = 8;

/// How the opens probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpensConfig {
    /// Report opens.
    pub calls: bool,
    /// Report starts of programs and ends of processes.
    pub processes: bool,
    /// Report changes of files and directories.
    pub files: bool,
    /// Measure each open's latency: a program at entry too.
    pub latency: bool,
    /// The opens that are wanted.
    pub only: Only,
    /// The size of a ring in bytes, a power of two of pages; `None`: from the number of rings.
    pub ring_bytes: Option<u32>,
    /// Entries of the tables of losses, of io_uring requests and of calls under way, for tests; `None`: as
    /// in docs/semantics.md.
    pub table_entries: Option<u32>,
    /// How many CPUs share a ring, a power of two.
    pub cpus_per_ring: u32,
    /// Nothing more is attached after the start, and the privileges for that are given up.
    pub locked: bool,
    /// Count and report nothing before [`opens::Begin`].
    pub waits: bool,
    /// Use nothing that kernel 5.10 lacks, whatever this one has: for benches and tests.
    pub as_on_510: bool,
}

impl Default for OpensConfig {
    fn default() -> Self {
        Self {
            calls: true,
            processes: false,
            files: false,
            latency: false,
            only: Only::default(),
            ring_bytes: None,
            table_entries: None,
            cpus_per_ring: 4,
            locked: false,
            waits: false,
            as_on_510: false,
        }
    }
}

/// How the talkers probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TalkersConfig {
    /// The interfaces to watch at first.
    pub choice: Choice,
    /// The mode at first.
    pub mode: XdpMode,
    /// Between snapshots.
    pub interval: Duration,
    /// Another network namespace than the caller's: its name, a process in it, or a path.
    pub netns: Option<String>,
    /// Nothing more is attached after the start, and the privileges for that are given up.
    pub locked: bool,
}

impl Default for TalkersConfig {
    fn default() -> Self {
        Self {
            choice: Choice::Default,
            mode: XdpMode::Auto,
            interval: Duration::from_secs(1),
            netns: None,
            locked: false,
        }
    }
}

/// Returns when every BPF program that was running at the call has ended.
///
/// `MEMBARRIER_CMD_GLOBAL` is `synchronize_rcu()` on more than one CPU
/// (kernel/sched/membarrier.c), and on one CPU a program that was running has ended already.
pub(crate) fn grace_period() {
    crate::sys::membarrier();
}
