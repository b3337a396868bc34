//! The first records of a recording that begins in the midst of a run.

use super::Seen;
use crate::model::cgroup::KnownCgroups;
use crate::model::connections::Connections;
use crate::model::event::ProbeEvent;
use crate::model::link::Link;
use crate::model::opens::Before;

/// The state at that moment.
#[derive(Debug)]
pub struct Known<'a> {
    /// The state of each probe, the watched interfaces, losses so far.
    pub probes: Vec<ProbeEvent>,
    pub connections: &'a Connections,
    pub links: &'a [Link],
    pub cgroups: &'a KnownCgroups,
    pub before: Before,
}

impl Known<'_> {
    /// The records, in the order in which a replay takes them: it counts from there.
    pub fn records(self) -> Vec<Seen> {
        let connections = self.connections.known_before().into_iter().map(ProbeEvent::Connections);
        let names = self.connections.hostnames.known_before();
        let names = names.into_iter().map(ProbeEvent::Hostnames);
        let is_empty = |event: &ProbeEvent| matches!(event, ProbeEvent::Talkers(samples) if samples.is_empty());
        let events = self.probes.into_iter().chain(connections).chain(names);
        let events = events.filter(|event| !is_empty(event));
        let mut seen: Vec<Seen> = events.map(Seen::Probe).collect();
        seen.push(Seen::Probe(ProbeEvent::Links(self.links.to_vec())));
        seen.push(Seen::Cgroups(self.cgroups.all()));
        seen.push(Seen::Containers(self.cgroups.all_containers()));
        seen.push(Seen::Before(self.before));
        seen.push(Seen::Tick);
        seen
    }
}
