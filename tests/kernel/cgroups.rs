//! Cgroups of every kind on the real kernel: v1, hybrid, brief, renamed, seen from a namespace, mounted
//! at odd places or nowhere. Those about namespaces and privileges need
//! unshare and setpriv of util-linux: busybox has fewer options.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

// Whether name=systemd is used changes how all opens are attributed: one test at a time.
use crate::common::patience::{alone, patience, until};
use crate::common::program::{Ended, Stream, ebpftop, ended, program};
use crate::common::spawn::fresh;
use crate::common::tty::Tty;
use ebpftop::recording::{Item, Reader, Seen};
use serde_json::{Value, json};

const ID: &str = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";

/// Nothing here takes longer.
const BOUND: &str = "60";

/// A hierarchy's root: its mount point, or a mount of ours that ends with this.
struct Hierarchy {
    root: PathBuf,
    ours: Option<tempfile::TempDir>,
}

impl Hierarchy {
    fn v2() -> Self {
        Self::find("cgroup2", "")
    }

    fn v1(option: &str) -> Self {
        Self::find("cgroup", option)
    }

    fn find(kind: &str, option: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let found = mounts
            .lines()
            .map(|l| l.split(' ').collect::<Vec<_>>())
            .find(|l| l[2] == kind && (option.is_empty() || l[3].split(',').any(|o| o == option)));
        if let Some(mount) = found {
            return Self { root: mount[1].into(), ours: None };
        }
        let dir = tempfile::tempdir().unwrap();
        let options = if option.starts_with("name=") { "none," } else { "" };
        let mut mount = Command::new("mount");
        mount.args(["-t", kind, "-o", &format!("{options}{option}"), "none"]).arg(dir.path());
        assert!(mount.status().unwrap().success(), "{kind} {option} can be mounted");
        Self { root: dir.path().into(), ours: Some(dir) }
    }

    /// A cgroup and its parents; removed when the result is dropped.
    fn make(&self, path: &str) -> Made {
        let mut made = Vec::new();
        let mut dir = self.root.clone();
        for part in path.split('/') {
            dir.push(part);
            if !dir.exists() {
                std::fs::create_dir(&dir).unwrap();
                made.push(dir.clone());
            }
        }
        Made { dir, made }
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        if self.ours.is_some() {
            let _ = Command::new("umount").arg(&self.root).status();
        }
    }
}

/// A cgroup of the test.
struct Made {
    dir: PathBuf,
    made: Vec<PathBuf>,
}

impl Drop for Made {
    fn drop(&mut self) {
        self.made.iter().rev().for_each(|dir| remove(dir));
    }
}

/// A process that has just ended keeps its cgroup busy for a moment.
fn remove(dir: &Path) {
    until(&format!("the end of {}", dir.display()), || {
        (!dir.exists() || std::fs::remove_dir(dir).is_ok()).then_some(())
    });
}

/// A process that goes into these cgroups, then runs a script.
fn in_cgroups(dirs: &[&Path], script: &str) {
    let mut command = Command::new("timeout");
    let join = "while [ $# -gt 0 ]; do echo $$ >\"$1/cgroup.procs\"; shift; done;";
    command.args([BOUND, "sh", "-ec", &format!("{join} {script}"), "sh"]).args(dirs);
    assert!(command.status().unwrap().success(), "{script} in {dirs:?}");
}

/// A file, opened from cgroups by the test.
struct Opened {
    dir: tempfile::TempDir,
}

impl Opened {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        Self { dir }
    }

    fn path(&self) -> String {
        self.dir.path().join("file").to_str().unwrap().into()
    }

    fn stream(&self) -> Stream {
        Stream::json(&["opens", "--path", &self.path()])
    }

    fn open_in(&self, dirs: &[&Path]) {
        in_cgroups(dirs, &format!("exec cat {} >/dev/null", self.path()));
    }

    /// The cgroups of the opens, and their containers.
    fn rows(&self, run: &Ended) -> Vec<(Value, Value)> {
        let opens = run.of_type("open");
        opens.into_iter().map(|o| (o["cgroup"].clone(), o["container"].clone())).collect()
    }
}

