//! The account of one interface and direction: two sides, read in turn.
//!
//! The kernel counts on one side while the other stands still and is read. The counts of a
//! side only grow, so the account at a turn is what the side just read holds plus what the
//! other one held when it last stood still: no frame twice, none lost, however often they turn.
//!
//! Every frame is in a side's total; a frame of a held source also in that source's entry on the
//! same side. So sources never exceed the totals, and `other`, the difference, needs no counter
//! that could disagree. Pure: the probe reads maps and carries out what [`Folded`] asks for.

use std::net::IpAddr;

use hashbrown::{HashMap, HashSet};

use super::talkers::{DetailSample, Source, Traffic};
use super::time::Mono;

/// A source idle for this many turns weighs half as much when some have to be evicted.
const IDLE_TURNS_PER_HALVING: u64 = 16;

/// Bytes of one CPU's count: packets and bytes, each eight bytes in the machine's order.
pub const COUNT_BYTES: usize = 16;

/// The sum of what the CPUs have of one source, `values` being their counts one after the other.
pub fn merged(values: &[u8]) -> Traffic {
    let number = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    values.chunks_exact(COUNT_BYTES).fold(Traffic::default(), |sum, value| {
        let Some((packets, rest)) = value.split_first_chunk() else { return sum };
        let Some((bytes, _)) = rest.split_first_chunk() else { return sum };
        sum + Traffic { packets: number(packets), bytes: number(bytes) }
    })
}

/// One of the two sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Side 0, where counting begins.
    #[default]
    Zero,
    /// Side 1.
    One,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Side::Zero => Side::One,
            Side::One => Side::Zero,
        }
    }
}

/// The contents of a side that stands still, summed over the CPUs.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Every frame counted on this side since the maps were made.
    pub total: Traffic,
    /// The side's hash.
    pub sources: Vec<(IpAddr, Traffic)>,
    /// The CPUs' last sources, not in the hash yet. The reader clears them after the fold, so
    /// each is read once.
    pub cached: Vec<(IpAddr, Traffic)>,
}

/// One turn's account, and what has to be done to the side that was read before it counts again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// Everything since the interface was first watched.
    pub total: Traffic,
    /// Everything in this interval.
    pub delta: Traffic,
    /// Traffic of no held source.
    pub other: Traffic,
    /// Traffic of no held source in this interval.
    pub other_delta: Traffic,
    /// The interval, ns.
    pub interval_ns: u64,
    /// Every source held, largest first by bytes.
    pub sources: Vec<Source>,
    /// Evicted since the interface was first watched.
    pub evicted: u64,
    /// To be removed from the side's hash: first.
    pub remove: Vec<IpAddr>,
    /// To be put into the side's hash with nothing counted: then. Held sources are on both
    /// sides, so that a flood that fills the hash cannot keep them out.
    pub insert: Vec<IpAddr>,
    /// The detail of the address whose view is open; the ledger does not use it.
    pub detail: Option<DetailSample>,
}

#[derive(Clone, Copy, Debug, Default)]
struct OnSide {
    /// Its counts in the hash when it was last read.
    hash: Traffic,
    /// Counted outside of the present hash entry: from cache records.
    carried: Traffic,
    /// The turn at which the hash last had it.
    seen_turn: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    since: Mono,
    /// From earlier maps: before the interface was last watched again.
    base: Traffic,
    /// Counts of the maps when the counts were last started again.
    zero: Traffic,
    sides: [OnSide; 2],
    /// The total at the last turn.
    reported: Traffic,
    /// The last turn with traffic.
    busy_turn: u64,
}

impl Entry {
    fn new(since: Mono, turn: u64) -> Self {
        Self {
            since,
            base: Traffic::default(),
            zero: Traffic::default(),
            sides: [OnSide::default(); 2],
            reported: Traffic::default(),
            busy_turn: turn,
        }
    }

    fn side(&mut self, side: Side) -> &mut OnSide {
        let [zero, one] = &mut self.sides;
        match side {
            Side::Zero => zero,
            Side::One => one,
        }
    }

    fn total(&self) -> Traffic {
        self.sides.iter().fold(self.base, |sum, s| sum + s.hash + s.carried).minus(self.zero)
    }

    fn restart(&mut self, at: Mono) {
        self.zero = self.zero + self.total();
        self.reported = Traffic::default();
        self.since = at;
    }

