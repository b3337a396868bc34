//! The last minute of a connection.

use serde::{Deserialize, Serialize};

use crate::model::history::History;
use crate::model::time::Mono;
use crate::model::undo::{Reading, Window, Writing};

/// Living connections with a history, 420 bytes each: those that carried something first. Others are
/// counted in [`super::Connections::without_history`]. Ended ones, up to [`super::MAX_CLOSED`], take theirs
/// along.
pub const MAX_HISTORIES: usize = 8_192;

/// Bytes and the smoothed round-trip time of a connection in each of the last 60 seconds.
#[derive(Clone, Debug, Default)]
pub struct ConnHistory {
    pub rx: History,
    pub tx: History,
    /// A gauge in microseconds; 0: unknown.
    pub srtt_us: History,
}

impl ConnHistory {
    pub(super) fn add(&mut self, at: Mono, interval_ns: u64, [rx, tx]: [u64; 2], srtt_us: u64) {
        self.rx.add_spread(at, interval_ns, rx);
        self.tx.add_spread(at, interval_ns, tx);
        self.srtt_us.set(at, srtt_us);
    }

    pub(super) fn write(&self, to: &mut Writing) {
        [&self.rx, &self.tx, &self.srtt_us].into_iter().for_each(|history| history.write(to));
    }

    pub(super) fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        self.rx.read(from)?;
        self.tx.read(from)?;
        self.srtt_us.read(from)
    }
}

/// The form of a history in undo records of ended connections.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored(Vec<u8>);

impl From<&ConnHistory> for Stored {
    fn from(history: &ConnHistory) -> Self {
        let mut to = Writing { window: Window::ALL, ..Writing::default() };
        history.write(&mut to);
        Self(to.bytes)
    }
}

impl From<Stored> for Option<Box<ConnHistory>> {
    fn from(Stored(bytes): Stored) -> Self {
        let mut history = Box::<ConnHistory>::default();
        history.read(&mut Reading(&bytes)).map(|()| history)
    }
}
