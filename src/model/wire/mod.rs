//! Traffic by address: rx and tx joined, for every interface ever watched.
//!
//! The counts of an interface stay when another is watched. Sources plus the
//! other traffic are always the interface's totals.

mod interface;
pub mod talk;
mod talker;
mod undo;

use std::net::IpAddr;

use hashbrown::HashMap;

use super::history::History;
use super::interface_name::InterfaceName;
use super::slab::{Slab, Slot};
use super::talkers::{Direction, TalkersSample, Traffic};
use super::time::{Mono, Stamp, WallOffset};
use talk::Talk;

pub use interface::{Interface, InterfaceSide, Rate, Side};
pub use talker::Talker;

/// Addresses held at most, of all interfaces together; the rest is in `other`.
pub const MAX_TALKERS: usize = 32_768;

/// Interfaces whose counts are held at most; the pane says how many watched ones find no room.
pub const MAX_PORTS: usize = 512;

/// The tables.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    ports: Vec<Interface>,
    talkers: Slab<Talker>,
    by_key: HashMap<(usize, IpAddr), Slot>,
    samples: u64,
    /// The probe began to count before this recording: that part is not its own.
    later: bool,
    talk: Talk,
    /// The state when the turn began, where changes are recorded for undo.
    turn_start: Option<Box<undo::TurnStart>>,
}

impl Wire {
    /// Takes one snapshot in.
    pub fn add_sample(&mut self, sample: &TalkersSample) {
        let Some(index) = self.port_index(sample) else { return };
        self.talk.absorb(index, sample);
        self.samples += 1;
        let (number, later) = (self.samples, self.later);
        let (mut sum, mut sum_delta, mut held) = (Traffic::default(), Traffic::default(), 0);
        for source in &sample.sources {
            let Some(slot) = self.talker_slot(index, source.ip, sample.at.mono) else { continue };
            // An unchanged source, as most are, needs no undo record.
            if let Some(talker) = self.talkers.unnoted_mut(slot)
                && let side = talker.side_mut(sample.direction).0
                && side.rests(source)
            {
                side.sample = number;
                sum = sum + side.total();
                held += 1;
                continue;
            }
            let Some(talker) = self.talkers.get_mut(slot) else { continue };
            if source.delta.packets > 0 {
                talker.last = talker.last.max(sample.at.mono);
            }
            let (side, history) = talker.side_mut(sample.direction);
            side.sample = number;
            side.take(source.total, source.since, source.delta, later);
            history.add_spread(sample.at.mono, sample.interval_ns, source.delta.bytes);
            sum = sum + side.total();
            sum_delta = sum_delta + source.delta;
            held += 1;
        }
        let Some(port) = self.ports.get_mut(index) else { return };
        let before = std::mem::replace(
            match sample.direction {
                Direction::Rx => &mut port.rx.held,
                Direction::Tx => &mut port.tx.held,
            },
            held,
        );
        let side = match sample.direction {
            Direction::Rx => &mut port.rx,
            Direction::Tx => &mut port.tx,
        };
        side.side.take(sample.total, Mono(0), sample.delta, later);
        side.hook = Some(sample.hook);
        side.interval_ns = sample.interval_ns;
        side.at = sample.at.mono;
        side.compared = sample.compared;
        side.partial.clone_from(&sample.partial);
        // One that is attached again counts from 0.
        if sample.evicted < side.evicted_before {
            side.evicted_before = 0;
        }
        side.evicted_reported = sample.evicted;
        let evicted = sample.evicted - side.evicted_before;
        side.evicted = evicted.saturating_add((sample.sources.len() - held) as u64);
        side.history.add_spread(sample.at.mono, sample.interval_ns, sample.delta.bytes);
        side.sources = sum;
        side.sources_delta = sum_delta;
        if before > 0 {
            self.sweep(index, sample.direction, number);
        }
    }

    /// Counts only what comes after the beginning of a recording.
    pub fn begin_after(&mut self) {
        self.later = true;
        for port in &mut self.ports {
            for side in [&mut port.rx, &mut port.tx] {
                side.side.restart();
                (side.evicted, side.evicted_before) = (0, side.evicted_reported);
            }
        }
    }

