//! The state that the next file of a row begins with.

use crate::model::cgroup::KnownCgroups;
use crate::model::connections::Connections;
use crate::model::event::{ProbeEvent, ProbeId, ProbeInfo};
use crate::model::file_change::FileChanges;
use crate::model::link::Link;
use crate::model::listener::Listeners;
use crate::model::opens::Before;
use crate::model::process_event::ProcessEvents;
use crate::model::slow_call::SlowCalls;
use crate::model::time::{Mono, WallOffset};
use crate::model::wire::Wire;
use crate::recording::{Known, Seen};

/// The state after the records so far.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The last word of each probe about itself; of opens, talkers, connections, io and listeners.
    probes: [Option<ProbeEvent>; 5],
    connections: Connections,
    links: Vec<Link>,
    cgroups: KnownCgroups,
    before: Before,
    /// Losses of the probes, and evictions of each interface and direction.
    processes: ProcessEvents,
    files: FileChanges,
    slow: SlowCalls,
    /// Without addresses: the sums of each interface.
    wire: Wire,
    wall: WallOffset,
    /// The latest reading of the listeners.
    listeners: Option<Box<Listeners>>,
}

impl State {
    /// Takes a record that was written.
    pub(super) fn take(&mut self, at: Mono, seen: &Seen) {
        match seen {
            Seen::Probe(event) => self.event(at, event),
            Seen::Cgroups(answers) => {
                for (id, cgroup) in answers {
                    self.cgroups.answer(*id, cgroup.clone());
                }
            }
            Seen::Containers(answers) => {
                self.cgroups.name_containers(answers);
            }
            Seen::Tick | Seen::Unwritten | Seen::Before(_) | Seen::Missing { .. } => {}
        }
    }

    fn event(&mut self, at: Mono, event: &ProbeEvent) {
        match event {
            ProbeEvent::Started(info) => {
                if let ProbeInfo::Connections(info) = info {
                    self.connections.start(at, info.attribution);
                }
                self.set(info.id() as usize, event);
            }
            ProbeEvent::Failed(id, _) => self.set(*id as usize, event),
            ProbeEvent::Ended(end) => {
                if let Some(state) = self.probes.get_mut(end.id() as usize) {
                    *state = None;
                }
                if end.id() == ProbeId::Listeners {
                    self.listeners = None;
                }
            }
            ProbeEvent::Watching(watched) => {
                let started = ProbeInfo::Talkers(watched.clone());
                self.set(started.id() as usize, &ProbeEvent::Started(started));
            }
            ProbeEvent::Opens(batch) => self.before.follow(batch),
            ProbeEvent::Connections(batch) => self.connections.apply(batch),
            ProbeEvent::Hostnames(names) => self.connections.hostnames.add(names),
            ProbeEvent::Links(links) => self.links.clone_from(links),
            ProbeEvent::Processes(events) => self.processes.lost = events.lost,
            ProbeEvent::Files(changes) => self.files.lost = changes.lost,
            ProbeEvent::SlowCalls(slow) => self.slow.lost = slow.lost,
            ProbeEvent::Talkers(samples) => {
                for sample in samples {
                    self.wall = sample.at.wall;
                    self.wire.add_sample(&sample.without_sources());
                }
            }
            ProbeEvent::Listeners(found) => self.listeners = Some(found.clone()),
            ProbeEvent::Cgroups(_)
            | ProbeEvent::OpensUnderWay(_)
            | ProbeEvent::FileCallsUnderWay(_)
            | ProbeEvent::Io(_) => {}
        }
    }

    fn set(&mut self, place: usize, event: &ProbeEvent) {
        if let Some(state) = self.probes.get_mut(place) {
            *state = Some(event.clone());
        }
    }

    /// The first records of a file that begins now.
    pub(super) fn records(&self) -> Vec<Seen> {
        let before = [
            ProbeEvent::Processes(self.processes.clone()),
            ProbeEvent::Files(self.files.clone()),
            ProbeEvent::SlowCalls(self.slow.clone()),
            ProbeEvent::Talkers(self.wire.counted_before(self.wall)),
        ];
        let listeners = self.listeners.clone().map(ProbeEvent::Listeners);
        let known = Known {
            probes: self.probes.iter().flatten().cloned().chain(before).chain(listeners).collect(),
            connections: &self.connections,
            links: &self.links,
            cgroups: &self.cgroups,
            before: self.before.clone(),
        };
        known.records()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::ProbeEnd;
    use crate::model::hostnames::{Hello, HostnameCounts, HostnamesBatch};

    #[test]
    fn the_next_file_begins_with_the_latest_listeners() {
        let read = |at| Box::new(Listeners { at: Mono(at), left_out: at, ..Listeners::default() });
        let mut first = State::default();
        for at in [1, 2] {
            first.take(Mono(at), &Seen::Probe(ProbeEvent::Listeners(read(at))));
        }
        let begin = |state: &State| {
            let of = |seen| match seen {
                Seen::Probe(ProbeEvent::Listeners(found)) => Some(found),
                _ => None,
            };
            state.records().into_iter().filter_map(of).collect::<Vec<_>>()
        };
        assert_eq!(begin(&first), [read(2)]);
        first.take(Mono(3), &Seen::Probe(ProbeEvent::Ended(ProbeEnd::Listeners)));
        assert_eq!(begin(&first), []);
    }

    #[test]
    fn the_next_file_begins_with_the_names_and_counts_from_there() {
        let names = |hellos, lost| {
            let counts = HostnameCounts { lost, ..HostnameCounts::default() };
            let batch = HostnamesBatch { on: true, hellos, counts, ..HostnamesBatch::default() };
            Seen::Probe(ProbeEvent::Hostnames(batch))
        };
        let hello = Hello { at: Mono(1), cookie: 7, name: (*b"one.example").into() };
        let mut first = State::default();
        first.take(Mono(2), &names(vec![hello.clone()], 3));
        let mut second = State::default();
        first.records().iter().for_each(|seen| second.take(Mono(3), seen));
        second.take(Mono(4), &names(Vec::new(), 5));
        let names = &second.connections.hostnames;
        assert_eq!((names.counts.lost, names.known_before().len()), (2, 1));
        assert_eq!(names.known_before()[0].hellos, [hello]);
    }
}
