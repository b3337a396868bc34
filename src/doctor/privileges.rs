//! Checks of the privileges of this process.

use caps::Capability;

use super::Check;
use crate::model::escape::escape;
use crate::privileges::{self, NEEDS, Need};

/// The first advice wherever a privilege is missing.
pub(super) const SUDO: &str = "run it with sudo";

/// Capabilities in force.
#[derive(Clone, Copy)]
pub(super) struct Held(pub(super) u64);

impl Held {
    pub(super) fn has(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON (kernel/bpf/token.c, include/linux/capability.h).
    pub(super) fn may_load(self) -> bool {
        self.has(Capability::CAP_SYS_ADMIN)
            || (self.has(Capability::CAP_BPF) && self.has(Capability::CAP_PERFMON))
    }
}

/// One check for each capability that is ever used.
pub(super) fn capabilities(held: Held) -> Vec<Check> {
    let stands_in = |c| {
        matches!(c, Capability::CAP_BPF | Capability::CAP_PERFMON)
            && held.has(Capability::CAP_SYS_ADMIN)
    };
    let row = |need: &Need| {
        let name = need.capability.to_string();
        // Without these no probe runs at all.
        let is_vital = matches!(
            need.capability,
            Capability::CAP_BPF | Capability::CAP_PERFMON | Capability::CAP_NET_ADMIN
        );
        if held.has(need.capability) {
            Check::ok(&name, format!("held: {}", need.why))
        } else if is_vital && !stands_in(need.capability) {
            Check::fix(&name, format!("missing: {}", need.why), &how_to_get())
        } else {
            Check::without(&name, format!("missing: {}", need.why))
        }
    };
    NEEDS.iter().map(row).collect()
}

/// The commands that give the missing capabilities.
pub(super) fn how_to_get() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "ebpftop".into());
    let program = escape(program.as_os_str().as_encoded_bytes()).into_owned();
    format!("{SUDO}, or sudo setcap {} {program}", privileges::for_setcap())
}

/// The filter that refuses system calls which are not needed.
pub(super) fn seccomp() -> Check {
    if privileges::is_filtered() {
        Check::ok("seccomp", "refuses to start programs, mount, load modules, change ids")
    } else {
        Check::without("seccomp", "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doctor::Status;

    pub(in crate::doctor) const ALL: Held = Held(u64::MAX);
    pub(in crate::doctor) const NOTHING: Held = Held(0);

    #[test]
    fn missing_capabilities_have_a_fix() {
        assert!(capabilities(ALL).iter().all(|c| c.status == Status::Ok));
        let missing = capabilities(NOTHING);
        let vital = |c: &&Check| ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"].contains(&&*c.check);
        for check in &missing {
            let status = if vital(&check) { Status::Fix } else { Status::Without };
            assert_eq!(check.status, status, "{check:?}");
        }
        assert!(missing.iter().any(|c| c.fix.contains("setcap cap_bpf,")));
        // CAP_SYS_ADMIN stands for two of them.
        assert_eq!(
            capabilities(Held(1 << 21)).iter().filter(|c| c.status == Status::Fix).count(),
            1
        );
        assert!(Held(1 << 21).may_load());
        assert!(Held(1 << 38 | 1 << 39).may_load());
        assert!(!Held(1 << 39).may_load());
    }
}
