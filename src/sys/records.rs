//! The records that programs write, as plain data.

use crate::bpf::cgroups::types::cgroup_head;
use crate::bpf::connections::types::{
    caller, conn_counts, conn_quality, conn_record, conn_windows, holder_record, peer_record,
    share_key, share_record,
};
use crate::bpf::held::types::held_head;
use crate::bpf::hostnames::types::hostname_head;
use crate::bpf::io::types::{
    io_counts, io_entry, io_key, io_last_used, io_rest, io_timed_entry, io_times,
    io_under_way_head, slow_record,
};
use crate::bpf::listeners::types::listener_record;
use crate::bpf::opens::types::{
    change_head, exit_record, lost_opens, name_head, open_counts, open_head, process_key,
    under_way_head,
};

/// Bytes of `struct open_head`, as `opens.h` asserts it on the other side.
pub(crate) const OPEN_HEAD_BYTES: usize = 128;
const _: () = assert!(size_of::<open_head>() == OPEN_HEAD_BYTES);
/// Bytes of `struct change_head`.
pub(crate) const CHANGE_HEAD_BYTES: usize = 152;
const _: () = assert!(size_of::<change_head>() == CHANGE_HEAD_BYTES);
/// Bytes of `struct name_head`.
pub(crate) const NAME_HEAD_BYTES: usize = 32;
const _: () = assert!(size_of::<name_head>() == NAME_HEAD_BYTES);

/// Bytes of `struct cgroup_head`, as `cgroups.h` asserts it.
pub(crate) const CGROUP_HEAD_BYTES: usize = 24;
const _: () = assert!(size_of::<cgroup_head>() == CGROUP_HEAD_BYTES);

/// Bytes of `struct under_way_head`, as `opens.h` asserts it.
pub(crate) const UNDER_WAY_HEAD_BYTES: usize = 72;
const _: () = assert!(size_of::<under_way_head>() == UNDER_WAY_HEAD_BYTES);

/// Bytes of `struct held_head`, as `held.h` asserts it.
pub(crate) const HELD_HEAD_BYTES: usize = 64;
const _: () = assert!(size_of::<held_head>() == HELD_HEAD_BYTES);
/// Bytes of `struct hostname_head`, as `hostnames.h` asserts it.
pub(crate) const HOSTNAME_HEAD_BYTES: usize = 48;
const _: () = assert!(size_of::<hostname_head>() == HOSTNAME_HEAD_BYTES);
/// Bytes of `struct listener_record`, as `listeners.h` asserts it.
pub(crate) const LISTENER_RECORD_BYTES: usize = 56;
const _: () = assert!(size_of::<listener_record>() == LISTENER_RECORD_BYTES);
const _: () = assert!(size_of::<io_key>() == 32);
const _: () = assert!(size_of::<io_entry>() == 72);
const _: () = assert!(size_of::<io_timed_entry>() == 304);
const _: () = assert!(size_of::<io_last_used>() == 112);
const _: () = assert!(size_of::<slow_record>() == 104);
/// Bytes of `struct io_under_way_head`, as `io.h` asserts it.
pub(crate) const IO_UNDER_WAY_HEAD_BYTES: usize = 80;
const _: () = assert!(size_of::<io_under_way_head>() == IO_UNDER_WAY_HEAD_BYTES);

/// Types without padding, of which every bit pattern is a value.
macro_rules! plain {
    ($($name:ty),*) => {$(
        // SAFETY: `repr(C)`, integers and byte arrays only, padding explicit in the headers of src/bpf.
        unsafe impl plain::Plain for $name {}
    )*};
}
plain!(open_head, change_head, name_head, exit_record, open_counts, process_key, lost_opens);
plain!(cgroup_head);
plain!(held_head, hostname_head, listener_record, under_way_head);
plain!(
    caller,
    conn_counts,
    conn_quality,
    conn_record,
    conn_windows,
    holder_record,
    peer_record,
    share_key,
    share_record
);
plain!(io_counts, io_entry, io_key, io_last_used, io_rest, io_times, io_timed_entry, slow_record);
plain!(io_under_way_head);

/// The bytes of a record.
pub(crate) fn bytes_of<T: plain::Plain>(record: &T) -> &[u8] {
    // SAFETY: the records are Plain and without padding, so every byte is initialised.
    unsafe { plain::as_bytes(record) }
}
