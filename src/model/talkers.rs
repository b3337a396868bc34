//! Who is on the wire: one consistent snapshot of one interface and direction.

use std::net::IpAddr;

use super::link::Hook;
use super::time::{Mono, Stamp};

/// Which way the packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Arriving; talkers are source addresses.
    Rx,
    /// Leaving; talkers are destination addresses.
    Tx,
}

impl Direction {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Rx => "rx",
            Direction::Tx => "tx",
        }
    }
}

/// Packets and bytes; bytes have the Ethernet header in and the FCS out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

impl std::ops::Add for Traffic {
    type Output = Traffic;
    fn add(self, o: Traffic) -> Traffic {
        Traffic {
            packets: self.packets.saturating_add(o.packets),
            bytes: self.bytes.saturating_add(o.bytes),
        }
    }
}

impl Traffic {
    /// `self` less `o`; a counter that went back gives 0, never a wrap.
    pub fn minus(self, o: Traffic) -> Traffic {
        Traffic {
            packets: self.packets.saturating_sub(o.packets),
            bytes: self.bytes.saturating_sub(o.bytes),
        }
    }
}

/// One address and what it sent (rx) or was sent (tx).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address; a v4-mapped v6 address stays v6.
    pub ip: IpAddr,
    /// When it was last admitted to the table: `total` runs from here.
    pub since: Mono,
    /// Counted since `since`.
    pub total: Traffic,
    /// Counted in the last interval.
    pub delta: Traffic,
}

/// One consistent snapshot: the sources and `other` add up to `total`, always.
#[derive(Clone, Debug, PartialEq)]
pub struct TalkersSample {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name at that moment.
    pub interface: String,
    /// The direction.
    pub direction: Direction,
    /// The hook that counted.
    pub hook: Hook,
    /// When the snapshot was taken.
    pub at: Stamp,
    /// Since the snapshot before, ns.
    pub interval_ns: u64,
    /// Everything on the interface since it was first watched.
    pub total: Traffic,
    /// Everything in the last interval.
    pub delta: Traffic,
    /// What no held source accounts for: not IP, or let go.
    pub other: Traffic,
    /// The same, in the last interval.
    pub other_delta: Traffic,
    /// Why the counts cannot be complete, `after foreign XDP`.
    pub partial: Option<String>,
    /// Every source held, largest first by bytes.
    pub sources: Vec<Source>,
    /// How many sources were let go since the interface was first watched.
    pub let_go: u64,
}
