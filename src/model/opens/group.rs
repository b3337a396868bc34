//! Programs by service or container: the rows of the dashboard and of reports.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Opens, Process, Program, Tally};
use crate::model::cgroup::KnownCgroups;
use crate::model::container::ContainerName;
use crate::model::history::History;
use crate::model::io_history::Counting;
use crate::model::open::Comm;
use crate::model::slab::Slot;
use crate::model::time::Mono;
use crate::model::unit::Unit;

/// The place where processes run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The path of the unit's or container's cgroup: see [`Unit`].
    Unit(Box<[u8]>),
    /// A cgroup whose path is not known, or none.
    Unknown(Option<u64>),
}

impl Place {
    /// The place of a cgroup.
    pub fn of(cgroup_id: Option<u64>, cgroups: &KnownCgroups) -> Self {
        match cgroup_id.and_then(|id| cgroups.get(id)) {
            Some(cgroup) => Place::Unit(Unit::of(&cgroup.path).path.into()),
            None => Place::Unknown(cgroup_id),
        }
    }

    /// The service (systemd unit) or container; `None` where it is not known.
    pub fn unit(&self) -> Option<Unit<'_>> {
        match self {
            Place::Unit(path) => Some(Unit::of(path)),
            Place::Unknown(_) => None,
        }
    }
}

/// The processes of one name in one service or container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupKey {
    pub name: Comm,
    pub place: Place,
}

/// The sum of programs that have a [`GroupKey`] in common.
#[derive(Clone, Debug)]
pub struct Group {
    pub key: GroupKey,
    pub programs: Vec<Slot>,
    /// The processes in the table that run one of them now, and the entries for evicted processes.
    pub members: Vec<Slot>,
    pub tally: Tally,
    /// Processes so far, those included that ended or were evicted.
    pub processes: u64,
    /// How many evicted programs this stands for; 0: it is a group.
    pub evicted: u64,
    /// The names of the container, where they are known.
    pub container: Option<Arc<ContainerName>>,
}

impl Group {
    fn add(&mut self, slot: Slot, program: &Program) {
        match self.programs.is_empty() {
            true => self.tally = program.tally.clone(),
            false => self.tally.merge(&program.tally),
        }
        self.programs.push(slot);
        self.processes = self.processes.saturating_add(program.processes);
        self.evicted = self.evicted.saturating_add(program.evicted);
    }

    /// The processes that are no entries for evicted ones.
    pub fn processes<'a>(&'a self, opens: &'a Opens) -> impl Iterator<Item = (Slot, &'a Process)> {
        let held = self.members.iter().filter_map(|s| Some((*s, opens.processes().get(*s)?)));
        held.filter(|(_, p)| !p.is_stand_in())
    }
}

impl Opens {
    /// All programs by name and unit, in no order. The one that stands for evicted programs is a group
    /// of its own.
    pub fn groups(&self, cgroups: &KnownCgroups) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let mut by_key: HashMap<GroupKey, usize> = HashMap::new();
        let mut of: HashMap<Slot, usize> = HashMap::new();
        for (slot, program) in self.programs.iter() {
            let place = Place::of(program.key.cgroup_id, cgroups);
            let key = GroupKey { name: program.key.name, place };
            let at = *by_key.entry(key).or_insert_with_key(|key| {
                let (programs, members) = Default::default();
                let (tally, processes, evicted) = Default::default();
                let key = key.clone();
                let cgroup = program.key.cgroup_id.and_then(|id| cgroups.get(id));
                let container = cgroup.and_then(|c| c.names.clone());
                groups.push(Group { key, programs, members, tally, processes, evicted, container });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.add(slot, program);
                of.insert(slot, at);
            }
        }
        for (slot, process) in self.processes.iter() {
            let at = self.program_of(process).and_then(|program| of.get(&program));
            if let Some(group) = at.and_then(|at| groups.get_mut(*at)) {
                group.members.push(slot);
            }
        }
        groups
    }

    /// Opens per second by a group in the last interval.
    pub fn rate_of_group(&self, group: &Group) -> f64 {
        self.of_programs(group).map(|p| self.rate_of(&p.meter)).sum()
    }

    /// Opens by a group, or bytes, in each of the last `n` whole seconds, the oldest first.
    pub fn past_of_group(&self, group: &Group, of: Counting, now: Mono, n: usize) -> Vec<u64> {
        sum_of(self.of_programs(group).filter_map(|p| p.past(of)), now, n)
    }

    fn of_programs<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Program> {
        group.programs.iter().filter_map(|slot| self.programs.get(*slot))
    }
}

/// The sums of histories in each of the last `n` whole seconds, the oldest first.
pub fn sum_of<'a>(histories: impl Iterator<Item = &'a History>, now: Mono, n: usize) -> Vec<u64> {
    let mut sums: Vec<u64> = Vec::new();
    for history in histories {
        let last = history.last(now, n);
        if sums.is_empty() {
            sums.extend(last);
        } else {
            sums.iter_mut().zip(last).for_each(|(sum, n)| *sum = sum.saturating_add(n));
        }
    }
    sums
}
