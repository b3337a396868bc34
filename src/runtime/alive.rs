//! Which processes are no longer there: one system call each, and none of them can block.

use std::os::linux::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::model::opens::ProcessKey;

/// The inode of the initial PID namespace (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Whether the ids that the kernel tells are those that this process can ask for.
pub(super) fn can_tell() -> bool {
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|m| m.st_ino() == INITIAL_PID_NAMESPACE)
}

/// Those of `keys` whose id nobody has any more.
pub(super) fn gone(keys: &[ProcessKey]) -> Vec<ProcessKey> {
    let is_gone = |key: &&ProcessKey| {
        i32::try_from(key.tgid)
            .ok()
            .filter(|pid| *pid > 0)
            .is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
    };
    keys.iter().filter(is_gone).copied().collect()
}
