//! What the help page says besides the keys: the filter language, the columns, the marks and the
//! colours.

use ratatui::style::Style;

use super::theme::Theme;

/// The filter language.
pub const FILTER: &[(&str, &str)] = &[
    ("word", "the name of the process or of a thread has it in it"),
    ("~regex", "a regular expression; ! in front negates, quotes hold spaces"),
    ("pid: uid:", "a number"),
    ("path:", "a word or ~regex, tried on the path as passed and on the absolute one"),
    (
        "cgroup:",
        "a word or ~regex, tried on the cgroup's path; one that is not known does not match",
    ),
    ("err:", "ENOENT, EACCES, …"),
    ("ip:", "an address or a network, 10.0.0.0/8: chooses talkers"),
    ("peer: port:", "processes that talk to such an address, over such a port; peer: talkers too"),
];

/// What stands in each column, by its header.
pub const COLUMNS: &[(&str, &str)] = &[
    ("PID", "the process; of many with the same failure, how many"),
    ("PROCESS", "its name, then threads with other names; below it the files that it opens most"),
    ("THREAD", "the name of the thread that opened"),
    ("OPENS/S", "opens in the last interval, failed ones too, brighter the more of all they are"),
    ("FAIL", "how many of a hundred opens failed, since the start"),
    ("FAIL/S", "failed opens in the last interval"),
    ("TOTAL", "opens since the start"),
    ("TIME", "when it was done, in a timeline"),
    ("TIMES", "how often it failed so"),
    ("MEAN", "how long an open took on average, with --latency"),
    ("MAX", "how long the longest took, with --latency"),
    ("TOOK", "how long this one took, with --latency"),
    ("LAST 60s", "a graph of the last minute, now at the right"),
    ("FILE", "the absolute path, or the path as passed where that is all there is"),
    ("FILES", "how many different files"),
    ("DIRECTORY", "what is below it, to as many levels as - and + choose"),
    ("BY", "how many processes open it"),
    ("RESULT", "what the last open returned: a descriptor or an error"),
    ("ERROR", "why opens failed"),
    ("THEN FOUND", "where a file of the same name was opened by the same process after that"),
    ("AGE", "since the last open"),
    ("ADDRESS", "who sends to this machine, or is sent to"),
    ("ORIGIN", "country and network (AS) of the address, by the files that --mmdb names"),
    ("ON", "the interface, where several are watched"),
    ("RX b/s", "bits a second from it, in the last interval; of a process, what its sockets got"),
    ("TX b/s", "bits a second to it; of a process, what its sockets sent: TCP's and UDP's payload"),
    ("WHAT IT DID", "an open, a connection, bytes; marked where a watched path was opened before"),
    ("PEERS", "how many addresses the process has exchanged something with"),
    ("PEER", "an address that the process exchanges something with; bold: among the talkers"),
    ("PORTS", "protocol and port of the side that answers, and which side that is"),
    ("LIVE", "connections with the address that are open"),
    ("RX B", "bytes received from it, TCP's and UDP's payload"),
    ("TX B", "bytes sent to it"),
    ("BITS/S", "bits a second in the direction that is shown"),
    ("PKT/S", "packets a second; XDP counts a merged buffer as one"),
    ("SHARE", "of all bits in the last interval; stacked interfaces (bridge, VLAN …) add none"),
    ("BYTES", "since the address came into the table"),
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_told_once() {
        let mut told: Vec<_> = COLUMNS.iter().map(|c| c.0).collect();
        let mut there: Vec<_> =
            super::super::column_names().into_iter().flat_map(|t| t.1).collect();
        told.sort_unstable();
        there.sort_unstable();
        there.dedup();
        assert_eq!(told, there);
    }
}
