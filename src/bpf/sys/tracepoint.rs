//! Syscall tracepoints as perf events, also where nobody has mounted tracefs.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use libbpf_rs::{Link, ProgramMut};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

/// An open tracefs: one that is mounted, else a mount of our own that nobody else sees.
#[derive(Debug)]
pub(crate) struct TraceFs {
    root: OwnedFd,
}

const MOUNTED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `include/uapi/linux/mount.h`
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;

impl TraceFs {
    /// Opens tracefs. Mounting needs CAP_SYS_ADMIN and kernel 5.2; the mount ends with the descriptor.
    pub(crate) fn open() -> io::Result<Self> {
        for path in MOUNTED {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let Ok(root) = open(path, flags, Mode::empty()) else { continue };
            if openat(&root, "events", flags, Mode::empty()).is_ok() {
                return Ok(Self { root });
            }
        }
        Ok(Self { root: private_mount(c"tracefs")? })
    }

    /// The number of a tracepoint; `NotFound` where the kernel does not have it.
    pub(crate) fn id(&self, category: &str, name: &str) -> io::Result<u64> {
        let path = format!("events/{category}/{name}/id");
        let fd =
            openat(&self.root, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text)?;
        text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}

fn private_mount(kind: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: fsopen takes a NUL-terminated name and flags, and returns a new descriptor or -1.
    let fs = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    // SAFETY: FSCONFIG_CMD_CREATE takes no key and no value: null pointers and 0.
    let made = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            fs.as_raw_fd(),
            FSCONFIG_CMD_CREATE,
            std::ptr::null::<libc::c_char>(),
            std::ptr::null::<libc::c_void>(),
            0,
        )
    };
    if made != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fsmount takes the context's descriptor and flags, and returns a new descriptor or -1.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fs.as_raw_fd(), FSMOUNT_CLOEXEC, 0) })
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a tracepoint program; it runs on every CPU and for every task until the link is dropped.
pub(crate) fn attach(program: &ProgramMut<'_>, tracepoint: u64) -> io::Result<Link> {
    let attr = libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_TRACEPOINT,
        size: u32::try_from(size_of::<libbpf_sys::perf_event_attr>()).unwrap_or(0),
        config: tracepoint,
        ..Default::default()
    };
    // pid -1 and cpu 0: the event itself is never sampled, the program hangs on the tracepoint.
    // SAFETY: `attr` is a whole perf_event_attr of the size it states and lives through the call.
    let event = owned(unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            -1,
            0,
            -1,
            libbpf_sys::PERF_FLAG_FD_CLOEXEC,
        )
    })?;
    let link = program.attach_perf_event(event.as_raw_fd()).map_err(|e| {
        super::errno_of(&e).map_or_else(|| io::Error::other(e), io::Error::from_raw_os_error)
    })?;
    // The link closes the event when it is dropped (libbpf, bpf_link_perf_detach).
    let _ = event.into_raw_fd();
    Ok(link)
}
