//! Counts of packets and bytes, and their direction.

use serde::{Deserialize, Serialize};

/// The direction of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
