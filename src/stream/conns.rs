//! Connections as rows of cells, from which JSON and CSV are written.

use crate::model::conn::{Carried, Conn, Limits, Owner, Share, protocol_name};
use crate::model::connections::{Change, Connections, Failure, Net, Reason, What};
use crate::model::coverage::Attribution;
use crate::model::errno::errno_name;
use crate::model::hostnames::{Hostnames, OwnedName};
use crate::model::time::Mono;

/// The value of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    /// Unknown, or not applicable.
    None,
    Int(u64),
    /// Text from elsewhere.
    Text(Vec<u8>),
    /// A word of the program.
    Word(String),
    Time(Mono),
    /// Nanoseconds, written as seconds.
    Seconds(u64),
    /// A count in so many nanoseconds, written by the second.
    Rate(u64, u64),
    Row(Row),
    Rows(Vec<Row>),
}

/// Keys and values, in the order of the columns.
pub(super) type Row = Vec<(&'static str, Cell)>;

/// The columns of CSV: those of `connect`, `accept` and `close`; an `owners` row has one process and
/// leaves the others empty.
pub(super) const COLUMNS: &str = "type,time,pid,uid,comm,from,unattributed,shared,holders,\
    more_holders,protocol,local_ip,local_port,remote_ip,remote_port,netns,cookie,errno,state,connect_us,srtt_us,rttvar_us,retransmits,lost,\
    reordering,cwnd,delivery_bps,since,duration_s,\
    rx_bytes,tx_bytes,rx_packets,tx_packets,queued_bytes,owners,unseen,live,begun,peers,attribution,\
    name,name_source,name_age_s,name_ttl_s,name_others\n";

fn int(n: impl Into<u64>) -> Cell {
    Cell::Int(n.into())
}

fn word(text: impl Into<String>) -> Cell {
    Cell::Word(text.into())
}

/// Why a connection has no process, in words.
pub(super) fn unattributed(change: &Change) -> &'static str {
    match change.attribution {
        Attribution::Procfs => "held by no process that /proc shows",
        _ => Reason::of(&change.conn).text(),
    }
}

