//! Counts by group: unit, container or pod, then program. The largest groups have series of their own,
//! all others are in `other`.
//!
//! A group is evicted when a snapshot is made; the increments that no scrape has seen are added to
//! `other`. So `increase()` over all groups is the true total, whichever groups come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::group_counts::GroupCounts;
use super::series::Counter;
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
pub struct Place {
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

impl Place {
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
    fn cgroup(&mut self, id: u64) -> Option<Place> {
        self.named(id).map(Place::of)
    }

    /// The place of a process that opened nothing so far, where it is known.
    fn process(&mut self, key: ProcessKey) -> Option<Place>;
}

/// The identity of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GroupKey {
    pub place: Place,
    /// The name of the process, escaped.
    pub program: String,
}

impl GroupKey {
    /// The group of a process in a place.
    pub fn new(place: Place, program: Comm) -> Self {
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

/// The labels of `other`. No group has them: one in a container has no unit.
fn other_labels() -> Arc<str> {
    let mut labels = Labels::default();
    for name in ["unit", "container", "namespace", "pod", "program"] {
        labels.add(name, "other");
    }
    labels.into()
}

/// A group.
#[derive(Debug)]
pub struct Group {
    key: GroupKey,
    pub labels: Arc<str>,
    pub counts: GroupCounts,
    /// Activity, recent activity above all.
    score: f64,
    weight: u64,
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
        let labels = key.labels();
        self.groups.insert(id, Group { key: key.clone(), labels, counts, score: 0.0, weight: 0 });
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

    /// Prepares the next snapshot, `scraped` if a scrape has seen the last one: the smallest groups
    /// beyond the limit are evicted.
    pub fn prepare(&mut self, scraped: bool) {
        if scraped {
            self.groups.values_mut().for_each(|group| group.counts.scraped());
            self.other.scraped();
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
        let mut order: Vec<(f64, u64)> = self
            .groups
            .iter_mut()
            .map(|(id, group)| {
                let stays = if group.counts.is_known() { STAYS } else { 1.0 };
                (group.score * stays, *id)
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
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<str>, &mut GroupCounts)> {
        let groups = self.groups.values_mut().map(|group| (&group.labels, &mut group.counts));
        groups.chain(std::iter::once((&self.other_labels, &mut self.other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(program: &str) -> GroupKey {
        GroupKey::new(Place::default(), Comm::new(program.as_bytes()))
    }

    fn count(groups: &mut Groups, program: &str, opens: u64) {
        let id = groups.find(key(program));
        groups.counts(id).opens.add(opens);
    }

    /// Opens of each series in the next snapshot.
    fn snapshot(groups: &mut Groups, scraped: bool) -> BTreeMap<String, u64> {
        groups.prepare(scraped);
        let series = groups.iter_mut();
        series.filter_map(|(labels, n)| Some((labels.to_string(), n.opens.publish()?))).collect()
    }

    #[test]
    fn a_place_is_a_unit_or_a_container() {
        let id = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";
        for (path, unit, container) in [
            ("/system.slice/nginx.service/x", "nginx.service", ""),
            ("/user.slice/user-0.slice/session-3.scope", "user-0.slice", ""),
            ("/user.slice/user-0.slice/user@0.service/app.slice/app-x-1234.scope", "app.slice", ""),
            ("/init.scope", "init.scope", ""),
            ("/", "", ""),
            (&format!("/system.slice/docker-{id}.scope"), "", id),
            ("/lxc.payload.web/system.slice/cron.service", "", "web"),
        ] {
            let place = Place::of(&Cgroup::at(path.as_bytes()));
            assert_eq!((&*place.unit, &*place.container), (unit, container), "{path}");
        }
    }

    #[test]
    fn hostile_names_cannot_be_the_labels_of_other() {
        let program = Comm::new(b"o\"\n\\\xff");
        let labels = GroupKey::new(Place { unit: "a.service".into(), ..Place::default() }, program);
        assert_eq!(&*labels.labels(), r#"unit="a.service",program="o\"\\n\\\\\\xff""#);
        assert_ne!(key("other").labels(), other_labels());
    }

    /// `increase()` over every series, as Prometheus has it: the first sample of a series counts
    /// nothing, and a smaller one than before is a reset.
    struct Prometheus {
        last: BTreeMap<String, u64>,
        increase: u64,
    }

    impl Prometheus {
        fn scrape(&mut self, samples: BTreeMap<String, u64>) {
            for (labels, value) in samples {
                let before = self.last.insert(labels, value).unwrap_or(value);
                self.increase += if value < before { value } else { value - before };
            }
        }
    }

    #[test]
    fn groups_that_come_and_go_are_neither_lost_nor_counted_twice() {
        for (most, every) in [(3, 1), (3, 4), (1, 2), (50, 3)] {
            let mut groups = Groups::new(most);
            let mut server = Prometheus { last: BTreeMap::new(), increase: 0 };
            let (mut total, mut random, mut scraped) = (0, 7u64, false);
            for interval in 0..500u64 {
                for _ in 0..4 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (program, opens) = (random >> 33 & 15, random >> 40 & 255);
                    count(&mut groups, &format!("p{program}"), opens);
                    total += opens;
                }
                let samples = snapshot(&mut groups, scraped);
                assert!(samples.len() <= most + 1);
                scraped = interval % every == 0;
                if scraped {
                    server.scrape(samples);
                }
            }
            assert!(most == 50 || groups.evicted > 10, "{}", groups.evicted);
            // Twice: a series begins at 0 in one scrape and has its count in the next.
            for _ in 0..2 {
                server.scrape(snapshot(&mut groups, scraped));
                scraped = true;
            }
            assert_eq!(server.increase, total, "{most} groups, a scrape in {every}");
        }
    }

    #[test]
    fn a_busy_group_stays_and_an_idle_one_goes() {
        let mut groups = Groups::new(2);
        let has = |groups: &mut Groups, program: &str| {
            let labels = format!("program=\"{program}\"");
            groups.iter_mut().any(|(l, _)| **l == *labels)
        };
        count(&mut groups, "busy", 100);
        count(&mut groups, "idle", 100);
        snapshot(&mut groups, false);
        for _ in 0..1_000 {
            count(&mut groups, "busy", 100);
            snapshot(&mut groups, true);
        }
        count(&mut groups, "new", 5);
        snapshot(&mut groups, true);
        assert!(has(&mut groups, "busy") && has(&mut groups, "new") && !has(&mut groups, "idle"));
        assert_eq!((groups.evicted, groups.len()), (1, 2));
        // One more: it does not displace the one that is there already.
        snapshot(&mut groups, true);
        count(&mut groups, "newer", 5);
        snapshot(&mut groups, true);
        assert!(has(&mut groups, "new") && !has(&mut groups, "newer"));
    }

    #[test]
    fn an_interval_adds_a_bounded_number_of_groups() {
        let mut groups = Groups::new(10);
        for program in 0..6_000 {
            count(&mut groups, &program.to_string(), 1);
        }
        assert_eq!(groups.len(), 10 + MAX_NEW);
        let samples = snapshot(&mut groups, false);
        assert_eq!((samples.len(), groups.len()), (11, 10));
        snapshot(&mut groups, true);
        assert_eq!(snapshot(&mut groups, true).values().sum::<u64>(), 6_000);
    }
}
