//! What processes, addresses and files have to do with each other: who is behind an address, whom
//! a process talks to, and what of one pane belongs to what is selected in the other.

use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::data::ProbeState;
use super::list::List;
use super::opens_pane::{Crumb, Detail, Row};
use super::talkers_pane::{TalkerRow, Trail};
use super::{App, Pane};
use crate::model::conn::Carried;
use crate::model::escape::escape;
use crate::model::filter::Filter;
use crate::model::opens::Opens;
use crate::model::owners::{Net, NetActivity, NoOwner, Owners, Pair, Why};
use crate::model::process::ProcessKey;
use crate::model::slab::Slot;
use crate::model::timeline::{TimelineAction, TimelineEntry, timeline};

/// Rows at most; the largest come first, and how many there are is told.
const MOST: usize = 512;

/// Files under each process behind an address.
const FILES: usize = 5;

/// Processes of one file whose peers are told.
const USERS: usize = 64;

/// How far one can go in.
const DEPTH: usize = 8;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelatedRow {
    /// A process and an address that talk to each other.
    Pair(ProcessKey, IpAddr),
    /// A file of the process above.
    File(Slot),
    /// What sockets to the address carried that are no process's, and why.
    NoOwner(Why, Carried),
    /// So many sockets to the address that no process in /proc is seen to hold, where they are polled.
    Unheld(u32),
    /// The number of a moment of the timeline.
    TimelineEntry(usize),
}

/// What belongs to something that is looked into.
#[derive(Clone, Debug, Default)]
pub struct Related {
    pub list: List,
    pub rows: Vec<RelatedRow>,
    /// How many pairs there are.
    pub of: usize,
    /// Connections with the address that live, by their process.
    pub live: HashMap<ProcessKey, u32>,
    /// What a process did, where that is looked into.
    pub moments: Vec<TimelineEntry>,
}

impl Related {
    fn clear(&mut self) {
        self.rows.clear();
        self.live.clear();
        self.moments.clear();
        self.of = 0;
    }

    /// Who is behind an address, and what those open.
    pub(super) fn behind(&mut self, owners: &Owners, opens: &Opens, ip: IpAddr) {
        self.clear();
        let pairs = owners.behind(ip);
        self.of = pairs.len();
        for pair in pairs.into_iter().take(MOST) {
            self.rows.push(RelatedRow::Pair(pair.key, ip));
            let process = opens.find(pair.key).and_then(|slot| opens.processes().get(slot));
            let uses = process.map_or(&[][..], |p| &p.files);
            let last =
                |slot: &Slot| opens.files().get(*slot).map(|f| (f.tally.last, f.tally.opens));
            let mut files: Vec<_> = uses.iter().filter_map(|s| Some((last(s)?, *s))).collect();
            files.sort_unstable_by(|a, b| b.cmp(a));
            self.rows.extend(files.into_iter().take(FILES).map(|(_, slot)| RelatedRow::File(slot)));
        }
        let (mut nobodys, mut unheld) = (NoOwner::default(), 0);
        for (conn, owner, _) in owners.conns().filter(|(conn, ..)| conn.remote.ip() == ip) {
            if let Some(owner) = owner {
                *self.live.entry(owner.key).or_default() += 1;
            }
            if owners.polled() {
                unheld += u32::from(owner.is_none());
                continue;
            }
            for share in conn.shares.iter().filter(|share| share.owner.is_none()) {
                nobodys.add(conn, share.carried);
            }
        }
        self.rows.extend((unheld > 0).then_some(RelatedRow::Unheld(unheld)));
        let parts = nobodys.parts().into_iter().filter(|(_, carried)| !carried.is_none());
        self.rows.extend(parts.map(|(why, carried)| RelatedRow::NoOwner(why, carried)));
        self.list.clamp(self.rows.len());
    }

    /// Whom these processes talk to.
    pub(super) fn peers(&mut self, owners: &Owners, keys: &HashSet<ProcessKey>) {
        self.clear();
        let mut pairs: Vec<&Pair> = match keys.iter().next() {
            Some(key) if keys.len() == 1 => owners.peers_of(*key),
            Some(_) => owners.pairs().filter(|pair| keys.contains(&pair.key)).collect(),
            None => Vec::new(),
        };
        let rank = |p: &&Pair| (std::cmp::Reverse(p.total.bytes()), p.key.tgid, p.ip);
        pairs.sort_unstable_by_key(rank);
        self.of = pairs.len();
        self.rows.extend(pairs.into_iter().take(MOST).map(|p| RelatedRow::Pair(p.key, p.ip)));
        self.list.clamp(self.rows.len());
    }

