//! The opens pane's columns, one table a view.

use std::borrow::Cow;

use super::columns::{Column, chosen};
use super::opens_cells::{
    Ctx, age, dir, error, failed, file, files, found, mean, name_or_file, past, peers, pid, rate,
    result, rx, slowest, thread, total, tx, users,
};
use super::talkers_columns::in_bytes;
use super::text::Line;
use crate::app::App;
use crate::app::opens_pane::{Detail, OpensSort, OpensView, Row};

/// Writes the cell of a row.
pub type Cell = fn(&Ctx<'_>, Row, &mut Line<'_>);

pub type Col = Column<Cell, OpensSort>;

/// The tables as the configuration knows them.
pub static TABLES: [(&str, &[Col]); 8] = [
    ("processes", &PROCESSES),
    ("files", &PATHS),
    ("directories", &DIRS),
    ("failures", &FAILS),
    ("live", &LIVE),
    ("files_of_process", &USES),
    ("processes_of_file", &USERS),
    ("files_of_failure", &FAILED),
];

/// The columns of the view that is shown: those chosen, and of them those that have something to
/// show, since not always opens are timed.
pub fn columns(app: &App) -> Cow<'static, [Col]> {
    let table: &'static [Col] = match (app.opens_pane.inside(), app.opens_pane.view) {
        (Some(Detail::Process(_)), _) => &USES,
        (Some(Detail::Path(_)), _) => &USERS,
        (Some(Detail::Directory(_) | Detail::Address(_) | Detail::Timeline(_)), _)
        | (None, OpensView::Files) => &PATHS,
        (Some(Detail::Failures(_)), _) => &FAILED,
        (None, OpensView::Processes) => &PROCESSES,
        (None, OpensView::Directories) => &DIRS,
        (None, OpensView::Failures) => &FAILS,
        (None, OpensView::Live) => &LIVE,
    };
    let timed = |c: &Col| [MEAN.header, MAX.header, TOOK.header].contains(&c.header);
    let name = TABLES.iter().find(|t| std::ptr::eq(t.1, table)).map_or("", |t| t.0);
    let names = app.columns.get(name);
    let wire = |c: &Col| [RX.header, TX.header, PEERS.header].contains(&c.header);
    let (is_timed, net) = (app.opens_pane.timed, app.opens_pane.net);
    let says = |c: &&Col| (is_timed || !timed(c)) && (net || !wire(c));
    let bytes = app.screen.units.bytes && net;
    if names.is_none() && table.iter().all(|c| says(&c)) && !bytes {
        return Cow::Borrowed(table);
    }
    let shown: Vec<Col> = table.iter().filter(says).copied().collect();
    let mut columns = chosen(&shown, names);
    if bytes {
        for column in &mut columns {
            column.header = in_bytes(column.header);
        }
    }
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

/// How long opens took, and how long one did.
const MEAN: Col = col("MEAN", (6, 7), true, 4, Some(S::Latency), mean);
const MAX: Col = col("MAX", (6, 7), true, 4, None, slowest);
const TOOK: Col = col("TOOK", (6, 7), true, 2, None, mean);

/// What the process carries, in the last interval.
const RX: Col = col("RX b/s", (7, 8), true, 3, Some(S::Rx), rx);
const TX: Col = col("TX b/s", (7, 8), true, 3, Some(S::Tx), tx);
const PEERS: Col = col("PEERS", (6, 6), true, 6, Some(S::Peers), peers);

static PROCESSES: [Col; 11] = [
    PID,
    col("PROCESS", (18, 72), false, 0, Some(S::Name), name_or_file),
    RATE,
    FAIL,
    TOTAL,
    MEAN,
    MAX,
    RX,
    TX,
    PEERS,
    col("LAST 60s", (11, 30), false, 5, Some(S::Age), past),
];

static USES: [Col; 8] = [
    col("FILE", (20, 120), false, 0, Some(S::Name), file),
    RATE,
    FAIL,
    TOTAL,
    MEAN,
    MAX,
    RESULT,
    AGE,
];

static PATHS: [Col; 9] = [
    col("FILE", (20, 120), false, 0, Some(S::Name), file),
    RATE,
    FAIL,
    TOTAL,
    MEAN,
    MAX,
    col("BY", (4, 4), true, 6, None, users),
    RESULT,
    AGE,
];

static USERS: [Col; 9] = [
    PID,
    col("PROCESS", (12, 72), false, 0, Some(S::Name), name_or_file),
    RATE,
    FAIL,
    TOTAL,
    MEAN,
    MAX,
    RESULT,
    AGE,
];

static DIRS: [Col; 8] = [
    col("DIRECTORY", (12, 120), false, 0, Some(S::Name), dir),
    col("FILES", (6, 7), true, 5, None, files),
    RATE,
    FAIL,
    TOTAL,
    MEAN,
    MAX,
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

static LIVE: [Col; 6] = [
    AGE,
    PID,
    col("THREAD", (8, 15), false, 3, None, thread),
    col("RESULT", (7, 12), false, 0, None, result),
    TOOK,
    col("FILE", (20, 160), false, 0, None, file),
];
