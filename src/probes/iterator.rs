//! Reading a BPF iterator: each run of its program writes records, which are read as a file.

use std::io::Read as _;

use libbpf_rs::{Iter, Link};

/// Bytes of one read; the kernel's own buffer has as many (`PAGE_SIZE << 3`, kernel/bpf/bpf_iter.c).
const READ_BYTES: usize = 32 << 10;

/// Runs the iterator over all that it iterates over. `take` is given the bytes that came and were not
/// taken so far, and returns how many it takes: those of whole records.
pub(super) fn run(link: &Link, mut take: impl FnMut(&[u8]) -> usize) -> libbpf_rs::Result<()> {
    let mut iter = Iter::new(link)?;
    let mut bytes = Vec::new();
    loop {
        let have = bytes.len();
        bytes.resize(have + READ_BYTES, 0);
        let read = match iter.read(bytes.get_mut(have..).unwrap_or_default()) {
            Ok(read) => read,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {
                bytes.truncate(have);
                continue;
            }
            Err(e) => return Err(e.into()),
        };
        bytes.truncate(have + read);
        if read == 0 {
            return Ok(());
        }
        let taken = take(&bytes);
        bytes.drain(..taken);
    }
}
