//! Opens by 32-bit calls.
//!
//! A probe on the functions of those calls sees all of them. If the kernel has no such probes, the
//! raw `sys_exit` tracepoint serves, attached only while there are 32-bit tasks, since it costs every
//! system call: a program at exec reports the first one, an iterator over the tasks finds that the
//! last one has ended. Opens of the first one before its record is read, some milliseconds, are
//! missed, and so are 32-bit calls of 64-bit programs: both are documented limits.

use std::io::Read;
use std::time::{Duration, Instant};

use libbpf_rs::{Iter, Link};

use crate::bpf::opens::OpensSkel;
use crate::probes::programs::Choice;

/// Between two walks over the tasks while 32-bit ones are watched.
const WALK_EVERY: Duration = Duration::from_secs(2);

/// The functions of 32-bit calls that open: no other call enters them (on aarch64 64-bit calls do,
/// which the program leaves out).
#[cfg(target_arch = "x86_64")]
pub(in crate::probes) const FUNCTIONS: [&str; 5] = [
    "__ia32_compat_sys_open",
    "__ia32_compat_sys_openat",
    "__ia32_sys_creat",
    "__ia32_sys_openat2",
    "__ia32_compat_sys_open_by_handle_at",
];
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::probes) const FUNCTIONS: [&str; 5] = [
    "__arm64_compat_sys_open",
    "__arm64_compat_sys_openat",
    "__arm64_sys_creat",
    "__arm64_sys_openat2",
    "__arm64_compat_sys_open_by_handle_at",
];

/// Attaches to [`FUNCTIONS`].
pub(super) fn attach_calls(skel: &OpensSkel<'_>) -> libbpf_rs::Result<Link> {
    skel.progs.compat_return.attach_kprobe_multi(true, FUNCTIONS.to_vec())
}

/// Watches 32-bit tasks while there are any.
#[derive(Debug)]
pub(super) struct Compat {
    _exec: Link,
    exit: Option<Link>,
    walked: Instant,
    bpf_loop: bool,
}

impl Compat {
    /// Attaches at exec, and at the calls too where there are 32-bit tasks already.
    pub(super) fn start(skel: &OpensSkel<'_>, choice: &Choice) -> libbpf_rs::Result<Self> {
        let exec = skel.progs.compat_exec.attach()?;
        let bpf_loop = choice.uses("compat_exit");
        let mut compat = Self { _exec: exec, exit: None, walked: Instant::now(), bpf_loop };
        if any(skel)? {
            compat.exit = Some(compat.attach_exit(skel)?);
        }
        Ok(compat)
    }

    fn attach_exit(&self, skel: &OpensSkel<'_>) -> libbpf_rs::Result<Link> {
        let progs = &skel.progs;
        if self.bpf_loop { progs.compat_exit.attach() } else { progs.compat_exit_516.attach() }
    }

    /// Whether 32-bit tasks are watched now.
    pub(super) fn watches(&self) -> bool {
        self.exit.is_some()
    }

    /// After a drain: `started` says that a 32-bit program was started.
    pub(super) fn follow(&mut self, skel: &OpensSkel<'_>, started: bool) -> libbpf_rs::Result<()> {
        if started && self.exit.is_none() {
            self.exit = Some(self.attach_exit(skel)?);
            self.walked = Instant::now();
        } else if self.exit.is_some() && self.walked.elapsed() >= WALK_EVERY {
            self.walked = Instant::now();
            if !any(skel)? {
                self.exit = None;
            }
        }
        Ok(())
    }
}

/// Whether there is any 32-bit task: the iterator writes a byte for each.
fn any(skel: &OpensSkel<'_>) -> libbpf_rs::Result<bool> {
    let link = skel.progs.compat_tasks.attach()?;
    let mut tasks = Iter::new(&link)?;
    let mut bytes = [0; 4096];
    Ok(tasks.read(&mut bytes)? > 0)
}
