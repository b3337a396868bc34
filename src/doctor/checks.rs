//! All checks in their order; those of what the kernel provides and of the probes are here.

use super::host::{architecture, container, kernel, pid_namespace, settings};
use super::privileges::{Held, SUDO, capabilities, seccomp};
use super::{Check, Report};
use crate::bpf::btf;
use crate::model::coverage::{Attribution, Missing, POLLED, add_missing};
use crate::model::escape::escape;
use crate::model::event::{ConnectionsInfo, IoInfo, OpensInfo, Watched};
use crate::model::link::Hook;
use crate::model::open::Syscall;
use crate::model::problem::Problem;
use crate::probes::cgroups::{self, Reached};
use crate::probes::connections::tried_hostnames;
use crate::probes::held;
use crate::probes::io;
use crate::probes::listeners;
use crate::probes::preflight::{self, TraceFsFound};
use crate::probes::programs;

pub(super) fn examine() -> Report {
    let held = Held(preflight::capabilities());
    let release = preflight::release().unwrap_or_default();
    let mut checks = vec![kernel(&release), architecture(std::env::consts::ARCH)];
    checks.extend(capabilities(held));
    checks.extend([seccomp(), container(), pid_namespace()]);
    checks.extend([btf(), tracefs(), ring_buffer(held), registers(held)]);
    checks.extend(settings(held, &release));
    checks.extend(cgroups());

    let opens = preflight::try_opens();
    checks.extend(calls(opens.as_ref().ok()));
    checks.extend(preflight::unseen_changes().iter().map(refused));
    checks.push(opens_probe(opens.as_ref()));
    checks.extend([interfaces(), xdp(held)]);
    let talkers = preflight::try_talkers();
    checks.push(talkers_probe(&talkers));
    let owners = preflight::try_connections();
    checks.push(owners_probe(&owners));
    let holds = held::tried();
    checks.push(held_files(&holds));
    let bytes = io::tried();
    checks.push(bytes_of_files(&bytes));
    let names = tried_hostnames();
    checks.push(match names.is_empty() {
        true => Check::ok("names", "can be looked for, with --names"),
        false => Check::without("names", "not all that --names looks for is seen"),
    });
    let listeners = listeners::tried();
    let mut missing = Vec::new();
    add_missing(&mut missing, &names);
    add_missing(&mut missing, &listeners);
    add_missing(&mut missing, talkers.iter().flatten().flat_map(|watched| &watched.missing));
    add_missing(&mut missing, owners.iter().flat_map(|info| &info.missing));
    add_missing(&mut missing, holds.iter().flatten());
    add_missing(&mut missing, bytes.iter().flat_map(|info| &info.missing));
    checks.extend(missing.iter().map(refused));
    Report { checks, can_run: opens.is_ok() || talkers.is_ok() }
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

/// A check that takes the capabilities to load programs.
fn tried(name: &str, held: Held, works: bool, good: &str, bad: Check) -> Check {
    match (held.may_load(), works) {
        (true, true) => Check::ok(name, good),
        (true, false) => bad,
        // A refusal would mean no more than "not permitted".
        (false, _) => Check::fix(name, "cannot be tried without CAP_BPF and CAP_PERFMON", SUDO),
    }
}

fn ring_buffer(held: Held) -> Check {
    let bad = Check::fix("ring buffer", "the kernel refuses it", "boot kernel 5.10 or later");
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

/// One check for v2, and one for the hierarchies of v1 if there are any.
fn cgroups() -> Vec<Check> {
    let name = "cgroup v2";
    let v2 = match cgroups::hierarchy_root() {
        None => Check::without(name, "not mounted, and cannot be: connections are not attributed"),
        Some(root) => match (&root.partial, &root.reached) {
            (Some(why), _) => Check::fix(
                name,
                format!(
                    "only a subtree is seen: {why}; cgroups outside have no name, and connections of their processes may be unattributed"
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
                Check::ok(name, "mounted in part; reached through /proc/1/root")
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
            Some(Check::without(name, format!("{text}; their cgroups have no name")))
        }
    };
    [Some(v2), v1].into_iter().flatten().collect()
}

/// One check for each call that opens files.
fn calls(info: Option<&OpensInfo>) -> Vec<Check> {
    let Some(info) = info else { return Vec::new() };
    let mut checks: Vec<Check> = Syscall::ALL
        .into_iter()
        .filter_map(|call| {
            let name = programs::of_call(call);
            if info.seen.contains(&call) {
                return Some(Check::ok(&name, "seen"));
            }
            // Neither seen nor missing: this architecture has no such call.
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

/// The check for a feature that the kernel refused, or for calls that no program sees.
fn refused(missing: &Missing) -> Check {
    let detail = match missing.is_refused() {
        true => format!("missing: {}", missing.error),
        false => missing.error.clone(),
    };
    Check::without(&missing.feature, detail)
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

/// The other probes run without this one, so it does not decide whether the program can run.
fn owners_probe(started: &Result<ConnectionsInfo, Problem>) -> Check {
    match started {
        Ok(ConnectionsInfo { attribution: Attribution::Call, .. }) => {
            Check::ok("connections", "the probe runs: bytes are counted where a process calls")
        }
        Ok(ConnectionsInfo { attribution: Attribution::Connection, .. }) => Check::ok(
            "connections",
            "the probe runs: bytes are attributed to the connection's process",
        ),
        Ok(ConnectionsInfo { attribution: Attribution::Procfs, .. }) => {
            Check::without("connections", POLLED.to_owned())
        }
        Err(problem) => Check::fix("connections", problem.why.clone(), &problem.fix),
    }
}

/// Nothing else depends on it.
fn held_files(tried: &Result<Vec<Missing>, Problem>) -> Check {
    match tried {
        Ok(_) => Check::ok("held files", "can be read"),
        Err(problem) => Check::without("held files", problem.why.clone()),
    }
}

/// Whether bytes of files are counted, as a try of their probe showed.
fn bytes_of_files(tried: &Result<IoInfo, Problem>) -> Check {
    match tried {
        Ok(_) => Check::ok("bytes of files", "can be counted, with --io"),
        Err(problem) => Check::without("bytes of files", problem.why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn connections_without_owners_have_a_fix_and_a_reason() {
        let refused = Problem::new("watch", "cgroup v2 is not mounted", "mount it");
        let check = owners_probe(&Err(refused));
        assert_eq!((check.status, &*check.fix), (Status::Fix, "mount it"));
        assert_eq!(owners_probe(&Ok(ConnectionsInfo::default())).status, Status::Ok);
        let polled = ConnectionsInfo { attribution: Attribution::Procfs, missing: Vec::new() };
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
