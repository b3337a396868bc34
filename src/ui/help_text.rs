//! Texts of the help page that no other table has: the marks and the colours.

use ratatui::style::Style;

use super::theme::Theme;

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
        "unattributed",
        "traffic without a known process: kernel sockets, not accepted yet, or older than ebpftop",
    ),
    ("~", "found by polling /proc (procfs): short connections may be missing, bytes are unknown"),
    ("missing 1", "features that this kernel refused: at the top of this page"),
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
