//! The table of the talkers pane, and the orders of its rows.

use strum::{IntoStaticStr, VariantArray};

use super::{Column, Need, Table, Unit, offered, step};
use crate::model::talkers::Direction;
use crate::model::time::Mono;
use crate::model::wire::{Rate, Talker, Wire};

/// A column of the talkers pane.
pub type TalkersColumn = Column<TalkersField, TalkersSort>;

/// The content of a cell of the talkers pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalkersField {
    Process,
    Address,
    Origin,
    Interface,
    Rx,
    Tx,
    Bits,
    Packets,
    Share,
    Total,
    Past,
}

/// The directions that are shown; `direction` in the configuration has the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum DirectionFilter {
    Rx,
    Tx,
    Both,
}

impl DirectionFilter {
    /// The directions that pass.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::Rx => &[Direction::Rx],
            Self::Tx => &[Direction::Tx],
            Self::Both => &[Direction::Rx, Direction::Tx],
        }
    }

    /// The next choice; after the last one the first.
    pub fn next(self) -> Self {
        Self::VARIANTS.iter().copied().cycle().skip_while(|v| *v != self).nth(1).unwrap_or(self)
    }

    /// The name in the pane's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Both => "rx+tx",
            one => one.into(),
        }
    }

    /// Whether a column that needs this is shown; other needs are not about directions.
    pub fn has(self, need: Need) -> bool {
        match need {
            Need::BothDirections => self == Self::Both,
            Need::OneDirection => self != Self::Both,
            _ => true,
        }
    }
}

/// The orders of rows, in the sequence in which the key for the next order goes through them.
/// `talkers_sort` in the configuration has the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum TalkersSort {
    #[default]
    Bits,
    Rx,
    Tx,
    Packets,
    Total,
    Age,
    Address,
}

/// The values of a row that orders compare.
#[derive(Clone, Copy, Debug)]
pub struct Measures<'a> {
    pub wire: &'a Wire,
    pub talker: &'a Talker,
    pub directions: DirectionFilter,
    pub now: Mono,
}

impl Measures<'_> {
    fn rate(&self, direction: Direction) -> Rate {
        self.wire.rate(self.talker, direction, self.now)
    }

    /// Rates in the directions that are shown.
    fn rates(&self) -> Rate {
        let rates = self.directions.directions().iter().map(|d| self.rate(*d));
        rates.fold(Rate::default(), |a, b| a + b)
    }

    fn bytes(&self) -> u64 {
        let bytes = |d: &Direction| self.talker.side(*d).total().bytes;
        self.directions.directions().iter().map(bytes).fold(0, u64::saturating_add)
    }
}

impl TalkersSort {
    /// The name in the pane's title; `bytes` where traffic is shown in bytes.
    pub fn title(self, bytes: bool) -> &'static str {
        match self {
            Self::Bits if bytes => "bytes/s",
            Self::Bits => "bits/s",
            Self::Packets => "packets/s",
            other => other.into(),
        }
    }

    /// The key of the order, the larger first: a number, and a second one among equals. Addresses
    /// are compared as such.
    pub fn weigh(self, row: &Measures<'_>) -> (u64, u64) {
        let first = match self {
            Self::Bits => step(row.rates().bps),
            Self::Rx => step(row.rate(Direction::Rx).bps),
            Self::Tx => step(row.rate(Direction::Tx).bps),
            Self::Packets => step(row.rates().pps),
            Self::Total => row.bytes(),
            Self::Age => row.talker.last.0,
            Self::Address => 0,
        };
        (first, row.bytes())
    }

    /// The orders that are offered for these directions, the one to begin with first.
    pub fn offered(directions: DirectionFilter) -> Vec<Self> {
        offered(&COLUMNS, Self::VARIANTS, |need| directions.has(need))
    }
}

/// The table with its columns.
pub fn table() -> Table {
    Table::new(TABLE, &COLUMNS)
}

/// The table's name in the configuration.
pub const TABLE: &str = "talkers";

use TalkersField as F;
use TalkersSort as S;

/// Every column of the table, from the left.
pub static COLUMNS: [TalkersColumn; 11] = [
    Column::text(F::Address, "ADDRESS", "address that sends to this machine, or is sent to")
        .sized(15, 43, 0)
        .sorts(S::Address),
    Column::text(F::Process, "PROCESS", super::PROCESS_HELP)
        .sized(12, 20, 2)
        .needs(Need::Connections),
    Column::text(
        F::Origin,
        "ORIGIN",
        "country and network (AS) of the address, from the files that --mmdb names",
    )
    .sized(14, 30, 4)
    .needs(Need::Origins),
    Column::text(F::Interface, "ON", "interface, where several are watched")
        .sized(6, 12, 2)
        .needs(Need::Interfaces),
    Column::number(F::Rx, "RX b/s", Unit::BitsPerSecond, super::RX_HELP)
        .sized(7, 8, 1)
        .sorts(S::Rx)
        .in_bytes("RX B/s")
        .needs(Need::BothDirections),
    Column::number(F::Tx, "TX b/s", Unit::BitsPerSecond, super::TX_HELP)
        .sized(7, 8, 1)
        .sorts(S::Tx)
        .in_bytes("TX B/s")
        .needs(Need::BothDirections),
    Column::number(
        F::Bits,
        "BITS/S",
        Unit::BitsPerSecond,
        "bits per second in the direction that is shown",
    )
    .sized(8, 8, 0)
    .sorts(S::Bits)
    .in_bytes("BYTES/S")
    .needs(Need::OneDirection),
    Column::number(
        F::Packets,
        "PKT/S",
        Unit::PerSecond,
        "packets per second; XDP counts a merged buffer as one",
    )
    .sized(6, 9, 6)
    .sorts(S::Packets),
    Column::number(
        F::Share,
        "SHARE",
        Unit::Percent,
        "share of all traffic in the last interval; stacked interfaces (bridge, VLAN …) add none",
    )
    .sized(6, 6, 4)
    .sorts(S::Bits),
    Column::number(F::Total, "BYTES", Unit::Bytes, "bytes since the address entered the table")
        .sized(6, 7, 3)
        .sorts(S::Total),
    Column::text(F::Past, super::PAST, super::PAST_HELP).sized(9, 30, 5).sorts(S::Age),
];

/// Cells for an address with its name beside it, at least and at most.
pub const WITH_NAME: (u16, u16) = (34, 80);

/// The same where only some have a name, which processes asked for: their processes and both rates fit beside
/// the least into half of 120 columns.
pub const WITH_ASKED_NAME: (u16, u16) = (24, 80);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rx_and_tx_are_orders_while_both_are_shown() {
        let all = TalkersSort::offered(DirectionFilter::Both);
        assert_eq!(all, TalkersSort::VARIANTS);
        let one = TalkersSort::offered(DirectionFilter::Rx);
        assert_eq!(one, [S::Bits, S::Packets, S::Total, S::Age, S::Address]);
    }

    #[test]
    fn the_directions_follow_each_other_in_a_circle() {
        assert_eq!(DirectionFilter::Rx.next(), DirectionFilter::Tx);
        assert_eq!(DirectionFilter::Both.next(), DirectionFilter::Rx);
    }
}
