//! Recordings: events of the probes, written to a file and read again.
//!
//! A file is a line that identifies it, and blocks. Each block is complete in itself: names are
//! defined again in it, it is compressed (LZ4) and has a checksum (CRC-32) over all of it, so a file
//! that was cut off or damaged is good up to there. The first block has the machine and the time,
//! the last one the totals; between them is everything that came to the one loop, with the time
//! at which it came: a recording that is played goes the way that the live data went.

mod block;
mod codec;
mod decode;
mod encode;
mod known;
mod rare;
mod read;
mod weight;
mod write;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::machine;
use crate::model::cgroup::Cgroup;
use crate::model::container::ContainerAnswers;
use crate::model::event::ProbeEvent;
use crate::model::opens::Before;
use crate::model::time::{Mono, NS_PER_SEC, Stamp};

pub use known::Known;
pub use read::{Damage, Item, Mark, Reader};
pub use write::{Sink, WriteError, Writer};

#[cfg(test)]
mod tests;

/// An event of the loop.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An event of a probe.
    Probe(ProbeEvent),
    /// An interval ended.
    Tick,
    /// Names of cgroups; `None` where unknown.
    Cgroups(Vec<(u64, Option<Cgroup>)>),
    /// Names of containers.
    Containers(ContainerAnswers),
    /// Something came that is too large for a block, and was left out.
    Unwritten,
    /// Counts before the recording began.
    Before(Before),
    /// Events that came faster than they could be written, and were left out.
    Missing { opens: u64, events: u64 },
}

/// The machine and the time of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the program that wrote it.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// When it began.
    pub started: Stamp,
}

impl Head {
    /// The first block of a recording that begins now, on this machine.
    pub fn of_this_machine() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            host: machine::name(),
            started: clock::now(),
        }
    }
}

/// Totals of a recording; the last block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// When it ended.
    pub ended: Mono,
    /// Opens written.
    pub opens: u64,
    /// Events left out: too large for a block, or too fast for the disk.
    pub unwritten: u64,
}

impl Totals {
    /// These, and those of the file that follows.
    pub fn and(self, next: Self) -> Self {
        Self {
            ended: next.ended,
            opens: self.opens + next.opens,
            unwritten: self.unwritten + next.unwritten,
        }
    }

    /// Duration and counts of the recording that began with `head`; `lost` opens had no record.
    pub fn in_words(&self, head: &Head, lost: u64) -> String {
        let seconds = self.ended.since(head.started.mono) as f64 / NS_PER_SEC as f64;
        let mut text = format!("{seconds:.1} s, {} opens, {lost} lost", self.opens);
        if self.unwritten > 0 {
            text.push_str(&format!(", {} events left out", self.unwritten));
        }
        text
    }
}
