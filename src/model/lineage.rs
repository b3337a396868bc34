//! The ancestors of processes. Those that opened something are in the table of processes; of others
//! /proc is asked for name and parent.

use hashbrown::{HashMap, HashSet};

use super::open::Comm;
use super::opens::{Opens, Process};

/// Maximum processes that are known from /proc; then all of them are asked for again.
const MOST: usize = 4_096;

/// Maximum processes in one request.
const MOST_ASKED: usize = 64;

/// Maximum ancestors of a process.
const MOST_ANCESTORS: usize = 32;

/// A process that is an ancestor of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    pub pid: u32,
    pub name: Comm,
    pub ppid: u32,
    /// When it started, ns of `CLOCK_BOOTTIME`.
    pub start_boottime_ns: u64,
}

/// An answer from /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub pid: u32,
    /// When it was read, ns of `CLOCK_BOOTTIME`: of processes that started before, it is the parent.
    pub read_boottime_ns: u64,
    /// `None`: there is no such process.
    pub found: Option<Ancestor>,
}

/// Processes that are known from /proc.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    known: HashMap<u32, Lookup>,
}

impl Lineage {
    /// The ids of parents that are neither in the table nor known.
    pub fn wanted(&self, opens: &Opens) -> Vec<u32> {
        let real = || opens.processes().iter().map(|(_, p)| p).filter(|p| !p.is_stand_in());
        let held: HashSet<u32> = real().map(|p| p.key.tgid).collect();
        let unknown = |ppid: u32, start: u64| {
            let read = self.known.get(&ppid).is_some_and(|l| start <= l.read_boottime_ns);
            (ppid > 0 && !held.contains(&ppid) && !read).then_some(ppid)
        };
        let of_table = real().filter_map(|p| unknown(p.ppid, p.key.start_boottime_ns));
        let of_known = self.known.values().filter_map(|l| l.found);
        let of_known = of_known.filter_map(|a| unknown(a.ppid, a.start_boottime_ns));
        let mut wanted: Vec<u32> = Vec::new();
        for pid in of_table.chain(of_known) {
            if !wanted.contains(&pid) {
                wanted.push(pid);
            }
            if wanted.len() >= MOST_ASKED {
                break;
            }
        }
        wanted
    }

    /// Takes answers.
    pub fn take(&mut self, answers: Vec<Lookup>) {
        if self.known.len() + answers.len() > MOST {
            self.known.clear();
        }
        for answer in answers {
            let held = self.known.get(&answer.pid).and_then(|l| l.found);
            // A process that has ended was the parent of those that are known.
            let found = answer.found.or(held);
            self.known.insert(answer.pid, Lookup { found, ..answer });
        }
    }
}

/// Finds the ancestors of processes.
#[derive(Debug)]
pub struct Ancestry<'a> {
    lineage: &'a Lineage,
    by_pid: HashMap<u32, Vec<&'a Process>>,
}

impl<'a> Ancestry<'a> {
    /// Indexes the table of processes.
    pub fn of(opens: &'a Opens, lineage: &'a Lineage) -> Self {
        let mut by_pid: HashMap<u32, Vec<&Process>> = HashMap::new();
        for (_, p) in opens.processes().iter().filter(|(_, p)| !p.is_stand_in()) {
            by_pid.entry(p.key.tgid).or_default().push(p);
        }
        Self { lineage, by_pid }
    }

    /// The process with this id that had started when a child of it did; of several the last.
    fn find(&self, pid: u32, child_started: u64) -> Option<Ancestor> {
        let held = self.by_pid.get(&pid).into_iter().flatten();
        let held = held.filter(|p| p.key.start_boottime_ns <= child_started);
        let held = held.max_by_key(|p| p.key.start_boottime_ns).map(|p| Ancestor {
            pid,
            name: p.name,
            ppid: p.ppid,
            start_boottime_ns: p.key.start_boottime_ns,
        });
        let read = self.lineage.known.get(&pid).and_then(|l| l.found);
        let read = read.filter(|a| a.start_boottime_ns <= child_started);
        match (held, read) {
            // One that only has connections has no parent in the table.
            (Some(held), Some(read)) if held.ppid == 0 => {
                Some(Ancestor { name: held.name, ..read })
            }
            (held, read) => held.or(read),
        }
    }