    /// Eviction weight: total bytes, halved for every 16 idle turns.
    fn weight(&self, turn: u64) -> u64 {
        let halvings = turn.saturating_sub(self.busy_turn) / IDLE_TURNS_PER_HALVING;
        self.total().bytes.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0)
    }
}

/// The account of one interface and direction. It outlives the maps: an interface that is taken
/// up again continues from its last state.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Entries that a side's hash has room for.
    capacity: usize,
    /// The room once the map has grown, where it can.
    most: usize,
    entries: HashMap<IpAddr, Entry>,
    /// Evicted at the last turn: perhaps still in the hash of the side that is counting now.
    doomed: HashSet<IpAddr>,
    /// From earlier maps.
    base: Traffic,
    /// Counts of the maps when the counts were last started again.
    zero: Traffic,
    /// The sides' totals when they last stood still.
    totals: [Traffic; 2],
    /// The total at the last turn.
    reported: Traffic,
    turn: u64,
    /// When the side that is counting began to.
    counting_since: Mono,
    /// When the next sample's interval began.
    reported_at: Mono,
    evicted: u64,
}

impl Ledger {
    /// The counting begins, on new and empty maps that have room for `capacity` entries each and
    /// can be had with room for `most`. Returns the sources that are held already, to be put
    /// into both hashes.
    pub fn open(&mut self, capacity: usize, most: usize, at: Mono) -> Vec<IpAddr> {
        self.close();
        self.capacity = capacity;
        self.most = most.max(capacity);
        self.counting_since = at;
        self.reported_at = at;
        self.evict();
        self.doomed.clear();
        self.held()
    }

    /// There are no larger maps to be had than those there are.
    pub fn cannot_grow(&mut self) {
        self.most = self.capacity;
    }

    /// The sources held now.
    pub fn held(&self) -> Vec<IpAddr> {
        self.entries.keys().copied().collect()
    }

    /// How many sources are held now.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no source is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Both sides were read for the last time and the maps are about to be dropped: keeps their counts.
    pub fn close(&mut self) {
        let [zero, one] = std::mem::take(&mut self.totals);
        self.base = (self.base + zero + one).minus(std::mem::take(&mut self.zero));
        for entry in self.entries.values_mut() {
            entry.base = entry.total();
            entry.zero = Traffic::default();
            entry.sides = Default::default();
        }
        self.doomed.clear();
    }

    /// Evicts every source, while nothing is attached. Their traffic is in `other` from now on.
    pub fn evict_all(&mut self) {
        let evicted = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.evicted = self.evicted.saturating_add(evicted);
        self.entries.clear();
    }

    /// Counts start again at nothing: `at` is when a side was turned away from that has been
    /// folded since.
    pub fn restart(&mut self, at: Mono) {
        self.zero = self.zero + self.reported;
        self.reported = Traffic::default();
        self.evicted = 0;
        for entry in self.entries.values_mut() {
            entry.restart(at);
        }
    }

    /// Everything counted up to the last turn.
    pub fn total(&self) -> Traffic {
        self.reported
    }

    /// `side` counted until `at` and now stands still, holding `reading`.
    pub fn fold(&mut self, side: Side, reading: &Reading, at: Mono) -> Folded {
        let mut folded = self.absorb(side, reading, at);
        folded.interval_ns = at.since(std::mem::replace(&mut self.reported_at, at));
        self.account(&mut folded);
        folded
    }

