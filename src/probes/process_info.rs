//! Reads the details of a process from /proc and the user database. Everything here may block: a
//! process that hangs in the kernel can hold the lock under which its command line is read.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::cgroups::{Cgroups, systemd_hierarchy};
use crate::clock;
use crate::model::cgroup::Cgroup;
use crate::model::lineage::{Ancestor, Lookup};
use crate::model::mounts::cgroup_path;
use crate::model::open::Comm;
use crate::model::process::{NS_PER_TICK, ProcessKey};
use crate::model::process_info::{
    Descriptors, OpenDescriptor, Parent, ProcessDetails, ProcessInfo, ProcessQuery, Stat, Unread,
    arguments, counted,
};

/// Maximum bytes of a command line.
const MOST_ARGS: u64 = 16 << 10;

/// Maximum threads, distinct names of threads, and parents.
const MOST_THREADS: usize = 256;
const MOST_NAMES: usize = 32;
const MOST_PARENTS: usize = 12;

/// Maximum descriptors that are named; all are counted.
const MOST_DESCRIPTORS: usize = 512;

/// Reads name and parent of a process.
pub fn parent(pid: u32) -> Lookup {
    let found = stat(pid).map(|stat| Ancestor {
        pid,
        name: Comm::new(&stat.name),
        ppid: stat.ppid,
        start_boottime_ns: stat.start_ticks.saturating_mul(NS_PER_TICK),
    });
    let read_boottime_ns = clock::boottime_ns();
    Lookup { pid, read_boottime_ns, found }
}

/// Reads the details of `asked`. It returns nothing of another process that has the id by now: it
/// checks the start time before and after.
pub fn describe(asked: &ProcessQuery, cgroups: &mut Cgroups) -> ProcessInfo {
    let pid = asked.key.tgid;
    let found =
        Some(pid).filter(|pid| is_it(*pid, asked.key)).map(|pid| (facts(asked), in_cgroup(pid)));
    let (facts, cgroup) = match found.filter(|_| is_it(pid, asked.key)) {
        Some((facts, cgroup)) => (Ok(facts), cgroup),
        None => (Err(Unread::Gone), None),
    };
    let by_id = asked.cgroup_id.and_then(|id| cgroups.get(id, clock::mono)).cloned();
    let user = User::from_uid(Uid::from_raw(asked.uid)).ok().flatten().map(|u| u.name);
    ProcessInfo { user, cgroup: by_id.or(cgroup), facts }
}

/// The cgroup of a process; `None` where it has ended, or /proc does not say.
pub fn cgroup_of(key: ProcessKey) -> Option<Cgroup> {
    let pid = key.tgid;
    let cgroup = is_it(pid, key).then(|| in_cgroup(pid))?;
    cgroup.filter(|_| is_it(pid, key))
}

fn stat(pid: u32) -> Option<Stat> {
    let mut stat = Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)?;
    // /proc has it in the reader's time namespace.
    let started_ns = stat.start_ticks.saturating_mul(NS_PER_TICK);
    stat.start_ticks = clock::boottime_of_kernel(started_ns) / NS_PER_TICK;
    Some(stat)
}

fn is_it(pid: u32, key: ProcessKey) -> bool {
    stat(pid).is_some_and(|s| s.started_at(key.start_boottime_ns))
}

fn facts(asked: &ProcessQuery) -> ProcessDetails {
    let pid = asked.key.tgid;
    let (exe, text) = program(pid);
    let names: Vec<Vec<u8>> = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST_THREADS)
        .filter_map(|task| fs::read(task.path().join("comm")).ok())
        .map(|mut name| {
            name.pop_if(|b| *b == b'\n');
            name
        })
        .collect();
    let thread_count =
        fs::read_dir(format!("/proc/{pid}/task")).map_or(names.len(), Iterator::count);
    let started_ns = clock::boottime_ns().saturating_sub(asked.key.start_boottime_ns);
    ProcessDetails {
        exe: exe.map(|path| path.into_os_string().into_vec()),
        args_cut: text.len() as u64 >= MOST_ARGS,
        args: arguments(&text),
        parents: parents(pid),
        started_ns,
        started: wall_clock(started_ns),
        threads: counted(names, MOST_NAMES),
        thread_count,
        descriptors: descriptors(pid),
    }
}