    /// What a process did, the latest first.
    pub(super) fn timeline(&mut self, moments: Vec<TimelineEntry>) {
        self.clear();
        self.of = moments.len();
        self.rows.extend((0..moments.len()).rev().map(RelatedRow::TimelineEntry));
        self.moments = moments;
        self.list.clamp(self.rows.len());
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<RelatedRow> {
        self.rows.get(self.list.cursor).copied()
    }
}

/// The processes that talk as these filters ask; `None` where they do not ask.
pub(super) fn talking<'a>(
    owners: Option<&Owners>,
    filters: impl Iterator<Item = &'a Filter>,
) -> Option<HashSet<ProcessKey>> {
    let asking: Vec<&Filter> = filters.filter(|f| f.chooses_peers()).collect();
    if asking.is_empty() {
        return None;
    }
    let holds = |pair: &Pair| {
        asking.iter().all(|f| {
            let mut ports = pair.services.iter().map(|s| s.port);
            f.peer(pair.ip) && (!f.chooses_ports() || ports.any(|port| f.port([port, port])))
        })
    };
    let pairs = owners.into_iter().flat_map(Owners::pairs);
    Some(pairs.filter(|pair| holds(pair)).map(|pair| pair.key).collect())
}

impl App {
    /// Processes that are on the wire are among those that are shown, whatever they open. Not
    /// before it is known how the opens are: an empty pane says so.
    pub(super) fn meet_owners(&mut self, all: bool) {
        if matches!(self.data.opens_state, ProbeState::Starting) {
            return;
        }
        let owners = self.data.owners.clone();
        let opens = std::rc::Rc::make_mut(&mut self.data.opens);
        let talks = |net: &&Net| match owners.polled() {
            true => net.live > 0,
            false => !net.delta.is_none(),
        };
        for net in owners.processes().filter(|net| all || talks(net)) {
            opens.meet(net.who.key, net.who.comm, net.who.uid, self.clock);
        }
    }

    pub(super) fn rebuild_ties_of_opens(&mut self) {
        let mut related = std::mem::take(&mut self.opens_pane.related);
        related.clear();
        let (opens, owners) = (self.opens(), self.owners());
        let key_of = |slot: Slot| opens.processes().get(slot).map(|p| p.key);
        match (self.opens_pane.inside(), owners) {
            (Some(Detail::Process(slot)), Some(owners)) => {
                related.peers(owners, &key_of(*slot).into_iter().collect());
            }
            (Some(Detail::Path(slot)), Some(owners)) => {
                let users = opens.paths().get(*slot).map_or(&[][..], |p| &p.users);
                let files = users.iter().take(USERS).filter_map(|s| opens.files().get(*s));
                related.peers(owners, &files.filter_map(|f| key_of(f.process)).collect());
            }
            (Some(Detail::Address(ip)), Some(owners)) => related.behind(owners, opens, *ip),
            (Some(Detail::Timeline(key)), owners) => {
                related.timeline(timeline(opens, owners, &self.path_watchlist, *key));
            }
            _ => {}
        }
        let alone =
            matches!(self.opens_pane.inside(), Some(Detail::Address(_) | Detail::Timeline(_)));
        self.opens_pane.in_ties = alone || self.opens_pane.in_ties && !related.rows.is_empty();
        self.opens_pane.related = related;
        let room = self.room(Pane::Opens).related;
        let related = &mut self.opens_pane.related;
        related.list.scroll(related.rows.len(), room);
    }

    pub(super) fn rebuild_ties_of_talkers(&mut self) {
        let mut related = std::mem::take(&mut self.talkers_pane.related);
        related.clear();
        let inside = self.talkers_pane.inside.and_then(|s| self.wire().talkers().get(s));
        if let (Some(talker), Some(owners)) = (inside, self.owners()) {
            related.behind(owners, self.opens(), talker.ip);
        }
        self.talkers_pane.related = related;
        let room = self.room(Pane::Talkers).related;
        let related = &mut self.talkers_pane.related;
        related.list.scroll(related.rows.len(), room);
    }

