//! Failed opens by process name, errno and directory, and one by one within a group; whether a file
//! of the same name was found later.

use hashbrown::{HashMap, HashSet};

use super::common::Commonness;
use super::directories::directory;
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::{FailGroup, FailRow, Row};
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::field::opens::Measures;
use crate::model::field::step;
use crate::model::lineage::Ancestry;
use crate::model::open::Comm;
use crate::model::opens::{Failure, LaterSuccess, Path, Process, Tally};
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// The key of one row: process name, errno, directory.
type Group<'a> = (Comm, i32, &'a [u8]);

/// A row, its processes with the number that each stands for, and its paths.
type Gathered = (FailRow, HashMap<Slot, usize>, HashSet<Slot>);

/// All failures that match, in groups.
pub(super) fn failures(pane: &mut OpensPane, choose: &Choose<'_>) {
    let opens = choose.opens;
    let found = LaterSuccess::new(opens);
    let common = Commonness::of(opens);
    let ancestry = Ancestry::of(opens, choose.lineage);
    pane.hidden = 0;
    let mut groups: HashMap<Group<'_>, Gathered> = HashMap::new();
    for (_, f) in opens.failures_by_path() {
        let f = &f;
        let (Some(process), Some(path)) =
            (opens.processes().get(f.process), opens.paths().get(f.path))
        else {
            continue;
        };
        if !matches(choose, f, process, path) {
            continue;
        }
        if !pane.all_failures && is_harmless(&found, &common, f) {
            pane.hidden += f.failures() as u64;
            continue;
        }
        let dir = directory(&path.bytes, pane.depth);
        let (row, processes, paths) =
            groups.entry((process.name, f.errno, dir)).or_insert_with(|| {
                let row = FailRow {
                    name: process.name,
                    parents: Vec::new(),
                    process: f.process,
                    processes: 0,
                    errno: f.errno,
                    dir: dir.into(),
                    path: f.path,
                    files: 0,
                    files_evicted: false,
                    tried: 0,
                    found: 0,
                    found_at: None,
                    count: 0,
                    rate: 0.0,
                    last: Mono(0),
                };
                (row, HashMap::new(), HashSet::new())
            });
        // An entry for evicted processes stands for as many as failed at one path.
        let of_process = processes.entry(f.process).or_default();
        let known = *of_process;
        *of_process = known.max(if process.is_stand_in() { f.failures() } else { 1 });
        row.processes += *of_process - known;
        let parent = ancestry.ancestors(process).first().map(|a| a.name);
        if let Some(name) = parent.filter(|name| !row.parents.contains(name)) {
            row.parents.push(name);
        }
        if f.last >= row.last {
            row.process = f.process;
            row.path = f.path;
        }
        row.tried += f.failures() as u64;
        if paths.insert(f.path) {
            row.files += path.evicted.max(1);
            row.files_evicted |= path.evicted > 0;
        }
        if f.found_elsewhere {
            row.found += f.failures() as u64;
        } else if found.after(f).is_some() {
            row.found += 1;
        }
        if let Some(file) = found.after(f) {
            let this = file.last_good.map(|at| (at, file.path));
            row.found_at = row.found_at.max(this);
        }
        row.count += f.count;
        row.rate += opens.rate_of(&f.meter);
        row.last = row.last.max(f.last);
    }
    let sort = pane.sort();
    let mut rows: Vec<FailRow> = groups.into_values().map(|(row, ..)| row).collect();
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
            let pid = process.map_or(0, |p| p.key.tgid);
            Ranked {
                // Failures of files that were never found come first.
                class: u8::from(f.found >= f.tried),
                weight: match sort {
                    // Those that do not fail now: the latest first, however rare they are.
                    OpensSort::Rate => (step(f.rate), f.last.0),
                    _ => sort.weigh(&Measures { pid, ..Measures::of(&tally, f.rate) }),
                },
                name: f.name.as_bytes(),
                id: at as u64,
                what: at,
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let sorted = items.iter().filter_map(|i| rows.get(i.what).cloned()).collect();
    pane.fails = sorted;
    pane.rows = (0..pane.fails.len()).map(Row::FailureGroup).collect();
    pane.of = pane.rows.len();
}

/// Whether a failure says little: the file was found later in another directory, or the loader or the C
/// library looked for it.
fn is_harmless(found: &LaterSuccess<'_>, common: &Commonness<'_>, f: &Failure) -> bool {
    common.is_common(f.path) || found.elsewhere(f)
}

fn matches(choose: &Choose<'_>, f: &Failure, process: &Process, path: &Path) -> bool {
    choose.new_since.is_none_or(|mark| f.first > mark)
        && choose.what(&path.bytes, choose.used(f.process, f.path), f.errno.saturating_neg())
        && choose.who(process)
}

/// The failures of one group, a row for each file.
pub(super) fn failures_of_group(pane: &mut OpensPane, choose: &Choose<'_>, group: &FailGroup) {
    let opens = choose.opens;
    let sort = pane.sort();
    let found = LaterSuccess::new(opens);
    let common = Commonness::of(opens);
    pane.of = 0;
    let mut items = Vec::new();
    for (slot, f) in opens.failures_by_path() {
        let f = &f;
        let (Some(process), Some(path)) =
            (opens.processes().get(f.process), opens.paths().get(f.path))
        else {
            continue;
        };
        if (process.name, f.errno) != (group.name, group.errno)
            || *directory(&path.bytes, group.depth) != *group.dir
        {
            continue;
        }
        pane.of += 1;
        let hidden = !pane.all_failures && is_harmless(&found, &common, f);
        if hidden || !matches(choose, f, process, path) {
            continue;
        }
        let tally = Tally { opens: f.count, last: f.last, ..Tally::default() };
        let measures = Measures::of(&tally, opens.rate_of(&f.meter));
        items.push(Ranked {
            class: 0,
            weight: sort.weigh(&Measures { pid: process.key.tgid, ..measures }),
            name: &path.bytes,
            id: slot.id(),
            what: slot,
        });
    }
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let at = |slot: Slot| {
        let f = opens.failure(slot)?;
        let path = found.after(&f).map(|file| file.path);
        (path.is_some() || f.found_elsewhere).then_some((slot, path))
    };
    pane.found = items.iter().filter_map(|i| at(i.what)).collect();
    pane.rows = items.into_iter().map(|i| Row::Failure(i.what)).collect();
}
