//! Processes, with the files that each opens most; and the processes of one file.

use super::files::files_of;
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::Row;
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::field::opens::{Measures, OpensTable};
use crate::model::opens::Process;
use crate::model::slab::Slot;

/// Processes, from the first on, that set the scale of the graphs.
const SCALED_BY: usize = 256;

/// A process that opened something in so many seconds shows its files.
const BUSY_SECONDS: usize = 10;

/// All processes that match.
pub(super) fn processes(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let opens = choose.opens;
    let sort = pane.sort();
    let mut items: Vec<_> = opens
        .processes()
        .iter()
        .filter(|(_, p)| !p.is_stand_in() && choose.process(p))
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
    // Processes far down the list would hardly change the scale, and there may be thousands.
    let busiest = items.iter().take(SCALED_BY).map(|i| i.what.1);
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
    // Busy processes show their files, as long as they are on the first screen; quiet ones take one
    // line, unless the user asked for more.
    let of_files = OpensTable::FilesOfProcess.sorts(|need| pane.has(need));
    let mut lines = 0usize;
    for item in items {
        let (slot, process) = item.what;
        pane.rows.push(Row::Process(slot));
        lines += 1;
        let busy = process.history.recent(choose.now, BUSY_SECONDS) > 0;
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
        let shown = files_of(choose, &process.files, by, pane.reverse && by == sort);
        pane.rows.extend(shown.into_iter().take(files).map(Row::FileUnderProcess));
        lines += pane.rows.len() - before;
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
