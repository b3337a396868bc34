//! The state of a recording that is under way, and the reports of the thread that writes it.

use crate::model::time::Mono;

/// A recording under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    pub(super) since: Mono,
    /// Size of the file.
    pub bytes: u64,
    /// Events that came faster than they could be written.
    pub lost: Lost,
    /// The end was asked for.
    pub(super) ending: bool,
}

/// Events that came faster than they could be written, and are missing in a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub opens: u64,
    /// Events: a batch of opens, a sample of the wire, a batch of connections.
    pub events: u64,
}

/// A report of the thread that writes the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It writes to this file.
    Begun(String),
    /// The file's size, and the events that are missing in it.
    Grown { bytes: u64, lost: Lost },
    /// It has ended, as asked or by an error: a sentence for the screen.
    Ended(String),
}
