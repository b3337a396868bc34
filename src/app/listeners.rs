//! The table of listeners in the talkers pane: its state, its rows, and when they are read.

use strum::VariantArray;

use super::list::{List, RowId};
use super::order;
use crate::model::cgroup::Cgroup;
use crate::model::filter::{Filter, ProcessInfo};
use crate::model::listener::{KnownListeners, Listener, Listeners};
use crate::model::time::{Mono, NS_PER_SEC};

pub use crate::model::field::listeners::ListenersSort;

/// Time between two readings while the table is shown.
const READ_EVERY_NS: u64 = 2 * NS_PER_SEC;

/// The state of the table.
#[derive(Debug, Default)]
pub struct ListenersTable {
    pub sort: ListenersSort,
    pub reverse: bool,
    pub list: List,
    /// Indices of the shown ones in [`Listeners::rows`].
    pub rows: Vec<usize>,
    /// The latest answer; `None` before the first.
    pub found: Option<Listeners>,
    known: KnownListeners,
    asked_at: Option<Mono>,
}

impl ListenersTable {
    /// Whether the listeners are to be read now; then notes that they are asked for.
    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        let due = self.asked_at.is_none_or(|at| now.since(at) >= READ_EVERY_NS);
        if due {
            self.asked_at = Some(now);
        }
        due
    }

    /// Listeners that an answer may have missed.
    pub(super) fn missed_by(&self, found: &Listeners) -> Vec<Listener> {
        self.known.missed_by(found)
    }

    /// Takes over an answer.
    pub(super) fn take(&mut self, mut found: Listeners) {
        self.known.follow(&mut found, |_, _| {});
        self.found = Some(found);
    }

    /// A replay that went back to before the latest answer has none.
    pub(super) fn forget_later(&mut self, now: Mono) {
        if self.found.as_ref().is_some_and(|found| found.at > now) {
            (self.found, self.known) = Default::default();
        }
    }

    pub(super) fn next_sort(&mut self) {
        self.sort = order::next_of(ListenersSort::VARIANTS, self.sort).unwrap_or_default();
        self.reverse = false;
    }

    /// Orders by `sort`; the same again reverses.
    pub(super) fn sort_by(&mut self, sort: ListenersSort) {
        let current = self.sort;
        order::choose((&mut self.sort, &mut self.reverse), current, sort);
    }

    /// The listener of a row.
    pub fn row(&self, at: usize) -> Option<&Listener> {
        self.found.as_ref()?.rows.get(*self.rows.get(at)?)
    }

    /// The listener under the cursor.
    pub fn selected(&self) -> Option<&Listener> {
        self.row(self.list.cursor)
    }

    /// Identifies the row under the cursor while it is listed.
    pub(super) fn selected_id(&self) -> Option<RowId> {
        self.selected().map(|listener| (0, listener.inode.into()))
    }

    /// Builds the rows: filtered and ordered.
    pub(super) fn build(&mut self, filter: &Filter, height: usize) {
        let all = self.found.as_ref().map_or(&[][..], |found| &found.rows);
        self.rows.clear();
        self.rows
            .extend((0..all.len()).filter(|at| all.get(*at).is_some_and(|l| matches(filter, l))));
        let (sort, reverse) = (self.sort, self.reverse);
        self.rows.sort_unstable_by(|a, b| {
            let (Some(a), Some(b)) = (all.get(*a), all.get(*b)) else {
                return std::cmp::Ordering::Equal;
            };
            if reverse { sort.compare(b, a) } else { sort.compare(a, b) }
        });
        let at = |(_, id): RowId| {
            self.rows.iter().position(|at| all.get(*at).is_some_and(|l| u64::from(l.inode) == id))
        };
        let followed = self.list.follow.and_then(at);
        self.list.settle(followed, self.rows.len(), height);
    }
}

fn matches(filter: &Filter, listener: &Listener) -> bool {
    if !filter.listener(listener) {
        return false;
    }
    if !filter.chooses_processes() {
        return true;
    }
    let Some(owner) = &listener.owner else { return false };
    let cgroup = listener.cgroup.as_deref().map(Cgroup::at);
    let names = [owner.comm.as_bytes()];
    let who = ProcessInfo {
        names: &names,
        tgid: owner.key.tgid,
        uid: owner.uid,
        cgroup: cgroup.as_ref(),
    };
    filter.process(&who)
}
