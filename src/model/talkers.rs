//! Traffic by address: one consistent snapshot of one interface and direction.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::compare::Compared;
use super::interface_name::InterfaceName;
use super::link::Hook;
use super::time::{Mono, Stamp};
pub use super::traffic::{Direction, Traffic};

/// One address and what it sent (rx) or was sent (tx).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The key by which the detail of an address is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// The protocol number of IP, behind IPv6 extension headers.
    pub proto: u8,
    /// From the header behind IP.
    pub what: FlowKind,
}

/// The part of a [`Flow`] that comes from the header behind IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FlowKind {
    /// TCP, UDP, SCTP, DCCP, UDP-Lite: the port at the address, and the one at the other end.
    Ports { there: u16, here: u16 },
    /// ICMP of either family.
    Icmp { kind: u8, code: u8 },
    /// Not the first fragment: the ports were in that.
    Fragment,
    /// The packet ends before its ports.
    Short,
    /// A protocol without ports.
    Other,
}

/// How many classes of sizes there are ([`DetailSample::sizes`]).
pub const SIZES: usize = 8;

/// The largest size of each class but the last, in bytes as counted.
pub const SIZE_LIMITS: [u32; SIZES - 1] = [63, 127, 255, 511, 1023, 1514, 9014];

/// The detail of one address on one interface, in one direction and one interval. The flows and
/// `left` add up to `all`, and the sizes to its packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DetailSample {
    /// The address; `None` in the default value alone.
    pub ip: Option<IpAddr>,
    /// When the detail began: all traffic since then is in one sample or another.
    pub since: Mono,
    /// `since` by the wall clock, `12:03:04`.
    pub since_text: String,
    /// Why there is no detail.
    pub problem: Option<String>,
    /// Everything of that address.
    pub all: Traffic,
    /// Traffic that found no room in the table of this interval.
    pub left: Traffic,
    /// Packets by size: see [`SIZE_LIMITS`].
    pub sizes: [u64; SIZES],
    /// The rest, in no order.
    pub flows: Vec<(Flow, Traffic)>,
}

/// One consistent snapshot: the sources and `other` add up to `total`, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TalkersSample {
    /// The interface's index.
    pub ifindex: u32,
    /// The interface's name at that moment.
    pub interface: InterfaceName,
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
    /// Traffic of no held source: not IP, or evicted.
    pub other: Traffic,
    /// Traffic of no held source in the last interval.
    pub other_delta: Traffic,
    /// Why the counts may not be exact, `after foreign XDP`; several reasons are separated by `; `.
    pub partial: Option<String>,
    /// Every source held, largest first by bytes.
    pub sources: Vec<Source>,
    /// Number of sources evicted since the interface was first watched.
    pub evicted: u64,
    /// The kernel's own count of packets, beside ours.
    pub compared: Compared,
    /// The detail of the address whose view is open, where that is on this interface.
    pub detail: Option<DetailSample>,
}

impl TalkersSample {
    /// The same with all traffic in `other`.
    pub fn without_sources(&self) -> Self {
        Self {
            interface: self.interface.clone(),
            partial: self.partial.clone(),
            other: self.total,
            other_delta: self.delta,
            sources: Vec::new(),
            detail: None,
            ..*self
        }
    }
}
