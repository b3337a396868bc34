//! The table of connections in the talkers pane: its state and its rows.

use hashbrown::{HashMap, HashSet};

use super::list::{List, RowId};
use super::opens::{fingerprint, id_of};
use super::order;
use crate::model::cgroup::KnownCgroups;
use crate::model::conn::Conn;
use crate::model::connections::{Closed, Connections};
use crate::model::field::conn_groups::{ConnGroup, ConnGroupKey, Grouping};
use crate::model::field::conns::{ConnRowData, ConnsColumn};
use crate::model::field::{conn_groups, conns};
use crate::model::filter::{Filter, ProcessInfo};
use crate::model::open::Comm;
use crate::model::opens::{GroupKey, Opens, Place, Process};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;

pub use crate::model::field::conns::ConnsSort;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnRow {
    /// The index in [`ConnsTable::groups`].
    Group(usize),
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
            && self.filter.connection(
                conn,
                row.name.map(|named| named.name),
                row.state(),
                &conn.quality,
            )
            && (!self.filter.chooses_processes() || self.owner(conn))
    }

    fn group_of(&self, grouping: Grouping, row: &ConnRowData<'_>) -> ConnGroupKey {
        let conn = row.conn;
        match grouping {
            Grouping::Peer if conn.remote.port() == 0 => ConnGroupKey::NoPeer,
            Grouping::Peer => ConnGroupKey::Peer(conn.peer(conn.remote.ip())),
            Grouping::None | Grouping::Program if row.process.is_empty() => {
                ConnGroupKey::Unattributed
            }
            Grouping::None | Grouping::Program => {
                let cgroup = self.process(conn).and_then(|process| process.cgroup_id);
                let place = Place::of(cgroup, self.cgroups);
                ConnGroupKey::Program(GroupKey { name: Comm::new(row.process), place })
            }
        }
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
        ConnRow::Group(_) => None,
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
    type Found<'a> = (&'a Conn, Option<&'a Closed>, Option<[u64; 2]>, bool);
    let (conn, closed, delta, is_new): Found<'_> = match row {
        ConnRow::Group(_) => return None,
        ConnRow::Live(slot) => {
            let (delta, is_new) = (connections.conn_delta(slot), connections.is_new_conn(slot));
            (connections.conn(slot)?, None, delta, is_new)
        }
        ConnRow::Closed(number) => {
            let closed = connections.closed_conn(number)?;
            let lately = connections.ended_in_interval(number);
            (&closed.conn, Some(closed), closed.delta.filter(|_| lately), lately && closed.is_new)
        }
    };
    let share = conn.shares.get(conn.current);
    let process = match process_of(opens, conn) {
        Some(process) => process.name.as_bytes(),
        None => share.map_or(&b""[..], |share| share.owner.comm.as_bytes()),
    };
    let (interval_ns, carried) = (connections.interval_ns, connections.carried_by(conn));
    let polled = connections.polled();
    let name = connections.hostnames.of(conn);
    Some(ConnRowData {
        conn,
        process,
        name,
        closed,
        delta,
        is_new,
        polled,
        interval_ns,
        carried,
        now,
    })
}

/// Identifies a group while it is in its table.
fn id_of_group(key: &ConnGroupKey) -> u64 {
    match key {
        ConnGroupKey::Program(key) => id_of(key),
        ConnGroupKey::Unattributed => 0,
        ConnGroupKey::NoPeer => 1,
        ConnGroupKey::Peer(peer) => {
            let seed = u64::from(peer.netns) << 32 | u64::from(peer.scope);
            fingerprint(peer.ip.to_string().as_bytes(), seed)
        }
    }
}

/// The state of the table.
#[derive(Debug, Default)]
pub struct ConnsTable {
    pub sort: ConnsSort,
    pub reverse: bool,
    pub list: List,
    pub rows: Vec<ConnRow>,
    pub grouping: Grouping,
    pub groups: Vec<ConnGroup>,
    /// The groups whose connections are listed below them.
    pub unfolded: HashSet<ConnGroupKey>,
    /// The cookie of the connection whose details are open.
    pub inside: Option<u64>,
    pub matched: usize,
    pub of: usize,
}

