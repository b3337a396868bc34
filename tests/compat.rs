//! Opens by 32-bit tasks, on the real kernel. Needs root, x86_64 and CONFIG_IA32_EMULATION, and
//! fails without them.
#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use common::opens::{Seen, watch};
use common::spawn::fresh;
use ebpftop::model::open::Syscall;
use ebpftop::probes::OpensConfig;

/// Where the program is loaded, and where its text is in the file.
const BASE: u32 = 0x0804_8000;
const TEXT: u32 = 52 + 32;

/// An i386 program that opens `path` `times` times, 5 ms apart, and ends.
fn program(dir: &Path, name: &str, path: &str, times: u32) -> PathBuf {
    let code = |path_at: u32, pause_at: u32| {
        let mut code = vec![0xbe]; // mov esi, times
        code.extend(times.to_le_bytes());
        let top = code.len();
        code.extend([0xb8, 0x27, 0x01, 0, 0]); // mov eax, 295 (openat)
        code.extend([0xbb, 0x9c, 0xff, 0xff, 0xff]); // mov ebx, -100 (AT_FDCWD)
        code.push(0xb9); // mov ecx, path
        code.extend(path_at.to_le_bytes());
        code.extend([0x31, 0xd2, 0xcd, 0x80]); // xor edx, edx; int 0x80
        code.extend([0x89, 0xc3, 0xb8, 6, 0, 0, 0, 0xcd, 0x80]); // close it
        code.push(0xbb); // mov ebx, pause
        code.extend(pause_at.to_le_bytes());
        code.extend([0x31, 0xc9, 0xb8, 162, 0, 0, 0, 0xcd, 0x80]); // nanosleep
        code.push(0x4e); // dec esi
        let back = top as i32 - (code.len() as i32 + 2);
        code.extend([0x75, back as i8 as u8]); // jnz top
        code.extend([0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80]); // exit(0)
        code
    };
    let at = |offset: usize| BASE + TEXT + offset as u32;
    let len = code(0, 0).len();
    let pause = len + path.len() + 1;
    let mut text = code(at(len), at(pause));
    text.extend(path.as_bytes());
    text.push(0);
    text.extend(0u32.to_le_bytes());
    text.extend(5_000_000u32.to_le_bytes());

    let whole = TEXT + text.len() as u32;
    let mut elf = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, 0, 3, 0]); // executable, i386
    for word in [1, BASE + TEXT, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, 1, 40, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1, 0, BASE, BASE, whole, whole, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(text);
    let file = dir.join(name);
    std::fs::write(&file, elf).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn start(program: &Path) -> Child {
    // Needs CONFIG_IA32_EMULATION.
    fresh(&mut Command::new(program))
}

/// One that runs already is seen from the first open on; one that comes while others are watched,
/// whole. When the last is gone nothing stays attached.
#[test]
fn opens_of_32_bit_tasks_are_seen_while_there_are_any() {
    let dir = tempfile::tempdir().unwrap();
    let mut early = start(&program(dir.path(), "early", "/etc/hostname", 100_000));
    let mut watch = watch(OpensConfig::default());
    assert!(watch.info.unseen.iter().all(|(what, _)| what != "32-bit tasks"));
    let whole = program(dir.path(), "whole", "/no such file", 50);
    let mut second = start(&whole);
    let second_pid = second.id();
    assert!(second.wait().unwrap().success());
    let watched = watch.wait_for(|batch| batch.compat);
    early.kill().unwrap();
    early.wait().unwrap();
    let let_go = watch.wait_for(|batch| !batch.compat);
    let (rest, _) = watch.finish(|_| true);
    let seen: Vec<Seen> = [watched, let_go, rest].concat();

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
    let mut late = start(&program(dir.path(), "late", "/etc/hostname", 100_000));
    let pid = late.id();
    let seen = watch.wait_for(|batch| batch.iter().any(|o| o.meta.tgid == pid));
    late.kill().unwrap();
    late.wait().unwrap();
    assert!(seen.iter().any(|s| s.meta.tgid == pid && s.path_str() == "/etc/hostname"));
    watch.finish(|_| true);
}
