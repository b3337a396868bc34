//! What is looked at, and what each finding means.

use caps::Capability;

use super::{Check, Report};
use crate::bpf::btf;
use crate::model::coverage::{Attribution, Missing, POLLED, add_missing};
use crate::model::escape::escape;
use crate::model::link::Hook;
use crate::model::open::Syscall;
use crate::model::problem::Problem;
use crate::privileges::{self, NEEDS, Need};
use crate::probes::cgroups::{self, Reached};
use crate::probes::preflight::{self, TraceFsFound};
use crate::probes::programs;
use crate::probes::{OpensInfo, OwnersInfo, Watched};

const SUDO: &str = "run it with sudo";

pub(super) fn examine() -> Report {
    let held = Held(preflight::capabilities());
    let release = preflight::release().unwrap_or_default();
    let mut checks = vec![kernel(&release), architecture(std::env::consts::ARCH)];
    checks.extend(rights(held));
    checks.extend([seccomp(), container()]);
    checks.extend([btf(), tracefs(), ring_buffer(held), registers(held)]);
    checks.extend(settings(held, &release));
    checks.extend(cgroups());

    let opens = preflight::try_opens();
    checks.extend(calls(opens.as_ref().ok()));
    checks.push(opens_probe(opens.as_ref()));
    checks.extend([interfaces(), xdp(held)]);
    let talkers = preflight::try_talkers();
    checks.push(talkers_probe(&talkers));
    let owners = preflight::try_owners();
    checks.push(owners_probe(&owners));
    let mut missing = Vec::new();
    add_missing(&mut missing, talkers.iter().flatten().flat_map(|watched| &watched.missing));
    add_missing(&mut missing, owners.iter().flat_map(|info| &info.missing));
    checks.extend(missing.iter().map(refused));
    Report { checks, can_run: opens.is_ok() || talkers.is_ok() }
}

/// Capabilities in force.
#[derive(Clone, Copy)]
struct Held(u64);

impl Held {
    fn has(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON (kernel/bpf/token.c, include/linux/capability.h).
    fn may_load(self) -> bool {
        self.has(Capability::CAP_SYS_ADMIN)
            || (self.has(Capability::CAP_BPF) && self.has(Capability::CAP_PERFMON))
    }
}

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel(release: &str) -> Check {
    let shown = escape(release.as_bytes());
    match version(release) {
        Some(version) if version >= (5, 10) => Check::ok("kernel", shown),
        _ => {
            Check::fix("kernel", format!("{shown}, made for 5.10 and later"), "use a later kernel")
        }
    }
}

fn architecture(name: &str) -> Check {
    match name {
        "x86_64" | "aarch64" => Check::ok("architecture", name),
        _ => Check::fix("architecture", name, "use x86_64 or aarch64"),
    }
}

/// A row for each right that is ever used, and how all that are missing can be had.
fn rights(held: Held) -> Vec<Check> {
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
            Check::fix(&name, format!("missing: {}", need.why), &with_rights())
        } else {
            Check::without(&name, format!("missing: {}", need.why))
        }
    };
    NEEDS.iter().map(row).collect()
}

/// How rights are given.
fn with_rights() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "ebpftop".into());
    let program = escape(program.as_os_str().as_encoded_bytes()).into_owned();
    format!("{SUDO}, or sudo setcap {} {program}", privileges::for_setcap())
}

/// No system call but those that are needed.
fn seccomp() -> Check {
    if privileges::fenced() {
        Check::ok("fence", "seccomp refuses to start programs, mount, load modules, change ids")
    } else {
        Check::without("fence", "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)")
    }
}

/// A container may hold every right and still be refused what the host keeps to itself.
fn container() -> Check {
    let name = "user namespace";
    match preflight::setting("/proc/self/uid_map") {
        Some(map) if map.split_whitespace().eq(["0", "0", "4294967295"]) => {
            Check::ok(name, "the machine's own")
        }
        Some(_) => Check::fix(
            name,
            "rights of this container are none over the kernel",
            "run it on the host, or in a container of the host's user namespace (--privileged)",
        ),
        None => Check::without(name, "/proc does not tell"),
    }
}

fn btf() -> Check {
    if btf::known() {
        return Check::ok("BTF", btf::place());
    }
    let (why, fix) = btf::unknown();
    Check::fix("BTF", why, fix)
}

