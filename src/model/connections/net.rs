//! The traffic of a process.

use crate::model::conn::{Carried, Owner};
use crate::model::quality::Worst;
use crate::model::time::Mono;

/// A process with traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    /// The process, with its latest name and user.
    pub owner: Owner,
    /// The network namespace of its latest connection.
    pub netns: u32,
    /// Since the counts began.
    pub total: Carried,
    /// Traffic in the last interval.
    pub delta: Carried,
    /// `total` at the end of the last interval.
    pub(super) before: Carried,
    /// Addresses that it exchanged something with.
    pub peers: u32,
    /// Connections that it used last.
    pub live: u32,
    /// Connections that it has used.
    pub begun: u64,
    /// The worst quality of these living connections.
    pub worst: Worst,
    /// It used a socket that other processes use or hold too.
    pub shared: bool,
    /// When it last carried something.
    pub last: Mono,
}

impl Net {
    pub(super) fn empty(owner: Owner) -> Self {
        let (netns, total, delta, before, peers) = Default::default();
        let (live, begun, worst, shared, last) = Default::default();
        Self { owner, netns, total, delta, before, peers, live, begun, worst, shared, last }
    }

    /// Whether the end of an interval changes it.
    pub(super) fn has_moved(&self) -> bool {
        self.total != self.before || !self.delta.is_none()
    }
}
