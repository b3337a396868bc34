//! Kernel interfaces that libbpf-rs does not wrap; each use has the reason why it is sound.
//!
//! One file for each kernel interface: `src/sys/…`.

// Beside the generated skeletons the only module with `unsafe`: the rest of the crate denies it.
#![allow(unsafe_code)]

#[cfg(feature = "bpf")]
pub(crate) mod attachment;
#[cfg(feature = "bpf")]
mod calls;
#[cfg(feature = "bpf")]
pub(crate) mod ethtool;
#[cfg(feature = "bpf")]
pub(crate) mod mapped;
#[cfg(feature = "bpf")]
pub(crate) mod misses;
#[cfg(feature = "bpf")]
pub(crate) mod mount;
#[cfg(feature = "bpf")]
pub(crate) mod packet_socket;
#[cfg(feature = "bpf")]
pub(crate) mod percpu;
#[cfg(feature = "bpf")]
pub(crate) mod programs;
#[cfg(feature = "bpf")]
pub(crate) mod records;
pub(crate) mod stop;
#[cfg(feature = "bpf")]
pub(crate) mod tcx;
#[cfg(feature = "bpf")]
pub(crate) mod tracepoint;
#[cfg(feature = "bpf")]
pub(crate) mod xdp;

#[cfg(feature = "bpf")]
pub(crate) use calls::{errno_of, may_iterate, may_read_maps, membarrier};
