//! The table of the opens pane: the data that its columns have, and its order.

use super::row::Detail;
use super::{OpensPane, OpensSort};
use crate::app::order;
use crate::model::field::Need;
use crate::model::field::opens::OpensTable;

impl OpensPane {
    /// Each table has an order of its own: keeps that of the one before, and takes up that of the one now.
    pub(super) fn change_table(&mut self, before: OpensTable) {
        let now = self.table();
        if now != before {
            self.sorts.insert(before, (self.sort, self.reverse));
            (self.sort, self.reverse) = self.sorts.get(&now).copied().unwrap_or_default();
        }
    }

    /// The table that is shown.
    pub fn table(&self) -> OpensTable {
        match self.detail() {
            None => self.view.table(),
            Some(Detail::Unit(_)) => OpensTable::Programs,
            Some(Detail::Program(_) | Detail::Process(_)) => OpensTable::FilesOfProcess,
            Some(Detail::Path(_)) => OpensTable::ProcessesOfFile,
            Some(Detail::Failures(_)) => OpensTable::FilesOfFailure,
            Some(
                Detail::Directory(_)
                | Detail::Address(_)
                | Detail::Timeline(_)
                | Detail::FileTimeline(_),
            ) => OpensTable::Files,
        }
    }

    /// Whether there is data for a column; other needs are not about this pane.
    pub fn has(&self, need: Need) -> bool {
        match need {
            Need::Latency => self.timed,
            Need::Connections => self.net,
            Need::Io => self.io.is_known(),
            Need::Slow => self.io_timed,
            Need::Inline => self.inline,
            Need::AllFailures => self.all_failures,
            _ => true,
        }
    }

    /// The orders that this view offers, the one to begin with first.
    pub fn sorts(&self) -> Vec<OpensSort> {
        self.table().sorts(|need| self.has(need))
    }

    /// The order in effect: the one chosen, if this view offers it.
    pub fn sort(&self) -> OpensSort {
        let sorts = self.sorts();
        if sorts.contains(&self.sort) {
            return self.sort;
        }
        sorts.first().copied().unwrap_or_default()
    }

    pub(in crate::app) fn next_sort(&mut self) {
        self.sort = order::next_of(&self.sorts(), self.sort()).unwrap_or_default();
        self.reverse = false;
    }

    /// Shows failed opens alone, or all again, with the most failures first unless another order was
    /// chosen.
    pub fn toggle_failed_only(&mut self) {
        self.failed_only = !self.failed_only;
        match (self.failed_only, self.sort) {
            (true, OpensSort::Rate) => self.sort = OpensSort::Failed,
            (false, OpensSort::Failed) => self.sort = OpensSort::Rate,
            _ => {}
        }
    }

    /// Orders by `sort`; the same again reverses.
    pub fn sort_by(&mut self, sort: OpensSort) {
        let current = self.sort();
        order::choose((&mut self.sort, &mut self.reverse), current, sort);
    }
}
