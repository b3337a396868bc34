//! The flags and the mode of an open, by name.
//!
//! The numbers are those of include/uapi/asm-generic/fcntl.h with the changes of x86_64 (none)
//! and aarch64 (arch/arm64/include/uapi/asm/fcntl.h). 32-bit tasks of either use the same.

pub use super::errno::{errno_name, errno_number};

#[cfg(target_arch = "aarch64")]
mod arch {
    pub const O_DIRECTORY: u64 = 0o40000;
    pub const O_NOFOLLOW: u64 = 0o100000;
    pub const O_DIRECT: u64 = 0o200000;
    pub const O_LARGEFILE: u64 = 0o400000;
}
#[cfg(not(target_arch = "aarch64"))]
mod arch {
    pub const O_DIRECT: u64 = 0o40000;
    /// The C library's `O_LARGEFILE` is 0 on 64-bit systems; the kernel's is not.
    pub const O_LARGEFILE: u64 = 0o100000;
    pub const O_DIRECTORY: u64 = 0o200000;
    pub const O_NOFOLLOW: u64 = 0o400000;
}
use arch::{O_DIRECT, O_DIRECTORY, O_LARGEFILE, O_NOFOLLOW};

const O_ACCMODE: u64 = 0o3;
const O_CREAT: u64 = 0o100;
const O_DSYNC: u64 = 0o10000;
const SYNC_BIT: u64 = 0o4000000;
const TMPFILE_BIT: u64 = 0o20000000;