fn tracefs() -> Check {
    match preflight::tracefs() {
        Ok(TraceFsFound::Mounted) => Check::ok("tracefs", "mounted"),
        Ok(TraceFsFound::Private) => Check::ok("tracefs", "not mounted; a private mount works"),
        Err(e) => Check::fix(
            "tracefs",
            format!("cannot be opened or mounted: {e}"),
            "run it with sudo, or mount -t tracefs tracefs /sys/kernel/tracing",
        ),
    }
}

/// Something that only somebody with rights can try.
fn tried(name: &str, held: Held, works: bool, good: &str, bad: Check) -> Check {
    match (held.may_load(), works) {
        (true, true) => Check::ok(name, good),
        (true, false) => bad,
        // Neither answer can be told from "not permitted" then.
        (false, _) => Check::fix(name, "cannot be tried without rights", SUDO),
    }
}

fn ring_buffer(held: Held) -> Check {
    let bad = Check::fix("ring buffer", "the kernel refuses it", "use kernel 5.8 or later");
    tried("ring buffer", held, preflight::has_ring_buffer(), "can be made", bad)
}

fn registers(held: Held) -> Check {
    let bad = Check::without(
        "saved registers",
        "no bpf_task_pt_regs (kernel 5.15): opens need a program at entry too",
    );
    let works = preflight::has_task_pt_regs();
    tried(
        "saved registers",
        held,
        works,
        "bpf_task_pt_regs works: opens are read at exit alone",
        bad,
    )
}

