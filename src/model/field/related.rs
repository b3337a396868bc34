//! The tables of related rows: peers of a process or file, processes behind an address, a timeline.

use strum::{IntoStaticStr, VariantArray};

use super::{Column, Table, Unit};

/// A column of a table of related rows; their order is fixed.
pub type RelatedColumn = Column<RelatedField, Fixed>;

/// The order of tables that cannot be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed;

impl From<Fixed> for &'static str {
    fn from(_: Fixed) -> Self {
        ""
    }
}

/// The content of a cell of a related row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelatedField {
    Rate,
    Total,
    State,
    Pid,
    Process,
    Peer,
    Ports,
    Live,
    Rx,
    Tx,
    Time,
    Event,
    Age,
}

/// The tables of related rows; `[columns]` in the configuration has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum RelatedTable {
    ProcessesOfProgram,
    PeersOfProcess,
    PeersOfFile,
    ProcessesOfAddress,
    Timeline,
}

impl RelatedTable {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Every column of the table, from the left.
    pub fn columns(self) -> &'static [RelatedColumn] {
        match self {
            Self::ProcessesOfProgram => &PROCESSES_OF_PROGRAM,
            Self::PeersOfProcess => &PEERS_OF_PROCESS,
            Self::PeersOfFile => &PEERS_OF_FILE,
            Self::ProcessesOfAddress => &PROCESSES_OF_ADDRESS,
            Self::Timeline => &TIMELINE,
        }
    }
}

/// Every table with its columns.
pub fn tables() -> Vec<Table> {
    RelatedTable::VARIANTS.iter().map(|t| Table::new(t.name(), t.columns())).collect()
}

use RelatedField as F;

const PID: RelatedColumn =
    Column::number(F::Pid, "PID", Unit::Number, super::PID_HELP).sized(7, 7, 2);

const PROCESS: RelatedColumn =
    Column::text(F::Process, "PROCESS", super::PROCESS_HELP).sized(14, 72, 0);

const PEER: RelatedColumn = Column::text(F::Peer, "PEER", super::PEER_HELP).sized(15, 43, 0);

const PORTS: RelatedColumn = Column::text(
    F::Ports,
    "PORTS",
    "protocol and port of the side that answers, and which side that is",
)
.sized(11, 30, 3);

const LIVE: RelatedColumn =
    Column::number(F::Live, "LIVE", Unit::Number, "open connections with the address")
        .sized(4, 6, 4);

const RX: RelatedColumn =
    Column::number(F::Rx, "RX B", Unit::Bytes, super::RX_BYTES_HELP).sized(7, 13, 1);

const TX: RelatedColumn =
    Column::number(F::Tx, "TX B", Unit::Bytes, super::TX_BYTES_HELP).sized(7, 13, 1);

const TIME: RelatedColumn =
    Column::text(F::Time, "TIME", "time of day of an event in a timeline").sized(12, 12, 1);

const EVENT: RelatedColumn = Column::text(
    F::Event,
    "EVENT",
    "an open, a connection, bytes; marked where a path on the watch list was opened shortly before",
)
.sized(20, 400, 0);

const AGE: RelatedColumn =
    Column::number(F::Age, "AGE", Unit::Time, super::AGE_HELP).sized(5, 5, 5);

const RATE: RelatedColumn =
    Column::number(F::Rate, "OPENS/S", Unit::PerSecond, super::RATE_HELP).sized(8, 9, 1);

const TOTAL: RelatedColumn =
    Column::number(F::Total, "TOTAL", Unit::Number, super::TOTAL_HELP).sized(7, 10, 2);

const STATE: RelatedColumn = Column::text(F::State, "STATE", super::STATE_HELP).sized(9, 30, 0);

static PROCESSES_OF_PROGRAM: [RelatedColumn; 4] = [PID, RATE, TOTAL, STATE];
static PEERS_OF_PROCESS: [RelatedColumn; 5] = [PEER, PORTS, RX, TX, AGE];
static PEERS_OF_FILE: [RelatedColumn; 7] = [PID, PROCESS, PEER, PORTS, RX, TX, AGE];
static PROCESSES_OF_ADDRESS: [RelatedColumn; 7] = [PID, PROCESS, PORTS, LIVE, RX, TX, AGE];
static TIMELINE: [RelatedColumn; 2] = [TIME, EVENT];
