//! Reads and writes that end early, files that are registered, mapped or no regular ones, and what they count.
//! Needs root.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

use super::io::{Expected, by_file, counts, filled, new, path_of, watch};
use crate::common::opens::in_child;
use ebpftop::model::file_io::{FileType, IoCounts, IoSample};
use ebpftop::probes::io::IoConfig;

const PAGE: usize = 4_096;

/// A page of bytes with nothing behind it: a call that goes beyond its end fails there.
fn page_at_an_edge() -> *mut u8 {
    // SAFETY: a new mapping, whose second page is taken away.
    unsafe {
        let (none, both) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let start = libc::mmap(none, 2 * PAGE, both, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        std::slice::from_raw_parts_mut(start.cast::<u8>(), PAGE).fill(b'p');
        assert_eq!(libc::munmap(start.byte_add(PAGE), PAGE), 0);
        start.cast()
    }
}

/// Every call moves less than was asked for: the bytes are those that it returned.
#[test]
fn calls_that_end_early_count_what_they_moved() {
    const MOST: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let [read, parts, written, limited] =
        ["read", "parts", "written", "limited"].map(|name| root.join(name));
    [&read, &parts].into_iter().for_each(|path| drop(filled(path)));
    for as_on_510 in [false, true] {
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let child = in_child(|| {
            let page = page_at_an_edge();
            let (reads, writes) = (File::open(&read).unwrap(), new(&written));
            let scattered = File::open(&parts).unwrap();
            let mut ten = [0_u8; 10];
            let good = libc::iovec { iov_base: ten.as_mut_ptr().cast(), iov_len: 10 };
            let bad = libc::iovec { iov_base: std::ptr::dangling_mut(), iov_len: 10 };
            let vectors = [good, bad];
            // SAFETY: the kernel finds the end of the page, and the bad address.
            unsafe {
                let (reads, writes) = (reads.as_raw_fd(), writes.as_raw_fd());
                assert_eq!(libc::read(reads, page.cast(), 5_000), PAGE as isize);
                assert_eq!(libc::write(writes, page.cast(), 5_000), PAGE as isize);
                assert_eq!(libc::readv(scattered.as_raw_fd(), vectors.as_ptr(), 2), 10);
                signal(Signal::SIGXFSZ, SigHandler::SigIgn).unwrap();
            }
            setrlimit(Resource::RLIMIT_FSIZE, MOST as u64, MOST as u64).unwrap();
            let mut file = new(&limited);
            assert_eq!(file.write(&[b'l'; MOST + 500]).unwrap(), MOST);
            let error = file.write(b"more").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
        });
        let expected: Expected = [
            (read.clone(), counts(PAGE as u64, 1, 0, 0)),
            (parts.clone(), counts(10, 1, 0, 0)),
            (written.clone(), counts(0, 0, PAGE as u64, 1)),
            (limited.clone(), counts(0, 0, MOST as u64, 1)),
        ]
        .into();
        assert_eq!(by_file(&watch.finish(), child), expected, "as on 5.10: {as_on_510}");
    }
}

/// `struct iocb` (include/uapi/linux/aio_abi.h) on a little-endian machine.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: [u64; 2],
}

/// What a request by `io_submit` moves is known when it is done, not when the call returns.
#[test]
fn requests_by_io_submit_are_counted_as_not_counted() {
    const PREAD: u16 = 0;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("asynchronous");
    drop(filled(&path));
    for as_on_510 in [false, true] {
        let watch = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let child = in_child(|| {
            let (file, mut bytes) = (File::open(&path).unwrap(), [0_u8; 100]);
            let (fd, buffer) = (file.as_raw_fd().cast_unsigned(), bytes.as_mut_ptr() as u64);
            let read = Iocb { opcode: PREAD, fd, buffer, bytes: 100, ..Iocb::default() };
            let bad = Iocb { fd: u32::MAX, ..Iocb::default() };
            let (mut context, requests) =
                (0_u64, [&raw const read, &raw const read, &raw const bad]);
            let mut events = [[0_u64; 4]; 2];
            // SAFETY: all that the kernel is given lives until both requests are done.
            unsafe {
                assert_eq!(libc::syscall(libc::SYS_io_setup, 8, &raw mut context), 0);
                let submitted = libc::syscall(libc::SYS_io_submit, context, 3, requests.as_ptr());
                assert_eq!(submitted, 2);
                let none: *mut libc::timespec = std::ptr::null_mut();
                let (number, room) = (libc::SYS_io_getevents, events.as_mut_ptr());
                assert_eq!(libc::syscall(number, context, 2, 2, room, none), 2);
            }
            assert!(events.iter().all(|[.., res, _]| *res == 100), "{events:?}");
        });
        let sample = watch.finish();
        assert_eq!(by_file(&sample, child), Expected::new(), "as on 5.10: {as_on_510}");
        // Another process of the machine may submit some, too.
        assert!(sample.uncounted >= 2, "as on 5.10: {as_on_510}: {}", sample.uncounted);
    }
}

