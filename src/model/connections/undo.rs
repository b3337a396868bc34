//! Undo records of the tables, for stepping back in time.
//!
//! They have what a screen shows. Fields that only counting needs are left out, since nothing is counted
//! in tables that went back: the holders, the peers of ended datagram sockets, and how far
//! each row was counted.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::live::Live;
use super::{Connections, Net, Pair, Turnover, Unattributed};
use crate::model::conn::{Carried, Conn, Limits, Owner, PeerAddr};
use crate::model::coverage::Attribution;
use crate::model::process::ProcessKey;
use crate::model::quality::{Quality, Windows};
use crate::model::table::Keyed;
use crate::model::time::Mono;
use crate::model::undo::{Reading, Undoable, Window, Writing};

/// The state outside of the tables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sums {
    total: Carried,
    delta: Carried,
    turnover: [Turnover; 2],
    closed_evicted: u64,
    events_evicted: u64,
    closed_lately: Range<u64>,
    without_history: u64,
    unattributed: [Unattributed; 2],
    other: Carried,
    evicted: u64,
    limits: Limits,
    attribution: Attribution,
    at: Mono,
    interval_ns: u64,
}

impl Sums {
    fn of(connections: &Connections) -> Self {
        Self {
            total: connections.total,
            delta: connections.delta,
            turnover: [connections.turnover, connections.turnover_delta],
            closed_evicted: connections.closed_evicted,
            events_evicted: connections.events_evicted,
            closed_lately: connections.closed_lately.clone(),
            without_history: connections.without_history,
            unattributed: [connections.unattributed, connections.unattributed_delta],
            other: connections.other,
            evicted: connections.evicted,
            limits: connections.limits,
            attribution: connections.attribution,
            at: connections.at,
            interval_ns: connections.interval_ns,
        }
    }
}

impl Connections {
    /// Writes the undo records since the last call, and begins the next turn: see
    /// [`crate::model::slab::Slab::changes`].
    pub fn changes(&mut self, window: Window, to: &mut Writing) {
        let now = Sums::of(self);
        to.put(self.turn_start.as_deref().unwrap_or(&now));
        self.turn_start = Some(Box::new(now));
        self.events.changes(to);
        self.closed.changes(to);
        self.conns.changes(window, to);
        self.processes.changes(window, to);
        self.pairs.changes(window, to);
    }

    /// Goes back by what [`Connections::changes`] wrote next. [`Connections::settle`] has to follow
    /// before the tables are read; nothing can be counted any more.
    pub fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let sums: Sums = from.get()?;
        self.total = sums.total;
        self.delta = sums.delta;
        [self.turnover, self.turnover_delta] = sums.turnover;
        self.closed_evicted = sums.closed_evicted;
        self.events_evicted = sums.events_evicted;
        self.closed_lately = sums.closed_lately;
        self.without_history = sums.without_history;
        [self.unattributed, self.unattributed_delta] = sums.unattributed;
        self.other = sums.other;
        self.evicted = sums.evicted;
        self.limits = sums.limits;
        self.attribution = sums.attribution;
        self.at = sums.at;
        self.interval_ns = sums.interval_ns;
        self.events.go_back(from)?;
        self.closed.go_back(from)?;
        self.conns.go_back(from)?;
        self.processes.go_back(from)?;
        self.pairs.go_back(from)
    }

    /// Works out what was not written: the rows by key, and how each connection's traffic divides.
    pub fn settle(&mut self) {
        self.conns.settle();
        self.processes.settle();
        self.pairs.settle();
        let attribution = self.attribution;
        for (_, live) in self.conns.iter_mut() {
            live.counted = live.divide(attribution);
        }
    }
}

impl Keyed for Live {
    type Key = u64;

    fn key(&self) -> u64 {
        self.conn.cookie
    }
}

impl Keyed for Net {
    type Key = ProcessKey;

    fn key(&self) -> ProcessKey {
        self.owner.key
    }
}

impl Keyed for Pair {
    type Key = (ProcessKey, PeerAddr);

    fn key(&self) -> Self::Key {
        (self.key, self.peer)
    }
}

impl Undoable for Live {
    /// Of a connection that ended, all is written twice, which LZ4 packs into a few bytes.
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&self.conn);
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        Some(Self::new(&from.get::<Conn>()?))
    }

    fn write(&self, to: &mut Writing) {
        let quality = &self.conn.quality;
        to.put(&(&self.conn, self.packets, (quality, quality.windows), self.delta, self.is_new));
        to.put(&self.history.is_some());
        if let Some(history) = &self.history {
            history.write(to);
        }
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let (quality, windows): (Quality, Option<Windows>);
        (self.conn, self.packets, (quality, windows), self.delta, self.is_new) = from.get()?;
        self.conn.quality = Quality { windows, ..quality };
        if !from.get()? {
            self.history = None;
            return Some(());
        }
        self.history.get_or_insert_default().read(from)
    }
}

impl Undoable for Net {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&self.owner);
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        Some(Self::empty(from.get::<Owner>()?))
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(self.owner.comm, self.owner.uid, self.netns, self.total, self.delta, self.peers));
        to.put(&(self.live, self.begun, self.worst, self.shared, self.last));
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.owner.comm, self.owner.uid, self.netns, self.total, self.delta, self.peers) =
            from.get()?;
        (self.live, self.begun, self.worst, self.shared, self.last) = from.get()?;
        Some(())
    }
}

impl Undoable for Pair {
    fn write_fixed(&self, to: &mut Writing) {
        to.put(&(self.key, self.peer));
    }

    fn read_fixed(from: &mut Reading<'_>) -> Option<Self> {
        let (key, peer) = from.get()?;
        Some(Self::new(key, peer))
    }

    fn write(&self, to: &mut Writing) {
        to.put(&(self.total, self.delta, &self.services, self.more_services, self.last));
    }

    fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        (self.total, self.delta, self.services, self.more_services, self.last) = from.get()?;
        Some(())
    }
}
