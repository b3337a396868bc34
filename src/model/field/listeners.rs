//! The table of listeners, and the orders of its rows.

use std::cmp::{Ordering, Reverse};

use strum::VariantArray;

use super::{Column, Table, Unit};
use crate::model::listener::Listener;

/// A column of the table of listeners.
pub type ListenersColumn = Column<ListenersField, ListenersSort>;

/// The content of a cell of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenersField {
    Process,
    Pid,
    Unit,
    Protocol,
    Local,
    Waiting,
    Limit,
    Drops,
    Accepted,
    Age,
    Netns,
}

/// The orders of listeners, in the sequence in which the key for the next order goes through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, VariantArray)]
pub enum ListenersSort {
    #[default]
    Port,
    Process,
    Waiting,
    Drops,
    Age,
}

impl From<ListenersSort> for &'static str {
    /// No word in the configuration: an order is chosen on the screen alone.
    fn from(_: ListenersSort) -> Self {
        ""
    }
}

impl ListenersSort {
    /// The order's name in the pane's title.
    pub fn title(self) -> &'static str {
        let column = COLUMNS.iter().find(|c| c.order() == Some(self));
        column.map_or("", |column| column.header)
    }

    /// The order of two rows; rows that are equal in it are ordered by port.
    pub fn compare(self, a: &Listener, b: &Listener) -> Ordering {
        let name = |l: &Listener| l.owner.map(|owner| owner.comm.0);
        let by = match self {
            Self::Port => Ordering::Equal,
            Self::Process => name(a).cmp(&name(b)),
            Self::Waiting => Reverse(a.waiting).cmp(&Reverse(b.waiting)),
            Self::Drops => Reverse(a.drops).cmp(&Reverse(b.drops)),
            // The youngest first; those that were there before the first reading last.
            Self::Age => Reverse(a.since).cmp(&Reverse(b.since)),
        };
        by.then_with(|| a.place().cmp(&b.place()))
    }
}

use ListenersField as F;
use ListenersSort as S;

/// The table's name in the configuration.
pub const TABLE: &str = "listeners";

/// The table, for the configuration, the help page and the documentation.
pub fn table() -> Table {
    Table::new(TABLE, &COLUMNS)
}

/// Every column of the table of listeners, from the left.
pub static COLUMNS: [ListenersColumn; 11] = [
    Column::text(F::Process, "PROCESS", super::PROCESS_HELP).sized(12, 24, 1).sorts(S::Process),
    Column::number(F::Pid, "PID", Unit::Number, super::PID_HELP).sized(7, 7, 3),
    Column::text(F::Unit, "UNIT", super::UNIT_HELP).sized(10, 26, 4),
    Column::text(F::Protocol, "PROTO", super::PROTOCOL_HELP).sized(5, 5, 1),
    Column::text(F::Local, "LOCAL", super::LOCAL_HELP).sized(16, 47, 0).sorts(S::Port),
    Column::number(
        F::Waiting,
        "QUEUE",
        Unit::Number,
        "connections that wait to be accepted, of UDP bytes that wait to be read",
    )
    .sized(6, 8, 2)
    .sorts(S::Waiting),
    Column::number(
        F::Limit,
        "LIMIT",
        Unit::Number,
        "connections that may wait to be accepted (backlog)",
    )
    .sized(6, 8, 4),
    Column::number(
        F::Drops,
        "DROPS",
        Unit::Number,
        "handshake packets or datagrams that the socket dropped, most often since its queue was full",
    )
    .sized(6, 8, 2)
    .sorts(S::Drops),
    Column::number(
        F::Accepted,
        "ACCEPTED",
        Unit::Number,
        "connections to its address that processes accepted since the start; * of all listeners at it (SO_REUSEPORT); – where that is not observed",
    )
    .sized(9, 9, 6),
    Column::number(
        F::Age,
        "SINCE",
        Unit::Time,
        "how long ago a reading found it first; – for those that were there before",
    )
    .sized(6, 6, 6)
    .sorts(S::Age),
    Column::number(F::Netns, "NETNS", Unit::Number, "inode number of the network namespace")
        .sized(10, 10, 5),
];
