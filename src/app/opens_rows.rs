//! The opens pane's rows, built once a tick or when something is asked for: chosen, ordered.
//!
//! Never once a frame: drawing only looks up the rows that are shown.

use std::cmp::Ordering;

use hashbrown::HashSet;

use super::failures::{failures, of_group};
use super::opens_groups::{about, below, directories};
use super::opens_pane::{About, Detail, OpensPane, OpensSort, OpensView, Row, Share};
use crate::model::cgroup::KnownCgroups;
use crate::model::conn::Carried;
use crate::model::field::opens::{Measures, OpensTable};
use crate::model::filter::{Filter, ProcessInfo, What};
use crate::model::opens::{FileUse, Opens, Path, Process, Tally};
use crate::model::owners::Owners;
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// What chooses the rows.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    pub opens: &'a Opens,
    pub cgroups: &'a KnownCgroups,
    /// Who is behind connections, where that is known.
    pub owners: Option<&'a Owners>,
    /// The processes that talk to whom the filters ask for, where they ask.
    pub talking: Option<&'a HashSet<ProcessKey>>,
    /// What was typed, and what the command line asked for besides.
    pub filters: [Option<&'a Filter>; 2],
    pub failed_only: bool,
    /// Only what was first seen after this.
    pub new_since: Option<Mono>,
    pub now: Mono,
}

impl Choose<'_> {
    fn filters(&self) -> impl Iterator<Item = &Filter> {
        self.filters.iter().flatten().copied().filter(|f| !f.is_empty())
    }

    fn tally(&self, tally: &Tally) -> bool {
        (!self.failed_only || tally.failed > 0)
            && self.new_since.is_none_or(|mark| tally.first > mark)
    }

    /// Whether the filters let this process through, whatever it opens.
    pub(super) fn who(&self, process: &Process) -> bool {
        if self.talking.is_some_and(|talking| !talking.contains(&process.key)) {
            return false;
        }
        let (names, n) = process.names();
        let who = ProcessInfo {
            names: names.get(..n).unwrap_or_default(),
            tgid: process.key.tgid,
            uid: process.uid,
            cgroup: process.cgroup_id.and_then(|id| self.cgroups.get(id)).map(|c| &*c.path),
        };
        self.filters().all(|f| f.process(&who))
    }

    /// Whether the filters let a process's use of `path` through, as it was passed or as it was
    /// resolved.
    pub(super) fn what(&self, path: &[u8], used: Option<&FileUse>, ret: i32) -> bool {
        let errno = (ret < 0).then(|| ret.saturating_neg());
        let passed = used.map_or(path, |f| f.given.of(path));
        let what = What { path: Some(passed), resolved: Some(path), errno };
        self.filters().all(|f| f.file(&what))
    }

    /// The use that the filters want to look at; not looked up for nothing.
    pub(super) fn used(&self, process: Slot, path: Slot) -> Option<&FileUse> {
        let wanted = self.filters().any(Filter::chooses_files);
        if wanted { self.opens.use_of(process, path) } else { None }
    }

    fn file(&self, file: &FileUse) -> bool {
        let path = self.opens.paths().get(file.path);
        path.is_some_and(|p| self.what(&p.bytes, Some(file), file.last_ret))
    }

    fn process(&self, process: &Process) -> bool {
        if !self.tally(&process.tally) && !self.has_new_file(process) || !self.who(process) {
            return false;
        }
        !self.filters().any(Filter::chooses_files)
            || process
                .files
                .iter()
                .any(|s| self.opens.files().get(*s).is_some_and(|f| self.file(f)))
    }

    /// The values of a row, for its order.
    pub(super) fn measures<'a>(&'a self, tally: &'a Tally, rate: f64) -> Measures<'a> {
        Measures { owners: self.owners, now: self.now, ..Measures::of(tally, rate) }
    }

    /// An old process that opens something new is news as well.
    fn has_new_file(&self, process: &Process) -> bool {
        self.new_since.is_some()
            && process
                .files
                .iter()
                .any(|s| self.opens.files().get(*s).is_some_and(|f| self.tally(&f.tally)))
    }

    /// What is to be told of a path; `None` where it is not to be shown.
    pub(super) fn share(&self, path: &Path) -> Option<Share> {
        let opens = self.opens;
        if path.tally.opens == 0 {
            return None; // evicted failures refer to it, and no use
        }
        if self.filters().next().is_none() {
            return self.tally(&path.tally).then(|| Share {
                tally: path.tally,
                rate: opens.rate_of(&path.meter),
                last_ret: path.last_ret,
                users: opens.users_of(path),
            });
        }
        let mut share: Option<Share> = None;
        for file in path.users.iter().filter_map(|s| opens.files().get(*s)) {
            if !self.what(&path.bytes, Some(file), file.last_ret)
                || !opens.processes().get(file.process).is_some_and(|p| self.who(p))
            {
                continue;
            }
            let rate = opens.rate_of(&file.meter);
            let Some(sum) = &mut share else {
                let (tally, last_ret) = (file.tally, file.last_ret);
                share = Some(Share { tally, rate, last_ret, users: file.uses() });
                continue;
            };
            if file.tally.last >= sum.tally.last {
                sum.last_ret = file.last_ret;
            }
            sum.tally.merge(&file.tally);
            sum.rate += rate;
            sum.users += file.uses();
        }
        share.filter(|s| self.tally(&s.tally))
    }
}

