//! The two panes.

/// One of the two panes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    #[default]
    Opens,
    Talkers,
}

impl Pane {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Pane::Opens => Pane::Talkers,
            Pane::Talkers => Pane::Opens,
        }
    }
}
