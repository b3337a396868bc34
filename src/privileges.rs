//! Capabilities of each thread after its start, and the seccomp filter of the process.
//!
//! Capabilities belong to threads: each drops those that it no longer needs. Dropped capabilities
//! cannot be regained: seccomp forbids `execve`, see [`fn@seccomp`].

mod invoker;
mod seccomp;

use caps::{CapSet, Capability, CapsHashSet};

pub use invoker::{Invoker, as_invoker, become_invoker, invoker};
pub use seccomp::{is_filtered, seccomp};

/// A task of a thread after the start that needs capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadRole {
    /// Drains the opens, and follows 32-bit tasks.
    Opens,
    /// Counts frames, on another interface or in another mode as well.
    Talkers,
    /// Tracks connections.
    Connections,
    /// Looks for names that processes ask for, when that is switched on later.
    Hostnames,
    /// Counts bytes of files.
    Io,
    /// Polls connections, where the kernel refuses the programs for them.
    Polling,
    /// Checks the process that names a network namespace.
    Namespace,
    /// Restores features of devices that attaching changed.
    Features,
    /// Reads the details of processes.
    ProcessInfo,
    /// Reads listeners, with who has their sockets open; loads the program for that when they are first shown.
    Listeners,
}

/// A capability, the tasks that keep it after the start, and the reason.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    pub capability: Capability,
    /// Empty: needed at the start alone.
    pub kept_by: &'static [ThreadRole],
    /// Whether `setcap` gives it, to run without sudo.
    pub in_setcap: bool,
    pub why: &'static str,
}

const fn need(
    capability: Capability,
    kept_by: &'static [ThreadRole],
    in_setcap: bool,
    why: &'static str,
) -> Need {
    Need { capability, kept_by, in_setcap, why }
}

/// Every capability that is ever used.
pub const NEEDS: [Need; 8] = [
    need(
        Capability::CAP_BPF,
        &[
            ThreadRole::Opens,
            ThreadRole::Io,
            ThreadRole::Talkers,
            ThreadRole::Connections,
            ThreadRole::Listeners,
        ],
        true,
        "loads programs and maps",
    ),
    need(
        Capability::CAP_PERFMON,
        &[
            ThreadRole::Opens,
            ThreadRole::Io,
            ThreadRole::Talkers,
            ThreadRole::Connections,
            ThreadRole::Listeners,
        ],
        true,
        "attaches to tracepoints, reads kernel memory",
    ),
    need(
        Capability::CAP_NET_ADMIN,
        &[ThreadRole::Talkers, ThreadRole::Features, ThreadRole::Hostnames],
        true,
        "attaches to interfaces and to cgroups, puts features of interfaces back",
    ),
    need(
        Capability::CAP_NET_RAW,
        &[ThreadRole::Talkers],
        true,
        "counts on a packet socket where there is no other hook",
    ),
    need(
        Capability::CAP_SYS_PTRACE,
        &[
            ThreadRole::ProcessInfo,
            ThreadRole::Namespace,
            ThreadRole::Polling,
            ThreadRole::Listeners,
        ],
        true,
        "reads which program another user's process runs, and /proc behind hidepid",
    ),
    need(
        Capability::CAP_DAC_READ_SEARCH,
        &[ThreadRole::Polling, ThreadRole::Listeners],
        true,
        "at start: tracefs, which is root's alone; for listeners, and where connections are polled, descriptors of others",
    ),
    need(
        Capability::CAP_SYS_ADMIN,
        &[ThreadRole::Polling],
        false,
        "at start: mounts tracefs, sysfs and cgroups where they are not, enters `--netns` and the cgroup namespace of process 1, names the XDP and TC programs of others; \
         where connections are polled, enters their network namespaces",
    ),
    need(
        Capability::CAP_SYS_RESOURCE,
        &[],
        false,
        "at start, below kernel 5.11: raises the memlock limit",
    ),
];

