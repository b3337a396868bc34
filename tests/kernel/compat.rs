//! Opens by 32-bit tasks, on the real kernel. Needs root, x86_64 and CONFIG_IA32_EMULATION, and
//! fails without them.
#![cfg(target_arch = "x86_64")]

use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command};

use crate::common::i386::program;
use crate::common::opens::{in_child, watch};
use crate::common::spawn::fresh;
use ebpftop::model::coverage::Missing;
use ebpftop::model::event::OpensInfo;
use ebpftop::model::file_change::{How, Op};
use ebpftop::model::open::Syscall;
use ebpftop::probes::OpensConfig;
use ebpftop::probes::io::IoConfig;
use ebpftop::probes::programs::{CHANGE_COMPAT, COMPAT, COMPAT_CALLS, IO_COMPAT};

/// Between two opens.
const PAUSE_NS: u32 = 5_000_000;

fn start(program: &Path) -> Child {
    // Needs CONFIG_IA32_EMULATION.
    fresh(&mut Command::new(program))
}

/// Whether each 32-bit call is seen, so that nothing depends on which tasks there are.
fn sees_calls(info: &OpensInfo) -> bool {
    assert!(info.missing.iter().all(|missing| missing.feature != COMPAT));
    info.missing.iter().all(|missing| missing.feature != COMPAT_CALLS)
}

/// A path in memory below 4 GiB.
fn low(path: &CStr) -> u32 {
    // SAFETY: a page of memory below 4 GiB, which is larger than the path.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let page = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        std::ptr::copy_nonoverlapping(path.as_ptr(), page.cast(), path.count_bytes() + 1);
        u32::try_from(page as usize).unwrap()
    }
}

/// A call through the 32-bit entry, by its number there. Its pointers are below 4 GiB, and it writes no memory.
fn int80(number: i64, args: [i64; 4]) -> i64 {
    let result: i64;
    // SAFETY: the call reads memory alone; the compiler keeps rbx to itself, so it is put back.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) args[0] => _,
            inout("rax") number => result,
            in("rcx") args[1],
            in("rdx") args[2],
            in("rsi") args[3],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}

/// `openat` of a path below 4 GiB.
fn openat_by_int80(path: u32, flags: i32, mode: u32) -> i64 {
    int80(295, [libc::AT_FDCWD.into(), path.into(), flags.into(), mode.into()])
}

/// 32-bit calls of this program, which is a 64-bit one: each is seen, or the feature is said to be missing.
#[test]
fn calls_of_64_bit_programs_are_seen_or_said_not_to_be() {
    const CALLS: usize = 100;
    let watch = watch(OpensConfig::default());
    let sees_calls = sees_calls(&watch.info);
    println!("{:?}", watch.info.missing);
    let child = in_child(|| {
        let path = low(c"/etc/hostname");
        for _ in 0..CALLS {
            let fd = openat_by_int80(path, 0, 0);
            assert!(fd >= 0, "{fd}");
            nix::unistd::close(fd as i32).unwrap();
        }
    });
    let (seen, _) = watch.finish(|m| m.tgid == child);
    let calls = seen.iter().filter(|s| s.path_str() == "/etc/hostname").count();
    if sees_calls {
        assert_eq!(calls, CALLS);
    }
    // Otherwise they are seen while a 32-bit program runs, which that of another test may be.
    for open in &seen {
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert!(open.meta.fd().is_some());
        assert_eq!(open.resolved_str(), "/etc/hostname");
    }
}

/// Files that 32-bit opens create, where opens themselves are not reported.
#[test]
fn files_of_32_bit_calls_are_seen_or_said_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().canonicalize().unwrap().join("made");
    let path = CString::new(made.to_str().unwrap()).unwrap();
    let config = OpensConfig { calls: false, files: true, ..OpensConfig::default() };
    let watch = watch(config);
    let sees_calls = sees_calls(&watch.info);
    let child = in_child(|| {
        assert!(openat_by_int80(low(&path), libc::O_CREAT | libc::O_WRONLY, 0o640) >= 0);
    });
    let all = watch.finish_all(|_| true);
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let events: Vec<_> = events.filter(|event| event.key.tgid == child).collect();
    if sees_calls {
        assert_eq!(events.len(), 1);
    }
    for event in events {
        assert_eq!((event.op, event.how), (Op::Create, How::Mode(0o640)));
        assert_eq!(event.path.resolved(), Some(path.as_bytes()));
    }
}