fn unique(name: &str) -> String {
    format!("ebpftop-{name}-{}", std::process::id())
}

#[test]
fn a_brief_cgroup_has_its_name() {
    const TIMES: usize = 50;
    let _alone = alone();
    let (v2, opened) = (Hierarchy::v2(), Opened::new());
    let stream = opened.stream();
    let name = |i| unique(&format!("brief{i}"));
    for i in 0..TIMES {
        opened.open_in(&[&v2.make(&name(i)).dir]);
    }
    let rows = opened.rows(&stream.interrupt());
    let right: Vec<_> = (0..TIMES).map(|i| (json!(format!("/{}", name(i))), Value::Null)).collect();
    assert_eq!(rows, right);
}

#[test]
fn a_container_of_v1_is_named_also_a_brief_one() {
    let _alone = alone();
    let (pids, opened) = (Hierarchy::v1("pids"), Opened::new());
    let there = pids.make(&format!("docker/{ID}"));
    let stream = opened.stream();
    opened.open_in(&[&there.dir]);
    let brief = ID.replace('1', "2");
    opened.open_in(&[&pids.make(&format!("docker/{brief}")).dir]);
    let rows = opened.rows(&stream.interrupt());
    let row = |id: &str| (json!(format!("/docker/{id}")), json!(id));
    assert_eq!(rows, [row(ID), row(&brief)]);
}

/// Docker's file about the container [`ID`], for this thread and the programs that it starts: the files of the
/// machine's own engine stay as they are.
fn own_docker(config: &str) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("lib"), "/var/lib", Some("tmpfs"), MsFlags::empty(), none).unwrap();
    let dir = format!("/var/lib/docker/containers/{ID}");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(format!("{dir}/config.v2.json"), config).unwrap();
}

