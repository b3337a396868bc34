//! Opening and closing detail views, from one pane into the other too, and the marks that show
//! what belongs to the selected row of the other pane.

use std::net::IpAddr;

use super::conns::ConnRow;
use super::opens::{Detail, Row};
use super::related::{MAX_USERS, Related, RelatedRow};
use super::talkers::{TalkerRow, TalkersView};
use super::{App, Pane, conns};
use crate::model::conn::Conn;
use crate::model::connections::NetActivity;
use crate::model::field::conn_groups::ConnGroupKey;
use crate::model::opens::Process;
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::timeline::TimelineAction;

impl App {
    /// The related rows of a pane, while its cursor is among them.
    fn focused_related(&self, pane: Pane) -> Option<&Related> {
        match pane {
            Pane::Opens => self.opens_pane.in_related.then_some(&self.opens_pane.related),
            Pane::Talkers => self.talkers_pane.inside.map(|_| &self.talkers_pane.related),
        }
    }

    /// Opens the detail view of the row under the cursor.
    pub(super) fn open_row(&mut self) {
        if let Some(related) = self.focused_related(self.screen.focus) {
            if let Some(row) = related.selected() {
                self.open_related(row);
            }
            return;
        }
        match self.screen.focus {
            Pane::Talkers if self.talkers_pane.view == TalkersView::Connections => self.open_conn(),
            Pane::Talkers if self.talkers_pane.view == TalkersView::Listeners => {
                let Some(listener) = self.talkers_pane.listeners.selected() else { return };
                let owner = listener.owner.and_then(|owner| self.opens().find(owner.key));
                match owner {
                    Some(slot) => self.open_detail(Detail::Process(slot), None),
                    None => self.say("its process is not in the table: it has opened nothing yet"),
                }
            }
            Pane::Talkers => {
                if let Some(TalkerRow::Talker(slot)) = self.talkers_pane.selected() {
                    self.open_talker(slot, None);
                }
            }
            Pane::Opens => {
                let opens = self.opens();
                let row = self.opens_pane.selected();
                if let Some(detail) = row.and_then(|row| self.opens_pane.detail_of(row, opens)) {
                    self.open_detail(detail, None);
                }
            }
        }
    }

    /// Opens the details of the selected connection; within them, those of its process.
    fn open_conn(&mut self) {
        let Some(connections) = self.owners() else { return };
        let table = &self.talkers_pane.conns;
        let inside = table.inside.is_some();
        if !inside && matches!(table.selected(), Some(ConnRow::Group(_))) {
            self.talkers_pane.conns.fold(None);
            return self.rebuild_talkers();
        }
        let row = if inside { table.open_row(connections) } else { table.selected() };
        let conn = row.and_then(|row| conns::conn_of(connections, row));
        let Some((cookie, owner)) = conn.map(|conn| (conn.cookie, conn.owner())) else { return };
        if !inside {
            self.talkers_pane.conns.inside = Some(cookie);
            return;
        }
        match owner.and_then(|owner| self.opens().find(owner.key)) {
            Some(slot) => self.open_detail(Detail::Process(slot), None),
            None => self.say("its process is not in the table"),
        }
    }

    /// The connection that is selected or open in the talkers pane.
    fn current_conn(&self) -> Option<&Conn> {
        let table = &self.talkers_pane.conns;
        let connections = self.owners()?;
        if self.talkers_pane.view != TalkersView::Connections {
            return None;
        }
        conns::conn_of(connections, table.open_row(connections).or_else(|| table.selected())?)
    }

