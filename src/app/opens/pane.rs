//! The opens pane's state: view, order, cursor, open detail views, rows.

use std::net::IpAddr;
use std::rc::Rc;

use hashbrown::HashMap;

use super::row::{
    About, CommonRow, Detail, DirRow, EndedRow, FailRow, GroupFile, ProgramRow, Row, Share, UnitRow,
};
use super::top_peer::TopPeer;
use super::{OpensSort, OpensView};
use crate::app::list::{List, RowId};
use crate::app::related::{MAX_DEPTH, Related};
use crate::app::{PaneRoom, Shown};
use crate::model::conn::Carried;
use crate::model::connections::Reason;
use crate::model::field::opens::OpensTable;
use crate::model::file_change::FileChange;
use crate::model::lineage::Ancestor;
use crate::model::opens::{IoState, LiveOpen, Opens, Process};
use crate::model::process::ProcessKey;
use crate::model::process_info::Descriptors;
use crate::model::slab::Slot;
use crate::model::timeline::{Logs, WatchedPaths, timeline, timeline_of_file};
use crate::settings::saved_view::{FILES_SHOWN, MAX_LEVELS};

/// An open detail view, and the cursors of the view from which it was opened.
#[derive(Clone, Debug)]
pub struct Crumb {
    pub detail: Detail,
    pub list: List,
    pub related: List,
    pub in_related: bool,
    /// The talker from which it was opened, in the other pane.
    pub via: Option<IpAddr>,
}

/// The state of the pane.
#[derive(Debug)]
pub struct OpensPane {
    pub view: OpensView,
    pub crumbs: Vec<Crumb>,
    pub sort: OpensSort,
    pub reverse: bool,
    pub failed_only: bool,
    /// Failures that were found later or are of common files are shown as well.
    pub all_failures: bool,
    /// How many failures are hidden.
    pub hidden: u64,
    /// Order and direction of tables that were shown before.
    pub(super) sorts: HashMap<OpensTable, (OpensSort, bool)>,
    /// The ancestors of the open process, the parent first.
    pub ancestors: Vec<Ancestor>,
    /// Directory levels.
    pub depth: usize,
    /// Files shown under each program or process; `None`: as many as there is room for.
    pub under: Option<usize>,
    /// The number of files that there was room for last.
    pub auto_under: usize,
    /// No program has files below it unless the user unfolds it: one is in the row.
    pub inline: bool,
    /// Rows below which the user shows or hides files.
    pub folds: HashMap<RowId, bool>,
    pub list: List,
    pub rows: Vec<Row>,
    /// The opens of the rows of the live feed: those of the last tick, the oldest first,
    /// while the feed moves on.
    pub live: Vec<LiveOpen>,
    /// The changes of files in the rows, each with its number, the oldest first.
    pub changes: Vec<(u64, Rc<FileChange>)>,
    pub programs: Vec<ProgramRow>,
    pub units: Vec<UnitRow>,
    pub group_files: Vec<GroupFile>,
    pub commons: Vec<CommonRow>,
    pub ended: EndedRow,
    pub dirs: Vec<DirRow>,
    pub fails: Vec<FailRow>,
    /// Figures of the shown paths, while a filter matches only some of their users.
    pub shares: HashMap<Slot, Share>,
    /// Figures of the shown processes, while a filter matches only some of their files.
    pub parts: HashMap<Slot, Share>,
    /// The shown failures whose file was found later, with its path; `None`: elsewhere, the path is evicted.
    pub found: HashMap<Slot, Option<Slot>>,
    pub about: About,
    /// Opens are timed.
    pub timed: bool,
    /// The intervals of bytes read and written when the rows were built: rates in rows are of the last one.
    pub io: IoState,
    /// Calls that read and write are timed.
    pub(in crate::app) io_timed: bool,
    /// Traffic of processes is known.
    pub net: bool,
    /// Traffic of all sockets in the last interval, and the part that is unattributed.
    pub carried: Carried,
    pub unattributed: Carried,
    /// The reason of more than half of that part; `None` where there is none, as of traffic of evicted processes.
    pub unattributed_reason: Option<Reason>,
    /// The peer of each process with the most traffic.
    pub top_peers: HashMap<ProcessKey, TopPeer>,
    /// Network peers, processes or timeline of the open detail view.
    pub related: Related,
    /// How many paths contain the filter's only word, while no process does.
    pub paths_match: Option<usize>,
    /// The cursor is among the related rows.
    pub in_related: bool,
    /// Rows before the filter, and those that match it.
    pub of: usize,
    pub matched: usize,
    /// The most opens of one process in one of the last seconds: the scale of the graphs.
    pub most: u64,
}

