//! Files that the program writes: with the rights of the user it works for, for that user alone
//! to read, and never through a link.
//!
//! Behind sudo that is the user who called it; with file capabilities, the user without them.
//! What that user may not read or write is not read or written for them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Gid, Uid, geteuid, setfsgid, setfsuid};

use crate::config::caller;

/// What goes over the permissions of files (capabilities(7)).
const OVER_PERMISSIONS: [Capability; 4] = [
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
    Capability::CAP_CHOWN,
];

/// Makes a file to be written, 0600. One that is there already, a link too, is left as it is: an
/// error of kind `AlreadyExists`.
pub fn create(path: &Path) -> io::Result<File> {
    as_caller(|| options().write(true).create_new(true).open(path))?
}

/// Opens a file to be written at its end, and makes it, 0600, where there is none. One that is
/// there has to be a regular file of the same user, and not a link.
pub fn append(path: &Path) -> io::Result<File> {
    as_caller(|| {
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
        if meta.uid() != caller().map_or_else(geteuid, |user| user.uid).as_raw() {
            return Err(io::Error::other("it belongs to somebody else"));
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

/// Does `work` with the file privileges of the user that the program works for: on this
/// thread alone, and until `work` returns. An error where they cannot be had: then nothing is done.
pub fn as_caller<T>(work: impl FnOnce() -> T) -> io::Result<T> {
    let _rights = Rights::of_caller()?;
    Ok(work())
}

/// The same for all that this thread does from now on. Goes on to hold when the rights to change
/// ids are given up.
pub fn become_caller() -> io::Result<()> {
    Rights::of_caller().map(std::mem::forget)
}

/// The rights that come back when this is dropped.
struct Rights {
    ids: Option<(Uid, Gid)>,
    capabilities: Option<CapsHashSet>,
}

impl Rights {
    fn of_caller() -> io::Result<Self> {
        let mut rights = Self { ids: None, capabilities: None };
        if let Some(user) = caller() {
            // A user id other than 0 also takes the capabilities over permissions out of force.
            let gid = setfsgid(user.gid);
            rights.ids = Some((setfsuid(user.uid), gid));
            // The calls return the previous id, not whether they were allowed.
            if setfsuid(user.uid) != user.uid || setfsgid(user.gid) != user.gid {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        } else if !geteuid().is_root() {
            let held = caps::read(None, CapSet::Effective).map_err(io::Error::other)?;
            let mut less = held.clone();
            less.retain(|c| !OVER_PERMISSIONS.contains(c));
            if less != held {
                rights.capabilities = Some(held);
                caps::set(None, CapSet::Effective, &less).map_err(io::Error::other)?;
            }
        }
        Ok(rights)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.ids {
            setfsuid(uid);
            setfsgid(gid);
        }
        if let Some(held) = &self.capabilities {
            // They are still permitted, and so can be taken up again.
            let _ = caps::set(None, CapSet::Effective, held);
        }
    }
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
