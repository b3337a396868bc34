//! Programs, with the files that matter most of each; the files of one program.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::common::Commonness;
use super::under::{File, WITH_COMMON, auto_under, put_files, rows_under};
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order, take_in_order};
use crate::app::opens::row::{Counted, EndedRow, GroupFile, ProgramRow, Row, add, id_of};
use crate::app::opens::{BUSY_SECONDS, OpensPane, OpensSort};
use crate::model::connections::Connections;
use crate::model::field::opens::{Measures, OpensTable, Traffic};
use crate::model::field::step;
use crate::model::history::HISTORY_SECONDS;
use crate::model::io_history::Counting;
use crate::model::opens::{Group, GroupKey, Opens, Process};
use crate::model::slab::Slot;
use crate::model::time::NS_PER_SEC;

/// Rows, from the first on, that set the scale of the graphs.
pub(super) const SCALED_BY: usize = 256;

/// Processes under an unfolded program; the detail view has all.
const MOST_PROCESSES: usize = 10;

/// All programs that match.
pub(super) fn programs(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let groups = choose.opens.groups(choose.cgroups);
    programs_of(pane, choose, groups, room);
}

/// The programs among `groups` that match.
pub(super) fn programs_of(
    pane: &mut OpensPane,
    choose: &Choose<'_>,
    groups: Vec<Group>,
    room: usize,
) {
    pane.of = groups.iter().filter(|g| g.evicted == 0 && g.processes > 0).count();
    pane.programs = rows_in_order(pane, choose, groups);
    pane.matched = pane.programs.iter().filter(|row| row.group.evicted == 0).count();
    let (opens, now) = (choose.opens, choose.now);
    let peak =
        |row: &ProgramRow| row.past(Counting::Opens, opens, now, 59).into_iter().max().unwrap_or(0);
    pane.most = pane.programs.iter().take(SCALED_BY).map(peak).max().unwrap_or(0);
    put_rows(pane, choose, room);
}

/// The rows of those that match, in the pane's order.
pub(super) fn rows_in_order(
    pane: &OpensPane,
    choose: &Choose<'_>,
    groups: Vec<Group>,
) -> Vec<ProgramRow> {
    let rows: Vec<_> = groups.into_iter().filter_map(|g| program_row(choose, g)).collect();
    let sort = pane.sort();
    let mut items: Vec<_> =
        rows.iter().enumerate().map(|(at, row)| ranked(choose, sort, at, row)).collect();
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let at: Vec<usize> = items.into_iter().map(|item| item.what).collect();
    take_in_order(rows, &at)
}

fn ranked<'a>(
    choose: &Choose<'_>,
    sort: OpensSort,
    at: usize,
    row: &'a ProgramRow,
) -> Ranked<'a, usize> {
    let measures = Measures {
        pid: row.single.and_then(|s| choose.opens.processes().get(s)).map_or(0, |p| p.key.tgid),
        recent: row.recent,
        traffic: row.traffic,
        ..Measures::of(&row.tally, row.rate).with_io(choose.opens.io())
    };
    Ranked {
        class: class(choose, sort, row),
        weight: sort.weigh(&measures),
        name: row.group.key.name.as_bytes(),
        id: row.id,
        what: at,
    }
}

/// The class of programs that have ended and opened nothing in the last minute.
const OVER: u8 = 2;

/// The class of a program: evicted ones come last. By rate, those that have ended and opened nothing for a
/// while come before them, and at last those of [`OVER`].
fn class(choose: &Choose<'_>, sort: OpensSort, row: &ProgramRow) -> u8 {
    let quiet_ns = choose.now.since(row.tally.last);
    match row.group.evicted {
        1.. => OVER + 1,
        0 if sort != OpensSort::Rate || row.living > 0 || row.is_busy() => 0,
        0 if quiet_ns <= HISTORY_SECONDS as u64 * NS_PER_SEC => 1,
        0 => OVER,
    }
}

/// Sums up the programs of [`OVER`], which are one row that opens. Returns the index of the first of them; without
/// any, and where a filter selects rows, the number of programs.
fn fold_ended(pane: &mut OpensPane, choose: &Choose<'_>) -> usize {
    let (none, sort) = (pane.programs.len(), pane.sort());
    if choose.filters().next().is_some() || choose.failed_only || choose.new_since.is_some() {
        return none;
    }
    let over = pane.programs.iter().enumerate().filter(|(_, p)| class(choose, sort, p) == OVER);
    let (mut first, mut programs, mut sum) = (none, 0, None);
    for (at, row) in over {
        first = first.min(at);
        programs += 1;
        add(&mut sum, &row.tally, row.rate);
    }
    pane.ended = EndedRow { programs, tally: sum.unwrap_or_default().0 };
    first
}

