//! The rows of the opens pane, by what they stand for, and the figures that they need besides the
//! tables.

use std::net::IpAddr;

use crate::model::open::Comm;
use crate::model::opens::{Latency, Tally};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// What a detail view is about.
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
    /// The timeline of a process.
    Timeline(ProcessKey),
}

/// Failures with the same process name, errno and directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailGroup {
    pub name: Comm,
    pub errno: i32,
    pub dir: Box<[u8]>,
    /// Levels of the directory.
    pub depth: usize,
}

/// One row, by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Process(Slot),
    /// A file under its process.
    FileUnderProcess(Slot),
    /// A file of the open process.
    FileOfProcess(Slot),
    /// A path, of all processes that use it.
    Path(Slot),
    /// A process that uses the open path.
    ProcessOfFile(Slot),
    /// An index of [`OpensPane::dirs`](super::OpensPane::dirs).
    Dir(usize),
    /// An index of [`OpensPane::fails`](super::OpensPane::fails).
    FailureGroup(usize),
    /// One failure of the open group.
    Failure(Slot),
    /// The number of an open in the live feed.
    Live(u64),
}

/// The opens of a path by processes that match the filter.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub tally: Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// What the last of these opens returned.
    pub last_ret: i32,
    pub users: usize,
}

/// The opens below one directory.
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

/// Failures of processes of one name, with one errno, below one directory.
#[derive(Clone, Debug)]
pub struct FailRow {
    pub name: Comm,
    /// The process that failed last, and the number of processes.
    pub process: Slot,
    pub processes: usize,
    pub errno: i32,
    pub dir: Box<[u8]>,
    /// The path that was tried last, and the number of files.
    pub path: Slot,
    pub files: u64,
    /// Files of the same name that were opened later, and the path of the last of them.
    pub found: u64,
    pub found_at: Option<(Mono, Slot)>,
    pub count: u64,
    pub rate: f64,
    pub last: Mono,
}

/// Summary of the open process, largest first.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Failures by errno.
    pub errnos: Vec<(i32, u64)>,
    /// Opens by directory.
    pub dirs: Vec<(Box<[u8]>, u64)>,
}
