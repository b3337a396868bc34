//! Tables of the screen: every column with its header, help, unit, width and order.
//!
//! A column stands here once. The screen's tables, the orders that a view offers, the names in the
//! configuration, the help page and the documentation are made from these rows; only the function
//! that draws a cell is elsewhere, in `ui`, chosen by the column's field. Pure data, no I/O.

pub mod conn_groups;
pub mod conns;
pub mod listeners;
pub mod opens;
pub mod opens_view;
pub mod related;
pub mod talkers;

/// A column of a table: everything about it but how a cell is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Column<F, S> {
    /// Chooses the function that draws a cell.
    pub field: F,
    /// Stands above the column, and names it in the configuration.
    pub header: &'static str,
    /// The header while traffic is shown in bytes, where that is another one.
    pub header_in_bytes: Option<&'static str>,
    /// Its description on the help page.
    pub help: &'static str,
    /// The unit of a cell's number. Numbers stand at the right.
    pub unit: Unit,
    /// The least width, in cells.
    pub min: u16,
    /// The greatest width, in cells; room that is left over goes to columns below theirs.
    pub max: u16,
    /// 0 always stays; in a narrow table the highest goes first.
    pub priority: u8,
    /// The order that a click on the header chooses, with its name if not the order's own.
    pub sort: Option<(S, Option<&'static str>)>,
    /// The data that the column needs to be shown.
    pub needs: Option<Need>,
}

/// The unit of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Text or a graph.
    Text,
    /// A number without a unit: a count or an id.
    Number,
    PerSecond,
    Percent,
    Bytes,
    /// Bits each second; bytes after `u` or with `unit = "bytes"`.
    BitsPerSecond,
    BytesPerSecond,
    /// A time span, with the unit that suits its length.
    Time,
}

impl Unit {
    /// The name in the documentation; empty for text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::Number => "number",
            Self::PerSecond => "per second",
            Self::Percent => "%",
            Self::Bytes => "bytes",
            Self::BitsPerSecond => "bits or bytes per second",
            Self::BytesPerSecond => "bytes per second",
            Self::Time => "time",
        }
    }
}

/// A condition for a column, and for the orders that it brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Opens are timed (`--latency`).
    Latency,
    /// Failures are shown that were found later.
    AllFailures,
    /// There is no room for files below programs: one is in the row.
    Inline,
    /// Bytes of files are counted (`--io`).
    Io,
    /// Calls on files are timed (`--slow`).
    Slow,
    /// The connections of processes are known.
    Connections,
    /// Names that processes asked for are looked for (`--names`).
    Hostnames,
    /// A file with the origins of addresses is open (`--mmdb`).
    Origins,
    /// More than one interface is watched.
    Interfaces,
    /// Both directions are shown.
    BothDirections,
    /// One direction is shown.
    OneDirection,
}

impl<F: Copy, S: Copy> Column<F, S> {
    /// A column of texts.
    const fn text(field: F, header: &'static str, help: &'static str) -> Self {
        Self::number(field, header, Unit::Text, help)
    }

    /// A column of numbers.
    const fn number(field: F, header: &'static str, unit: Unit, help: &'static str) -> Self {
        Self {
            field,
            header,
            header_in_bytes: None,
            help,
            unit,
            min: 0,
            max: 0,
            priority: 0,
            sort: None,
            needs: None,
        }
    }

    /// The same column with another width and priority.
    pub const fn sized(mut self, min: u16, max: u16, priority: u8) -> Self {
        self.min = min;
        self.max = max;
        self.priority = priority;
        self
    }

    const fn sorts(mut self, sort: S) -> Self {
        self.sort = Some((sort, None));
        self
    }

    const fn sorts_as(mut self, sort: S, title: &'static str) -> Self {
        self.sort = Some((sort, Some(title)));
        self
    }

    const fn unsorted(mut self) -> Self {
        self.sort = None;
        self
    }

    const fn needs(mut self, need: Need) -> Self {
        self.needs = Some(need);
        self
    }

    const fn in_bytes(mut self, header: &'static str) -> Self {
        self.header_in_bytes = Some(header);
        self
    }

    /// Whether cells are aligned to the right.
    pub fn right(&self) -> bool {
        self.unit != Unit::Text
    }

    /// The order that a click on the header chooses.
    pub fn order(&self) -> Option<S> {
        self.sort.map(|(sort, _)| sort)
    }

    /// The column as it is shown while traffic is in bytes.
    pub fn as_bytes(mut self) -> Self {
        self.header = self.header_in_bytes.unwrap_or(self.header);
        self
    }
}

/// The orders that the columns of a table offer, in the sequence of `all`.
fn offered<F: Copy, S: Copy + PartialEq>(
    columns: &[Column<F, S>],
    all: &[S],
    has: impl Fn(Need) -> bool,
) -> Vec<S> {
    let shown = |c: &&Column<F, S>| c.needs.is_none_or(&has);
    let offers = |sort: &&S| columns.iter().filter(shown).any(|c| c.order() == Some(**sort));
    all.iter().filter(offers).copied().collect()
}

