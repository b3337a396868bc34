//! The hierarchies of cgroups, each by an open directory of its root.
//!
//! A hierarchy may be mounted nowhere, or only in part: a container sees its own subtree. The root is
//! then reached by a private mount, in the cgroup namespace of process 1 where ours is
//! another one, or through the files of process 1, as far as the privileges go. The root of a
//! hierarchy is recognized by its inode number, 1 (fs/kernfs/dir.c).

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::sched::{CloneFlags, setns};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, fstatfs};

use crate::model::coverage::Missing;
use crate::model::escape::escape;
use crate::model::mounts::{self, Mount, SYSTEMD};
use crate::sys::mount::private_mount;

/// The inode number of a hierarchy's root.
const ROOT_INO: u64 = 1;

/// The inode number of the machine's own cgroup namespace (`include/linux/proc_ns.h`).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFB;

/// How a root was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It is mounted here.
    At(PathBuf),
    /// Reached by a private mount.
    PrivateMount,
    /// Reached by a private mount in the cgroup namespace of process 1.
    NamespaceOfInit,
    /// Through `/proc/1/root`.
    FilesOfInit,
}

/// The root of a hierarchy, or of the visible part of it.
#[derive(Debug)]
pub struct HierarchyRoot {
    /// The directory.
    pub dir: OwnedFd,
    /// How it was reached.
    pub reached: Reached,
    /// The reason why only a part is visible; our text, or escaped.
    pub partial: Option<String>,
    /// The prefix of paths below `dir`.
    pub(super) prefix: Vec<u8>,
}

/// A hierarchy.
#[derive(Debug)]
pub struct Hierarchy {
    /// Its number; 0 is v2.
    pub number: u32,
    /// Its controllers or its name, as in `/proc/PID/cgroup`; nothing for v2.
    pub controllers: Vec<u8>,
    /// Its root; `None` where it cannot be reached.
    pub root: Option<HierarchyRoot>,
}

/// All hierarchies that this process is in, found at the first call: that one takes the privileges to
/// mount and to enter namespaces, where they are needed. v2 comes first, if there is one.
pub fn hierarchies() -> &'static [Hierarchy] {
    static FOUND: OnceLock<Vec<Hierarchy>> = OnceLock::new();
    FOUND.get_or_init(find)
}

/// The root of cgroup v2, to attach programs to: they see every task below it. Where v2 has never been
/// mounted it is now, by a mount of ours.
pub fn hierarchy_root() -> Option<&'static HierarchyRoot> {
    static MOUNTED: OnceLock<Option<HierarchyRoot>> = OnceLock::new();
    match hierarchies().iter().find(|h| h.number == 0) {
        Some(v2) => v2.root.as_ref(),
        None => MOUNTED
            .get_or_init(|| Wanted { number: 0, controllers: b"" }.root(&own_mounts()))
            .as_ref(),
    }
}

/// The number of the v1 hierarchy name=systemd; 0 where there is none, or no cgroup in it.
pub fn systemd_hierarchy() -> u32 {
    let systemd = hierarchies().iter().find(|h| h.number > 0 && h.controllers == SYSTEMD);
    let used = systemd.filter(|h| h.root.as_ref().is_some_and(|root| has_children(&root.dir)));
    used.map_or(0, |h| h.number)
}

/// The number of the v1 hierarchy of the pids controller; 0 where there is none.
pub fn pids_hierarchy() -> u32 {
    let pids = hierarchies().iter().find(|h| h.number > 0 && mounts::has_pids(&h.controllers));
    pids.map_or(0, |h| h.number)
}

/// The feature that is missing where only a part of a hierarchy is visible.
pub fn missing(feature: &str) -> Option<Missing> {
    let roots = hierarchies().iter().filter_map(|h| h.root.as_ref());
    let error = roots.into_iter().find_map(|root| root.partial.clone())?;
    Some(Missing { feature: feature.into(), program: "cgroup namespace".into(), error })
}

fn find() -> Vec<Hierarchy> {
    let own = fs::read("/proc/self/cgroup").unwrap_or_default();
    let mounts = own_mounts();
    let mut all: Vec<Hierarchy> = mounts::memberships(&own)
        .map(|m| {
            let wanted = Wanted { number: m.hierarchy, controllers: m.controllers };
            let root = wanted.root(&mounts);
            Hierarchy { number: m.hierarchy, controllers: m.controllers.into(), root }
        })
        .collect();
    all.sort_by_key(|h| h.number);
    all
}

fn own_mounts() -> Vec<Mount> {
    mounts::mounts(&fs::read("/proc/self/mountinfo").unwrap_or_default()).collect()
}

/// A hierarchy to find.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    number: u32,
    controllers: &'a [u8],
}

