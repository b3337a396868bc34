//! Files that a user names are opened with that user's permissions: behind sudo, and with file
//! capabilities.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::net::*;
use crate::common::program::{Ended, ebpftop, ended, program};
use crate::common::spawn::public_copy;
use crate::common::tty::Tty;
use crate::common::user::{AS_USER, CALLS_SUDO};

const ALICE: u32 = 4_242;
const TEAM: u32 = 4_243;

/// A copy of the program with the capabilities that the README gives it.
fn with_capabilities() -> (tempfile::TempDir, PathBuf) {
    let (dir, copy) = public_copy();
    let set = ebpftop::privileges::for_setcap();
    assert!(Command::new("setcap").arg(&set).arg(&copy).status().unwrap().success());
    (dir, copy)
}

/// `program ARGS` as a user without privileges.
fn as_user(program: &Path, args: &[&str]) -> Ended {
    let mut command = Command::new("setpriv");
    command.args(AS_USER).arg(program).args(args).env("XDG_CONFIG_HOME", "/nonexistent");
    ended(command.current_dir("/").stdin(Stdio::null()))
}

/// A folder that root alone may search, with a recording in it.
fn secret() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let file = dir.path().join("a.rec");
    std::fs::write(&file, include_bytes!("../../assets/demo.ebpftop")).unwrap();
    std::fs::create_dir(dir.path().join("ebpftop")).unwrap();
    std::fs::write(dir.path().join("ebpftop/config.toml"), "secret = 1\n").unwrap();
    (dir, file)
}

/// Every option that names a file to be read reports as much of one in a folder that is closed to the user
/// as of one that is not there: nothing.
#[test]
fn with_file_capabilities_a_closed_folder_stays_closed() {
    own_namespace();
    ip("link set lo up");
    let (_dir, copy) = with_capabilities();
    let (dir, there) = secret();
    let absent = dir.path().join("absent");
    for before in [
        &["stream", "opens", "--duration", "1s", "--btf"][..],
        &["stream", "talkers", "-i", "lo", "--duration", "1s", "--netns"],
        &["record", "--duration", "1s", "-i", "lo"],
        &["report", "--by", "holder"],
    ] {
        let [there, absent] = [&there, &absent].map(|path| {
            let path = path.to_str().unwrap();
            let run = as_user(&copy, &[before, &[path]].concat());
            assert_eq!(run.code(), 1, "{before:?} {}", run.stderr);
            run.stderr.replace(path, "PATH")
        });
        assert_eq!(there, absent, "{before:?}");
        assert!(!there.contains("ready"), "{there}");
    }
    let program = copy.to_str().unwrap();
    let start = |args: &[&str], config: &str| {
        let env = [("XDG_CONFIG_HOME", config)];
        Tty::start("setpriv", &[&AS_USER[..], &[program], args].concat(), &env, (120, 30))
    };
    for before in
        [&["replay"][..], &["replay", "--mmdb"], &["replay", "--config"], &["replay", "--log"]]
    {
        let [there, absent] = [&there, &absent].map(|path| {
            let path = path.to_str().unwrap();
            let mut tty = start(&[before, &[path]].concat(), "/nonexistent");
            assert_eq!(tty.wait(), 1, "{before:?}: {}", tty.text());
            tty.text().replace(path, "PATH")
        });
        assert_eq!(there, absent, "{before:?}");
        assert!(there.contains("Permission denied"), "{there}");
    }
    // The configuration's own place is not asked for: it is as if it were not there.
    let mut tty = start(&["replay"], dir.path().to_str().unwrap());
    tty.wait_for("REPLAY");
    tty.send("q");
    assert_eq!(tty.wait(), 0);
}

