//! Texts of the help page that no other table has: the views, the marks and the colours.

use ratatui::style::Style;

use super::theme::Theme;
use crate::app::opens::Detail;
use crate::model::field::opens_view::OpensView;

/// The rows of a view.
pub fn rows_of(view: OpensView) -> &'static str {
    match view {
        OpensView::Programs => {
            "processes of one name in one service or container; below each its files; in the last row ended ones, idle for a minute"
        }
        OpensView::Processes => {
            "processes, ended ones last; below each its files, common ones in one row"
        }
        OpensView::Units => {
            "services (systemd units) and containers, the sum of their programs; below each its programs, in the same order"
        }
        OpensView::Files => "files, with the number of processes that open them",
        OpensView::Directories => "directories, the sum of the files below them",
        OpensView::Failures => {
            "failed opens by process name, error and directory; those found later or of common files are hidden"
        }
        OpensView::Changes => {
            "the latest changes of files: created, removed, renamed and the like, the newest first"
        }
        OpensView::Live => "the latest opens, the newest first",
    }
}

/// The rows of a detail view.
pub fn rows_of_detail(detail: &Detail) -> &'static str {
    match detail {
        Detail::Unit(_) => "programs of the service or container; below each its files",
        Detail::Program(_) => "files of the program's processes; below them the processes",
        Detail::Process(_) => "files of the process; below them its peers",
        Detail::Path(_) => "processes that open the file",
        Detail::Directory(_) => "files below the directory",
        Detail::Failures(_) => "files of these failures, and where they were found later",
        Detail::Address(_) => {
            "processes that exchange data with the address, and their latest files"
        }
        Detail::Timeline(_) => {
            "programs, opens, changes of files and connections of the process, and its end; the latest first"
        }
        Detail::FileTimeline(_) => {
            "last use of the file by each process, its changes, slow calls, and programs started from it; the latest first"
        }
    }
}

/// The rows of the details of an address.
pub const ADDRESS: &str =
    "traffic of the address by direction, its protocols, sizes and ports; below them its processes";

/// The rows of the talkers pane.
pub const TALKERS: &str =
    "addresses on the watched interface, with the process that exchanges most of their traffic";

/// The rows of the table of connections.
pub const CONNECTIONS: &str = "connections of this machine, in all network namespaces; ended ones stay dimmed for a minute. The line above counts those that are open, begin, end and fail";

/// The rows of the table of listeners.
pub const LISTENERS: &str = "TCP sockets that listen and UDP sockets without a peer, in all network namespaces, read every two seconds while they are shown. In other namespaces the limit of the queue is not known, nor drops of TCP";

/// Words beside a row or in the header.
pub const MARKS: &[(&str, &str)] = &[
    ("self", "an address of this machine, or of the namespace watched"),
    ("gw", "the gateway of a default route"),
    ("lan", "a private address (RFC 1918, 6598, 4193) or a link-local one"),
    ("a name", "beside an address (r): the answer of reverse DNS, unverified"),
    ("new", "first seen after the mark"),
    ("ended", "the process has exited"),
    ("◆ *", "belongs to the selected row of the other pane"),
    (
        "attributed 97 %",
        "share of the traffic of all sockets in the last interval whose process is known",
    ),
    (
        "unattributed",
        "traffic without a known process: kernel sockets, not accepted yet, or older than ebpftop",
    ),
    (
        "multicast",
        "among the talkers: a group to which no process of this machine sends, as the kernel itself does",
    ),
    ("~", "found by polling /proc (procfs): short connections may be missing, bytes are unknown"),
    ("own 12", "opens of ebpftop itself, left out; --own-opens shows them"),
    ("missing 1", "features that this kernel refused: see `missing here` on this page"),
    (
        "?",
        "not known: read from /proc, which neither recordings have nor processes that have exited",
    ),
    ("other", "frames that are not IP, and evicted addresses"),
    ("lost", "opens or connection events that found the ring full: only their number is known"),
    ("evicted", "rows that left a full table; totals stay exact"),
];

/// Gives the style of a sample.
pub type StyleOf = fn(&Theme) -> Style;

/// The meaning of each colour; the first part is drawn in it.
pub const COLOURS: &[(&str, StyleOf, &str)] = &[
    ("ENOENT", |t| t.bad, "failures and losses only"),
    ("1.2", |t| t.heat[0], "a small share of the total"),
    ("123", |t| t.heat[1], "a medium share"),
    ("1234", |t| t.heat[2], "a fifth or more"),
    ("12 345", |t| t.heat[3], "half or more"),
    ("new", |t| t.fresh, "new since the mark"),
    ("filter", |t| t.note, "a filter or a pause: the screen does not show everything"),
    ("rx", |t| t.rx, "received"),
    ("tx", |t| t.tx, "sent"),
    ("0.0", |t| t.quiet, "no activity now; ended processes"),
];
