//! The network namespace that is watched, where it is not our own.
//!
//! The thread enters it, which keeps it and its interfaces alive. So the thread leaves it when the name
//! or the process that it was found by has gone.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::geteuid;

use crate::files;
use crate::model::escape::escape;
use crate::model::problem::Problem;

/// Folder with the names of `ip netns`.
const NAMES: &str = "/run/netns";

/// The namespace that this thread has entered.
#[derive(Debug)]
pub(super) struct Netns {
    /// The user's name for it, escaped.
    called: String,
    /// The namespace that the thread was in before.
    own: File,
    found_at: PathBuf,
    /// Device and inode of the namespace's file.
    id: (u64, u64),
}

impl Netns {
    /// Enters the namespace of that name, of the process of that id, or at that path.
    pub(super) fn enter(named: &str) -> Result<Self, Problem> {
        let called = escape(named.as_bytes()).into_owned();
        let what = format!("watch the network namespace {called}");
        let problem = |e: &io::Error| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => {
                Problem::new(&what, "there is none", there_are(Path::new(NAMES)))
            }
            Some(libc::EPERM | libc::EACCES) => {
                Problem::new(&what, "this needs root", "run it with sudo")
            }
            Some(libc::EINVAL) => Problem::new(
                &what,
                "this is not a network namespace",
                "give a name of `ip netns`, a process id, or a path as /proc/PID/ns/net",
            ),
            _ => Problem::new(&what, e.to_string(), ""),
        };
        let found_at = place(named);
        let entered = || -> io::Result<(File, (u64, u64))> {
            let own = File::open("/proc/thread-self/ns/net")?;
            let file = open(named, &found_at)?;
            let metadata = file.metadata()?;
            setns(file, CloneFlags::CLONE_NEWNET)?;
            Ok((own, (metadata.dev(), metadata.ino())))
        };
        let (own, id) = entered().map_err(|e| problem(&e))?;
        Ok(Self { called, own, found_at, id })
    }

    /// Why the thread must leave it; `None` while it is where it was found.
    pub(super) fn gone(&self) -> Option<Problem> {
        let there = std::fs::metadata(&self.found_at).map(|m| (m.dev(), m.ino()));
        (there.ok() != Some(self.id)).then(|| {
            Problem::new(
                format!("watch the network namespace {}", self.called),
                format!("{} is gone", escape(self.found_at.as_os_str().as_encoded_bytes())),
                "start again when it is back",
            )
        })
    }
}

/// Returns the thread to its own namespace.
impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(e) = setns(&self.own, CloneFlags::CLONE_NEWNET) {
            tracing::warn!("the namespace cannot be left: {e}");
        }
    }
}

/// The inode number of the namespace that this thread is in; 0 where /proc is not mounted.
pub(super) fn inode() -> u32 {
    let metadata = std::fs::metadata("/proc/thread-self/ns/net");
    metadata.ok().and_then(|m| u32::try_from(m.ino()).ok()).unwrap_or(0)
}

/// Opens the namespace's file. A path is opened with the permissions of the user who named it. Root enters
/// any namespace for that user, but other files remain out of their reach.
fn open(named: &str, path: &Path) -> io::Result<File> {
    if !named.contains('/') {
        return File::open(path);
    }
    files::open(path).or_else(|refused| {
        let found = File::options().read(true).custom_flags(libc::O_PATH).open(path);
        let is_namespace =
            |file: &File| fstatfs(file).is_ok_and(|fs| fs.filesystem_type() == NSFS_MAGIC);
        match found.ok().filter(|file| geteuid().is_root() && is_namespace(file)) {
            Some(file) => File::open(format!("/proc/self/fd/{}", file.as_raw_fd())),
            None => Err(refused),
        }
    })
}

/// The namespace's file: a path is taken as it is; a name comes before a process id.
fn place(named: &str) -> PathBuf {
    if named.contains('/') {
        return PathBuf::from(named);
    }
    let by_name = Path::new(NAMES).join(named);
    let is_pid = !named.is_empty() && named.bytes().all(|b| b.is_ascii_digit());
    if is_pid && !by_name.exists() {
        return PathBuf::from(format!("/proc/{named}/ns/net"));
    }
    by_name
}

/// The names that could have been meant.
fn there_are(names: &Path) -> String {
    let entries = std::fs::read_dir(names).into_iter().flatten().flatten();
    let name = |e: std::fs::DirEntry| escape(e.file_name().as_encoded_bytes()).into_owned();
    let mut names: Vec<String> = entries.map(name).take(50).collect();
    names.sort();
    match names.as_slice() {
        [] => "no namespace has a name here; a process id will do, or a path".into(),
        names => format!("a process id or a path will do, or one of these: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_a_process_a_path() {
        for (named, at) in [
            ("blue", "/run/netns/blue"),
            ("812", "/proc/812/ns/net"),
            ("8l2", "/run/netns/8l2"),
            ("/proc/self/ns/net", "/proc/self/ns/net"),
            ("./x", "./x"),
        ] {
            assert_eq!(place(named), Path::new(at));
        }
    }
}
