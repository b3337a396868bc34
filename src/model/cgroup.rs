//! Cgroups by id, and the containers that their paths name: docker, containerd, cri-o and podman, with
//! the systemd driver (`docker-ID.scope`) and the cgroupfs one (`docker/ID`), Kubernetes' pods, LXC,
//! Incus, and containers of systemd-machined.
//!
//! An id has the number of its hierarchy in its upper bits (`src/bpf/cgroup_id.h`); v2 is 0 there.

use std::sync::Arc;

use hashbrown::HashMap;

use super::container::{ContainerAnswers, ContainerName, ContainerRequests, is_id};
use super::time::Mono;

/// A cgroup that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The path from the hierarchy's root, `/` for the root itself.
    pub path: Box<[u8]>,
    /// The container and the pod that the path names.
    pub owner: Owner,
    /// The names of that container, where they are known.
    pub names: Option<Arc<ContainerName>>,
}

impl Cgroup {
    /// The cgroup at a path.
    pub fn at(path: &[u8]) -> Self {
        Self { path: path.into(), owner: Owner::of(path), names: None }
    }

    /// The container's name: LXC's, Incus' and systemd-machined's is in the path.
    pub fn container_name(&self) -> Option<&str> {
        let in_path = || self.owner.container().filter(|id| !is_id(id));
        self.names.as_ref().map(|names| &*names.name).or_else(in_path)
    }

    /// The name of the Kubernetes pod.
    pub fn pod_name(&self) -> Option<&str> {
        self.names.as_ref()?.pod.as_ref().map(|(pod, _)| &**pod)
    }

    /// The Kubernetes namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.names.as_ref()?.pod.as_ref().map(|(_, namespace)| &**namespace)
    }
}

/// The bit at which the number of a hierarchy begins in an id.
const HIERARCHY_SHIFT: u32 = 48;

/// The hierarchy of an id; 0 is v2.
pub fn hierarchy_of(id: u64) -> u32 {
    u32::try_from(id >> HIERARCHY_SHIFT).unwrap_or(0)
}

/// An id that is `id` in a hierarchy; `None` where one of them has no room.
pub fn id_in(hierarchy: u32, id: u64) -> Option<u64> {
    let fits = u16::try_from(hierarchy).is_ok() && id >> HIERARCHY_SHIFT == 0;
    fits.then_some(u64::from(hierarchy) << HIERARCHY_SHIFT | id)
}

/// Cgroups by id, in two generations: when the younger one is full it becomes the older one, which
/// goes. Ids are never used twice, so a cgroup that is gone keeps its path.
#[derive(Clone, Debug)]
pub struct CgroupNames {
    young: HashMap<u64, Cgroup>,
    old: HashMap<u64, Cgroup>,
    most: usize,
    /// Names of containers, for cgroups that come later.
    containers: HashMap<Box<str>, Arc<ContainerName>>,
}

impl CgroupNames {
    /// Room for `most` in each generation.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most, containers: HashMap::new() }
    }

    /// The cgroup of this id.
    pub fn get(&self, id: u64) -> Option<&Cgroup> {
        self.young.get(&id).or_else(|| self.old.get(&id))
    }

    /// All known cgroups.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Cgroup)> {
        let older = self.old.iter().filter(|(id, _)| !self.young.contains_key(*id));
        self.young.iter().chain(older).map(|(id, cgroup)| (*id, cgroup))
    }

    /// Stores a path; true if it is new. Another path than before is a rename (cgroup v1 alone): the
    /// cgroups below it have moved with it.
    pub fn insert(&mut self, id: u64, path: &[u8]) -> bool {
        match self.get(id) {
            Some(held) if *held.path == *path => {
                if let Some(cgroup) = self.old.remove(&id) {
                    self.put(id, cgroup);
                }
                false
            }
            Some(held) => {
                let from = held.path.clone();
                self.move_below(hierarchy_of(id), &from, path);
                self.put(id, Cgroup::at(path));
                true
            }
            None => {
                self.put(id, Cgroup::at(path));
                true
            }
        }
    }

    /// Takes the names of containers; true if one is new.
    pub fn name_containers(&mut self, answers: &ContainerAnswers) -> bool {
        let mut is_new = false;
        for (id, names) in answers.iter().filter_map(|(id, names)| Some((id, names.as_ref()?))) {
            if self.containers.get(id) == Some(names) {
                continue;
            }
            is_new = true;
            if self.containers.len() >= self.most {
                self.containers.clear();
            }
            self.containers.insert(id.clone(), names.clone());
            let all = self.young.values_mut().chain(self.old.values_mut());
            for cgroup in all.filter(|c| c.owner.container() == Some(&**id)) {
                cgroup.names = Some(names.clone());
            }
        }
        is_new
    }

    fn put(&mut self, id: u64, mut cgroup: Cgroup) {
        if let Some(names) = cgroup.owner.container().and_then(|id| self.containers.get(id)) {
            cgroup.names = Some(names.clone());
        }
        if self.young.len() >= self.most && !self.young.contains_key(&id) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, cgroup);
    }

    fn move_below(&mut self, hierarchy: u32, from: &[u8], to: &[u8]) {
        let same = |id: &u64| hierarchy_of(*id) == hierarchy;
        for (_, cgroup) in self.young.iter_mut().chain(&mut self.old).filter(|(id, _)| same(id)) {
            if let Some(rest) = cgroup.path.strip_prefix(from).filter(|r| r.starts_with(b"/")) {
                *cgroup = Cgroup::at(&[to, rest].concat());
            }
        }
    }
}

