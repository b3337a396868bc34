//! Paths of cgroups by their ids, in v2 and in v1.
//!
//! The kernel emits each new cgroup (`made`). Older ones are found by a walk of their hierarchy when an
//! unknown id appears, with a pause between walks. Ids are never used twice (64 bits,
//! include/linux/kernfs.h), so a removed cgroup keeps its path.

mod hierarchies;
pub(crate) mod made;

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use hashbrown::HashMap;
use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};

pub use self::hierarchies::{
    Hierarchy, HierarchyRoot, Reached, hierarchies, hierarchy_root, missing, pids_hierarchy,
    systemd_hierarchy,
};
pub use crate::model::cgroup::Cgroup;
use crate::model::cgroup::{CgroupNames, hierarchy_of, id_in};
use crate::model::event::CgroupsMade;
use crate::model::time::Mono;
use crate::probes::containers::Namer;

/// Features that are missing where a cgroup namespace hides the machine's root.
pub(crate) const OUTSIDE_NAMES: &str =
    "opens: names of cgroups outside of the own cgroup namespace";
pub(crate) const OUTSIDE_CONNECTIONS: &str =
    "connections: accept() and datagram peers outside of the own cgroup namespace";

/// Maximum cgroups in each of two generations: about 6 MiB in all with long paths. A walk takes no more.
const MOST: usize = 16_384;

/// Maximum depth of a walk: the kernel's own bound is INT_MAX, real ones are below 20.
const MOST_DEPTH: usize = 64;

/// Minimum time between walks of a hierarchy, ns, and as a multiple of the last walk's duration, so
/// that walking takes at most 2 % of the time whatever the number of cgroups.
const WALK_EVERY_NS: u64 = 200_000_000;
const WALK_SHARE: u64 = 50;

/// The known cgroups.
#[derive(Debug)]
pub struct Cgroups {
    names: CgroupNames,
    /// No walk of a hierarchy before this.
    next_walk: HashMap<u32, Mono>,
    /// Names of new cgroups that were lost.
    lost: u64,
    /// Reads the names of containers, where they are asked for.
    containers: Option<Namer>,
}

impl Default for Cgroups {
    fn default() -> Self {
        Self::new()
    }
}

impl Cgroups {
    /// None known yet.
    pub fn new() -> Self {
        Self { names: CgroupNames::new(MOST), next_walk: HashMap::new(), lost: 0, containers: None }
    }

    /// None known yet; containers will have their names.
    pub fn with_containers() -> Self {
        Self { containers: Some(Namer::default()), ..Self::new() }
    }

    /// Stores the path of a new or renamed cgroup.
    pub fn insert(&mut self, id: u64, path: &[u8]) {
        self.names.insert(id, path);
    }

    /// Stores the paths of new cgroups; returns how many more the kernel had no room for.
    pub fn take(&mut self, made: &CgroupsMade) -> u64 {
        for (id, path) in &made.paths {
            self.insert(*id, path);
        }
        let more = made.lost.saturating_sub(self.lost);
        self.lost += more;
        more
    }

    /// The cgroup of this id, if it is known by now. `clock` gives the time before and after a walk.
    pub fn get(&mut self, id: u64, clock: impl Fn() -> Mono + Copy) -> Option<&Cgroup> {
        if self.names.get(id).is_none() {
            let number = hierarchy_of(id);
            let hierarchy = hierarchies().iter().find(|h| h.number == number);
            if let Some(root) = hierarchy.and_then(|h| h.root.as_ref()) {
                self.walk(number, &root.dir, &root.prefix, clock);
            }
        }
        self.name_container(id, clock);
        self.names.get(id)
    }

    /// Asks for the names of a cgroup's container, where they are unknown.
    fn name_container(&mut self, id: u64, clock: impl Fn() -> Mono) {
        let Some(namer) = &mut self.containers else { return };
        let unnamed = self.names.get(id).and_then(Cgroup::unnamed_container);
        let Some(container) = unnamed else { return };
        let answers = namer.ask(container, clock());
        self.names.name_containers(&answers);
    }

    fn walk(&mut self, hierarchy: u32, dir: impl AsFd, prefix: &[u8], clock: impl Fn() -> Mono) {
        let begin = clock();
        if self.next_walk.get(&hierarchy).is_some_and(|next| begin < *next) {
            return;
        }
        let mut walk =
            Walk { names: &mut self.names, hierarchy, path: prefix.to_vec(), room: MOST };
        if let Ok(stat) = fstat(&dir) {
            walk.add(stat.st_ino, if prefix.is_empty() { b"/" } else { prefix });
        }
        // A directory that cannot be read leaves its ids without a path.
        let _ = walk.below(&dir, 0);
        let end = clock();
        let pause = end.since(begin).saturating_mul(WALK_SHARE).max(WALK_EVERY_NS);
        self.next_walk.insert(hierarchy, Mono(end.0.saturating_add(pause)));
    }
}