    /// Opens the detail view of a related row; says why where there is none.
    pub(super) fn open_related(&mut self, row: RelatedRow) {
        let from_talkers = self.screen.focus == Pane::Talkers;
        let processes =
            from_talkers || matches!(self.opens_pane.detail(), Some(Detail::Address(_)));
        let talker = self.talkers_pane.inside.filter(|_| from_talkers);
        let via = talker.and_then(|slot| self.wire().talkers().get(slot)).map(|t| t.ip);
        match row {
            RelatedRow::Member(slot) => self.open_detail(Detail::Process(slot), None),
            RelatedRow::Pair(_, peer) if !processes => self.open_address(peer.ip),
            RelatedRow::Pair(key, _) => match self.opens().find(key) {
                Some(slot) => self.open_detail(Detail::Process(slot), via),
                None => self.say("this process was evicted from the table"),
            },
            RelatedRow::File(slot) => {
                if let Some(path) = self.opens().files().get(slot).map(|f| f.path) {
                    self.open_detail(Detail::Path(path), via);
                }
            }
            RelatedRow::TimelineEntry(n) => {
                let by = self.opens_pane.related.timeline.get(n).and_then(|entry| entry.by);
                if let Some((key, _)) = by {
                    return match self.opens().find(key) {
                        Some(slot) => self.open_detail(Detail::Process(slot), via),
                        None => self.say("this process was evicted from the table"),
                    };
                }
                match self.opens_pane.related.timeline.get(n).map(|entry| entry.did.clone()) {
                    Some(TimelineAction::Used { path, .. }) => {
                        self.open_detail(Detail::Path(path), via);
                    }
                    Some(TimelineAction::OnTheWire(NetActivity::Conn { remote, .. }))
                        if remote.port() != 0 =>
                    {
                        self.open_address(remote.ip());
                    }
                    Some(TimelineAction::OnTheWire(NetActivity::Carried { ip, .. })) => {
                        self.open_address(ip);
                    }
                    Some(
                        TimelineAction::Process(_)
                        | TimelineAction::Changed(_)
                        | TimelineAction::Slow(_),
                    ) => self.say("this event leads nowhere else"),
                    _ => self.say("this socket has no peer"),
                }
            }
            RelatedRow::Descriptor(n) => {
                let open = self.opens_pane.related.descriptors.get(n);
                let path = open.and_then(|open| self.opens().path_named(&open.target));
                match path {
                    Some(path) => self.open_detail(Detail::Path(path), via),
                    None => self.say("no open of this file is in the table"),
                }
            }
            RelatedRow::Unheld(_) => self.say("no readable process in /proc holds these sockets"),
            RelatedRow::Unattributed(reason, _) => self.say(reason.explained()),
        }
    }

    /// Opens a detail view in the opens pane; `via` is the talker from which it was opened.
    pub(super) fn open_detail(&mut self, detail: Detail, via: Option<IpAddr>) {
        if self.opens_pane.open(detail, via) {
            self.screen.focus = Pane::Opens;
            self.rebuild();
        }
    }

    /// Opens an address: among the talkers if it is one of them.
    fn open_address(&mut self, ip: IpAddr) {
        match self.talker_of(ip) {
            Some(slot) => {
                let from = self.opens_pane.detail_name(self.opens());
                self.open_talker(slot, Some(from));
            }
            None => self.open_detail(Detail::Address(ip), None),
        }
    }

    /// Opens a talker; `from` names the detail view of the other pane from which it was opened.
    fn open_talker(&mut self, slot: Slot, from: Option<String>) {
        if self.talkers_pane.open(slot, from) {
            self.screen.focus = Pane::Talkers;
            self.rebuild();
        }
    }

