//! The records that programs write, as plain data.

use crate::bpf::opens::types::{open_counts, open_head};

/// Bytes of `struct open_head`, as `opens.h` asserts it on the other side.
pub(crate) const OPEN_HEAD_BYTES: usize = 104;
const _: () = assert!(size_of::<open_head>() == OPEN_HEAD_BYTES);

// SAFETY: `repr(C)`, integers and byte arrays only, no padding (asserted above and in opens.h):
// every bit pattern is a value.
unsafe impl plain::Plain for open_head {}
// SAFETY: `repr(C)`, two u64.
unsafe impl plain::Plain for open_counts {}

/// The bytes of a head, for tests that make records.
#[cfg(test)]
pub(crate) fn head_bytes(head: &open_head) -> &[u8] {
    // SAFETY: `open_head` is Plain: no padding, so every byte is initialised.
    unsafe { plain::as_bytes(head) }
}
