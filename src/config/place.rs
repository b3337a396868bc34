//! The path of the configuration, and how root reads a file of the user who called sudo.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

use crate::files::as_caller;

/// A larger file is no configuration.
const MOST_BYTES: u64 = 1 << 20;

/// The user who called sudo, when there is one and is not root.
pub fn caller() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let name = std::env::var("SUDO_USER").ok()?;
    User::from_name(&name).ok().flatten().filter(|u| !u.uid.is_root())
}

/// `$XDG_CONFIG_HOME/ebpftop/config.toml`, else under the home of the user who called sudo,
/// else under one's own.
pub(super) fn default_path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| {
        let home = caller().map(|u| u.dir).or_else(|| etcetera::home_dir().ok())?;
        Some(home.join(".config"))
    })?;
    Some(base.join("ebpftop/config.toml"))
}

/// Reads a file that should be a short text.
///
/// Behind sudo the file is of somebody with fewer rights: it may be a link to what only root
/// may read, and an error that quotes a line would show it. So the opened file has to be the
/// caller's, or everybody's to read.
pub(super) fn read(path: &Path) -> io::Result<String> {
    // O_NONBLOCK: a FIFO in its place must not stop the program.
    let open = || File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = as_caller(open)??;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if !may_read(meta.uid(), meta.mode(), caller().map(|u| u.uid)) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not readable to the user who called sudo",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

/// Whether the caller of sudo could have read a file of `owner` with `mode`.
fn may_read(owner: u32, mode: u32, caller: Option<Uid>) -> bool {
    caller.is_none_or(|uid| uid.as_raw() == owner || mode & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_sudo_root_reads_only_what_the_caller_may() {
        let caller = Some(Uid::from_raw(1000));
        for (owner, mode, may) in
            [(1000, 0o600, true), (0, 0o644, true), (0, 0o640, false), (1001, 0o600, false)]
        {
            assert_eq!(may_read(owner, mode, caller), may, "{owner} {mode:o}");
        }
        assert!(may_read(0, 0o600, None));
    }

    #[test]
    fn only_a_short_regular_utf8_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("good"), "a").unwrap();
        std::fs::write(path("bytes"), b"\xff").unwrap();
        std::fs::write(path("long"), vec![b'a'; 1 << 21]).unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&path("good")).unwrap(), "a");
        for name in ["bytes", "long", "fifo", "absent", "."] {
            assert!(read(&path(name)).is_err(), "{name}");
        }
    }
}
