//! The log that `--log FILE` asks for: what libbpf says and what went wrong.
//!
//! The file belongs to the user behind sudo, is for that user alone to read, and is never
//! reached through a link.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::filter::LevelFilter;

use crate::config::caller;

/// Sends the log to `path` from now on; without this call there is none.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = open(path)?;
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_max_level(LevelFilter::DEBUG)
        .try_init()
        .map_err(io::Error::other)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if let Some(user) = caller() {
                nix::unistd::fchown(&file, Some(user.uid), Some(user.gid))?;
            }
            Ok(file)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let file = options.open(path)?;
            let meta = file.metadata()?;
            if !meta.is_file() {
                return Err(io::Error::other("not a regular file"));
            }
            // Root's rights are not for writing to a file that the caller could not.
            if caller().is_some_and(|user| user.uid.as_raw() != meta.uid()) {
                return Err(io::Error::other("it belongs to somebody else"));
            }
            Ok(file)
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn no_link_is_followed_and_nobody_else_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (log, link) = (dir.path().join("log"), dir.path().join("link"));
        std::os::unix::fs::symlink(&log, &link).unwrap();
        assert!(open(&link).is_err());
        assert!(!log.exists());
        let file = open(&log).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open(&log).is_ok());
        assert!(open(Path::new("/dev/null")).is_err());
    }
}
