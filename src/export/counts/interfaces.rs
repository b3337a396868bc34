//! Traffic of interfaces, and of talkers by scope.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::export::series::{Counter, Seen};
use crate::export::text::labels;
use crate::model::escape::escape;
use crate::model::event::Watched;
use crate::model::marks::{Mark, Marks};
use crate::model::talkers::{Direction, TalkersSample, Traffic};

/// Maximum interfaces with series of their own; the traffic of others is in `interface="other"`. When there are as
/// many, those that are not watched any more are evicted.
const MOST: usize = 256;

/// The name of all others.
const OTHER: &[u8] = b"other";

/// The scope of a talker's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Own,
    Gateway,
    Private,
    Multicast,
    Public,
    /// Not IP, or an address that was evicted.
    Other,
}

impl Scope {
    /// Every scope, in the order of the text.
    const ALL: [Self; 6] =
        [Self::Own, Self::Gateway, Self::Private, Self::Multicast, Self::Public, Self::Other];

    fn of(ip: IpAddr, marks: &Marks) -> Self {
        match marks.get(ip) {
            Some(Mark::Own) => Scope::Own,
            Some(Mark::Gateway) => Scope::Gateway,
            Some(Mark::Private) => Scope::Private,
            None if ip.is_multicast() || ip == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) => {
                Scope::Multicast
            }
            None => Scope::Public,
        }
    }

    /// The value of the label.
    fn name(self) -> &'static str {
        match self {
            Scope::Own => "self",
            Scope::Gateway => "gateway",
            Scope::Private => "private",
            Scope::Multicast => "multicast",
            Scope::Public => "public",
            Scope::Other => "other",
        }
    }
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrafficCounter {
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
}

impl TrafficCounter {
    fn add(&mut self, traffic: Traffic) {
        self.packets.add(traffic.packets);
        self.bytes.add(traffic.bytes);
    }

    fn each(&mut self, f: &mut impl FnMut(&mut Counter)) {
        f(&mut self.packets);
        f(&mut self.bytes);
    }

    fn unseen(&self) -> Traffic {
        Traffic { packets: self.packets.unseen(), bytes: self.bytes.unseen() }
    }
}

/// One direction of an interface.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) labels: Arc<str>,
    /// Time of the snapshot before it was made, Unix time in ns; 0: before the first snapshot.
    pub(super) start: u64,
    pub(super) all: TrafficCounter,
    /// By scope, each with its label.
    pub(super) scopes: [(Arc<str>, TrafficCounter); Scope::ALL.len()],
    /// Whether a hook counts now; `None` where the interface is not watched any more.
    pub(super) counted: Option<bool>,
    pub(super) partial: bool,
}

impl Side {
    fn new(interface: &str, direction: Direction, start: u64) -> Self {
        Self {
            labels: labels([("interface", interface), ("direction", direction.name())]),
            start,
            all: TrafficCounter::default(),
            scopes: Scope::ALL.map(|scope| (labels([("scope", scope.name())]), Default::default())),
            counted: None,
            partial: false,
        }
    }

    fn add(&mut self, scope: Scope, traffic: Traffic) {
        if let Some((_, counter)) = self.scopes.get_mut(scope as usize) {
            counter.add(traffic);
        }
    }

    /// Passes every counter to `f`.
    fn each(&mut self, f: &mut impl FnMut(&mut Counter)) {
        self.all.each(f);
        self.scopes.iter_mut().for_each(|(_, counter)| counter.each(f));
    }

    fn is_known(&mut self) -> bool {
        let mut known = false;
        self.each(&mut |counter| known |= counter.is_known());
        known
    }

    /// Adds the increments of an evicted one that no scrape has seen.
    fn add_unseen(&mut self, gone: &Self) {
        self.all.add(gone.all.unseen());
        for ((_, to), (_, from)) in self.scopes.iter_mut().zip(&gone.scopes) {
            to.add(from.unseen());
        }
    }
}

/// Name of the interface, and direction.
type SideKey = (Vec<u8>, Direction);

/// The interfaces that were watched.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    /// At most twice [`MOST`], and those of `other`.
    sides: BTreeMap<SideKey, Side>,
    /// The watched ones of the last list, each with whether a hook counts it.
    watched: BTreeMap<SideKey, bool>,
    /// Interfaces evicted.
    pub(super) evicted: u64,
    /// Time of the last snapshot, Unix time in ns.
    last: u64,
}

impl Interfaces {
    fn side(&mut self, interface: &[u8], direction: Direction) -> &mut Side {
        let mut key = (interface.to_vec(), direction);
        if self.sides.len() >= 2 * MOST && !self.sides.contains_key(&key) {
            key.0 = OTHER.to_vec();
        }
        let (name, start) = (escape(&key.0).into_owned(), self.last);
        self.sides.entry(key).or_insert_with(|| Side::new(&name, direction, start))
    }