/// Something to be put in order.
pub(super) struct Ranked<'a, T> {
    /// The larger first; the second number among equals.
    pub(super) weight: (u64, u64),
    pub(super) name: &'a [u8],
    pub(super) id: u64,
    pub(super) what: T,
}

/// Names upwards, numbers downwards; among equals the steady things decide, so that rows do
/// not change places without a reason.
pub(super) fn order<T>(items: &mut [Ranked<'_, T>], by_name: bool, reverse: bool) {
    let compare = |a: &Ranked<'_, T>, b: &Ranked<'_, T>| {
        let first = if by_name { a.name.cmp(b.name) } else { Ordering::Equal };
        first.then(b.weight.cmp(&a.weight)).then_with(|| a.id.cmp(&b.id))
    };
    if reverse {
        items.sort_unstable_by(|a, b| compare(b, a));
    } else {
        items.sort_unstable_by(compare);
    }
}

/// What processes and nobody carry, of the same interval as the cells of rows.
pub fn sum_up(pane: &mut OpensPane, owners: &Owners) {
    pane.carried = owners.delta;
    let sum = owners.processes().fold(Carried::default(), |sum, net| sum + net.delta);
    pane.nobodys = owners.delta.minus(sum);
}

/// Fills the pane's rows; `room` is how many lines it has.
pub fn build(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    pane.rows.clear();
    pane.dirs.clear();
    pane.fails.clear();
    pane.shares.clear();
    pane.found.clear();
    pane.timed = choose.opens.total().latency.timed > 0;
    pane.about = About::default();
    pane.net = choose.owners.is_some();
    if let Some(owners) = choose.owners {
        sum_up(pane, owners);
    }
    let (sort, reverse) = (pane.sort(), pane.reverse);
    match (pane.inside().cloned(), pane.view) {
        (Some(Detail::Process(slot)), _) => {
            let files = choose.opens.processes().get(slot).map_or(&[][..], |p| &p.files);
            pane.of = files.len();
            pane.about = about(choose.opens, slot, files, pane.depth);
            pane.rows
                .extend(uses(choose, files, sort, reverse).into_iter().map(Row::FileOfProcess));
        }
        (Some(Detail::Path(slot)), _) => {
            let users = choose.opens.paths().get(slot).map_or(&[][..], |p| &p.users);
            pane.of = users.len();
            pane.rows
                .extend(users_of(choose, users, sort, reverse).into_iter().map(Row::ProcessOfFile));
        }
        (Some(Detail::Directory(dir)), _) => {
            pane.of = choose.opens.paths().len();
            paths(pane, choose, |p| below(&p.bytes, &dir));
        }
        (Some(Detail::Failures(group)), _) => of_group(pane, choose, &group),
        (Some(Detail::Address(_) | Detail::Timeline(_)), _) => pane.of = 0,
        (None, OpensView::Processes) => processes(pane, choose, room),
        (None, OpensView::Files) => {
            pane.of = choose.opens.paths().len();
            paths(pane, choose, |_| true);
        }
        (None, OpensView::Directories) => directories(pane, choose),
        (None, OpensView::Failures) => failures(pane, choose),
        (None, OpensView::Live) => live(pane, choose),
    }
    if pane.inside().is_some() || pane.view != OpensView::Processes {
        pane.matched = pane.rows.len();
    }
}

fn processes(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let opens = choose.opens;
    let sort = pane.sort();
    let mut items: Vec<_> = opens
        .processes()
        .iter()
        .filter(|(_, p)| !p.is_program() && choose.process(p))
        .map(|(slot, p)| {
            let measures = choose.measures(&p.tally, opens.rate_of(&p.meter));
            let row = Measures { pid: p.key.tgid, process: Some(p), ..measures };
            Ranked {
                weight: sort.weigh(&row),
                name: p.name.as_bytes(),
                id: u64::from(p.key.tgid) << 32 | slot.id() & 0xffff_ffff,
                what: (slot, p),
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    pane.of = opens.process_count();
    pane.matched = items.len();
    // Those far down the list would hardly change the scale, and there may be thousands.
    let busiest = items.iter().take(256).map(|i| i.what.1);
    let last = |p: &Process| p.history.last(choose.now, 59).max().unwrap_or(0);
    pane.most = busiest.map(last).max().unwrap_or(0);
    pane.folds.retain(|slot, _| opens.processes().get(*slot).is_some());
    let chosen = pane.under.is_some();
    let under = pane.under.unwrap_or(match room {
        40.. => 5,
        16.. => 3,
        n if items.len() * 4 <= n => 3,
        n if items.len() * 2 <= n => 1,
        _ => 0,
    });
    // Ones that open something now show what; those that are quiet take one line, unless
    // somebody asked for more. Beyond what fits on a few screens nobody looks.
    let of_files = OpensTable::FilesOfProcess.sorts(|need| pane.has(need));
    let mut lines = 0usize;
    for item in items {
        let (slot, process) = item.what;
        pane.rows.push(Row::Process(slot));
        lines += 1;
        let busy = process.history.recent(choose.now, 10) > 0;
        let files = match pane.folds.get(&slot) {
            Some(true) => under.max(10),
            Some(false) => 0,
            None if chosen || busy && lines < room => under,
            None => 0,
        };
        if files == 0 || process.files.is_empty() {
            continue;
        }
        let by = if of_files.contains(&sort) { sort } else { OpensSort::Rate };
        let before = pane.rows.len();
        let shown = uses(choose, &process.files, by, pane.reverse && by == sort);
        pane.rows.extend(shown.into_iter().take(files).map(Row::FileUnderProcess));
        lines += pane.rows.len() - before;
    }
}

fn uses(choose: &Choose<'_>, files: &[Slot], sort: OpensSort, reverse: bool) -> Vec<Slot> {
    let opens = choose.opens;
    let mut items: Vec<_> = files
        .iter()
        .filter_map(|slot| Some((*slot, opens.files().get(*slot)?)))
        .filter(|(_, f)| choose.tally(&f.tally) && choose.file(f))
        .map(|(slot, f)| Ranked {
            weight: sort.weigh(&choose.measures(&f.tally, opens.rate_of(&f.meter))),
            name: opens.paths().get(f.path).map_or(&[][..], |p| &p.bytes),
            id: slot.id(),
            what: slot,
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, reverse);
    items.into_iter().map(|r| r.what).collect()
}

fn users_of(choose: &Choose<'_>, users: &[Slot], sort: OpensSort, reverse: bool) -> Vec<Slot> {
    let opens = choose.opens;
    let mut items: Vec<_> = users
        .iter()
        .filter_map(|slot| {
            let file = opens.files().get(*slot)?;
            Some((*slot, file, opens.processes().get(file.process)?))
        })
        .filter(|(_, f, p)| choose.tally(&f.tally) && choose.file(f) && choose.who(p))
        .map(|(slot, f, p)| {
            let measures = choose.measures(&f.tally, opens.rate_of(&f.meter));
            Ranked {
                weight: sort.weigh(&Measures { pid: p.key.tgid, ..measures }),
                name: p.name.as_bytes(),
                id: slot.id(),
                what: slot,
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, reverse);
    items.into_iter().map(|r| r.what).collect()
}

fn paths(pane: &mut OpensPane, choose: &Choose<'_>, among: impl Fn(&Path) -> bool) {
    let opens = choose.opens;
    let sort = pane.sort();
    let some_users = choose.filters().next().is_some();
    let mut items = Vec::new();
    for (slot, path) in opens.paths().iter().filter(|(_, p)| among(p)) {
        let Some(share) = choose.share(path) else { continue };
        items.push(Ranked {
            weight: sort.weigh(&choose.measures(&share.tally, share.rate)),
            name: &path.bytes,
            id: slot.id(),
            what: slot,
        });
        if some_users {
            pane.shares.insert(slot, share);
        }
    }
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    pane.rows.extend(items.into_iter().map(|r| Row::Path(r.what)));
}

fn live(pane: &mut OpensPane, choose: &Choose<'_>) {
    let opens = choose.opens;
    pane.of = opens.live().len();
    let shown = opens.live().filter(|l| {
        (!choose.failed_only || l.ret < 0)
            && choose.new_since.is_none_or(|mark| l.at > mark)
            && opens.processes().get(l.process).is_none_or(|p| choose.who(p))
            && match l.path.and_then(|s| Some((s, opens.paths().get(s)?))) {
                Some((s, p)) => choose.what(&p.bytes, choose.used(l.process, s), l.ret),
                None => !choose.filters().any(Filter::chooses_files),
            }
    });
    if pane.reverse {
        pane.rows.extend(shown.map(|l| Row::Live(l.number)));
    } else {
        pane.rows.extend(shown.rev().map(|l| Row::Live(l.number)));
    }
}
