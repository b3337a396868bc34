//! Rows that belong to an open detail view: the processes behind an address with their files, the
//! peers of a process or of a file's processes, the descriptors and the timeline of a process.

use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::list::List;
use crate::model::conn::{Carried, Conn, PacketPoint, PeerAddr};
use crate::model::connections::{Connections, Pair, Party, Reason, Unattributed};
use crate::model::filter::Filter;
use crate::model::lineage::{Ancestry, Lineage};
use crate::model::opens::{Opens, Process};
use crate::model::process::ProcessKey;
use crate::model::process_info::OpenDescriptor;
use crate::model::slab::Slot;
use crate::model::timeline::TimelineEntry;

/// Maximum rows; the largest come first, and their whole number is shown.
const MAX_ROWS: usize = 512;

/// Files under each process behind an address.
const FILES: usize = 5;

/// Maximum detail views opened from each other in a pane: between a file and its processes one could
/// go on without end.
pub(super) const MAX_DEPTH: usize = 8;

/// Processes of a program, unit or file that are looked at to mark what belongs to the selection.
pub const MAX_USERS: usize = 64;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelatedRow {
    /// A process of the open program.
    Member(Slot),
    /// A process and an address that exchange something.
    Pair(ProcessKey, PeerAddr),
    /// A file of the process above.
    File(Slot),
    /// Unattributed traffic with the address, by reason.
    Unattributed(Reason, Carried),
    /// Polled sockets with the address that no readable process in /proc holds: how many.
    Unheld(u32),
    /// The index of an entry of the timeline.
    TimelineEntry(usize),
    /// The index of an open descriptor of the process.
    Descriptor(usize),
}

/// The rows related to an open detail view.
#[derive(Clone, Debug, Default)]
pub struct Related {
    pub list: List,
    pub rows: Vec<RelatedRow>,
    /// The number of pairs or entries, shown or not.
    pub of: usize,
    /// Open connections with the address, by process.
    pub live: HashMap<ProcessKey, u32>,
    /// The timeline of the open process, the latest entry last.
    pub timeline: Vec<TimelineEntry>,
    /// The descriptors of the open process, as it was last asked.
    pub descriptors: Vec<OpenDescriptor>,
}

impl Related {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.live.clear();
        self.timeline.clear();
        self.descriptors.clear();
        self.of = 0;
    }

    /// The processes behind an address, with the files that each opened last; then traffic that
    /// cannot be attributed. `at`: the interfaces that the packets can pass; none: any.
    pub(super) fn show_processes_of(
        &mut self,
        owners: &Connections,
        opens: &Opens,
        ip: IpAddr,
        at: &[PacketPoint],
    ) {
        self.clear();
        let passes = |peer: PeerAddr| at.is_empty() || at.iter().any(|point| peer.can_pass(point));
        let mut pairs = owners.behind(ip);
        pairs.retain(|pair| passes(pair.peer));
        self.of = pairs.len();
        for pair in pairs.into_iter().take(MAX_ROWS) {
            self.rows.push(RelatedRow::Pair(pair.key, pair.peer));
            let process = opens.find(pair.key).and_then(|slot| opens.processes().get(slot));
            let uses = process.map_or(&[][..], |p| &p.files);
            let last =
                |slot: &Slot| opens.files().get(*slot).map(|f| (f.tally.last, f.tally.opens));
            let mut files: Vec<_> = uses.iter().filter_map(|s| Some((last(s)?, *s))).collect();
            files.sort_unstable_by(|a, b| b.cmp(a));
            self.rows.extend(files.into_iter().take(FILES).map(|(_, slot)| RelatedRow::File(slot)));
        }
        let (mut unattributed, mut unheld) = (Unattributed::default(), 0);
        let with_ip = |conn: &Conn| conn.remote.ip() == ip && passes(conn.peer(ip));
        for (conn, owner) in owners.conns().filter(|(conn, _)| with_ip(conn)) {
            if let Some(owner) = owner {
                *self.live.entry(owner.key).or_default() += 1;
            }
            if owners.polled() {
                unheld += u32::from(owner.is_none());
                continue;
            }
            for (party, carried) in owners.parts_of(conn.cookie) {
                if let Party::Unattributed(reason) = party {
                    unattributed.add(*reason, *carried);
                }
            }
        }
        self.rows.extend((unheld > 0).then_some(RelatedRow::Unheld(unheld)));
        let parts = unattributed.parts().filter(|(_, carried)| !carried.is_none());
        self.rows.extend(parts.map(|(reason, carried)| RelatedRow::Unattributed(reason, carried)));
        self.list.clamp(self.rows.len());
    }

    /// The processes of a program, in this order.
    pub(super) fn show_members(&mut self, members: Vec<Slot>) {
        self.clear();
        self.of = members.len();
        self.rows.extend(members.into_iter().take(MAX_ROWS).map(RelatedRow::Member));
        self.list.clamp(self.rows.len());
    }

    /// The peers of some processes.
    pub(super) fn show_peers_of(&mut self, owners: &Connections, keys: &HashSet<ProcessKey>) {
        self.clear();
        let mut pairs: Vec<&Pair> = match keys.iter().next() {
            Some(key) if keys.len() == 1 => owners.peers_of(*key),
            Some(_) => owners.pairs().filter(|pair| keys.contains(&pair.key)).collect(),
            None => Vec::new(),
        };
        let rank = |p: &&Pair| (std::cmp::Reverse(p.total.bytes()), p.key.tgid, p.peer.ip);
        pairs.sort_unstable_by_key(rank);
        self.of = pairs.len();
        self.rows.extend(pairs.into_iter().take(MAX_ROWS).map(|p| RelatedRow::Pair(p.key, p.peer)));
        self.list.clamp(self.rows.len());
    }

    /// The descriptors of the open process, below its peers.
    pub(super) fn show_descriptors(&mut self, descriptors: &[OpenDescriptor]) {
        self.rows.extend((0..descriptors.len()).map(RelatedRow::Descriptor));
        self.descriptors = descriptors.to_vec();
        self.list.clamp(self.rows.len());
    }

    /// The timeline of a process, the latest entry first.
    pub(super) fn show_timeline(&mut self, entries: Vec<TimelineEntry>) {
        self.clear();
        self.of = entries.len();
        self.rows.extend((0..entries.len()).rev().map(RelatedRow::TimelineEntry));
        self.timeline = entries;
        self.list.clamp(self.rows.len());
    }

    /// Moves the cursor by `by` rows, on a screen with `lines` for them.
    pub(super) fn step(&mut self, by: isize, lines: usize) {
        self.list.step(by, self.rows.len());
        self.list.scroll(self.rows.len(), lines);
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<RelatedRow> {
        self.rows.get(self.list.cursor).copied()
    }
}

