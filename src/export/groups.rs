//! Counts by group: unit, container or pod, then program. The largest groups have series of their own,
//! all others are in `other`.
//!
//! A group is evicted when a snapshot is made; the increments that no reader has seen are added to
//! `other`. So `increase()` over all groups is the true total, whichever groups come and go. Where it is
//! open whether the receiver of OTLP gets a snapshot, those increments are unknown: then only groups that
//! no reader has seen are evicted, whose series are 0 in every snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::group_counts::GroupCounts;
use super::series::{Counter, Seen};
use super::text::Labels;
use crate::model::cgroup::Cgroup;
use crate::model::escape::escape;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::unit::systemd_unit;

/// Maximum groups that one interval may add; further ones count in `other` at once.
const MAX_NEW: usize = 4_096;

/// Part of a group's score that an interval without activity takes.
const DECAY: f64 = 1.0 / 64.0;

/// A group with series is evicted for a new one only where that has so many times its score.
const STAYS: f64 = 4.0;

/// The place of a process: the unit, container and pod of its cgroup, escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlaceLabels {
    /// The systemd unit; empty in a container, and where the cgroup is unknown. A session's scope counts as
    /// the slice that it is in: its own name is new at each login.
    pub unit: String,
    /// The container's name, else its id; empty outside of one.
    pub container: String,
    /// The Kubernetes namespace; empty where unknown.
    pub namespace: String,
    /// The pod's name, else its uid; empty outside of one.
    pub pod: String,
}

impl PlaceLabels {
    /// The place that a cgroup is.
    pub fn of(cgroup: &Cgroup) -> Self {
        let text = |text: Option<&str>| escape(text.unwrap_or_default().as_bytes()).into_owned();
        let unit = systemd_unit(&cgroup.path).map(|unit| lasting(&cgroup.path, unit));
        Self {
            unit: escape(unit.unwrap_or_default()).into_owned(),
            container: text(cgroup.container_name().or(cgroup.owner.container())),
            namespace: text(cgroup.namespace()),
            pod: text(cgroup.pod_name().or(cgroup.owner.pod())),
        }
    }
}

/// `unit`, or for a scope the innermost slice in its path.
fn lasting<'a>(path: &'a [u8], unit: &'a [u8]) -> &'a [u8] {
    if !unit.ends_with(b".scope") {
        return unit;
    }
    let slice = |name: &&[u8]| name.len() > b".slice".len() && name.ends_with(b".slice");
    path.split(|b| *b == b'/').rev().find(slice).unwrap_or(unit)
}

/// Finds the places of processes.
pub trait Places {
    /// A cgroup, where its path is known.
    fn named(&mut self, id: u64) -> Option<&Cgroup>;

    /// The place of a cgroup, where its path is known.
    fn cgroup(&mut self, id: u64) -> Option<PlaceLabels> {
        self.named(id).map(PlaceLabels::of)
    }

    /// The place of a process that opened nothing so far, where it is known.
    fn process(&mut self, key: ProcessKey) -> Option<PlaceLabels>;
}

/// The identity of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupKey {
    pub place: PlaceLabels,
    /// The name of the process, escaped.
    pub program: String,
}

impl GroupKey {
    /// The group of a process in a place.
    pub fn new(place: PlaceLabels, program: Comm) -> Self {
        Self { place, program: escape(program.as_bytes()).into_owned() }
    }

    fn labels(&self) -> Arc<str> {
        let place = &self.place;
        let all = [
            ("unit", &place.unit),
            ("container", &place.container),
            ("namespace", &place.namespace),
            ("pod", &place.pod),
        ];
        let mut labels = Labels::default();
        for (name, value) in all.into_iter().filter(|(_, value)| !value.is_empty()) {
            labels.add(name, value);
        }
        labels.add("program", &self.program);
        labels.into()
    }
}

/// The value of each label of the group of all others.
pub const OTHER: &str = "other";

/// The labels of `other`. No group has them: one in a container has no unit.
fn other_labels() -> Arc<str> {
    let mut labels = Labels::default();
    for name in ["unit", "container", "namespace", "pod", "program"] {
        labels.add(name, OTHER);
    }
    labels.into()
}

