//! Checks of the kernel's release and settings, and of the container around this process.

use caps::Capability;

use super::Check;
use super::privileges::{Held, how_to_get};
use crate::model::escape::escape;
use crate::probes::preflight;

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

pub(super) fn kernel(release: &str) -> Check {
    let shown = escape(release.as_bytes());
    match version(release) {
        Some(version) if version >= (5, 10) => Check::ok("kernel", shown),
        _ => Check::fix(
            "kernel",
            format!("{shown}; 5.10 or later is needed"),
            "boot kernel 5.10 or later",
        ),
    }
}

pub(super) fn architecture(name: &str) -> Check {
    match name {
        "x86_64" | "aarch64" => Check::ok("architecture", name),
        _ => Check::fix("architecture", name, "use x86_64 or aarch64"),
    }
}

/// Checks for a user namespace, in which capabilities do not apply to the host kernel.
pub(super) fn container() -> Check {
    let name = "user namespace";
    match preflight::setting("/proc/self/uid_map") {
        Some(map) if map.split_whitespace().eq(["0", "0", "4294967295"]) => {
            Check::ok(name, "the machine's own")
        }
        Some(_) => Check::fix(
            name,
            "the capabilities of this container do not apply to the host kernel",
            "run it on the host, or in a container of the host's user namespace (--privileged)",
        ),
        None => Check::without(name, "/proc/self/uid_map cannot be read"),
    }
}

/// Programs number processes as the initial namespace does, whatever namespace this is.
pub(super) fn pid_namespace() -> Check {
    let name = "PID namespace";
    match preflight::in_initial_pid_namespace() {
        Some(true) => Check::ok(name, "the initial one"),
        Some(false) => Check::without(
            name,
            "not the initial one: `pid`, `--pid` and `pid:` are ids of the initial namespace, and \
             process details may be missing",
        ),
        None => Check::without(name, "/proc/self/ns/pid cannot be read"),
    }
}

pub(super) fn settings(held: Held, release: &str) -> Vec<Check> {
    let number = |path| preflight::setting(path).and_then(|text| text.parse::<i32>().ok());
    let mut checks = Vec::new();
    if let Some(n) = number("/proc/sys/kernel/perf_event_paranoid") {
        checks.push(paranoid(n, held));
    }
    if let Some(n) = number("/proc/sys/kernel/unprivileged_bpf_disabled") {
        let name = "unprivileged_bpf_disabled";
        checks.push(match (n, held.may_load()) {
            (0, _) => Check::ok(name, "0"),
            (n, true) => Check::ok(name, format!("{n}; irrelevant with these capabilities")),
            (n, false) => Check::fix(name, format!("{n}: bpf() needs CAP_BPF"), &how_to_get()),
        });
    }
    checks.push(lockdown(preflight::setting("/sys/kernel/security/lockdown").as_deref()));
    checks.push(match number("/proc/sys/net/core/bpf_jit_enable") {
        Some(0) => Check::fix(
            "JIT",
            "off: each program runs several times slower",
            "sysctl net.core.bpf_jit_enable=1",
        ),
        Some(n) => Check::ok("JIT", format!("on ({n})")),
        None => Check::ok("JIT", "always on, or not readable by this user"),
    });
    // 5.11, 97306be45fbe: maps and programs are accounted to the cgroup.
    checks.push(match version(release) {
        Some(version) if version < (5, 11) && !held.has(Capability::CAP_SYS_RESOURCE) => {
            Check::fix(
                "memlock",
                "limits BPF memory below kernel 5.11, and cannot be raised without CAP_SYS_RESOURCE",
                "run it with sudo, or ulimit -l unlimited",
            )
        }
        Some(version) if version < (5, 11) => {
            Check::ok("memlock", "limits BPF memory below kernel 5.11; the program raises it at start")
        }
        _ => Check::ok("memlock", "irrelevant: memory is accounted to the cgroup"),
    });
    checks
}

/// The values 3 and 4 of Debian and Ubuntu restrict perf_event_open to CAP_SYS_ADMIN.
fn paranoid(n: i32, held: Held) -> Check {
    let name = "perf_event_paranoid";
    if held.has(Capability::CAP_SYS_ADMIN) {
        Check::ok(name, format!("{n}; irrelevant with CAP_SYS_ADMIN"))
    } else if n > 2 {
        Check::fix(
            name,
            format!("{n}: perf events need CAP_SYS_ADMIN"),
            "run it with sudo, or sysctl kernel.perf_event_paranoid=2",
        )
    } else if held.has(Capability::CAP_PERFMON) {
        Check::ok(name, format!("{n}; irrelevant with CAP_PERFMON"))
    } else {
        let why = format!("{n}: tracepoints need CAP_PERFMON");
        Check::fix(name, why, &how_to_get())
    }
}

fn lockdown(text: Option<&str>) -> Check {
    let name = "lockdown";
    let Some(text) = text else { return Check::ok(name, "not built in") };
    let mode = text.split(['[', ']']).nth(1).unwrap_or("unknown");
    if mode == "confidentiality" {
        Check::fix(
            name,
            "confidentiality: programs may not read kernel memory",
            "boot with lockdown=integrity, or without secure boot",
        )
    } else {
        Check::ok(name, escape(mode.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::privileges::tests::{ALL, NOTHING};
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, good) in [
            ("6.18.44-fc", true),
            ("5.10.0-30-amd64", true),
            ("5.9.0", false),
            ("4.19", false),
            ("10.0-rc1", true),
            ("", false),
        ] {
            assert_eq!(kernel(release).status == Status::Ok, good, "{release}");
        }
        assert_eq!(architecture("s390x").status, Status::Fix);
    }

    #[test]
    fn settings_are_judged_by_the_capabilities() {
        assert_eq!(paranoid(4, ALL).status, Status::Ok);
        assert_eq!(paranoid(3, Held(1 << 38)).status, Status::Fix);
        assert_eq!(paranoid(2, Held(1 << 38)).status, Status::Ok);
        assert_eq!(paranoid(2, NOTHING).status, Status::Fix);
        assert_eq!(lockdown(None).status, Status::Ok);
        assert_eq!(lockdown(Some("none [integrity] confidentiality")).detail, "integrity");
        assert_eq!(lockdown(Some("none integrity [confidentiality]")).status, Status::Fix);
    }
}