fn settings(held: Held, release: &str) -> Vec<Check> {
    let number = |path| preflight::setting(path).and_then(|text| text.parse::<i32>().ok());
    let mut checks = Vec::new();
    if let Some(n) = number("/proc/sys/kernel/perf_event_paranoid") {
        checks.push(paranoid(n, held));
    }
    if let Some(n) = number("/proc/sys/kernel/unprivileged_bpf_disabled") {
        let name = "unprivileged_bpf_disabled";
        checks.push(match (n, held.may_load()) {
            (0, _) => Check::ok(name, "0"),
            (n, true) => Check::ok(name, format!("{n}; no matter with these rights")),
            (n, false) => {
                Check::fix(name, format!("{n}: bpf() is for those with CAP_BPF"), &with_rights())
            }
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
        None => Check::ok("JIT", "always on, or not told to this user"),
    });
    // 5.11, 97306be45fbe: maps and programs are accounted to the cgroup.
    checks.push(match version(release) {
        Some(version) if version < (5, 11) && !held.has(Capability::CAP_SYS_RESOURCE) => {
            Check::fix(
                "memlock",
                "counts below kernel 5.11, and may not be raised without CAP_SYS_RESOURCE",
                "run it with sudo, or ulimit -l unlimited",
            )
        }
        Some(version) if version < (5, 11) => {
            Check::ok("memlock", "counts below kernel 5.11: the limit is raised at start")
        }
        _ => Check::ok("memlock", "no matter: memory is accounted to the cgroup"),
    });
    checks
}

/// Debian's and Ubuntu's 3 and 4 shut perf_event_open to all but CAP_SYS_ADMIN.
fn paranoid(n: i32, held: Held) -> Check {
    let name = "perf_event_paranoid";
    if held.has(Capability::CAP_SYS_ADMIN) {
        Check::ok(name, format!("{n}; no matter with CAP_SYS_ADMIN"))
    } else if n > 2 {
        Check::fix(
            name,
            format!("{n}: perf events are for those with CAP_SYS_ADMIN"),
            "run it with sudo, or sysctl kernel.perf_event_paranoid=2",
        )
    } else if held.has(Capability::CAP_PERFMON) {
        Check::ok(name, format!("{n}; no matter with CAP_PERFMON"))
    } else {
        let why = format!("{n}: tracepoints are for those with CAP_PERFMON");
        Check::fix(name, why, &with_rights())
    }
}

fn lockdown(text: Option<&str>) -> Check {
    let name = "lockdown";
    let Some(text) = text else { return Check::ok(name, "not there") };
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

/// A row for v2, and one for the hierarchies of v1 where there are any.
fn cgroups() -> Vec<Check> {
    let name = "cgroup v2";
    let v2 = match cgroups::hierarchy_root() {
        None => Check::without(name, "not mounted, and cannot be: connections are not attributed"),
        Some(root) => match (&root.partial, &root.reached) {
            (Some(why), _) => Check::fix(
                name,
                format!(
                    "only a subtree is seen: {why}; cgroups outside have no name, and connections of their processes may have no process"
                ),
                "run it on the host, or in the host's cgroup and PID namespaces (docker run --cgroupns host --pid host)",
            ),
            (None, Reached::At(point)) => {
                Check::ok(name, escape(point.as_os_str().as_encoded_bytes()))
            }
            (None, Reached::PrivateMount) => Check::ok(name, "not mounted; a private mount works"),
            (None, Reached::NamespaceOfInit) => Check::ok(
                name,
                "mounted in part; a private mount in the namespace of process 1 works",
            ),
            (None, Reached::FilesOfInit) => {
                Check::ok(name, "mounted in part; it is reached through /proc/1/root")
            }
        },
    };
    let (mut seen, mut unseen) = (Vec::new(), Vec::new());
    for hierarchy in cgroups::hierarchies().iter().filter(|h| h.number > 0) {
        let whole = hierarchy.root.as_ref().is_some_and(|root| root.partial.is_none());
        let controllers = escape(&hierarchy.controllers).into_owned();
        if whole {
            seen.push(controllers)
        } else {
            unseen.push(controllers)
        };
    }
    let name = "cgroup v1";
    let v1 = match (seen.is_empty(), unseen.is_empty()) {
        (true, true) => None,
        (_, true) => Some(Check::ok(name, seen.join(", "))),
        (_, false) => {
            let text = format!("not mounted, or in part: {}", unseen.join(", "));
            Some(Check::without(name, format!("{text}; cgroups there have no name")))
        }
    };
    [Some(v2), v1].into_iter().flatten().collect()
}

/// A row for each way to open.
fn calls(info: Option<&OpensInfo>) -> Vec<Check> {
    let Some(info) = info else { return Vec::new() };
    let mut checks: Vec<Check> = Syscall::ALL
        .into_iter()
        .filter_map(|call| {
            let name = programs::of_call(call);
            if info.seen.contains(&call) {
                return Some(Check::ok(&name, "seen"));
            }
            // Neither seen nor missing: not a call of this architecture.
            let missing = info.missing.iter().find(|missing| missing.feature == name)?;
            Some(refused(missing))
        })
        .collect();
    let is_call = |missing: &Missing| {
        Syscall::ALL.iter().any(|call| missing.feature == programs::of_call(*call))
    };
    checks.extend(info.missing.iter().filter(|missing| !is_call(missing)).map(refused));
    if !info.missing.iter().any(|missing| missing.feature == programs::COMPAT) {
        checks.push(Check::ok(programs::COMPAT, "seen while there are any"));
    }
    checks
}

/// A feature that the kernel refused.
fn refused(missing: &Missing) -> Check {
    Check::without(&missing.feature, format!("missing: {}", missing.error))
}

fn opens_probe(started: Result<&OpensInfo, &Problem>) -> Check {
    match started {
        Ok(info) => {
            Check::ok("opens", format!("the probe runs; {} MiB of ring", info.ring_bytes >> 20))
        }
        Err(problem) => Check::fix("opens", problem.why.clone(), &problem.fix),
    }
}

fn interfaces() -> Check {
    let up: Vec<String> = preflight::interfaces()
        .into_iter()
        .filter(|(_, up)| *up)
        .map(|(name, _)| name.to_string())
        .collect();
    if up.is_empty() {
        Check::fix("interfaces", "none is up", "ip link set lo up")
    } else {
        Check::ok("interfaces", format!("up: {}", up.join(", ")))
    }
}

fn xdp(held: Held) -> Check {
    let bad = Check::without("XDP", "the kernel refuses it: TCX or a packet socket counts instead");
    tried("XDP", held, preflight::has_xdp(), "a program loads", bad)
}

fn talkers_probe(started: &Result<Vec<Watched>, Problem>) -> Check {
    match started {
        Ok(watched) => {
            let hook = |hook: &Result<Hook, Problem>| hook.as_ref().map_or("nothing", |h| h.name());
            let (rx, tx) =
                watched.first().map_or(("nothing", "nothing"), |w| (hook(&w.rx), hook(&w.tx)));
            Check::ok("talkers", format!("the probe runs; without XDP on lo: rx {rx}, tx {tx}"))
        }
        Err(problem) => Check::fix("talkers", problem.why.clone(), &problem.fix),
    }
}

/// The others run without it, so that it decides nothing.
fn owners_probe(started: &Result<OwnersInfo, Problem>) -> Check {
    match started {
        Ok(OwnersInfo { attribution: Attribution::Connection, .. }) => {
            Check::ok("owners", "the probe runs: connections and their bytes have their process")
        }
        Ok(OwnersInfo { attribution: Attribution::Procfs, .. }) => {
            Check::without("owners", format!("connections are {POLLED}"))
        }
        Err(problem) => Check::fix("owners", problem.why.clone(), &problem.fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    const ALL: Held = Held(u64::MAX);
    const NOTHING: Held = Held(0);

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
    fn rights_that_are_missing_have_a_fix() {
        assert!(rights(ALL).iter().all(|c| c.status == Status::Ok));
        let missing = rights(NOTHING);
        let vital = |c: &&Check| ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"].contains(&&*c.check);
        for check in &missing {
            let status = if vital(&check) { Status::Fix } else { Status::Without };
            assert_eq!(check.status, status, "{check:?}");
        }
        assert!(missing.iter().any(|c| c.fix.contains("setcap cap_bpf,")));
        // CAP_SYS_ADMIN stands for two of them.
        assert_eq!(rights(Held(1 << 21)).iter().filter(|c| c.status == Status::Fix).count(), 1);
        assert!(Held(1 << 21).may_load());
        assert!(Held(1 << 38 | 1 << 39).may_load());
        assert!(!Held(1 << 39).may_load());
    }

    #[test]
    fn settings_are_judged_with_the_rights() {
        assert_eq!(paranoid(4, ALL).status, Status::Ok);
        assert_eq!(paranoid(3, Held(1 << 38)).status, Status::Fix);
        assert_eq!(paranoid(2, Held(1 << 38)).status, Status::Ok);
        assert_eq!(paranoid(2, NOTHING).status, Status::Fix);
        assert_eq!(lockdown(None).status, Status::Ok);
        assert_eq!(lockdown(Some("none [integrity] confidentiality")).detail, "integrity");
        assert_eq!(lockdown(Some("none integrity [confidentiality]")).status, Status::Fix);
    }

    #[test]
    fn connections_without_owners_have_a_fix_and_a_reason() {
        let refused = Problem::new("watch", "cgroup v2 is not mounted", "mount it");
        let check = owners_probe(&Err(refused));
        assert_eq!((check.status, &*check.fix), (Status::Fix, "mount it"));
        assert_eq!(owners_probe(&Ok(OwnersInfo::default())).status, Status::Ok);
        let polled = OwnersInfo { attribution: Attribution::Procfs, missing: Vec::new() };
        let check = owners_probe(&Ok(polled));
        assert_eq!(check.status, Status::Without);
        assert!(check.detail.contains("procfs"), "{}", check.detail);
        let check = super::refused(&Missing {
            feature: "processes of older connections".into(),
            program: "holders".into(),
            error: "EPERM".into(),
        });
        assert_eq!(
            (&*check.check, &*check.detail),
            ("processes of older connections", "missing: EPERM")
        );
    }

    #[test]
    fn each_call_has_a_row() {
        let info = OpensInfo {
            seen: vec![Syscall::Openat],
            missing: [("opens: creat", "no tracepoint"), (programs::COMPAT, "why")]
                .map(|(feature, error)| Missing {
                    feature: feature.into(),
                    program: "open_exit".into(),
                    error: error.into(),
                })
                .to_vec(),
            ..OpensInfo::default()
        };
        let rows = calls(Some(&info));
        assert_eq!(rows.len(), 3, "those that the probe knows of here");
        assert!(
            rows.iter().any(|c| c.check == "opens: 32-bit tasks" && c.status == Status::Without)
        );
        assert!(rows.iter().any(|c| c.check == "opens: openat" && c.status == Status::Ok));
        assert!(rows.iter().any(|c| c.detail == "missing: no tracepoint"));
        assert!(calls(None).is_empty());
    }
}
