//! Files that say nothing about a program, since nearly every program opens them: the dynamic loader's,
//! those of locales, `/dev/null`.

/// Files that the C library and the loader open by themselves.
const FILES: &[&[u8]] = &[
    b"/dev/null",
    b"/dev/tty",
    b"/etc/ld.so.cache",
    b"/etc/ld.so.preload",
    b"/etc/localtime",
    b"/etc/nsswitch.conf",
    b"/etc/selinux/config",
    b"/proc/filesystems",
    b"/usr/share/locale/locale.alias",
];

/// Directories of locales and of conversions between character sets.
const BELOW: &[&[u8]] =
    &[b"/usr/lib/locale/", b"/usr/share/locale/", b"/usr/share/locale-langpack/"];

/// Whether the loader or the C library opens a file in almost any program.
pub fn is_common(path: &[u8]) -> bool {
    FILES.contains(&path)
        || BELOW.iter().any(|dir| path.starts_with(dir))
        || path.windows(7).any(|part| part == b"/gconv/")
        || is_library(path)
}

/// `libc.so.6`, `libfoo.so`: the loader opens it.
fn is_library(path: &[u8]) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
    let mut parts = name.split(|b| *b == b'.').rev();
    let is_number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    name.contains(&b'.')
        && name.first() != Some(&b'.')
        && parts.find(|part| !is_number(part)) == Some(b"so".as_slice())
}

/// How distinctive an open of a file is, if `users` of all `programs` open that file: the inverse document
/// frequency, more than 0.
pub fn weight(users: usize, programs: usize) -> f64 {
    (1.0 + programs.max(1) as f64 / users.max(1) as f64).ln()
}

/// Whether so many programs open a file that it says nothing about any of them.
pub fn is_of_most(users: usize, programs: usize) -> bool {
    users >= 4 && users * 2 > programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_locales_are_common() {
        for path in [
            "/etc/ld.so.cache",
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
            "/opt/app/libfoo.so",
            "/usr/lib/locale/C.utf8/LC_CTYPE",
            "/usr/lib/x86_64-linux-gnu/gconv/gconv-modules.cache",
            "/usr/share/locale/de/LC_MESSAGES/bash.mo",
        ] {
            assert!(is_common(path.as_bytes()), "{path}");
        }
        for path in
            ["/etc/hostname", "/srv/x.so.conf", "/a/so", "/a/.so", "/a/b.so.d/x", "/dev/null2", ""]
        {
            assert!(!is_common(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn rare_files_weigh_more() {
        assert!(weight(1, 20) > weight(10, 20) && weight(20, 20) > 0.0 && weight(0, 0) > 0.0);
        assert!(is_of_most(6, 10) && !is_of_most(5, 10) && !is_of_most(3, 3));
    }
}
