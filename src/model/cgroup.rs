//! Cgroups by id, with their paths and the names of their containers.
//!
//! An id has the number of its hierarchy in its upper bits (`src/bpf/cgroup_id.h`); v2 is 0 there.

use std::sync::Arc;

use hashbrown::HashMap;

use super::container::{
    ContainerAnswer, ContainerAnswers, ContainerName, ContainerRequests, is_id,
};
use super::container_path::Owner;
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

    /// The id of the container whose names a manager stores, where they are unknown.
    pub fn unnamed_container(&self) -> Option<&str> {
        self.owner.container().filter(|id| self.names.is_none() && is_id(id))
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
    pub fn name_containers(&mut self, answers: &[ContainerAnswer]) -> bool {
        let mut is_new = false;
        for (id, names) in answers.iter().filter_map(|(id, names)| Some((id, names.as_ref()?))) {
            if self.containers.get(id) == Some(names) {
                continue;
            }
            is_new = true;
            if self.containers.len() >= self.most && !self.containers.contains_key(id) {
                self.containers.clear();
            }
            self.containers.insert(id.clone(), names.clone());
        }
        if is_new {
            let containers = &self.containers;
            let all = self.young.values_mut().chain(self.old.values_mut());
            all.for_each(|cgroup| name(cgroup, containers));
        }
        is_new
    }

    fn put(&mut self, id: u64, mut cgroup: Cgroup) {
        name(&mut cgroup, &self.containers);
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
                name(cgroup, &self.containers);
            }
        }
    }
}

/// Gives a cgroup the names of its container, where they are known.
fn name(cgroup: &mut Cgroup, containers: &HashMap<Box<str>, Arc<ContainerName>>) {
    if let Some(names) = cgroup.owner.container().and_then(|id| containers.get(id)) {
        cgroup.names = Some(names.clone());
    }
}

/// Maximum cgroups in a generation of [`KnownCgroups`], and unknown ids: about 4 MiB in all with long
/// paths.
const MOST: usize = 8_192;

/// Maximum cgroups in a generation of a report or a recording; of further ones the unit is unknown.
pub const MAX_IN_REPORT: usize = 65_536;

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
        Self::with_room(MOST)
    }
}

impl KnownCgroups {
    /// Room for `most` cgroups in each generation.
    pub fn with_room(most: usize) -> Self {
        let (unknown, containers) = Default::default();
        Self { known: CgroupNames::new(most), unknown, containers }
    }

    /// The cgroup of this id.
    pub fn get(&self, id: u64) -> Option<&Cgroup> {
        self.known.get(id)
    }

    /// All that are known, as they were answered.
    pub fn all(&self) -> Vec<(u64, Option<Cgroup>)> {
        self.known.iter().map(|(id, cgroup)| (id, Some(cgroup.clone()))).collect()
    }

    /// The ids of the containers in these cgroups whose names are due to be requested.
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
    pub fn name_containers(&mut self, answers: &[ContainerAnswer]) -> bool {
        self.known.name_containers(answers)
    }

    /// Whether this is the cgroup of a container that managers name and whose names are unknown.
    pub fn is_unnamed(&self, id: u64) -> bool {
        self.known.get(id).is_some_and(|cgroup| cgroup.unnamed_container().is_some())
    }

    /// Stores what another table knows of a cgroup; `(true, _)` if its path is new, `(_, Some)` with the names of
    /// its container if these are.
    pub fn copy(&mut self, id: u64, cgroup: &Cgroup) -> (bool, Option<ContainerAnswer>) {
        let is_new = self.answer(id, Some(cgroup.clone()));
        let named = cgroup.owner.container().zip(cgroup.names.clone());
        let named = named.map(|(container, names)| (container.into(), Some(names)));
        let news = named.filter(|answer| self.name_containers(std::slice::from_ref(answer)));
        (is_new, news)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
