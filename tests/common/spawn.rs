//! Programs that a test has just written.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::patience::exited;
use super::program::ebpftop;

/// Spawns a program whose file has just been written. Another test that forked in between has
/// it open for writing until it calls exec: the kernel says "text file busy" until then.
pub fn fresh(command: &mut Command) -> Child {
    let deadline = Instant::now() + Duration::from_secs(30);
    ends_with_this_thread(command);
    loop {
        match command.spawn() {
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            child => return child.unwrap_or_else(|e| panic!("{command:?}: {e}")),
        }
    }
}

/// Has the program killed when the thread that starts it ends, however it ends: what a test starts must not
/// outlive it.
pub fn ends_with_this_thread(command: &mut Command) {
    // SAFETY: a system call on integers alone.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

/// `ebpftop`, copied to where every user can reach it, and ready to be run.
pub fn public_copy() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = dir.path().join("ebpftop");
    std::fs::copy(ebpftop(), &copy).unwrap();
    let mut run = fresh(Command::new(&copy).arg("--version").stdout(Stdio::null()));
    assert!(exited(&mut run).success());
    (dir, copy)
}

/// Whether a program can be started as another user: by root, unless it is that of a container that
/// has no capabilities.
pub fn may_change_user() -> bool {
    let has = |capability| caps::has_cap(None, caps::CapSet::Effective, capability).unwrap();
    has(caps::Capability::CAP_SETUID) && has(caps::Capability::CAP_SETGID)
}
