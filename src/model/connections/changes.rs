//! Changes of connections, queued for the writer of lines.

use super::Holders;
use crate::model::conn::{Carried, Conn};
use crate::model::coverage::Attribution;
use crate::model::hostnames::OwnedName;
use crate::model::time::Mono;

/// Queued changes; further ones are counted in [`Changes::dropped`].
pub(super) const MAX_QUEUED: usize = 65_536;

/// A change of a connection, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub what: What,
    pub conn: Conn,
    /// Further processes that have it open.
    pub holders: Holders,
    /// A close that was not observed: the counts are the latest that were read.
    pub unseen: bool,
    /// When it happened.
    pub at: Mono,
    /// How bytes are attributed.
    pub attribution: Attribution,
    /// The name of its peer that was asked for.
    pub name: Option<OwnedName>,
}

impl Change {
    /// The socket's traffic; `None` where it is not counted.
    pub fn carried(&self) -> Option<Carried> {
        self.conn.carried(self.attribution)
    }
}

/// The kind of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum What {
    Connect,
    /// A connect that failed; the error is the connection's.
    Failed,
    Accept,
    Close,
    /// A poll found it.
    Seen,
}

impl What {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            What::Connect | What::Failed => "connect",
            What::Accept => "accept",
            What::Close => "close",
            What::Seen => "seen",
        }
    }
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) queued: Vec<Change>,
    pub(super) dropped: u64,
}

impl Changes {
    pub(super) fn push(&mut self, change: Change) {
        if self.queued.len() < MAX_QUEUED {
            self.queued.push(change);
        } else {
            self.dropped += 1;
        }
    }
}
