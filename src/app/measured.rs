//! The room on the screen, in lines, as far as the app has to know it.

/// Lines of one pane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PaneRoom {
    pub rows: usize,
    /// Lines for related rows, beside or below the pane's own.
    pub related: usize,
}

/// The room that the screen has for what scrolls. The screen measures it before each message
/// (`ui::measure`) and passes it to [`App::fit`](super::App::fit).
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
