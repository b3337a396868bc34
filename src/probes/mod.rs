//! The probes: they load, attach and drain, each on a thread of its own.
//!
//! The only place that knows libbpf, netlink, tracefs and /proc. What they find out goes
//! through one bounded channel as [`ProbeEvent`]s; when its reader is slow they wait, the
//! ring fills, and the kernel side counts what it loses.

pub mod cgroups;
pub mod clock;
pub mod log;
pub mod opens;
pub mod owners;
pub mod preflight;
pub mod process_info;
pub mod programs;
mod refusal;
pub mod talkers;

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::conn::OwnersBatch;
use crate::model::coverage::{Attribution, Missing};
use crate::model::interface_name::InterfaceName;
use crate::model::link::{Choice, Hook, Link, XdpMode};
use crate::model::open::{Comm, OpenBatch, OpenCounts, Syscall};
use crate::model::problem::Problem;
use crate::model::talkers::TalkersSample;

pub use self::cgroups::made::CgroupsMade;
pub use crate::bpf::btf::{mount_sysfs, take_from as use_btf_file};
pub(crate) use log::quiet_libbpf;

/// Where probes send what they find out.
pub type Sink = tokio::sync::mpsc::Sender<ProbeEvent>;

/// How many events may wait for the reader before the probes wait for it.
pub const CHANNEL_DEPTH: usize = 8;

/// What a probe tells.
#[derive(Clone, Debug)]
pub enum ProbeEvent {
    /// The opens probe is attached, or why it is not. Sent once, first.
    OpensStarted(Result<OpensInfo, Problem>),
    /// What one drain of the ring brought; not sent when empty and nothing was lost.
    Opens(OpenBatch),
    /// Cgroups that were made or renamed. Sent before the first open in one of them.
    Cgroups(CgroupsMade),
    /// The opens probe has detached and drained; nothing follows.
    OpensEnded(OpenCounts),
    /// The owners probe is attached, or why it is not. Sent once, first.
    OwnersStarted(Result<OwnersInfo, Problem>),
    /// Connections that began and ended, or what the living ones carried.
    Owners(OwnersBatch),
    /// The owners probe has read a last time and detached; nothing follows.
    OwnersEnded,
    /// What is watched now, sent at start and whenever it changes. The first one tells how the start
    /// went; after an error, which may come later too, nothing follows.
    Watching(Result<Vec<Watched>, Problem>),
    /// One snapshot for each watched interface and direction, all of one tick.
    Talkers(Vec<TalkersSample>),
    /// The interfaces there are; sent at start, when one changes, and on each tick (counters).
    Links(Vec<Link>),
    /// The talkers probe has sent its last snapshot and detached; nothing follows.
    TalkersEnded,
}

/// What the opens probe sees on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpensInfo {
    /// The calls that are seen.
    pub seen: Vec<Syscall>,
    /// Bytes of ring-buffer memory, all rings together.
    pub ring_bytes: u64,
    /// How many rings there are.
    pub rings: u32,
    /// Features that this kernel refused, a call that is not seen as `opens: NAME`.
    pub missing: Vec<Missing>,
}

/// What the connections probe sees on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersInfo {
    /// How bytes are attributed to processes.
    pub attribution: Attribution,
    /// Features that this kernel refused.
    pub missing: Vec<Missing>,
}

/// How one interface is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The index; 0 while the interface is gone.
    pub ifindex: u32,
    /// The name.
    pub interface: InterfaceName,
    /// What counts arriving packets, or why nothing does.
    pub rx: Result<Hook, Problem>,
    /// What counts leaving packets, or why nothing does.
    pub tx: Result<Hook, Problem>,
    /// The mode that was asked for.
    pub mode: XdpMode,
    /// Why rx cannot be complete (`after foreign XDP`).
    pub partial: Option<String>,
    /// What the hook does to others, in words (`software GRO off`); empty when nothing.
    pub price: String,
    /// Features that this kernel refused.
    pub missing: Vec<Missing>,
    /// The interface was deleted or is down: it is taken up again when it returns.
    pub gone: Option<Problem>,
}

/// What the talkers probe is asked to do while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkersCommand {
    /// Watch this instead; what was counted before is kept and goes on when it is watched again.
    Watch(Choice),
    /// Use this mode from now on.
    Mode(XdpMode),
    /// Tell what this address talks from now on ([`TalkersSample::look`]), or no address.
    Look(Option<LookAt>),
}

/// An address on an interface that somebody looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAt {
    /// The interface's name.
    pub interface: InterfaceName,
    /// The address.
    pub ip: IpAddr,
}

/// Which opens the kernel is to tell of; the others are counted as seen and skipped. Chosen once,
/// before loading: what is not asked for costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// By this process.
    pub tgid: Option<u32>,
    /// By this real user.
    pub uid: Option<u32>,
    /// By threads or processes with this in their name: ASCII, in lower case, whatever the case
    /// there.
    pub name: Option<Comm>,
    /// That failed.
    pub failed: bool,
}

/// How the opens probe is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpensConfig {
    /// Measure each open's latency: a program at entry too.
    pub latency: bool,
    /// The opens that are wanted.
    pub only: Only,
    /// The size of a ring in bytes, a power of two of pages; `None`: from the number of rings.
    pub ring_bytes: Option<u32>,
    /// How many CPUs share a ring, a power of two.
    pub cpus_per_ring: u32,
    /// Nothing more is attached after the start, and the rights for that are given up.
    pub locked: bool,
    /// Count and report nothing before [`opens::OpensProbe::begin`].
    pub waits: bool,
    /// Use nothing that kernel 5.10 lacks, whatever this one has: for benches and tests.
    pub as_on_510: bool,
}

impl Default for OpensConfig {
    fn default() -> Self {
        Self {
            latency: false,
            only: Only::default(),
            ring_bytes: None,
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
    /// What to watch at first.
    pub choice: Choice,
    /// The mode at first.
    pub mode: XdpMode,
    /// Between snapshots.
    pub interval: Duration,
    /// Another network namespace than the caller's: its name, a process in it, or a path.
    pub netns: Option<String>,
    /// Nothing more is attached after the start, and the rights for that are given up.
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
