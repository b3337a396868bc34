//! Sets of kinds of lines.

use std::time::Duration;

use clap::ValueEnum;

use crate::cli::{Kind, StreamArgs};
use crate::model::file_io::FileTypes;
use crate::settings::Settings;

/// The duration of slow calls, without `--slow`.
const SLOW: Duration = Duration::from_millis(10);

/// A set of kinds of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// The kinds that were asked for.
    pub(super) fn wanted(args: &StreamArgs) -> Self {
        Kind::value_variants().iter().copied().filter(|kind| args.writes(*kind)).collect()
    }

    /// The settings with those that the kinds imply: slow calls have a limit, and opens are timed beside them.
    pub(super) fn settings(self, settings: &Settings) -> Settings {
        let slow = settings.slow.or(self.has(Kind::Slow).then_some(SLOW));
        Settings {
            io: settings.io.or(self.needs_io_probe().then_some(FileTypes::Regular)),
            slow,
            latency: settings.latency || slow.is_some(),
            ..settings.clone()
        }
    }

    /// Whether a kind is in the set.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }

    /// The kinds, in the order of the command line's help.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::value_variants().iter().copied().filter(move |kind| self.has(*kind))
    }

    /// Whether the probe of opens has a part in it.
    pub(super) fn needs_opens_probe(self) -> bool {
        self.has(Kind::Opens) || self.has(Kind::Files) || self.has(Kind::Processes)
    }

    /// Whether the probe of bytes read and written has a part in it.
    pub(super) fn needs_io_probe(self) -> bool {
        self.has(Kind::Io) || self.has(Kind::Slow)
    }

    /// The kind of a CSV, which has only one; `None` where several were asked for.
    pub(super) fn one(self) -> Option<Kind> {
        let mut kinds = self.iter();
        kinds.next().filter(|_| kinds.next().is_none())
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<T: IntoIterator<Item = Kind>>(kinds: T) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | bit(kind)))
    }
}

impl<const N: usize> From<[Kind; N]> for Kinds {
    fn from(kinds: [Kind; N]) -> Self {
        kinds.into_iter().collect()
    }
}

fn bit(kind: Kind) -> u16 {
    1 << kind as u16
}
