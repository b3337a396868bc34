//! The detail of one address since its view was opened: protocols, services, sizes of packets.
//!
//! The kernel counts pairs of ports. One end of a pair is a service, the other a number that was
//! picked for one conversation. The services are kept. Which end is the service is a guess: the
//! one with a name; else the one that talks to more others without one; else the lower port.

use std::net::IpAddr;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::model::services;
use crate::model::talkers::{
    DetailSample, Direction, Flow, FlowKind, SIZES, TalkersSample, Traffic,
};
use crate::model::time::Mono;
use crate::model::undo::{Reading, Writing};

/// Rows held at most; the rest is in [`TalkSide::left`].
const MAX_ROWS: usize = 1_024;

/// The key of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Topic {
    /// A port of a protocol; whether it is at the address, or at the other end.
    Port { proto: u8, port: u16, there: bool },
    /// A type of ICMP.
    Icmp { proto: u8, kind: u8 },
    /// Later fragments, which do not say their ports.
    Fragments { proto: u8 },
    /// Packets that end before their ports.
    Short { proto: u8 },
    /// A protocol without ports.
    Protocol { proto: u8 },
}

impl Topic {
    /// The protocol number.
    pub fn proto(self) -> u8 {
        match self {
            Topic::Port { proto, .. }
            | Topic::Icmp { proto, .. }
            | Topic::Fragments { proto }
            | Topic::Short { proto }
            | Topic::Protocol { proto } => proto,
        }
    }
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkSide {
    /// All traffic of the address since the detail began.
    pub all: Traffic,
    /// The part of `all` in no row: other ports.
    pub left: Traffic,
    pub tcp: Traffic,
    pub udp: Traffic,
    pub icmp: Traffic,
    /// Traffic that found no room in the kernel's table: not even its protocol is known.
    pub unsaid: Traffic,
    /// Packets by size: [`crate::model::talkers::SIZE_LIMITS`].
    pub sizes: [u64; SIZES],
}

impl TalkSide {
    /// Traffic of protocols other than TCP, UDP and ICMP.
    pub fn other(&self) -> Traffic {
        self.all.minus(self.tcp + self.udp + self.icmp + self.unsaid)
    }
}

/// The detail of one address.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// Its interface's place among [`super::Wire::ports`], and the address.
    of: Option<(usize, IpAddr)>,
    since: Mono,
    /// When the detail began, by the wall clock.
    pub since_text: String,
    /// Why there is no detail.
    pub problem: Option<String>,
    pub rx: TalkSide,
    pub tx: TalkSide,
    rows: HashMap<Topic, (Traffic, Traffic)>,
}

impl Talk {
    /// Whether this is about that address.
    pub fn is_of(&self, port: usize, ip: IpAddr) -> bool {
        self.of == Some((port, ip))
    }

    /// Whether a detail is counted.
    pub(super) fn is_some(&self) -> bool {
        self.of.is_some()
    }

    pub(super) fn write(&self, to: &mut Writing) {
        to.put(&(self.of, self.since, &self.since_text, &self.problem, self.rx, self.tx));
        to.put(&self.rows.iter().collect::<Vec<_>>());
    }

    pub(super) fn read(from: &mut Reading<'_>) -> Option<Self> {
        let (of, since, since_text, problem, rx, tx) = from.get()?;
        let rows = from.get::<Vec<_>>()?.into_iter().collect();
        Some(Self { of, since, since_text, problem, rx, tx, rows })
    }

    /// The rows with what was received and sent, the heaviest first.
    pub fn rows(&self) -> Vec<(Topic, Traffic, Traffic)> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|(topic, (rx, tx))| (*topic, *rx, *tx)).collect();
        let bytes = |r: &(Topic, Traffic, Traffic)| r.1.bytes.saturating_add(r.2.bytes);
        rows.sort_unstable_by(|a, b| bytes(b).cmp(&bytes(a)).then(a.0.cmp(&b.0)));
        rows
    }

    /// Adds the detail in one sample of the interface at this place.
    pub(super) fn absorb(&mut self, port: usize, sample: &TalkersSample) {
        let Some(detail) = &sample.detail else { return };
        let Some(ip) = detail.ip else { return };
        if !self.is_of(port, ip) || self.since != detail.since {
            *self = Self {
                of: Some((port, ip)),
                since: detail.since,
                since_text: detail.since_text.clone(),
                ..Self::default()
            };
        }
        if detail.problem.is_some() {
            self.problem.clone_from(&detail.problem);
        }
        let left = self.gather(detail, sample.direction);
        let side = match sample.direction {
            Direction::Rx => &mut self.rx,
            Direction::Tx => &mut self.tx,
        };
        side.all = side.all + detail.all;
        side.unsaid = side.unsaid + detail.left;
        side.left = side.left + detail.left + left;
        for (sum, n) in side.sizes.iter_mut().zip(detail.sizes) {
            *sum = sum.saturating_add(n);
        }
        for (flow, traffic) in &detail.flows {
            let of = match flow.proto {
                6 => &mut side.tcp,
                17 => &mut side.udp,
                1 | 58 => &mut side.icmp,
                _ => continue,
            };
            *of = *of + *traffic;
        }
    }

    /// Adds the flows to their rows; what found none.
    fn gather(&mut self, detail: &DetailSample, direction: Direction) -> Traffic {
        let fans = Fans::of(detail);
        let mut left = Traffic::default();
        for (flow, traffic) in &detail.flows {
            let topic = self.topic(*flow, &fans);
            if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&topic) {
                left = left + *traffic;
                continue;
            }
            let (rx, tx) = self.rows.entry(topic).or_default();
            let side = if direction == Direction::Rx { rx } else { tx };
            *side = *side + *traffic;
        }
        left
    }

    fn topic(&self, flow: Flow, fans: &Fans) -> Topic {
        let proto = flow.proto;
        let (at_there, at_here) = match flow.what {
            FlowKind::Ports { there, here } => (there, here),
            FlowKind::Icmp { kind, .. } => return Topic::Icmp { proto, kind },
            FlowKind::Fragment => return Topic::Fragments { proto },
            FlowKind::Short => return Topic::Short { proto },
            FlowKind::Other => return Topic::Protocol { proto },
        };
        let there = Topic::Port { proto, port: at_there, there: true };
        let here = Topic::Port { proto, port: at_here, there: false };
        let weight = |port: u16, topic: Topic| {
            let named = services::service(proto, port).is_some();
            (named, fans.of_topic(topic), self.rows.contains_key(&topic), u16::MAX - port)
        };
        if weight(at_there, there) >= weight(at_here, here) { there } else { here }
    }
}

