//! XDP programs attached by a `bpf_link` in a mode of our choice.
//!
//! libbpf-rs makes the link without a mode, or attaches by netlink, which outlives the process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::attachment::Attachment;

/// The place at which the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum XdpHook {
    /// XDP in the driver (`XDP_FLAGS_DRV_MODE`).
    Native,
    /// XDP in the core (`XDP_FLAGS_SKB_MODE`).
    Generic,
}

/// Attaches `program` to the interface; it stays until the attachment is dropped.
///
/// `EBUSY` and `EEXIST` mean that another program is there (in the same and in the other mode),
/// `EOPNOTSUPP` that the driver has no XDP, `ERANGE` that the MTU is too large for it.
pub(crate) fn attach(
    program: BorrowedFd<'_>,
    ifindex: u32,
    hook: XdpHook,
) -> io::Result<Attachment> {
    let flags = match hook {
        XdpHook::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
        XdpHook::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
    };
    let opts = libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        flags,
        ..Default::default()
    };
    create_link(program, ifindex, libbpf_sys::BPF_XDP, &opts)
}

/// Puts `program` in the place of the link's own, in one step.
pub(crate) fn replace(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: two descriptors that live through the call; no options is a null pointer.
    let ret = unsafe {
        libbpf_sys::bpf_link_update(link.as_raw_fd(), program.as_raw_fd(), std::ptr::null())
    };
    if ret < 0 { Err(io::Error::from_raw_os_error(-ret)) } else { Ok(()) }
}

/// `BPF_LINK_CREATE` on an interface.
pub(super) fn create_link(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: libbpf_sys::bpf_attach_type,
    opts: &libbpf_sys::bpf_link_create_opts,
) -> io::Result<Attachment> {
    let ifindex = i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // SAFETY: `opts` is a whole structure of the size it states and lives through the call.
    let fd =
        unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), ifindex, attach_type, opts) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(Attachment::link(unsafe { OwnedFd::from_raw_fd(fd) }))
}
