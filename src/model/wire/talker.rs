//! One address on one interface.

use std::net::IpAddr;

use super::interface::Side;
use crate::model::history::History;
use crate::model::talkers::Direction;
use crate::model::time::Mono;

/// One address on one interface.
#[derive(Clone, Debug)]
pub struct Talker {
    /// Its interface's place among [`super::Wire::ports`].
    pub port: usize,
    pub ip: IpAddr,
    pub rx: Side,
    pub tx: Side,
    /// Bytes in each of the last seconds, received and sent.
    pub rx_history: History,
    pub tx_history: History,
    pub first: Mono,
    /// When it last sent or was sent something.
    pub last: Mono,
}

impl Talker {
    pub(super) fn new(port: usize, ip: IpAddr, at: Mono) -> Self {
        Self {
            port,
            ip,
            rx: Side::default(),
            tx: Side::default(),
            rx_history: History::default(),
            tx_history: History::default(),
            first: at,
            last: at,
        }
    }

    /// The side of `direction`.
    pub fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Rx => &self.rx,
            Direction::Tx => &self.tx,
        }
    }

    /// The history of `direction`.
    pub fn history(&self, direction: Direction) -> &History {
        match direction {
            Direction::Rx => &self.rx_history,
            Direction::Tx => &self.tx_history,
        }
    }

    pub(super) fn side_mut(&mut self, direction: Direction) -> (&mut Side, &mut History) {
        match direction {
            Direction::Rx => (&mut self.rx, &mut self.rx_history),
            Direction::Tx => (&mut self.tx, &mut self.tx_history),
        }
    }
}