    /// Opens the timeline of the selected process or file, or of the process whose detail view is open.
    pub(super) fn open_timeline(&mut self) {
        if self.opens_pane.detail().is_some_and(Detail::is_timeline) {
            return;
        }
        let opens = self.opens();
        let of = |slot: Slot| opens.processes().get(slot).map(|p| p.key);
        let open = self.opens_pane.detail_process(opens).map(|p| p.key);
        let related = self.focused_related(self.screen.focus).and_then(Related::selected);
        let selected = || match (related, self.opens_pane.selected()) {
            (Some(RelatedRow::Pair(key, _)), _) => Some(key),
            (Some(RelatedRow::Member(slot)), _) => of(slot),
            (None, Some(Row::FileUnderProcess(slot))) => {
                opens.files().get(slot).and_then(|f| of(f.process))
            }
            (None, Some(Row::FailureGroup(at))) => {
                let group = self.opens_pane.fails.get(at).filter(|f| f.processes == 1);
                group.and_then(|f| of(f.process))
            }
            (None, Some(row)) => match self.opens_pane.detail_of(row, opens) {
                Some(Detail::Process(slot)) => of(slot),
                _ => None,
            },
            _ => None,
        };
        let file = || match (related, self.opens_pane.selected()) {
            (None, Some(row)) => match self.opens_pane.detail_of(row, opens) {
                Some(Detail::Path(slot)) => Some(slot),
                _ => None,
            },
            _ => None,
        };
        match (open.or_else(selected), file()) {
            (Some(key), _) => self.open_detail(Detail::Timeline(key), None),
            (None, Some(slot)) => self.open_detail(Detail::FileTimeline(slot), None),
            (None, None) => self.say("select a process or a file first"),
        }
    }

    /// Closes the detail view; outside of one, clears the filter, then ends the expanded pane.
    pub(super) fn close_detail(&mut self) {
        if self.screen.focus == Pane::Talkers
            && let Some(slot) = self.talkers_pane.inside
        {
            return self.close_talker(slot);
        }
        if self.screen.focus == Pane::Talkers && self.talkers_pane.conns.inside.take().is_some() {
            return;
        }
        if self.screen.focus == Pane::Opens
            && let Some(crumb) = self.opens_pane.close()
        {
            if crumb.via.is_some() {
                self.screen.focus = Pane::Talkers;
            }
        } else if self.filter.is_shown() {
            self.filter.clear();
        } else {
            self.screen.expanded = false;
        }
        self.rebuild();
    }

    /// Closes a talker; the cursor is on it afterwards, or in the pane from which it was opened.
    fn close_talker(&mut self, slot: Slot) {
        let from_opens = self.talkers_pane.close();
        if from_opens {
            self.screen.focus = Pane::Opens;
        }
        self.rebuild();
        if !from_opens {
            // The rows may have changed places meanwhile.
            let room = self.room(Pane::Talkers).rows;
            self.talkers_pane.select(TalkerRow::Talker(slot), room);
        }
    }

    /// The talker with this address on a watched interface.
    pub fn talker_of(&self, ip: IpAddr) -> Option<Slot> {
        let wire = self.wire();
        self.talkers_pane.ports.iter().find_map(|port| wire.find(*port, ip))
    }

    /// The process whose detail view is open.
    pub fn inside_process(&self) -> Option<&Process> {
        self.opens_pane.detail_process(self.opens())
    }