impl Default for OpensPane {
    fn default() -> Self {
        Self {
            view: OpensView::default(),
            crumbs: Vec::new(),
            sort: OpensSort::default(),
            reverse: false,
            failed_only: false,
            all_failures: false,
            hidden: 0,
            sorts: HashMap::new(),
            ancestors: Vec::new(),
            depth: 3,
            under: None,
            auto_under: 0,
            inline: false,
            folds: HashMap::new(),
            list: List::default(),
            rows: Vec::new(),
            live: Vec::new(),
            changes: Vec::new(),
            programs: Vec::new(),
            units: Vec::new(),
            group_files: Vec::new(),
            commons: Vec::new(),
            ended: EndedRow::default(),
            dirs: Vec::new(),
            fails: Vec::new(),
            shares: HashMap::new(),
            parts: HashMap::new(),
            found: HashMap::new(),
            about: About::default(),
            timed: false,
            top_peers: HashMap::new(),
            io: IoState::default(),
            io_timed: false,
            net: false,
            carried: Carried::default(),
            unattributed: Carried::default(),
            unattributed_reason: None,
            related: Related::default(),
            paths_match: None,
            in_related: false,
            of: 0,
            matched: 0,
            most: 0,
        }
    }
}

impl OpensPane {
    /// The open detail view.
    pub fn detail(&self) -> Option<&Detail> {
        self.crumbs.last().map(|c| &c.detail)
    }

    /// Whether the filters match no process: a view of processes has no row.
    pub fn has_no_process(&self) -> bool {
        self.rows.is_empty() && self.view.has_rows_below() && self.detail().is_none()
    }

