//! `report --by connection`: connections that were open at the end, and those that ended in the time.

use std::cmp::Reverse;

use super::conn_row::ConnRow;
use super::row::Row;
use crate::model::connections::{Change, Connections, What};
use crate::session::Choose;

/// Ended connections that are kept, about 1 KiB each: of twice as many the smaller half is added up in `other`.
const MOST_ENDED: usize = 16_384;

/// The connections so far.
#[derive(Debug, Default)]
pub(super) struct Conns {
    /// Those of the end.
    living: Vec<Change>,
    ended: Vec<Change>,
    /// Ended ones without room.
    smaller: Row,
}

impl Conns {
    /// Takes the connections at the end, as far as they are chosen.
    pub(super) fn take_living(&mut self, connections: &Connections, choose: &Choose) {
        self.living = connections.living().filter(|change| choose.connection(change)).collect();
    }

    /// Takes a change of a connection that is chosen.
    pub(super) fn take(&mut self, change: &Change) {
        if !matches!(change.what, What::Close | What::Failed) {
            return;
        }
        self.ended.push(change.clone());
        if self.ended.len() >= 2 * MOST_ENDED {
            self.ended.sort_by_key(|change| Reverse(bytes(change)));
            for change in self.ended.split_off(MOST_ENDED) {
                self.smaller.add(&row(change, false));
            }
        }
    }

    /// The largest rows, at most `top`, and all others added up in one.
    pub(super) fn rows(&self, top: usize) -> Vec<Row> {
        let living = self.living.iter().map(|change| (change, true));
        let mut all: Vec<(&Change, bool)> =
            self.ended.iter().map(|change| (change, false)).chain(living).collect();
        all.sort_by_key(|(change, _)| (Reverse(bytes(change)), change.at, change.conn.cookie));
        let mut rest = Row { other: true, ..self.smaller.clone() };
        let others = all.split_off(top.min(all.len()));
        others.into_iter().for_each(|(change, open)| rest.add(&row(change.clone(), open)));
        let rows = all.into_iter().map(|(change, open)| row(change.clone(), open));
        rows.chain((rest.connections > 0).then_some(rest)).collect()
    }
}

/// Why connections are in no row, `other` included; `None`: all are.
pub(super) fn missing(connections: &Connections) -> Option<String> {
    let parts = [
        (connections.left_out, "records without room in the table"),
        (connections.limits.sockets, "sockets without room in the kernel's table"),
        (connections.limits.lost.saturating_add(connections.dropped()), "lost events"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| format!("connections are missing: {}", parts.join(", ")))
}

fn bytes(change: &Change) -> u64 {
    change.carried().map_or(0, |carried| carried.bytes())
}

fn row(change: Change, is_open: bool) -> Row {
    let owner = change.conn.owner();
    let carried = change.carried();
    Row {
        process: owner.map(|owner| owner.comm.as_bytes().into()),
        pid: owner.map(|owner| owner.key.tgid),
        uid: owner.map(|owner| owner.uid),
        connections: 1,
        rx_bytes: carried.map(|c| c.rx_bytes),
        tx_bytes: carried.map(|c| c.tx_bytes),
        connection: Some(Box::new(ConnRow { change, is_open })),
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::conn::{Carried, Conn, ConnectionsBatch, Limits, Owner, OwnerFrom, Share};
    use crate::model::connections::{Bounds, Holders, sample};
    use crate::model::coverage::Attribution;
    use crate::model::open::Comm;
    use crate::model::process::ProcessKey;
    use crate::model::time::Mono;

    #[test]
    fn connections_without_a_row_are_counted() {
        let mut connections = Connections::with_bounds(Bounds { conns: 1, ..Bounds::default() });
        let batch = |cookies: &[u64], lost| ConnectionsBatch {
            events: cookies.iter().map(|cookie| sample(*cookie)).collect(),
            limits: Limits { lost, ..Limits::default() },
            ..ConnectionsBatch::default()
        };
        connections.apply(&batch(&[1], 0));
        assert_eq!(missing(&connections), None);
        connections.apply(&batch(&[1, 2], 3));
        assert_eq!(
            missing(&connections).unwrap(),
            "connections are missing: 1 records without room in the table, 3 lost events"
        );
    }

    #[test]
    fn the_largest_have_rows_and_the_others_are_added_up() {
        let owner = Owner {
            key: ProcessKey { tgid: 7, start_boottime_ns: 1 },
            uid: 0,
            comm: Comm::new(b"web"),
            from: OwnerFrom::Made,
        };
        let closed = |bytes: u64| {
            let carried = Carried { rx_bytes: bytes, ..Carried::default() };
            let conn = Conn { shares: vec![Share { owner, carried }], tcp: None, ..sample(bytes) };
            Change {
                what: What::Close,
                conn,
                holders: Holders::default(),
                unseen: false,
                at: Mono(1),
                attribution: Attribution::Call,
                name: None,
            }
        };
        let mut conns = Conns::default();
        let all = 3 * MOST_ENDED as u64;
        (1..=all).for_each(|bytes| conns.take(&closed(bytes)));
        assert!(conns.ended.len() <= 2 * MOST_ENDED);
        let rows = conns.rows(3);
        let received: Vec<_> = rows.iter().map(|row| row.rx_bytes.unwrap()).collect();
        let sum = all * (all + 1) / 2;
        assert_eq!(received, [all, all - 1, all - 2, sum - (3 * all - 3)]);
        assert_eq!((rows[3].other, rows[3].connections), (true, all - 3));
        // Those that are open have rows beside them.
        conns.living = vec![closed(all)];
        assert_eq!(conns.rows(1)[1].connections, all);
    }
}