    /// The text that `y` copies: the path, pid or address of the selected row.
    pub(super) fn selected_bytes(&self) -> Option<Vec<u8>> {
        let opens = self.opens();
        let peers = self.screen.focus == Pane::Opens
            && matches!(self.opens_pane.detail(), Some(Detail::Process(_) | Detail::Path(_)));
        match self.focused_related(self.screen.focus).and_then(Related::selected) {
            Some(RelatedRow::Pair(_, peer)) if peers => {
                return Some(peer.ip.to_string().into_bytes());
            }
            Some(RelatedRow::Pair(key, _)) => return Some(key.tgid.to_string().into_bytes()),
            Some(RelatedRow::Descriptor(n)) => {
                return self.opens_pane.related.descriptors.get(n).map(|open| open.target.clone());
            }
            Some(RelatedRow::Member(slot)) => {
                let pid = opens.processes().get(slot).map(|p| p.key.tgid);
                return pid.map(|pid| pid.to_string().into_bytes());
            }
            Some(RelatedRow::File(slot)) => {
                let path = opens.files().get(slot)?.path;
                return opens.paths().get(path).map(|p| p.label().into_owned());
            }
            _ => {}
        }
        match self.screen.focus {
            Pane::Opens => self.opens_pane.bytes_of(self.opens_pane.selected()?, opens),
            Pane::Talkers if self.talkers_pane.view == TalkersView::Listeners => {
                Some(self.talkers_pane.listeners.selected()?.bound.to_string().into_bytes())
            }
            Pane::Talkers if self.talkers_pane.view == TalkersView::Connections => {
                let table = &self.talkers_pane.conns;
                match table.selected_group() {
                    Some(ConnGroupKey::Program(key)) => Some(key.name.as_bytes().to_vec()),
                    Some(ConnGroupKey::Peer(peer)) => Some(peer.ip.to_string().into_bytes()),
                    Some(ConnGroupKey::Unattributed | ConnGroupKey::NoPeer) => None,
                    None => Some(self.current_conn()?.remote.ip().to_string().into_bytes()),
                }
            }
            Pane::Talkers => {
                let talker = self.wire().talkers().get(self.talkers_pane.current()?)?;
                Some(talker.ip.to_string().into_bytes())
            }
        }
    }

    /// Whether an address belongs to the selected row of the opens pane.
    pub fn is_lit_address(&self, ip: IpAddr) -> bool {
        let shown = self.shown();
        let Some(owners) = shown.owners.filter(|_| self.screen.focus == Pane::Opens) else {
            return false;
        };
        let (opens, pane) = (shown.opens, &self.opens_pane);
        if pane.in_related {
            return matches!(pane.related.selected(), Some(RelatedRow::Pair(_, of)) if of.ip == ip);
        }
        let talks =
            |slot: Slot| opens.processes().get(slot).is_some_and(|p| owners.exchange(p.key, ip));
        let used = |slot: Slot| opens.files().get(slot).is_some_and(|f| talks(f.process));
        match pane.selected() {
            Some(Row::Program(at) | Row::ProgramUnderUnit(at)) => {
                let members = pane.programs.get(at).map_or(&[][..], |p| &p.group.members);
                members.iter().take(MAX_USERS).any(|slot| talks(*slot))
            }
            Some(Row::Unit(at)) => pane.members_of_unit(at).any(talks),
            Some(Row::Process(slot) | Row::ProcessUnderProgram(slot)) => talks(slot),
            Some(
                Row::FileUnderProcess(slot) | Row::FileOfProcess(slot) | Row::ProcessOfFile(slot),
            ) => used(slot),
            Some(Row::Path(slot)) => {
                let users = opens.paths().get(slot).map_or(&[][..], |p| &p.users);
                users.iter().take(MAX_USERS).any(|slot| used(*slot))
            }
            Some(Row::Live(n)) => self.opens_pane.live_at(n).is_some_and(|l| talks(l.process)),
            _ => false,
        }
    }

    /// Whether a process belongs to the selected row of the talkers pane.
    pub fn is_lit_process(&self, key: ProcessKey) -> bool {
        let shown = self.shown();
        let Some(owners) = shown.owners.filter(|_| self.screen.focus == Pane::Talkers) else {
            return false;
        };
        let pane = &self.talkers_pane;
        if pane.view == TalkersView::Listeners {
            let owner = pane.listeners.selected().and_then(|listener| listener.owner);
            return owner.is_some_and(|owner| owner.key == key);
        }
        if pane.view == TalkersView::Connections {
            let conn = self.current_conn();
            return conn.is_some_and(|conn| conn.shares.iter().any(|s| s.owner.key == key));
        }
        if pane.inside.is_some()
            && let Some(RelatedRow::Pair(of, _)) = pane.related.selected()
        {
            return of == key;
        }
        let talker = pane.current().and_then(|slot| shown.wire.talkers().get(slot));
        talker.is_some_and(|t| owners.exchange(key, t.ip))
    }
}