    /// The ancestors of a process as far as they are known, the parent first.
    pub fn ancestors(&self, process: &Process) -> Vec<Ancestor> {
        let mut found = Vec::new();
        let (mut ppid, mut start) = (process.ppid, process.key.start_boottime_ns);
        while ppid > 0 && found.len() < MOST_ANCESTORS {
            let Some(ancestor) = self.find(ppid, start) else { break };
            (ppid, start) = (ancestor.ppid, ancestor.start_boottime_ns);
            found.push(ancestor);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::open::{Open, OpenMeta, Syscall};
    use crate::model::time::Mono;

    fn add(opens: &mut Opens, pid: u32, ppid: u32, start: u64, name: &str) {
        let meta = OpenMeta {
            at: Mono(start),
            tgid: pid,
            tid: pid,
            ppid,
            uid: 0,
            start_boottime_ns: start,
            comm: Comm::new(name.as_bytes()),
            process: Comm::new(name.as_bytes()),
            syscall: Syscall::Openat,
            flags: None,
            mode: 0,
            ret: 3,
            slot: None,
            latency_ns: None,
            cgroup_id: None,
        };
        opens.add(&Open { meta: &meta, path: None, resolved: None }, Mono(start));
    }

    fn lookup(pid: u32, ppid: u32, start: u64, read: u64, name: &str) -> Lookup {
        let name = Comm::new(name.as_bytes());
        let found = Some(Ancestor { pid, name, ppid, start_boottime_ns: start });
        Lookup { pid, read_boottime_ns: read, found }
    }

    fn names(opens: &Opens, lineage: &Lineage, pid: u32) -> Vec<String> {
        let ancestry = Ancestry::of(opens, lineage);
        let child = opens.processes().iter().map(|(_, p)| p).find(|p| p.key.tgid == pid).unwrap();
        let name = |a: Ancestor| String::from_utf8_lossy(a.name.as_bytes()).into_owned();
        ancestry.ancestors(child).into_iter().map(name).collect()
    }

    #[test]
    fn parents_are_in_the_table_or_asked_for() {
        let (mut opens, mut lineage) = (Opens::default(), Lineage::default());
        add(&mut opens, 30, 20, 300, "cat");
        add(&mut opens, 20, 10, 200, "job.sh");
        assert_eq!(names(&opens, &lineage, 30), ["job.sh"]);
        assert_eq!(lineage.wanted(&opens), [10]);
        lineage.take(vec![lookup(10, 1, 100, 400, "cron")]);
        assert_eq!(names(&opens, &lineage, 30), ["job.sh", "cron"]);
        assert_eq!(lineage.wanted(&opens), [1]);
        lineage.take(vec![Lookup { pid: 1, read_boottime_ns: 500, found: None }]);
        assert_eq!(lineage.wanted(&opens), [0; 0]);
    }

    /// An id that is used again is another process; one that ended is asked for once more and stays.
    #[test]
    fn an_id_that_is_used_again_is_another_process() {
        let (mut opens, mut lineage) = (Opens::default(), Lineage::default());
        add(&mut opens, 30, 20, 300, "cat");
        lineage.take(vec![lookup(20, 1, 400, 450, "late")]);
        assert_eq!(names(&opens, &lineage, 30), [""; 0], "it started after its child");
        lineage.take(vec![lookup(20, 0, 250, 460, "shell")]);
        assert_eq!(names(&opens, &lineage, 30), ["shell"]);
        add(&mut opens, 31, 20, 500, "cat");
        assert_eq!(lineage.wanted(&opens), [20], "another process may have its id by now");
        lineage.take(vec![Lookup { pid: 20, read_boottime_ns: 510, found: None }]);
        assert_eq!(names(&opens, &lineage, 30), ["shell"]);
        // The parent is its own: no loop.
        add(&mut opens, 40, 40, 600, "self");
        assert_eq!(names(&opens, &lineage, 40).len(), MOST_ANCESTORS);
    }
}
