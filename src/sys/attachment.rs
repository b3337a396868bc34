//! A program's place on an interface: a descriptor, and a detachment that does not wait.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A `bpf_link` or a packet socket. Dropping it detaches at once; a process that dies detaches
/// by its descriptors' end.
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

impl AsFd for Attachment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Attachment {
    /// A child that another thread has just forked holds every descriptor until its `exec`, so
    /// that closing ours would not detach before then, and the next XDP mode would find this
    /// one in its place.
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
