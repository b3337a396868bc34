//! Finds processes that have ended: one system call each, none of which can block.

use std::os::linux::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::model::process::ProcessKey;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Whether this process is in the initial PID namespace, so that it can ask for the ids of events.
pub(super) fn is_initial_namespace() -> bool {
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|m| m.st_ino() == INITIAL_PID_NAMESPACE)
}

/// The keys whose id no process has any more.
pub(super) fn gone(keys: &[ProcessKey]) -> Vec<ProcessKey> {
    let is_gone = |key: &&ProcessKey| {
        i32::try_from(key.tgid)
            .ok()
            .filter(|pid| *pid > 0)
            .is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
    };
    keys.iter().filter(is_gone).copied().collect()
}