/// One walk through a hierarchy.
struct Walk<'a> {
    names: &'a mut CgroupNames,
    hierarchy: u32,
    /// Its path.
    path: Vec<u8>,
    /// Remaining cgroups.
    room: usize,
}

impl Walk<'_> {
    fn below(&mut self, dir: impl AsFd, depth: usize) -> nix::Result<()> {
        if depth >= MOST_DEPTH {
            return Ok(());
        }
        for child in children(&dir)? {
            if self.room == 0 {
                return Ok(());
            }
            self.room -= 1;
            let len = self.path.len();
            self.path.push(b'/');
            self.path.extend_from_slice(&child.name);
            let path = std::mem::take(&mut self.path);
            self.add(child.ino, &path);
            self.path = path;
            // A cgroup that is removed meanwhile is no reason to stop.
            if let Ok(opened) = open_below(&dir, &child.name) {
                let _ = self.below(&opened, depth + 1);
            }
            self.path.truncate(len);
        }
        Ok(())
    }

    fn add(&mut self, ino: u64, path: &[u8]) {
        if let Some(id) = id_in(self.hierarchy, ino) {
            self.names.insert(id, path);
        }
    }
}

/// A cgroup in a directory.
struct Child {
    ino: u64,
    name: Vec<u8>,
}

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC).union(OFlag::O_NOFOLLOW);

fn open_below(dir: impl AsFd, name: &[u8]) -> nix::Result<std::os::fd::OwnedFd> {
    nix::fcntl::openat(dir, std::ffi::OsStr::from_bytes(name), DIRECTORY, Mode::empty())
}

/// The cgroups in a directory.
fn children(dir: impl AsFd) -> nix::Result<impl Iterator<Item = Child>> {
    let entries = Dir::openat(dir, c".", DIRECTORY, Mode::empty())?.into_iter();
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_bytes();
        let is_below = entry.file_type() == Some(Type::Directory) && !matches!(name, b"." | b"..");
        is_below.then(|| Child { ino: entry.ino(), name: name.to_vec() })
    }))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

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

    /// The result for an inode of a walk of this folder at `now`.
    fn walked(
        cgroups: &mut Cgroups,
        dir: &Path,
        prefix: &[u8],
        ino: u64,
        now: u64,
    ) -> Option<String> {
        cgroups.walk(3, File::open(dir).unwrap(), prefix, || Mono(now));
        let cgroup = cgroups.names.get(id_in(3, ino).unwrap())?;
        Some(String::from_utf8(cgroup.path.to_vec()).unwrap())
    }

    #[test]
    fn an_id_becomes_its_path() {
        let dir = tree();
        let service = ino(&dir.path().join("system.slice/nginx.service"));
        let file = ino(&dir.path().join("cgroup.procs"));
        for (prefix, root, below) in [
            (&b""[..], "/", "/system.slice/nginx.service"),
            (b"/docker/x", "/docker/x", "/docker/x/system.slice/nginx.service"),
        ] {
            let mut cgroups = Cgroups::new();
            let mut path = |ino| walked(&mut cgroups, dir.path(), prefix, ino, 0);
            assert_eq!(path(ino(dir.path())).as_deref(), Some(root));
            assert_eq!(path(service).as_deref(), Some(below));
            assert_eq!(path(file), None);
            // Not one of v2.
            assert_eq!(cgroups.names.get(service), None);
        }
    }

    #[test]
    fn one_that_appears_is_found_and_one_that_goes_stays_known() {
        let dir = tree();
        let mut cgroups = Cgroups::new();
        let mut path = |ino, now| walked(&mut cgroups, dir.path(), b"", ino, now);
        assert_eq!(path(1, 0), None);
        let new = dir.path().join("new");
        fs::create_dir(&new).unwrap();
        let id = ino(&new);
        // Further requests do not start another walk at once.
        assert_eq!(path(id, WALK_EVERY_NS - 1), None);
        assert!(path(id, WALK_EVERY_NS).is_some());
        fs::remove_dir(&new).unwrap();
        assert!(path(id, u64::MAX).is_some());
    }

    #[test]
    fn without_a_hierarchy_nothing_is_known() {
        assert_eq!(Cgroups::new().get(id_in(60_000, 1).unwrap(), || Mono(0)), None);
    }
}