/// User databases in which alice is one of the team, for one command.
fn with_alice(work: &Path) -> Command {
    let append = |name: &str, line: &str| {
        let text = std::fs::read_to_string(Path::new("/etc").join(name)).unwrap();
        std::fs::write(work.join(name), format!("{}\n{line}\n", text.trim_end())).unwrap();
    };
    append("passwd", &format!("alice:x:{ALICE}:{ALICE}::/nonexistent:/bin/sh"));
    append("group", &format!("alice:x:{ALICE}:\nteam:x:{TEAM}:alice"));
    let script = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && \
                  shift && exec setpriv --groups 0 \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(work).arg(ebpftop());
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

#[test]
fn behind_sudo_files_are_made_with_the_groups_of_the_caller() {
    own_namespace();
    ip("link set lo up");
    let work = tempfile::tempdir().unwrap();
    std::fs::set_permissions(work.path(), Permissions::from_mode(0o755)).unwrap();
    let folder = |name: &str, group: u32| {
        let path = work.path().join(name);
        std::fs::create_dir(&path).unwrap();
        chown(&path, Some(0), Some(group)).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o770)).unwrap();
        path
    };
    let (roots, teams) = (folder("root", 0), folder("team", TEAM));
    let record = |file: &Path, sudo: [&str; 3]| {
        let mut command = with_alice(work.path());
        for (name, value) in ["SUDO_USER", "SUDO_UID", "SUDO_GID"].into_iter().zip(sudo) {
            command.env(name, value);
        }
        command.args(["record", "-i", "lo", "--duration", "300ms"]).arg(file);
        ended(&mut command)
    };
    let alice = ["alice", "4242", "4242"];
    let run = record(&teams.join("a.rec"), alice);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let meta = teams.join("a.rec").metadata().unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (ALICE, ALICE, 0o600));
    // Root's own group, a name without a user, and numbers that are none.
    for sudo in [
        alice,
        ["gone", "4242", "4242"],
        ["gone", "4244", "4244"],
        ["alice", "", ""],
        ["alice", "4242", ""],
        ["alice", "x", "4242"],
    ] {
        let run = record(&roots.join("a.rec"), sudo);
        assert_eq!(run.code(), 1, "{sudo:?}: {}", run.stderr);
        let says = if sudo[1].is_empty() || sudo[2].is_empty() || sudo[1] == "x" {
            "SUDO_UID and SUDO_GID do not say who called sudo"
        } else {
            "Permission denied"
        };
        assert!(run.stderr.contains(says), "{sudo:?}: {}", run.stderr);
    }
    assert_eq!(std::fs::read_dir(&roots).unwrap().count(), 0);
}

/// Reading, too: by the user, by a group, and not by root's.
#[test]
fn behind_sudo_files_are_read_with_the_groups_of_the_caller() {
    let work = tempfile::tempdir().unwrap();
    std::fs::set_permissions(work.path(), Permissions::from_mode(0o755)).unwrap();
    let btf = work.path().join("btf");
    std::fs::copy("/sys/kernel/btf/vmlinux", &btf).unwrap();
    for (owner, group, mode, readable) in [
        (0, 0, 0o640, false),
        (0, TEAM, 0o640, true),
        (ALICE, 0, 0o400, true),
        (0, ALICE, 0o040, true),
        (0, 0, 0o004, true),
    ] {
        chown(&btf, Some(owner), Some(group)).unwrap();
        std::fs::set_permissions(&btf, Permissions::from_mode(mode)).unwrap();
        let mut command = with_alice(work.path());
        command.envs([("SUDO_USER", "alice"), ("SUDO_UID", "4242"), ("SUDO_GID", "4242")]);
        command.args(["doctor", "--btf"]).arg(&btf);
        let run = ended(&mut command);
        let says = if readable { "from the file of --btf" } else { "Permission denied" };
        let said = format!("{}{}", run.text(), run.stderr);
        assert!(said.contains(says), "{owner} {group} {mode:o}: {said}");
    }
}

/// Root enters any namespace for the caller of sudo, and opens nothing else for them.
#[test]
fn behind_sudo_a_path_of_a_network_namespace_is_no_way_to_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let space = dir.path().join("space");
    std::fs::write(&space, "").unwrap();
    own_namespace();
    ip("link set lo up");
    nix::mount::mount(
        Some("/proc/self/ns/net"),
        &space,
        None::<&str>,
        nix::mount::MsFlags::MS_BIND,
        None::<&str>,
    )
    .unwrap();
    std::fs::write(dir.path().join("file"), "secret").unwrap();
    let stream = |path: &Path| {
        let mut command = program();
        command.args(["stream", "talkers", "-i", "lo", "--duration", "300ms", "--netns"]).arg(path);
        ended(command.envs(CALLS_SUDO))
    };
    let run = stream(&space);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let [file, absent] = ["file", "absent"].map(|name| {
        let path = dir.path().join(name);
        let run = stream(&path);
        assert_eq!(run.code(), 1, "{}", run.stderr);
        run.stderr.replace(path.to_str().unwrap(), "PATH")
    });
    nix::mount::umount(&space).unwrap();
    assert_eq!(file, absent);
}
