//! Listeners of all network namespaces, read on request.
//!
//! Those of the own namespace come from `sock_diag`, those of others from the files that a process in them
//! has in /proc: entering a namespace would take CAP_SYS_ADMIN for as long as the program runs. An iterator
//! over the open files of all processes says who holds a socket, and what these files of /proc lack: the
//! limit of the queue and drops of TCP, and names of Unix sockets that no other name can forge. Where the
//! kernel refuses it, `/proc/PID/fd` says who holds a socket.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use hashbrown::{HashMap, HashSet};

use super::files::{ListeningFile, ListeningFiles, Queue};
use super::proc_net::of_process;
use crate::clock;
use crate::model::coverage::Missing;
use crate::model::listener::{Listener, Listeners, MAX_CGROUP_BYTES, MAX_LISTENERS};
use crate::model::process::ProcessKey;
use crate::probes::connections::procfs::diag::{self, Listening, unix};
use crate::probes::connections::procfs::fds::{self, Scan};
use crate::probes::preflight;

/// Unix sockets of other namespaces that are counted once, in however many processes they are open.
const MOST_COUNTED: usize = 4 * MAX_LISTENERS;

/// Reads the listeners.
#[derive(Debug)]
pub struct ListenerReader {
    files: ListeningFiles,
    /// Unix sockets, too.
    with_unix: bool,
    /// Process ids are those that programs report.
    same_ids: bool,
}

/// One reading on its way.
#[derive(Debug, Default)]
struct Reading {
    /// With the namespace of each.
    found: Vec<(u32, Listening)>,
    left_out: u64,
    /// Their inodes.
    inodes: HashSet<u32>,
    /// Inodes of Unix sockets that files alone show, [`MOST_COUNTED`] at most: of further ones, which are left out,
    /// each file counts.
    counted: HashSet<u32>,
    /// Unix sockets in other namespaces whose name cannot be read.
    unnamed: u64,
    holders: Scan,
    /// By inode.
    queues: HashMap<u32, Queue>,
    /// Why rows or processes are missing.
    problems: Vec<String>,
    /// Listeners may be missing.
    partial: bool,
}

impl ListenerReader {
    /// Loads what the kernel takes of the program for it; `with_unix`: reads Unix sockets, too.
    pub fn load(with_unix: bool) -> Self {
        let same_ids = preflight::in_initial_pid_namespace() == Some(true);
        Self { files: ListeningFiles::load(with_unix), with_unix, same_ids }
    }

    /// The features that the kernel refused.
    pub fn missing(&self) -> &[Missing] {
        self.files.missing()
    }

    /// The listeners now.
    pub fn read(&self) -> Listeners {
        let now = clock::now();
        let failed = |e: io::Error| Listeners {
            problem: Some(format!("cannot read the listeners: {e}")),
            partial: true,
            ..Listeners::default()
        };
        Listeners { at: now.mono, wall: now.wall, ..self.list().unwrap_or_else(failed) }
    }

    fn list(&self) -> io::Result<Listeners> {
        let own = u32::try_from(std::fs::metadata("/proc/thread-self/ns/net")?.ino())
            .map_err(io::Error::other)?;
        let mut reading = Reading::default();
        let refused = diag::listening(|listening| reading.add(own, listening))?;
        if let Some((module, e)) = refused.first() {
            reading.problems.push(format!("UDP is missing: {module}: {e}"));
        }
        if self.with_unix
            && let Some((module, e)) = unix::listening(|listening| reading.add(own, listening))?
        {
            reading.lacks(format!("Unix sockets of this namespace are missing: {module}: {e}"));
        }
        let mut others = fds::namespaces()?;
        others.remove(&own);
        let (mut unread, mut cut) = (0, 0);
        for (netns, guides) in &others {
            let mut read =
                guides.iter().map(|pid| of_process(*netns, *pid, |l| reading.add(*netns, l)));
            match read.find_map(Result::ok) {
                Some(is_whole) => cut += u64::from(!is_whole),
                // Its processes may have ended meanwhile, and the namespace with them.
                None => {
                    let lives = |pid: &u32| File::open(format!("/proc/{pid}")).is_ok();
                    unread += u64::from(guides.iter().any(lives));
                }
            }
        }
        if unread > 0 {
            reading.lacks(format!("{unread} namespaces cannot be read"));
        }
        if cut > 0 {
            reading.lacks(format!("{cut} namespaces have more sockets than are read"));
        }
        let iterates = self.take_files(own, &mut reading);
        if !iterates && self.with_unix && !others.is_empty() {
            let n = others.len();
            reading.lacks(format!("Unix sockets of {n} other namespaces are not seen"));
        }
        if reading.unnamed > 0 {
            let n = reading.unnamed;
            reading.lacks(format!("Unix sockets are missing, whose names cannot be read: {n}"));
        }
        if !iterates || !self.same_ids {
            reading.holders = fds::scan(|inode| reading.inodes.contains(&inode))?;
        }
        Ok(reading.listeners())
    }

