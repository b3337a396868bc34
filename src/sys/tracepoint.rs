//! Syscall tracepoints as perf events, also where tracefs is not mounted.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use libbpf_rs::{Link, ProgramMut};
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::mount::{owned, private_mount};

/// An open tracefs: the mounted one, else a private mount.
#[derive(Debug)]
pub(crate) struct TraceFs {
    root: OwnedFd,
}

const MOUNTED: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

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
        Ok(Self { root: private_mount(c"tracefs", &[])? })
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
