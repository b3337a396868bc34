//! Paths, of all processes; and the files of one process.

use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order};
use crate::app::opens::row::Row;
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::opens::Path;
use crate::model::slab::Slot;

/// The files of one process that match.
pub(super) fn files_of(
    choose: &Choose<'_>,
    files: &[Slot],
    sort: OpensSort,
    reverse: bool,
) -> Vec<Slot> {
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

/// The paths `among` all that match.
pub(super) fn paths(pane: &mut OpensPane, choose: &Choose<'_>, among: impl Fn(&Path) -> bool) {
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
