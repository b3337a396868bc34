//! The talkers pane's state and rows.

use std::net::IpAddr;

use super::list::{List, RowId};
use super::related::Related;
use crate::model::field::talkers::Measures;
use crate::model::filter::Filter;
use crate::model::slab::Slot;
use crate::model::time::Mono;
use crate::model::wire::{Interface, Wire};

pub use crate::model::field::talkers::{DirectionFilter, TalkersSort};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalkerRow {
    Talker(Slot),
    /// What no held address accounts for, of all that is watched.
    Other,
}

/// What chooses the rows.
#[derive(Clone, Copy, Debug)]
pub struct Choose<'a> {
    pub wire: &'a Wire,
    /// Places among [`Wire::ports`] of what is watched.
    pub ports: &'a [usize],
    pub filter: &'a Filter,
    pub new_since: Option<Mono>,
    pub now: Mono,
}

/// Where one was before going into a talker.
#[derive(Clone, Debug)]
pub struct Trail {
    pub inside: Option<Slot>,
    /// The cursor among what belongs to that one.
    pub related: List,
    /// What was looked into in the other pane, where one came from there.
    pub way: Option<String>,
}

/// The state of the pane.
#[derive(Debug, Default)]
pub struct TalkersPane {
    /// Chosen with a key; else by the interface.
    pub chosen: Option<DirectionFilter>,
    pub sort: TalkersSort,
    pub reverse: bool,
    /// Addresses are shown with their names.
    pub names: bool,
    pub list: List,
    pub rows: Vec<TalkerRow>,
    /// The talker that is looked into.
    pub inside: Option<Slot>,
    /// The processes behind it.
    pub related: Related,
    /// The way there.
    pub trail: Vec<Trail>,
    /// Watched interfaces, as places among [`Wire::ports`].
    pub ports: Vec<usize>,
    /// Those of them whose frames add up: without the ones that are stacked on top of others.
    pub summed: Vec<usize>,
    pub matched: usize,
    pub of: usize,
}

impl TalkersPane {
    /// Which directions are shown: on `lo` alone each packet is there twice, so one of them.
    pub fn ways(&self, wire: &Wire) -> DirectionFilter {
        let mut ports = self.ports.iter().filter_map(|p| wire.ports().get(*p)).peekable();
        let lo = ports.peek().is_some() && ports.all(Interface::loopback);
        self.chosen.unwrap_or(if lo { DirectionFilter::Rx } else { DirectionFilter::Both })
    }

    /// The next order.
    pub fn next_sort(&mut self, ways: DirectionFilter) {
        let sorts = TalkersSort::offered(ways);
        let at = sorts.iter().position(|s| *s == self.sort).unwrap_or(0);
        self.sort = sorts.iter().cycle().nth(at + 1).copied().unwrap_or_default();
        self.reverse = false;
    }

    /// Orders by `sort`; once more turns it round.
    pub fn sort_by(&mut self, sort: TalkersSort) {
        self.reverse = self.sort == sort && !self.reverse;
        self.sort = sort;
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<TalkerRow> {
        self.rows.get(self.list.cursor).copied()
    }

    /// What names a row as long as it is held.
    pub fn id(row: TalkerRow) -> RowId {
        match row {
            TalkerRow::Talker(slot) => (0, slot.id()),
            TalkerRow::Other => (1, 0),
        }
    }

    /// Builds the rows anew: chosen, ordered, `other` last.
    pub fn build(&mut self, choose: &Choose<'_>) {
        let ways = self.ways(choose.wire);
        let wire = choose.wire;
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

    /// Takes new rows in: a followed row keeps the cursor.
    pub fn settle(&mut self, height: usize) {
        if let Some(id) = self.list.follow
            && let Some(at) = self.rows.iter().position(|r| Self::id(*r) == id)
        {
            let line = self.list.cursor.saturating_sub(self.list.offset);
            self.list.cursor = at;
            self.list.offset = at.saturating_sub(line);
        }
        self.list.clamp(self.rows.len());
        self.list.scroll(self.rows.len(), height);
    }
}
