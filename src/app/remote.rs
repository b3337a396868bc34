//! A live recording of another machine: its delay, and its end.

use crate::model::lag::Lagging;

/// The state of a live recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    pub lag: Lagging,
    /// It came to its end: duration and counts, or why it broke off.
    pub ended: Option<Result<String, String>>,
}
