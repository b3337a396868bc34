//! What is looked at, and what each finding means.

use super::{Check, Report};
use crate::model::escape::escape;
use crate::model::link::Hook;
use crate::model::open::Syscall;
use crate::model::problem::Problem;
use crate::probes::cgroups::Cgroups;
use crate::probes::preflight::{self, Capability, TraceFsFound};
use crate::probes::{OpensInfo, Watched};

const SUDO: &str = "run it with sudo";

pub(super) fn examine() -> Report {
    let held = Held(preflight::capabilities());
    let release = preflight::release().unwrap_or_default();
    let mut checks = vec![kernel(&release), architecture(std::env::consts::ARCH)];
    checks.extend(rights(held));
    checks.extend([btf(), tracefs(), ring_buffer(held), registers(held)]);
    checks.extend(settings(held, &release));
    checks.push(cgroups());

    let opens = preflight::try_opens();
    checks.extend(calls(opens.as_ref().ok()));
    checks.push(opens_probe(opens.as_ref()));
    checks.extend([interfaces(), xdp(held)]);
    let talkers = preflight::try_talkers();
    checks.push(talkers_probe(&talkers));
    Report { checks, can_run: opens.is_ok() || talkers.is_ok() }
}

/// Capabilities in force.
#[derive(Clone, Copy)]
struct Held(u64);

impl Held {
    fn has(self, capability: Capability) -> bool {
        self.0 >> (capability as u32) & 1 == 1
    }

    /// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON (kernel/bpf/token.c, include/linux/capability.h).
    fn may_load(self) -> bool {
        self.has(Capability::SysAdmin)
            || (self.has(Capability::Bpf) && self.has(Capability::Perfmon))
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

fn rights(held: Held) -> Vec<Check> {
    let row = |name, capability, needed: bool, why: &str| {
        if held.has(capability) {
            Check::ok(name, "held")
        } else if needed {
            Check::fix(name, format!("missing: {why}"), SUDO)
        } else {
            Check::without(name, format!("missing: {why}"))
        }
    };
    let admin = held.has(Capability::SysAdmin);
    vec![
        row("CAP_BPF", Capability::Bpf, !admin, "loads programs and maps"),
        row(
            "CAP_PERFMON",
            Capability::Perfmon,
            !admin,
            "attaches to tracepoints, reads kernel memory",
        ),
        row("CAP_NET_ADMIN", Capability::NetAdmin, true, "attaches to interfaces"),
        row("CAP_SYS_ADMIN", Capability::SysAdmin, false, "mounts tracefs where nobody has"),
    ]
}

fn btf() -> Check {
    if preflight::has_btf() {
        Check::ok("BTF", "/sys/kernel/btf/vmlinux")
    } else {
        Check::fix(
            "BTF",
            "no /sys/kernel/btf/vmlinux",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        )
    }
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
            (n, false) => Check::fix(name, format!("{n}: bpf() is for those with CAP_BPF"), SUDO),
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
    if held.has(Capability::SysAdmin) {
        Check::ok(name, format!("{n}; no matter with CAP_SYS_ADMIN"))
    } else if n > 2 {
        Check::fix(
            name,
            format!("{n}: perf events are for those with CAP_SYS_ADMIN"),
            "run it with sudo, or sysctl kernel.perf_event_paranoid=2",
        )
    } else if held.has(Capability::Perfmon) {
        Check::ok(name, format!("{n}; no matter with CAP_PERFMON"))
    } else {
        Check::fix(name, format!("{n}: tracepoints are for those with CAP_PERFMON"), SUDO)
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

fn cgroups() -> Check {
    match Cgroups::new().root() {
        Some(root) => Check::ok("cgroup v2", escape(root.as_os_str().as_encoded_bytes())),
        None => Check::without("cgroup v2", "not mounted: opens have no cgroup and no container"),
    }
}

/// A row for each way to open.
fn calls(info: Option<&OpensInfo>) -> Vec<Check> {
    let Some(info) = info else { return Vec::new() };
    let mut checks: Vec<Check> = Syscall::ALL
        .into_iter()
        .map(|call| {
            let name = format!("opens: {}", call.name());
            if info.seen.contains(&call) {
                return Check::ok(&name, "seen");
            }
            let why = info.unseen.iter().find(|(what, _)| what == call.name());
            Check::without(
                &name,
                why.map_or("not seen".into(), |(_, why)| {
                    format!("not seen: {}", escape(why.as_bytes()))
                }),
            )
        })
        .collect();
    let others =
        info.unseen.iter().filter(|(what, _)| Syscall::ALL.iter().all(|call| call.name() != what));
    for (what, why) in others {
        let name = format!("opens: {}", escape(what.as_bytes()));
        checks.push(Check::without(&name, format!("not seen: {}", escape(why.as_bytes()))));
    }
    if !info.unseen.iter().any(|(what, _)| what == "32-bit tasks") {
        checks.push(Check::ok("opens: 32-bit tasks", "seen while there are any"));
    }
    checks
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
        .map(|(name, _)| escape(name.as_bytes()).into_owned())
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
        let statuses: Vec<_> = rights(NOTHING).iter().map(|c| c.status).collect();
        assert_eq!(statuses, [Status::Fix, Status::Fix, Status::Fix, Status::Without]);
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
    fn each_call_has_a_row() {
        let info = OpensInfo {
            seen: vec![Syscall::Openat],
            unseen: vec![
                ("creat".into(), "no tracepoint".into()),
                ("32-bit tasks".into(), "why".into()),
            ],
            ..OpensInfo::default()
        };
        let rows = calls(Some(&info));
        assert_eq!(rows.len(), Syscall::ALL.len() + 1);
        assert!(
            rows.iter().any(|c| c.check == "opens: 32-bit tasks" && c.status == Status::Without)
        );
        assert!(rows.iter().any(|c| c.check == "opens: openat" && c.status == Status::Ok));
        assert!(rows.iter().any(|c| c.detail == "not seen: no tracepoint"));
        assert!(calls(None).is_empty());
    }
}
