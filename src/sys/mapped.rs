//! An array of the kernel that a program writes and this process reads as memory.

use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use plain::Plain;

/// The entries of a `BPF_MAP_TYPE_ARRAY` with `BPF_F_MMAPABLE` (kernel 5.5, fc9702273e2e), read only.
///
/// Reading one takes no system call, and keeps no program from running meanwhile, as a map operation does
/// (`bpf_disable_instrumentation`, include/linux/bpf.h).
#[derive(Debug)]
pub(crate) struct Mapped<T> {
    at: NonNull<c_void>,
    bytes: NonZeroUsize,
    entries: usize,
    entry: PhantomData<T>,
}

impl<T: Plain + Copy> Mapped<T> {
    /// Maps the `entries` of `map`, each as large as `T`, whose size is a multiple of 8 bytes, as the kernel
    /// places them.
    ///
    /// # Errors
    /// The kernel's, where it is no such array or holds fewer entries.
    pub(crate) fn new(map: &impl AsFd, entries: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>() > 0 && size_of::<T>().is_multiple_of(8)) };
        let bytes = NonZeroUsize::new(entries.saturating_mul(size_of::<T>()))
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map.as_fd(), 0)
        }?;
        Ok(Self { at, bytes, entries, entry: PhantomData })
    }

    /// The entries as they are now. A program may write meanwhile: each aligned word is whole, one entry
    /// may hold words of before and after.
    pub(crate) fn entries(&self) -> impl Iterator<Item = T> + '_ {
        let first = self.at.cast::<T>();
        // SAFETY: within the mapping, which is of that many entries and page-aligned; any bytes are a `T`.
        (0..self.entries).map(move |i| unsafe { first.add(i).read_volatile() })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and no reference into it is given out. An error (there is
        // none for a mapping that exists) would leave it mapped.
        let _ = unsafe { munmap(self.at, self.bytes.get()) };
    }
}
