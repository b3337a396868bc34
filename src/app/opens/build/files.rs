//! Paths, of all processes; and the files of one process.

use super::common::Commonness;
use super::under::File;
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::Row;
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::field::opens::Measures;
use crate::model::opens::Path;
use crate::model::slab::Slot;

/// The files of one process that match: those that are common after the others.
pub(super) fn files_of(
    choose: &Choose<'_>,
    common: &Commonness<'_>,
    files: &[Slot],
    sort: OpensSort,
    reverse: bool,
) -> Vec<(Slot, File)> {
    let opens = choose.opens;
    let mut items: Vec<_> = files
        .iter()
        .filter_map(|slot| Some((*slot, opens.files().get(*slot)?)))
        .filter(|(_, f)| choose.tally(&f.tally) && choose.file(f))
        .map(|(slot, f)| {
            let rate = opens.rate_of(&f.meter);
            let file = File { tally: f.tally.clone(), rate, common: common.is_common(f.path) };
            Ranked {
                class: common.class(f.path),
                weight: common.weigh(sort, f.path, &f.tally, rate),
                name: opens.paths().get(f.path).map_or(&[][..], |p| &p.bytes),
                id: slot.id(),
                what: (slot, file),
            }
        })
        .collect();
    order(&mut items, sort == OpensSort::Name, reverse);
    items.into_iter().map(|r| r.what).collect()
}

/// The paths `among` all that match.
pub(super) fn paths(pane: &mut OpensPane, choose: &Choose<'_>, among: impl Fn(&Path) -> bool) {
    let opens = choose.opens;
    let sort = pane.sort();
    let some_users = choose.filters().next().is_some();
    let mut items = Vec::new();
    for (slot, path) in opens.paths().iter().filter(|(_, p)| among(p)) {
        let Some(share) = choose.share(path) else { continue };
        items.push(Ranked {
            class: 0,
            weight: sort.weigh(&Measures::of(&share.tally, share.rate)),
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
