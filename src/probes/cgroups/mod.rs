//! Paths of cgroups by their id: the inode number of the directory in the v2 hierarchy.
//!
//! The hierarchy is walked when an id is met that is not known, and not again before the walk
//! has paid for itself. Ids are never used twice (64 bits, include/linux/kernfs.h) and a cgroup of
//! v2 cannot be renamed, so what is known stays true, and a cgroup that is gone keeps its path.

use std::fs;
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

pub use crate::model::cgroup::Cgroup;
use crate::model::cgroup::Owner;
use crate::model::time::Mono;

/// Cgroups held. Beyond that all are forgotten and walked for again: about 6 MiB with long paths.
const MOST: usize = 32_768;

/// Deeper is not looked: the kernel's own bound is INT_MAX, real ones are below 20.
const MOST_DEPTH: usize = 64;

/// At least this long between walks, ns; and this many times what the last one took, so that
/// walking takes at most 2 % of the time however many cgroups there are.
const WALK_EVERY_NS: u64 = 200_000_000;
const WALK_SHARE: u64 = 50;

/// The known cgroups.
#[derive(Debug)]
pub struct Cgroups {
    root: Option<PathBuf>,
    known: HashMap<u64, Cgroup>,
    /// No walk before this.
    next_walk: Mono,
}

impl Default for Cgroups {
    fn default() -> Self {
        Self::new()
    }
}

impl Cgroups {
    /// None known yet; the hierarchy is where this process sees it mounted.
    pub fn new() -> Self {
        let root = fs::read("/proc/self/mountinfo").ok().and_then(|text| mount_point(&text));
        Self::at(root)
    }

    fn at(root: Option<PathBuf>) -> Self {
        Self { root, known: HashMap::new(), next_walk: Mono(0) }
    }

    /// Where the v2 hierarchy is mounted.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The cgroup of this id, if it is known by now. `clock` tells the time before and after a walk.
    pub fn get(&mut self, id: u64, clock: impl Fn() -> Mono) -> Option<&Cgroup> {
        if !self.known.contains_key(&id) {
            self.walk(clock);
        }
        self.known.get(&id)
    }

    fn walk(&mut self, clock: impl Fn() -> Mono) {
        let Some(root) = self.root.clone() else { return };
        let begin = clock();
        if begin < self.next_walk {
            return;
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        if let Ok(meta) = fs::metadata(&root) {
            self.add(meta.ino(), b"/");
        }
        let mut path = Vec::new();
        // What cannot be read is unknown, not wrong: the ids in it stay without a path.
        let _ = self.walk_into(&root, &mut path, 0);
        let end = clock();
        let pause = end.since(begin).saturating_mul(WALK_SHARE).max(WALK_EVERY_NS);
        self.next_walk = Mono(end.0.saturating_add(pause));
    }

    fn walk_into(&mut self, dir: &Path, path: &mut Vec<u8>, depth: usize) -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            if self.known.len() >= MOST || depth >= MOST_DEPTH {
                return Ok(());
            }
            let len = path.len();
            path.push(b'/');
            path.extend_from_slice(entry.file_name().as_encoded_bytes());
            self.add(entry.ino(), path);
            // A cgroup that goes meanwhile is no reason to stop.
            let _ = self.walk_into(&entry.path(), path, depth + 1);
            path.truncate(len);
        }
        Ok(())
    }

    fn add(&mut self, id: u64, path: &[u8]) {
        self.known
            .entry(id)
            .or_insert_with(|| Cgroup { path: path.into(), owner: Owner::of(path) });
    }
}

/// Where mountinfo says that a cgroup2 file system is mounted.
fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    mountinfo.split(|b| *b == b'\n').find_map(|line| {
        let at = memchr::memmem::find(line, b" - cgroup2 ")?;
        let point = line.get(..at)?.split(|b| *b == b' ').nth(4)?;
        Some(PathBuf::from(std::ffi::OsString::from_vec(unoctal(point))))
    })
}

/// mountinfo writes space, tab, newline and backslash as `\040`.
fn unoctal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match code.and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("system.slice/nginx.service")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "").unwrap();
        dir
    }

    fn ino(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn an_id_becomes_its_path() {
        let dir = tree();
        let mut cgroups = Cgroups::at(Some(dir.path().into()));
        let mut path = |p: &Path| {
            cgroups.get(ino(p), || Mono(0)).map(|c| String::from_utf8(c.path.to_vec()).unwrap())
        };
        assert_eq!(path(dir.path()).as_deref(), Some("/"));
        let service = dir.path().join("system.slice/nginx.service");
        assert_eq!(path(&service).as_deref(), Some("/system.slice/nginx.service"));
        assert_eq!(path(&dir.path().join("cgroup.procs")), None);
    }

    #[test]
    fn one_that_appears_is_found_and_one_that_goes_stays_known() {
        let dir = tree();
        let mut cgroups = Cgroups::at(Some(dir.path().into()));
        assert_eq!(cgroups.get(1, || Mono(0)), None);
        let new = dir.path().join("new");
        fs::create_dir(&new).unwrap();
        let id = ino(&new);
        // Not walked again at once, however often it is asked for.
        assert_eq!(cgroups.get(id, || Mono(WALK_EVERY_NS - 1)), None);
        assert!(cgroups.get(id, || Mono(WALK_EVERY_NS)).is_some());
        fs::remove_dir(&new).unwrap();
        assert!(cgroups.get(id, || Mono(u64::MAX)).is_some());
    }

    #[test]
    fn the_mount_is_found() {
        let text = b"30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
            31 25 0:27 / /sys/fs/my\\040group rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(text), Some(PathBuf::from("/sys/fs/my group")));
        assert_eq!(mount_point(b"30 25 0:26 / / rw - ext4 /dev/x rw\n"), None);
    }

    #[test]
    fn any_text_of_proc_does_no_harm() {
        crate::corpus::check("proc", |text| {
            mount_point(text);
            assert!(unoctal(text).len() <= text.len());
        });
    }

    #[test]
    fn without_a_hierarchy_nothing_is_known() {
        assert_eq!(Cgroups::at(None).get(1, || Mono(0)), None);
    }
}
