//! The state of a replay, and the commands to the player.

use crate::model::time::Mono;

/// A command to the player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayerCommand {
    /// Pause or resume; at the end, start again.
    Pause,
    /// Nanoseconds forward; negative: back.
    Seek(i64),
    /// The next or the previous speed.
    Faster,
    Slower,
}

/// The state of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub start: Mono,
    pub end: Mono,
    /// The speed, `×2`.
    pub speed: &'static str,
    pub paused: bool,
    /// On the way to another time.
    pub seeking: bool,
    /// The end was reached.
    pub ended: bool,
    /// Why the replay ended before the recording's end.
    pub damage: Option<String>,
}
