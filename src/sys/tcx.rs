//! Programs at the TCX hook (kernel 6.6), attached by a `bpf_link`.

use std::io;
use std::os::fd::BorrowedFd;

use super::attachment::Attachment;
use super::xdp::create_link;
use crate::model::talkers::Direction;

/// Attaches `program`: first of all at ingress, where later ones may take frames out, and last
/// of all at egress, where earlier ones have done so. Others stay where they are and run too.
///
/// `EINVAL` means that the kernel has no TCX.
pub(crate) fn attach(
    program: BorrowedFd<'_>,
    ifindex: u32,
    direction: Direction,
) -> io::Result<Attachment> {
    let (attach_type, flags) = match direction {
        Direction::Rx => (libbpf_sys::BPF_TCX_INGRESS, libbpf_sys::BPF_F_BEFORE),
        Direction::Tx => (libbpf_sys::BPF_TCX_EGRESS, libbpf_sys::BPF_F_AFTER),
    };
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    create_link(program, ifindex, attach_type, &opts)
}
