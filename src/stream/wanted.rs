//! The kinds of lines.

use crate::cli::{Kind, StreamArgs};

/// The kinds of lines that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) opens: bool,
    pub(crate) talkers: bool,
    pub(crate) connections: bool,
}

impl Wanted {
    pub(super) fn of(args: &StreamArgs) -> Self {
        Self {
            opens: args.writes(Kind::Opens),
            talkers: args.writes(Kind::Talkers),
            connections: args.writes(Kind::Connections),
        }
    }

    /// The kind of a CSV, which has only one; `None` where several were asked for.
    pub(super) fn one(self) -> Option<Kind> {
        match (self.opens, self.talkers, self.connections) {
            (true, false, false) => Some(Kind::Opens),
            (false, true, false) => Some(Kind::Talkers),
            (false, false, true) => Some(Kind::Connections),
            _ => None,
        }
    }
}