    /// Takes the listening files of all processes; false where that is not possible.
    fn take_files(&self, own: u32, reading: &mut Reading) -> bool {
        let iterated = self.files.read(|file| reading.add_file(own, file));
        iterated.unwrap_or_else(|e| {
            reading.problems.push(format!("open files cannot be iterated over: {e}"));
            false
        })
    }
}

impl Reading {
    fn add(&mut self, netns: u32, listening: Listening) {
        if self.found.len() < MAX_LISTENERS {
            if listening.inode != 0 {
                self.inodes.insert(listening.inode);
            }
            self.found.push((netns, listening));
        } else {
            self.left_out += 1;
        }
    }

    /// Takes a listening socket that a process has open. Unix sockets of other namespaces are known by
    /// nothing else.
    fn add_file(&mut self, own: u32, file: ListeningFile) {
        let ListeningFile { owner, inode, netns, queue, unix } = file;
        let is_new = netns != own && !self.inodes.contains(&inode);
        if let Some(unix) = unix.filter(|_| is_new && self.is_uncounted(inode)) {
            let (waiting, limit) = queue.map_or((0, None), |q| (q.waiting, Some(q.limit)));
            match unix.bound() {
                Some(bound) => {
                    self.add(netns, Listening { bound, inode, waiting, limit, drops: None });
                }
                None => self.unnamed += 1,
            }
        }
        if self.inodes.contains(&inode) {
            self.holders.add_held(inode, owner);
            self.queues.extend(queue.map(|queue| (inode, queue)));
        }
    }

    /// Whether a socket that is found in a file was not counted before.
    fn is_uncounted(&mut self, inode: u32) -> bool {
        if self.counted.len() == MOST_COUNTED {
            return !self.counted.contains(&inode);
        }
        self.counted.insert(inode)
    }

    /// Notes why listeners are missing.
    fn lacks(&mut self, why: String) {
        self.problems.push(why);
        self.partial = true;
    }

    fn listeners(mut self) -> Listeners {
        if self.holders.unreadable > 0 {
            let n = self.holders.unreadable;
            self.problems.push(format!("descriptors of {n} processes cannot be read"));
        }
        if self.holders.left_out > 0 {
            let n = self.holders.left_out;
            self.problems.push(format!("{n} holders of listeners found no room"));
        }
        let mut cgroups = Cgroups::default();
        let row = |(netns, l): (u32, Listening)| {
            let mut holders = self.holders.holders(l.inode).filter(|_| l.inode != 0);
            let owner = holders.next();
            let cgroup = owner.and_then(|owner| cgroups.of(owner.key, fds::cgroup_of));
            let others = u32::try_from(holders.count()).unwrap_or(u32::MAX);
            let Listening { bound, inode, waiting, limit, drops } = l;
            // Elsewhere than here only the files say it.
            let queue = self.queues.get(&inode).filter(|_| bound.is_tcp() && limit.is_none());
            Listener {
                bound,
                netns,
                inode,
                since: None,
                waiting: queue.map_or(waiting, |queue| queue.waiting),
                limit: queue.map(|queue| queue.limit).or(limit),
                drops: queue.map(|queue| queue.drops).or(drops),
                accepted: None,
                accepting: 0,
                owner,
                others,
                cgroup,
            }
        };
        let rows = self.found.into_iter().map(row).collect();
        if cgroups.left_out > 0 {
            self.problems.push(format!("{} cgroups found no room", cgroups.left_out));
        }
        let problem = (!self.problems.is_empty()).then(|| self.problems.join("; "));
        let (left_out, partial) = (self.left_out, self.partial);
        Listeners { rows, left_out, partial, problem, ..Listeners::default() }
    }
}

/// The cgroups of the processes.
#[derive(Debug, Default)]
struct Cgroups {
    known: HashMap<ProcessKey, Option<Box<[u8]>>>,
    /// Bytes of those that were handed out, [`MAX_CGROUP_BYTES`] at most.
    bytes: usize,
    /// Those that were not, for lack of room.
    left_out: u64,
}

impl Cgroups {
    /// That of a process, as `read` reads it once.
    fn of(
        &mut self,
        key: ProcessKey,
        read: impl FnOnce(ProcessKey) -> Option<Box<[u8]>>,
    ) -> Option<Box<[u8]>> {
        let path = self.known.entry(key).or_insert_with(|| read(key)).as_ref()?;
        if path.len() > MAX_CGROUP_BYTES - self.bytes {
            self.left_out += 1;
            return None;
        }
        self.bytes += path.len();
        Some(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_beyond_their_room_are_left_out_and_counted() {
        let mut cgroups = Cgroups::default();
        let key = |tgid| ProcessKey { tgid, start_boottime_ns: 1 };
        let long = || Some(vec![b'x'; 4_000].into_boxed_slice());
        let given = (0..MAX_LISTENERS as u32)
            .filter(|n| cgroups.of(key(n % 3), |_| long()).is_some())
            .count();
        assert_eq!(given, MAX_CGROUP_BYTES / 4_000);
        assert_eq!(cgroups.left_out as usize, MAX_LISTENERS - given);
        // A short one still fits.
        assert!(cgroups.of(key(9), |_| Some((*b"/a").into())).is_some());
    }
}
