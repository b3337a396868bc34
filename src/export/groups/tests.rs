//! Groups that come and go, and `increase()` over them.

use super::*;
use crate::model::file_change::Op;

fn key(program: &str) -> GroupKey {
    GroupKey::new(PlaceLabels::default(), Comm::new(program.as_bytes()))
}

fn count(groups: &mut Groups, program: &str, opens: u64) {
    let id = groups.find(key(program));
    groups.counts(id).opens.add(opens);
}

/// Opens of each series in the next snapshot.
fn snapshot(groups: &mut Groups, scraped: bool) -> BTreeMap<String, u64> {
    snapshot_after(groups, if scraped { Seen::Yes } else { Seen::No })
}

fn snapshot_after(groups: &mut Groups, seen: Seen) -> BTreeMap<String, u64> {
    groups.prepare(seen, groups.last + 1);
    let series = groups.iter_mut();
    series.filter_map(|s| Some((s.labels.to_string(), s.counts.opens.publish()?))).collect()
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
        let place = PlaceLabels::of(&Cgroup::at(path.as_bytes()));
        assert_eq!((&*place.unit, &*place.container), (unit, container), "{path}");
    }
}

#[test]
fn hostile_names_cannot_be_the_labels_of_other() {
    let program = Comm::new(b"o\"\n\\\xff");
    let labels =
        GroupKey::new(PlaceLabels { unit: "a.service".into(), ..PlaceLabels::default() }, program);
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

/// A receiver of OTLP that is away for a while: snapshots wait in a queue, and arrive later or are
/// dropped.
#[test]
fn evictions_while_the_receiver_is_away_are_neither_lost_nor_counted_twice() {
    for ((most, room), seed) in [(3, 2), (3, 30), (1, 5), (8, 30)]
        .into_iter()
        .flat_map(|of| (0..20u64).map(move |n| (of, n)))
    {
        let mut groups = Groups::new(most);
        let mut server = Prometheus { last: BTreeMap::new(), increase: 0 };
        let mut queue = std::collections::VecDeque::new();
        let (mut total, mut random, mut seen) = (0, seed, Seen::Maybe);
        for interval in 0..40u64 {
            for _ in 0..4 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Others are far busier every three intervals, so that known groups are evicted.
                let program = (random >> 33 & 3) + interval / 3;
                let opens = (random >> 40 & 255) << (interval / 3 * 4);
                count(&mut groups, &format!("p{program}"), opens);
                total += opens;
            }
            let samples = snapshot_after(&mut groups, seen);
            assert!(samples.len() <= most + 1);
            queue.push_back(samples);
            let is_full = queue.len() > room;
            if is_full {
                queue.pop_front();
            }
            // The receiver is away for eight intervals, and then for four one of two waits.
            let left = match (interval + seed) % 16 {
                0..8 => room,
                8..12 => 1,
                _ => 0,
            };
            while queue.len() > left {
                server.scrape(queue.pop_front().unwrap());
            }
            seen = if queue.is_empty() && !is_full { Seen::Yes } else { Seen::Maybe };
        }
        assert!(groups.evicted > 0);
        queue.into_iter().for_each(|samples| server.scrape(samples));
        for _ in 0..2 {
            server.scrape(snapshot_after(&mut groups, Seen::Yes));
        }
        assert_eq!(server.increase, total, "{most} groups, room for {room}, seed {seed}");
    }
}

#[test]
fn a_group_that_comes_back_starts_at_the_snapshot_before() {
    let mut groups = Groups::new(1);
    let start = |groups: &mut Groups, program: &str| {
        let labels = format!("program=\"{program}\"");
        groups.iter_mut().find(|series| **series.labels == *labels).map(|series| series.start)
    };
    count(&mut groups, "a", 1);
    groups.prepare(Seen::No, 10);
    assert_eq!(start(&mut groups, "a"), Some(0));
    // Evicted, and back before the next snapshot.
    count(&mut groups, "b", 100);
    groups.prepare(Seen::No, 20);
    assert_eq!((start(&mut groups, "a"), start(&mut groups, "b")), (None, Some(10)));
    count(&mut groups, "a", 9_999);
    groups.prepare(Seen::No, 30);
    assert_eq!((start(&mut groups, "a"), start(&mut groups, "b")), (Some(20), None));
}

#[test]
fn a_busy_group_stays_and_an_idle_one_goes() {
    let mut groups = Groups::new(2);
    let has = |groups: &mut Groups, program: &str| {
        let labels = format!("program=\"{program}\"");
        groups.iter_mut().any(|series| **series.labels == *labels)
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

#[test]
fn groups_that_only_change_files_stay_by_their_activity() {
    let mut groups = Groups::new(1);
    let id = groups.find(key("changes"));
    Op::ALL.iter().for_each(|op| groups.counts(id).change(*op));
    count(&mut groups, "opens", Op::ALL.len() as u64 - 1);
    groups.prepare(Seen::No, 1);
    let labels: Vec<_> = groups.iter_mut().map(|series| series.labels.to_string()).collect();
    assert!(labels.iter().any(|l| l.contains("changes")), "{labels:?}");
    assert!(!labels.iter().any(|l| l.contains("opens")), "{labels:?}");
}
