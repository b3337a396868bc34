//! Traffic that is not attributed to a process, by reason.

use crate::model::conn::{Carried, Conn};

/// Why bytes of a socket have no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A kernel socket, or what kernel threads move through a process's socket.
    Kernel,
    /// The socket is older than the probe, and no process has called it since or holds it.
    Older,
    /// A connection from outside that no process has accepted.
    Waiting,
    /// Received, and not read by its process yet.
    Queued,
    /// Moved without a call that returned them: `splice` from the socket, or a call under way; the
    /// socket is shared, so that the process is uncertain.
    Uncalled,
    /// Calls of more processes than are followed for shared sockets.
    Sharers,
}

impl Reason {
    /// Every reason, in the order of lines.
    pub const ALL: [Self; 6] =
        [Self::Kernel, Self::Older, Self::Waiting, Self::Queued, Self::Uncalled, Self::Sharers];

    /// Why the connection has no process.
    pub fn of(conn: &Conn) -> Self {
        match (conn.kernel, conn.passive) {
            (true, _) => Reason::Kernel,
            (false, true) => Reason::Waiting,
            (false, false) => Reason::Older,
        }
    }

    /// The key in lines.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Kernel => "kernel",
            Reason::Older => "older",
            Reason::Waiting => "waiting",
            Reason::Queued => "queued",
            Reason::Uncalled => "uncalled",
            Reason::Sharers => "sharers",
        }
    }

    /// The reason in a few words.
    pub fn text(self) -> &'static str {
        match self {
            Reason::Kernel => "kernel socket",
            Reason::Older => "older than ebpftop",
            Reason::Waiting => "not accepted",
            Reason::Queued => "not read yet",
            Reason::Uncalled => "call under way",
            Reason::Sharers => "too many sharers",
        }
    }

    /// The reason in a sentence.
    pub fn explained(self) -> &'static str {
        match self {
            Reason::Kernel => "the kernel itself uses these sockets (NFS, iSCSI and the like)",
            Reason::Older => "no process has used these sockets since ebpftop started",
            Reason::Waiting => "no process has accepted these connections yet",
            Reason::Queued => "received, but the process has not read it yet",
            Reason::Uncalled => "shared sockets: a call is under way, or splice() moved it",
            Reason::Sharers => "more processes share these sockets than ebpftop follows",
        }
    }
}

/// Unattributed traffic, for each reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unattributed([Carried; Reason::ALL.len()]);

impl Unattributed {
    /// All of it.
    pub fn total(&self) -> Carried {
        self.0.iter().fold(Carried::default(), |sum, part| sum + *part)
    }

    /// Each part with its reason.
    pub fn parts(&self) -> impl Iterator<Item = (Reason, Carried)> {
        Reason::ALL.into_iter().zip(self.0)
    }

    /// The reason of more than half of the bytes of `all`, which may have parts without a reason.
    pub fn most(&self, all: Carried) -> Option<Reason> {
        let (reason, part) = self.parts().max_by_key(|(_, carried)| carried.bytes())?;
        (part.bytes().saturating_mul(2) > all.bytes()).then_some(reason)
    }

    /// The growth of each part since `before`.
    pub(super) fn minus(mut self, before: &Self) -> Self {
        for (part, before) in self.0.iter_mut().zip(before.0) {
            *part = part.minus(before);
        }
        self
    }

    /// Adds traffic.
    pub fn add(&mut self, reason: Reason, carried: Carried) {
        *self.part(reason) += carried;
    }

    #[allow(clippy::indexing_slicing)] // as many parts as reasons
    pub(super) fn part(&mut self, reason: Reason) -> &mut Carried {
        &mut self.0[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_is_more_than_half_of_all() {
        let carried = |rx_bytes, tx_bytes| Carried { rx_bytes, tx_bytes, ..Carried::default() };
        let mut parts = Unattributed::default();
        assert_eq!(parts.most(Carried::default()), None);
        parts.add(Reason::Kernel, carried(300, 200));
        parts.add(Reason::Queued, carried(400, 0));
        parts.add(Reason::Older, carried(99, 0));
        assert_eq!(parts.most(parts.total()), Some(Reason::Kernel));
        // The largest part, and of evicted processes there is more: 500 of 1,000.
        assert_eq!(parts.most(carried(1_000, 0)), None);
        assert_eq!(parts.most(carried(500, 499)), Some(Reason::Kernel));
    }
}
