//! Rows that stand for many files: directories, and failures of one kind.

use hashbrown::{HashMap, HashSet};

use super::opens_pane::{DirRow, FailRow, OpensPane, OpensSort, Row};
use super::opens_rows::{Choose, Ranked, number, order};
use crate::model::open::Comm;
use crate::model::opens::{Latency, Tally};
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// What failures have in common that are told in one row: name, errno, directory.
type Group<'a> = (Comm, i32, &'a [u8]);

pub(super) fn directories(pane: &mut OpensPane, choose: &Choose<'_>) {
    let opens = choose.opens;
    let mut dirs: HashMap<&[u8], DirRow> = HashMap::new();
    for (_, path) in opens.paths().iter().filter(|(_, p)| choose.path(p)) {
        let dir = directory(&path.bytes, pane.depth);
        let row = dirs.entry(dir).or_insert_with(|| DirRow {
            path: dir.into(),
            files: 0,
            opens: 0,
            failed: 0,
            rate: 0.0,
            last: Mono(0),
            latency: Latency::default(),
        });
        row.files += 1;
        row.latency.merge(&path.tally.latency);
        row.opens += path.tally.opens;
        row.failed += path.tally.failed;
        row.rate += opens.rate_of(&path.meter);
        row.last = row.last.max(path.tally.last);
    }
    let sort = pane.sort();
    let rows: Vec<DirRow> = dirs.into_values().collect();
    let mut items: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, d)| {
            let tally = Tally {
                opens: d.opens,
                failed: d.failed,
                first: d.last,
                last: d.last,
                latency: d.latency,
            };
            let number = number(sort, &tally, d.rate, 0);
            Ranked { number, more: d.opens, name: &d.path, id: 0, what: at }
        })
        .collect();
    // Paths differ, so the name makes the order total.
    items.sort_unstable_by(|a, b| a.name.cmp(b.name));
    for (at, item) in items.iter_mut().enumerate() {
        item.id = at as u64;
    }
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let sorted = items.iter().filter_map(|i| rows.get(i.what).cloned()).collect();
    pane.dirs = sorted;
    pane.rows = (0..pane.dirs.len()).map(Row::Dir).collect();
    pane.of = pane.rows.len();
}

pub(super) fn failures(pane: &mut OpensPane, choose: &Choose<'_>) {
    let opens = choose.opens;
    let mut groups: HashMap<Group<'_>, (FailRow, HashSet<Slot>)> = HashMap::new();
    for (_, f) in opens.failures().iter() {
        let (Some(process), Some(path)) =
            (opens.processes().get(f.process), opens.paths().get(f.path))
        else {
            continue;
        };
        if choose.new_since.is_some_and(|mark| f.first <= mark)
            || !choose.what(&path.bytes, choose.used(f.process, f.path), f.errno.saturating_neg())
            || !choose.who(process)
        {
            continue;
        }
        let dir = directory(&path.bytes, pane.depth);
        let (row, processes) = groups.entry((process.name, f.errno, dir)).or_insert_with(|| {
            let row = FailRow {
                name: process.name,
                process: f.process,
                processes: 0,
                errno: f.errno,
                dir: dir.into(),
                files: 0,
                count: 0,
                rate: 0.0,
                last: Mono(0),
            };
            (row, HashSet::new())
        });
        processes.insert(f.process);
        row.processes = processes.len();
        if f.last >= row.last {
            row.process = f.process;
        }
        row.files += 1;
        row.count += f.count;
        row.rate += opens.rate_of(&f.meter);
        row.last = row.last.max(f.last);
    }
    let sort = pane.sort();
    let mut rows: Vec<FailRow> = groups.into_values().map(|(row, _)| row).collect();
    let key = |f: &FailRow| (f.name.0, f.errno, f.dir.clone());
    rows.sort_by_cached_key(key);
    let mut items: Vec<_> = rows
        .iter()
        .enumerate()
        .map(|(at, f)| {
            let process = opens.processes().get(f.process);
            let tally = Tally {
                opens: f.count,
                failed: f.count,
                first: f.last,
                last: f.last,
                ..Tally::default()
            };
            Ranked {
                number: number(sort, &tally, f.rate, process.map_or(0, |p| p.key.tgid)),
                more: f.count,
                name: f.name.as_bytes(),
                id: at as u64,
                what: at,
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let sorted = items.iter().filter_map(|i| rows.get(i.what).cloned()).collect();
    pane.fails = sorted;
    pane.rows = (0..pane.fails.len()).map(Row::Fail).collect();
    pane.of = pane.rows.len();
}

/// The first `depth` levels of the directory that a path is in.
fn directory(path: &[u8], depth: usize) -> &[u8] {
    let Some(end) = path.iter().rposition(|b| *b == b'/') else { return b"." };
    let dir = path.get(..end.max(1)).unwrap_or_default();
    let skip = usize::from(dir.first() == Some(&b'/'));
    let mut slashes = dir.iter().enumerate().skip(skip).filter(|(_, b)| **b == b'/');
    match slashes.nth(depth.max(1) - 1) {
        Some((at, _)) => dir.get(..at).unwrap_or(dir),
        None => dir,
    }
}

/// Whether `path` is in `dir` or below it.
pub(super) fn below(path: &[u8], dir: &[u8]) -> bool {
    match dir {
        b"/" => path.first() == Some(&b'/'),
        b"." => !path.contains(&b'/'),
        dir => path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_by_levels() {
        let of = |p: &str, d| String::from_utf8_lossy(directory(p.as_bytes(), d)).into_owned();
        assert_eq!(of("/usr/lib/x/y.so", 1), "/usr");
        assert_eq!(of("/usr/lib/x/y.so", 2), "/usr/lib");
        assert_eq!(of("/usr/lib/x/y.so", 9), "/usr/lib/x");
        assert_eq!(of("/vmlinuz", 3), "/");
        assert_eq!(of("conf/a/b", 1), "conf");
        assert_eq!(of("a", 3), ".");
        assert_eq!(of("", 3), ".");
        assert_eq!(of("//x//y", 0), "/");
    }

    #[test]
    fn what_is_below() {
        assert!(below(b"/usr/lib/a", b"/usr"));
        assert!(!below(b"/usrlocal/a", b"/usr"));
        assert!(below(b"/a", b"/") && below(b"a", b".") && !below(b"a/b", b"."));
    }
}
