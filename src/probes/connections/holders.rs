//! Which processes hold sockets, read by an iterator over the open files of all processes.

use std::io::Read;
use std::time::Instant;

use libbpf_rs::{Iter, Link};

use super::decode;
use super::procfs::cpu_time;
use crate::bpf::connections::types::holder_record;
use crate::model::conn::Holder;
use crate::model::connections::MAX_CONNS;

/// Bytes of one read of an iterator: the kernel's own buffer.
const READ_BYTES: usize = 32 << 10;
/// From one run to the next at least as many times its CPU time: 0.25 % of a core.
const PAUSE_SHARE: u32 = 400;

/// The iterator, and what its last run found.
pub(super) struct Holders {
    /// `None` where the program was refused.
    link: Option<Link>,
    next: Instant,
    /// Processes beside the first that hold a socket, at most [`MAX_CONNS`].
    pub found: Vec<Holder>,
    /// How many found no room since the reader took this.
    pub left_out: u64,
}

impl Holders {
    pub fn new(link: Option<Link>) -> Self {
        Self { link, next: Instant::now(), found: Vec::new(), left_out: 0 }
    }

    /// Whether enough time has passed since the last run.
    pub fn are_due(&self) -> bool {
        self.link.is_some() && Instant::now() >= self.next
    }

    /// Runs the iterator to its end.
    pub fn run(&mut self) -> libbpf_rs::Result<()> {
        const BYTES: usize = size_of::<holder_record>();
        let Some(link) = &self.link else { return Ok(()) };
        let begun = cpu_time();
        self.found.clear();
        let mut iter = Iter::new(link)?;
        let mut buffer = vec![0; READ_BYTES];
        let mut have = 0;
        loop {
            let room = buffer.get_mut(have..).unwrap_or_default();
            let read = match iter.read(room) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => continue,
                Err(e) => return Err(e.into()),
            };
            have += read;
            let whole = have - have % BYTES;
            for record in buffer.get(..whole).unwrap_or_default().chunks_exact(BYTES) {
                if self.found.len() < MAX_CONNS {
                    self.found.extend(decode::holder(record));
                } else {
                    self.left_out += 1;
                }
            }
            buffer.copy_within(whole..have, 0);
            have -= whole;
        }
        self.next = Instant::now() + cpu_time().saturating_sub(begun) * PAUSE_SHARE;
        Ok(())
    }
}
