//! The tables of the opens pane, and the orders of their rows.

use strum::{IntoStaticStr, VariantArray};

use super::{Column, Need, Table, Unit, offered, step};
use crate::model::conn::Carried;
use crate::model::connections::Net;
use crate::model::opens::{IoState, Tally};
use crate::model::quality::Worst;

/// A column of the opens pane.
pub type OpensColumn = Column<OpensField, OpensSort>;

/// The content of a cell of the opens pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpensField {
    Parent,
    FailedPath,
    Program,
    Unit,
    UnitOfRow,
    TopFile,
    Pid,
    Process,
    Thread,
    Rate,
    FailRate,
    Failed,
    Total,
    Times,
    Mean,
    Max,
    Took,
    Rx,
    Tx,
    Peers,
    TopPeer,
    WorstRtt,
    WorstRetransmits,
    Read,
    Written,
    IoP50,
    IoP99,
    IoMax,
    SlowCalls,
    Past,
    File,
    Files,
    Directory,
    Users,
    Result,
    Error,
    FoundLater,
    Op,
    Changed,
    Age,
}

/// The orders of rows, in the sequence in which the key for the next order goes through them. The
/// configuration's `sort` has the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum OpensSort {
    #[default]
    Rate,
    Failed,
    Total,
    Rx,
    Tx,
    Peers,
    Read,
    Written,
    Slow,
    Age,
    Name,
    Pid,
    Latency,
}

/// The values of a row that orders compare.
#[derive(Clone, Copy, Debug)]
pub struct Measures<'a> {
    pub tally: &'a Tally,
    /// Opens per second in the last interval.
    pub rate: f64,
    /// The process that the row belongs to; 0 for rows of many.
    pub pid: u32,
    /// Opens in the last ten seconds, for a row that stands for whole processes.
    pub recent: Option<u64>,
    /// Traffic of these processes, where it is known.
    pub traffic: Option<Traffic>,
    /// Bytes of files read and written in the last interval.
    pub io: (u64, u64),
}

/// Traffic of the processes of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Traffic in the last interval.
    pub delta: Carried,
    pub total: Carried,
    /// Remote addresses; one that several of the processes exchange data with counts for each.
    pub peers: u64,
    /// The worst quality of their living connections.
    pub worst: Worst,
}

impl Traffic {
    /// Adds that of a process.
    pub fn add(&mut self, net: &Net) {
        self.delta += net.delta;
        self.total += net.total;
        self.peers += u64::from(net.peers);
        self.worst = self.worst.max(net.worst);
    }

    /// Adds that of other processes.
    pub fn merge(&mut self, other: &Self) {
        self.delta += other.delta;
        self.total += other.total;
        self.peers += other.peers;
        self.worst = self.worst.max(other.worst);
    }

    /// The traffic of one process.
    pub fn of(net: &Net) -> Self {
        Self { delta: net.delta, total: net.total, peers: net.peers.into(), worst: net.worst }
    }
}

impl<'a> Measures<'a> {
    /// The values of a row that counts opens and has no process.
    pub fn of(tally: &'a Tally, rate: f64) -> Self {
        Self { tally, rate, pid: 0, recent: None, traffic: None, io: (0, 0) }
    }

    /// The same with the bytes of the last interval.
    pub fn with_io(self, io: &IoState) -> Self {
        Self { io: io.delta(&self.tally.io), ..self }
    }

    /// The key by the bytes of the last interval, then by those since the start.
    fn carried(&self, bytes: fn(Carried) -> u64) -> (u64, u64) {
        self.traffic.map_or((0, 0), |t| (step(bytes(t.delta) as f64), bytes(t.total)))
    }
}

