//! The table of connections, and the orders of its rows.

use std::cmp::Ordering;
use std::time::Duration;

use strum::VariantArray;

use super::{Column, Need, Table, Unit, step};
use crate::model::conn::{Carried, Conn};
use crate::model::connections::Closed;
use crate::model::history::per_second;
use crate::model::hostnames::Named;
use crate::model::quality::TcpState;
use crate::model::time::Mono;

/// A column of the table of connections.
pub type ConnsColumn = Column<ConnsField, ConnsSort>;

/// The content of a cell of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnsField {
    Process,
    Pid,
    Unit,
    Protocol,
    Local,
    Peer,
    Name,
    State,
    Rx,
    Tx,
    Received,
    Sent,
    Rtt,
    Retransmits,
    Age,
    // Of groups of connections: see `conn_groups`.
    Group,
    Open,
    New,
    Failed,
}

/// The orders of connections, in the sequence in which the key for the next order goes through them.
/// Ended connections come after the others in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, VariantArray)]
pub enum ConnsSort {
    #[default]
    Traffic,
    Rx,
    Tx,
    Received,
    Sent,
    Rtt,
    Retransmits,
    Age,
    State,
    Process,
    Peer,
    Name,
    // Of groups alone.
    Open,
    New,
    Failed,
}

impl From<ConnsSort> for &'static str {
    /// No word in the configuration: an order is chosen on the screen alone.
    fn from(_: ConnsSort) -> Self {
        ""
    }
}

impl ConnsSort {
    /// The orders that a table's columns offer, after the first.
    pub fn offered(columns: &[ConnsColumn]) -> Vec<Self> {
        let by_column = super::offered(columns, Self::VARIANTS, |_| true);
        std::iter::once(Self::Traffic).chain(by_column).collect()
    }

    /// The order's name in the title of a pane with these columns; `bytes` where traffic is shown in bytes.
    pub fn title(self, columns: &[ConnsColumn], bytes: bool) -> &'static str {
        let own = columns.iter().filter_map(|c| c.sort).find(|(sort, _)| *sort == self);
        own.and_then(|(_, title)| title).unwrap_or(match (self, bytes) {
            (Self::Traffic, false) => "bits/s",
            (Self::Traffic, true) => "bytes/s",
            (Self::Rx, false) => "rx bits/s",
            (Self::Rx, true) => "rx bytes/s",
            (Self::Tx, false) => "tx bits/s",
            (Self::Tx, true) => "tx bytes/s",
            (Self::Received, _) => "rx bytes",
            (Self::Sent, _) => "tx bytes",
            (Self::Rtt, _) => "RTT",
            (Self::Retransmits, _) => "retransmits",
            (Self::Age, _) => "age",
            (Self::State, _) => "state",
            (Self::Process, _) => "process",
            (Self::Peer, _) => "peer",
            (Self::Name, _) => "name",
            (Self::Open, _) => "open",
            (Self::New, _) => "new/s",
            (Self::Failed, _) => "failed",
        })
    }
}

/// A connection as a row.
#[derive(Clone, Copy, Debug)]
pub struct ConnRowData<'a> {
    pub conn: &'a Conn,
    /// The name of its process; empty where it has none.
    pub process: &'a [u8],
    /// The name of the peer that its process asked for.
    pub name: Option<Named<'a>>,
    /// Its end, where it has ended.
    pub closed: Option<&'a Closed>,
    /// Bytes in the last interval, received and sent; `None`: it ended before that, or they are not counted.
    pub delta: Option<[u64; 2]>,
    /// It began in the last interval.
    pub is_new: bool,
    /// Sockets are polled: failures are not observed.
    pub polled: bool,
    pub interval_ns: u64,
    /// All bytes; `None`: they are not counted.
    pub carried: Option<Carried>,
    pub now: Mono,
}

