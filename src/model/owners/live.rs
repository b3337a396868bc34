//! A connection that lives, and what of it is counted already.

use super::nobody::Why;
use super::pairs::Side;
use crate::model::conn::{Carried, Conn, Owner};
use crate::model::opens::ProcessKey;

/// Packets that went back by this much have wrapped; by less, the kernel was read in the moment in
/// which it moved them from one process to another.
const WRAP: u64 = 1 << 31;

#[derive(Clone, Debug)]
pub(super) struct Live {
    /// As it was last.
    pub(super) conn: Conn,
    /// What is counted, of each share.
    counted: Vec<Carried>,
    pub(super) side: Side,
    /// The process among whose living connections it is.
    pub(super) counted_for: Option<ProcessKey>,
    /// What is counted as waiting to be accepted: the accepting process gets it.
    waiting: Carried,
}

impl Live {
    pub(super) fn new(conn: &Conn) -> Self {
        Self {
            conn: conn.clone(),
            counted: Vec::new(),
            side: Side::Unknown,
            counted_for: None,
            waiting: Carried::default(),
        }
    }

    /// Notes what `advance` returned that waits for `accept`. Once there is an owner: what waited.
    pub(super) fn accepted(&mut self, since: &[(Option<Owner>, Carried)]) -> Carried {
        if self.conn.owner().is_some() {
            return std::mem::take(&mut self.waiting);
        }
        if Why::of(&self.conn) == Why::Waiting {
            since.iter().for_each(|(_, carried)| self.waiting += *carried);
        }
        Carried::default()
    }

    /// Counts begin again: nothing waits any more.
    pub(super) fn restart(&mut self) {
        self.counted_for = None;
        self.waiting = Carried::default();
    }

    /// Takes over a later state; what each owner carried since the one before.
    pub(super) fn advance(&mut self, conn: &Conn) -> Vec<(Option<Owner>, Carried)> {
        self.conn.clone_from(conn);
        self.counted.resize(conn.shares.len().max(self.counted.len()), Carried::default());
        let mut since = Vec::with_capacity(1);
        for (share, counted) in conn.shares.iter().zip(&mut self.counted) {
            let now = share.carried;
            let delta = Carried {
                rx_bytes: now.rx_bytes.saturating_sub(counted.rx_bytes),
                tx_bytes: now.tx_bytes.saturating_sub(counted.tx_bytes),
                rx_packets: packets(now.rx_packets, &mut counted.rx_packets, conn.wrapping),
                tx_packets: packets(now.tx_packets, &mut counted.tx_packets, conn.wrapping),
            };
            counted.rx_bytes += delta.rx_bytes;
            counted.tx_bytes += delta.tx_bytes;
            since.push((share.owner, delta));
        }
        since
    }
}

/// Packets since `counted`, which goes on by them.
fn packets(now: u64, counted: &mut u64, wrapping: bool) -> u64 {
    let delta = match wrapping {
        true => u64::from((now as u32).wrapping_sub(*counted as u32)),
        false => now.saturating_sub(*counted),
    };
    if wrapping && delta >= WRAP {
        return 0;
    }
    *counted += delta;
    delta
}