    /// Prepares the snapshot of `now`, Unix time in ns: where there are too many, interfaces that are not watched
    /// any more are evicted, as groups are. `seen` is about the last one.
    pub(super) fn prepare(&mut self, seen: Seen, now: u64) {
        self.last = now;
        if self.sides.len() < 2 * MOST {
            return;
        }
        let may_go = |key: &SideKey, side: &mut Side| {
            let is_watched = key.0 == OTHER || self.watched.contains_key(key);
            !is_watched && (seen != Seen::Maybe || !side.is_known())
        };
        let gone: Vec<_> = self
            .sides
            .iter_mut()
            .filter_map(|(key, side)| may_go(key, side).then(|| key.clone()))
            .collect();
        let mut last = None;
        for key in gone {
            let Some(side) = self.sides.remove(&key) else { continue };
            let (name, direction) = key;
            let to = (OTHER.to_vec(), direction);
            let to = self.sides.entry(to).or_insert_with(|| Side::new("other", direction, now));
            to.add_unseen(&side);
            self.evicted += u64::from(last.as_ref() != Some(&name));
            last = Some(name);
        }
        // Watched ones among the others may have room now.
        if last.is_some() {
            self.mark_watched();
        }
    }

    /// Takes an interval of an interface.
    pub(super) fn add(&mut self, sample: &TalkersSample, marks: &Marks) {
        let side = self.side(sample.interface.as_bytes(), sample.direction);
        side.all.add(sample.delta);
        side.partial = sample.partial.is_some();
        for source in &sample.sources {
            side.add(Scope::of(source.ip, marks), source.delta);
        }
        side.add(Scope::Other, sample.other_delta);
    }

    /// Takes the state of all watched interfaces.
    pub(super) fn watch(&mut self, watched: &[Watched]) {
        self.watched.clear();
        for watched in watched {
            for (direction, hook) in [(Direction::Rx, &watched.rx), (Direction::Tx, &watched.tx)] {
                let counted = hook.is_ok() && watched.gone.is_none();
                let key = (watched.interface.as_bytes().to_vec(), direction);
                *self.watched.entry(key).or_insert(true) &= counted;
            }
        }
        self.mark_watched();
    }

    /// Makes the sides of watched interfaces, as long as there is room, and marks each with whether it is counted. A
    /// side that is made later is of an interface that is not watched.
    fn mark_watched(&mut self) {
        self.sides.values_mut().for_each(|side| side.counted = None);
        let watched = std::mem::take(&mut self.watched);
        for ((interface, direction), counted) in &watched {
            let side = self.side(interface, *direction);
            // Of all others: whether each is counted.
            side.counted = Some(*counted && side.counted != Some(false));
        }
        self.watched = watched;
    }