impl OpensSort {
    /// The name in the pane's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "opens/s",
            other => other.into(),
        }
    }

    /// The key of the order, the larger first: a number, and a second one among equals. Names are
    /// compared as text, before both.
    pub fn weigh(self, row: &Measures<'_>) -> (u64, u64) {
        let opens = row.tally.opens;
        match self {
            Self::Rate => {
                let recent = row.recent.map(|n| step(n as f64));
                (step(row.rate), recent.unwrap_or(opens))
            }
            Self::Failed => (row.tally.failed, opens),
            Self::Total => (opens, opens),
            Self::Rx => row.carried(|c| c.rx_bytes),
            Self::Tx => row.carried(|c| c.tx_bytes),
            Self::Read => (step(row.io.0 as f64), row.tally.io.total.read_bytes),
            Self::Written => (step(row.io.1 as f64), row.tally.io.total.written_bytes),
            Self::Slow => {
                let times = row.tally.io.times.as_deref();
                times.map_or((0, 0), |times| (times.slow, times.max_ns))
            }
            Self::Peers => row.traffic.map_or((0, 0), |t| (t.peers, t.total.bytes())),
            Self::Age => (row.tally.last.0, opens),
            Self::Name => (0, opens),
            // Small ones first, as with names.
            Self::Pid => (u64::from(u32::MAX - row.pid), opens),
            Self::Latency => (row.tally.latency.mean_ns().unwrap_or(0), opens),
        }
    }
}

/// The tables of the pane; `[columns]` in the configuration has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum OpensTable {
    Programs,
    Processes,
    Units,
    Files,
    Directories,
    Failures,
    Changes,
    Live,
    FilesOfProcess,
    ProcessesOfFile,
    FilesOfFailure,
}

impl OpensTable {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every column of the table, from the left.
    pub fn columns(self) -> &'static [OpensColumn] {
        match self {
            Self::Programs => PROGRAMS,
            Self::Processes => PROCESSES,
            Self::Units => UNITS,
            Self::Files => FILES,
            Self::Directories => DIRECTORIES,
            Self::Failures => FAILURES,
            Self::Changes => CHANGES,
            Self::Live => LIVE,
            Self::FilesOfProcess => FILES_OF_PROCESS,
            Self::ProcessesOfFile => PROCESSES_OF_FILE,
            Self::FilesOfFailure => FILES_OF_FAILURE,
        }
    }

    /// The orders that the table offers, the one to begin with first.
    pub fn sorts(self, has: impl Fn(Need) -> bool) -> Vec<OpensSort> {
        offered(self.columns(), OpensSort::VARIANTS, has)
    }

    /// The name of an order in this table.
    pub fn title(self, sort: OpensSort) -> &'static str {
        let own = self.columns().iter().filter_map(|c| c.sort).find(|(s, _)| *s == sort);
        own.and_then(|(_, title)| title).unwrap_or(sort.title())
    }
}

/// Every table with its columns.
pub fn tables() -> Vec<Table> {
    OpensTable::VARIANTS.iter().map(|t| Table::new(t.name(), t.columns())).collect()
}

use OpensField as F;
use OpensSort as S;

const PID: OpensColumn =
    Column::number(F::Pid, "PID", Unit::Number, super::PID_HELP).sized(7, 7, 2).sorts(S::Pid);

const PROCESS: OpensColumn =
    Column::text(F::Process, "PROCESS", super::PROCESS_HELP).sized(18, 72, 0).sorts(S::Name);

const PROGRAM: OpensColumn = Column::text(
    F::Program,
    "PROGRAM",
    "name of processes, how many there were so far, or the process ID of the only one; below it its files",
)
.sized(25, 72, 0)
.sorts(S::Name);

/// The width of a program's name beside its top file: at least and at most.
pub const BESIDE_FILE: (u16, u16) = (16, 26);

const UNIT: OpensColumn = Column::text(F::Unit, "UNIT", super::UNIT_HELP).sized(10, 26, 3);

const UNIT_OF_ROW: OpensColumn = Column::text(
    F::UnitOfRow,
    "SERVICE OR CONTAINER",
    "service (systemd unit), or container by its name, else its cgroup; below it its programs",
)
.sized(26, 72, 0)
.sorts(S::Name);

const TOP_FILE: OpensColumn = Column::text(
    F::TopFile,
    "TOP FILE",
    "file that the program opens often and few other programs open",
)
.sized(27, 72, 1)
.needs(Need::Inline);

const THREAD: OpensColumn =
    Column::text(F::Thread, "THREAD", "name of the thread that opened").sized(8, 15, 3);

const RATE: OpensColumn = Column::number(F::Rate, "OPENS/S", Unit::PerSecond, super::RATE_HELP)
    .sized(8, 9, 0)
    .sorts(S::Rate);

const FAIL_RATE: OpensColumn = Column::number(
    F::FailRate,
    "FAIL/S",
    Unit::PerSecond,
    "failed opens per second in the last interval",
)
.sized(8, 9, 3)
.sorts_as(S::Rate, "fail/s");

