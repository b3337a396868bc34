//! Opens through io_uring, on the real kernel. Needs root and kernel 6.4, and fails without them.

use std::ffi::CString;
use std::os::fd::AsRawFd;

use crate::common::opens::{Seen, in_child, watch};
use ebpftop::model::open::{OpenCounts, ResolvedKind, Syscall};
use ebpftop::probes::OpensConfig;
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};

/// Runs `act` in a process of its own and returns its opens through io_uring.
fn observe(act: impl FnOnce()) -> (Vec<Seen>, OpenCounts) {
    let watch = watch(OpensConfig::default());
    assert!(watch.info.seen.contains(&Syscall::IoUring), "{:?}", watch.info);
    let child = in_child(act);
    let (seen, counts) = watch.finish(|m| m.tgid == child && m.syscall == Syscall::IoUring);
    assert_eq!((counts.malformed, counts.unnamed), (0, 0));
    (seen, counts)
}

/// Submits and waits for one completion; its result.
fn one(ring: &mut IoUring, entry: Entry) -> i32 {
    // SAFETY: what the entries point to lives through the wait.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    ring.completion().next().unwrap().result()
}

fn openat(path: &CString) -> Entry {
    opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).build()
}

#[test]
fn names_and_results_by_both_calls_inline_and_in_a_worker() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::write(root.join("file"), "x").unwrap();
    let whole = |n: &str| format!("{}/{n}", root.display());
    let (seen, _) = observe(|| {
        std::env::set_current_dir(&root).unwrap();
        let mut ring = IoUring::new(8).unwrap();
        let (file, none) = (CString::new("file").unwrap(), CString::new("none").unwrap());
        let how = types::OpenHow::new().flags(libc::O_CLOEXEC as u64);
        let dirfd = std::fs::File::open(&root).unwrap();
        let by_dirfd = types::Fd(dirfd.as_raw_fd());
        assert!(one(&mut ring, openat(&file)) >= 0);
        assert_eq!(one(&mut ring, openat(&none)), -libc::ENOENT);
        assert!(one(&mut ring, openat(&file).flags(Flags::ASYNC)) >= 0);
        std::env::set_current_dir("/").unwrap();
        let openat2 = opcode::OpenAt2::new(by_dirfd, file.as_ptr(), &raw const how).build();
        assert!(one(&mut ring, openat2) >= 0);
    });
    let reported: Vec<_> = seen
        .iter()
        .map(|s| (s.path_str(), s.resolved.clone().map(|(k, _)| k), s.resolved_str()))
        .collect();
    let opened = ("file".to_string(), Some(ResolvedKind::Opened), whole("file"));
    let tried = ("none".to_string(), Some(ResolvedKind::Tried), whole("none"));
    assert_eq!(reported, [opened.clone(), tried, opened.clone(), opened]);
    assert_eq!(seen[1].meta.errno(), Some(libc::ENOENT));
    assert!(seen[0].meta.fd().is_some_and(|fd| fd > 2));
    assert_eq!(seen[3].meta.flags, Some(libc::O_CLOEXEC as u64));
}

#[test]
fn the_submission_thread_opens_for_its_process() {
    let path = CString::new("/etc/hostname").unwrap();
    let (seen, _) = observe(|| {
        let mut ring = IoUring::builder().setup_sqpoll(10).build(8).unwrap();
        assert!(one(&mut ring, openat(&path)) >= 0);
    });
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path_str(), "/etc/hostname");
    assert_eq!(seen[0].resolved_str(), "/etc/hostname");
}