/// The rows of programs, in their order, with files below them or, where there is no room, one in the
/// row itself.
fn put_rows(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let opens = choose.opens;
    let common = Commonness::of(opens);
    let busy = pane.programs.iter().filter(|row| row.is_busy()).count();
    pane.auto_under = auto_under(busy, WITH_COMMON, room, pane.auto_under);
    let under = pane.under.unwrap_or(pane.auto_under);
    pane.inline = under == 0;
    let sort = pane.sort();
    let of_files = OpensTable::FilesOfProcess.sorts(|need| pane.has(need));
    let by = if of_files.contains(&sort) { sort } else { OpensSort::Rate };
    let reverse = pane.reverse && by == sort;
    let ended_from = fold_ended(pane, choose);
    let is_open = pane.folds.get(&pane.id(Row::Ended)) == Some(&true);
    for at in 0..pane.programs.len() {
        if at == ended_from {
            pane.rows.push(Row::Ended);
        }
        let Some(row) = pane.programs.get(at) else { break };
        if at >= ended_from && row.group.evicted == 0 && !is_open {
            continue;
        }
        let files = files_of_group(choose, &common, &row.group.members, by, reverse);
        let id = pane.id(Row::Program(at));
        let n = rows_under(pane, id, under, row.is_busy(), room);
        let unfolded = pane.folds.get(&id) == Some(&true);
        let processes = if unfolded { members_in_order(opens, &row.group) } else { Vec::new() };
        let several = row.single.is_none();
        if let Some(row) = pane.programs.get_mut(at) {
            row.files = files.len();
            row.all_common = n == 0 && files.first().is_some_and(|f| f.common);
            row.top = files.first().filter(|f| n == 0 && common.class(f.path) == 0).cloned();
        }
        pane.rows.push(Row::Program(at));
        if n == 0 {
            continue;
        }
        let figures = |f: GroupFile| {
            let file = File { tally: f.tally.clone(), rate: f.rate, common: f.common };
            (f, file)
        };
        let files = files.into_iter().map(figures).collect();
        put_files(pane, id, files, n, |pane, file| {
            pane.group_files.push(GroupFile { program: id.1, ..file });
            Row::FileUnderProgram(pane.group_files.len() - 1)
        });
        if several {
            let shown = processes.into_iter().take(MOST_PROCESSES);
            pane.rows.extend(shown.map(Row::ProcessUnderProgram));
        }
    }
}

/// The row of a group; `None` if nothing of it matches.
pub(super) fn program_row(choose: &Choose<'_>, mut group: Group) -> Option<ProgramRow> {
    let opens = choose.opens;
    let counted = choose.counted(&group);
    let process = |slot: &Slot| opens.processes().get(*slot);
    if counted != Counted::Whole {
        group.members.retain(|slot| process(slot).is_some_and(|p| choose.who(p)));
    }
    let members = || group.members.iter().filter_map(process);
    let real = || members().filter(|p| !p.is_stand_in());
    let (mut sum, mut recent) = (None, None);
    match counted {
        Counted::Whole => {
            let latest = opens.past_of_group(&group, Counting::Opens, choose.now, BUSY_SECONDS);
            recent = Some(latest.iter().sum());
            add(&mut sum, &group.tally, opens.rate_of_group(&group));
        }
        Counted::Members => {
            recent = Some(members().map(|p| p.history.recent(choose.now, BUSY_SECONDS)).sum());
            members().for_each(|p| add(&mut sum, &p.part(), opens.part_rate(p)));
        }
        Counted::Files => {
            let uses = members().flat_map(|p| &p.files).filter_map(|s| opens.files().get(*s));
            for file in uses.filter(|f| choose.file(f)) {
                add(&mut sum, &file.tally, opens.rate_of(&file.meter));
            }
        }
    }
    let (tally, rate) = sum?;
    // A program that never opened anything is there for as long as one of its processes.
    if tally.is_empty() && real().next().is_none() {
        return None;
    }
    let is_new = || real().any(|p| choose.has_new_file(p));
    if !choose.tally(&tally) && !is_new() {
        return None;
    }
    let traffic = choose.owners.and_then(|owners| traffic_of(opens, owners, &group));
    let single = (group.processes == 1).then(|| group.processes(opens).next()).flatten();
    Some(ProgramRow {
        id: id_of(&group.key),
        living: real().filter(|p| p.ended.is_none()).count(),
        single: single.map(|(slot, _)| slot),
        counted,
        tally,
        rate,
        recent,
        traffic,
        files: 0,
        all_common: false,
        top: None,
        group,
    })
}