/// The argument of `setcap` to run without sudo; `Makefile` has it too.
pub fn for_setcap() -> String {
    let names: Vec<String> = NEEDS
        .iter()
        .filter(|need| need.in_setcap)
        .map(|need| need.capability.to_string().to_lowercase())
        .collect();
    format!("{}=ep", names.join(","))
}

/// The capabilities that this thread lacks and without which no probe starts. CAP_SYS_ADMIN stands
/// for CAP_BPF and CAP_PERFMON (include/linux/capability.h). Empty where /proc does not say.
pub fn missing() -> Vec<&'static Need> {
    let Ok(held) = caps::read(None, CapSet::Effective) else { return Vec::new() };
    let has = |capability| held.contains(&capability);
    let lacks = |need: &&Need| match need.capability {
        c @ (Capability::CAP_BPF | Capability::CAP_PERFMON) => {
            !has(c) && !has(Capability::CAP_SYS_ADMIN)
        }
        c @ Capability::CAP_NET_ADMIN => !has(c),
        _ => false,
    };
    NEEDS.iter().filter(lacks).collect()
}

/// Drops all capabilities of this thread but those that `parts` need, irrevocably; threads that it starts
/// later have no more. With `locked` nothing is attached any more: then only reading maps, which needs
/// CAP_BPF below kernel 5.19, and restoring features of devices remain.
pub fn keep(parts: &[ThreadRole], locked: bool) {
    let Ok(held) = caps::read(None, CapSet::Permitted) else { return };
    let is_needed = |need: &Need| need.kept_by.iter().any(|part| parts.contains(part));
    let mut kept: CapsHashSet =
        NEEDS.iter().filter(|n| is_needed(n)).map(|n| n.capability).collect();
    kept.retain(|c| held.contains(c));
    if locked {
        let puts_back = parts.contains(&ThreadRole::Features);
        // Drop it for a moment, to see whether the kernel requires it.
        let tried = caps::clear(None, CapSet::Effective).is_ok();
        let asks = tried && reading_needs_bpf(parts);
        kept.retain(|c| match c {
            Capability::CAP_BPF => asks,
            Capability::CAP_NET_ADMIN => puts_back,
            _ => false,
        });
    }
    // Reducing is always allowed; effective before permitted, which bounds it.
    let none = CapsHashSet::new();
    for (set, which) in
        [(&kept, CapSet::Effective), (&kept, CapSet::Permitted), (&none, CapSet::Inheritable)]
    {
        if let Err(e) = caps::set(None, which, set) {
            tracing::warn!("cannot drop capabilities: {e}");
        }
    }
}

/// Whether the kernel asks for CAP_BPF, which is not in force now, where these threads read counts.
#[cfg(feature = "bpf")]
fn reading_needs_bpf(parts: &[ThreadRole]) -> bool {
    use ThreadRole::{Connections, Io, Listeners, Opens, Talkers};
    let reads_maps = parts.iter().any(|part| matches!(part, Opens | Io | Talkers | Connections));
    let iterates = parts.iter().any(|part| matches!(part, Connections | Listeners));
    (reads_maps && !crate::sys::may_read_maps()) || (iterates && !crate::sys::may_iterate())
}

#[cfg(not(feature = "bpf"))]
fn reading_needs_bpf(_: &[ThreadRole]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makefile_gives_the_same() {
        let makefile = include_str!("../Makefile");
        assert!(makefile.contains(&format!("'{}'", for_setcap())), "{}", for_setcap());
    }

    #[test]
    fn the_unit_and_the_daemon_set_give_the_same() {
        let unit = include_str!("../packaging/systemd/ebpftop-export.service");
        let names =
            NEEDS.iter().filter(|need| need.in_setcap).map(|need| need.capability.to_string());
        let all = names.collect::<Vec<_>>().join(" ");
        let manifest = include_str!("../packaging/kubernetes/daemonset.yaml");
        let listed = all.replace("CAP_", "").replace(' ', ", ");
        assert!(manifest.contains(&format!("\n              add: [{listed}]\n")), "{listed}");
        for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
            assert!(unit.contains(&format!("\n{key}={all}\n")), "{key}={all}");
        }
    }
}