/// The open descriptors of a process. Another user's take CAP_SYS_PTRACE.
fn descriptors(pid: u32) -> Option<Descriptors> {
    let dir = PathBuf::from(format!("/proc/{pid}/fd"));
    let entries = fs::read_dir(&dir).ok()?;
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    let target = |fd: &u32| {
        // One that was closed meanwhile has none.
        let target = fs::read_link(dir.join(fd.to_string())).ok()?;
        Some(OpenDescriptor { fd: *fd, target: target.into_os_string().into_vec() })
    };
    let count = numbers.len();
    let listed = numbers.iter().take(MOST_DESCRIPTORS).filter_map(target).collect();
    Some(Descriptors { listed, count })
}

/// The number of open descriptors of a process; `None` where it has ended, or they may not be read.
pub fn descriptor_count(key: ProcessKey) -> Option<usize> {
    let pid = key.tgid;
    let entries = is_it(pid, key).then(|| fs::read_dir(format!("/proc/{pid}/fd")))?.ok()?;
    let count = entries.flatten().count();
    is_it(pid, key).then_some(count)
}

/// The executable and the command line. A main thread that has ended has neither, while others of its
/// process still run them: then the first of those that has.
fn program(pid: u32) -> (Option<PathBuf>, Vec<u8>) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let tasks = || fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let of = |dir: PathBuf| Some((fs::read_link(dir.join("exe")).ok()?, dir));
    let found =
        of(process.clone()).or_else(|| tasks().take(MOST_THREADS).find_map(|task| of(task.path())));
    let (exe, dir) = match found {
        Some((exe, dir)) => (Some(exe), dir),
        // Threads of the kernel have none; another user's may not be read.
        None => (None, process),
    };
    let mut text = Vec::new();
    if let Ok(file) = File::open(dir.join("cmdline")) {
        // Bytes read before an error are kept.
        let _ = file.take(MOST_ARGS).read_to_end(&mut text);
    }
    (exe, text)
}

fn parents(pid: u32) -> Vec<Parent> {
    let mut parents = Vec::new();
    let mut next = stat(pid).map_or(0, |s| s.ppid);
    while next > 0 && parents.len() < MOST_PARENTS {
        let Some(stat) = stat(next) else { break };
        parents.push(Parent { pid: next, name: stat.name });
        next = stat.ppid;
    }
    parents
}

/// Its cgroup, as this process sees it.
fn in_cgroup(pid: u32) -> Option<Cgroup> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    cgroup_path(&text, systemd_hierarchy() > 0).map(Cgroup::at)
}

fn wall_clock(ago_ns: u64) -> String {
    let ago = jiff::SignedDuration::from_nanos(i64::try_from(ago_ns).unwrap_or(i64::MAX));
    let then = jiff::Timestamp::now().checked_sub(ago).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    then.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_process() -> ProcessQuery {
        let tgid = std::process::id();
        let start_boottime_ns = stat(tgid).unwrap().start_ticks * 10_000_000;
        let uid = nix::unistd::getuid().as_raw();
        ProcessQuery { key: ProcessKey { tgid, start_boottime_ns }, uid, cgroup_id: None }
    }

    #[test]
    fn details_of_this_process_are_right() {
        let who = describe(&this_process(), &mut Cgroups::new());
        let facts = who.facts.unwrap();
        let exe = std::env::current_exe().unwrap();
        assert_eq!(facts.exe, Some(exe.into_os_string().into_vec()));
        assert_eq!(facts.args.len(), std::env::args_os().len());
        assert_eq!(facts.parents.first().unwrap().pid, std::os::unix::process::parent_id());
        assert!(facts.thread_count > 1 && !facts.threads.is_empty());
        assert!(facts.started_ns < 3_600_000_000_000, "{}", facts.started_ns);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_read() {
        let mut asked = this_process();
        asked.key.start_boottime_ns -= 1_000_000_000;
        assert_eq!(describe(&asked, &mut Cgroups::new()).facts, Err(Unread::Gone));
    }
}
