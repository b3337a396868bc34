//! A row by connection, and its keys.

use crate::model::conn::{Carried, Conn, protocol_name};
use crate::model::connections::Change;
use crate::model::errno::errno_name;
use crate::stream::record::{Seconds, Text, Visitor, key};

/// A connection, as it was at the end or when it ended.
#[derive(Clone, Debug)]
pub struct ConnRow {
    pub(super) change: Change,
    pub(super) is_open: bool,
}

/// Which connection it is, by the keys of its lines.
pub(super) fn ends<'a, R: Copy, V: Visitor<R>>(
    v: &mut V,
    of: impl Fn(R) -> Option<&'a ConnRow> + Copy,
) {
    let conn = move |r: R| of(r).map(|row| &row.change.conn);
    v.field(key!("open", "true where it was open at the end; null for other"), move |r| {
        of(r).map(|row| row.is_open)
    });
    v.field(key!("protocol", "tcp, udp, or the number; null for other"), move |r| {
        conn(r).map(|c| protocol_name(c.protocol))
    });
    v.field(key!("local_ip", "its own address; null for other"), move |r| {
        conn(r).map(|c| c.local.ip())
    });
    v.field(key!("local_port", "its own port; null for other"), move |r| {
        conn(r).map(|c| c.local.port())
    });
    let remote = move |r: R| conn(r).map(|c| c.remote).filter(|end| end.port() != 0);
    v.field(key!("remote_ip", "the peer's address; null where there is no single one"), move |r| {
        remote(r).map(|end| end.ip())
    });
    v.field(key!("remote_port", "the peer's port; null as for remote_ip"), move |r| {
        remote(r).map(|end| end.port())
    });
    let name = move |r: R| of(r).and_then(|row| row.change.name.as_ref());
    v.field(
        key!("name", "name of the peer that was asked for, with --names; else null"),
        move |r| name(r).map(|named| Text(&named.name)),
    );
    v.field(key!("name_source", "dns, mdns, llmnr or sni; null as for name"), move |r| {
        name(r).map(|named| named.source.name())
    });
    v.field(key!("netns", "inode number of its network namespace; null for other"), move |r| {
        conn(r).map(|c| c.netns)
    });
    v.field(
        key!("shared", "true where several processes used it or had it open; null for other"),
        move |r| conn(r).map(|c| c.shared || c.shares.len() > 1),
    );
    v.field(
        key!("state", "TCP's state at the end, or before it ended; null for others"),
        move |r| conn(r).and_then(Conn::tcp_state).map(|state| state.name()),
    );
    v.field(
        key!("errno", "name of the error of a connect that failed, or that broke it; else null"),
        move |r| {
            let errno = conn(r).and_then(|c| i32::try_from(c.error).ok());
            errno.filter(|errno| *errno != 0).map(errno_name)
        },
    );
    v.field(
        key!(
            "duration_s",
            ["s"],
            "time since it began, until it ended or until the end; null where it is older than the probe"
        ),
        move |r| {
            let change = of(r).map(|row| &row.change)?;
            Some(Seconds(change.at.since(change.conn.since?)))
        },
    );
}

/// The packets and the quality of a connection.
pub(super) fn quality<'a, R: Copy, V: Visitor<R>>(
    v: &mut V,
    of: impl Fn(R) -> Option<&'a ConnRow> + Copy,
) {
    let carried = move |r: R| -> Option<Carried> {
        let change = of(r).map(|row| &row.change)?;
        // MPTCP does not count the packets of its subflows.
        let counts = !change.conn.stream || change.conn.tcp.is_some();
        change.carried().filter(|_| counts)
    };
    v.field(key!("rx_packets", "packets of these; null where unknown, and for other"), move |r| {
        carried(r).map(|c| c.rx_packets)
    });
    v.field(key!("tx_packets", "packets of these; null as for rx_packets"), move |r| {
        carried(r).map(|c| c.tx_packets)
    });
    let quality = move |r: R| of(r).map(|row| row.change.conn.quality);
    v.field(
        key!(
            "connect_us",
            ["µs"],
            "duration of the handshake, or until it failed; null where unknown"
        ),
        move |r| quality(r).and_then(|q| q.connect_us),
    );
    v.field(
        key!("srtt_us", ["µs"], "smoothed round-trip time of TCP; null where unknown"),
        move |r| quality(r).and_then(|q| q.srtt_us),
    );
    v.field(key!("rttvar_us", ["µs"], "its mean deviation; null as for srtt_us"), move |r| {
        quality(r).and_then(|q| q.rttvar_us)
    });
    v.field(key!("retransmits", "segments sent again; null where unknown"), move |r| {
        quality(r).and_then(|q| q.retransmits)
    });
    v.field(key!("lost", "segments that TCP took for lost; null where unknown"), move |r| {
        quality(r).and_then(|q| q.lost)
    });
    v.field(
        key!("reordering", "times that segments came out of order; null where unknown"),
        move |r| quality(r).and_then(|q| q.reordering),
    );
    v.field(key!("cwnd", "congestion window, segments; null where unknown"), move |r| {
        quality(r).and_then(|q| q.cwnd)
    });
    v.field(
        key!("delivery_bps", ["bits/s"], "latest delivery rate; null where unknown"),
        move |r| quality(r).and_then(|q| q.delivery_bps),
    );
}