    /// The sums of each interface and direction, for a recording that begins now: nothing of them counts
    /// there.
    pub fn counted_before(&self, wall: WallOffset) -> Vec<TalkersSample> {
        let sums = |port: &Interface, direction| {
            let side = port.side(direction);
            Some(TalkersSample {
                ifindex: port.ifindex,
                interface: port.name.clone(),
                direction,
                hook: side.hook?,
                at: Stamp { mono: side.at, wall },
                interval_ns: 0,
                total: side.side.total,
                delta: Traffic::default(),
                other: side.side.total,
                other_delta: Traffic::default(),
                partial: side.partial.clone(),
                sources: Vec::new(),
                evicted: side.evicted_reported,
                compared: side.compared,
                detail: None,
            })
        };
        let sides = [Direction::Rx, Direction::Tx];
        let of = |port| sides.into_iter().filter_map(move |direction| sums(port, direction));
        self.ports.iter().flat_map(of).collect()
    }

    /// Starts the counts again, of every interface.
    pub fn restart(&mut self) {
        for port in &mut self.ports {
            for side in [&mut port.rx, &mut port.tx] {
                side.side.restart();
                side.history = History::default();
                side.sources = Traffic::default();
                side.sources_delta = Traffic::default();
            }
        }
        for (_, talker) in self.talkers.iter_mut() {
            talker.rx.restart();
            talker.tx.restart();
            talker.rx_history = History::default();
            talker.tx_history = History::default();
        }
    }

    /// The detail of this talker, where its view is open.
    pub fn talk(&self, talker: &Talker) -> Option<&Talk> {
        Some(&self.talk).filter(|t| t.is_of(talker.port, talker.ip))
    }

    /// Drops the detail: the view was closed, or is of another address.
    pub fn close_detail(&mut self) {
        self.talk = Talk::default();
    }

    /// Every interface ever watched.
    pub fn ports(&self) -> &[Interface] {
        &self.ports
    }

    /// The place among [`Wire::ports`] of the interface with this name.
    pub fn port_named(&self, name: &InterfaceName) -> Option<usize> {
        self.ports.iter().position(|p| p.name == *name)
    }

    /// An address on the interface at this place among [`Wire::ports`].
    pub fn find(&self, port: usize, ip: IpAddr) -> Option<Slot> {
        self.by_key.get(&(port, ip)).copied()
    }

    /// Every address held.
    pub fn talkers(&self) -> &Slab<Talker> {
        &self.talkers
    }

    /// The rate of one direction of `talker`.
    pub fn rate(&self, talker: &Talker, direction: Direction, now: Mono) -> Rate {
        let side = talker.side(direction);
        match self.ports.get(talker.port) {
            Some(port) if side.held => port.side(direction).rate(side.delta, now),
            _ => Rate::default(),
        }
    }

    fn port_index(&mut self, sample: &TalkersSample) -> Option<usize> {
        let found = self.ports.iter().position(|p| p.name == sample.interface);
        let index = match found {
            Some(index) => index,
            None if self.ports.len() < MAX_PORTS => {
                self.ports.push(Interface {
                    name: sample.interface.clone(),
                    ifindex: sample.ifindex,
                    rx: InterfaceSide::new(),
                    tx: InterfaceSide::new(),
                });
                self.ports.len() - 1
            }
            None => return None,
        };
        if let Some(port) = self.ports.get_mut(index) {
            port.ifindex = sample.ifindex;
        }
        Some(index)
    }

    fn talker_slot(&mut self, port: usize, ip: IpAddr, at: Mono) -> Option<Slot> {
        if let Some(slot) = self.by_key.get(&(port, ip)) {
            return Some(*slot);
        }
        if self.talkers.len() >= MAX_TALKERS {
            return None;
        }
        let slot = self.talkers.insert(Talker::new(port, ip, at));
        self.by_key.insert((port, ip), slot);
        Some(slot)
    }

    /// Forgets sources that are no longer in the snapshot: what they had is in `other` now.
    fn sweep(&mut self, port: usize, direction: Direction, number: u64) {
        let late = |t: &Talker| {
            let side = t.side(direction);
            t.port == port && side.held && side.sample != number
        };
        let late: Vec<Slot> =
            self.talkers.iter().filter(|(_, t)| late(t)).map(|(slot, _)| slot).collect();
        for slot in late {
            let Some(talker) = self.talkers.get_mut(slot) else { continue };
            *talker.side_mut(direction).0 = Side::default();
            if !talker.rx.held && !talker.tx.held {
                let ip = talker.ip;
                self.talkers.remove(slot);
                self.by_key.remove(&(port, ip));
            }
        }
    }
}

#[cfg(test)]
mod tests;
