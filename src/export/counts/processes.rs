//! The group of each process, found once.

use hashbrown::HashMap;

use crate::export::groups::{GroupId, GroupKey, Groups, PlaceLabels, Places};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;

/// Maximum processes in each of two generations; processes beyond are looked up again.
const MOST: usize = 16_384;

/// A process and its group.
#[derive(Clone, Debug)]
struct Known {
    name: Comm,
    cgroup: Option<u64>,
    /// The place of a process whose cgroup no open has shown.
    place: Option<PlaceLabels>,
    group: Option<GroupId>,
    /// The interval in which `group` was found: the names of a container may come later.
    found: u64,
}

/// The processes, in two generations: when the younger one is full it becomes the older one, which
/// goes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    young: HashMap<ProcessKey, Known>,
    old: HashMap<ProcessKey, Known>,
    interval: u64,
    last: Option<(ProcessKey, Comm, Option<u64>, Option<GroupId>)>,
}

impl Processes {
    /// An interval ends: groups are found again, since evicted ones are gone and names may have come.
    pub(super) fn end_interval(&mut self) {
        self.interval += 1;
        self.last = None;
    }

    /// The group of a process in a cgroup.
    pub(super) fn group(
        &mut self,
        groups: &mut Groups,
        key: ProcessKey,
        name: Comm,
        cgroup: Option<u64>,
        places: &mut impl Places,
    ) -> Option<GroupId> {
        if let Some((last_key, last_name, last_cgroup, group)) = self.last
            && (last_name, last_cgroup) == (name, cgroup)
            && last_key == key
        {
            return group;
        }
        let known = self.get(key).filter(|known| (known.name, known.cgroup) == (name, cgroup));
        let group = match known {
            Some(known) if known.found == self.interval => known.group,
            _ => {
                let place = cgroup.and_then(|id| places.cgroup(id)).unwrap_or_default();
                let group = groups.find(GroupKey::new(place, name));
                let found = self.interval;
                self.put(key, Known { name, cgroup, place: None, group, found });
                group
            }
        };
        self.last = Some((key, name, cgroup, group));
        group
    }

    /// The group of a process, by the cgroup that its opens have shown, else by its place.
    pub(super) fn group_of_known(
        &mut self,
        groups: &mut Groups,
        key: ProcessKey,
        name: Comm,
        places: &mut impl Places,
    ) -> Option<GroupId> {
        let known = self.get(key).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.cgroup.is_some()) {
            return self.group(groups, key, known.name, known.cgroup, places);
        }
        let place = match known.filter(|known| known.name == name) {
            Some(known) if known.found == self.interval => return known.group,
            Some(Known { place: Some(place), .. }) => Some(place),
            _ => places.process(key),
        };
        let group = groups.find(GroupKey::new(place.clone().unwrap_or_default(), name));
        let found = self.interval;
        self.put(key, Known { name, cgroup: None, place, group, found });
        group
    }

    fn get(&self, key: ProcessKey) -> Option<&Known> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    fn put(&mut self, key: ProcessKey, known: Known) {
        if self.young.len() >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, known);
    }
}
