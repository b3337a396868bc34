//! Builds the rows of the opens pane: filtered and ordered, once a tick or after a key.
//!
//! Never once a frame: drawing only looks up the rows that are visible.

mod changes;
mod common;
mod directories;
mod failures;
mod files;
mod live;
mod processes;
mod programs;
mod under;
mod units;

use super::filter::Choose;
use super::row::{About, Detail, EndedRow, Row};
use super::top_peer::top_peers;
use super::{OpensPane, OpensView};
use crate::model::conn::Carried;
use crate::model::connections::Connections;
use crate::model::lineage::Ancestry;
use crate::model::opens::Opens;
use changes::changes;
use common::Commonness;
use directories::{about, below, directories};
use failures::{failures, failures_of_group};
use files::{files_of, paths};
use live::live;
use processes::{processes, processes_of};
use programs::{files_of_program, programs, traffic_of};
use units::{sum_up_units, unit, units};

/// Sums up the traffic of processes and unattributed traffic, of the same interval as the rows' cells.
pub fn sum_up(pane: &mut OpensPane, opens: &Opens, owners: &Connections) {
    pane.carried = owners.delta;
    let sum = owners.processes().fold(Carried::default(), |sum, net| sum + net.delta);
    pane.unattributed = owners.delta.minus(sum);
    pane.unattributed_reason = owners.unattributed_delta.most(pane.unattributed);
    for row in &mut pane.programs {
        row.traffic = traffic_of(opens, owners, &row.group);
    }
    sum_up_units(pane);
    pane.top_peers = top_peers(owners);
}

/// Builds the pane's rows; `room` is the number of lines for them.
pub fn build(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    pane.rows.clear();
    pane.live.clear();
    pane.changes.clear();
    pane.dirs.clear();
    pane.fails.clear();
    pane.programs.clear();
    pane.units.clear();
    pane.group_files.clear();
    pane.commons.clear();
    pane.ended = EndedRow::default();
    pane.parts.clear();
    pane.shares.clear();
    pane.found.clear();
    pane.timed = choose.opens.total().latency.timed > 0;
    pane.io = *choose.opens.io();
    pane.io_timed = choose.opens.total().io.times.is_some();
    pane.about = About::default();
    pane.net = choose.owners.is_some();
    if let Some(owners) = choose.owners {
        sum_up(pane, choose.opens, owners);
    }
    let (sort, reverse) = (pane.sort(), pane.reverse);
    match (pane.detail().cloned(), pane.view) {
        (Some(Detail::Unit(place)), _) => unit(pane, choose, &place, room),
        (Some(Detail::Program(key)), _) => {
            pane.of = 0;
            files_of_program(pane, choose, &key);
        }
        (Some(Detail::Process(slot)), _) => {
            let files = choose.opens.processes().get(slot).map_or(&[][..], |p| &p.files);
            pane.of = files.len();
            pane.about = about(choose.opens, &[slot], files, pane.depth);
            let ancestry = Ancestry::of(choose.opens, choose.lineage);
            let process = choose.opens.processes().get(slot);
            pane.ancestors = process.map_or(Vec::new(), |p| ancestry.ancestors(p));
            let common = Commonness::of(choose.opens);
            let files = files_of(choose, &common, files, sort, reverse).into_iter();
            pane.rows.extend(files.map(|(slot, _)| Row::FileOfProcess(slot)));
        }
        (Some(Detail::Path(slot)), _) => {
            let users = choose.opens.paths().get(slot).map_or(&[][..], |p| &p.users);
            pane.of = users.len();
            pane.rows.extend(
                processes_of(choose, users, sort, reverse).into_iter().map(Row::ProcessOfFile),
            );
        }
        (Some(Detail::Directory(dir)), _) => {
            pane.of = choose.opens.paths().len();
            paths(pane, choose, |p| below(&p.bytes, &dir));
        }
        (Some(Detail::Failures(group)), _) => failures_of_group(pane, choose, &group),
        (Some(Detail::Address(_) | Detail::Timeline(_) | Detail::FileTimeline(_)), _) => {
            pane.of = 0
        }
        (None, OpensView::Programs) => programs(pane, choose, room),
        (None, OpensView::Units) => units(pane, choose, room),
        (None, OpensView::Processes) => processes(pane, choose, room),
        (None, OpensView::Files) => {
            pane.of = choose.opens.paths().len();
            paths(pane, choose, |_| true);
        }
        (None, OpensView::Directories) => directories(pane, choose),
        (None, OpensView::Failures) => failures(pane, choose),
        (None, OpensView::Changes) => changes(pane, choose),
        (None, OpensView::Live) => live(pane, choose),
    }
    let counted = match pane.detail() {
        None => pane.view.has_rows_below(),
        Some(detail) => matches!(detail, Detail::Unit(_)),
    };
    if !counted {
        pane.matched = pane.rows.len();
    }
}
