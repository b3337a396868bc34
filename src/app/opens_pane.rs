//! The opens pane's state: which view, which order, which rows.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::list::{List, RowId};
use super::related::Related;
use crate::model::conn::Carried;
use crate::model::field::Need;
use crate::model::field::opens::OpensTable;
use crate::model::open::Comm;
use crate::model::opens::{Latency, Tally};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

pub use crate::model::field::opens::{OpensSort, OpensView};

/// What `Enter` went into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The files of a process.
    Process(Slot),
    /// The processes that use a file.
    Path(Slot),
    /// The files below a directory.
    Directory(Box<[u8]>),
    /// Failures of one kind.
    Failures(FailGroup),
    /// The processes behind an address that is not among the talkers.
    Address(IpAddr),
    /// What a process did, one thing after the other.
    Timeline(ProcessKey),
}

/// What failures have in common that one row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailGroup {
    pub name: Comm,
    pub errno: i32,
    pub dir: Box<[u8]>,
    /// The levels of the directory.
    pub depth: usize,
}

/// One row, by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Process(Slot),
    /// A file under its process.
    FileUnderProcess(Slot),
    /// A file of the process that is looked into.
    FileOfProcess(Slot),
    /// A path, whoever uses it.
    Path(Slot),
    /// A process that uses the path that is looked into.
    ProcessOfFile(Slot),
    /// A place among [`OpensPane::dirs`].
    Dir(usize),
    /// A place among [`OpensPane::fails`].
    FailureGroup(usize),
    /// One failure of the group that is looked into.
    Failure(Slot),
    /// The number of an open in the live feed.
    Live(u64),
}

/// What a path's users did that the filter lets through.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub tally: Tally,
    /// Opens a second in the last interval.
    pub rate: f64,
    /// Of the last of these opens.
    pub last_ret: i32,
    pub users: usize,
}

/// What is below one directory.
#[derive(Clone, Debug)]
pub struct DirRow {
    pub path: Box<[u8]>,
    pub files: u64,
    pub opens: u64,
    pub failed: u64,
    pub rate: f64,
    pub last: Mono,
    pub latency: Latency,
}

/// Failures of processes of one name, for one reason, below one directory.
#[derive(Clone, Debug)]
pub struct FailRow {
    pub name: Comm,
    /// The process that failed last, and how many there were.
    pub process: Slot,
    pub processes: usize,
    pub errno: i32,
    pub dir: Box<[u8]>,
    /// What was tried last, and how many files there were.
    pub path: Slot,
    pub files: u64,
    /// How many of the files were found in the end, and where the last of them was.
    pub found: u64,
    pub found_at: Option<(Mono, Slot)>,
    pub count: u64,
    pub rate: f64,
    pub last: Mono,
}

/// What else is told of the process that is looked into, the most first.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Its failures by errno.
    pub errnos: Vec<(i32, u64)>,
    /// Its opens by directory.
    pub dirs: Vec<(Box<[u8]>, u64)>,
}

/// How far in, and where the cursor was outside.
#[derive(Clone, Debug)]
pub struct Crumb {
    pub inside: Detail,
    pub outside: List,
    /// The same of what belonged to what was outside.
    pub related: List,
    pub in_ties: bool,
    /// The talker from which it was gone into, in the other pane.
    pub via: Option<IpAddr>,
}

/// The state of the pane.
#[derive(Debug)]
pub struct OpensPane {
    pub view: OpensView,
    pub crumbs: Vec<Crumb>,
    pub sort: OpensSort,
    pub reverse: bool,
    pub failed_only: bool,
    /// Directory levels.
    pub depth: usize,
    /// Files shown under each process; by the room there is when nobody said.
    pub under: Option<usize>,
    /// Processes whose files were shown or hidden one by one.
    pub folds: HashMap<Slot, bool>,
    pub list: List,
    pub rows: Vec<Row>,
    pub dirs: Vec<DirRow>,
    pub fails: Vec<FailRow>,
    /// Of the paths that are shown, where a filter chooses among their users.
    pub shares: HashMap<Slot, Share>,
    /// Where the failures that are shown were found in the end: which path.
    pub found: HashMap<Slot, Slot>,
    pub about: About,
    /// Opens are timed.
    pub timed: bool,
    /// What processes carry is known.
    pub net: bool,
    /// In the last interval: what all sockets carried, and what of it is no process's.
    pub carried: Carried,
    pub nobodys: Carried,
    /// Whom what is looked into talks to.
    pub related: Related,
    /// The cursor is among those.
    pub in_ties: bool,
    /// Of how many the rows are what the filter let through.
    pub of: usize,
    pub matched: usize,
    /// The most opens of one process in one of the last seconds: graphs are drawn against it.
    pub most: u64,
}

