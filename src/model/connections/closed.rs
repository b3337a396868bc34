//! Connections that ended lately, which the screen shows for a minute.

use serde::{Deserialize, Serialize};

use super::{Failure, What};
use crate::model::conn::Conn;
use crate::model::quality::Quality;
use crate::model::time::Mono;

/// Ended connections that are stored, some 500 bytes each; the oldest is evicted, and counted in
/// [`super::Connections::closed_evicted`].
pub const MAX_CLOSED: usize = 4_096;

/// An ended connection is stored so long, ns.
pub const CLOSED_STAYS_NS: u64 = 60_000_000_000;

/// A connection that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Closed {
    /// A close, or a connect that failed.
    pub what: What,
    /// When it ended.
    pub at: Mono,
    /// Its last state.
    pub conn: Conn,
}

/// Its form in undo records, of which [`Conn::quality`] is no part.
#[derive(Serialize, Deserialize)]
struct Stored {
    what: What,
    at: Mono,
    conn: Conn,
    quality: Quality,
}

impl From<Closed> for Stored {
    fn from(Closed { what, at, conn }: Closed) -> Self {
        let quality = conn.quality;
        Self { what, at, conn, quality }
    }
}

impl From<Stored> for Closed {
    fn from(Stored { what, at, conn, quality }: Stored) -> Self {
        Self { what, at, conn: Conn { quality, ..conn } }
    }
}

impl Closed {
    pub(super) fn new(what: What, at: Mono, conn: &Conn) -> Self {
        Self { what, at, conn: conn.clone() }
    }

    /// Why it failed, where it did.
    pub fn failure(&self) -> Option<Failure> {
        Failure::of(self.what, &self.conn)
    }

    pub(super) fn is_over(&self, now: Mono) -> bool {
        now.since(self.at) > CLOSED_STAYS_NS
    }
}
