//! The table of connections grouped by program or peer: its sums, its columns, and the order of its rows.

use std::cmp::Ordering;

use super::conns::{ConnRowData, ConnsColumn, ConnsField as F, ConnsSort as S};
use super::{Column, Table, Unit, step};
use crate::model::conn::{Carried, PeerAddr};
use crate::model::history::per_second;
use crate::model::opens;
use crate::model::quality::Worst;

/// How connections are grouped, in the sequence in which the key goes through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    #[default]
    None,
    Program,
    Peer,
}

impl Grouping {
    /// The grouping after this one; after the last the first.
    pub fn next(self) -> Self {
        match self {
            Self::None => Self::Program,
            Self::Program => Self::Peer,
            Self::Peer => Self::None,
        }
    }

    /// The words in the pane's title; empty without groups.
    pub fn title(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Program => "by program",
            Self::Peer => "by peer",
        }
    }

    /// The header of the groups' names.
    pub fn header(self) -> &'static str {
        match self {
            Self::None | Self::Program => "PROGRAM",
            Self::Peer => "PEER",
        }
    }
}

/// The property that the connections of a group share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConnGroupKey {
    /// The name of the process, and its service or container.
    Program(opens::GroupKey),
    /// No process is known.
    Unattributed,
    /// The remote address, without its port.
    Peer(PeerAddr),
    /// Sockets without a peer of their own.
    NoPeer,
}

/// The connections of a group: open ones, and those that ended in the last minute.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnGroup {
    pub key: ConnGroupKey,
    /// Open connections.
    pub open: u64,
    /// Connections that began in the last interval.
    pub begun: u64,
    /// Connects that failed and connections that broke, in the last minute; `None`: not observed.
    pub failed: Option<u64>,
    /// Bytes in the last interval, received and sent; `None` where they are not counted.
    pub delta: Option<[u64; 2]>,
    pub interval_ns: u64,
    /// All bytes of these connections; `None` where they are not counted.
    pub carried: Option<Carried>,
    pub worst: Worst,
}

impl ConnGroup {
    /// A group without connections.
    pub fn new(key: ConnGroupKey) -> Self {
        let (open, begun, failed, delta) = Default::default();
        let (interval_ns, carried, worst) = Default::default();
        Self { key, open, begun, failed, delta, interval_ns, carried, worst }
    }

    /// Adds a connection.
    pub fn add(&mut self, row: &ConnRowData<'_>) {
        self.interval_ns = row.interval_ns;
        self.open += u64::from(row.closed.is_none());
        self.begun += u64::from(row.is_new);
        if !row.polled {
            let failed = row.closed.is_some_and(|closed| closed.failure().is_some());
            *self.failed.get_or_insert(0) += u64::from(failed);
        }
        if let Some([rx, tx]) = row.delta {
            let [rx_sum, tx_sum] = self.delta.get_or_insert_default();
            *rx_sum = rx_sum.saturating_add(rx);
            *tx_sum = tx_sum.saturating_add(tx);
        }
        if let Some(carried) = row.carried {
            *self.carried.get_or_insert_default() += carried;
        }
        self.worst = self.worst.max(Worst::of(&row.conn.quality));
    }

    /// Bits per second in the last interval, received and sent.
    pub fn rates(&self) -> Option<[f64; 2]> {
        let bits = |bytes: u64| per_second(bytes.saturating_mul(8), self.interval_ns);
        self.delta.map(|delta| delta.map(bits))
    }

    /// Connections that began, a second.
    pub fn new_per_second(&self) -> f64 {
        per_second(self.begun, self.interval_ns)
    }