    /// Goes into a row of what belongs to something; false where it leads nowhere.
    pub(super) fn open_related(&mut self) {
        let from_talkers = self.screen.focus == Pane::Talkers;
        let related =
            if from_talkers { &self.talkers_pane.related } else { &self.opens_pane.related };
        let Some(tie) = related.selected() else { return };
        let behind = from_talkers || matches!(self.opens_pane.inside(), Some(Detail::Address(_)));
        let inside = self.talkers_pane.inside.filter(|_| from_talkers);
        let via = inside.and_then(|s| self.wire().talkers().get(s)).map(|t| t.ip);
        match tie {
            RelatedRow::Pair(_, ip) if !behind => self.open_address(ip),
            RelatedRow::Pair(key, _) => match self.opens().find(key) {
                Some(slot) => self.open_detail(Detail::Process(slot), via),
                None => self.say("this process has had to make room"),
            },
            RelatedRow::File(slot) => {
                if let Some(path) = self.opens().files().get(slot).map(|f| f.path) {
                    self.open_detail(Detail::Path(path), via);
                }
            }
            RelatedRow::TimelineEntry(n) => {
                match self.opens_pane.related.moments.get(n).map(|m| m.did) {
                    Some(TimelineAction::Opened { path, .. }) => {
                        self.open_detail(Detail::Path(path), via)
                    }
                    Some(TimelineAction::OnTheWire(NetActivity::Conn { remote, .. }))
                        if remote.port() != 0 =>
                    {
                        self.open_address(remote.ip());
                    }
                    Some(TimelineAction::OnTheWire(NetActivity::Carried { ip, .. })) => {
                        self.open_address(ip)
                    }
                    _ => self.say("this socket has no peer of its own"),
                }
            }
            RelatedRow::Unheld(_) => {
                self.say("no process that may be read in /proc holds these sockets")
            }
            RelatedRow::NoOwner(Why::Kernel, _) => {
                self.say("sockets of the kernel's own: no process has them");
            }
            RelatedRow::NoOwner(Why::Older, _) => {
                self.say("nobody held these sockets when ebpftop started");
            }
            RelatedRow::NoOwner(Why::Waiting, _) => {
                self.say("connections from outside that no process has accepted");
            }
        }
    }

    /// Goes into something of the opens pane.
    pub(super) fn open_detail(&mut self, inside: Detail, via: Option<IpAddr>) {
        // Round and round between a file and its processes would pile up crumbs.
        if self.opens_pane.crumbs.len() >= DEPTH {
            return;
        }
        let pane = &mut self.opens_pane;
        let outside = std::mem::take(&mut pane.list);
        let related = std::mem::take(&mut pane.related.list);
        let in_ties = std::mem::take(&mut pane.in_ties);
        pane.crumbs.push(Crumb { inside, outside, related, in_ties, via });
        self.screen.focus = Pane::Opens;
        self.rebuild();
    }

    /// Goes into an address: among the talkers, where it is one of them.
    fn open_address(&mut self, ip: IpAddr) {
        match self.talker_of(ip) {
            Some(slot) if self.talkers_pane.trail.len() < DEPTH => {
                let way = self.way();
                self.open_talker(slot, Some(way));
            }
            Some(_) => {}
            None => self.open_detail(Detail::Address(ip), None),
        }
    }

    /// The talker with this address, on what is watched.
    pub fn talker_of(&self, ip: IpAddr) -> Option<Slot> {
        let ports = &self.talkers_pane.ports;
        let wire = self.wire();
        ports.iter().find_map(|port| wire.find(*port, ip))
    }

    /// Goes into a talker; `way` is how one came from the other pane.
    pub(super) fn open_talker(&mut self, slot: Slot, way: Option<String>) {
        let pane = &mut self.talkers_pane;
        let related = std::mem::take(&mut pane.related.list);
        pane.trail.push(Trail { inside: pane.inside, related, way });
        pane.inside = Some(slot);
        self.screen.focus = Pane::Talkers;
        self.rebuild();
    }

    /// What is looked into in the opens pane, in words.
    fn way(&self) -> String {
        let opens = self.opens();
        match self.opens_pane.inside() {
            Some(Detail::Process(slot)) => opens
                .processes()
                .get(*slot)
                .map(|p| format!("{} {}", escape(p.name.as_bytes()), p.key.tgid)),
            Some(Detail::Path(slot)) => {
                opens.paths().get(*slot).map(|p| escape(&p.label()).into_owned())
            }
            _ => None,
        }
        .unwrap_or_default()
    }

