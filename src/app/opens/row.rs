//! The rows of the opens pane, by their subject, and the figures that they need in addition to the
//! tables.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::app::list::RowId;
use crate::model::conn::Carried;
use crate::model::container::ContainerName;
use crate::model::field::opens::Traffic;
use crate::model::file_io::IoTally;
use crate::model::io_history::Counting;
use crate::model::open::Comm;
use crate::model::opens::{Group, GroupKey, Latency, Opens, Place, Tally, sum_of};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// A row that opened something in so many seconds is busy.
pub const BUSY_SECONDS: usize = 10;

/// The opens of a group that the filters select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All of them.
    Whole,
    /// Opens of some of its processes.
    Members,
    /// Opens of some of its files.
    Files,
}

/// The subject of a detail view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The programs of a service or container.
    Unit(Place),
    /// The files and the processes of a program.
    Program(GroupKey),
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
    /// The timeline of a file.
    FileTimeline(Slot),
}

impl Detail {
    /// Whether it has related rows alone, and none of its own.
    pub fn is_alone(&self) -> bool {
        self.is_timeline() || matches!(self, Self::Address(_))
    }

    /// Whether it is a timeline.
    pub fn is_timeline(&self) -> bool {
        matches!(self, Self::Timeline(_) | Self::FileTimeline(_))
    }
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

/// One row, by its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// An index of [`OpensPane::programs`](super::OpensPane::programs).
    Program(usize),
    /// An index of [`OpensPane::group_files`](super::OpensPane::group_files): a file under its program.
    FileUnderProgram(usize),
    /// An index of [`OpensPane::group_files`](super::OpensPane::group_files): a file of the open program.
    FileOfProgram(usize),
    /// A process under its program.
    ProcessUnderProgram(Slot),
    /// An index of [`OpensPane::units`](super::OpensPane::units).
    Unit(usize),
    /// An index of [`OpensPane::programs`](super::OpensPane::programs): a program under its unit.
    ProgramUnderUnit(usize),
    /// An index of [`OpensPane::commons`](super::OpensPane::commons).
    Common(usize),
    /// The programs that ended and opened nothing in the last minute: [`OpensPane::ended`](super::OpensPane::ended).
    Ended,
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
    /// The number of a change of a file.
    Change(u64),
    /// The number of an open in the live feed.
    Live(u64),
}

/// A program, as far as the filters select it.
#[derive(Clone, Debug)]
pub struct ProgramRow {
    /// Its members are those that match.
    pub group: Group,
    /// Identifies the row.
    pub id: u64,
    pub counted: Counted,
    pub tally: Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// Opens in the last ten seconds; `None` where only some files match.
    pub recent: Option<u64>,
    pub traffic: Option<Traffic>,
    /// Processes that have not ended.
    pub living: usize,
    /// The process, if there was never another one.
    pub single: Option<Slot>,
    /// Different files.
    pub files: usize,
    /// All of them are common, and none is shown below the row.
    pub all_common: bool,
    /// The file that matters most, for a row without files below it.
    pub top: Option<GroupFile>,
}

impl ProgramRow {
    /// Whether it opened something in the last seconds.
    pub fn is_busy(&self) -> bool {
        self.recent.map_or(self.rate > 0.0, |n| n > 0)
    }

    /// Whether it opened, sent or received something in the last interval.
    pub fn is_active(&self) -> bool {
        is_active(self.rate, self.traffic.map(|traffic| traffic.delta))
    }

    /// Opens, or bytes, in each of the last `n` whole seconds, the oldest first; nothing where only some files
    /// match, since a program's use of a file has no history.
    pub fn past(&self, of: Counting, opens: &Opens, now: Mono, n: usize) -> Vec<u64> {
        let members = || self.group.members.iter().filter_map(|s| opens.processes().get(*s));
        match self.counted {
            Counted::Whole => opens.past_of_group(&self.group, of, now, n),
            Counted::Members => sum_of(members().filter_map(|p| p.past(of)), now, n),
            Counted::Files => Vec::new(),
        }
    }
}

/// A service or container, as far as the filters select its programs.
#[derive(Clone, Debug)]
pub struct UnitRow {
    pub place: Place,
    /// The names of the container, where they are known.
    pub container: Option<Arc<ContainerName>>,
    /// Identifies the row.
    pub id: u64,
    /// Indexes of its programs in [`OpensPane::programs`](super::OpensPane::programs), in their order.
    pub programs: Vec<usize>,
    pub tally: Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// Opens in the last ten seconds; `None` where only some files match.
    pub recent: Option<u64>,
    pub traffic: Option<Traffic>,
    /// Processes that have not ended.
    pub living: usize,
    /// How many evicted programs this stands for; 0: it is a unit.
    pub evicted: u64,
}

impl UnitRow {
    /// The unit of a program, without programs.
    pub(super) fn new(group: &Group) -> Self {
        Self {
            place: group.key.place.clone(),
            container: group.container.clone(),
            id: id_of_place(&group.key.place),
            programs: Vec::new(),
            tally: Tally::default(),
            rate: 0.0,
            recent: Some(0),
            traffic: None,
            living: 0,
            evicted: 0,
        }
    }

