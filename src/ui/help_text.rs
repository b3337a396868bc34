//! Texts of the help page that no other table has: the marks and the colours.

use ratatui::style::Style;

use super::theme::Theme;

/// Words that stand beside a row or in the header.
pub const MARKS: &[(&str, &str)] = &[
    ("self", "an address of this machine, or of the namespace watched"),
    ("gw", "where a default route leads to"),
    ("lan", "a private address (RFC 1918, 6598, 4193) or a link-local one"),
    ("a name", "beside an address (r): what reverse DNS says, proven by nobody"),
    ("new", "first seen after the mark"),
    ("ended", "the process is no longer there"),
    ("◆ *", "belongs to what is selected in the other pane"),
    (
        "no owner",
        "no process's: sockets of the kernel, not accepted yet, or older than the program and nobody's",
    ),
    ("~", "found by polling /proc (procfs): short connections may be missing, bytes are unknown"),
    ("missing 1", "features that this kernel refused: at the top of this page"),
    ("other", "frames that are not IP, and addresses that had to make room"),
    (
        "lost",
        "opens, or events of connections, of which only the number is known: the ring was full",
    ),
    ("let go", "rows that had to make room; totals stay exact"),
];

/// Gives the style of a sample.
pub type StyleOf = fn(&Theme) -> Style;

/// What each colour is for; the first part is drawn in it.
pub const COLOURS: &[(&str, StyleOf, &str)] = &[
    ("ENOENT", |t| t.bad, "failure and loss, nothing else"),
    ("1.2", |t| t.heat[0], "hardly anything of all there is"),
    ("123", |t| t.heat[1], "some of it"),
    ("1234", |t| t.heat[2], "a fifth and more"),
    ("12 345", |t| t.heat[3], "half and more"),
    ("new", |t| t.fresh, "new since the mark"),
    ("filter", |t| t.note, "the screen does not show all, or stands still"),
    ("rx", |t| t.rx, "received"),
    ("tx", |t| t.tx, "sent"),
    ("0.0", |t| t.quiet, "nothing now, or at rest; ended processes"),
];