    /// The process whose detail view is open.
    pub fn detail_process<'a>(&self, opens: &'a Opens) -> Option<&'a Process> {
        match self.detail() {
            Some(Detail::Process(slot)) => opens.processes().get(*slot),
            _ => None,
        }
    }

    /// The share of all sockets' traffic in the last interval that is attributed to processes; `None`
    /// without traffic, and where bytes are not counted by process.
    pub fn attributed(&self) -> Option<f64> {
        let (all, rest) = (self.carried.bytes(), self.unattributed.bytes());
        (self.net && all > 0).then(|| all.saturating_sub(rest) as f64 / all as f64)
    }

    /// Opens a detail view; false if too many are open.
    pub(in crate::app) fn open(&mut self, detail: Detail, via: Option<IpAddr>) -> bool {
        if self.crumbs.len() >= MAX_DEPTH {
            return false;
        }
        let before = self.table();
        let list = std::mem::take(&mut self.list);
        let related = std::mem::take(&mut self.related.list);
        let in_related = std::mem::take(&mut self.in_related);
        self.crumbs.push(Crumb { detail, list, related, in_related, via });
        self.change_table(before);
        true
    }

    /// Closes the detail view; the cursors are where they were before.
    pub(in crate::app) fn close(&mut self) -> Option<Crumb> {
        let before = self.table();
        let crumb = self.crumbs.pop()?;
        self.change_table(before);
        self.list = crumb.list.clone();
        self.related.list = crumb.related.clone();
        self.in_related = crumb.in_related;
        Some(crumb)
    }

    /// Closes all detail views.
    pub(in crate::app) fn close_all(&mut self) {
        let before = self.table();
        self.crumbs.clear();
        self.change_table(before);
        self.in_related = false;
    }

    /// Finds the rows related to the open detail view.
    pub(in crate::app) fn relate(
        &mut self,
        shown: Shown<'_>,
        logs: Logs<'_>,
        watch: &WatchedPaths,
        descriptors: Option<&Descriptors>,
    ) {
        let Shown { at: now, opens, owners, .. } = shown;
        let related = &mut self.related;
        if matches!(self.crumbs.last(), Some(Crumb { detail: Detail::Program(_), .. })) {
            return; // its processes come with its files
        }
        related.clear();
        let key_of = |slot: Slot| opens.processes().get(slot).map(|p| p.key);
        let detail = self.crumbs.last().map(|c| &c.detail);
        match (detail, owners) {
            (Some(Detail::Process(slot)), Some(owners)) => {
                related.show_peers_of(owners, &key_of(*slot).into_iter().collect());
            }
            (Some(Detail::Path(slot)), Some(owners)) => {
                let users = opens.paths().get(*slot).map_or(&[][..], |p| &p.users);
                let files = users.iter().filter_map(|s| opens.files().get(*s));
                related.show_peers_of(owners, &files.filter_map(|f| key_of(f.process)).collect());
            }
            (Some(Detail::Address(ip)), Some(owners)) => {
                related.show_processes_of(owners, opens, *ip, &[]);
            }
            (Some(Detail::Timeline(key)), owners) => {
                related.show_timeline(timeline(opens, owners, logs, watch, *key, now));
            }
            (Some(Detail::FileTimeline(slot)), _) => {
                let path = opens.paths().get(*slot);
                related.show_timeline(path.map_or(Vec::new(), |path| {
                    timeline_of_file(opens, logs, &path.bytes, &path.users, now)
                }));
            }
            _ => {}
        }
        if let (Some(Detail::Process(_)), Some(open)) = (detail, descriptors) {
            related.show_descriptors(&open.listed);
        }
        let alone = detail.is_some_and(Detail::is_alone);
        self.in_related = alone || self.in_related && !related.rows.is_empty();
    }

    /// Moves the cursor by `by` rows; a single step leads from the last row to the related rows, and
    /// back.
    pub(in crate::app) fn step(&mut self, by: isize, room: PaneRoom) {
        let last = self.list.cursor + 1 >= self.rows.len();
        let first_related = self.related.list.cursor == 0 && !self.rows.is_empty();
        match self.in_related {
            true if by == -1 && first_related => self.in_related = false,
            false if by == 1 && last && !self.related.rows.is_empty() => self.in_related = true,
            true => self.related.step(by, room.related),
            false => {
                self.list.step(by, self.rows.len());
                self.list.scroll(self.rows.len(), room.rows);
            }
        }
    }

    /// Moves the cursor to the related rows, or from them; false without any.
    pub(in crate::app) fn focus_related(&mut self, to: bool) -> bool {
        let any = !self.related.rows.is_empty();
        if any {
            self.in_related = to;
        }
        any
    }

    /// Shows or hides the rows below the selected row; from a row below, hides those. Returns the row above.
    pub(in crate::app) fn fold(&mut self, show: bool) -> Option<RowId> {
        let selected = self.selected()?;
        let top = |row: &&Row| matches!(row, Row::Program(_) | Row::Unit(_) | Row::Process(_));
        let above = match selected {
            Row::Ended => selected,
            Row::Common(_) if show || self.folds.get(&self.id(selected)) == Some(&true) => selected,
            Row::Program(_)
            | Row::Unit(_)
            | Row::ProgramUnderUnit(_)
            | Row::Process(_)
            | Row::Common(_)
            | Row::FileUnderProgram(_)
            | Row::FileUnderProcess(_)
            | Row::ProcessUnderProgram(_) => {
                *self.rows.get(..=self.list.cursor)?.iter().rev().find(top)?
            }
            _ => return None,
        };
        let id = self.id(above);
        self.folds.insert(id, show);
        Some(id)
    }

    /// Moves the cursor to a row, if it is there.
    pub(in crate::app) fn select(&mut self, id: RowId) {
        if let Some(at) = self.rows.iter().position(|r| self.id(*r) == id) {
            self.list.jump(at, self.rows.len());
        }
    }

    /// More or fewer directory levels; in views with rows below others, more or fewer of these.
    pub(in crate::app) fn change_levels(&mut self, more: bool) {
        if self.view.has_rows_below() && self.detail().is_none() {
            let shown = self.under.unwrap_or(self.auto_under);
            let steps: Vec<usize> = FILES_SHOWN.iter().filter_map(|(_, n)| *n).collect();
            let at = steps.iter().position(|n| *n >= shown).unwrap_or(0);
            let to = if more { at + 1 } else { at.saturating_sub(1) };
            self.under = steps.get(to).or(steps.last()).copied();
            self.folds.clear();
        } else if more {
            self.depth = (self.depth + 1).min(usize::from(MAX_LEVELS));
        } else {
            self.depth = self.depth.saturating_sub(1).max(1);
        }
    }

    pub(in crate::app) fn next_view(&mut self) {
        self.close_all();
        let before = self.table();
        self.view = self.view.next();
        self.change_table(before);
        self.list = List::default();
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<Row> {
        self.rows.get(self.list.cursor).copied()
    }

    /// Takes over new rows: the cursor stays on a row, or on the followed one.
    pub fn settle(&mut self, height: usize) {
        let id = self.list.follow;
        let followed = id.and_then(|id| self.rows.iter().position(|r| self.id(*r) == id));
        self.list.settle(followed, self.rows.len(), height);
    }
}
