//! An array of the kernel that a program writes and this process reads as memory.

use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use libbpf_rs::MapCore;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use plain::Plain;

const WORD: usize = 8;

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
    /// Maps the entries of `map`, each a `T`: words of 8 bytes.
    ///
    /// # Errors
    /// `InvalidInput` where entries have another size, the kernel's where it is no such array.
    pub(crate) fn new(map: &impl MapCore) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(WORD) && align_of::<T>() == WORD) };
        let entries = usize::try_from(map.max_entries()).unwrap_or(usize::MAX);
        if usize::try_from(map.value_size()) != Ok(size_of::<T>()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bytes = NonZeroUsize::new(entries.saturating_mul(size_of::<T>()))
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe {
            mmap(None, bytes, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, map.as_fd(), 0)
        }?;
        Ok(Self { at, bytes, entries, entry: PhantomData })
    }

    /// The entries as they are now. A program may write meanwhile: each word is whole, one entry may hold words
    /// of before and after.
    pub(crate) fn entries(&self) -> impl Iterator<Item = T> + '_ {
        let words = size_of::<T>() / WORD;
        let first = self.at.cast::<u64>();
        (0..self.entries).map(move |entry| {
            let mut value = MaybeUninit::<T>::uninit();
            let to = value.as_mut_ptr().cast::<u64>();
            for word in 0..words {
                // SAFETY: within the mapping, which has that many entries and begins a page, and within `value`;
                // both are aligned to words.
                unsafe { to.add(word).write(first.add(entry * words + word).read_volatile()) };
            }
            // SAFETY: every word is set, and any bytes are a `T`.
            unsafe { value.assume_init() }
        })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and no reference into it is given out. An error (there is
        // none for a mapping that exists) would leave it mapped.
        let _ = unsafe { munmap(self.at, self.bytes.get()) };
    }
}