impl Wanted<'_> {
    fn is_v2(self) -> bool {
        self.number == 0
    }

    fn root(self, mounts: &[Mount]) -> Option<HierarchyRoot> {
        let mut part = None;
        for mount in mounts.iter().filter(|m| self.is_of(m)) {
            let point = Path::new(OsStr::from_bytes(&mount.point));
            let Ok(dir) = self.open(point) else { continue };
            if is_root(&dir) {
                return Some(whole(dir, Reached::At(point.into())));
            }
            part.get_or_insert_with(|| (dir, mount.clone()));
        }
        if let Ok(dir) = self.mount()
            && is_root(&dir)
        {
            return Some(whole(dir, Reached::PrivateMount));
        }
        if let Ok(dir) = self.mount_as_init()
            && is_root(&dir)
        {
            return Some(whole(dir, Reached::NamespaceOfInit));
        }
        if let Some(dir) = self.through_init() {
            return Some(whole(dir, Reached::FilesOfInit));
        }
        let (dir, mount) = part?;
        let reached = Reached::At(PathBuf::from(OsStr::from_bytes(&mount.point)));
        // Paths as /proc/PID/cgroup has them here.
        let prefix = if mount.root == b"/" { Vec::new() } else { mount.root };
        Some(HierarchyRoot { dir, reached, partial: Some(why_partial()), prefix })
    }

    /// Whether a mount shows this hierarchy: a v1 one has each of its controllers among its options.
    fn is_of(self, mount: &Mount) -> bool {
        if self.is_v2() {
            return mount.kind == b"cgroup2";
        }
        let has = |word: &[u8]| mount.options.split(|b| *b == b',').any(|option| option == word);
        mount.kind == b"cgroup" && self.controllers.split(|b| *b == b',').all(has)
    }

    fn open(self, path: &Path) -> io::Result<OwnedFd> {
        let dir = File::open(path)?;
        let kind: FsType = fstatfs(&dir)?.filesystem_type();
        // Something else may be mounted over it.
        let right = if self.is_v2() { CGROUP2_SUPER_MAGIC } else { CGROUP_SUPER_MAGIC };
        if kind != right {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(dir.into())
    }

    /// Mounts it for this process alone. The hierarchy exists: mounting creates nothing.
    fn mount(self) -> io::Result<OwnedFd> {
        if self.is_v2() {
            return private_mount(c"cgroup2", &[]);
        }
        let words = self.controllers.split(|b| *b == b',');
        let options = words
            .map(|word| match word.strip_prefix(b"name=") {
                Some(name) => Ok((c"name".to_owned(), Some(CString::new(name)?))),
                None => Ok((CString::new(word)?, None)),
            })
            .collect::<Result<Vec<_>, std::ffi::NulError>>()?;
        let options: Vec<_> =
            options.iter().map(|(name, value)| (name.as_c_str(), value.as_deref())).collect();
        private_mount(c"cgroup", &options)
    }

    /// Mounts it in the cgroup namespace of process 1, on a thread that ends afterwards.
    fn mount_as_init(self) -> io::Result<OwnedFd> {
        let namespace = File::open("/proc/1/ns/cgroup")?;
        if namespace.metadata()?.ino() == own_namespace()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mount = || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWCGROUP)?;
            self.mount()
        };
        std::thread::scope(|scope| {
            let name = std::thread::Builder::new().name("cgroupns".into());
            let thread = name.spawn_scoped(scope, mount)?;
            thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    }

    fn through_init(self) -> Option<OwnedFd> {
        let mounts = fs::read("/proc/1/mountinfo").ok()?;
        mounts::mounts(&mounts).filter(|m| self.is_of(m)).find_map(|mount| {
            let point = mount.point.strip_prefix(b"/")?;
            let dir = self.open(&Path::new("/proc/1/root").join(OsStr::from_bytes(point))).ok()?;
            is_root(&dir).then_some(dir)
        })
    }
}

fn whole(dir: OwnedFd, reached: Reached) -> HierarchyRoot {
    HierarchyRoot { dir, reached, partial: None, prefix: Vec::new() }
}

fn is_root(dir: &OwnedFd) -> bool {
    nix::sys::stat::fstat(dir).is_ok_and(|stat| stat.st_ino == ROOT_INO)
}

fn own_namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/cgroup")?.ino())
}

fn why_partial() -> String {
    let own = fs::read_link("/proc/self/ns/cgroup").unwrap_or_default();
    let own = escape(own.as_os_str().as_encoded_bytes()).into_owned();
    match own_namespace() {
        Ok(INITIAL_NAMESPACE) | Err(_) => "only a part of the hierarchy is mounted here".into(),
        Ok(_) => format!("this is the cgroup namespace {own}, not the machine's"),
    }
}

/// Whether a cgroup has children: the root of an unused hierarchy has none.
fn has_children(dir: &OwnedFd) -> bool {
    super::children(dir).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &str) -> Mount {
        Mount { root: b"/".into(), point: b"/x".into(), kind: kind.into(), options: options.into() }
    }

    #[test]
    fn a_mount_shows_the_hierarchy_of_its_controllers() {
        let wanted = |number, controllers| Wanted { number, controllers };
        for (hierarchy, mount, is_of) in [
            (wanted(0, b""), mount("cgroup2", "rw"), true),
            (wanted(0, b""), mount("cgroup", "rw,cpu"), false),
            (wanted(1, b"cpu,cpuacct"), mount("cgroup", "rw,cpu,cpuacct"), true),
            (wanted(1, b"cpu"), mount("cgroup", "rw,cpuset"), false),
            (wanted(1, SYSTEMD), mount("cgroup", "rw,xattr,name=systemd"), true),
            (wanted(1, SYSTEMD), mount("cgroup2", "rw,name=systemd"), false),
        ] {
            assert_eq!(hierarchy.is_of(&mount), is_of, "{mount:?}");
        }
    }

    #[test]
    fn each_hierarchy_of_this_machine_is_reached() {
        for hierarchy in find() {
            let root = hierarchy.root.unwrap();
            assert!(root.partial.is_some() || is_root(&root.dir), "{:?}", root.reached);
        }
    }
}
