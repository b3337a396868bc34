//! Files that a user names: opened with that user's permissions ([`as_invoker`]), and those that are
//! written never through a link and for that user alone to read.

pub mod rotating;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::geteuid;

use crate::privileges::{as_invoker, invoker};

/// Opens a file to be read. A FIFO does not stop the program: it is empty.
pub fn open(path: &Path) -> io::Result<File> {
    as_invoker(|| File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path))?
}

/// Opens the place of a file of any kind (`O_PATH`): nothing is read, and no FIFO, device or lock is touched.
pub fn open_place(path: &Path) -> io::Result<File> {
    as_invoker(|| File::options().read(true).custom_flags(libc::O_PATH).open(path))?
}

/// Reads a whole file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a file to be written, 0600. One that is there already, a link too, is left as it is: an
/// error of kind `AlreadyExists`.
pub fn create(path: &Path) -> io::Result<File> {
    as_invoker(|| options().write(true).create_new(true).open(path))?
}

/// Opens a file to be written at its end, and makes it, 0600, where there is none. One that is
/// there has to be a regular file of the same user, and not a link.
pub fn append(path: &Path) -> io::Result<File> {
    let user = invoker()?.map_or_else(geteuid, |user| user.uid);
    as_invoker(|| {
        let mut options = options();
        options.append(true);
        match options.clone().create_new(true).open(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
        let file = options.open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if meta.uid() != user.as_raw() {
            return Err(io::Error::other("it belongs to another user"));
        }
        Ok(file)
    })?
}

/// O_NONBLOCK: a FIFO in its place must not stop the program.
fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn no_link_is_followed_and_only_the_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        symlink(path("target"), path("link")).unwrap();
        for open in [create, append] {
            assert!(open(&path("link")).is_err());
            assert!(open(Path::new("/dev/null")).is_err());
            assert!(open(dir.path()).is_err());
        }
        assert!(!path("target").exists());
        std::fs::write(path("target"), "kept").unwrap();
        for open in [create, append] {
            assert!(open(&path("link")).is_err());
        }
        let file = append(&path("log")).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(append(&path("log")).is_ok());
        assert_eq!(create(&path("log")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(path("target")).unwrap(), "kept");
    }
}