/// A splice by io_uring has two files, of which the request holds one.
#[test]
fn splices_by_io_uring_are_counted_as_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("spliced");
    drop(filled(&path));
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        let mut ring = IoUring::new(8).unwrap();
        let (file, (reader, writer)) = (File::open(&path).unwrap(), std::io::pipe().unwrap());
        let [file, into] = [file.as_raw_fd(), writer.as_raw_fd()].map(types::Fd);
        let splice = opcode::Splice::new(file, 0, into, -1, 50).build();
        assert_eq!(result_of(&mut ring, splice), 50);
        drop((reader, writer));
    });
    let sample = watch.finish();
    assert_eq!(by_file(&sample, child), Expected::new());
    assert!(sample.uncounted >= 1, "{}", sample.uncounted);
}

/// The result of a request.
pub(crate) fn result_of(ring: &mut IoUring, entry: Entry) -> i32 {
    // SAFETY: what the entries point to lives through the wait.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    ring.completion().next().unwrap().result()
}

/// The file of a request with a registered file is that of its slot, though the descriptor has been closed.
#[test]
fn requests_on_registered_files_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let path = root.join("registered");
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        let mut ring = IoUring::new(8).unwrap();
        let file = new(&path);
        ring.submitter().register_files(&[-1, file.as_raw_fd()]).unwrap();
        drop(file);
        let mut buffer = [b'f'; 100];
        let address = buffer.as_mut_ptr();
        let fixed = [libc::iovec { iov_base: address.cast(), iov_len: 100 }];
        // SAFETY: the buffer lives as long as the ring is used.
        unsafe { ring.submitter().register_buffers(&fixed).unwrap() };
        let slot = types::Fixed(1);
        assert_eq!(result_of(&mut ring, opcode::Write::new(slot, address, 100).build()), 100);
        let in_worker = opcode::Read::new(slot, address, 70).offset(50).build();
        assert_eq!(result_of(&mut ring, in_worker.flags(Flags::ASYNC)), 50);
        let both = opcode::WriteFixed::new(slot, address, 64, 0).offset(100).build();
        assert_eq!(result_of(&mut ring, both), 64);
        let both = opcode::ReadFixed::new(slot, address, 30, 0).offset(0).build();
        assert_eq!(result_of(&mut ring, both), 30);
        let empty = opcode::Read::new(types::Fixed(0), address, 10).build();
        assert_eq!(result_of(&mut ring, empty), -libc::EBADF);
    });
    let expected: Expected = [(path, counts(80, 2, 164, 2))].into();
    assert_eq!(by_file(&watch.finish(), child), expected);
}

