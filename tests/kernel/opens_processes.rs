//! Processes of opens, on the real kernel: children of every kind, and pids that are used again.

use std::collections::HashSet;
use std::ffi::{CStr, c_int, c_void};
use std::fs::File;
use std::process::Command;

use crate::common::net::{ip, own_namespace};
use crate::common::opens::{Seen, in_child, own_comm, watch};
use crate::common::patience::reaped;
use crate::common::program::ebpftop;
use crate::common::tty::Tty;
use ebpftop::model::open::{OpenBatch, ResolvedKind};
use ebpftop::model::opens::Opens;
use ebpftop::model::process_info::ProcessQuery;
use ebpftop::model::time::Mono;
use ebpftop::probes::OpensConfig;
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork};

/// Opens by the call itself: nothing of the C library's or of Rust's is touched.
fn raw_open(path: &CStr) -> i64 {
    // SAFETY: a string that lives through the call.
    unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY) }
}

/// Waits for a child; it must have ended as it should.
fn reap(pid: i32) {
    let status = reaped(Pid::from_raw(pid));
    assert_eq!(status, WaitStatus::Exited(Pid::from_raw(pid), 0));
}

#[test]
fn a_hundred_short_lived_processes_are_all_named() {
    let watch = watch(OpensConfig::default());
    let me = std::process::id();
    let mut pids = Vec::new();
    for _ in 0..100 {
        let mut child = Command::new("cat")
            .arg("/etc/hostname")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        pids.push(child.id());
        child.wait().unwrap();
    }
    let (seen, _) = watch.finish(|m| m.ppid == me);
    for pid in pids {
        let open = seen
            .iter()
            .find(|s| s.meta.tgid == pid && s.path.as_deref() == Some(b"/etc/hostname"))
            .unwrap_or_else(|| panic!("no open of {pid}"));
        assert_eq!(open.meta.process.as_bytes(), b"cat");
        assert_eq!(open.meta.comm.as_bytes(), b"cat");
    }
}

#[test]
fn the_end_of_a_process_is_reported_once_and_of_a_thread_never() {
    let watch = watch(OpensConfig::default());
    let child = in_child(|| {
        std::thread::spawn(|| File::open("/etc/hostname").unwrap()).join().unwrap();
    });
    let all = watch.finish_all(|m| m.tgid == child);
    let ended: Vec<_> = all.ended.iter().filter(|e| e.tgid == child).collect();
    assert_eq!(ended.len(), 1);
    let open = all.seen.iter().find(|s| s.path_str() == "/etc/hostname").unwrap();
    assert_eq!(ended[0].start_boottime_ns, open.meta.start_boottime_ns);
    assert!(ended[0].at > open.meta.at);
}

/// Threads have names of their own; the process keeps the leader's.
#[test]
fn thread_and_process_are_named_each() {
    let watch = watch(OpensConfig::default());
    let child = in_child(|| {
        std::thread::Builder::new()
            .name("a worker".into())
            .spawn(|| File::open("/etc/hostname").unwrap())
            .unwrap()
            .join()
            .unwrap();
    });
    let (seen, _) = watch.finish(|m| m.tgid == child);
    let open = seen.iter().find(|s| s.path_str() == "/etc/hostname").unwrap();
    assert_eq!(open.meta.comm.as_bytes(), b"a worker");
    assert_eq!(open.meta.process.as_bytes(), own_comm());
    assert_ne!(open.meta.tid, open.meta.tgid);
}

/// Ids are those of the initial PID namespace, whatever the process calls itself.
#[test]
fn a_pid_namespace_is_seen_from_outside() {
    let watch = watch(OpensConfig::default());
    let me = std::process::id();
    let outer = in_child(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWPID).unwrap();
        in_child(|| {
            assert_eq!(std::process::id(), 1);
            File::open("/etc/hostname").unwrap();
        });
    });
    let (seen, _) = watch.finish(|m| m.ppid == outer);
    let open = seen.iter().find(|s| s.path_str() == "/etc/hostname").unwrap();
    assert!(open.meta.tgid > 1 && open.meta.tgid != outer && open.meta.tgid != me);
    assert_eq!(open.meta.tid, open.meta.tgid);
}

/// The child of [`vfork`]: it opens one file that there is and one that there is not.
extern "C" fn open_and_exit(_: *mut c_void) -> c_int {
    raw_open(c"/etc/hostname");
    raw_open(c"/no such file by a vfork");
    // SAFETY: ends the child alone; the parent's memory stays as it is.
    unsafe { libc::_exit(0) }
}