/// The traffic of a group's processes; `None` if none of them has any.
pub(super) fn traffic_of(
    opens: &Opens,
    connections: &Connections,
    group: &Group,
) -> Option<Traffic> {
    let mut traffic: Option<Traffic> = None;
    for net in group.processes(opens).filter_map(|(_, p)| connections.process(p.key)) {
        traffic.get_or_insert_default().add(net);
    }
    traffic
}

/// The files of a group's processes that match: those that are common after the others.
pub(super) fn files_of_group(
    choose: &Choose<'_>,
    common: &Commonness<'_>,
    members: &[Slot],
    sort: OpensSort,
    reverse: bool,
) -> Vec<GroupFile> {
    let opens = choose.opens;
    let mut files: HashMap<Slot, GroupFile> = HashMap::new();
    let uses = members.iter().filter_map(|s| opens.processes().get(*s)).flat_map(|p| &p.files);
    for file in uses.filter_map(|s| opens.files().get(*s)) {
        if !choose.file(file) {
            continue;
        }
        let rate = opens.rate_of(&file.meter);
        let (path, tally, last_ret) = (file.path, &file.tally, file.last_ret);
        let sum = files.entry(path);
        let sum = sum.and_modify(|sum| {
            if tally.last >= sum.tally.last {
                sum.last_ret = last_ret;
            }
            sum.tally.merge(tally);
            sum.rate += rate;
        });
        sum.or_insert_with(|| {
            let tally = tally.clone();
            GroupFile { path, tally, rate, last_ret, common: false, program: 0 }
        });
    }
    let mut items: Vec<_> = files
        .into_values()
        .filter(|f| choose.tally(&f.tally))
        .map(|f| GroupFile { common: common.is_common(f.path), ..f })
        .map(|f| Ranked {
            class: common.class(f.path),
            weight: common.weigh(sort, f.path, &f.tally, f.rate),
            name: opens.paths().get(f.path).map_or(&[][..], |p| &p.bytes),
            id: f.path.id(),
            what: f,
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, reverse);
    items.into_iter().map(|i| i.what).collect()
}

/// The processes of a group: living ones first, then by rate and by number of opens.
pub(super) fn members_in_order(opens: &Opens, group: &Group) -> Vec<Slot> {
    let rank = |p: &Process| {
        let rate = step(opens.rate_of(&p.meter));
        (p.ended.is_some(), Reverse(rate), Reverse(p.tally.opens), p.key.tgid)
    };
    let mut members: Vec<_> = group.processes(opens).map(|(s, p)| (rank(p), s)).collect();
    members.sort_unstable();
    members.into_iter().map(|(_, slot)| slot).collect()
}

/// Builds the detail view of a group; nothing matches where it has gone.
pub(super) fn files_of_program(pane: &mut OpensPane, choose: &Choose<'_>, key: &GroupKey) {
    let opens = choose.opens;
    pane.related.show_members(Vec::new());
    let group = opens.groups(choose.cgroups).into_iter().find(|g| g.key == *key);
    let Some(row) = group.and_then(|group| program_row(choose, group)) else { return };
    let members = &row.group.members;
    let files = members.iter().filter_map(|s| opens.processes().get(*s)).flat_map(|p| &p.files);
    let files: Vec<Slot> = files.copied().collect();
    pane.about = super::directories::about(opens, members, &files, pane.depth);
    let common = Commonness::of(opens);
    pane.group_files = files_of_group(choose, &common, members, pane.sort(), pane.reverse);
    let mut paths: Vec<Slot> =
        files.iter().filter_map(|s| Some(opens.files().get(*s)?.path)).collect();
    paths.sort_unstable();
    paths.dedup();
    pane.of = paths.len();
    pane.rows = (0..pane.group_files.len()).map(Row::FileOfProgram).collect();
    pane.related.show_members(members_in_order(opens, &row.group));
    pane.in_related &= !pane.related.rows.is_empty();
    pane.programs = vec![row];
}
