//! The live feed: the last opens, one by one.

use crate::app::opens::OpensPane;
use crate::app::opens::filter::Choose;
use crate::app::opens::row::Row;
use crate::model::filter::Filter;

/// The last opens that match, the latest first.
pub(super) fn live(pane: &mut OpensPane, choose: &Choose<'_>) {
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
    pane.live.extend(shown);
    let rows = pane.live.iter().map(|l| Row::Live(l.number));
    if pane.reverse {
        pane.rows.extend(rows);
    } else {
        pane.rows.extend(rows.rev());
    }
}