/// Maximum cgroups in a generation of [`KnownCgroups`], and unknown ids: about 4 MiB in all with long
/// paths.
const MOST: usize = 8_192;

/// Maximum containers in one request.
const MOST_WANTED: usize = 256;

/// Number of requests after which an id counts as unknown.
const TRIES: u8 = 5;

/// The cgroups that the app knows, and those that it asked for.
#[derive(Clone, Debug)]
pub struct KnownCgroups {
    known: CgroupNames,
    /// Requests without an answer.
    unknown: HashMap<u64, u8>,
    containers: ContainerRequests,
}

impl Default for KnownCgroups {
    fn default() -> Self {
        Self {
            known: CgroupNames::new(MOST),
            unknown: HashMap::new(),
            containers: ContainerRequests::default(),
        }
    }
}

impl KnownCgroups {
    /// The cgroup of this id.
    pub fn get(&self, id: u64) -> Option<&Cgroup> {
        self.known.get(id)
    }

    /// All that are known, as they were answered.
    pub fn all(&self) -> Vec<(u64, Option<Cgroup>)> {
        self.known.iter().map(|(id, cgroup)| (id, Some(cgroup.clone()))).collect()
    }

    /// Those of the containers in these cgroups whose names are due to be requested.
    pub fn wanted_containers(
        &mut self,
        ids: impl Iterator<Item = u64>,
        now: Mono,
    ) -> Vec<Box<str>> {
        let mut wanted: Vec<Box<str>> = Vec::new();
        for cgroup in ids.filter_map(|id| self.known.get(id)) {
            let Some(id) = cgroup.owner.container() else { continue };
            if self.containers.is_due(id, cgroup.names.is_some(), now) {
                wanted.push(id.into());
                if wanted.len() >= MOST_WANTED {
                    break;
                }
            }
        }
        wanted
    }

    /// Takes the names of containers; true if one is new.
    pub fn name_containers(&mut self, answers: &ContainerAnswers) -> bool {
        self.known.name_containers(answers)
    }

    /// The names of containers that are known.
    pub fn all_containers(&self) -> ContainerAnswers {
        let all = self.known.containers.iter();
        all.map(|(id, names)| (id.clone(), Some(names.clone()))).collect()
    }

    /// Whether to request it.
    pub fn is_wanted(&self, id: u64) -> bool {
        self.known.get(id).is_none() && self.unknown.get(&id).is_none_or(|tries| *tries < TRIES)
    }

    /// Stores an answer; true when it is new.
    pub fn answer(&mut self, id: u64, cgroup: Option<Cgroup>) -> bool {
        if let Some(cgroup) = cgroup {
            self.unknown.remove(&id);
            return self.known.insert(id, &cgroup.path);
        }
        if self.unknown.len() >= MOST && !self.unknown.contains_key(&id) {
            self.unknown.clear();
        }
        if self.known.get(id).is_none() {
            let tries = self.unknown.entry(id).or_default();
            *tries = tries.saturating_add(1);
        }
        false
    }
}

/// A container's id or name: its bytes, and how many.
type Name = ([u8; 64], u8);

/// The container that a cgroup belongs to, and its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    container: Option<Name>,
    /// The pod's uid as Kubernetes writes it, and its length: 36 with dashes, or the 32 hex
    /// digits of a static pod.
    pod: Option<([u8; 36], u8)>,
}

impl Owner {
    /// Reads a path from the hierarchy's root. Where containers are nested, the innermost counts.
    pub fn of(path: &[u8]) -> Self {
        let mut owner = Self::default();
        let mut parent: &[u8] = b"";
        for component in path.split(|b| *b == b'/') {
            if let Some(found) = container(component).or_else(|| named(component, parent)) {
                owner.container = Some(found);
            }
            parent = component;
            // `kubepods-pod….slice:cri-containerd:ID` is containerd's without its systemd driver.
            let first = component.split(|b| *b == b':').next().unwrap_or_default();
            if let Some(uid) = pod(first) {
                owner.pod = Some(uid);
            }
        }
        owner
    }