    /// Takes a reading in the middle of an interval: the next fold includes it. Returns what is to
    /// be done to the side, and no account.
    pub fn absorb(&mut self, side: Side, reading: &Reading, at: Mono) -> Folded {
        self.turn += 1;
        let turn = self.turn;
        let mut folded = Folded::default();
        self.set_side_total(side, reading.total);
        for (ip, traffic) in &reading.sources {
            if self.doomed.contains(ip) {
                folded.remove.push(*ip);
                continue;
            }
            // Put there for a source that has been evicted meanwhile.
            if traffic.packets == 0 && !self.entries.contains_key(ip) {
                folded.remove.push(*ip);
                continue;
            }
            let since = self.counting_since;
            let on = self.entries.entry(*ip).or_insert_with(|| Entry::new(since, turn)).side(side);
            on.hash = *traffic;
            on.seen_turn = turn;
        }
        for (ip, traffic) in &reading.cached {
            if self.doomed.contains(ip) {
                continue;
            }
            let full = self.entries.len() >= self.most;
            let since = self.counting_since;
            match self.entries.get_mut(ip) {
                Some(entry) => {
                    let on = entry.side(side);
                    on.carried = on.carried + *traffic;
                }
                None if full => {}
                None => {
                    let mut entry = Entry::new(since, turn);
                    entry.side(side).carried = *traffic;
                    self.entries.insert(*ip, entry);
                }
            }
        }
        self.doomed.clear();
        let mut on_side = 0usize;
        for entry in self.entries.values_mut() {
            if entry.total() != entry.reported {
                entry.busy_turn = turn;
            }
            on_side += usize::from(entry.side(side).seen_turn == turn);
        }
        let mut gone = self.evict_from(side, turn);
        on_side -= gone.len();
        folded.remove.append(&mut gone);
        // A table whose sources stay has them all on both sides.
        if on_side < self.entries.len() {
            self.put_on(side, on_side, &mut folded.insert);
        }
        self.counting_since = at;
        folded
    }

    /// Asks for the held sources that are not among the `on_side` in `side`'s hash.
    fn put_on(&mut self, side: Side, on_side: usize, insert: &mut Vec<IpAddr>) {
        // Always room for all of them, but for one or two turns in which the maps are to grow.
        let room = self.capacity.saturating_sub(on_side);
        for (ip, entry) in &mut self.entries {
            let on = entry.side(side);
            if on.seen_turn != self.turn {
                // Not in the hash, so that it begins at nothing there: what was counted is kept.
                on.carried = on.carried + std::mem::take(&mut on.hash);
                if insert.len() < room {
                    insert.push(*ip);
                }
            }
        }
    }

    fn set_side_total(&mut self, side: Side, total: Traffic) {
        let [zero, one] = &mut self.totals;
        match side {
            Side::Zero => *zero = total,
            Side::One => *one = total,
        }
    }

    /// Totals, sources and what is between them.
    fn account(&mut self, folded: &mut Folded) {
        let [zero, one] = self.totals;
        folded.total = (self.base + zero + one).minus(self.zero);
        folded.delta = folded.total.minus(self.reported);
        self.reported = folded.total;
        let mut held = Traffic::default();
        let mut held_delta = Traffic::default();
        folded.sources.reserve_exact(self.entries.len());
        for (ip, entry) in &mut self.entries {
            let total = entry.total();
            let delta = total.minus(entry.reported);
            entry.reported = total;
            held = held + total;
            held_delta = held_delta + delta;
            if total.packets == 0 {
                continue;
            }
            folded.sources.push(Source { ip: *ip, since: entry.since, total, delta });
        }
        folded.evicted = self.evicted;
        folded.other = folded.total.minus(held);
        folded.other_delta = folded.delta.minus(held_delta);
        folded.sources.sort_unstable_by(|a, b| {
            b.total
                .bytes
                .cmp(&a.total.bytes)
                .then(b.total.packets.cmp(&a.total.packets))
                .then(a.ip.cmp(&b.ip))
        });
    }

    /// Evicts the lightest where a quarter of the hash is no longer free for new ones. Returns
    /// those that are in `side`'s hash.
    fn evict_from(&mut self, side: Side, turn: u64) -> Vec<IpAddr> {
        let mut on_side = Vec::new();
        for (ip, mut entry) in self.evict() {
            if entry.side(side).seen_turn == turn {
                on_side.push(ip);
            }
            self.doomed.insert(ip);
        }
        on_side
    }

    fn evict(&mut self) -> Vec<(IpAddr, Entry)> {
        let keep = self.most - self.most / 4;
        let excess = self.entries.len().saturating_sub(keep);
        if excess == 0 {
            return Vec::new();
        }
        let mut by_weight: Vec<(u64, IpAddr)> =
            self.entries.iter().map(|(ip, e)| (e.weight(self.turn), *ip)).collect();
        if excess < by_weight.len() {
            by_weight.select_nth_unstable(excess - 1);
        }
        by_weight.truncate(excess);
        let excess = u64::try_from(excess).unwrap_or(u64::MAX);
        self.evicted = self.evicted.saturating_add(excess);
        by_weight.iter().filter_map(|(_, ip)| self.entries.remove_entry(ip)).collect()
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
