//! The path of the configuration, and how it is read.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::files;
use crate::privileges::{as_invoker, invoker};

/// A larger file is no configuration.
const MOST_BYTES: u64 = 1 << 20;

/// `$XDG_CONFIG_HOME/ebpftop/config.toml`, else under the home of the user who called sudo,
/// else under one's own.
pub(super) fn default_path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| {
        let home = match invoker() {
            Ok(None) => etcetera::home_dir().ok(),
            Ok(Some(user)) => user.home.clone(),
            Err(_) => None,
        };
        Some(home?.join(".config"))
    })?;
    Some(base.join("ebpftop/config.toml"))
}

/// Whether there is a file that the invoker can reach.
pub(super) fn is_there(path: &Path) -> bool {
    as_invoker(|| std::fs::metadata(path).is_ok()).unwrap_or(false)
}

/// Reads a file that should be a short text, with the invoker's permissions: it may be a link to what
/// only root may read, and an error that quotes a line would show that.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let file = files::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