/// A child that shares our memory, which waits for its end: `vfork` with a stack of its own.
fn vfork() -> i32 {
    let mut stack = vec![0u64; 8192];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack outlives the child, since we wait; it allocates nothing and returns never.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        libc::clone(open_and_exit, top, flags, std::ptr::null_mut())
    };
    assert!(pid > 0, "{}", std::io::Error::last_os_error());
    pid
}

#[test]
fn vfork_children_that_open_and_exit_are_reported_whole() {
    const CHILDREN: usize = 200;
    let watch = watch(OpensConfig::default());
    let children: Vec<u32> = (0..CHILDREN)
        .map(|_| {
            let pid = vfork();
            reap(pid);
            pid as u32
        })
        .collect();
    let me = std::process::id();
    let all = watch.finish_all(|m| m.ppid == me && children.contains(&m.tgid));
    assert_eq!(all.counts.malformed, 0);
    assert_eq!(all.seen.len(), 2 * CHILDREN);
    for pid in children {
        let opens: Vec<_> = all.seen.iter().filter(|s| s.meta.tgid == pid).collect();
        let [good, bad] = opens[..] else { panic!("of {pid}: {opens:?}") };
        assert_eq!(good.resolved, Some((ResolvedKind::Opened, b"/etc/hostname".to_vec())));
        let tried = b"/no such file by a vfork".to_vec();
        assert_eq!(bad.resolved, Some((ResolvedKind::Tried, tried)));
        assert_eq!(bad.meta.errno(), Some(libc::ENOENT));
        assert_eq!((good.meta.tid, good.meta.process), (pid, good.meta.comm));
        assert_eq!(good.meta.process.as_bytes(), own_comm());
        let mut ended = all.ended.iter().filter(|e| e.tgid == pid);
        assert_eq!(ended.next().unwrap().start_boottime_ns, good.meta.start_boottime_ns);
        assert_eq!(ended.next(), None);
    }
}

/// Forks for [`bomb`]: `wide` children, each of which does the same, `deep` levels down.
fn spread(wide: u32, deep: u32) {
    let mut children = Vec::new();
    for _ in 0..if deep == 0 { 0 } else { wide } {
        // SAFETY: this is a forked process with one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                spread(wide, deep - 1);
                raw_open(c"/no such file by a bomb");
                // SAFETY: ends the process without the harness's own exit.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => children.push(child.as_raw()),
        }
    }
    children.into_iter().for_each(reap);
}

/// Processes that make processes: every one of them opens once and ends.
#[test]
fn a_bounded_fork_bomb_is_reported_whole() {
    const ALL: usize = 3 + 9 + 27 + 81 + 243 + 729 + 2187;
    let watch = watch(OpensConfig::default());
    in_child(|| spread(3, 7));
    let all = watch.finish_all(|_| true);
    assert_eq!(all.counts.malformed, 0);
    let ours: Vec<&Seen> =
        all.seen.iter().filter(|s| s.path_str() == "/no such file by a bomb").collect();
    let who: HashSet<_> = ours.iter().map(|s| (s.meta.tgid, s.meta.start_boottime_ns)).collect();
    assert_eq!((ours.len(), who.len()), (ALL, ALL));
    let ended = all.ended.iter().filter(|e| who.contains(&(e.tgid, e.start_boottime_ns)));
    assert_eq!(ended.count(), ALL);
}

/// A child called `name` that opens `path` and ends, with this pid if one is given; its pid, or
/// `None` where somebody else has it.
fn child_with_pid(pid: Option<i32>, name: &CStr, path: &CStr) -> Option<i32> {
    // SAFETY: integers, for which zero is a value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(pid) = &pid {
        args.set_tid = std::ptr::from_ref(pid) as u64;
        args.set_tid_size = 1;
    }
    // SAFETY: a child with memory of its own, as by fork; it makes system calls and nothing else.
    let child = unsafe {
        match libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) {
            0 => {
                libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0);
                raw_open(path);
                libc::_exit(0)
            }
            child => child as i32,
        }
    };
    if child < 0 {
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST), "{error}");
        return None;
    }
    reap(child);
    Some(child)
}

/// Two children after each other with the same pid.
fn twins(name: &CStr, paths: [&CStr; 2]) -> u32 {
    for _ in 0..100 {
        let first = child_with_pid(None, name, paths[0]).unwrap();
        if child_with_pid(Some(first), name, paths[1]).is_some() {
            return first as u32;
        }
    }
    panic!("no pid could be used again");
}

