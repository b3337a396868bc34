//! The views of the opens pane, each with its table.

use strum::{IntoStaticStr, VariantArray};

use super::opens::OpensTable;

/// The views of the pane, in the sequence of the key for the next one. The configuration's `view` has
/// the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum OpensView {
    #[default]
    #[strum(serialize = "program")]
    Programs,
    #[strum(serialize = "process")]
    Processes,
    #[strum(serialize = "unit")]
    Units,
    #[strum(serialize = "file")]
    Files,
    #[strum(serialize = "directory")]
    Directories,
    Failures,
    Changes,
    Live,
}

impl OpensView {
    /// The next view; after the last one the first.
    pub fn next(self) -> Self {
        Self::VARIANTS.iter().copied().cycle().skip_while(|v| *v != self).nth(1).unwrap_or(self)
    }

    /// The name in the pane's title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Programs => "by program",
            Self::Processes => "by process",
            Self::Units => "by service and container",
            Self::Files => "by file",
            Self::Directories => "by directory",
            Self::Failures => "failures",
            Self::Changes => "changes",
            Self::Live => "live",
        }
    }

    /// Whether its rows stand for processes, and have files or programs below them.
    pub fn has_rows_below(self) -> bool {
        matches!(self, Self::Programs | Self::Processes | Self::Units)
    }

    /// The table of the view.
    pub fn table(self) -> OpensTable {
        match self {
            Self::Programs => OpensTable::Programs,
            Self::Processes => OpensTable::Processes,
            Self::Units => OpensTable::Units,
            Self::Files => OpensTable::Files,
            Self::Directories => OpensTable::Directories,
            Self::Failures => OpensTable::Failures,
            Self::Changes => OpensTable::Changes,
            Self::Live => OpensTable::Live,
        }
    }
}
