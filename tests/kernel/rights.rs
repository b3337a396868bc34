//! Privileges of the running program, and owners of the files that it writes.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::opener::opener;
use crate::common::patience::until;
use crate::common::program::{Stream, ebpftop, ended};
use crate::common::spawn::public_copy;

use crate::common::net::*;
use crate::common::tty::Tty;
use crate::common::user::{AS_USER, USER};

/// The dashboard on `lo` of a namespace of its own, as `user` would start it with sudo.
fn dashboard(user: Option<u32>, args: &[&str]) -> Tty {
    own_namespace();
    veth("va", "vb");
    ip("link set lo up");
    let id = user.map(|id| id.to_string()).unwrap_or_default();
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_UID", &*id), ("SUDO_GID", &*id)];
    Tty::start(ebpftop(), &[&["-i", "lo"], args].concat(), &env, (120, 30))
}

fn log_for_user(path: &Path) -> Tty {
    dashboard(Some(USER), &["--log", path.to_str().unwrap()])
}

#[test]
fn a_log_is_written_with_the_permissions_of_the_caller_of_sudo() {
    let home = tempfile::tempdir().unwrap();
    chown(home.path(), Some(USER), Some(USER)).unwrap();
    let log = home.path().join("log");
    for _ in 0..2 {
        let mut tty = log_for_user(&log);
        tty.wait_for("Files");
        tty.send("q");
        assert_eq!(tty.wait(), 0);
        let meta = log.metadata().unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (USER, USER, 0o600));
    }

    // In root's folder, through links of either kind, over root's file: nothing is written.
    let roots = tempfile::tempdir().unwrap();
    std::fs::set_permissions(roots.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let kept = roots.path().join("kept");
    std::fs::write(&kept, "kept").unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o666)).unwrap();
    symlink(&kept, home.path().join("link")).unwrap();
    symlink(roots.path(), home.path().join("folder")).unwrap();
    for (path, why) in [
        (roots.path().join("log"), "Permission denied"),
        (home.path().join("folder/log"), "Permission denied"),
        (home.path().join("link"), "symbolic links"),
        (kept.clone(), "belongs to another user"),
    ] {
        let mut tty = log_for_user(&path);
        assert_eq!(tty.wait(), 1);
        assert!(tty.text().contains(why), "{why}: {}", tty.text());
    }
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(roots.path()).unwrap().count(), 1);
}

/// Capabilities by their bit (include/uapi/linux/capability.h).
const DAC_READ_SEARCH: u64 = 1 << 2;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const SYS_PTRACE: u64 = 1 << 19;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;

/// Name, capabilities in force and permitted, of each thread; fails where one may get more privileges
/// or is without seccomp.
fn threads(pid: u32) -> BTreeSet<(String, u64)> {
    let mut threads = BTreeSet::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(task.path().join("status")) else { continue };
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name}: {status}")).trim().to_owned()
        };
        assert_eq!((&*field("NoNewPrivs"), &*field("Seccomp")), ("1", "2"), "{status}");
        let bits = |name| u64::from_str_radix(&field(name), 16).unwrap();
        threads.insert((field("Name"), bits("CapEff") | bits("CapPrm") | bits("CapInh")));
    }
    threads
}

/// Waits until the threads are those, each with no more privileges than those.
fn assert_threads(pid: u32, main: &str, others: &[(&str, u64)]) {
    let mut expected: BTreeSet<(String, u64)> = [(main.to_owned(), 0)].into();
    expected.extend(others.iter().map(|(name, bits)| ((*name).to_owned(), *bits)));
    until(&format!("the threads {expected:x?}"), || (threads(pid) == expected).then_some(()));
}

const OPENS: u64 = BPF | PERFMON;
const TALKERS: u64 = BPF | PERFMON | NET_ADMIN | NET_RAW;

#[test]
fn each_thread_of_the_dashboard_keeps_the_privileges_it_needs() {
    let opener = opener("opn-rights");
    let mut tty = dashboard(None, &["--interval", "100ms", "--xdp-mode", "off"]);
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    let pid = tty.pid().unsigned_abs();
    let others = [
        ("opens", OPENS),
        // Names that processes ask for are looked for from a key on.
        ("connections", OPENS | NET_ADMIN),
        ("talkers", TALKERS),
        ("processes", SYS_PTRACE),
        ("cgroups", 0),
        ("containers", 0),
        ("input", 0),
        // The program for them is loaded when they are shown first.
        ("listeners", OPENS | SYS_PTRACE | DAC_READ_SEARCH),
        ("parents", 0),
        ("record", 0),
        ("save", 0),
    ];
    assert_threads(pid, "ebpftop", &others);
    // The rest is enough: another mode, another interface, details of a process, names.
    for mode in ["auto", "native", "generic"] {
        tty.send("x");
        tty.wait_for(mode);
    }
    tty.wait_for("lo generic");
    tty.send("n");
    tty.wait_until("the next interface", |s| s.contains("Talkers · v"));
    opener.find(&mut tty);
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn locked_nothing_is_kept_and_counting_goes_on() {
    let opener = opener("opn-locked");
    let mut tty = dashboard(None, &["--interval", "100ms", "--lock"]);
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    let names = [
        "opens",
        "connections",
        "talkers",
        "processes",
        "cgroups",
        "containers",
        "input",
        "listeners",
        "parents",
        "record",
        "save",
    ];
    let others = names.map(|name| (name, 0));
    assert_threads(tty.pid().unsigned_abs(), "ebpftop", &others);
    for key in ["i", "n", "b", "x"] {
        tty.send(key);
        tty.wait_for("cannot change: started with --lock");
        tty.send("m");
        tty.wait_for("marked: ");
    }
    opener.find(&mut tty);
    tty.send("\x1b/\x15\r");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        socket.send_to(&[0; 10], socket.local_addr().unwrap()).unwrap();
    }
    tty.wait_for("127.0.0.1");
    tty.send("2g");
    tty.send("\r");
    tty.wait_for("start without --lock to see");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    tty.assert_given_back();
}

