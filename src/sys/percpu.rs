//! Batches of a hash (kernel 5.6): `libbpf-rs` refuses those with a value for each CPU, and of others stops at
//! the first batch that is not full.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::bpf::io::types::{io_entry, io_key, io_timed_entry};
use crate::bpf::talkers::types::{detail_key, detail_record, side_record, source_key, traffic};
use crate::model::talkers::Traffic;

/// Bytes of `struct source_key`, as `talkers.h` asserts it on the other side.
pub(crate) const KEY_BYTES: usize = 20;
/// Bytes of one CPU's `struct traffic`; a multiple of 8, so the kernel adds no padding.
pub(crate) const VALUE_BYTES: usize = 16;
const _: () = assert!(size_of::<source_key>() == KEY_BYTES);
const _: () = assert!(size_of::<traffic>() == VALUE_BYTES);
const _: () = assert!(size_of::<side_record>() == 56);
/// Bytes of `struct detail_key`, the key of a detail map; its values are `struct traffic` too.
pub(crate) const DETAIL_KEY_BYTES: usize = 8;
const _: () = assert!(size_of::<detail_key>() == DETAIL_KEY_BYTES);
const _: () = assert!(size_of::<detail_record>() == 96);

// SAFETY: `repr(C)`, u32 only, no padding (asserted above and in talkers.h).
unsafe impl plain::Plain for source_key {}
// SAFETY: `repr(C)`, two u64.
unsafe impl plain::Plain for traffic {}
// SAFETY: `repr(C)`, integers only, no padding (asserted above and in talkers.h).
unsafe impl plain::Plain for side_record {}

// SAFETY: `repr(C)`, integers only, no padding (asserted above and in talkers.h).
unsafe impl plain::Plain for detail_key {}
// SAFETY: `repr(C)`, u64 only.
unsafe impl plain::Plain for detail_record {}

/// The counts of a record.
pub(crate) fn counted(t: &traffic) -> Traffic {
    Traffic { packets: t.packets, bytes: t.bytes }
}

/// The bytes of a record, to write it back.
pub(crate) fn record_bytes(record: &side_record) -> &[u8] {
    // SAFETY: `side_record` is Plain: no padding, so every byte is initialised.
    unsafe { plain::as_bytes(record) }
}

/// Bytes of `struct io_key` and `struct io_entry`, as `io.h` asserts them; that hash has one value for all CPUs.
const IO_KEY_BYTES: usize = 32;
const IO_ENTRY_BYTES: usize = 72;
const _: () = assert!(size_of::<io_key>() == IO_KEY_BYTES);
const _: () = assert!(size_of::<io_entry>() == IO_ENTRY_BYTES);
/// Bytes of `struct io_timed_entry`, where calls are timed.
const IO_TIMED_ENTRY_BYTES: usize = 304;
const _: () = assert!(size_of::<io_timed_entry>() == IO_TIMED_ENTRY_BYTES);

/// A hash, of keys to [`VALUE_BYTES`] a CPU or to one entry, with room for one batch.
///
/// The maps handed in must have these sizes, since the kernel writes by the map's own: the
/// constructor's caller makes them from the object that asserts the same sizes.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Bytes of an entry's values, of all CPUs.
    stride: usize,
    key_bytes: usize,
    capacity: u32,
    keys: Vec<u8>,
    values: Vec<u8>,
    cursor: [u32; 2],
}

/// `bpf_map_lookup_batch`, or the call that also removes the entries that it reads.
type LookupBatch = unsafe extern "C" fn(
    std::os::raw::c_int,
    *mut std::ffi::c_void,
    *mut std::ffi::c_void,
    *mut std::ffi::c_void,
    *mut std::ffi::c_void,
    *mut u32,
    *const libbpf_sys::bpf_map_batch_opts,
) -> std::os::raw::c_int;

/// Bytes of values in one batch. A batch needs room for the fullest bucket at least.
const BATCH_VALUE_BYTES: usize = 512 << 10;
const MIN_BATCH: usize = 256;

impl Batch {
    /// Buffers for maps of [`KEY_BYTES`] on a machine of `cpus` possible CPUs.
    pub(crate) fn new(cpus: usize) -> Self {
        let per_batch = BATCH_VALUE_BYTES / (cpus.max(1) * VALUE_BYTES);
        Self::with_sizes(KEY_BYTES, cpus.max(1) * VALUE_BYTES, per_batch)
    }

    /// A batch for detail maps.
    pub(crate) fn of_details(cpus: usize) -> Self {
        Self::with_sizes(DETAIL_KEY_BYTES, cpus.max(1) * VALUE_BYTES, MIN_BATCH)
    }

    /// A batch for the table of processes and files (`io.bpf.c`); `timed`: its entries have durations.
    pub(crate) fn of_io(timed: bool) -> Self {
        let bytes = if timed { IO_TIMED_ENTRY_BYTES } else { IO_ENTRY_BYTES };
        Self::with_sizes(IO_KEY_BYTES, bytes, BATCH_VALUE_BYTES / bytes)
    }

    fn with_sizes(key_bytes: usize, stride: usize, capacity: usize) -> Self {
        let (keys, values) = (vec![], vec![]);
        let mut batch = Self { stride, key_bytes, capacity: 0, keys, values, cursor: [0; 2] };
        batch.grow(capacity.max(MIN_BATCH));
        batch
    }