/// How many other ports without a name each port talked to in one interval.
struct Fans(HashMap<Topic, u32>);

impl Fans {
    fn of(detail: &DetailSample) -> Self {
        let mut fans = HashMap::new();
        for (flow, _) in &detail.flows {
            let FlowKind::Ports { there, here } = flow.what else { continue };
            let proto = flow.proto;
            let named = |port| services::service(proto, port).is_some();
            // A client may talk to several services: that makes it none.
            if named(there) || named(here) {
                continue;
            }
            for topic in [
                Topic::Port { proto, port: there, there: true },
                Topic::Port { proto, port: here, there: false },
            ] {
                *fans.entry(topic).or_insert(0) += 1;
            }
        }
        Self(fans)
    }

    fn of_topic(&self, topic: Topic) -> u32 {
        self.0.get(&topic).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::wire::tests::sample;

    fn detail(since: u64, flows: &[(u16, u16, u64)]) -> DetailSample {
        let flows: Vec<_> = flows
            .iter()
            .map(|(there, here, packets)| {
                let what = FlowKind::Ports { there: *there, here: *here };
                (Flow { proto: 6, what }, Traffic { packets: *packets, bytes: packets * 100 })
            })
            .collect();
        let all = flows.iter().fold(Traffic::default(), |sum, f| sum + f.1);
        DetailSample {
            ip: Some(IpAddr::from([10, 0, 0, 1])),
            since: Mono(since),
            all,
            flows,
            ..DetailSample::default()
        }
    }

    fn with(direction: Direction, detail: DetailSample) -> TalkersSample {
        TalkersSample {
            detail: Some(detail),
            ..sample("eth0", direction, 10, &[(1, 1, 900, 900)], 0)
        }
    }

    fn rows(talk: &Talk) -> Vec<(u16, bool, u64, u64)> {
        let row = |(topic, rx, tx): (Topic, Traffic, Traffic)| match topic {
            Topic::Port { port, there, .. } => (port, there, rx.packets, tx.packets),
            other => panic!("{other:?}"),
        };
        talk.rows().into_iter().map(row).collect()
    }

    fn holds(talk: &Talk) {
        let sum = |f: fn(&(Topic, Traffic, Traffic)) -> Traffic| {
            talk.rows().iter().map(f).fold(Traffic::default(), |a, b| a + b)
        };
        assert_eq!(sum(|r| r.1) + talk.rx.left, talk.rx.all);
        assert_eq!(sum(|r| r.2) + talk.tx.left, talk.tx.all);
    }

    #[test]
    fn the_service_is_the_named_end_else_the_one_with_more_others_else_the_lower() {
        let mut talk = Talk::default();
        // A name; the port that several talk to, though it is the higher; the lower one.
        let mut flows = vec![(443, 33_000, 5), (40_001, 50_051, 2), (40_002, 50_051, 3)];
        // A client of two services is none, though it talks to two.
        flows.extend([(45_000, 44_000, 1), (45_000, 53, 1)]);
        talk.absorb(0, &with(Direction::Rx, detail(1, &flows)));
        talk.absorb(0, &with(Direction::Tx, detail(1, &[(443, 33_000, 4), (61_000, 50_051, 1)])));
        let mut all = vec![(443, true, 5, 4), (50_051, false, 5, 1)];
        all.extend([(53, false, 1, 0), (44_000, false, 1, 0)]);
        assert_eq!(rows(&talk), all);
        assert_eq!(talk.rx.tcp.packets, 12);
        holds(&talk);
    }

    #[test]
    fn a_new_detail_begins_at_nothing() {
        let mut talk = Talk::default();
        talk.absorb(0, &with(Direction::Rx, detail(1, &[(22, 33_000, 5)])));
        talk.absorb(0, &with(Direction::Rx, detail(2, &[(22, 33_000, 2)])));
        assert_eq!(rows(&talk), [(22, true, 2, 0)]);
        assert!(talk.is_of(0, IpAddr::from([10, 0, 0, 1])) && !talk.is_of(1, [10, 0, 0, 1].into()));
    }

    #[test]
    fn flows_without_room_are_counted_as_left() {
        let mut talk = Talk::default();
        let ports = u16::try_from(MAX_ROWS).unwrap() + 100;
        let flows: Vec<_> = (0..ports).map(|n| (10_000 + n, 50_000 - n, 1)).collect();
        let mut one = detail(1, &flows);
        one.left = Traffic { packets: 7, bytes: 700 };
        one.all = one.all + one.left;
        talk.absorb(0, &with(Direction::Rx, one));
        assert_eq!(talk.rows().len(), MAX_ROWS);
        assert_eq!(talk.rx.left.packets, 107);
        assert_eq!((talk.rx.unsaid.packets, talk.rx.other().packets), (7, 0));
        holds(&talk);
    }
}