    /// The container's id, 64 hex digits, or its name: ASCII letters, digits, `.`, `_`, `-`, the
    /// first one a letter or a digit.
    pub fn container(&self) -> Option<&str> {
        let (name, len) = self.container.as_ref()?;
        std::str::from_utf8(name.get(..usize::from(*len))?).ok()
    }

    /// The pod's uid.
    pub fn pod(&self) -> Option<&str> {
        let (uid, len) = self.pod.as_ref()?;
        std::str::from_utf8(uid.get(..usize::from(*len))?).ok()
    }
}

/// The id in `ID`, `docker-ID.scope`, `libpod-ID`, `…:cri-containerd:ID`. A `conmon` scope
/// holds the container's monitor, which is outside.
pub(super) fn container(component: &[u8]) -> Option<Name> {
    let name = component.strip_suffix(b".scope").unwrap_or(component);
    let (before, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    let id: &[u8; 64] = id.try_into().ok()?;
    let separated = matches!(before.last(), None | Some(b'-' | b':'));
    let hex = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (separated && hex && !before.ends_with(b"conmon-")).then_some((*id, 64))
}

/// The name in `lxc.payload.NAME`, `lxc/NAME` (LXC, Incus), `machine-NAME.scope` and
/// `systemd-nspawn@NAME.service` (systemd-machined). libvirt's virtual machines, `machine-qemu…`, are
/// no containers.
pub(super) fn named(component: &[u8], parent: &[u8]) -> Option<Name> {
    let between = |before: &[u8], after: &[u8]| {
        component.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
    };
    let unit = between(b"machine-", b".scope").or_else(|| between(b"systemd-nspawn@", b".service"));
    let name = match unit {
        Some(unit) => unescaped(unit).filter(|name| !name.starts_with(b"qemu-")),
        None if matches!(parent, b"lxc" | b"lxc.payload") => {
            Some(component.to_vec()).filter(|name| !name.starts_with(b"lxc."))
        }
        None => component.strip_prefix(b"lxc.payload.").map(<[u8]>::to_vec),
    }?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.first()?.is_ascii_alphanumeric() || !name.iter().all(plain) {
        return None;
    }
    let mut out = [0; 64];
    out.get_mut(..name.len())?.copy_from_slice(&name);
    Some((out, u8::try_from(name.len()).ok()?))
}

/// A part of a unit's name, where systemd writes `-` as `\x2d` (systemd.unit(5)).
fn unescaped(unit: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(unit.len());
    let mut rest = unit;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let code = after.strip_prefix(b"x").and_then(|a| a.get(..2));
        let code = std::str::from_utf8(code?).ok()?;
        out.push(u8::from_str_radix(code, 16).ok()?);
        rest = after.get(3..).unwrap_or_default();
    }
    Some(out)
}