const FAILED: OpensColumn =
    Column::number(F::Failed, "FAIL", Unit::Percent, "share of opens that failed, since the start")
        .sized(5, 6, 3)
        .sorts(S::Failed);

const TOTAL: OpensColumn = Column::number(F::Total, "TOTAL", Unit::Number, super::TOTAL_HELP)
    .sized(7, 10, 4)
    .sorts(S::Total);

const TIMES: OpensColumn =
    Column::number(F::Times, "TIMES", Unit::Number, "how often it failed like this")
        .sized(6, 9, 1)
        .sorts(S::Total);

const MEAN: OpensColumn =
    Column::number(F::Mean, "MEAN", Unit::Time, "mean duration of an open, with --latency")
        .sized(6, 7, 4)
        .sorts(S::Latency)
        .needs(Need::Latency);

const MAX: OpensColumn =
    Column::number(F::Max, "MAX", Unit::Time, "longest duration of an open, with --latency")
        .sized(6, 7, 4)
        .needs(Need::Latency);

const TOOK: OpensColumn =
    Column::number(F::Took, "TOOK", Unit::Time, "duration of this open, with --latency")
        .sized(6, 7, 2)
        .needs(Need::Latency);

const RX: OpensColumn = Column::number(F::Rx, "RX b/s", Unit::BitsPerSecond, super::RX_HELP)
    .sized(7, 8, 3)
    .sorts(S::Rx)
    .in_bytes("RX B/s")
    .needs(Need::Connections);

const TX: OpensColumn = Column::number(F::Tx, "TX b/s", Unit::BitsPerSecond, super::TX_HELP)
    .sized(7, 8, 3)
    .sorts(S::Tx)
    .in_bytes("TX B/s")
    .needs(Need::Connections);

const PEERS: OpensColumn = Column::number(
    F::Peers,
    "PEERS",
    Unit::Number,
    "number of addresses that the process has exchanged data with",
)
.sized(6, 6, 6)
.sorts(S::Peers)
.needs(Need::Connections);

const TOP_PEER: OpensColumn = Column::text(
    F::TopPeer,
    "TOP PEER",
    "address that exchanges the most with it: in the last interval, else since the start",
)
.sized(24, 39, 7)
.needs(Need::Connections);

/// Wide, so that paths have the room on narrow screens.
const WORST_RTT: OpensColumn = Column::number(F::WorstRtt, "RTT", Unit::Time, super::RTT_HELP)
    .sized(10, 10, 9)
    .needs(Need::Connections);

const WORST_RETRANSMITS: OpensColumn =
    Column::number(F::WorstRetransmits, "RETR", Unit::Number, super::RETRANSMITS_HELP)
        .sized(10, 10, 9)
        .needs(Need::Connections);

const READ: OpensColumn = Column::number(F::Read, "READ/s", Unit::BytesPerSecond, super::READ_HELP)
    .sized(7, 8, 2)
    .sorts(S::Read)
    .needs(Need::Io);

const WRITTEN: OpensColumn =
    Column::number(F::Written, "WRITE/s", Unit::BytesPerSecond, super::WRITTEN_HELP)
        .sized(8, 8, 2)
        .sorts(S::Written)
        .needs(Need::Io);

const IO_P50: OpensColumn = Column::number(
    F::IoP50,
    "IO P50",
    Unit::Time,
    "duration that half of the calls on files did not exceed, with --slow: at most; the true one is at most a third \
     below, of 1.0µs any shorter one",
)
.sized(8, 8, 5)
.needs(Need::Slow);

const IO_P99: OpensColumn =
    Column::number(F::IoP99, "IO P99", Unit::Time, "likewise of 99 % of the calls, with --slow")
        .sized(8, 8, 3)
        .needs(Need::Slow);

const IO_MAX: OpensColumn = Column::number(
    F::IoMax,
    "IO MAX",
    Unit::Time,
    "longest duration of a call on files, with --slow; below kernel 5.17 a shorter one where two return in the same \
     instant, under a filter also of what a process did as another program",
)
.sized(8, 8, 4)
.needs(Need::Slow);