/// Access through a mapping is no call, so only the calls around it are counted.
#[test]
fn mapped_memory_is_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("mapped");
    let watch = watch(IoConfig::default());
    let child = in_child(|| {
        let file = new(&path);
        file.write_all_at(&[b'0'; 2 * PAGE], 0).unwrap();
        let (none, both) = (std::ptr::null_mut(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping of two pages that the file has.
        unsafe {
            let fd = file.as_raw_fd();
            let start = libc::mmap(none, 2 * PAGE, both, libc::MAP_SHARED, fd, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let bytes = std::slice::from_raw_parts_mut(start.cast::<u8>(), 2 * PAGE);
            assert_eq!(bytes[PAGE], b'0');
            bytes.fill(b'1');
            assert_eq!(libc::msync(start, 2 * PAGE, libc::MS_SYNC), 0);
        }
        let mut ten = [0; 10];
        assert_eq!(file.read_at(&mut ten, PAGE as u64).unwrap(), 10);
        assert_eq!(ten, [b'1'; 10]);
    });
    let expected: Expected = [(path, counts(10, 1, 2 * PAGE as u64, 1))].into();
    assert_eq!(by_file(&watch.finish(), child), expected);
}

/// Of each type what a process read and wrote, with the paths.
fn by_type(sample: &IoSample, pid: u32) -> Vec<(FileType, PathBuf, IoCounts)> {
    let own = sample.uses.iter().filter(|one| one.key.tgid == pid);
    own.map(|one| {
        let path = one.place.as_ref().map(|place| path_of(&place.path));
        (one.file_type, path.unwrap_or_default(), one.counts)
    })
    .collect()
}

/// The sum of a type over the files whose path begins so.
fn of_type(all: &[(FileType, PathBuf, IoCounts)], file_type: FileType, path: &str) -> IoCounts {
    let own = all.iter().filter(|(of, at, _)| *of == file_type && begins(at, path));
    own.fold(IoCounts::default(), |sum, (_, _, counts)| sum + *counts)
}

fn begins(path: &Path, with: &str) -> bool {
    path.to_str().unwrap().starts_with(with)
}

/// Calls on each type of file that is no regular one; those of a directory fail.
fn other_types() {
    // As files, for `write` and `read`: a stream's own methods may send and receive.
    let (a, b) = UnixStream::pair().unwrap();
    let [mut a, mut b] = [a, b].map(|end| File::from(OwnedFd::from(end)));
    a.write_all(&[b's'; 700]).unwrap();
    b.read_exact(&mut [0; 700]).unwrap();
    // A terminal, whose other end is a device of its own.
    let terminal = nix::pty::openpty(None, None).unwrap();
    let (mut master, mut slave) = (File::from(terminal.master), File::from(terminal.slave));
    slave.write_all(b"typed").unwrap();
    master.read_exact(&mut [0; 5]).unwrap();
    File::open("/dev/zero").unwrap().read_exact(&mut [0; 33]).unwrap();
    // SAFETY: a new descriptor, which has no other owner.
    let mut event = unsafe { File::from_raw_fd(libc::eventfd(0, 0)) };
    event.write_all(&3_u64.to_ne_bytes()).unwrap();
    event.read_exact(&mut [0; 8]).unwrap();
    // A pipe of one page that is full, and a copy of what is in it.
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let copy = std::io::pipe().unwrap();
    // SAFETY: no memory is handed over.
    unsafe {
        let full = writer.as_raw_fd();
        assert_eq!(libc::fcntl(full, libc::F_SETPIPE_SZ, PAGE), PAGE as i32);
        assert_eq!(libc::fcntl(full, libc::F_SETFL, libc::O_NONBLOCK), 0);
        assert_eq!(writer.write(&[b'p'; 10_000]).unwrap(), PAGE);
        assert_eq!(writer.write(b"p").unwrap_err().kind(), ErrorKind::WouldBlock);
        let (from, to) = (reader.as_raw_fd(), copy.1.as_raw_fd());
        assert_eq!(libc::tee(from, to, 3_000, 0), 3_000);
    }
    assert_eq!(reader.read(&mut [0; 10_000]).unwrap(), PAGE);
    // SAFETY: the buffer lives through the call.
    let dir = File::open("/").unwrap();
    assert_eq!(dir.read_at(&mut [0; 1], 0).unwrap_err().raw_os_error(), Some(libc::EISDIR));
}

/// With every type each is counted under its own, and without none is taken for a regular file.
#[test]
fn other_types_are_counted_where_they_are_asked_for() {
    for as_on_510 in [false, true] {
        let every_type = watch(IoConfig { every_type: true, as_on_510, ..IoConfig::default() });
        let regular = watch(IoConfig { as_on_510, ..IoConfig::default() });
        let child = in_child(other_types);
        let none = by_type(&regular.finish(), child);
        assert!(none.is_empty(), "as on 5.10: {as_on_510}: {none:?}");
        let all = by_type(&every_type.finish(), child);
        let page = PAGE as u64;
        for (file_type, path, expected) in [
            (FileType::Socket, "socket:[", counts(700, 1, 700, 1)),
            (FileType::Character, "/dev/pts/", counts(0, 0, 5, 1)),
            (FileType::Character, "/dev/zero", counts(33, 1, 0, 0)),
            (FileType::Other, "anon_inode:[eventfd]", counts(8, 1, 8, 1)),
            // Read and written as a pipe, and from the one and to the other by tee.
            (FileType::Pipe, "pipe:[", counts(page + 3_000, 2, page + 3_000, 2)),
        ] {
            assert_eq!(of_type(&all, file_type, path), expected, "{file_type:?} {path}: {all:#?}");
        }
        // The master's name depends on how devpts is mounted.
        let characters = of_type(&all, FileType::Character, "");
        assert_eq!(characters, counts(38, 2, 5, 1), "{all:#?}");
        let sum = all.iter().fold(IoCounts::default(), |sum, (_, _, counts)| sum + *counts);
        assert_eq!(sum, counts(746 + page + 3_000, 6, 713 + page + 3_000, 5), "{all:#?}");
    }
}