/// The uid in `podUID` or `kubepods-burstable-podUID.slice`, where systemd wants `_` for `-`.
fn pod(component: &[u8]) -> Option<([u8; 36], u8)> {
    let name = component.strip_suffix(b".slice").unwrap_or(component);
    [36, 32].into_iter().find_map(|len| {
        let (before, uid) = name.split_at_checked(name.len().checked_sub(len)?)?;
        if before != b"pod" && !before.ends_with(b"-pod") {
            return None;
        }
        let mut out = [0; 36];
        for (at, (to, from)) in out.iter_mut().zip(uid).enumerate() {
            let dash = len == 36 && matches!(at, 8 | 13 | 18 | 23);
            *to = match from {
                b'-' | b'_' if dash => b'-',
                b'0'..=b'9' | b'a'..=b'f' if !dash => *from,
                _ => return None,
            };
        }
        Some((out, u8::try_from(len).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";
    const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

    #[test]
    fn each_runtime_and_driver() {
        let under = UID.replace('-', "_");
        let other = ID.replace('1', "2");
        for (path, container, pod) in [
            ("/".into(), None, None),
            ("/system.slice/nginx.service".into(), None, None),
            (format!("/docker/{ID}"), Some(ID), None),
            (format!("/system.slice/docker-{ID}.scope"), Some(ID), None),
            (format!("/system.slice/docker-{ID}.scope/init.scope"), Some(ID), None),
            (format!("/machine.slice/libpod-{ID}.scope/container"), Some(ID), None),
            (format!("/machine.slice/libpod-conmon-{ID}.scope"), None, None),
            (format!("/libpod_parent/libpod-{ID}"), Some(ID), None),
            (format!("/kubepods/burstable/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (format!("/kubepods/pod{UID}"), None, Some(UID)),
            (
                format!(
                    "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                Some(ID),
                Some(UID),
            ),
            (
                format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope/container"),
                Some(ID),
                Some(UID),
            ),
            (format!("/kubepods.slice/crio-conmon-{ID}.scope"), None, None),
            (
                format!("/system.slice/kubepods-burstable-pod{under}.slice:cri-containerd:{ID}"),
                Some(ID),
                Some(UID),
            ),
            (
                format!("/kubepods/burstable/pod3dcbd5d94ab8d2b27d4b6ea8a2a0e0c1/{ID}"),
                Some(ID),
                Some("3dcbd5d94ab8d2b27d4b6ea8a2a0e0c1"),
            ),
            (format!("/docker/{other}/kubelet/kubepods/pod{UID}/{ID}"), Some(ID), Some(UID)),
            (format!("/x{ID}"), None, None),
            (format!("/docker/{}", &ID[1..]), None, None),
            (format!("/docker/{}", ID.to_uppercase()), None, None),
            (format!("/podcast{UID}"), None, None),
            ("/lxc.payload.web".into(), Some("web"), None),
            ("/lxc.payload.web/system.slice/nginx.service".into(), Some("web"), None),
            ("/lxc.monitor.web".into(), None, None),
            ("/lxc/db-1/init.scope".into(), Some("db-1"), None),
            ("/lxc/lxc.pivot".into(), None, None),
            (format!("/lxc.payload.web/docker/{ID}"), Some(ID), None),
            ("/machine.slice/systemd-nspawn@web.service/payload".into(), Some("web"), None),
            (r"/machine.slice/machine-my\x2dbox.scope".into(), Some("my-box"), None),
            (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope".into(), None, None),
            (r"/machine.slice/machine-a\x0ab.scope".into(), None, None),
            (r"/machine.slice/machine-a\x.scope".into(), None, None),
            (format!("/lxc.payload.{}", "n".repeat(65)), None, None),
            ("/lxc.payload.".into(), None, None),
            ("/lxc/-1+1".into(), None, None),
        ] {
            let owner = Owner::of(path.as_bytes());
            assert_eq!((owner.container(), owner.pod()), (container, pod), "{path}");
        }
    }

    #[test]
    fn an_unknown_id_is_not_requested_for_ever() {
        let mut known = KnownCgroups::default();
        for _ in 0..TRIES {
            assert!(known.is_wanted(7));
            assert!(!known.answer(7, None));
        }
        assert!(!known.is_wanted(7));
        let cgroup = Cgroup::at(b"/a");
        assert!(known.answer(8, Some(cgroup.clone())));
        assert!(!known.answer(8, None) && !known.is_wanted(8));
        assert_eq!(known.get(8), Some(&cgroup));
        // It is known after all.
        assert!(known.answer(7, Some(cgroup.clone())));
        assert!(known.get(7).is_some());
        for id in 0..40_000 {
            known.answer(id, Some(cgroup.clone()));
            known.answer(id + 100_000, None);
        }
        assert!(known.all().len() <= 2 * MOST && known.unknown.len() <= MOST);
        assert!(known.get(39_999).is_some());
    }

    #[test]
    fn names_that_are_used_again_outlive_a_generation() {
        let mut names = CgroupNames::new(2);
        for id in 1..=9 {
            names.insert(id, b"/x");
            assert!(!names.insert(1, b"/x"));
        }
        assert!(names.get(1).is_some() && names.get(9).is_some());
        assert_eq!(names.get(2), None);
        assert!(names.iter().count() <= 4);
    }

    #[test]
    fn a_rename_moves_the_cgroups_below() {
        let mut names = CgroupNames::new(3);
        let in_v1 = |id| id_in(4, id).unwrap();
        for (id, path) in
            [(in_v1(2), &b"/a"[..]), (in_v1(3), b"/a/b"), (in_v1(4), b"/ab"), (3, b"/a/b")]
        {
            assert!(names.insert(id, path));
        }
        assert!(names.insert(in_v1(2), b"/lxc"));
        let path = |id| names.get(id).map(|c| &*c.path);
        assert_eq!(path(in_v1(2)), Some(&b"/lxc"[..]));
        assert_eq!(path(in_v1(3)), Some(&b"/lxc/b"[..]));
        assert_eq!(names.get(in_v1(3)).unwrap().owner.container(), Some("b"));
        assert_eq!((path(in_v1(4)), path(3)), (Some(&b"/ab"[..]), Some(&b"/a/b"[..])));
    }

    #[test]
    fn an_id_has_its_hierarchy() {
        assert_eq!(id_in(0, 7), Some(7));
        assert_eq!(id_in(9, 7), Some(9 << 48 | 7));
        assert_eq!(hierarchy_of(9 << 48 | 7), 9);
        assert_eq!((id_in(1 << 16, 7), id_in(1, 1 << 48)), (None, None));
    }

    #[test]
    fn any_path_does_no_harm() {
        crate::testing::fuzz::check("cgroup", |path| {
            Owner::of(path);
        });
    }
}