const SLOW: OpensColumn = Column::number(
    F::SlowCalls,
    "SLOW",
    Unit::Number,
    "calls on files that took the time of --slow or longer, since the start",
)
.sized(6, 9, 3)
.sorts(S::Slow)
.needs(Need::Slow);

const PAST: OpensColumn =
    Column::text(F::Past, super::PAST, super::PAST_HELP).sized(11, 30, 5).sorts(S::Age);

const FILE: OpensColumn = Column::text(
    F::File,
    "FILE",
    "absolute path, in whichever container; the requested path where no other is known",
)
.sized(20, 120, 0)
.sorts(S::Name);

const FILE_COUNT: OpensColumn =
    Column::number(F::Files, "FILES", Unit::Number, "number of different files").sized(6, 7, 5);

const DIRECTORY: OpensColumn = Column::text(
    F::Directory,
    "DIRECTORY",
    "directory, cut to the number of levels that - and + choose",
)
.sized(12, 120, 0)
.sorts(S::Name);

const USERS: OpensColumn =
    Column::number(F::Users, "PROCS", Unit::Number, "number of processes that open the file")
        .sized(5, 6, 6);

const RESULT: OpensColumn =
    Column::text(F::Result, "RESULT", "what the last open returned: a descriptor or an error")
        .sized(7, 12, 2);

const ERROR: OpensColumn =
    Column::text(F::Error, "ERROR", "error that the opens failed with").sized(7, 12, 1);

const PARENT: OpensColumn =
    Column::text(F::Parent, "PARENT", "parent of the process, its name where that is known")
        .sized(9, 20, 2);

const FAILED_PATH: OpensColumn = Column::text(
    F::FailedPath,
    "PATH",
    "path that could not be opened; of several their directory, cut to the levels that - and + choose",
)
.sized(16, 90, 0);

const FOUND_LATER: OpensColumn = Column::text(
    F::FoundLater,
    "THEN FOUND",
    "file of the same name that the same process opened later",
)
.sized(18, 90, 2)
.needs(Need::AllFailures);

const AGE: OpensColumn =
    Column::number(F::Age, "AGE", Unit::Time, super::AGE_HELP).sized(5, 5, 5).sorts(S::Age);

static PROGRAMS: &[OpensColumn] = &[
    PROGRAM,
    UNIT,
    TOP_FILE,
    RATE,
    READ,
    WRITTEN,
    IO_P50,
    IO_P99,
    IO_MAX,
    SLOW,
    FAILED.sized(5, 6, 2),
    TOTAL.sized(7, 10, 5),
    MEAN,
    MAX,
    RX.sized(7, 8, 4),
    TX.sized(7, 8, 4),
    WORST_RTT,
    WORST_RETRANSMITS,
    TOP_PEER,
    PAST.sized(9, 30, 6),
];

static PROCESSES: &[OpensColumn] = &[
    PID,
    PROCESS,
    RATE,
    READ,
    WRITTEN,
    IO_P50,
    IO_P99,
    IO_MAX,
    SLOW,
    FAILED,
    TOTAL,
    MEAN,
    MAX,
    RX,
    TX,
    WORST_RTT,
    WORST_RETRANSMITS,
    PEERS,
    TOP_PEER,
    PAST,
];

static UNITS: &[OpensColumn] = &[
    UNIT_OF_ROW,
    RATE,
    READ,
    WRITTEN,
    IO_P50,
    IO_P99,
    IO_MAX,
    SLOW,
    FAILED,
    TOTAL.sized(7, 10, 5),
    MEAN,
    MAX,
    RX,
    TX,
    PAST.sized(11, 30, 4),
];

static FILES: &[OpensColumn] = &[
    FILE, RATE, READ, WRITTEN, IO_P50, IO_P99, IO_MAX, SLOW, FAILED, TOTAL, MEAN, MAX, USERS,
    RESULT, AGE,
];

static DIRECTORIES: &[OpensColumn] = &[
    DIRECTORY, FILE_COUNT, RATE, READ, WRITTEN, IO_P50, IO_P99, IO_MAX, SLOW, FAILED, TOTAL, MEAN,
    MAX, AGE,
];

static FAILURES: &[OpensColumn] = &[
    PID.sized(7, 7, 3),
    PROCESS.sized(10, 15, 1),
    PARENT,
    TIMES,
    ERROR,
    FAILED_PATH,
    FOUND_LATER,
    FAIL_RATE.sized(8, 9, 4),
    FILE_COUNT.sized(6, 6, 6),
    AGE,
];

