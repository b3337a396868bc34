//! A program attached to an interface: a descriptor, detached at once when it is dropped.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A `bpf_link` or a packet socket. Dropping it detaches at once; the kernel detaches it when the
/// process ends.
#[derive(Debug)]
pub(crate) struct Attachment {
    fd: OwnedFd,
    is_link: bool,
}

impl Attachment {
    pub(super) fn link(fd: OwnedFd) -> Self {
        Self { fd, is_link: true }
    }

    pub(super) fn socket(fd: OwnedFd) -> Self {
        Self { fd, is_link: false }
    }
}

impl Attachment {
    /// Whether the interface that this was attached to is still there. False also where another program has
    /// detached a link by force.
    pub(crate) fn is_attached(&self) -> bool {
        if self.is_link {
            link_ifindex(self.fd.as_fd()) != Some(0)
        } else {
            socket_is_bound(self.fd.as_fd())
        }
    }
}

/// The interface of an XDP or TCX link: 0 once that is gone; `None` where it cannot be asked for.
fn link_ifindex(link: BorrowedFd<'_>) -> Option<u32> {
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut length = size_of::<libbpf_sys::bpf_link_info>() as u32;
    // SAFETY: a whole structure of the size stated, zeroed: no pointer in it asks for more.
    let ret = unsafe {
        libbpf_sys::bpf_link_get_info_by_fd(link.as_raw_fd(), &raw mut info, &raw mut length)
    };
    // SAFETY: both members are plain integers, and begin with the index for these two types.
    let ifindex = unsafe {
        match info.type_ {
            libbpf_sys::BPF_LINK_TYPE_XDP => info.__bindgen_anon_1.xdp.ifindex,
            libbpf_sys::BPF_LINK_TYPE_TCX => info.__bindgen_anon_1.tcx.ifindex,
            _ => return None,
        }
    };
    (ret == 0).then_some(ifindex)
}

/// Whether a packet socket is bound to an interface: its index is -1 once that is gone
/// (`packet_notifier`, net/packet/af_packet.c).
fn socket_is_bound(socket: BorrowedFd<'_>) -> bool {
    // SAFETY: integers and bytes, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: a whole sockaddr_ll of the length stated, which lives through the call.
    let ret = unsafe {
        libc::getsockname(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut length)
    };
    ret != 0 || address.sll_ifindex > 0
}

impl AsFd for Attachment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Attachment {
    /// A child that another thread has just forked holds every descriptor until its `exec`: closing
    /// ours would not detach before then, and the next XDP mode would find this program in its place.
    fn drop(&mut self) {
        if self.is_link {
            // SAFETY: takes a descriptor that is ours. BPF_LINK_DETACH (kernel 5.9) fails on an
            // interface that is gone, where nothing is attached any more.
            let ret = unsafe { libbpf_sys::bpf_link_detach(self.fd.as_raw_fd()) };
            if ret != 0 {
                tracing::debug!("BPF_LINK_DETACH: {}", std::io::Error::from_raw_os_error(-ret));
            }
        }
    }
}