/// The first view of the dashboard has the container's name beside its program, at 80x24 without a key.
#[test]
fn the_first_view_has_the_name_of_a_container() {
    let _alone = alone();
    let v2 = Hierarchy::v2();
    own_docker(r#"{"ID":"x","Name":"/shop","Config":{}}"#);
    let made = v2.make(&format!("docker-{ID}.scope"));
    let dir = tempfile::tempdir().unwrap();
    let cat = dir.path().join("glance-web");
    std::fs::copy("/bin/cat", &cat).unwrap();
    let script = "echo $$ >\"$1/cgroup.procs\"; while :; do \"$2\" /etc/hostname; sleep 0.05; done";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(&made.dir).arg(&cat).stdout(Stdio::null());
    let mut shell = fresh(&mut shell);
    let args = ["--interval", "500ms", "-i", "lo", "--xdp-mode", "off"];
    let mut tty = Tty::start(ebpftop(), &args, &[("XDG_CONFIG_HOME", "/nonexistent")], (80, 24));
    tty.wait_until("the container's name", |s| {
        s.lines().any(|row| row.contains("glance-web ×") && row.contains(" shop "))
    });
    tty.send("q");
    assert_eq!(tty.wait(), 0);
    shell.kill().unwrap();
    shell.wait().unwrap();
}

/// Docker's file is there before the container's first process is.
#[test]
fn a_container_has_its_name_from_the_first_open_on() {
    let _alone = alone();
    let (v2, opened) = (Hierarchy::v2(), Opened::new());
    own_docker(r#"{"ID":"x","Name":"/web\u001b[31m","Config":{}}"#);
    let stream = opened.stream();
    opened.open_in(&[&v2.make(&format!("docker-{ID}.scope")).dir]);
    let run = stream.interrupt();
    let opens = run.of_type("open");
    let names = |open: &Value| (open["container_name"].clone(), open["pod_name"].clone());
    let all: Vec<_> = opens.iter().map(names).collect();
    assert_eq!(all, [(json!("web\\x1b[31m"), Value::Null)]);
    assert_eq!(opens[0]["container"], ID);
}

#[test]
fn a_filter_finds_a_cgroup_of_v1() {
    let _alone = alone();
    let (pids, opened) = (Hierarchy::v1("pids"), Opened::new());
    let name = unique("filter");
    let (one, other) = (pids.make(&name), pids.make(&unique("other")));
    let stream = Stream::json(&["opens", "-f", &format!("cgroup:/{name}")]);
    opened.open_in(&[&other.dir]);
    opened.open_in(&[&one.dir]);
    let run = stream.interrupt();
    let opens = run.of_type("open");
    assert!(opens.iter().any(|open| open["path"] == opened.path()));
    assert!(opens.iter().all(|open| open["cgroup"] == format!("/{name}")), "{opens:?}");
}

#[test]
fn v2_comes_before_a_limit_of_v1() {
    let _alone = alone();
    let (v2, pids, opened) = (Hierarchy::v2(), Hierarchy::v1("pids"), Opened::new());
    let name = unique("both");
    let (main, limit) = (v2.make(&name), pids.make(&unique("limit")));
    let stream = opened.stream();
    opened.open_in(&[&main.dir, &limit.dir]);
    assert_eq!(opened.rows(&stream.interrupt()), [(json!(format!("/{name}")), Value::Null)]);
}

/// systemd in its hybrid mode, and docker with the cgroupfs driver: in v2 the container's processes are
/// where the daemon is.
#[test]
fn a_container_of_a_hybrid_systemd_is_named() {
    let _alone = alone();
    let (v2, systemd) = (Hierarchy::v2(), Hierarchy::v1("name=systemd"));
    let opened = Opened::new();
    let (daemon, container) =
        (v2.make(&unique("containerd.service")), systemd.make(&format!("docker/{ID}")));
    let stream = opened.stream();
    opened.open_in(&[&daemon.dir, &container.dir]);
    opened.open_in(&[&daemon.dir]);
    let rows = opened.rows(&stream.interrupt());
    let daemon = json!(format!("/{}", unique("containerd.service")));
    assert_eq!(rows, [(json!(format!("/docker/{ID}")), json!(ID)), (daemon, Value::Null)]);
}

#[test]
fn a_renamed_cgroup_of_v1_has_its_new_name_and_those_below_too() {
    let _alone = alone();
    let (pids, opened) = (Hierarchy::v1("pids"), Opened::new());
    let (from, to) = (unique("from"), unique("to"));
    let before = pids.make(&format!("{from}/below"));
    let mut stream = opened.stream();
    opened.open_in(&[&before.dir]);
    let mut first = String::new();
    stream.stdout.read_line(&mut first).unwrap();
    std::fs::rename(pids.root.join(&from), pids.root.join(&to)).unwrap();
    let after = pids.root.join(&to).join("below");
    opened.open_in(&[&after]);
    let rows = opened.rows(&stream.interrupt());
    remove(&after);
    remove(&pids.root.join(&to));
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["cgroup"], format!("/{from}/below"));
    assert_eq!(rows, [(json!(format!("/{to}/below")), Value::Null)]);
}

#[test]
fn a_hostile_name_is_inert() {
    let _alone = alone();
    let (v2, opened) = (Hierarchy::v2(), Opened::new());
    let name = format!("{}\x1b[31m\\\u{202e}\n", unique("hostile"));
    let name = [name.as_bytes(), b"\xff"].concat();
    let dir = v2.root.join(OsStr::from_bytes(&name));
    let stream = opened.stream();
    // cgroupfs takes all but a newline.
    let dir = match std::fs::create_dir(&dir) {
        Ok(()) => dir,
        Err(_) => {
            let name: Vec<u8> = name.into_iter().filter(|b| *b != b'\n').collect();
            let dir = v2.root.join(OsStr::from_bytes(&name));
            std::fs::create_dir(&dir).unwrap();
            dir
        }
    };
    opened.open_in(&[&dir]);
    remove(&dir);
    let run = stream.interrupt();
    let rows = opened.rows(&run);
    let path = rows[0].0.as_str().unwrap();
    assert!(path.contains("\\x1b[31m\\\\\\u{202e}") && path.ends_with("\\xff"), "{path}");
    assert!(run.text().chars().all(|c| c == '\n' || (' '..='~').contains(&c)));
}

/// `ebpftop ARGS` after a script, in namespaces of its own: `unshare OPTIONS`.
fn apart(options: &[&str], script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args([BOUND, "unshare", "--mount"]).args(options);
    command.args(["sh", "-ec", &format!("{script}; exec \"$@\""), "sh"]).arg(ebpftop()).args(args);
    command.env("XDG_CONFIG_HOME", "/nonexistent").env_remove("SUDO_USER");
    command
}

/// The words of a text with one space between two.
fn words(text: &str) -> String {
    text.split_whitespace().map(|word| format!("{word} ")).collect()
}

/// In a cgroup namespace below `DIR`, whose v2 hierarchy is all that is mounted of any.
const IN_NAMESPACE: &str = "echo $$ >\"$DIR/cgroup.procs\"; \
    mount -t tmpfs none /sys/fs/cgroup; \
    set -- unshare --cgroup sh -ec 'mount -t cgroup2 none /sys/fs/cgroup; exec \"$@\"' sh \"$@\"";

/// Without the privileges that reach further; tracefs takes them too, so it is mounted before.
const BOUND_RIGHTS: &str = "set -- setpriv --bounding-set -sys_admin,-sys_ptrace \
    --inh-caps -sys_admin,-sys_ptrace --no-new-privs \"$@\"; \
    mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing";

#[test]
fn from_a_namespace_the_real_root_is_reached() {
    let _alone = alone();
    let (v2, opened) = (Hierarchy::v2(), Opened::new());
    let (inside, outside) = (v2.make(&unique("inside")), v2.make(&unique("outside")));
    // Process 1 is one that stays in the machine's cgroup namespace.
    let script = format!("{IN_NAMESPACE}; \"$@\"; exit");
    let path = opened.path();
    let args = ["stream", "opens", "--path", &path, "--duration", "3s"];
    let mut command = apart(&["--pid", "--fork", "--mount-proc"], &script, &args);
    let stream = Stream::json_by(command.env("DIR", &inside.dir));
    opened.open_in(&[&outside.dir]);
    let run = stream.wait();
    assert_eq!(opened.rows(&run), [(json!(format!("/{}", unique("outside"))), Value::Null)]);
    assert!(!run.text().contains("cgroup namespace"), "{}", run.text());
}

#[test]
fn a_subtree_is_said_to_be_one() {
    let _alone = alone();
    let v2 = Hierarchy::v2();
    let inside = v2.make(&unique("subtree"));
    let script = format!("{BOUND_RIGHTS}; {IN_NAMESPACE}");
    let doctor = ended(apart(&[], &script, &["doctor"]).env("DIR", &inside.dir));
    let text = doctor.text();
    assert!(
        text.contains("only a subtree is seen: this is the cgroup namespace cgroup:["),
        "{text}"
    );
    assert!(text.contains("docker run --cgroupns host"), "{text}");
    let args = ["stream", "opens", "--duration", "100ms", "--format", "json"];
    let run = ended(apart(&[], &script, &args).env("DIR", &inside.dir));
    assert_eq!(run.code(), 0, "{}", run.stderr);
    // If `ready` names it.
    if let Some(missing) = run.of_type("ready")[0]["missing"].as_array() {
        let feature = "opens: names of cgroups outside of the own cgroup namespace";
        assert!(missing.iter().any(|m| m["feature"] == feature), "{missing:?}");
    }
}

#[test]
fn a_mount_with_a_space_is_found_and_none_is_made_up_for() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("c g\\x");
    std::fs::create_dir(&place).unwrap();
    let hide = "mount -t tmpfs none /sys/fs/cgroup";
    let script = format!("{hide}; mount -t cgroup2 none '{}'", place.display());
    let shown = format!("{}/c g\\\\x", dir.path().display());
    for (script, shown) in [(&*script, &*shown), (hide, "not mounted; a private mount works")] {
        let text = ended(&mut apart(&[], script, &["doctor"])).text();
        let row = format!("ok cgroup v2 {shown} ");
        assert!(words(&text).contains(&row), "{text}");
    }
}