/// The names of flags, in the order of the output. A name that contains another's bits comes first and takes them: `O_SYNC` has `O_DSYNC`'s, `O_TMPFILE` has `O_DIRECTORY`'s.
const NAMES: [(u64, &str); 19] = [
    (O_CREAT, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (SYNC_BIT | O_DSYNC, "O_SYNC"),
    (SYNC_BIT, "__O_SYNC"),
    (O_DSYNC, "O_DSYNC"),
    (0o20000, "O_ASYNC"),
    (O_DIRECT, "O_DIRECT"),
    (O_LARGEFILE, "O_LARGEFILE"),
    (TMPFILE_BIT | O_DIRECTORY, "O_TMPFILE"),
    (TMPFILE_BIT, "__O_TMPFILE"),
    (O_DIRECTORY, "O_DIRECTORY"),
    (O_NOFOLLOW, "O_NOFOLLOW"),
    (0o1000000, "O_NOATIME"),
    (0o10000000, "O_PATH"),
    (0o2000000, "O_CLOEXEC"),
];

/// Calls `name` for each name in `flags`, the access mode first; the bits that have none are left.
pub fn each_name(flags: u64, mut name: impl FnMut(&'static str)) -> u64 {
    name(match flags & O_ACCMODE {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        2 => "O_RDWR",
        // Neither read nor write, ioctl alone: a value that some drivers ask for.
        _ => "O_ACCMODE",
    });
    let mut left = flags & !O_ACCMODE;
    for (bits, text) in NAMES {
        if left == 0 {
            break;
        }
        if left & bits == bits {
            left &= !bits;
            name(text);
        }
    }
    left
}

/// The flags as in C, `O_RDONLY|O_CLOEXEC`.
pub fn text(flags: u64) -> String {
    let mut out = String::new();
    let left = each_name(flags, |name| {
        if !out.is_empty() {
            out.push('|');
        }
        out.push_str(name);
    });
    if left != 0 {
        out.push_str(&format!("|{left:#x}"));
    }
    out
}

/// The mode, where the flags say that it counts (`O_CREAT`, `O_TMPFILE`); as it was passed.
pub fn mode(flags: Option<u64>, mode: u32) -> Option<u16> {
    // umode_t has 16 bits; the rest of the register is not the program's word.
    flags.filter(|f| f & (O_CREAT | TMPFILE_BIT) != 0).map(|_| (mode & 0xffff) as u16)
}

/// A word of few letters for people: `r`, `w`, `rw` or `-`, then `c` create, `x` exclusive,
/// `t` truncate, `a` append, `d` directory, `p` path only, `T` temporary file.
pub fn letters(flags: u64) -> String {
    let mut out = String::from(match flags & O_ACCMODE {
        0 => "r",
        1 => "w",
        2 => "rw",
        _ => "-",
    });
    let temporary = flags & TMPFILE_BIT != 0;
    for (bit, letter) in [
        (O_CREAT, 'c'),
        (0o200, 'x'),
        (0o1000, 't'),
        (0o2000, 'a'),
        (if temporary { 0 } else { O_DIRECTORY }, 'd'),
        (0o10000000, 'p'),
        (TMPFILE_BIT, 'T'),
    ] {
        if flags & bit != 0 {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn c(flags: libc::c_int) -> u64 {
        flags as u64
    }

    #[test]
    fn names_in_their_order() {
        for (flags, expected) in [
            (0, "O_RDONLY"),
            (c(libc::O_CLOEXEC), "O_RDONLY|O_CLOEXEC"),
            (c(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC), "O_WRONLY|O_CREAT|O_TRUNC"),
            (c(libc::O_RDWR | libc::O_SYNC), "O_RDWR|O_SYNC"),
            (c(libc::O_DSYNC), "O_RDONLY|O_DSYNC"),
            (c(libc::O_TMPFILE | libc::O_WRONLY), "O_WRONLY|O_TMPFILE"),
            (c(libc::O_DIRECTORY | libc::O_NOFOLLOW), "O_RDONLY|O_DIRECTORY|O_NOFOLLOW"),
            (c(libc::O_PATH | libc::O_CLOEXEC), "O_RDONLY|O_PATH|O_CLOEXEC"),
            (c(libc::O_DIRECT | libc::O_NOATIME), "O_RDONLY|O_DIRECT|O_NOATIME"),
            (c(libc::O_ASYNC | libc::O_NONBLOCK), "O_RDONLY|O_NONBLOCK|O_ASYNC"),
            (c(libc::O_EXCL | libc::O_NOCTTY), "O_RDONLY|O_EXCL|O_NOCTTY"),
            (c(libc::O_APPEND) | O_LARGEFILE, "O_RDONLY|O_APPEND|O_LARGEFILE"),
            (3, "O_ACCMODE"),
            (SYNC_BIT, "O_RDONLY|__O_SYNC"),
            (TMPFILE_BIT, "O_RDONLY|__O_TMPFILE"),
            (1 << 32 | 1 << 27 | 2, "O_RDWR|0x108000000"),
            (0o4, "O_RDONLY|0x4"),
        ] {
            assert_eq!(text(flags), expected);
        }
    }

    #[test]
    fn the_mode_counts_with_creat_and_tmpfile_alone() {
        assert_eq!(mode(Some(c(libc::O_CREAT)), 0o644), Some(0o644));
        assert_eq!(mode(Some(c(libc::O_TMPFILE)), 0o600), Some(0o600));
        assert_eq!(mode(Some(c(libc::O_DIRECTORY)), 0o600), None);
        assert_eq!(mode(None, 0o600), None);
        assert_eq!(mode(Some(c(libc::O_CREAT)), 0xdead_01a4), Some(0o644));
    }

    #[test]
    fn letters_for_people() {
        assert_eq!(letters(0), "r");
        assert_eq!(letters(c(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC)), "wct");
        assert_eq!(letters(c(libc::O_RDWR | libc::O_TMPFILE)), "rwT");
        assert_eq!(letters(c(libc::O_DIRECTORY | libc::O_PATH)), "rdp");
    }

    proptest! {
        #[test]
        fn every_bit_is_named_once(flags in any::<u64>()) {
            let mut named = 0u64;
            let left = each_name(flags, |name| {
                let bits = NAMES.iter().find(|(_, n)| *n == name).map_or(0, |(b, _)| *b);
                assert_eq!(named & bits, 0);
                named |= bits;
            });
            prop_assert_eq!(named | left | (flags & O_ACCMODE), flags);
            prop_assert_eq!(named & left, 0);
        }
    }
}
