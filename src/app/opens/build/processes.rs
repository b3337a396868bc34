//! Processes, with the files that each opens most; and the processes of one file.

use super::common::Commonness;
use super::files::files_of;
use super::under::{WITH_COMMON, auto_under, put_files, rows_under};
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::{Row, Share};
use crate::app::opens::{BUSY_SECONDS, OpensPane, OpensSort};
use crate::model::field::opens::{Measures, OpensTable};
use crate::model::opens::Process;
use crate::model::slab::Slot;

/// Processes, from the first on, that set the scale of the graphs.
const SCALED_BY: usize = 256;

/// All processes that match: those that ended after those that live. While a filter is about files, a
/// process has the counts of the files that match.
pub(super) fn processes(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let opens = choose.opens;
    let sort = pane.sort();
    let by_file = choose.chooses_files();
    let real = opens.processes().iter().filter(|(_, p)| !p.is_stand_in());
    let mut found = Vec::new();
    for (slot, p) in real.filter(|(_, p)| choose.process(p)) {
        let whole = || (p.tally.clone(), opens.rate_of(&p.meter));
        let part = by_file.then(|| choose.part(p)).flatten();
        let (tally, rate) = part.unwrap_or_else(whole);
        found.push((slot, p, tally, rate));
    }
    if by_file {
        let parts = found.iter().map(|(slot, p, tally, rate)| {
            let (last_ret, users) = (0, p.files.len());
            (*slot, Share { tally: tally.clone(), rate: *rate, last_ret, users })
        });
        pane.parts = parts.collect();
    }
    let mut items: Vec<_> = found
        .iter()
        .map(|(slot, p, tally, rate)| {
            let recent = (!by_file).then(|| p.history.recent(choose.now, BUSY_SECONDS));
            let (pid, traffic) = (p.key.tgid, choose.traffic(p));
            let row =
                Measures { pid, recent, traffic, ..Measures::of(tally, *rate).with_io(opens.io()) };
            Ranked {
                class: u8::from(p.ended.is_some()),
                weight: sort.weigh(&row),
                name: p.name.as_bytes(),
                id: u64::from(p.key.tgid) << 32 | slot.id() & 0xffff_ffff,
                what: (*slot, *p),
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    pane.of = opens.process_count();
    pane.matched = items.len();
    // Processes far down the list would hardly change the scale, and there may be thousands.
    let shown = items.iter().take(SCALED_BY).map(|i| i.what.1);
    let last = |p: &Process| p.history.last(choose.now, 59).max().unwrap_or(0);
    pane.most = shown.map(last).max().unwrap_or(0);
    let is_busy = |p: &Process| p.history.recent(choose.now, BUSY_SECONDS) > 0;
    let busy = items.iter().filter(|i| is_busy(i.what.1)).count();
    pane.auto_under = auto_under(busy, WITH_COMMON, room, pane.auto_under);
    let under = pane.under.unwrap_or(pane.auto_under.max(1));
    let common = Commonness::of(opens);
    // Busy processes show their files, as long as they are on the first screen; quiet ones take one
    // line, unless the user asked for more. Where there is too little room, those that opened nothing in
    // the last interval are quiet, too.
    let is_opening = |p: &Process| opens.rate_of(&p.meter) > 0.0;
    let opening_only = pane.auto_under == 0 && items.iter().any(|i| is_opening(i.what.1));
    let is_shown = |p: &Process| is_busy(p) && (!opening_only || is_opening(p));
    let of_files = OpensTable::FilesOfProcess.sorts(|need| pane.has(need));
    let by = if of_files.contains(&sort) { sort } else { OpensSort::Rate };
    for item in items {
        let (slot, process) = item.what;
        let id = pane.id(Row::Process(slot));
        let files = rows_under(pane, id, under, is_shown(process), room);
        pane.rows.push(Row::Process(slot));
        if files == 0 || process.files.is_empty() {
            continue;
        }
        let reverse = pane.reverse && by == sort;
        let shown = files_of(choose, &common, &process.files, by, reverse);
        put_files(pane, id, shown, files, |_, slot| Row::FileUnderProcess(slot));
    }
}

/// The processes of one file that match, as uses of the file.
pub(super) fn processes_of(
    choose: &Choose<'_>,
    users: &[Slot],
    sort: OpensSort,
    reverse: bool,
) -> Vec<Slot> {
    let opens = choose.opens;
    let mut items: Vec<_> = users
        .iter()
        .filter_map(|slot| {
            let file = opens.files().get(*slot)?;
            Some((*slot, file, opens.processes().get(file.process)?))
        })
        .filter(|(_, f, p)| choose.tally(&f.tally) && choose.file(f) && choose.who(p))
        .map(|(slot, f, p)| {
            let rate = opens.rate_of(&f.meter);
            let measures = Measures::of(&f.tally, rate).with_io(opens.io());
            Ranked {
                class: 0,
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
