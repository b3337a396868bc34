//! Abilities of this kernel and this user, found by trying where that is possible.
//!
//! Facts only; `doctor` explains them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use libbpf_rs::{MapType, ProgramType};
use tokio::sync::mpsc::channel;

use super::connections::{self, ConnectionsConfig, HostnamesConfig};
use super::kernel::Kernel;
use super::programs::CHANGE_COMPAT;
use super::{
    CHANNEL_DEPTH, OpensConfig, ProbeThread, Sink, TalkersConfig, opens, quiet_libbpf, talkers,
};
use crate::model::coverage::Missing;
use crate::model::event::{ConnectionsInfo, OpensInfo, ProbeEvent, ProbeInfo, Watched};
use crate::model::interface_name::InterfaceName;
use crate::model::link::{Choice, XdpMode};
use crate::model::problem::Problem;
use crate::sys::tracepoint::TraceFs;

/// The capabilities in force, as bits; 0 where /proc does not show them.
pub fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// The kernel's release, `6.18.44-cloud-amd64`.
pub fn release() -> Option<String> {
    setting("/proc/sys/kernel/osrelease")
}

/// The text of a file of one line under /proc or /sys.
pub fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The initial PID namespace's inode (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Whether this process is in the initial PID namespace, whose ids the programs report; `None` if
/// /proc does not show it.
pub fn in_initial_pid_namespace() -> Option<bool> {
    let namespace = fs::metadata("/proc/self/ns/pid").ok()?;
    Some(namespace.ino() == INITIAL_PID_NAMESPACE)
}

/// How tracefs can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceFsFound {
    /// It is mounted.
    Mounted,
    /// It is not, but a mount of our own can be made.
    Private,
}

/// This process's id as the kernel's programs see it; 0 in another PID namespace than the initial one, where it
/// is unknown.
pub(super) fn own_tgid() -> u32 {
    match in_initial_pid_namespace() {
        Some(true) => std::process::id(),
        _ => 0,
    }
}

/// Tries to open tracefs.
pub fn tracefs() -> std::io::Result<TraceFsFound> {
    TraceFs::open()?;
    let mounted = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"]
        .into_iter()
        .any(|p| fs::metadata(p).is_ok());
    Ok(if mounted { TraceFsFound::Mounted } else { TraceFsFound::Private })
}

/// Tries to make a ring buffer.
pub fn has_ring_buffer() -> bool {
    quiet_libbpf();
    MapType::RingBuf.is_supported().unwrap_or(false)
}

/// Tries to load an XDP program.
pub fn has_xdp() -> bool {
    quiet_libbpf();
    ProgramType::Xdp.is_supported().unwrap_or(false)
}

/// Tries to load a program that reads the task's saved registers (kernel 5.15).
pub fn has_task_pt_regs() -> bool {
    quiet_libbpf();
    let helper = libbpf_sys::BPF_FUNC_task_pt_regs;
    ProgramType::Tracepoint.is_helper_supported(helper).unwrap_or(false)
}

/// The names of interfaces, and whether each is up.
pub fn interfaces() -> Vec<(InterfaceName, bool)> {
    super::talkers::interfaces().unwrap_or_default()
}

/// Starts the opens probe and stops it again.
pub fn try_opens() -> Result<OpensInfo, Problem> {
    first_answer(
        |sink| opens::start(OpensConfig::default(), sink),
        |info| match info {
            ProbeInfo::Opens(info) => Some(info),
            _ => None,
        },
    )
}

/// Changes of files that no program sees. The programs that see others are not tried: detaching them takes seconds.
pub fn unseen_changes() -> Option<Missing> {
    Kernel::known(false).ok()?.lacks_compat(CHANGE_COMPAT, "change_exit")
}

/// Starts the connections probe and stops it again.
pub fn try_connections() -> Result<ConnectionsInfo, Problem> {
    let config = ConnectionsConfig {
        interval: Duration::from_secs(60),
        locked: false,
        hostnames: HostnamesConfig::default(),
        may_poll: true,
    };
    first_answer(
        |sink| connections::start(config, sink),
        |info| match info {
            ProbeInfo::Connections(info) => Some(info),
            _ => None,
        },
    )
}

/// Starts the talkers probe in its gentlest mode on `lo` and stops it again.
pub fn try_talkers() -> Result<Vec<Watched>, Problem> {
    let config = TalkersConfig {
        choice: Choice::Named("lo".into()),
        mode: XdpMode::Off,
        ..TalkersConfig::default()
    };
    first_answer(
        |sink| talkers::start(config, sink),
        |info| match info {
            ProbeInfo::Talkers(watched) => Some(watched),
            _ => None,
        },
    )
}

/// Starts a probe, waits for its first event, and stops it.
fn first_answer<C: Send + 'static, T>(
    start: impl FnOnce(Sink) -> ProbeThread<C>,
    info: impl FnOnce(ProbeInfo) -> Option<T>,
) -> Result<T, Problem> {
    let (sink, mut events) = channel(CHANNEL_DEPTH);
    let probe = start(sink);
    let answer = loop {
        match events.blocking_recv() {
            Some(ProbeEvent::Started(started)) => break Ok(info(started)),
            Some(ProbeEvent::Failed(_, problem)) => break Err(problem),
            Some(_) => {}
            None => break Ok(None),
        }
    };
    drop(events);
    probe.join();
    let silent = || Problem::new("try a probe", "it ended without an answer", "");
    answer?.ok_or_else(silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_there() {
        assert!(release().is_some_and(|r| r.contains('.')));
        assert!(interfaces().iter().any(|(name, _)| name == "lo"));
        assert_eq!(setting("/proc/no such file"), None);
    }
}