impl ConnRowData<'_> {
    /// TCP's state; closed where it has ended.
    pub fn state(&self) -> Option<TcpState> {
        match self.closed {
            Some(_) => self.conn.tcp_state().map(|_| TcpState::Closed),
            None => self.conn.tcp_state(),
        }
    }

    /// How long it has been open, or was.
    pub fn age_ns(&self) -> Option<u64> {
        let until = self.closed.map_or(self.now, |closed| closed.at);
        Some(until.since(self.conn.since?))
    }

    /// Bits per second in the last interval, received and sent.
    pub fn rates(&self) -> Option<[f64; 2]> {
        let bits = |bytes: u64| per_second(bytes.saturating_mul(8), self.interval_ns);
        self.delta.filter(|_| self.closed.is_none()).map(|delta| delta.map(bits))
    }

    fn rtt(&self) -> Option<Duration> {
        self.conn.quality.rtt()
    }

    /// Numbers of an order: the larger comes first.
    fn weigh(&self, sort: ConnsSort) -> (u64, u64) {
        let [rx, tx] = self.rates().unwrap_or_default();
        let carried = self.carried.unwrap_or_default();
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        match sort {
            ConnsSort::Traffic => (step(rx + tx), carried.bytes()),
            ConnsSort::Rx => (step(rx), carried.rx_bytes),
            ConnsSort::Tx => (step(tx), carried.tx_bytes),
            ConnsSort::Received => (carried.rx_bytes, 0),
            ConnsSort::Sent => (carried.tx_bytes, 0),
            ConnsSort::Rtt => (self.rtt().map_or(0, |rtt| 1 + micros(rtt)), 0),
            ConnsSort::Retransmits => {
                (self.conn.quality.retransmits.map_or(0, |n| 1 + u64::from(n)), 0)
            }
            // The youngest first; those that are older than the probe last.
            ConnsSort::Age => (self.conn.since.map_or(0, |since| since.0), 0),
            ConnsSort::State | ConnsSort::Process | ConnsSort::Peer | ConnsSort::Name => (0, 0),
            ConnsSort::Open | ConnsSort::New | ConnsSort::Failed => {
                (step(rx + tx), carried.bytes())
            }
        }
    }

    /// The order of two rows; ended ones come last, the latest first.
    pub fn compare(&self, other: &Self, sort: ConnsSort, reverse: bool) -> Ordering {
        let ended = |row: &Self| row.closed.map_or(Mono(0), |closed| closed.at);
        let peer = |row: &Self| (row.conn.remote, row.conn.local, row.conn.cookie);
        let by = match sort {
            ConnsSort::State => self.state().cmp(&other.state()),
            ConnsSort::Process => self.process.cmp(other.process),
            ConnsSort::Peer => Ordering::Equal,
            // Those without a name last.
            ConnsSort::Name => {
                let name = |row: &Self| row.name.map(|named| named.name.to_vec());
                let (name, other) = (name(self), name(other));
                name.is_none().cmp(&other.is_none()).then(name.cmp(&other))
            }
            ConnsSort::Traffic if self.closed.is_some() && other.closed.is_some() => {
                ended(other).cmp(&ended(self))
            }
            _ => other.weigh(sort).cmp(&self.weigh(sort)),
        };
        let by = by.then_with(|| peer(self).cmp(&peer(other)));
        let by = if reverse { by.reverse() } else { by };
        self.closed.is_some().cmp(&other.closed.is_some()).then(by)
    }
}

use ConnsField as F;
use ConnsSort as S;

/// The table's name in the configuration.
pub const TABLE: &str = "connections";

/// The table, for the configuration, the help page and the documentation.
pub fn table() -> Table {
    Table::new(TABLE, &COLUMNS)
}

pub(super) const RX: ConnsColumn =
    Column::number(F::Rx, "RX b/s", Unit::BitsPerSecond, super::RX_HELP)
        .sized(7, 8, 3)
        .sorts(S::Rx)
        .in_bytes("RX B/s");

pub(super) const TX: ConnsColumn =
    Column::number(F::Tx, "TX b/s", Unit::BitsPerSecond, super::TX_HELP)
        .sized(7, 8, 3)
        .sorts(S::Tx)
        .in_bytes("TX B/s");

pub(super) const RECEIVED: ConnsColumn =
    Column::number(F::Received, "RX B", Unit::Bytes, super::RX_BYTES_HELP)
        .sized(7, 8, 5)
        .sorts(S::Received);

pub(super) const SENT: ConnsColumn =
    Column::number(F::Sent, "TX B", Unit::Bytes, super::TX_BYTES_HELP)
        .sized(7, 8, 5)
        .sorts(S::Sent);

pub(super) const RTT: ConnsColumn =
    Column::number(F::Rtt, "RTT", Unit::Time, super::RTT_HELP).sized(6, 7, 3).sorts(S::Rtt);

pub(super) const RETRANSMITS: ConnsColumn =
    Column::number(F::Retransmits, "RETR", Unit::Number, super::RETRANSMITS_HELP)
        .sized(5, 7, 4)
        .sorts(S::Retransmits);

pub(super) const AGE: ConnsColumn =
    Column::number(F::Age, "AGE", Unit::Time, super::AGE_HELP).sized(5, 5, 4).sorts(S::Age);

/// Every column of the table of connections, from the left.
pub static COLUMNS: [ConnsColumn; 15] = [
    Column::text(F::Process, "PROCESS", super::PROCESS_HELP).sized(12, 24, 1).sorts(S::Process),
    Column::number(F::Pid, "PID", Unit::Number, super::PID_HELP).sized(7, 7, 6),
    Column::text(F::Unit, "UNIT", super::UNIT_HELP).sized(10, 26, 9),
    Column::text(F::Protocol, "PROTO", super::PROTOCOL_HELP).sized(5, 5, 7),
    Column::text(F::Local, "LOCAL", super::LOCAL_HELP).sized(18, 47, 8),
    Column::text(F::Peer, "PEER", super::PEER_HELP).sized(17, 47, 0).sorts(S::Peer),
    Column::text(
        F::Name,
        "NAME",
        "the name that the process asked for, and its source: dns, mdns, llmnr, or sni (TLS); in a narrow pane it stands in place of the peer's address",
    )
    .sized(16, 44, 4)
    .sorts(S::Name)
    .needs(Need::Hostnames),
    Column::text(F::State, "STATE", super::STATE_HELP).sized(11, 12, 2).sorts(S::State),
    RX,
    TX,
    RECEIVED,
    SENT,
    RTT,
    RETRANSMITS,
    AGE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_a_name_of_its_own() {
        for bytes in [false, true] {
            let names = S::VARIANTS.iter().map(|sort| sort.title(&COLUMNS, bytes));
            let different: std::collections::HashSet<_> = names.collect();
            assert_eq!(different.len(), S::VARIANTS.len(), "{different:?}");
        }
        let groups = &super::super::conn_groups::COLUMNS;
        assert_eq!(
            (S::Process.title(groups, false), S::New.title(groups, false)),
            ("group", "new/s")
        );
        assert_eq!(S::offered(&COLUMNS).len(), S::VARIANTS.len() - 3);
    }
}