/// The process details of the dashboard read /proc: `doctor` and opens are all that is asked here.
#[test]
fn without_sysfs_it_mounts_its_own_or_says_how() {
    let _alone = alone();
    let opened = Opened::new();
    let path = opened.path();
    let args = ["stream", "opens", "--path", &path, "--duration", "2s"];
    let stream = Stream::json_by(&mut apart(&[], "umount -l /sys", &args));
    opened.open_in(&[]);
    let run = stream.wait();
    assert_eq!((run.code(), opened.rows(&run).len()), (0, 1), "{}", run.stderr);
    let text = ended(&mut apart(&[], "umount -l /sys", &["doctor"])).text();
    assert!(words(&text).contains("ok BTF /sys/kernel/btf/vmlinux, by a private"), "{text}");
    // Without the right to mount.
    let bound = "umount -l /sys; set -- setpriv --bounding-set -sys_admin --inh-caps -sys_admin \
                 --no-new-privs \"$@\"";
    let run = ended(&mut apart(&[], bound, &["stream", "opens", "--duration", "1s"]));
    assert_eq!(run.code(), 1);
    assert!(run.stderr.contains("sysfs is not mounted at /sys"), "{}", run.stderr);
    assert!(run.stderr.contains("mount -t sysfs sysfs /sys"), "{}", run.stderr);
    assert!(!run.stderr.contains("CONFIG_DEBUG_INFO_BTF"), "{}", run.stderr);
}