fn yes(is: bool) -> Cell {
    word(if is { "true" } else { "false" })
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

/// `None`: unknown.
fn counts(of: Option<Carried>) -> Row {
    bytes_and_packets(of, of)
}

/// Bytes of `bytes`, packets of `packets`; `None`: unknown.
fn bytes_and_packets(bytes: Option<Carried>, packets: Option<Carried>) -> Row {
    let cell =
        |of: Option<Carried>, count: fn(Carried) -> u64| of.map_or(Cell::None, |of| int(count(of)));
    vec![
        ("rx_bytes", cell(bytes, |of| of.rx_bytes)),
        ("tx_bytes", cell(bytes, |of| of.tx_bytes)),
        ("rx_packets", cell(packets, |of| of.rx_packets)),
        ("tx_packets", cell(packets, |of| of.tx_packets)),
    ]
}

/// Marks rows that were polled.
fn mark(row: &mut Row, attribution: Attribution) {
    if attribution == Attribution::Procfs {
        row.push(("attribution", word(attribution.name())));
    }
}

/// Everything of a line but its type and time.
pub(super) fn change(change: &Change) -> Row {
    let conn = &change.conn;
    let mut row = match &conn.owner() {
        Some(owner) => who(owner),
        None => ["pid", "uid", "comm", "from"].map(|key| (key, Cell::None)).to_vec(),
    };
    let reason = conn.owner().is_none().then(|| word(unattributed(change)));
    row.push(("unattributed", reason.unwrap_or(Cell::None)));
    row.push(("shared", yes(conn.shared || conn.shares.len() > 1)));
    row.push(("holders", Cell::Rows(change.holders.listed.iter().map(who).collect())));
    row.push(("more_holders", int(change.holders.more)));
    row.extend([
        ("protocol", word(protocol_name(conn.protocol))),
        ("local_ip", word(conn.local.ip().to_string())),
        ("local_port", int(conn.local.port())),
    ]);
    // A datagram socket that is not connected has no peer of its own.
    row.extend(match conn.remote.port() {
        0 => [("remote_ip", Cell::None), ("remote_port", Cell::None)],
        port => [("remote_ip", word(conn.remote.ip().to_string())), ("remote_port", int(port))],
    });
    row.push(("netns", int(conn.netns)));
    // JSON numbers beyond 2^53 lose digits in many readers.
    row.push(("cookie", word(conn.cookie.to_string())));
    let errno = i32::try_from(conn.error).ok().filter(|e| *e != 0);
    row.push(("errno", errno.map_or(Cell::None, |e| word(errno_name(e)))));
    row.extend(quality(conn));
    row.extend(name(change));
    if change.what == What::Close {
        row.push(("since", conn.since.map_or(Cell::None, Cell::Time)));
        let lasted = conn.since.map(|since| Cell::Seconds(change.at.since(since)));
        row.push(("duration_s", lasted.unwrap_or(Cell::None)));
        // MPTCP does not count the packets of its subflows.
        let counts_packets = !conn.stream || conn.tcp.is_some();
        let carried = change.carried();
        row.extend(bytes_and_packets(carried, carried.filter(|_| counts_packets)));
        let queued = Some(conn).filter(|_| change.attribution == Attribution::Call);
        row.push(("queued_bytes", queued.and_then(Conn::queued).map_or(Cell::None, int)));
        row.push(("owners", Cell::Rows(shares(change))));
        row.push(("unseen", yes(change.unseen)));
    }
    mark(&mut row, change.attribution);
    row
}

/// The name of the peer that was asked for.
fn name(change: &Change) -> Row {
    let named = change.name.as_ref();
    let of = |cell: fn(&OwnedName) -> Cell| named.map_or(Cell::None, cell);
    let age = named.map(|named| Cell::Seconds(change.at.since(named.at)));
    vec![
        ("name", of(|named| Cell::Text(named.name.to_vec()))),
        ("name_source", of(|named| word(named.source.name()))),
        ("name_age_s", age.unwrap_or(Cell::None)),
        ("name_ttl_s", of(|named| named.ttl_s.map_or(Cell::None, int))),
        ("name_others", of(|named| int(named.others as u64))),
    ]
}

/// TCP's state and quality.
fn quality(conn: &Conn) -> Row {
    let of = &conn.quality;
    let known = |n: Option<u32>| n.map_or(Cell::None, int);
    vec![
        ("state", conn.tcp_state().map_or(Cell::None, |state| word(state.name()))),
        ("connect_us", known(of.connect_us)),
        ("srtt_us", known(of.srtt_us)),
        ("rttvar_us", known(of.rttvar_us)),
        ("retransmits", known(of.retransmits)),
        ("lost", known(of.lost)),
        ("reordering", known(of.reordering)),
        ("cwnd", known(of.cwnd)),
        ("delivery_bps", of.delivery_bps.map_or(Cell::None, int)),
    ]
}

/// The processes of a socket, each with the bytes of its calls.
fn shares(change: &Change) -> Vec<Row> {
    let (conn, whole) = (&change.conn, change.carried());
    let share = |share: &Share| {
        let mut row = who(&share.owner);
        row.extend(match change.attribution {
            // A stream's packets are the socket's: of several processes none is known to cause them.
            Attribution::Call if conn.stream => {
                let sole = conn.shares.len() == 1 && conn.tcp.is_some();
                bytes_and_packets(Some(share.carried), whole.filter(|_| sole))
            }
            Attribution::Call => counts(Some(share.carried)),
            Attribution::Connection => counts(whole),
            // A poll knows the socket's counts, and not which process caused them.
            Attribution::Procfs => counts(None),
        });
        row
    };
    conn.shares.iter().map(share).collect()
}

/// A process in the interval's table.
pub(super) fn process(net: &Net, attribution: Attribution) -> Row {
    let mut row = who(&net.owner);
    row.retain(|(key, _)| *key != "from");
    row.extend(counts((attribution != Attribution::Procfs).then_some(net.total)));
    row.extend([
        ("live", int(net.live)),
        ("begun", int(net.begun)),
        ("peers", int(net.peers)),
        ("shared", yes(net.shared)),
    ]);
    mark(&mut row, attribution);
    row
}

/// Everything of the interval's line but its type and time. `processes` are the chosen ones; the
/// traffic of all others is in `other`.
pub(super) fn owners(owners: &Connections, processes: &[&Net]) -> Row {
    let chosen = processes.iter().fold(Carried::default(), |sum, net| sum + net.total);
    let other = owners.total.minus(chosen + owners.unattributed.total());
    let mut row = vec![
        ("interval_s", Cell::Seconds(owners.interval_ns)),
        ("live", int(owners.live() as u64)),
    ];
    let polled = owners.polled();
    row.extend(counts((!polled).then_some(owners.total)));
    let parts = owners.unattributed.parts();
    let parts = parts.map(|(reason, part)| (reason.name(), Cell::Row(carried(part))));
    let known = |row: Row| if polled { Cell::None } else { Cell::Row(row) };
    row.push(("unattributed", known(parts.collect())));
    row.push(("other", known(carried(other))));
    row.push(("evicted", int(owners.evicted)));
    let failed = |(why, n): (Failure, u64)| (why.name(), int(n));
    let failures = owners.turnover.failed.parts().map(failed);
    // A poll finds connections when they are established.
    row.push(("failed", if polled { Cell::None } else { Cell::Row(failures.collect()) }));
    row.push(("left_out", Cell::Row(left_out(&owners.limits))));
    row.push(("names", names(&owners.hostnames)));
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

/// Packets and names without effect; none where names are off.
fn names(hostnames: &Hostnames) -> Cell {
    if !hostnames.on {
        return Cell::None;
    }
    let mut row: Row = hostnames.counts.parts().map(|(name, n)| (name, int(n))).to_vec();
    row.push(("forgotten", int(hostnames.evicted)));
    Cell::Row(row)
}

/// Counts of events without room in the kernel's tables.
fn left_out(limits: &Limits) -> Row {
    vec![
        ("sockets", int(limits.sockets)),
        ("sharers", int(limits.sharers)),
        ("peers", int(limits.peers)),
        ("unknown_peers", int(limits.unknown_peers)),
    ]
}
