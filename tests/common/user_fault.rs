//! Memory that the kernel gets only after a time: a call that moves bytes into or out of it waits that long.

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

const PAGE: usize = 4096;
/// `include/uapi/linux/userfaultfd.h`
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;

fn ioctl(fd: i32, request: u64, words: &mut [u64]) {
    // SAFETY: the requests read and write as many words as are handed over.
    let done = unsafe { libc::ioctl(fd, request as _, words.as_mut_ptr()) };
    assert_eq!(done, 0, "{request:#x}: {}", std::io::Error::last_os_error());
}

/// A page of zeroes that is there `delay` after it is first touched.
pub fn late_page(delay: Duration) -> &'static mut [u8] {
    page_after(move || std::thread::sleep(delay))
}

/// A page of zeroes that is there when `wait` returns, which is called when it is first touched.
pub fn page_after(wait: impl FnOnce() + Send + 'static) -> &'static mut [u8] {
    // SAFETY: a new mapping and a new descriptor.
    let (start, fd) = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let (read, write) = (libc::PROT_READ, libc::PROT_WRITE);
        let start = libc::mmap(std::ptr::null_mut(), PAGE, read | write, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        (start, libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32)
    };
    assert!(fd >= 0, "userfaultfd: {}", std::io::Error::last_os_error());
    ioctl(fd, UFFDIO_API, &mut [API, 0, 0]);
    ioctl(fd, UFFDIO_REGISTER, &mut [start as u64, PAGE as u64, MODE_MISSING, 0]);
    // SAFETY: the descriptor is new.
    let mut faults = unsafe { std::fs::File::from_raw_fd(fd) };
    let address = start as u64;
    std::thread::spawn(move || {
        // One `struct uffd_msg`.
        faults.read_exact(&mut [0; 32]).unwrap();
        wait();
        ioctl(faults.as_raw_fd(), UFFDIO_ZEROPAGE, &mut [address, PAGE as u64, 0, 0]);
    });
    // SAFETY: the mapping is never removed.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), PAGE) }
}
