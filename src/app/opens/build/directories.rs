//! Opens by directory.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::{About, DirRow, Row};
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::field::opens::Measures;
use crate::model::file_io::IoTally;
use crate::model::opens::{Latency, Opens, Tally};
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// Maximum directories in the summary of one process.
const MAX_DIRS: usize = 12;

/// All directories with opens that match.
pub(super) fn directories(pane: &mut OpensPane, choose: &Choose<'_>) {
    let opens = choose.opens;
    let mut dirs: HashMap<&[u8], DirRow> = HashMap::new();
    for (_, path) in opens.paths().iter() {
        let Some(share) = choose.share(path) else { continue };
        let dir = directory(&path.bytes, pane.depth);
        let row = dirs.entry(dir).or_insert_with(|| DirRow {
            path: dir.into(),
            files: 0,
            files_evicted: false,
            opens: 0,
            failed: 0,
            rate: 0.0,
            last: Mono(0),
            latency: Latency::default(),
            io: IoTally::default(),
        });
        row.files += path.evicted.max(1);
        row.files_evicted |= path.evicted > 0;
        row.latency.merge(&share.tally.latency);
        row.io.merge(&share.tally.io);
        row.opens += share.tally.opens;
        row.failed += share.tally.failed;
        row.rate += share.rate;
        row.last = row.last.max(share.tally.last);
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
                io: d.io.clone(),
            };
            let weight = sort.weigh(&Measures::of(&tally, d.rate).with_io(opens.io()));
            Ranked { class: 0, weight, name: &d.path, id: 0, what: at }
        })
        .collect();
    // Paths differ, so the path makes the order total.
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

/// Summary of processes: failures by errno, opens by directory.
pub(super) fn about(opens: &Opens, processes: &[Slot], files: &[Slot], depth: usize) -> About {
    let processes: HashSet<Slot> = processes.iter().copied().collect();
    let mut errnos: HashMap<i32, u64> = HashMap::new();
    for (_, f) in opens.failures().iter().filter(|(_, f)| processes.contains(&f.process)) {
        *errnos.entry(f.errno).or_default() += f.count;
    }
    let mut dirs: HashMap<&[u8], u64> = HashMap::new();
    for file in files.iter().filter_map(|s| opens.files().get(*s)) {
        if let Some(path) = opens.paths().get(file.path) {
            *dirs.entry(directory(&path.bytes, depth)).or_default() += file.tally.opens;
        }
    }
    let mut errnos: Vec<_> = errnos.into_iter().collect();
    let mut dirs: Vec<_> = dirs.into_iter().collect();
    errnos.sort_unstable_by_key(|(errno, n)| (Reverse(*n), *errno));
    dirs.sort_unstable_by_key(|(dir, n)| (Reverse(*n), *dir));
    dirs.truncate(MAX_DIRS);
    About { errnos, dirs: dirs.into_iter().map(|(dir, n)| (dir.into(), n)).collect() }
}

/// The first `depth` levels of the directory of a path.
pub(super) fn directory(path: &[u8], depth: usize) -> &[u8] {
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
    fn paths_below_a_directory() {
        assert!(below(b"/usr/lib/a", b"/usr"));
        assert!(!below(b"/usrlocal/a", b"/usr"));
        assert!(below(b"/a", b"/") && below(b"a", b".") && !below(b"a/b", b"."));
    }
}