static CHANGES: &[OpensColumn] = &[
    AGE,
    PID.unsorted(),
    THREAD,
    Column::text(
        F::Op,
        "OP",
        "create, unlink, rmdir, rename, link, symlink, mkdir, mknod, truncate, chmod or chown",
    )
    .sized(8, 8, 0),
    Column::text(F::Result, "ERRNO", "error of a change that failed").sized(7, 12, 1),
    Column::text(
        F::Changed,
        "PATHS",
        "absolute path; of rename, link and symlink both; symbolic links in it are not followed",
    )
    .sized(20, 160, 0),
];

static LIVE: &[OpensColumn] =
    &[AGE, PID.unsorted(), THREAD, RESULT.sized(7, 12, 0), TOOK, FILE.sized(20, 160, 0).unsorted()];

static FILES_OF_PROCESS: &[OpensColumn] = &[
    FILE, RATE, READ, WRITTEN, IO_P50, IO_P99, IO_MAX, SLOW, FAILED, TOTAL, MEAN, MAX, RESULT, AGE,
];

static PROCESSES_OF_FILE: &[OpensColumn] = &[
    PID,
    PROCESS.sized(12, 72, 0),
    RATE,
    READ,
    WRITTEN,
    IO_P50,
    IO_P99,
    IO_MAX,
    SLOW,
    FAILED,
    TOTAL,
    MEAN,
    MAX,
    RESULT,
    AGE,
];

static FILES_OF_FAILURE: &[OpensColumn] = &[
    PID.sized(7, 7, 4),
    TIMES.sized(7, 9, 1),
    FILE.sized(15, 120, 0),
    FOUND_LATER.sized(14, 120, 0),
    AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::field::opens_view::OpensView;

    #[test]
    fn each_table_offers_the_orders_of_its_columns() {
        use OpensSort::{
            Age, Failed, Latency, Name, Peers, Pid, Rate, Read, Rx, Slow, Total, Tx, Written,
        };
        let all = |need: Need| !matches!(need, Need::Io | Need::Slow);
        let of = |table: OpensTable| table.sorts(all);
        let processes = [Rate, Failed, Total, Rx, Tx, Peers, Age, Name, Pid, Latency];
        assert_eq!(of(OpensTable::Processes), processes);
        let programs = [Rate, Failed, Total, Rx, Tx, Age, Name, Latency];
        assert_eq!(of(OpensTable::Programs), programs);
        assert_eq!(of(OpensTable::Units), programs);
        let no_connections = |need| !matches!(need, Need::Connections | Need::Io | Need::Slow);
        let some = [Rate, Failed, Total, Age, Name, Pid, Latency];
        assert_eq!(OpensTable::Processes.sorts(no_connections), some);
        assert_eq!(OpensTable::Processes.sorts(|_| false), &some[..6]);
        assert_eq!(of(OpensTable::ProcessesOfFile), some);
        for table in [OpensTable::Files, OpensTable::Directories, OpensTable::FilesOfProcess] {
            assert_eq!(of(table), [Rate, Failed, Total, Age, Name, Latency], "{table:?}");
        }
        assert_eq!(of(OpensTable::Failures), [Rate, Total, Age, Name, Pid]);
        assert_eq!(of(OpensTable::FilesOfFailure), [Total, Age, Name, Pid]);
        assert_eq!(of(OpensTable::Live), [Age]);
        let with_bytes = OpensTable::Files.sorts(|_| true);
        assert_eq!(with_bytes, [Rate, Failed, Total, Read, Written, Slow, Age, Name, Latency]);
        assert_eq!(of(OpensTable::Changes), [Age]);
    }

    #[test]
    fn an_order_has_the_name_of_its_column() {
        assert_eq!(OpensTable::Processes.title(OpensSort::Rate), "opens/s");
        assert_eq!(OpensTable::Failures.title(OpensSort::Rate), "fail/s");
        assert_eq!(OpensTable::Live.title(OpensSort::Age), "age");
    }

    #[test]
    fn the_views_follow_each_other_in_a_circle() {
        assert_eq!(OpensView::Programs.next(), OpensView::Processes);
        assert_eq!(OpensView::Live.next(), OpensView::Programs);
    }
}
