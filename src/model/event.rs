//! Messages between the probes and the rest of the program: events from them, commands to them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::conn::ConnectionsBatch;
use super::coverage::{Attribution, Missing, POLLED};
use super::file_change::FileChanges;
use super::file_io::IoSample;
use super::hostnames::HostnamesBatch;
use super::interface_name::InterfaceName;
use super::link::{Choice, Hook, Link, XdpMode};
use super::listener::Listeners;
use super::open::{Comm, OpenBatch, OpenCounts, Syscall};
use super::problem::Problem;
use super::process_event::ProcessEvents;
use super::slow_call::SlowCalls;
use super::talkers::TalkersSample;
use super::under_way::{FileCallsUnderWay, OpensUnderWay};

/// An event of a probe.
#[derive(Clone, Debug)]
pub enum ProbeEvent {
    /// A probe is attached. Its first event, sent once.
    Started(ProbeInfo),
    /// A probe could not start, or failed later. Its last event.
    Failed(ProbeId, Problem),
    /// A probe has detached and sent the rest. Its last event.
    Ended(ProbeEnd),
    /// Records of one drain of the rings; not sent when empty and nothing was lost.
    Opens(OpenBatch),
    /// Starts of programs and ends of processes, where these are reported.
    Processes(ProcessEvents),
    /// The opens that have not returned, with `--latency` or `--slow`: each second while there are any, and once after that.
    OpensUnderWay(OpensUnderWay),
    /// The reads and writes that have not returned, with `--slow`: each second while there are any, and once
    /// after that.
    FileCallsUnderWay(FileCallsUnderWay),
    /// Changes of files and directories, where these are reported.
    Files(FileChanges),
    /// Bytes read and written in an interval, or a part of them.
    Io(IoSample),
    /// Calls that read or wrote and took long, with `--slow`.
    SlowCalls(SlowCalls),
    /// The listeners of the machine at a moment.
    Listeners(Box<Listeners>),
    /// Cgroups that were made or renamed. Sent before the first open in one of them.
    Cgroups(CgroupsMade),
    /// Connections that began and ended, or the counts of the living ones.
    Connections(ConnectionsBatch),
    /// Names that processes asked for: sent before a connection that began after them. Also when the search
    /// for them begins or ends.
    Hostnames(HostnamesBatch),
    /// The interfaces that are counted from now on: the choice, a hook or a state changed.
    Watching(Vec<Watched>),
    /// One snapshot for each counted interface and direction, all of one tick.
    Talkers(Vec<TalkersSample>),
    /// All interfaces of the machine; sent at start, when one changes, and on each tick (counters).
    Links(Vec<Link>),
}

/// A probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeId {
    Opens,
    Talkers,
    Connections,
    Io,
    Listeners,
}

impl ProbeId {
    /// The probe's name, and that of its thread.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opens => "opens",
            Self::Talkers => "talkers",
            Self::Connections => "connections",
            Self::Io => "io",
            Self::Listeners => "listeners",
        }
    }
}

/// A probe's report on itself when it is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeInfo {
    Opens(OpensInfo),
    /// The interfaces that are counted.
    Talkers(Vec<Watched>),
    Connections(ConnectionsInfo),
    Io(IoInfo),
    Listeners(ListenersInfo),
}

impl ProbeInfo {
    pub const fn id(&self) -> ProbeId {
        match self {
            Self::Opens(_) => ProbeId::Opens,
            Self::Talkers(_) => ProbeId::Talkers,
            Self::Connections(_) => ProbeId::Connections,
            Self::Io(_) => ProbeId::Io,
            Self::Listeners(_) => ProbeId::Listeners,
        }
    }
}

/// A probe's report when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeEnd {
    /// The final counts.
    Opens(OpenCounts),
    Talkers,
    Connections,
    Io,
    Listeners,
}

impl ProbeEnd {
    pub const fn id(&self) -> ProbeId {
        match self {
            Self::Opens(_) => ProbeId::Opens,
            Self::Talkers => ProbeId::Talkers,
            Self::Connections => ProbeId::Connections,
            Self::Io => ProbeId::Io,
            Self::Listeners => ProbeId::Listeners,
        }
    }
}