#[test]
fn each_thread_of_stream_keeps_the_privileges_it_needs() {
    own_namespace();
    ip("link set lo up");
    for (lock, opens, talkers) in [(None, OPENS, TALKERS), (Some("--lock"), 0, 0)] {
        let args = [&["-i", "lo", "--path", "afterwards"][..], lock.as_slice()].concat();
        let stream = Stream::json(&args);
        let others = [("opens", opens), ("talkers", talkers), ("signals", 0)];
        assert_threads(stream.child.id(), "ebpftop", &others);
        let dir = tempfile::tempdir().unwrap();
        let file = crate::common::tty::touch(dir.path(), "afterwards");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            socket.send_to(&[0; 10], socket.local_addr().unwrap()).unwrap();
        }
        let run = stream.interrupt();
        assert_eq!(run.code(), 0, "{}", run.stderr);
        assert!(run.of_type("open").iter().any(|o| o["resolved"] == file.to_str().unwrap()));
        assert_eq!(run.of_type("summary")[0]["rx_packets"], 10);
    }
}

#[test]
fn with_file_capabilities_it_runs_without_sudo() {
    own_namespace();
    ip("link set lo up");
    let (_dir, copy) = public_copy();
    let set = ebpftop::privileges::for_setcap();
    assert!(Command::new("setcap").arg(&set).arg(&copy).status().unwrap().success());
    // A tracefs that is root's alone, as on any system.
    let script = "{ mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; } && \
                  exec setpriv \"$@\"";
    let as_user = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).args(AS_USER).arg(&copy).args(args);
        command.env("XDG_CONFIG_HOME", "/nonexistent").current_dir("/").stdin(Stdio::null());
        ended(&mut command)
    };
    let doctor = as_user(&["doctor"]);
    if perf_event_paranoid() > 2 {
        // Debian's own setting, which only CAP_SYS_ADMIN passes: the message names it and the fix.
        let (text, fix) = (doctor.text(), "sysctl kernel.perf_event_paranoid=2");
        assert!(
            text.contains("kernel.perf_event_paranoid above 2") && text.contains(fix),
            "{text}"
        );
        return;
    }
    assert_eq!(doctor.code(), 0, "{}\n{}", doctor.text(), doctor.stderr);
    let report = doctor.text();
    assert!(report.contains("opens") && report.contains("the probe runs"), "{report}");
    let run = as_user(&["stream", "--format", "json", "-i", "lo", "--duration", "1s"]);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let ready = &run.of_type("ready")[0];
    assert_eq!((&ready["opens"], &ready["talkers"]), (&true.into(), &true.into()));
    // Privileges over files are for the start alone: a file of root alone is not read.
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret = 1\n").unwrap();
    let mut tty = {
        let path = secret.path().to_str().unwrap();
        let inside = ["--mount", "sh", "-c", script, "sh"];
        let program = [copy.to_str().unwrap(), "--config", path];
        let args = [&inside[..], &AS_USER, &program].concat();
        let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
        Tty::start("unshare", &args, &env, (100, 20))
    };
    assert_eq!(tty.wait(), 1, "{}", tty.text());
    assert!(!tty.text().contains("`secret`") && tty.text().contains("denied"), "{}", tty.text());
}

fn perf_event_paranoid() -> i32 {
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    level.trim().parse().unwrap()
}

/// As in a container, where root has only some capabilities.
#[test]
fn root_without_capabilities_learns_which_are_missing() {
    let args = ["--bounding-set", "-sys_admin,-bpf,-perfmon", ebpftop(), "-i", "lo"];
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let mut tty = Tty::start("setpriv", &args, &env, (200, 24));
    assert_eq!(tty.wait(), 1);
    let said = tty.text();
    let missing = said.lines().find(|l| l.contains("missing privileges: ")).unwrap();
    assert!(missing.contains("CAP_BPF") && missing.contains("CAP_PERFMON"), "{said}");
    assert!(!missing.contains("CAP_NET_ADMIN"), "{said}");
    assert!(said.contains("root lacks them here"), "{said}");
    assert!(said.contains("without privileges: ebpftop replay"), "{said}");
    tty.assert_given_back();
}