#[test]
fn a_reused_pid_is_another_process() {
    let watch = watch(OpensConfig::default());
    let pid = twins(c"twins", [c"/etc/hostname", c"/no such file by a twin"]);
    let all = watch.finish_all(|m| m.tgid == pid && m.comm.as_bytes() == b"twins");
    let [first, second] = &all.seen[..] else { panic!("{:?}", all.seen) };
    assert_eq!(first.path_str(), "/etc/hostname");
    assert_eq!(second.path_str(), "/no such file by a twin");
    assert!(first.meta.start_boottime_ns < second.meta.start_boottime_ns);
    let starts: Vec<u64> =
        all.ended.iter().filter(|e| e.tgid == pid).map(|e| e.start_boottime_ns).collect();
    assert_eq!(starts, [first.meta.start_boottime_ns, second.meta.start_boottime_ns]);

    // In the dashboard's tables each has what it opened, and no more.
    let mut batch = OpenBatch::default();
    for open in &all.seen {
        let resolved = open.resolved.as_ref().map(|(kind, path)| (*kind, &path[..]));
        batch.push(open.meta, open.path.as_deref(), resolved);
    }
    batch.ended = all.ended.into_iter().filter(|e| e.tgid == pid).collect();
    let mut opens = Opens::default();
    opens.add_batch(&batch, Mono(0));
    let mut held: Vec<_> = opens.processes().iter().map(|(_, p)| p).collect();
    held.sort_by_key(|p| p.key.start_boottime_ns);
    let reported =
        |p: &&ebpftop::model::opens::Process| (p.key.tgid, p.tally.opens, p.tally.failed);
    assert_eq!(held.iter().map(reported).collect::<Vec<_>>(), [(pid, 1, 0), (pid, 1, 1)]);
    assert!(held.iter().all(|p| p.ended.is_some() && p.files.len() == 1));
}

/// The dashboard shows both, each with its own file.
#[test]
fn a_reused_pid_has_two_rows() {
    own_namespace();
    ip("link set lo up");
    let env = [("XDG_CONFIG_HOME", "/nonexistent"), ("SUDO_USER", "")];
    let args = ["--interval", "100ms", "-i", "lo", "--process", "opn-twins"];
    let mut tty = Tty::start(ebpftop(), &args, &env, (200, 60));
    tty.wait_until("both probes", |s| s.contains("Files") && !s.contains("starting"));
    tty.send("t");
    tty.wait_for("by process");
    let pid = twins(c"opn-twins", [c"/etc/hostname", c"/no such file by a twin"]);
    let row = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"opn-twins") && words.contains(&pid.to_string().as_str())
    };
    let screen = tty.wait_until("two rows", |s| s.lines().filter(row).count() == 2);
    assert!(screen.contains("/etc/hostname") && screen.contains("/no such file by a twin"));
}

/// The main thread has ended and others work on: /proc/PID has nothing of the program, the other
/// threads do.
#[test]
fn a_process_whose_main_thread_has_ended_has_its_program() {
    use ebpftop::model::process::ProcessKey;
    use ebpftop::probes::cgroups::Cgroups;
    use ebpftop::probes::process_info::describe;
    let mut watch = watch(OpensConfig::default());
    // SAFETY: as `in_child`.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            std::thread::spawn(|| {
                for _ in 0..1_000 {
                    raw_open(c"/etc/hostname");
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
            });
            // SAFETY: ends this thread alone, and nothing of it is needed by the other.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
            unreachable!("the thread has ended");
        }
    };
    let pid = child.as_raw() as u32;
    let status = format!("/proc/{pid}/status");
    let seen = watch.wait_for(|batch| {
        batch.iter().any(|o| o.meta.tgid == pid && o.meta.tid != pid)
            && std::fs::read_to_string(&status).unwrap().contains("State:\tZ")
    });
    let open = seen.iter().find(|s| s.meta.tgid == pid).unwrap();
    let start_boottime_ns = open.meta.start_boottime_ns;
    let asked = ProcessQuery {
        key: ProcessKey { tgid: pid, start_boottime_ns },
        uid: open.meta.uid,
        cgroup_id: open.meta.cgroup_id,
    };
    let facts = describe(&asked, &mut Cgroups::new()).facts.unwrap();
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    reaped(child);
    watch.finish(|_| false);
    let exe = std::env::current_exe().unwrap();
    assert_eq!(facts.exe, Some(exe.into_os_string().into_encoded_bytes()));
    assert_eq!(facts.args.len(), std::env::args_os().len());
}