/// A table whose columns can be chosen: its name in the configuration, and each column's header
/// with its help.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<Described>,
}

/// A column for the configuration, the help page and the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    pub header: &'static str,
    pub help: &'static str,
    pub unit: Unit,
    /// The word of its order in the configuration; empty where there is none.
    pub sort: &'static str,
}

impl Table {
    fn new<F: Copy, S: Copy + Into<&'static str>>(
        name: &'static str,
        columns: &[Column<F, S>],
    ) -> Self {
        let describe = |c: &Column<F, S>| Described {
            header: c.header,
            help: c.help,
            unit: c.unit,
            sort: c.order().map_or("", Into::into),
        };
        Self { name, columns: columns.iter().map(describe).collect() }
    }
}

/// Every table of the screen whose columns can be chosen.
pub fn tables() -> Vec<Table> {
    let opens = opens::tables();
    opens
        .into_iter()
        .chain([talkers::table(), conns::table(), conn_groups::table(), listeners::table()])
        .chain(related::tables())
        .collect()
}

/// Every header with its help, each once, in the order of [`tables`].
pub fn headers() -> Vec<(&'static str, &'static str)> {
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for column in tables().into_iter().flat_map(|t| t.columns) {
        if !headers.iter().any(|h| h.0 == column.header) {
            headers.push((column.header, column.help));
        }
    }
    headers
}

// Help of headers that several tables have.
const PID_HELP: &str = "process ID; for a failure of several processes, how many they are";
const PROCESS_HELP: &str = "name of the process, then threads with other names; of an address the process with most of its traffic, and how many more";
const RX_HELP: &str = "received per second in the last interval: from an address all its frames, \
    of a process or a connection the payload of its TCP and UDP sockets";
const TX_HELP: &str = "sent per second in the last interval: to an address all frames, \
    of a process or a connection the payload of its TCP and UDP sockets";
const RX_BYTES_HELP: &str =
    "bytes received from the address, or by the connection: payload of TCP and UDP";
const TX_BYTES_HELP: &str =
    "bytes sent to the address, or by the connection: payload of TCP and UDP";
const PEER_HELP: &str = "address that the process exchanges data with, of a connection with its port; bold where it is among the talkers";
const STATE_HELP: &str =
    "whether the process lives, or when it ended; of a connection its TCP state, or why it failed";
const PROTOCOL_HELP: &str = "protocol: tcp, udp, else its number";
const LOCAL_HELP: &str = "local address and port";
const UNIT_HELP: &str = "service (systemd unit) or container, else the cgroup";
const READ_HELP: &str = "bytes of files that calls read per second in the last interval, with --io: from the page \
    cache too, without mapped memory, io_submit and 32-bit calls";
const WRITTEN_HELP: &str = "bytes of files that calls wrote per second in the last interval, with --io: into the page \
    cache too, without mapped memory, io_submit and 32-bit calls";
const RATE_HELP: &str =
    "opens per second in the last interval, failed ones included; brighter for a larger share";
const TOTAL_HELP: &str = "opens since the start";
/// The header of the graphs of rows, at full width; narrower ones show fewer seconds.
pub const PAST: &str = "LAST 60s";
const PAST_HELP: &str = "graph of the last seconds, now at the right";
const RTT_HELP: &str = "smoothed round-trip time of TCP; of several connections the longest";
const RETRANSMITS_HELP: &str =
    "TCP segments that were sent again; of several connections the most of one";
const AGE_HELP: &str = "time since the last open or the last data; of a connection since it began, of an ended one how long it lasted";

/// A rate in steps of nine percent, so that rows whose rates are close keep their places.
pub fn step(rate: f64) -> u64 {
    if rate > 0.0 { ((rate.log2() + 32.0).max(0.0) * 8.0) as u64 + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_are_close_share_a_step() {
        assert_eq!(step(0.0), 0);
        assert_eq!(step(1000.0), step(1010.0));
        assert!(step(1000.0) < step(1100.0) && step(0.001) > 0);
        assert_eq!(step(f64::NAN), 0);
    }

    #[test]
    fn a_header_stands_once_in_a_table_and_has_one_help() {
        let mut helps = std::collections::HashMap::new();
        for table in tables() {
            for (at, column) in table.columns.iter().enumerate() {
                let twice = table.columns.iter().skip(at + 1).any(|c| c.header == column.header);
                assert!(!twice, "{}: {}", table.name, column.header);
                assert!(!column.help.is_empty(), "{}", column.header);
                let help = *helps.entry(column.header).or_insert(column.help);
                assert_eq!(help, column.help, "{}: {}", table.name, column.header);
            }
        }
    }
}