/// Coverage of the listeners probe on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenersInfo {
    /// Features that the kernel refused.
    pub missing: Vec<Missing>,
}

/// Coverage of the opens probe on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpensInfo {
    /// The calls that are seen.
    pub seen: Vec<Syscall>,
    /// Bytes of ring-buffer memory, all rings together.
    pub ring_bytes: u64,
    /// Number of rings.
    pub rings: u32,
    /// Starts of programs, or ends of processes at least, are reported. Not in recordings.
    #[serde(skip)]
    pub processes: bool,
    /// Changes of files are reported. Not in recordings.
    #[serde(skip)]
    pub files: bool,
    /// Features that this kernel refused, a call that is not seen as `opens: NAME`.
    pub missing: Vec<Missing>,
}

/// Coverage of the connections probe on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsInfo {
    /// How bytes are attributed to processes.
    pub attribution: Attribution,
    /// Features that this kernel refused.
    pub missing: Vec<Missing>,
}

impl ConnectionsInfo {
    /// The limits of the numbers where sockets are polled.
    pub fn limits(&self) -> Option<&'static str> {
        (self.attribution == Attribution::Procfs).then_some(POLLED)
    }
}

/// Coverage of the probe of bytes read and written on this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoInfo {
    /// Pipes, sockets, terminals and devices are counted too.
    pub every_type: bool,
    /// Calls are timed, and those of this duration or longer reported, ns. Not in recordings.
    #[serde(skip)]
    pub slow_ns: Option<u64>,
    /// Features that this kernel refused.
    pub missing: Vec<Missing>,
}

/// How one interface is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The index; 0 while the interface is gone.
    pub ifindex: u32,
    /// The name.
    pub interface: InterfaceName,
    /// The inode number of its network namespace; 0: unknown.
    pub netns: u32,
    /// The hook that counts arriving packets, or why none does.
    pub rx: Result<Hook, Problem>,
    /// The hook that counts leaving packets, or why none does.
    pub tx: Result<Hook, Problem>,
    /// The mode that was asked for.
    pub mode: XdpMode,
    /// Why rx cannot be complete (`after foreign XDP`).
    pub partial: Option<String>,
    /// The hook's effect on other traffic, in words (`software GRO off`); empty when there is none.
    pub price: String,
    /// Features that this kernel refused.
    pub missing: Vec<Missing>,
    /// The interface was deleted or is down: counting resumes when it returns.
    pub gone: Option<Problem>,
}

/// Cgroups that were made or renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupsMade {
    /// Ids and paths, in the order of time.
    pub paths: Vec<(u64, Vec<u8>)>,
    /// Cgroups whose record found no room in the ring, since the start: one that ends before it is
    /// looked up has no name.
    pub lost: u64,
}

impl CgroupsMade {
    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        self.paths.iter().map(|(_, path)| size_of::<(u64, Vec<u8>)>() + path.len()).sum()
    }
}

/// A command to the talkers probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkersCommand {
    /// Count these interfaces instead. Counts of the others are kept, and go on when they are chosen
    /// again.
    Watch(Choice),
    /// Use this mode from now on.
    Mode(XdpMode),
    /// Report the traffic of this address in detail from now on ([`TalkersSample::detail`]), or of none.
    Detail(Option<DetailOf>),
}

/// An address on an interface whose traffic is reported in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetailOf {
    /// The interface's name.
    pub interface: InterfaceName,
    /// The address.
    pub ip: IpAddr,
}

/// The opens that the kernel side sends; it counts the others as seen and skipped. Chosen before
/// loading: a choice that was not made costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Opens by this process.
    pub tgid: Option<u32>,
    /// Opens by this real user.
    pub uid: Option<u32>,
    /// Opens by threads or processes whose name contains this, in ASCII without regard to case; it is in
    /// lower case here.
    pub name: Option<Comm>,
    /// Failed opens alone.
    pub failed: bool,
    /// Opens by other processes than this one; those of this one are counted apart.
    pub without_own: bool,
}