    /// Passes every counter to `f`.
    pub(super) fn each(&mut self, f: &mut impl FnMut(&mut Counter)) {
        self.sides.values_mut().for_each(|side| side.each(f));
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Side> {
        self.sides.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::interface_name::InterfaceName;
    use crate::model::link::Link;
    use crate::stream::sample;

    #[test]
    fn scopes_add_up_to_the_interface() {
        let ip = |text: &str| text.parse().unwrap();
        let link = Link { gateways: vec![ip("10.0.0.2")], ..Link::default() };
        let marks = Marks::of(&[link]);
        for (text, scope) in [
            ("10.0.0.2", Scope::Gateway),
            ("10.0.0.3", Scope::Private),
            ("127.0.0.1", Scope::Own),
            ("224.0.0.251", Scope::Multicast),
            ("255.255.255.255", Scope::Multicast),
            ("ff02::1", Scope::Multicast),
            ("8.8.8.8", Scope::Public),
        ] {
            assert_eq!(Scope::of(ip(text), &marks), scope, "{text}");
        }
        for (at, scope) in Scope::ALL.into_iter().enumerate() {
            assert_eq!(scope as usize, at);
        }
        let mut interfaces = Interfaces::default();
        let mut sample = sample::talkers();
        sample.sources.retain(|source| source.ip != ip("fe80::1"));
        let sources = sample.sources.iter().map(|s| s.delta);
        sample.delta = sources.fold(sample.other_delta, |sum, delta| sum + delta);
        interfaces.add(&sample, &marks);
        interfaces.add(&sample, &marks);
        let side = interfaces.iter_mut().next().unwrap();
        let sum: u64 = side.scopes.iter().map(|(_, n)| n.bytes.value()).sum();
        assert_eq!(sum, side.all.bytes.value());
        assert_eq!(side.all.packets.value(), 2 * sample.delta.packets);
    }

    fn watched(name: &[u8]) -> Watched {
        Watched { interface: name.into(), ..sample::watched().remove(0) }
    }

    #[test]
    fn watched_interfaces_are_not_evicted_however_long_nothing_changes() {
        let all: Vec<_> = (0..300).map(|n| watched(format!("veth{n}").as_bytes())).collect();
        let (mut interfaces, mut sample) = (Interfaces::default(), sample::talkers());
        interfaces.watch(&all);
        // Ten of those with series of their own go, and nothing changes from then on.
        let gone: Vec<_> = interfaces.sides.keys().map(|(name, _)| name.clone()).collect();
        let gone = &gone[100..120];
        let is_gone = |watched: &&Watched| gone.contains(&watched.interface.as_bytes().to_vec());
        let left: Vec<_> = all.iter().filter(|one| !is_gone(one)).cloned().collect();
        assert_eq!(left.len(), 290);
        interfaces.watch(&left);
        let mut total = 0;
        for round in 0..20 {
            for watched in &left {
                for direction in [Direction::Rx, Direction::Tx] {
                    (sample.interface, sample.direction) = (watched.interface.clone(), direction);
                    interfaces.add(&sample, &Marks::default());
                    total += sample.delta.bytes;
                }
            }
            interfaces.prepare(Seen::Yes, round + 1);
            // All room is taken, with that of the two sides of others.
            assert_eq!((interfaces.evicted, interfaces.sides.len()), (10, 2 * MOST));
            assert!(interfaces.sides.values().all(|side| side.counted == Some(true)));
            let sum: u64 = interfaces.sides.values().map(|side| side.all.bytes.value()).sum();
            assert_eq!(sum, total);
        }
        // All have series of their own where there is room.
        interfaces.watch(&left[..100]);
        interfaces.prepare(Seen::Yes, 21);
        let other = interfaces.sides.iter().filter(|((name, _), _)| name == OTHER);
        assert!(
            other.clone().count() == 2 && other.clone().all(|(_, side)| side.counted.is_none())
        );
    }

    #[test]
    fn interfaces_beyond_the_bound_are_other() {
        let mut interfaces = Interfaces::default();
        let mut sample = sample::talkers();
        for n in 0..2 * MOST + 10 {
            sample.interface = InterfaceName::from(format!("veth{n}").as_bytes());
            interfaces.add(&sample, &Marks::default());
        }
        let all: Vec<_> = interfaces.iter_mut().collect();
        assert_eq!(all.len(), 2 * MOST + 1);
        let sum: u64 = all.iter().map(|side| side.all.bytes.value()).sum();
        assert_eq!(sum, (2 * MOST as u64 + 10) * sample.delta.bytes);
    }

    /// `increase()` over every series, as Prometheus has it: the first sample of a series counts nothing, and a
    /// smaller one than before is a reset.
    #[test]
    fn interfaces_that_come_and_go_are_neither_lost_nor_counted_twice() {
        let (mut interfaces, mut sample) = (Interfaces::default(), sample::talkers());
        let mut last = BTreeMap::<String, u64>::new();
        let (mut total, mut increase, mut seen) = (0, 0, Seen::No);
        for round in 0..600u64 {
            for n in 0..5 {
                sample.interface = format!("veth{}", (round * 3 + n) % 1_000).as_bytes().into();
                interfaces.add(&sample, &Marks::default());
                total += sample.delta.bytes;
            }
            if seen == Seen::Yes {
                interfaces.each(&mut Counter::scraped);
            }
            // Every tenth one is still watched.
            let names = interfaces.sides.keys().map(|(name, _)| name.clone());
            let names: Vec<_> = names.filter(|name| name.ends_with(b"4")).collect();
            interfaces.watch(&names.iter().map(|name| watched(name)).collect::<Vec<_>>());
            interfaces.prepare(seen, round + 1);
            assert!(interfaces.sides.len() <= 2 * MOST + 2);
            let sides = interfaces.iter_mut();
            let samples: Vec<_> = sides
                .filter_map(|side| Some((side.labels.to_string(), side.all.bytes.publish()?)))
                .collect();
            seen = if round % 3 == 1 && round < 590 { Seen::No } else { Seen::Yes };
            for (labels, now) in samples.into_iter().filter(|_| seen == Seen::Yes) {
                let before = last.insert(labels, now).unwrap_or(now);
                increase += if now < before { now } else { now - before };
            }
        }
        assert!(interfaces.evicted > 100, "{}", interfaces.evicted);
        // The last increments come with the next scrape.
        interfaces.each(&mut Counter::scraped);
        for side in interfaces.iter_mut() {
            increase += side.all.bytes.unseen();
        }
        assert_eq!(increase, total);
    }
}