    /// Numbers of an order: the larger comes first.
    fn weigh(&self, sort: S) -> (u64, u64) {
        let [rx, tx] = self.rates().unwrap_or_default();
        let carried = self.carried.unwrap_or_default();
        let known = |n: Option<u32>| n.map_or(0, |n| 1 + u64::from(n));
        match sort {
            S::Rx => (step(rx), carried.rx_bytes),
            S::Tx => (step(tx), carried.tx_bytes),
            S::Received => (carried.rx_bytes, 0),
            S::Sent => (carried.tx_bytes, 0),
            S::Rtt => (known(self.worst.srtt_us), 0),
            S::Retransmits => (known(self.worst.retransmits), 0),
            S::Open => (self.open, self.begun),
            S::New => (self.begun, self.open),
            S::Failed => (self.failed.unwrap_or(0), self.open),
            S::Traffic | S::Age | S::State | S::Process | S::Peer | S::Name => {
                (step(rx + tx), carried.bytes())
            }
        }
    }

    /// Differs between any two groups of one table, so that equal ones keep their order.
    fn name(&self) -> (u8, &[u8], Option<PeerAddr>, Option<&opens::Place>) {
        match &self.key {
            ConnGroupKey::Program(key) => (0, key.name.as_bytes(), None, Some(&key.place)),
            ConnGroupKey::Peer(peer) => (0, b"", Some(*peer), None),
            ConnGroupKey::Unattributed | ConnGroupKey::NoPeer => (1, b"", None, None),
        }
    }

    /// The order of two groups.
    pub fn compare(&self, other: &Self, sort: S, reverse: bool) -> Ordering {
        let by_name = matches!(sort, S::Process | S::Peer);
        let by = if by_name { Ordering::Equal } else { other.weigh(sort).cmp(&self.weigh(sort)) };
        let by = by.then_with(|| self.name().cmp(&other.name()));
        if reverse { by.reverse() } else { by }
    }
}

/// The table's name in the configuration.
pub const TABLE: &str = "connection_groups";

/// The table, for the configuration, the help page and the documentation.
pub fn table() -> Table {
    Table::new(TABLE, &COLUMNS)
}

/// Every column of the table of groups, from the left. On the screen the first one has the header of the
/// grouping.
pub static COLUMNS: [ConnsColumn; 13] = [
    Column::text(
        F::Group,
        "GROUP",
        "program or peer of the connections; below it their peers or processes",
    )
    .sized(19, 50, 0)
    .sorts_as(S::Process, "group"),
    Column::text(F::Unit, "UNIT", super::UNIT_HELP).sized(10, 26, 8),
    Column::text(F::State, "STATE", super::STATE_HELP).sized(11, 12, 4),
    Column::number(F::Open, "OPEN", Unit::Number, "open connections").sized(6, 7, 1).sorts(S::Open),
    Column::number(
        F::New,
        "NEW/s",
        Unit::PerSecond,
        "connections that began per second in the last interval",
    )
    .sized(6, 7, 3)
    .sorts(S::New),
    Column::number(
        F::Failed,
        "FAILED",
        Unit::Number,
        "in the last minute: connects that failed, and connections that broke",
    )
    .sized(7, 7, 2)
    .sorts(S::Failed),
    super::conns::RX.sized(7, 8, 2),
    super::conns::TX.sized(7, 8, 2),
    super::conns::RECEIVED,
    super::conns::SENT,
    super::conns::RTT,
    super::conns::RETRANSMITS,
    super::conns::AGE.sized(5, 5, 9),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::open::Comm;

    #[test]
    fn groups_of_one_name_have_an_order() {
        let place = |path: &[u8]| opens::Place::Unit(path.into());
        let of = |place| {
            let key = opens::GroupKey { name: Comm::new(b"nginx"), place };
            ConnGroup::new(ConnGroupKey::Program(key))
        };
        let (one, other) = (of(place(b"/a.service")), of(place(b"/b.service")));
        for sort in [S::Traffic, S::Process] {
            assert_eq!(one.compare(&other, sort, false), Ordering::Less);
            assert_eq!(one.compare(&other, sort, true), Ordering::Greater);
        }
    }
}