/// Whether one of the features is said to be missing.
fn lacks(missing: &[Missing], feature: &str) -> bool {
    missing.iter().any(|missing| missing.feature == feature)
}

/// Other changes of files, which no program sees.
#[test]
fn changes_by_32_bit_calls_are_seen_or_said_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().canonicalize().unwrap().join("made");
    let path = CString::new(made.to_str().unwrap()).unwrap();
    let watch = watch(OpensConfig { calls: false, files: true, ..OpensConfig::default() });
    let said = lacks(&watch.info.missing, CHANGE_COMPAT);
    let child = in_child(|| assert_eq!(int80(39, [low(&path).into(), 0o700, 0, 0]), 0));
    let all = watch.finish_all(|_| true);
    assert!(made.is_dir());
    let events = all.changes.iter().flat_map(|changes| &changes.events);
    let seen = events.filter(|event| event.key.tgid == child).count();
    assert!(seen == 1 || said, "{seen}");
}

#[test]
fn bytes_of_32_bit_calls_are_counted_or_said_not_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("written");
    let watch = super::io::watch(IoConfig::default());
    let said = lacks(&watch.info.missing, IO_COMPAT);
    let child = in_child(|| {
        let file = super::io::new(&path);
        let text = low(c"32 bits");
        assert_eq!(int80(4, [file.as_raw_fd().into(), text.into(), 7, 0]), 7);
    });
    let sample = watch.finish();
    assert_eq!(std::fs::read(&path).unwrap(), b"32 bits");
    let files = super::io::by_file(&sample, child);
    let counted = files.get(&path).map_or(0, |counts| counts.written_bytes);
    assert!(counted == 7 || said, "{counted}");
}

/// One that runs already is seen from the first open on; one that comes while others are watched,
/// whole. When the last is gone nothing stays attached.
#[test]
fn opens_of_32_bit_tasks_are_seen_while_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let mut early = start(&program(dir.path(), "early", "/etc/hostname", 100_000, PAUSE_NS));
    let mut watch = watch(OpensConfig::default());
    let sees_calls = sees_calls(&watch.info);
    let whole = program(dir.path(), "whole", "/no such file", 50, PAUSE_NS);
    let mut second = start(&whole);
    let second_pid = second.id();
    assert!(second.wait().unwrap().success());
    let mut seen = Vec::new();
    if !sees_calls {
        seen.extend(watch.wait_for(|batch| batch.compat));
    }
    early.kill().unwrap();
    early.wait().unwrap();
    if !sees_calls {
        seen.extend(watch.wait_for(|batch| !batch.compat));
    }
    let (rest, _) = watch.finish(|_| true);
    seen.extend(rest);

    let of = |pid: u32| seen.iter().filter(move |s| s.meta.tgid == pid);
    assert!(of(early.id()).count() > 0);
    assert_eq!(of(second_pid).count(), 50);
    for open in of(second_pid) {
        assert_eq!(open.meta.syscall, Syscall::Openat);
        assert_eq!(open.path_str(), "/no such file");
        assert_eq!(open.resolved_str(), "/no such file");
        assert_eq!(open.meta.errno(), Some(libc::ENOENT));
        assert_eq!(open.meta.process.as_bytes(), b"whole");
    }
}

/// The first 32-bit program that starts while we run is found by its exec.
#[test]
fn one_that_starts_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut watch = watch(OpensConfig::default());
    let mut late = start(&program(dir.path(), "late", "/etc/hostname", 100_000, PAUSE_NS));
    let pid = late.id();
    let seen = watch.wait_for(|batch| batch.iter().any(|o| o.meta.tgid == pid));
    late.kill().unwrap();
    late.wait().unwrap();
    assert!(seen.iter().any(|s| s.meta.tgid == pid && s.path_str() == "/etc/hostname"));
    watch.finish(|_| true);
}