/// A recording made by `record` has the names of brief cgroups, too.
#[test]
fn a_recording_has_the_names() {
    let _alone = alone();
    let (v2, opened) = (Hierarchy::v2(), Opened::new());
    let file = opened.dir.path().join("recording");
    let name = unique("recorded");
    let mut record = program();
    record.args(["record", file.to_str().unwrap(), "--duration", "2s", "-f"]);
    record.arg(format!("path:{}", opened.path()));
    let recording = std::thread::spawn(move || ended(&mut record));
    until("a recording", || file.exists().then_some(()));
    opened.open_in(&[&v2.make(&name).dir]);
    let run = recording.join().unwrap();
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let bytes = std::fs::read(&file).unwrap();
    let mut reader = Reader::new(std::io::Cursor::new(bytes)).unwrap();
    let mut names = Vec::new();
    while let Ok(item) = reader.read() {
        match item {
            Item::Seen(_, Seen::Cgroups(all)) => {
                names.extend(all.into_iter().filter_map(|(_, c)| c).map(|c| c.path.to_vec()));
            }
            Item::End(_) => break,
            _ => {}
        }
    }
    assert!(names.contains(&format!("/{name}").into_bytes()), "{}", names.len());
}

/// While the reader stands still more cgroups are made than the ring has room for.
#[test]
fn names_that_find_no_room_are_counted() {
    use nix::sys::signal::{Signal, kill};
    // 24 bytes and a path of over 200 each, in 256 KiB.
    const CGROUPS: usize = 1_500;
    let _alone = alone();
    let v2 = Hierarchy::v2();
    let mut stream = Stream::json(&["opens", "--pid", "999999999"]);
    let reader = nix::unistd::Pid::from_raw(stream.child.id().cast_signed());
    kill(reader, Signal::SIGSTOP).unwrap();
    for _ in 0..CGROUPS {
        drop(v2.make(&unique(&"x".repeat(200))));
    }
    kill(reader, Signal::SIGCONT).unwrap();
    // The next record that has room brings the number along.
    let said = AtomicBool::new(false);
    let end = Instant::now() + patience();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !said.load(Ordering::Relaxed) && Instant::now() < end {
                drop(v2.make(&unique("last")));
            }
        });
        stream.until_said("names of new cgroups");
        said.store(true, Ordering::Relaxed);
    });
    let run = stream.interrupt();
    let lost = run.stderr.lines().find(|l| l.contains("names of new cgroups"));
    let lost: Option<usize> = lost.and_then(|l| l.split_whitespace().find_map(|w| w.parse().ok()));
    assert!(lost.is_some_and(|n| n > 0 && n < CGROUPS), "{}", run.stderr);
}
