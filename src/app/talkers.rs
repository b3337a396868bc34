//! The talkers pane's state and rows.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::conns::ConnsTable;
use super::list::{List, RowId};
use super::listeners::ListenersTable;
use super::related::{MAX_DEPTH, Related};
use super::{PaneRoom, order};
use crate::model::conn::{PacketPoint, PeerAddr};
use crate::model::connections::Connections;
use crate::model::field::talkers::Measures;
use crate::model::filter::Filter;
use crate::model::opens::Opens;
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::time::Mono;
use crate::model::wire::{Interface, Wire};

pub use crate::model::field::talkers::{DirectionFilter, TalkersSort};

/// The tables of the pane, in the sequence in which the key for the next view goes through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TalkersView {
    #[default]
    Addresses,
    Connections,
    Listeners,
}

impl TalkersView {
    /// The next one; after the last one the first.
    pub fn next(self) -> Self {
        match self {
            Self::Addresses => Self::Connections,
            Self::Connections => Self::Listeners,
            Self::Listeners => Self::Addresses,
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalkerRow {
    Talker(Slot),
    /// Traffic without a row: not IP, or of evicted addresses.
    Other,
}

/// The table, and what rows have to match.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    pub wire: &'a Wire,
    /// Indices of the watched interfaces in [`Wire::ports`].
    pub ports: &'a [usize],
    /// Connections and their processes, if they are known.
    pub connections: Option<&'a Connections>,
    /// The watched interfaces, as places that packets pass; empty: unknown.
    pub at: &'a [PacketPoint],
    pub filter: &'a Filter,
    pub new_since: Option<Mono>,
    pub now: Mono,
}

/// The view from which a talker was opened.
#[derive(Clone, Debug)]
pub struct Trail {
    pub inside: Option<Slot>,
    pub related: List,
    /// The name of the detail view in the other pane, if it was opened from there.
    pub from: Option<String>,
}

/// The processes that exchange data with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The one with the most traffic: in the last interval, then since the start.
    pub key: ProcessKey,
    /// How many others there are.
    pub more: usize,
    weight: (u64, u64),
}

/// Finds the processes of all addresses whose packets can pass one of these places.
fn behind(connections: &Connections, at: &[PacketPoint]) -> HashMap<IpAddr, Behind> {
    let mut found: HashMap<IpAddr, Behind> = HashMap::new();
    let passes = |peer: PeerAddr| at.is_empty() || at.iter().any(|point| peer.can_pass(point));
    for pair in connections.pairs().filter(|pair| passes(pair.peer)) {
        let weight = (pair.delta.bytes(), pair.total.bytes());
        let new = Behind { key: pair.key, more: 0, weight };
        let held = found.entry(pair.peer.ip);
        held.and_modify(|held| {
            let more = held.more + 1;
            let rank = |b: &Behind| (b.weight, b.key.tgid);
            *held = if rank(&new) > rank(held) { new } else { *held };
            held.more = more;
        })
        .or_insert(new);
    }
    found
}

/// The state of the pane.
#[derive(Debug, Default)]
pub struct TalkersPane {
    /// The table that is shown.
    pub view: TalkersView,
    pub conns: ConnsTable,
    pub listeners: ListenersTable,
    /// The directions chosen with a key; else by the interface.
    pub chosen: Option<DirectionFilter>,
    pub sort: TalkersSort,
    pub reverse: bool,
    /// Names are shown beside addresses.
    pub names: bool,
    pub list: List,
    pub rows: Vec<TalkerRow>,
    /// The talker whose detail view is open.
    pub inside: Option<Slot>,
    /// The processes behind that address.
    pub related: Related,
    /// The views from which it was opened, the last one last.
    pub trail: Vec<Trail>,
    /// Indices of the watched interfaces in [`Wire::ports`].
    pub ports: Vec<usize>,
    /// The interfaces of `ports` whose frames add up: those that are not stacked on others.
    pub summed: Vec<usize>,
    /// The processes of addresses, as far as they are known.
    pub behind: HashMap<IpAddr, Behind>,
    pub matched: usize,
    pub of: usize,
}

impl TalkersPane {
    /// The directions that are shown; on `lo` alone one, since each packet is there twice.
    pub fn ways(&self, wire: &Wire) -> DirectionFilter {
        let mut ports = self.ports.iter().filter_map(|p| wire.ports().get(*p)).peekable();
        let lo = ports.peek().is_some() && ports.all(Interface::loopback);
        self.chosen.unwrap_or(if lo { DirectionFilter::Rx } else { DirectionFilter::Both })
    }

    pub(super) fn next_sort(&mut self, ways: DirectionFilter) {
        self.sort = order::next_of(&TalkersSort::offered(ways), self.sort).unwrap_or_default();
        self.reverse = false;
    }

    /// Orders by `sort`; the same again reverses.
    pub fn sort_by(&mut self, sort: TalkersSort) {
        let current = self.sort;
        order::choose((&mut self.sort, &mut self.reverse), current, sort);
    }

    /// Shows the next direction: rx, tx, both.
    pub(super) fn next_direction(&mut self, wire: &Wire) {
        let next = self.ways(wire).next();
        self.chosen = Some(next);
        if !TalkersSort::offered(next).contains(&self.sort) {
            self.sort = TalkersSort::default();
        }
    }

    /// Opens a talker; `from` names the detail view of the other pane from which it was opened. False
    /// if too many are open.
    pub(super) fn open(&mut self, slot: Slot, from: Option<String>) -> bool {
        if self.trail.len() >= MAX_DEPTH {
            return false;
        }
        let related = std::mem::take(&mut self.related.list);
        self.view = TalkersView::Addresses;
        self.trail.push(Trail { inside: self.inside, related, from });
        self.inside = Some(slot);
        true
    }

