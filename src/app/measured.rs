//! The room on the screen, in lines, as far as the app has to know it.

use super::{App, Overlay};

/// Lines of one pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaneRoom {
    pub rows: usize,
    /// Lines for related rows, beside or below the pane's own.
    pub related: usize,
}

/// The room that the screen has for what scrolls. The screen measures it before each message
/// (`ui::measure`) and passes it to [`App::fit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// `None` while the pane is not shown.
    pub opens: Option<PaneRoom>,
    pub talkers: Option<PaneRoom>,
    /// Lines of the open overlay that one page scrolls by.
    pub overlay_page: usize,
    /// The last line that the help page can begin with.
    pub help_last: usize,
}

impl App {
    /// Takes over the room that the screen has now. Rows that depend on it are built again only
    /// when it changed.
    pub fn fit(&mut self, measured: Measured) {
        let before = std::mem::replace(&mut self.screen.measured, measured);
        if let Overlay::Help(help) = &mut self.screen.overlay {
            help.first = help.first.min(measured.help_last);
        }
        if before.opens != measured.opens {
            self.rebuild_opens();
        }
        if before.talkers != measured.talkers {
            self.rebuild_talkers();
        }
    }

    /// The room of a pane; none while it is not shown.
    pub(super) fn room(&self, pane: super::Pane) -> PaneRoom {
        let measured = &self.screen.measured;
        match pane {
            super::Pane::Opens => measured.opens,
            super::Pane::Talkers => measured.talkers,
        }
        .unwrap_or_default()
    }
}
