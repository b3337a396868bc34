//! The kinds of lines.

use crate::cli::{Kind, StreamArgs};

/// The kinds of lines that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) opens: bool,
    pub(crate) talkers: bool,
    pub(crate) connections: bool,
    pub(crate) files: bool,
    pub(crate) processes: bool,
    pub(crate) io: bool,
    pub(crate) slow: bool,
    pub(crate) listeners: bool,
}

impl Wanted {
    pub(super) fn of(args: &StreamArgs) -> Self {
        Self {
            opens: args.writes(Kind::Opens),
            talkers: args.writes(Kind::Talkers),
            connections: args.writes(Kind::Connections),
            files: args.writes(Kind::Files),
            processes: args.writes(Kind::Processes),
            io: args.writes(Kind::Io),
            slow: args.writes(Kind::Slow),
            listeners: args.writes(Kind::Listeners),
        }
    }

    /// Whether the probe of opens has a part in it.
    pub(super) fn needs_opens_probe(self) -> bool {
        self.opens || self.files || self.processes
    }

    /// Whether the probe of bytes read and written has a part in it.
    pub(super) fn needs_io_probe(self) -> bool {
        self.io || self.slow
    }

    /// The kind of a CSV, which has only one; `None` where several were asked for.
    pub(super) fn one(self) -> Option<Kind> {
        let kinds = [
            (self.opens, Kind::Opens),
            (self.talkers, Kind::Talkers),
            (self.connections, Kind::Connections),
            (self.files, Kind::Files),
            (self.processes, Kind::Processes),
            (self.io, Kind::Io),
            (self.slow, Kind::Slow),
            (self.listeners, Kind::Listeners),
        ];
        let mut wanted = kinds.into_iter().filter(|(wanted, _)| *wanted).map(|(_, kind)| kind);
        wanted.next().filter(|_| wanted.next().is_none())
    }
}