    /// Closes the talker; true if it was opened from the other pane.
    pub(super) fn close(&mut self) -> bool {
        let Some(trail) = self.trail.pop() else {
            self.inside = None;
            return false;
        };
        self.inside = trail.inside;
        self.related.list = trail.related;
        trail.from.is_some()
    }

    /// Shows another table, from its rows.
    pub(super) fn show(&mut self, view: TalkersView) {
        self.close_all();
        self.view = view;
    }

    /// The list of the table that is shown, and how long it is.
    pub fn shown_list(&self) -> (&List, usize) {
        match self.view {
            TalkersView::Addresses => (&self.list, self.rows.len()),
            TalkersView::Connections => (&self.conns.list, self.conns.rows.len()),
            TalkersView::Listeners => (&self.listeners.list, self.listeners.rows.len()),
        }
    }

    /// See [`Self::shown_list`].
    pub(super) fn shown_list_mut(&mut self) -> (&mut List, usize) {
        match self.view {
            TalkersView::Addresses => (&mut self.list, self.rows.len()),
            TalkersView::Connections => (&mut self.conns.list, self.conns.rows.len()),
            TalkersView::Listeners => (&mut self.listeners.list, self.listeners.rows.len()),
        }
    }

    /// Whether the pane shows details in place of rows.
    pub fn is_inside(&self) -> bool {
        match self.view {
            TalkersView::Addresses => self.inside.is_some(),
            TalkersView::Connections => self.conns.inside.is_some(),
            TalkersView::Listeners => false,
        }
    }

    /// Closes all talkers and connections.
    pub(super) fn close_all(&mut self) {
        self.conns.inside = None;
        self.inside = None;
        self.trail.clear();
    }

    /// The open talker, or the one under the cursor.
    pub(super) fn current(&self) -> Option<Slot> {
        let selected = match self.selected() {
            _ if self.view != TalkersView::Addresses => return None,
            Some(TalkerRow::Talker(slot)) => Some(slot),
            _ => None,
        };
        self.inside.or(selected)
    }

    /// Finds the processes behind the open talker whose packets can pass the watched interfaces.
    pub(super) fn relate(
        &mut self,
        wire: &Wire,
        opens: &Opens,
        owners: Option<&Connections>,
        at: &[PacketPoint],
    ) {
        self.related.clear();
        let talker = self.inside.and_then(|slot| wire.talkers().get(slot));
        if let (Some(talker), Some(owners)) = (talker, owners) {
            self.related.show_processes_of(owners, opens, talker.ip, at);
        }
    }

    /// Moves the cursor by `by` rows, of the open talker's processes if one is open.
    pub(super) fn step(&mut self, by: isize, room: PaneRoom) {
        if self.inside.is_some() {
            return self.related.step(by, room.related);
        }
        if self.is_inside() {
            return;
        }
        let (list, len) = self.shown_list_mut();
        list.step(by, len);
        list.scroll(len, room.rows);
    }

    /// Moves the cursor to a row, if it is there.
    pub(super) fn select(&mut self, row: TalkerRow, height: usize) {
        if let Some(at) = self.rows.iter().position(|r| *r == row) {
            self.list.jump(at, self.rows.len());
            self.settle(height);
        }
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<TalkerRow> {
        self.rows.get(self.list.cursor).copied()
    }

    /// Identifies a row while it is in its table.
    pub fn id(row: TalkerRow) -> RowId {
        match row {
            TalkerRow::Talker(slot) => (0, slot.id()),
            TalkerRow::Other => (1, 0),
        }
    }

    /// Builds the rows: filtered, ordered, `other` last.
    pub fn build(&mut self, choose: &Choose<'_>) {
        let ways = self.ways(choose.wire);
        let wire = choose.wire;
        self.behind = choose.connections.map(|all| behind(all, choose.at)).unwrap_or_default();
        self.of = 0;
        let mut items: Vec<(u64, u64, IpAddr, Slot)> = Vec::new();
        for (slot, talker) in wire.talkers().iter() {
            let held = ways.directions().iter().any(|d| talker.side(*d).held());
            if !held || !choose.ports.contains(&talker.port) {
                continue;
            }
            self.of += 1;
            if choose.filter.address(talker.ip)
                && choose.filter.peer(talker.ip)
                && choose.new_since.is_none_or(|mark| talker.first > mark)
            {
                let row = Measures { wire, talker, directions: ways, now: choose.now };
                let (number, more) = self.sort.weigh(&row);
                items.push((number, more, talker.ip, slot));
            }
        }
        type Item = (u64, u64, IpAddr, Slot);
        let by_address = self.sort == TalkersSort::Address;
        let compare = |a: &Item, b: &Item| {
            let numbers = b.0.cmp(&a.0).then(b.1.cmp(&a.1));
            let first = if by_address { std::cmp::Ordering::Equal } else { numbers };
            first.then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3))
        };
        if self.reverse {
            items.sort_unstable_by(|a, b| compare(b, a));
        } else {
            items.sort_unstable_by(compare);
        }
        self.matched = items.len();
        self.rows.clear();
        self.rows.extend(items.into_iter().map(|i| TalkerRow::Talker(i.3)));
        if !choose.ports.is_empty() && choose.filter.is_empty() && choose.new_since.is_none() {
            self.rows.push(TalkerRow::Other);
        }
    }

    /// Takes over new rows: the cursor stays on a row, or on the followed one.
    pub fn settle(&mut self, height: usize) {
        let id = self.list.follow;
        let followed = id.and_then(|id| self.rows.iter().position(|r| Self::id(*r) == id));
        self.list.settle(followed, self.rows.len(), height);
    }
}
