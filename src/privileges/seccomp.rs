//! A seccomp filter that refuses system calls which this program never makes.
//!
//! Landlock is not used: a thread behind it may no longer read what `/proc` links to for processes
//! outside (`hook_ptrace_access_check`, security/landlock/task.c), which the details of a process
//! need.

use std::collections::BTreeMap;

use libc::{self as c, c_long};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Starting or controlling another program, changing the kernel, the machine, ids, mounts or the
/// clock, and calls that exploits used and that this program does not need.
const NEVER: [c_long; 50] = [
    c::SYS_execve,
    c::SYS_execveat,
    c::SYS_ptrace,
    c::SYS_process_vm_readv,
    c::SYS_process_vm_writev,
    c::SYS_pidfd_getfd,
    c::SYS_kcmp,
    c::SYS_init_module,
    c::SYS_finit_module,
    c::SYS_delete_module,
    c::SYS_kexec_load,
    c::SYS_kexec_file_load,
    c::SYS_reboot,
    c::SYS_swapon,
    c::SYS_swapoff,
    c::SYS_acct,
    c::SYS_quotactl,
    c::SYS_syslog,
    c::SYS_personality,
    c::SYS_vhangup,
    c::SYS_mount,
    c::SYS_umount2,
    c::SYS_pivot_root,
    c::SYS_chroot,
    c::SYS_move_mount,
    c::SYS_open_tree,
    c::SYS_mount_setattr,
    c::SYS_unshare,
    c::SYS_mknodat,
    c::SYS_open_by_handle_at,
    c::SYS_settimeofday,
    c::SYS_clock_settime,
    c::SYS_clock_adjtime,
    c::SYS_adjtimex,
    c::SYS_sethostname,
    c::SYS_setdomainname,
    c::SYS_setuid,
    c::SYS_setgid,
    c::SYS_setreuid,
    c::SYS_setregid,
    c::SYS_setresuid,
    c::SYS_setresgid,
    c::SYS_setgroups,
    c::SYS_add_key,
    c::SYS_request_key,
    c::SYS_keyctl,
    c::SYS_userfaultfd,
    c::SYS_io_uring_setup,
    c::SYS_fanotify_init,
    c::SYS_process_madvise,
];

/// From now on this thread, and those that it starts, get EPERM for all of `NEVER`, and cannot gain
/// privileges by `execve` (`no_new_privs`). To be called before there are other threads. The error is
/// the reason why there is no filter.
pub fn seccomp() -> Result<(), String> {
    // Applies without seccomp as well.
    nix::sys::prctl::set_no_new_privs().map_err(|e| e.to_string())?;
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let rules: BTreeMap<i64, Vec<_>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch);
    let program = filter.and_then(BpfProgram::try_from).map_err(|e| e.to_string())?;
    seccompiler::apply_filter(&program).map_err(|e| e.to_string())
}

/// Whether this thread runs under a seccomp filter.
pub fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|l| l.strip_prefix("Seccomp:").is_some_and(|n| n.trim() == "2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_the_filter_no_program_is_started() {
        let behind = || {
            seccomp().unwrap();
            let started = std::process::Command::new("/bin/true").status();
            let hidden = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS);
            (started.map_err(|e| e.raw_os_error()), hidden, is_filtered())
        };
        let (started, hidden, filtered) = std::thread::spawn(behind).join().unwrap();
        assert_eq!(started.unwrap_err(), Some(libc::EPERM));
        assert_eq!(hidden, Err(nix::errno::Errno::EPERM));
        assert!(filtered);
        // This thread has no filter.
        assert!(std::process::Command::new("/bin/true").status().unwrap().success());
    }
}