#[test]
fn a_direct_open_has_a_slot_and_no_descriptor() {
    let path = CString::new("/etc/hostname").unwrap();
    let (seen, _) = observe(|| {
        let mut ring = IoUring::new(8).unwrap();
        ring.submitter().register_files_sparse(8).unwrap();
        let direct = |slot| {
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
                .file_index(Some(slot))
                .build()
        };
        let third = types::DestinationSlot::try_from_slot_target(3).unwrap();
        assert_eq!(one(&mut ring, direct(types::DestinationSlot::auto_target())), 0);
        assert_eq!(one(&mut ring, direct(third)), 0);
    });
    let reported: Vec<_> =
        seen.iter().map(|s| (s.meta.slot, s.meta.fd(), s.meta.errno())).collect();
    assert_eq!(reported, [(Some(0), None, None), (Some(3), None, None)]);
    assert!(seen.iter().all(|s| s.path_str() == "/etc/hostname"));
}

#[test]
fn a_completion_that_never_shows_is_counted() {
    let path = CString::new("/etc/hostname").unwrap();
    const QUIET: u64 = 3;
    let (seen, counts) = observe(|| {
        let mut ring = IoUring::new(8).unwrap();
        for _ in 0..QUIET {
            let quiet = openat(&path).flags(Flags::SKIP_SUCCESS);
            // SAFETY: the path lives to the end of the process.
            unsafe { ring.submission().push(&quiet).unwrap() };
            ring.submit().unwrap();
        }
        assert!(one(&mut ring, openat(&path)) >= 0);
    });
    assert_eq!(seen.len(), 1);
    assert!(counts.unfinished >= QUIET, "{counts:?}");
}

/// Requests that complete without a word stay where they are; others keep their names.
#[test]
fn silent_completions_take_no_room_from_others() {
    const RINGS: usize = 640;
    const EACH: u32 = 8;
    let there = CString::new("/etc/hostname").unwrap();
    let none = CString::new("/no such file").unwrap();
    let (seen, counts) = observe(|| {
        let mut rings = Vec::new();
        for _ in 0..RINGS {
            // A ring of its own each: the memory of a request is not used again.
            let mut ring = IoUring::new(EACH).unwrap();
            for _ in 0..EACH {
                let silent = openat(&there).flags(Flags::SKIP_SUCCESS);
                // SAFETY: the path lives to the end of the process.
                unsafe { ring.submission().push(&silent).unwrap() };
            }
            ring.submit().unwrap();
            rings.push(ring);
            for fd in 3 + RINGS as i32..3 + RINGS as i32 + 64 {
                // Opened files are in the way of more rings.
                let _ = nix::unistd::close(fd);
            }
        }
        let mut ring = IoUring::new(8).unwrap();
        assert_eq!(one(&mut ring, openat(&none)), -libc::ENOENT);
    });
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].path_str(), seen[0].resolved_str()),
        ("/no such file".into(), "/no such file".into())
    );
    assert!(counts.unfinished >= (RINGS * EACH as usize) as u64, "{counts:?}");
}

/// Requests that find no room in the table complete without a path, and are counted.
#[test]
fn requests_beyond_their_table_have_no_name_and_are_counted() {
    const ROOM: u32 = 2;
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let waits = CString::new(fifo.to_str().unwrap()).unwrap();
    let path = CString::new("/etc/hostname").unwrap();
    let watch = watch(OpensConfig { table_entries: Some(ROOM), ..OpensConfig::default() });
    let child = in_child(|| {
        let mut ring = IoUring::new(8).unwrap();
        for _ in 0..ROOM {
            let blocks = openat(&waits).flags(Flags::ASYNC);
            // SAFETY: the path lives to the end of the process.
            unsafe { ring.submission().push(&blocks).unwrap() };
        }
        ring.submit().unwrap();
        assert!(one(&mut ring, openat(&path)) >= 0);
        // Lets the others complete.
        let _writer = std::fs::File::options().write(true).open(&fifo).unwrap();
        ring.submit_and_wait(ROOM as usize).unwrap();
    });
    let (seen, counts) = watch.finish(|m| m.tgid == child && m.syscall == Syscall::IoUring);
    assert_eq!(counts.unnamed, 1, "{counts:?}");
    assert_eq!(seen.iter().filter(|s| s.path.is_none()).count(), 1, "{seen:?}");
    assert_eq!(seen.len(), ROOM as usize + 1);
}