/// A group.
#[derive(Debug)]
pub struct Group {
    key: GroupKey,
    labels: Arc<str>,
    /// Time of the snapshot before it was made, Unix time in ns; 0: before the first snapshot.
    start: u64,
    counts: GroupCounts,
    /// Activity, recent activity above all.
    score: f64,
    weight: u64,
}

/// The series of a group or of `other`.
#[derive(Debug)]
pub struct Series<'a> {
    pub labels: &'a Arc<str>,
    /// When its counters were 0, Unix time in ns; 0: at the start of the program.
    pub start: u64,
    pub counts: &'a mut GroupCounts,
}

/// Refers to a group as long as it is not evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupId(u64);

/// All groups.
#[derive(Debug)]
pub struct Groups {
    most: usize,
    groups: BTreeMap<u64, Group>,
    ids: HashMap<GroupKey, u64>,
    next: u64,
    /// Time of the last snapshot, Unix time in ns.
    last: u64,
    /// The groups without series of their own.
    pub other: GroupCounts,
    pub other_labels: Arc<str>,
    /// Groups evicted.
    pub evicted: u64,
}

impl Groups {
    /// Room for `most` groups beside `other`.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            groups: BTreeMap::new(),
            ids: HashMap::new(),
            next: 0,
            last: 0,
            other: GroupCounts::starting_with(Counter::ZERO),
            other_labels: other_labels(),
            evicted: 0,
        }
    }

    /// The group of this key, made where there is none; `None`: it counts in `other`.
    pub fn find(&mut self, key: GroupKey) -> Option<GroupId> {
        if let Some(id) = self.ids.get(&key) {
            return Some(GroupId(*id));
        }
        if self.groups.len() >= self.most + MAX_NEW {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let counts = GroupCounts::starting_with(Counter::default());
        let (key_of, labels, start) = (key.clone(), key.labels(), self.last);
        let group = Group { key: key_of, labels, start, counts, score: 0.0, weight: 0 };
        self.groups.insert(id, group);
        self.ids.insert(key, id);
        Some(GroupId(id))
    }

    /// The counts of a group; those of `other` where it is none or evicted.
    pub fn counts(&mut self, id: Option<GroupId>) -> &mut GroupCounts {
        match id.and_then(|id| self.groups.get_mut(&id.0)) {
            Some(group) => &mut group.counts,
            None => &mut self.other,
        }
    }

    /// Maximum groups beside `other`.
    pub fn limit(&self) -> usize {
        self.most
    }

    /// Number of groups beside `other`.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Passes every counter to `f`.
    pub fn each(&mut self, f: &mut impl FnMut(&mut Counter)) {
        self.groups.values_mut().for_each(|group| group.counts.each(f));
        self.other.each(f);
    }

    /// Prepares the snapshot of `now`, Unix time in ns: the smallest groups beyond the limit are evicted.
    /// `seen` is about the last one.
    pub fn prepare(&mut self, seen: Seen, now: u64) {
        self.last = now;
        if seen == Seen::Yes {
            self.each(&mut Counter::scraped);
        }
        for group in self.groups.values_mut() {
            let weight = group.counts.weight();
            group.score += weight.saturating_sub(group.weight) as f64 - group.score * DECAY;
            group.weight = weight;
        }
        let excess = self.groups.len().saturating_sub(self.most);
        if excess == 0 {
            return;
        }
        // Groups that a reader has seen are within the limit: enough others are left.
        let mut order: Vec<(f64, u64)> = self
            .groups
            .iter_mut()
            .filter_map(|(id, group)| match group.counts.is_known() {
                true => (seen != Seen::Maybe).then_some((group.score * STAYS, *id)),
                false => Some((group.score, *id)),
            })
            .collect();
        // Of equal scores the younger group goes.
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        for (_, id) in order.into_iter().take(excess) {
            let Some(group) = self.groups.remove(&id) else { continue };
            self.ids.remove(&group.key);
            self.other.add_unseen(group.counts);
            self.evicted += 1;
        }
    }

    /// The groups, `other` last.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Series<'_>> {
        let groups = self.groups.values_mut().map(|group| Series {
            labels: &group.labels,
            start: group.start,
            counts: &mut group.counts,
        });
        let (labels, counts) = (&self.other_labels, &mut self.other);
        groups.chain(std::iter::once(Series { labels, start: 0, counts }))
    }
}

#[cfg(test)]
mod tests;