impl Default for OpensPane {
    fn default() -> Self {
        Self {
            view: OpensView::default(),
            crumbs: Vec::new(),
            sort: OpensSort::default(),
            reverse: false,
            failed_only: false,
            depth: 3,
            under: None,
            folds: HashMap::new(),
            list: List::default(),
            rows: Vec::new(),
            dirs: Vec::new(),
            fails: Vec::new(),
            shares: HashMap::new(),
            found: HashMap::new(),
            about: About::default(),
            timed: false,
            net: false,
            carried: Carried::default(),
            nobodys: Carried::default(),
            related: Related::default(),
            in_ties: false,
            of: 0,
            matched: 0,
            most: 0,
        }
    }
}

impl OpensPane {
    /// What is looked into.
    pub fn inside(&self) -> Option<&Detail> {
        self.crumbs.last().map(|c| &c.inside)
    }

    /// The table that is shown.
    pub fn table(&self) -> OpensTable {
        match self.inside() {
            None => self.view.table(),
            Some(Detail::Process(_)) => OpensTable::FilesOfProcess,
            Some(Detail::Path(_)) => OpensTable::ProcessesOfFile,
            Some(Detail::Failures(_)) => OpensTable::FilesOfFailure,
            Some(Detail::Directory(_) | Detail::Address(_) | Detail::Timeline(_)) => {
                OpensTable::Files
            }
        }
    }

    /// Whether there is data for a column; other needs are not about this pane.
    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Latency => self.timed,
            Need::Connections => self.net,
            _ => true,
        }
    }

    /// The orders that this view offers, the one to begin with first.
    pub fn sorts(&self) -> Vec<OpensSort> {
        self.table().sorts(|need| self.has(need))
    }

    /// The order in effect: the one chosen, if this view offers it.
    pub fn sort(&self) -> OpensSort {
        let sorts = self.sorts();
        if sorts.contains(&self.sort) {
            return self.sort;
        }
        sorts.first().copied().unwrap_or_default()
    }

    /// The next order.
    pub fn next_sort(&mut self) {
        let sorts = self.sorts();
        let at = sorts.iter().position(|s| *s == self.sort()).unwrap_or(0);
        self.sort = sorts.iter().cycle().nth(at + 1).copied().unwrap_or_default();
        self.reverse = false;
    }

    /// Failed opens alone, or all again. The most failures come first then, unless somebody
    /// chose another order.
    pub fn turn_failed_only(&mut self) {
        self.failed_only = !self.failed_only;
        match (self.failed_only, self.sort) {
            (true, OpensSort::Rate) => self.sort = OpensSort::Failed,
            (false, OpensSort::Failed) => self.sort = OpensSort::Rate,
            _ => {}
        }
    }

    /// Orders by `sort`; once more turns it round.
    pub fn sort_by(&mut self, sort: OpensSort) {
        self.reverse = self.sort() == sort && !self.reverse;
        self.sort = sort;
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<Row> {
        self.rows.get(self.list.cursor).copied()
    }

    /// What names `row` as long as it is held.
    pub fn id(&self, row: Row) -> RowId {
        match row {
            Row::Process(s) => (0, s.id()),
            Row::FileUnderProcess(s) => (1, s.id()),
            Row::FileOfProcess(s) => (3, s.id()),
            Row::Path(s) => (4, s.id()),
            Row::ProcessOfFile(s) => (5, s.id()),
            Row::Dir(i) => (6, self.dirs.get(i).map_or(0, |d| fingerprint(&d.path, 0))),
            Row::FailureGroup(i) => {
                let of = |f: &FailRow| {
                    let errno = u64::from(f.errno.unsigned_abs());
                    fingerprint(&f.dir, fingerprint(&f.name.0, errno))
                };
                (7, self.fails.get(i).map_or(0, of))
            }
            Row::Failure(s) => (9, s.id()),
            Row::Live(n) => (8, n),
        }
    }

    /// Takes the new rows in: a followed row keeps the cursor, which stays on a row.
    pub fn settle(&mut self, height: usize) {
        if let Some(id) = self.list.follow
            && let Some(at) = self.rows.iter().position(|r| self.id(*r) == id)
        {
            // It stays on the same line, too.
            let line = self.list.cursor.saturating_sub(self.list.offset);
            self.list.cursor = at;
            self.list.offset = at.saturating_sub(line);
        }
        self.list.clamp(self.rows.len());
        self.list.scroll(self.rows.len(), height);
    }
}

/// FNV-1a: steady from run to run.
fn fingerprint(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