    /// Into what the selected process did, or the one that is looked into.
    pub(super) fn open_timeline(&mut self) {
        let of = |slot: Slot| self.opens().processes().get(slot).map(|p| p.key);
        let inside = match self.opens_pane.inside() {
            Some(Detail::Process(slot)) => of(*slot),
            Some(Detail::Timeline(_)) => return,
            _ => None,
        };
        let related = if self.screen.focus == Pane::Talkers {
            self.talkers_pane.inside.and(self.talkers_pane.related.selected())
        } else {
            self.opens_pane.in_ties.then(|| self.opens_pane.related.selected()).flatten()
        };
        let selected = || match (related, self.opens_pane.selected()) {
            (Some(RelatedRow::Pair(key, _)), _) => Some(key),
            (None, Some(Row::Process(slot))) => of(slot),
            (None, Some(Row::FileUnderProcess(slot) | Row::ProcessOfFile(slot))) => {
                self.opens().files().get(slot).and_then(|f| of(f.process))
            }
            _ => None,
        };
        match inside.or_else(selected) {
            Some(key) => self.open_detail(Detail::Timeline(key), None),
            None => self.say("select a process first"),
        }
    }

    /// Out of a talker, to where one came from.
    pub(super) fn out_of_talker(&mut self, slot: Slot) {
        let trail = self.talkers_pane.trail.pop();
        let (inside, related, way) = match trail {
            Some(trail) => (trail.inside, trail.related, trail.way),
            None => Default::default(),
        };
        self.talkers_pane.inside = inside;
        self.talkers_pane.related.list = related;
        if way.is_some() {
            self.screen.focus = Pane::Opens;
        }
        self.rebuild();
        // The rows went on changing places meanwhile.
        let at = self.talkers_pane.rows.iter().position(|r| *r == TalkerRow::Talker(slot));
        let len = self.talkers_pane.rows.len();
        if let Some(at) = at.filter(|_| way.is_none()) {
            self.talkers_pane.list.jump(at, len);
            self.talkers_pane.settle(self.room(Pane::Talkers).rows);
        }
    }

    /// Whether an address belongs to what is selected among the opens.
    pub fn is_lit_address(&self, ip: IpAddr) -> bool {
        let Some(owners) = self.owners().filter(|_| self.screen.focus == Pane::Opens) else {
            return false;
        };
        let (opens, pane) = (self.opens(), &self.opens_pane);
        if pane.in_ties {
            return matches!(pane.related.selected(), Some(RelatedRow::Pair(_, of)) if of == ip);
        }
        let talks = |slot: Slot| {
            opens.processes().get(slot).is_some_and(|p| owners.between(p.key, ip).is_some())
        };
        let used = |slot: Slot| opens.files().get(slot).is_some_and(|f| talks(f.process));
        match pane.selected() {
            Some(Row::Process(slot)) => talks(slot),
            Some(
                Row::FileUnderProcess(slot) | Row::FileOfProcess(slot) | Row::ProcessOfFile(slot),
            ) => used(slot),
            Some(Row::Path(slot)) => {
                let users = opens.paths().get(slot).map_or(&[][..], |p| &p.users);
                users.iter().take(USERS).any(|slot| used(*slot))
            }
            Some(Row::Live(n)) => opens.live_at(n).is_some_and(|l| talks(l.process)),
            _ => false,
        }
    }

    /// Whether a process belongs to what is selected among the talkers.
    pub fn is_lit_process(&self, key: ProcessKey) -> bool {
        let Some(owners) = self.owners().filter(|_| self.screen.focus == Pane::Talkers) else {
            return false;
        };
        let pane = &self.talkers_pane;
        if pane.inside.is_some()
            && let Some(RelatedRow::Pair(of, _)) = pane.related.selected()
        {
            return of == key;
        }
        let selected = match pane.selected() {
            Some(TalkerRow::Talker(slot)) => Some(slot),
            _ => None,
        };
        let talker = pane.inside.or(selected).and_then(|s| self.wire().talkers().get(s));
        talker.is_some_and(|t| owners.between(key, t.ip).is_some())
    }
}