    /// The name that is shown.
    pub fn name(&self) -> Cow<'_, [u8]> {
        label_of(&self.place, self.container.as_deref())
    }

    /// Adds the counts of a program, which has this index.
    pub(super) fn add(&mut self, at: usize, program: &ProgramRow) {
        let own = || (std::mem::take(&mut self.tally), self.rate);
        let mut sum = (!self.programs.is_empty()).then(own);
        add(&mut sum, &program.tally, program.rate);
        (self.tally, self.rate) = sum.unwrap_or_default();
        self.recent = self.recent.zip(program.recent).map(|(sum, n)| sum.saturating_add(n));
        if let Some(traffic) = &program.traffic {
            self.traffic.get_or_insert_default().merge(traffic);
        }
        self.living += program.living;
        self.evicted = self.evicted.saturating_add(program.group.evicted);
        self.programs.push(at);
    }

    /// Opens, or bytes, in each of the last `n` whole seconds, the oldest first; nothing where only some files
    /// match.
    pub fn past(
        &self,
        of: Counting,
        programs: &[ProgramRow],
        opens: &Opens,
        now: Mono,
        n: usize,
    ) -> Vec<u64> {
        let mut sums: Vec<u64> = Vec::new();
        for program in self.programs.iter().filter_map(|at| programs.get(*at)) {
            let past = program.past(of, opens, now, n);
            sums.resize(sums.len().max(past.len()), 0);
            sums.iter_mut().zip(past).for_each(|(sum, n)| *sum = sum.saturating_add(n));
        }
        sums
    }

    /// Whether it opened something in the last seconds.
    pub fn is_busy(&self) -> bool {
        self.recent.map_or(self.rate > 0.0, |n| n > 0)
    }

    /// Whether it opened, sent or received something in the last interval.
    pub fn is_active(&self) -> bool {
        is_active(self.rate, self.traffic.map(|traffic| traffic.delta))
    }
}

/// Whether there were opens, or bytes sent or received, in the last interval.
pub fn is_active(rate: f64, delta: Option<Carried>) -> bool {
    rate > 0.0 || delta.is_some_and(|delta| delta.bytes() > 0)
}

/// The name of a unit; of a container the names that its manager gave it, else what its cgroup says.
pub fn label_of<'a>(place: &'a Place, container: Option<&ContainerName>) -> Cow<'a, [u8]> {
    match (container, place.unit(), place) {
        (Some(names), _, _) => names.label().into_bytes().into(),
        (None, Some(unit), _) => unit.name.into(),
        (None, None, Place::Unknown(None)) => b"no cgroup"[..].into(),
        (None, None, _) => b"unknown cgroup"[..].into(),
    }
}

/// Identifies a row by unit while it is in the table.
pub(super) fn id_of_place(place: &Place) -> u64 {
    match place {
        Place::Unit(path) => fingerprint(path, 0),
        Place::Unknown(id) => fingerprint(&id.unwrap_or_default().to_le_bytes(), 1),
    }
}

/// Identifies a row by program while it is in the table.
pub(in crate::app) fn id_of(key: &GroupKey) -> u64 {
    fingerprint(&key.name.0, id_of_place(&key.place))
}

/// FNV-1a: the same in each run.
pub(in crate::app) fn fingerprint(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A file of a program's processes.
#[derive(Clone, Debug)]
pub struct GroupFile {
    pub path: Slot,
    pub tally: Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// The result of the last of these opens.
    pub last_ret: i32,
    /// Nearly every program opens it.
    pub common: bool,
    /// The [id](ProgramRow::id) of the row above.
    pub program: u64,
}

/// The files of a program or process that nearly every program opens.
#[derive(Clone, Debug)]
pub struct CommonRow {
    /// The row above the files.
    pub under: RowId,
    pub files: usize,
    pub tally: Tally,
    pub rate: f64,
}

/// Programs that have ended and opened nothing in the last minute.
#[derive(Clone, Debug, Default)]
pub struct EndedRow {
    pub programs: usize,
    pub tally: Tally,
}

/// The opens of a path by processes that match the filter.
#[derive(Clone, Debug)]
pub struct Share {
    pub tally: Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// The result of the last of these opens.
    pub last_ret: i32,
    pub users: usize,
}

/// The opens below one directory.
#[derive(Clone, Debug)]
pub struct DirRow {
    pub path: Box<[u8]>,
    /// Different files, at most where `files_evicted`: see [`Path::evicted`](crate::model::opens::Path::evicted).
    pub files: u64,
    pub files_evicted: bool,
    pub opens: u64,
    pub failed: u64,
    pub rate: f64,
    pub last: Mono,
    pub latency: Latency,
    pub io: IoTally,
}

/// Failures of processes of one name, with one errno, below one directory.
#[derive(Clone, Debug)]
pub struct FailRow {
    pub name: Comm,
    /// Parents of the processes, as far as their names are known; those of the last failures.
    pub parents: Vec<Comm>,
    /// The process that failed last, and the number of processes.
    pub process: Slot,
    pub processes: usize,
    pub errno: i32,
    pub dir: Box<[u8]>,
    /// The path that was tried last, and the number of different files, at most where `files_evicted`.
    pub path: Slot,
    pub files: u64,
    pub files_evicted: bool,
    /// Pairs of a process and a path that it failed to open.
    pub tried: u64,
    /// How many of these led to a file of the same name that was opened later, and the path of the last, as far
    /// as it is not evicted.
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

/// Adds the counts of one part to a sum. A part in which nothing was counted has no times.
pub(super) fn add(sum: &mut Option<(Tally, f64)>, tally: &Tally, rate: f64) {
    let Some((all, of_all)) = sum else {
        *sum = Some((tally.clone(), rate));
        return;
    };
    *of_all += rate;
    match (all.is_empty(), tally.is_empty()) {
        (_, true) => {}
        (true, _) => *all = tally.clone(),
        _ => all.merge(tally),
    }
}