    fn grow(&mut self, capacity: usize) {
        self.keys.resize(capacity * self.key_bytes, 0);
        self.values.resize(capacity * self.stride, 0);
        self.capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
    }

    /// Calls `each` with the key and the CPUs' values of every entry.
    ///
    /// Each entry is read once only where no program writes to the map meanwhile.
    pub(crate) fn read(
        &mut self,
        map: BorrowedFd<'_>,
        each: impl FnMut(&[u8], &[u8]),
    ) -> io::Result<()> {
        self.batches(map, libbpf_sys::bpf_map_lookup_batch, each)
    }

    /// Reads and removes every entry.
    pub(crate) fn take(
        &mut self,
        map: BorrowedFd<'_>,
        each: impl FnMut(&[u8], &[u8]),
    ) -> io::Result<()> {
        self.batches(map, libbpf_sys::bpf_map_lookup_and_delete_batch, each)
    }

    fn batches(
        &mut self,
        map: BorrowedFd<'_>,
        call: LookupBatch,
        mut each: impl FnMut(&[u8], &[u8]),
    ) -> io::Result<()> {
        let mut first = true;
        loop {
            let mut count = self.capacity;
            let stride = self.stride;
            let next = &raw mut self.cursor;
            let from = if first { std::ptr::null_mut() } else { next.cast() };
            let opts = batch_opts();
            // SAFETY: keys and values have room for `count` entries of the map's sizes; a hash's
            // cursor is one u32 (generic_map / htab batches), `cursor` has 8 bytes.
            let ret = unsafe {
                call(
                    map.as_raw_fd(),
                    from,
                    next.cast(),
                    self.keys.as_mut_ptr().cast(),
                    self.values.as_mut_ptr().cast(),
                    &raw mut count,
                    &raw const opts,
                )
            };
            match -ret {
                0 | libc::ENOENT => {}
                // A bucket is fuller than the batch: the cursor stays, the batch grows.
                libc::ENOSPC => {
                    self.grow(self.keys.len() / self.key_bytes * 2);
                    continue;
                }
                libc::EINTR | libc::EAGAIN => continue,
                errno => return Err(io::Error::from_raw_os_error(errno)),
            }
            let entries =
                self.keys.chunks_exact(self.key_bytes).zip(self.values.chunks_exact(stride));
            for (key, values) in entries.take(usize::try_from(count).unwrap_or(0)) {
                each(key, values);
            }
            if -ret == libc::ENOENT {
                return Ok(());
            }
            first = false;
        }
    }

    /// Sets the entries of `keys` to zero on every CPU, making those that are not there.
    /// No program may be counting in the map: the caller passes an idle side.
    pub(crate) fn insert_zero(&mut self, map: BorrowedFd<'_>, keys: &[u8]) -> io::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.values.fill(0);
        let per_call = usize::try_from(self.capacity).unwrap_or(1) * KEY_BYTES;
        for part in keys.chunks(per_call) {
            let mut count = u32::try_from(part.len() / KEY_BYTES).unwrap_or(0);
            let opts = batch_opts();
            // SAFETY: `part` holds `count` keys and `values` at least as many values, all zero;
            // the kernel only reads them.
            let ret = unsafe {
                libbpf_sys::bpf_map_update_batch(
                    map.as_raw_fd(),
                    part.as_ptr().cast(),
                    self.values.as_ptr().cast(),
                    &raw mut count,
                    &raw const opts,
                )
            };
            if ret != 0 {
                return Err(io::Error::from_raw_os_error(-ret));
            }
        }
        Ok(())
    }
}

/// Removes the entries of `keys`, of [`KEY_BYTES`] each; one that is not there is no error.
pub(crate) fn delete(map: BorrowedFd<'_>, keys: &[u8]) -> io::Result<()> {
    delete_keys(map, keys, KEY_BYTES)
}

/// Removes entries of the table of processes and files, likewise.
pub(crate) fn delete_io(map: BorrowedFd<'_>, keys: &[u8]) -> io::Result<()> {
    delete_keys(map, keys, IO_KEY_BYTES)
}

fn delete_keys(map: BorrowedFd<'_>, keys: &[u8], key_bytes: usize) -> io::Result<()> {
    let mut rest = keys;
    while !rest.is_empty() {
        let mut count = u32::try_from(rest.len() / key_bytes).unwrap_or(0);
        let opts = batch_opts();
        // SAFETY: `rest` holds `count` keys, which the kernel only reads.
        let ret = unsafe {
            libbpf_sys::bpf_map_delete_batch(
                map.as_raw_fd(),
                rest.as_ptr().cast(),
                &raw mut count,
                &raw const opts,
            )
        };
        let done = usize::try_from(count).unwrap_or(0) * key_bytes;
        match -ret {
            0 => return Ok(()),
            // `count` went before the key that is missing: step over it.
            libc::ENOENT => rest = rest.get(done + key_bytes..).unwrap_or_default(),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    Ok(())
}

fn batch_opts() -> libbpf_sys::bpf_map_batch_opts {
    libbpf_sys::bpf_map_batch_opts {
        sz: size_of::<libbpf_sys::bpf_map_batch_opts>() as libbpf_sys::size_t,
        ..Default::default()
    }
}
