//! Connections that ended lately, which the screen shows for a minute.

use serde::{Deserialize, Serialize};

use super::history::{ConnHistory, Stored as StoredHistory};
use super::live::Live;
use super::{Failure, What};
use crate::model::conn::Conn;
use crate::model::quality::Quality;
use crate::model::time::Mono;

/// Ended connections that are stored, about 500 bytes each without history; the oldest is evicted, and
/// counted in [`super::Connections::closed_evicted`].
pub const MAX_CLOSED: usize = 4_096;

/// An ended connection is stored so long, ns.
pub const CLOSED_STAYS_NS: u64 = 60_000_000_000;

/// A connection that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Closed {
    /// A close, or a connect that failed.
    pub what: What,
    /// When it ended.
    pub at: Mono,
    /// Its last state.
    pub conn: Conn,
    /// Its bytes in the interval in which it ended, received and sent; `None` where they are not counted.
    pub delta: Option<[u64; 2]>,
    /// The connection began in that interval, too.
    pub is_new: bool,
    pub history: Option<Box<ConnHistory>>,
}

/// Its form in undo records, of which [`Conn::quality`] is no part.
#[derive(Serialize, Deserialize)]
struct Stored {
    what: What,
    at: Mono,
    conn: Conn,
    quality: Quality,
    delta: Option<[u64; 2]>,
    is_new: bool,
    history: Option<StoredHistory>,
}

impl From<Closed> for Stored {
    fn from(Closed { what, at, conn, delta, is_new, history }: Closed) -> Self {
        let quality = conn.quality;
        let history = history.as_deref().map(StoredHistory::from);
        Self { what, at, conn, quality, delta, is_new, history }
    }
}

impl From<Stored> for Closed {
    fn from(Stored { what, at, conn, quality, delta, is_new, history }: Stored) -> Self {
        let (conn, history) = (Conn { quality, ..conn }, history.and_then(Into::into));
        Self { what, at, conn, delta, is_new, history }
    }
}

impl Closed {
    /// `live` is its row, where it had one, at the end of its last interval.
    pub(super) fn new(what: What, at: Mono, conn: &Conn, live: Option<Live>) -> Self {
        let delta = live.as_ref().and_then(|live| live.delta);
        let is_new = live.as_ref().is_some_and(|live| live.is_new);
        let history = live.and_then(|live| live.history);
        let mut conn = conn.clone();
        // Those of a moment before the end.
        conn.quality.windows = None;
        Self { what, at, conn, delta, is_new, history }
    }

    /// Why it failed, where it did.
    pub fn failure(&self) -> Option<Failure> {
        Failure::of(self.what, &self.conn)
    }

    pub(super) fn is_over(&self, now: Mono) -> bool {
        now.since(self.at) > CLOSED_STAYS_NS
    }
}
