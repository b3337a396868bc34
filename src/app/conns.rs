//! The table of connections in the talkers pane: its state and its rows.

use strum::VariantArray;

use super::list::{List, RowId};
use super::order;
use crate::model::cgroup::KnownCgroups;
use crate::model::conn::Conn;
use crate::model::connections::{Closed, Connections};
use crate::model::field::conns::ConnRowData;
use crate::model::filter::{Filter, ProcessInfo};
use crate::model::opens::{Opens, Process};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

pub use crate::model::field::conns::ConnsSort;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnRow {
    Live(Slot),
    /// The number of one that has ended: see [`Connections::closed_conn`].
    Closed(u64),
}

/// The tables, and what rows have to match.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    pub connections: &'a Connections,
    pub opens: &'a Opens,
    pub cgroups: &'a KnownCgroups,
    pub filter: &'a Filter,
    /// The processes whose ancestors match, if the filter is about ancestors.
    pub descended: Option<&'a hashbrown::HashSet<ProcessKey>>,
    pub new_since: Option<Mono>,
    pub now: Mono,
}

impl<'a> Choose<'a> {
    fn process(&self, conn: &Conn) -> Option<&'a Process> {
        process_of(self.opens, conn)
    }

    fn matches(&self, row: &ConnRowData<'_>) -> bool {
        let conn = row.conn;
        let is_new = |mark: Mono| conn.since.is_some_and(|since| since > mark);
        self.new_since.is_none_or(is_new)
            && self.filter.connection(conn, row.state(), &conn.quality)
            && (!self.filter.chooses_processes() || self.owner(conn))
    }

    fn owner(&self, conn: &Conn) -> bool {
        let Some(owner) = conn.owner() else { return false };
        let process = self.process(conn);
        let known = process.map(Process::names);
        let comm = owner.comm;
        let only = [comm.as_bytes()];
        let names = match &known {
            Some((names, n)) => names.get(..*n).unwrap_or_default(),
            None => &only,
        };
        let cgroup = process.and_then(|p| p.cgroup_id).and_then(|id| self.cgroups.get(id));
        let who = ProcessInfo { names, tgid: owner.key.tgid, uid: owner.uid, cgroup };
        self.filter.process(&who) && self.descended.is_none_or(|all| all.contains(&owner.key))
    }
}

/// The process of a connection, while it is in the table.
fn process_of<'a>(opens: &'a Opens, conn: &Conn) -> Option<&'a Process> {
    opens.processes().get(opens.find(conn.owner()?.key)?)
}

/// The connection of a row.
pub(super) fn conn_of(connections: &Connections, row: ConnRow) -> Option<&Conn> {
    match row {
        ConnRow::Live(slot) => connections.conn(slot),
        ConnRow::Closed(number) => connections.closed_conn(number).map(|closed| &closed.conn),
    }
}

/// The data of a row.
pub fn data_of<'a>(
    connections: &'a Connections,
    opens: &'a Opens,
    row: ConnRow,
    now: Mono,
) -> Option<ConnRowData<'a>> {
    let (conn, closed, delta): (&Conn, Option<&Closed>, _) = match row {
        ConnRow::Live(slot) => (connections.conn(slot)?, None, connections.conn_delta(slot)),
        ConnRow::Closed(number) => {
            let closed = connections.closed_conn(number)?;
            (&closed.conn, Some(closed), None)
        }
    };
    let share = conn.shares.get(conn.current);
    let process = match process_of(opens, conn) {
        Some(process) => process.name.as_bytes(),
        None => share.map_or(&b""[..], |share| share.owner.comm.as_bytes()),
    };
    let (interval_ns, carried) = (connections.interval_ns, connections.carried_by(conn));
    Some(ConnRowData { conn, process, closed, delta, interval_ns, carried, now })
}

/// The state of the table.
#[derive(Debug, Default)]
pub struct ConnsTable {
    pub sort: ConnsSort,
    pub reverse: bool,
    pub list: List,
    pub rows: Vec<ConnRow>,
    /// The cookie of the connection whose details are open.
    pub inside: Option<u64>,
    pub matched: usize,
    pub of: usize,
}

impl ConnsTable {
    pub(super) fn next_sort(&mut self) {
        self.sort = order::next_of(ConnsSort::VARIANTS, self.sort).unwrap_or_default();
        self.reverse = false;
    }

    /// Orders by `sort`; the same again reverses.
    pub(super) fn sort_by(&mut self, sort: ConnsSort) {
        let current = self.sort;
        order::choose((&mut self.sort, &mut self.reverse), current, sort);
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<ConnRow> {
        self.rows.get(self.list.cursor).copied()
    }

    /// The row of the open connection: of one that ended with its last end.
    pub fn open_row(&self, connections: &Connections) -> Option<ConnRow> {
        let cookie = self.inside?;
        let live = connections.live_conns().find(|(_, conn)| conn.cookie == cookie);
        let closed = || {
            let all = connections.closed_lately();
            all.filter(|(_, closed)| closed.conn.cookie == cookie).last()
        };
        live.map(|(slot, _)| ConnRow::Live(slot))
            .or_else(|| closed().map(|(number, _)| ConnRow::Closed(number)))
    }

    /// Identifies a row while it is in its table.
    pub(super) fn id(row: ConnRow) -> RowId {
        match row {
            ConnRow::Live(slot) => (0, slot.id()),
            ConnRow::Closed(number) => (1, number),
        }
    }

    /// Builds the rows: filtered and ordered, ended ones last.
    pub(super) fn build(&mut self, choose: &Choose<'_>) {
        let Choose { connections, opens, now, .. } = *choose;
        let live = connections.live_conns().map(|(slot, _)| ConnRow::Live(slot));
        let closed = connections.closed_lately().map(|(number, _)| ConnRow::Closed(number));
        let all = live.chain(closed);
        let mut rows: Vec<(ConnRow, ConnRowData<'_>)> =
            all.filter_map(|row| Some((row, data_of(connections, opens, row, now)?))).collect();
        self.of = rows.len();
        rows.retain(|(_, row)| choose.matches(row));
        rows.sort_unstable_by(|(_, a), (_, b)| a.compare(b, self.sort, self.reverse));
        self.matched = rows.len();
        self.rows.clear();
        self.rows.extend(rows.into_iter().map(|(row, _)| row));
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        (self.matched, self.of) = (0, 0);
    }

    /// Takes over new rows: the cursor stays on a row, or on the followed one.
    pub(super) fn settle(&mut self, height: usize) {
        let id = self.list.follow;
        let followed = id.and_then(|id| self.rows.iter().position(|r| Self::id(*r) == id));
        self.list.settle(followed, self.rows.len(), height);
    }
}
