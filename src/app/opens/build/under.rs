//! The files under a process or a program: those that matter most, and one row for the common ones.

use crate::app::list::RowId;
use crate::app::opens::OpensPane;
use crate::app::opens::row::{CommonRow, Row};
use crate::model::opens::Tally;

/// Numbers of rows under each program, process or unit that the room decides on, the most first.
const STEPS: [usize; 3] = [5, 3, 2];

/// Rows under one that the user unfolds, at least.
const UNFOLDED: usize = 10;

/// Rows under each of `busy` rows on a screen of `room` lines, `before` so far: as many as leave all busy
/// rows, which take `own` lines themselves, on the screen. 0: one file in the row itself. More need some
/// lines to spare, so that rows do not jump.
pub(super) fn auto_under(busy: usize, own: usize, room: usize, before: usize) -> usize {
    let fits = |under: &usize| {
        let lines = busy.saturating_mul(under + own);
        let spare = if *under > before { room / 4 } else { 0 };
        lines.saturating_add(spare) <= room
    };
    STEPS.into_iter().find(fits).unwrap_or(0)
}

/// Rows under the row `id`: as the user folded it, else `under` of them where that was chosen, and under busy
/// rows that are on the first screen.
pub(super) fn rows_under(
    pane: &OpensPane,
    id: RowId,
    under: usize,
    is_busy: bool,
    room: usize,
) -> usize {
    match pane.folds.get(&id) {
        Some(true) => under.max(UNFOLDED),
        Some(false) => 0,
        None if pane.under.is_some() || is_busy && pane.rows.len() < room => under,
        None => 0,
    }
}

/// Lines of a row with files under it: its own, and that of its common files.
pub(super) const WITH_COMMON: usize = 2;

/// Puts files under the row `under`: `most` of those that are not common, then one row for the common
/// ones, which shows them when it is open. `row` makes the row of a file.
pub(super) fn put_files<T>(
    pane: &mut OpensPane,
    under: RowId,
    files: Vec<(T, File)>,
    most: usize,
    mut row: impl FnMut(&mut OpensPane, T) -> Row,
) {
    let (common, other): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, f)| f.common);
    for (file, _) in other.into_iter().take(most) {
        let row = row(pane, file);
        pane.rows.push(row);
    }
    if common.is_empty() {
        return;
    }
    let mut sum = CommonRow { under, files: 0, tally: Tally::default(), rate: 0.0 };
    for (_, file) in &common {
        match sum.files {
            0 => sum.tally = file.tally.clone(),
            _ => sum.tally.merge(&file.tally),
        }
        sum.files += 1;
        sum.rate += file.rate;
    }
    pane.commons.push(sum);
    let at = Row::Common(pane.commons.len() - 1);
    pane.rows.push(at);
    if pane.folds.get(&pane.id(at)) == Some(&true) {
        for (file, _) in common {
            let row = row(pane, file);
            pane.rows.push(row);
        }
    }
}

/// The figures of a file under a row.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) tally: Tally,
    pub(super) rate: f64,
    pub(super) common: bool,
}
