//! The opens pane's columns, one table a view.

use std::borrow::Cow;

use super::columns::Column;
use super::opens_cells::{
    Ctx, age, dir, error, failed, file, files, found, mean, name_or_file, past, pid, rate, result,
    slowest, thread, total, users,
};
use super::text::Line;
use crate::app::App;
use crate::app::opens_pane::{Inside, OpensSort, OpensView, Row};

/// Writes the cell of a row.
pub type Cell = fn(&Ctx<'_>, Row, &mut Line<'_>);

pub type Col = Column<Cell, OpensSort>;

/// The columns of the view that is shown; where opens are timed, how long they took as well.
pub fn columns(app: &App) -> Cow<'static, [Col]> {
    let columns: &[Col] = match (app.opens_pane.inside(), app.opens_pane.view) {
        (Some(Inside::Process(_)), _) => &USES,
        (Some(Inside::Path(_)), _) => &USERS,
        (Some(Inside::Directory(_)), _) | (None, OpensView::Files) => &PATHS,
        (Some(Inside::Failures(_)), _) => return Cow::Borrowed(&FAILED),
        (None, OpensView::Processes) => &PROCESSES,
        (None, OpensView::Directories) => &DIRS,
        (None, OpensView::Failures) => return Cow::Borrowed(&FAILS),
        (None, OpensView::Live) => &LIVE,
    };
    if !app.opens_pane.timed {
        return Cow::Borrowed(columns);
    }
    let at = columns.iter().position(|c| c.header == TOTAL.header);
    let (at, times) = match at {
        Some(at) => (at + 1, &TIMES[..]),
        None => (columns.len().saturating_sub(1), &TIME[..]),
    };
    let mut columns = columns.to_vec();
    columns.splice(at..at, times.iter().copied());
    Cow::Owned(columns)
}

const fn col(
    header: &'static str,
    (min, max): (u16, u16),
    right: bool,
    priority: u8,
    sort: Option<OpensSort>,
    cell: Cell,
) -> Col {
    Column { header, min, max, right, priority, sort, cell }
}

use OpensSort as S;

const PID: Col = col("PID", (7, 7), true, 2, Some(S::Pid), pid);
const RATE: Col = col("OPENS/S", (8, 9), true, 0, Some(S::Rate), rate);
const FAIL: Col = col("FAIL", (5, 6), true, 3, Some(S::Failed), failed);
const TOTAL: Col = col("TOTAL", (7, 10), true, 4, Some(S::Total), total);
const AGE: Col = col("AGE", (5, 5), true, 5, Some(S::Age), age);
const RESULT: Col = col("RESULT", (7, 12), false, 2, None, result);

/// How long opens took.
const TIMES: [Col; 2] = [
    col("MEAN", (6, 7), true, 4, Some(S::Latency), mean),
    col("MAX", (6, 7), true, 4, None, slowest),
];

/// How long one open took.
const TIME: [Col; 1] = [col("TOOK", (6, 7), true, 2, None, mean)];

static PROCESSES: [Col; 6] = [
    PID,
    col("PROCESS", (18, 72), false, 0, Some(S::Name), name_or_file),
    RATE,
    FAIL,
    TOTAL,
    col("LAST 60s", (11, 30), false, 5, Some(S::Age), past),
];

static USES: [Col; 6] =
    [col("FILE", (20, 120), false, 0, Some(S::Name), file), RATE, FAIL, TOTAL, RESULT, AGE];

static PATHS: [Col; 7] = [
    col("FILE", (20, 120), false, 0, Some(S::Name), file),
    RATE,
    FAIL,
    TOTAL,
    col("BY", (4, 4), true, 6, None, users),
    RESULT,
    AGE,
];

static USERS: [Col; 7] = [
    PID,
    col("PROCESS", (12, 72), false, 0, Some(S::Name), name_or_file),
    RATE,
    FAIL,
    TOTAL,
    RESULT,
    AGE,
];

static DIRS: [Col; 6] = [
    col("DIRECTORY", (12, 120), false, 0, Some(S::Name), dir),
    col("FILES", (6, 7), true, 5, None, files),
    RATE,
    FAIL,
    TOTAL,
    AGE,
];

static FAILS: [Col; 9] = [
    col("PID", (7, 7), true, 3, Some(S::Pid), pid),
    col("PROCESS", (9, 15), false, 1, Some(S::Name), name_or_file),
    col("TIMES", (6, 9), true, 1, Some(S::Total), total),
    col("ERROR", (7, 12), false, 1, None, error),
    col("DIRECTORY", (13, 90), false, 0, None, dir),
    col("THEN FOUND", (18, 90), false, 2, None, found),
    col("FAIL/S", (8, 9), true, 3, Some(S::Rate), rate),
    col("FILES", (6, 6), true, 6, None, files),
    AGE,
];

static FAILED: [Col; 5] = [
    col("PID", (7, 7), true, 4, Some(S::Pid), pid),
    col("TIMES", (7, 9), true, 1, Some(S::Total), total),
    col("FILE", (15, 120), false, 0, Some(S::Name), file),
    col("THEN FOUND", (14, 120), false, 0, None, found),
    AGE,
];

static LIVE: [Col; 5] = [
    AGE,
    PID,
    col("THREAD", (8, 15), false, 3, None, thread),
    col("RESULT", (7, 12), false, 0, None, result),
    col("FILE", (20, 160), false, 0, None, file),
];