/// The processes in the table whose ancestors match these filters; `None` if no filter is about
/// ancestors.
pub(super) fn descended<'a>(
    opens: &Opens,
    lineage: &Lineage,
    filters: impl Iterator<Item = &'a Filter>,
) -> Option<HashSet<ProcessKey>> {
    let asking: Vec<&Filter> = filters.filter(|f| f.chooses_parents()).collect();
    if asking.is_empty() {
        return None;
    }
    let ancestry = Ancestry::of(opens, lineage);
    let matches = |p: &&Process| {
        let ancestors = ancestry.ancestors(p);
        asking.iter().all(|f| f.ancestors(&ancestors))
    };
    let real = opens.processes().iter().map(|(_, p)| p).filter(|p| !p.is_stand_in());
    Some(real.filter(matches).map(|p| p.key).collect())
}

/// The processes whose peers match these filters; `None` if no filter is about peers.
pub(super) fn talking<'a>(
    owners: Option<&Connections>,
    filters: impl Iterator<Item = &'a Filter>,
) -> Option<HashSet<ProcessKey>> {
    let asking: Vec<&Filter> = filters.filter(|f| f.chooses_peers()).collect();
    if asking.is_empty() {
        return None;
    }
    if asking.iter().any(|f| f.chooses_quality()) {
        // Each is about one connection: that has to match all terms.
        let Some(owners) = owners else { return Some(HashSet::new()) };
        let matches = |conn: &&Conn| {
            let name = owners.hostnames.of(conn).map(|named| named.name);
            asking.iter().all(|f| f.connection(conn, name, conn.tcp_state(), &conn.quality))
        };
        let keys = owners.live_conns().map(|(_, conn)| conn).filter(matches);
        let keys = keys.flat_map(|conn| &conn.shares);
        return Some(keys.map(|share| share.owner.key).collect());
    }
    let matches = |pair: &Pair| {
        asking.iter().all(|f| {
            let mut ports = pair.services.iter().map(|s| s.port);
            f.peer(pair.peer.ip) && (!f.chooses_ports() || ports.any(|port| f.port([port, port])))
        })
    };
    let pairs = owners.into_iter().flat_map(Connections::pairs);
    Some(pairs.filter(|pair| matches(pair)).map(|pair| pair.key).collect())
}
