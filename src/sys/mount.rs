//! File systems mounted for this process alone: mounts without a place in the tree.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `include/uapi/linux/mount.h`
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

/// Mounts a file system for this process alone; it ends with the descriptor. An option is a name, or a
/// name with a value. Needs CAP_SYS_ADMIN and kernel 5.2.
pub(crate) fn private_mount(
    kind: &CStr,
    options: &[(&CStr, Option<&CStr>)],
) -> io::Result<OwnedFd> {
    // SAFETY: fsopen takes a NUL-terminated name and flags, and returns a new descriptor or -1.
    let fs = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    for (name, value) in options {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        configure(&fs, command, Some(name), *value)?;
    }
    configure(&fs, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: fsmount takes the context's descriptor and flags, and returns a new descriptor or -1.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, 0) })
}

fn configure(
    fs: &OwnedFd,
    command: libc::c_uint,
    name: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    let text = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: name and value are null or NUL-terminated and live through the call; each command takes
    // null where it has none (fs/fsopen.c, vfs_fsconfig_locked).
    let done = unsafe {
        libc::syscall(libc::SYS_fsconfig, fs.as_raw_fd(), command, text(name), text(value), 0)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes the result of a system call: a new descriptor or -1.
pub(super) fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
