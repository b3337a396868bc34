//! A 32-bit program, written byte by byte: no 32-bit C library is needed.
#![cfg(target_arch = "x86_64")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The address that the program is loaded at, and the offset of its text in the file.
const BASE: u32 = 0x0804_8000;
const TEXT: u32 = 52 + 32;

/// An i386 program that opens `path` `times` times, `pause_ns` (below a second) apart, and ends.
pub fn program(dir: &Path, name: &str, path: &str, times: u32, pause_ns: u32) -> PathBuf {
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
    text.extend(pause_ns.to_le_bytes());

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
