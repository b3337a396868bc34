//! Changes of files, one by one.

use crate::app::opens::OpensPane;
use crate::app::opens::filter::Choose;
use crate::app::opens::row::Row;

/// The changes that match, the latest first.
pub(super) fn changes(pane: &mut OpensPane, choose: &Choose<'_>) {
    let shown = choose.changes.iter().filter(|(_, event)| event.at <= choose.now);
    let mut of = 0;
    let matching = shown.inspect(|_| of += 1).filter(|(_, event)| choose.change(event));
    pane.changes.extend(matching.map(|(number, event)| (number, event.clone())));
    pane.of = of;
    let rows = pane.changes.iter().map(|(number, _)| Row::Change(*number));
    if pane.reverse {
        pane.rows.extend(rows);
    } else {
        pane.rows.extend(rows.rev());
    }
}
