//! How much memory an event takes while it waits, be it to be written or to be played.

use std::sync::Arc;

use super::Seen;
use crate::model::cgroup::Cgroup;
use crate::model::conn::{Conn, ConnectionsBatch, ConnectionsTick};
use crate::model::container::ContainerName;
use crate::model::coverage::Missing;
use crate::model::event::{
    ConnectionsInfo, IoInfo, ListenersInfo, OpensInfo, ProbeEvent, ProbeInfo, Watched,
};
use crate::model::event_log::Logged as _;
use crate::model::file_change::FileChange;
use crate::model::link::{ForeignHook, Link};
use crate::model::listener::{Listener, Listeners};
use crate::model::problem::Problem;
use crate::model::process_event::ProcessEvent;
use crate::model::slow_call::SlowCall;
use crate::model::talkers::TalkersSample;
use crate::model::under_way::UnderWay;

impl Seen {
    /// The bytes that it takes, all that hangs on it included.
    ///
    /// Lists and texts count with their contents; the allocator's overhead does not.
    pub fn bytes(&self) -> usize {
        let hanging = match self {
            Seen::Probe(event) => event_bytes(event),
            Seen::Cgroups(names) => {
                let path = |c: &Option<Cgroup>| c.as_ref().map_or(0, |c| c.path.len());
                size_of_val(&**names) + names.iter().map(|(_, c)| path(c)).sum::<usize>()
            }
            Seen::Containers(answers) => {
                let label = |names: &Option<_>| names.as_ref().map_or(0, names_bytes);
                let one = |(id, names): &(Box<str>, _)| id.len() + label(names);
                size_of_val(&**answers) + answers.iter().map(one).sum::<usize>()
            }
            Seen::Before(before) => before.bytes(),
            Seen::Tick | Seen::Unwritten | Seen::Missing { .. } => 0,
        };
        size_of::<Self>() + hanging
    }
}

fn names_bytes(names: &Arc<ContainerName>) -> usize {
    let pod = names.pod.as_ref().map_or(0, |(pod, namespace)| pod.len() + namespace.len());
    size_of::<ContainerName>() + names.name.len() + pod
}

fn event_bytes(event: &ProbeEvent) -> usize {
    match event {
        ProbeEvent::Opens(batch) => batch.bytes(),
        ProbeEvent::Processes(events) => events.events.iter().map(ProcessEvent::bytes).sum(),
        ProbeEvent::Hostnames(names) => names.bytes(),
        ProbeEvent::OpensUnderWay(found) => found.calls.iter().map(UnderWay::bytes).sum(),
        ProbeEvent::FileCallsUnderWay(found) => found.calls.iter().map(UnderWay::bytes).sum(),
        ProbeEvent::Files(changes) => changes.events.iter().map(FileChange::bytes).sum(),
        ProbeEvent::Io(sample) => sample.bytes(),
        ProbeEvent::SlowCalls(slow) => slow.calls.iter().map(SlowCall::bytes).sum(),
        ProbeEvent::Listeners(found) => {
            let problem = found.problem.as_ref().map_or(0, String::len);
            size_of::<Listeners>() + problem + all(&found.rows, Listener::bytes)
        }
        ProbeEvent::Started(ProbeInfo::Io(IoInfo { missing: features, .. })) => {
            all(features, missing)
        }
        ProbeEvent::Talkers(samples) => all(samples, sample),
        ProbeEvent::Links(links) => all(links, link),
        ProbeEvent::Cgroups(made) => made.bytes(),
        ProbeEvent::Connections(batch) => connections(batch),
        ProbeEvent::Watching(interfaces) | ProbeEvent::Started(ProbeInfo::Talkers(interfaces)) => {
            all(interfaces, watched)
        }
        ProbeEvent::Started(ProbeInfo::Opens(OpensInfo { seen, missing: features, .. })) => {
            size_of_val(&**seen) + all(features, missing)
        }
        ProbeEvent::Started(ProbeInfo::Connections(ConnectionsInfo {
            missing: features, ..
        })) => all(features, missing),
        ProbeEvent::Failed(_, failed) => problem(failed),
        ProbeEvent::Started(ProbeInfo::Listeners(ListenersInfo { missing: features })) => {
            all(features, missing)
        }
        ProbeEvent::Ended(_) => 0,
    }
}

/// A list, and what hangs on each element.
fn all<T>(list: &[T], hanging: fn(&T) -> usize) -> usize {
    size_of_val(list) + list.iter().map(hanging).sum::<usize>()
}

fn sample(sample: &TalkersSample) -> usize {
    let detail = sample.detail.as_ref().map_or(0, |d| size_of_val(&*d.flows) + d.since_text.len());
    let partial = sample.partial.as_ref().map_or(0, String::len);
    sample.interface.as_bytes().len() + partial + size_of_val(&*sample.sources) + detail
}

fn link(link: &Link) -> usize {
    let foreign = all(&link.foreign, |foreign| match &foreign.hook {
        ForeignHook::Xdp(kind) => foreign.name.len() + kind.len(),
        ForeignHook::Tc(_) => foreign.name.len(),
    });
    let addresses = size_of_val(&*link.addresses) + size_of_val(&*link.gateways);
    link.name.as_bytes().len() + link.price.len() + addresses + foreign
}

fn connections(ConnectionsBatch { known, events, tick, .. }: &ConnectionsBatch) -> usize {
    let conn = |conn: &Conn| size_of_val(&*conn.shares);
    let read = tick.as_ref().map_or(0, |ConnectionsTick { samples, holders, peers, .. }| {
        all(samples, conn) + size_of_val(&**holders) + size_of_val(&**peers)
    });
    all(known, conn) + all(events, conn) + read
}

fn watched(watched: &Watched) -> usize {
    let failed = [&watched.rx, &watched.tx].into_iter().filter_map(|side| side.as_ref().err());
    let problems: usize = failed.chain(&watched.gone).map(problem).sum();
    watched.interface.as_bytes().len()
        + watched.price.len()
        + all(&watched.missing, missing)
        + problems
}

fn missing(Missing { feature, program, error }: &Missing) -> usize {
    feature.len() + program.len() + error.len()
}

fn problem(Problem { what, why, fix }: &Problem) -> usize {
    what.len() + why.len() + fix.len()
}
