//! The user's settings, merged once from defaults, the file and the command line.

pub mod saved_view;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::keymap::Keymap;
use crate::model::file_io::FileTypes;
use crate::model::link::{Choice, XdpMode};
use crate::model::timeline::WatchedPaths;
use saved_view::SavedView;

/// Settings that the dashboard, `stream` and `record` have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The interface to watch at first.
    pub choice: Choice,
    /// Only opens by processes whose name matches this PATTERN (already checked).
    pub process: Option<String>,
    /// A filter EXPR (already checked).
    pub filter: Option<String>,
    /// Between refreshes.
    pub interval: Duration,
    /// How arriving packets are counted.
    pub xdp_mode: XdpMode,
    /// Time each open, and report those that do not return; with `slow` always.
    pub latency: bool,
    /// Count bytes and calls read and written, of files of these types.
    pub io: Option<FileTypes>,
    /// Time calls that read and write, and report each of this duration or longer; only with `io`.
    pub slow: Option<Duration>,
    /// Whether connections and their processes are probed, too.
    pub owners: bool,
    /// Whether the dashboard shows the opens of its own process.
    pub own_opens: bool,
    /// Whether changes of files are reported in the dashboard, in recordings and in metrics.
    pub files: bool,
    /// Whether names that processes ask for are looked for, from the start on.
    pub names: bool,
    /// Whether Unix sockets are among the listeners.
    pub unix_listeners: bool,
    /// Another network namespace than our own: its name, a process in it, or a path.
    pub netns: Option<String>,
    /// The interface and the mode stay as they are, and the privileges to change them are dropped.
    pub locked: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            choice: Choice::Default,
            process: None,
            filter: None,
            interval: Duration::from_secs(1),
            xdp_mode: XdpMode::Auto,
            latency: false,
            io: None,
            slow: None,
            owners: true,
            own_opens: false,
            files: false,
            names: false,
            unix_listeners: false,
            netns: None,
            locked: false,
        }
    }
}

/// The columns of a table by their headers, in the order wanted; for each table of
/// which the configuration says something.
pub type Columns = BTreeMap<&'static str, Vec<&'static str>>;

/// Settings of the dashboard alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenSettings {
    /// The view to begin with.
    pub view: SavedView,
    pub keys: Keymap,
    pub columns: Columns,
    /// The file that `W` writes; none without a home directory.
    pub file: Option<PathBuf>,
    /// MMDB files with the registration of addresses.
    pub mmdb: Vec<PathBuf>,
    /// Paths that the timeline marks.
    pub watched: WatchedPaths,
    /// Take the mouse.
    pub mouse: bool,
    /// No braille and no line drawing.
    pub ascii: bool,
    /// Colours at all (`NO_COLOR` turns them off).
    pub colour: bool,
}

impl Default for ScreenSettings {
    fn default() -> Self {
        Self {
            view: SavedView::default(),
            keys: Keymap::default(),
            columns: Columns::default(),
            file: None,
            mmdb: Vec::new(),
            watched: WatchedPaths::default(),
            mouse: true,
            ascii: false,
            colour: true,
        }
    }
}
