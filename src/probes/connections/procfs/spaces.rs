//! Network namespaces: each lists its own sockets to threads inside it.
//!
//! A namespace is entered for as long as listing takes, by a process that is in it: nothing of it is
//! held in between, so that it can go.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use hashbrown::{HashMap, HashSet};
use nix::sched::{CloneFlags, setns};

use super::diag::{self, Entry};
use super::fds;

/// Other namespaces that are listed; those beyond are counted.
const MOST: usize = 1_024;

/// The namespaces that processes are in.
pub(super) struct Spaces {
    own: File,
    own_inode: u32,
    /// Processes by which one of the others can be entered.
    others: HashMap<u32, Vec<u32>>,
    /// Namespaces that could not be listed in the last poll, with the error.
    failed: HashMap<u32, io::Error>,
    left_out: u64,
}

impl Spaces {
    /// The one that the thread is in.
    pub(super) fn new() -> io::Result<Self> {
        let own = File::open("/proc/thread-self/ns/net")?;
        let own_inode = inode(&own)?;
        Ok(Self { own, own_inode, others: HashMap::new(), failed: HashMap::new(), left_out: 0 })
    }

    /// Takes over what a scan found. A namespace without a process has no sockets that one holds.
    pub(super) fn learn(&mut self, mut found: HashMap<u32, Vec<u32>>) {
        found.remove(&self.own_inode);
        let kept: HashSet<u32> = {
            let known = found.keys().filter(|n| self.others.contains_key(*n));
            let new = found.keys().filter(|n| !self.others.contains_key(*n));
            known.chain(new).take(MOST).copied().collect()
        };
        self.left_out = (found.len() - kept.len()) as u64;
        found.retain(|inode, _| kept.contains(inode));
        self.failed.retain(|inode, _| kept.contains(inode));
        self.others = found;
    }

    /// Namespaces beyond the bound.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Hands over all connected sockets with the inode of their namespace; returns the kernel's modules
    /// that cannot answer. An error: the own ones cannot be listed, or the thread cannot come back.
    pub(super) fn each(
        &mut self,
        mut take: impl FnMut(u32, Entry),
    ) -> io::Result<Vec<(&'static str, io::Error)>> {
        let own_inode = self.own_inode;
        let refused = diag::list(|entry| take(own_inode, entry))?;
        let mut failed = HashMap::new();
        for (inode, guides) in &self.others {
            match enter(*inode, guides) {
                Ok(true) => {
                    let listed = diag::list(|entry| take(*inode, entry));
                    // In another one than its own this thread would report the wrong sockets.
                    setns(&self.own, CloneFlags::CLONE_NEWNET)?;
                    if let Err(e) = listed {
                        failed.insert(*inode, e);
                    }
                }
                // Its processes have gone: the next scan knows whether there are others.
                Ok(false) => {}
                Err(e) => {
                    failed.insert(*inode, e);
                }
            }
        }
        self.failed = failed;
        Ok(refused)
    }

    /// Whether a socket of this namespace that the last poll did not find is gone.
    pub(super) fn was_listed(&self, inode: u32) -> bool {
        !self.failed.contains_key(&inode)
    }

    /// How many namespaces may not be entered, how many sockets they have, and why.
    pub(super) fn closed(&self) -> Option<(usize, u64, String)> {
        let e = self.failed.values().next()?;
        let why = match e.raw_os_error() {
            Some(libc::EPERM) => format!("{e}: entering them takes CAP_SYS_ADMIN"),
            _ => e.to_string(),
        };
        let guides = self.failed.keys().filter_map(|inode| self.others.get(inode)?.first());
        Some((self.failed.len(), guides.map(|pid| fds::sockets_around(*pid)).sum(), why))
    }
}

/// Enters a namespace by one of the processes that were in it; false where none is any more.
fn enter(namespace: u32, guides: &[u32]) -> io::Result<bool> {
    for pid in guides {
        let Ok(file) = File::open(format!("/proc/{pid}/ns/net")) else { continue };
        if inode(&file).ok() == Some(namespace) {
            setns(file, CloneFlags::CLONE_NEWNET)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn inode(file: &File) -> io::Result<u32> {
    // Of nsfs, whose numbers have 32 bits.
    u32::try_from(file.metadata()?.ino()).map_err(io::Error::other)
}
