//! Connections as rows of cells: the one table from which JSON and CSV are written.

use crate::model::conn::{Carried, Owner, TCP, UDP};
use crate::model::coverage::Attribution;
use crate::model::errno::errno_name;
use crate::model::owners::{Net, Owners, Told, What, Why};
use crate::model::time::Mono;

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Not known, or not meant here.
    None,
    Int(u64),
    /// Text from elsewhere.
    Text(Vec<u8>),
    /// A word of ours.
    Word(String),
    Time(Mono),
    /// Nanoseconds, told as seconds.
    Seconds(u64),
    /// A count in so many nanoseconds, told by the second.
    Rate(u64, u64),
    Row(Row),
    Rows(Vec<Row>),
}

/// Keys and what stands there, in the order of the columns.
pub(super) type Row = Vec<(&'static str, Cell)>;

/// The columns of CSV: those of `connect`, `accept` and `close`, which an `owners` row of one
/// process fills as far as it has them.
pub(super) const COLUMNS: &str = "type,time,pid,uid,comm,from,no_owner,holders,protocol,local_ip,\
    local_port,remote_ip,remote_port,netns,cookie,errno,since,duration_s,rx_bytes,tx_bytes,\
    rx_packets,tx_packets,owners,unseen,live,begun,peers,attribution\n";

fn int(n: impl Into<u64>) -> Cell {
    Cell::Int(n.into())
}

fn word(text: impl Into<String>) -> Cell {
    Cell::Word(text.into())
}

/// `tcp`, `udp`, else the number.
pub(super) fn protocol(number: u16) -> String {
    match number {
        TCP => "tcp".into(),
        UDP => "udp".into(),
        other => other.to_string(),
    }
}

/// Why nobody is told, in words.
pub(super) fn no_owner(told: &Told) -> &'static str {
    if told.attribution == Attribution::Procfs {
        return "held by no process that /proc shows";
    }
    match Why::of(&told.conn) {
        Why::Kernel => "kernel socket",
        Why::Older => "older than the probe, held by nobody",
        Why::Waiting => "not accepted",
    }
}

fn who(owner: &Owner) -> Row {
    vec![
        ("pid", int(owner.key.tgid)),
        ("uid", int(owner.uid)),
        ("comm", Cell::Text(owner.comm.as_bytes().to_vec())),
        ("from", word(owner.from.name())),
    ]
}

fn carried(of: Carried) -> Row {
    counts(Some(of))
}

/// `None`: not known.
fn counts(of: Option<Carried>) -> Row {
    let cell = |count: fn(Carried) -> u64| of.map_or(Cell::None, |of| int(count(of)));
    vec![
        ("rx_bytes", cell(|of| of.rx_bytes)),
        ("tx_bytes", cell(|of| of.tx_bytes)),
        ("rx_packets", cell(|of| of.rx_packets)),
        ("tx_packets", cell(|of| of.tx_packets)),
    ]
}

/// Rows that were polled say so.
fn mark(row: &mut Row, attribution: Attribution) {
    if attribution == Attribution::Procfs {
        row.push(("attribution", word(attribution.name())));
    }
}

/// Everything of a line but its type and time.
pub(super) fn told(told: &Told) -> Row {
    let conn = &told.conn;
    let mut row = match &conn.owner() {
        Some(owner) => who(owner),
        None => ["pid", "uid", "comm", "from"].map(|key| (key, Cell::None)).to_vec(),
    };
    let reason = conn.owner().is_none().then(|| word(no_owner(told)));
    row.push(("no_owner", reason.unwrap_or(Cell::None)));
    row.push(("holders", Cell::Rows(told.holders.iter().map(who).collect())));
    row.extend([
        ("protocol", word(protocol(conn.protocol))),
        ("local_ip", word(conn.local.ip().to_string())),
        ("local_port", int(conn.local.port())),
    ]);
    // A socket of datagrams without a peer of its own has none.
    row.extend(match conn.remote.port() {
        0 => [("remote_ip", Cell::None), ("remote_port", Cell::None)],
        port => [("remote_ip", word(conn.remote.ip().to_string())), ("remote_port", int(port))],
    });
    row.push(("netns", int(conn.netns)));
    // Beyond 2^53 a number of JSON is not read exactly by everybody.
    row.push(("cookie", word(conn.cookie.to_string())));
    let errno = i32::try_from(conn.error).ok().filter(|e| *e != 0);
    row.push(("errno", errno.map_or(Cell::None, |e| word(errno_name(e)))));
    if told.what == What::Close {
        row.push(("since", conn.since.map_or(Cell::None, Cell::Time)));
        let lasted = conn.since.map(|since| Cell::Seconds(told.at.since(since)));
        row.push(("duration_s", lasted.unwrap_or(Cell::None)));
        row.extend(counts(told.carried()));
        let shares = conn.shares.iter().filter(|s| s.owner.is_some() || !s.carried.is_none());
        let polled = told.attribution == Attribution::Procfs;
        let share = |owner: &Option<Owner>, of| {
            let mut row = owner.as_ref().map(who).unwrap_or_default();
            // A poll knows the socket's counts, and not who caused them.
            row.extend(counts((!polled).then_some(of)));
            row
        };
        row.push(("owners", Cell::Rows(shares.map(|s| share(&s.owner, s.carried)).collect())));
        row.push(("unseen", word(if told.unseen { "true" } else { "false" })));
    }
    mark(&mut row, told.attribution);
    row
}

/// A process in the interval's table.
pub(super) fn process(net: &Net, attribution: Attribution) -> Row {
    let mut row = who(&net.who);
    row.retain(|(key, _)| *key != "from");
    row.extend(counts((attribution == Attribution::Connection).then_some(net.total)));
    row.extend([("live", int(net.live)), ("begun", int(net.begun)), ("peers", int(net.peers))]);
    mark(&mut row, attribution);
    row
}

/// Everything of the interval's line but its type and time; `processes` are those that are chosen,
/// what the others carried is in `other`.
pub(super) fn owners(owners: &Owners, processes: &[&Net]) -> Row {
    let told = processes.iter().fold(Carried::default(), |sum, net| sum + net.total);
    let other = owners.total.minus(told + owners.no_owner.total());
    let mut row = vec![
        ("interval_s", Cell::Seconds(owners.interval_ns)),
        ("live", int(owners.live() as u64)),
    ];
    let polled = owners.polled();
    row.extend(counts((!polled).then_some(owners.total)));
    let parts = owners.no_owner.parts().map(|(why, part)| (why.name(), Cell::Row(carried(part))));
    let known = |row: Row| if polled { Cell::None } else { Cell::Row(row) };
    row.push(("no_owner", known(parts.to_vec())));
    row.push(("other", known(carried(other))));
    row.push(("let_go", int(owners.let_go + owners.stateless)));
    let rows = processes.iter().map(|net| {
        let mut row = process(net, owners.attribution);
        let bits = |bytes: u64| match polled {
            true => Cell::None,
            false => Cell::Rate(bytes.saturating_mul(8), owners.interval_ns),
        };
        row.push(("rx_bps", bits(net.delta.rx_bytes)));
        row.push(("tx_bps", bits(net.delta.tx_bytes)));
        row
    });
    row.push(("processes", Cell::Rows(rows.collect())));
    mark(&mut row, owners.attribution);
    row
}
