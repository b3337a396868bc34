//! What happened to connections, for those who ask for it.

use crate::model::conn::{Carried, Conn, Owner, TCP};
use crate::model::coverage::Attribution;
use crate::model::time::Mono;

/// Told and not yet taken: more are counted in [`Tells::untold`].
const MOST: usize = 65_536;

/// Something that happened to a connection, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub what: What,
    pub conn: Conn,
    /// Others that were seen to hold it.
    pub holders: Vec<Owner>,
    /// A close that was not seen: the counts are those of the last look.
    pub unseen: bool,
    /// When it happened.
    pub at: Mono,
    /// How its process is known.
    pub attribution: Attribution,
}

impl Told {
    /// What the socket carried; `None` where nobody counts it.
    pub fn carried(&self) -> Option<Carried> {
        carried(&self.conn, self.attribution)
    }
}

/// What a socket carried. A poll reads the counters of TCP; datagrams have none.
pub(super) fn carried(conn: &Conn, attribution: Attribution) -> Option<Carried> {
    let counted = attribution == Attribution::Connection || conn.protocol == TCP;
    counted.then(|| conn.shares.iter().fold(Carried::default(), |sum, s| sum + s.carried))
}

/// See [`Told`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Connect,
    /// A connection that did not come about; the error is the connection's.
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

/// What happened and was not taken yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Tells {
    pub(super) told: Vec<Told>,
    /// What nobody took in time.
    pub(super) untold: u64,
}

impl Tells {
    pub(super) fn push(&mut self, told: Told) {
        if self.told.len() < MOST {
            self.told.push(told);
        } else {
            self.untold += 1;
        }
    }
}
