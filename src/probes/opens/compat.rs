//! Opens by 32-bit tasks: watched only while there are any, since it costs every system call.
//!
//! A program at exec says when the first one comes, an iterator over the tasks when the last one
//! is gone. What the first one opened before the record was read, some milliseconds, is missed:
//! a documented limit.

use std::io::Read;
use std::time::{Duration, Instant};

use libbpf_rs::{Iter, Link};

use crate::bpf::opens::OpensSkel;

/// Between two looks at whether 32-bit tasks are left: one walk over the tasks each.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Watches 32-bit tasks while there are any.
#[derive(Debug)]
pub(super) struct Compat {
    _exec: Link,
    exit: Option<Link>,
    looked: Instant,
    bpf_loop: bool,
}

impl Compat {
    /// Attaches at exec, and at the calls too where there are 32-bit tasks already. `bpf_loop`:
    /// the kernel has it.
    pub(super) fn start(skel: &OpensSkel<'_>, bpf_loop: bool) -> libbpf_rs::Result<Self> {
        let exec = skel.progs.compat_exec.attach()?;
        let mut compat = Self { _exec: exec, exit: None, looked: Instant::now(), bpf_loop };
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

    /// After a drain: `came` says that a 32-bit program was started.
    pub(super) fn follow(&mut self, skel: &OpensSkel<'_>, came: bool) -> libbpf_rs::Result<()> {
        if came && self.exit.is_none() {
            self.exit = Some(self.attach_exit(skel)?);
            self.looked = Instant::now();
        } else if self.exit.is_some() && self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
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
