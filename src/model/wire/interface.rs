//! Interfaces and the counts of their directions.

use serde::{Deserialize, Serialize};

use crate::model::compare::Compared;
use crate::model::history::{History, per_second};
use crate::model::interface_name::InterfaceName;
use crate::model::link::Hook;
use crate::model::talkers::{Direction, Source, Traffic};
use crate::model::time::Mono;

/// Counts of one direction that can be started again without touching the probe.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Side {
    pub(super) held: bool,
    pub(super) sample: u64,
    pub(super) total: Traffic,
    base: Traffic,
    pub(super) since: Mono,
    base_since: Mono,
    pub(super) delta: Traffic,
}

impl Side {
    /// Whether the probe holds a count.
    pub fn held(&self) -> bool {
        self.held
    }

    /// Everything since it was admitted, or since the counts were started again.
    pub fn total(&self) -> Traffic {
        if self.since == self.base_since { self.total.minus(self.base) } else { self.total }
    }

    /// In the last interval.
    pub fn delta(&self) -> Traffic {
        self.delta
    }

    /// Whether `source` is unchanged: it had no traffic in this interval and none in the one before.
    pub(super) fn rests(&self, source: &Source) -> bool {
        let none = Traffic::default();
        self.held
            && (self.total, self.since) == (source.total, source.since)
            && (self.delta, source.delta) == (none, none)
    }

    /// Takes the counts of a snapshot. With `later` the first one counts from its interval on.
    pub(super) fn take(&mut self, total: Traffic, since: Mono, delta: Traffic, later: bool) {
        if later && !self.held {
            (self.base, self.base_since) = (total.minus(delta), since);
        }
        (self.held, self.total, self.since, self.delta) = (true, total, since, delta);
    }

    pub(super) fn restart(&mut self) {
        self.base = self.total;
        self.base_since = self.since;
        self.delta = Traffic::default();
    }
}

/// One direction of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceSide {
    /// Everything on the interface.
    pub side: Side,
    /// The hook that counted last.
    pub hook: Option<Hook>,
    pub interval_ns: u64,
    /// When the last snapshot was taken.
    pub at: Mono,
    /// Why the counts cannot be complete.
    pub partial: Option<String>,
    /// The kernel's own count of packets, beside ours.
    pub compared: Compared,
    /// Sources that the probe or the model evicted.
    pub evicted: u64,
    /// Evictions that the probe has reported, and the part of them from before this recording.
    pub(super) evicted_reported: u64,
    pub(super) evicted_before: u64,
    /// Bytes in each of the last seconds.
    pub history: History,
    pub(super) sources: Traffic,
    pub(super) sources_delta: Traffic,
    pub(super) held: usize,
}

impl InterfaceSide {
    pub(super) fn new() -> Self {
        Self {
            side: Side::default(),
            hook: None,
            interval_ns: 0,
            at: Mono(0),
            partial: None,
            compared: Compared::default(),
            evicted: 0,
            evicted_reported: 0,
            evicted_before: 0,
            history: History::default(),
            sources: Traffic::default(),
            sources_delta: Traffic::default(),
            held: 0,
        }
    }

    /// Traffic of no held source.
    pub fn other(&self) -> Traffic {
        self.side.total().minus(self.sources)
    }

    /// The same, in the last interval.
    pub fn other_delta(&self) -> Traffic {
        self.side.delta.minus(self.sources_delta)
    }

    /// Whether the last snapshot still says what happens now.
    fn fresh(&self, now: Mono) -> bool {
        now.since(self.at) <= self.interval_ns.saturating_mul(3).saturating_add(1_500_000_000)
    }

    /// The rate of `delta`: 0 when the last snapshot is long past.
    pub fn rate(&self, delta: Traffic, now: Mono) -> Rate {
        if !self.fresh(now) {
            return Rate::default();
        }
        Rate {
            pps: per_second(delta.packets, self.interval_ns),
            bps: per_second(delta.bytes.saturating_mul(8), self.interval_ns),
        }
    }
}

/// Packets and bits a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub pps: f64,
    pub bps: f64,
}

impl std::ops::Add for Rate {
    type Output = Rate;
    fn add(self, o: Rate) -> Rate {
        Rate { pps: self.pps + o.pps, bps: self.bps + o.bps }
    }
}

/// One interface and its totals.
#[derive(Clone, Debug)]
pub struct Interface {
    pub name: InterfaceName,
    pub ifindex: u32,
    pub rx: InterfaceSide,
    pub tx: InterfaceSide,
}

impl Interface {
    /// The side of `direction`.
    pub fn side(&self, direction: Direction) -> &InterfaceSide {
        match direction {
            Direction::Rx => &self.rx,
            Direction::Tx => &self.tx,
        }
    }

    /// Whether each packet is here twice, once sent and once received.
    pub fn loopback(&self) -> bool {
        self.name == "lo"
    }
}