impl ConnsTable {
    /// The columns of its rows.
    pub fn columns(&self) -> &'static [ConnsColumn] {
        match self.grouping {
            Grouping::None => &conns::COLUMNS,
            Grouping::Program | Grouping::Peer => &conn_groups::COLUMNS,
        }
    }

    pub(super) fn next_sort(&mut self) {
        let offered = ConnsSort::offered(self.columns());
        self.sort = order::next_of(&offered, self.sort).unwrap_or_default();
        self.reverse = false;
    }

    /// Groups the rows in the next way.
    pub(super) fn next_grouping(&mut self) {
        self.grouping = self.grouping.next();
        self.unfolded.clear();
        self.list = List::default();
        if !ConnsSort::offered(self.columns()).contains(&self.sort) {
            self.sort = ConnsSort::default();
        }
    }

    /// Lists the connections of the group under the cursor, or hides those of the one that it is in; `None`
    /// changes between the two. True where that changes the rows.
    pub(super) fn fold(&mut self, show: Option<bool>) -> bool {
        let above = self.rows.get(..=self.list.cursor).unwrap_or_default();
        let group = above.iter().rposition(|row| matches!(row, ConnRow::Group(_)));
        let Some((at, ConnRow::Group(group))) =
            group.and_then(|at| Some((at, *self.rows.get(at)?)))
        else {
            return false;
        };
        let Some(key) = self.groups.get(group).map(|group| group.key.clone()) else { return false };
        let is_shown = self.unfolded.contains(&key);
        if show.unwrap_or(!is_shown) {
            return self.unfolded.insert(key);
        }
        self.list.jump(at, self.rows.len());
        self.unfolded.remove(&key)
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

    /// The group under the cursor.
    pub fn selected_group(&self) -> Option<&ConnGroupKey> {
        match self.selected()? {
            ConnRow::Group(at) if self.inside.is_none() => {
                self.groups.get(at).map(|group| &group.key)
            }
            _ => None,
        }
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
    pub(super) fn id(&self, row: ConnRow) -> RowId {
        match row {
            ConnRow::Group(at) => {
                (2, self.groups.get(at).map_or(0, |group| id_of_group(&group.key)))
            }
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
        self.matched = rows.len();
        self.rows.clear();
        self.groups.clear();
        if self.grouping == Grouping::None {
            return self.push_sorted(rows);
        }
        let mut at: HashMap<ConnGroupKey, usize> = HashMap::new();
        let mut groups: Vec<(ConnGroup, Vec<_>)> = Vec::new();
        for (row, data) in rows {
            let key = choose.group_of(self.grouping, &data);
            let at = *at.entry(key).or_insert_with_key(|key| {
                groups.push((ConnGroup::new(key.clone()), Vec::new()));
                groups.len() - 1
            });
            if let Some((group, members)) = groups.get_mut(at) {
                group.add(&data);
                members.push((row, data));
            }
        }
        groups.sort_unstable_by(|(a, _), (b, _)| a.compare(b, self.sort, self.reverse));
        self.unfolded.retain(|key| at.contains_key(key));
        for (group, members) in groups {
            self.rows.push(ConnRow::Group(self.groups.len()));
            let is_unfolded = self.unfolded.contains(&group.key);
            self.groups.push(group);
            if is_unfolded {
                self.push_sorted(members);
            }
        }
    }

    fn push_sorted(&mut self, mut rows: Vec<(ConnRow, ConnRowData<'_>)>) {
        rows.sort_unstable_by(|(_, a), (_, b)| a.compare(b, self.sort, self.reverse));
        self.rows.extend(rows.into_iter().map(|(row, _)| row));
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.groups.clear();
        (self.matched, self.of) = (0, 0);
    }

    /// Takes over new rows: the cursor stays on a row, or on the followed one.
    pub(super) fn settle(&mut self, height: usize) {
        let id = self.list.follow;
        let followed = id.and_then(|id| self.rows.iter().position(|r| self.id(*r) == id));
        self.list.settle(followed, self.rows.len(), height);
    }
}
