//! Data from the probes: tables, states, interfaces.

mod events;

use std::collections::HashMap;
use std::rc::Rc;

use crate::model::cgroup::KnownCgroups;
use crate::model::conn::PacketPoint;
use crate::model::connections::{Closed, Connections, Net, Pair};
use crate::model::coverage::Missing;
use crate::model::event::{
    ConnectionsInfo, IoInfo, OpensInfo, ProbeEvent, ProbeId, ProbeInfo, Watched,
};
use crate::model::event_log::EventLog;
use crate::model::file_change::FileChange;
use crate::model::lineage::Lineage;
use crate::model::link::{Link, LinkCounters};
use crate::model::marks::Marks;
use crate::model::names::Names;
use crate::model::open::OpenCounts;
use crate::model::opens::{Before, Opens};
use crate::model::past::Tables;
use crate::model::problem::Problem;
use crate::model::process::ProcessKey;
use crate::model::process_event::ProcessEvent;
use crate::model::slab::Slab;
use crate::model::slow_call::SlowCall;
use crate::model::time::{Mono, WallOffset};
use crate::model::timeline::Logs;
use crate::model::under_way::CallsUnderWay;
use crate::model::wire::Wire;

/// The state of a probe.
#[derive(Clone, Debug, Default)]
pub enum ProbeState<T> {
    /// It has not reported yet.
    #[default]
    Starting,
    /// Running.
    Running(T),
    /// It could not start, or it failed later.
    Failed(Problem),
    /// Ended as asked.
    Ended,
}

impl<T> ProbeState<T> {
    /// The probe's report of its start, while it runs.
    pub fn running(&self) -> Option<&T> {
        match self {
            ProbeState::Running(t) => Some(t),
            _ => None,
        }
    }

    /// The event that brings a probe into this state; `None` for one that has not answered or has
    /// ended.
    pub fn event(&self, id: ProbeId, info: fn(T) -> ProbeInfo) -> Option<ProbeEvent>
    where
        T: Clone,
    {
        match self {
            ProbeState::Running(t) => Some(ProbeEvent::Started(info(t.clone()))),
            ProbeState::Failed(p) => Some(ProbeEvent::Failed(id, p.clone())),
            ProbeState::Starting | ProbeState::Ended => None,
        }
    }

    /// Why it is not running.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ProbeState::Failed(p) => Some(p),
            _ => None,
        }
    }
}

/// Changes by an event, for the rows that are to be built again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The screen should show it before the next tick.
    pub redraw: bool,
    /// The opens probe started, or failed to.
    pub opens_started: bool,
    /// The watched interfaces or how they are watched.
    pub watching: bool,
    /// Counts of talkers.
    pub talkers: bool,
    /// An interval of connections ended.
    pub connections: bool,
}

impl Changed {
    const REDRAW: Self = Self {
        redraw: true,
        opens_started: false,
        watching: false,
        talkers: false,
        connections: false,
    };
}

/// Bits per second of an interface, by the kernel's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkRate {
    pub rx_bps: f64,
    pub tx_bps: f64,
}

/// All data from the probes. Tables are shared with a paused screen, and copied only when they change
/// while it is paused.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub opens: Rc<Opens>,
    pub wire: Rc<Wire>,
    pub owners: Rc<Connections>,
    /// The latest starts of programs and ends of processes.
    pub process_log: Rc<EventLog<ProcessEvent>>,
    /// Opens that have not returned, with `--latency` or `--slow`; reads and writes, with `--slow`.
    pub under_way: Rc<CallsUnderWay>,
    /// The latest changes of files.
    pub change_log: Rc<EventLog<FileChange>>,
    /// The latest calls that read or wrote and took long; with `--slow`.
    pub slow_log: Rc<EventLog<SlowCall>>,
    pub connections_state: ProbeState<ConnectionsInfo>,
    /// The connections probe has run.
    pub connections_known: bool,
    pub opens_state: ProbeState<OpensInfo>,
    /// The probe of bytes read and written; `Starting` where it is not asked for.
    pub io_state: ProbeState<IoInfo>,
    pub watching: Rc<ProbeState<Vec<Watched>>>,
    pub links: Vec<Link>,
    /// Names of cgroups; an id is never used twice, so they are right on a paused screen too.
    pub cgroups: KnownCgroups,
    /// Parents of processes that are not in the table.
    pub lineage: Lineage,
    /// Names of new cgroups that were lost.
    pub cgroups_lost: u64,
    /// Relations of addresses to this machine.
    pub marks: Marks,
    /// Names of addresses.
    pub names: Names,
    pub link_rates: HashMap<u32, LinkRate>,
    counters: HashMap<u32, (Mono, LinkCounters)>,
    /// The wall clock at the last event that carried it.
    pub wall: Option<WallOffset>,
}

impl Data {
    /// Empty tables; `owners`: whether the connections probe is to run.
    pub fn with_connections(owners: bool) -> Self {
        let off = || Problem::new("attribute connections", "off: --no-owners", "");
        let connections_state =
            if owners { ProbeState::Starting } else { ProbeState::Failed(off()) };
        Self { connections_state, ..Self::default() }
    }

    /// The approximate size of its tables in memory, bytes.
    pub fn bytes(&self) -> usize {
        fn rows<T>(table: &Slab<T>) -> usize {
            table.len() * size_of::<T>()
        }
        let (opens, owners) = (&self.opens, &self.owners);
        rows(opens.processes())
            + rows(opens.files())
            + rows(opens.failures())
            + rows(opens.paths())
            + opens.paths().iter().map(|(_, path)| path.bytes.len()).sum::<usize>()
            + rows(self.wire.talkers())
            + owners.processes().count() * size_of::<Net>()
            + owners.pairs().count() * size_of::<Pair>()
            + owners.closed_lately().count() * size_of::<Closed>()
            + owners.hostnames.bytes()
            + self.process_log.bytes()
            + self.change_log.bytes()
            + self.slow_log.bytes()
    }

    /// The latest events, for timelines.
    pub fn logs(&self) -> Logs<'_> {
        let (processes, changes, slow) = (&self.process_log, &self.change_log, &self.slow_log);
        Logs { processes, changes, slow }
    }

    /// The tables that go back in time together.
    pub(super) fn tables(&mut self) -> Tables<'_> {
        Tables {
            opens: Rc::make_mut(&mut self.opens),
            wire: Rc::make_mut(&mut self.wire),
            connections: Rc::make_mut(&mut self.owners),
        }
    }

    /// Connections and their processes; `None` before the probe has run.
    pub fn known_connections(&self) -> Option<&Connections> {
        self.connections_known.then_some(&*self.owners)
    }

    /// Puts processes with connections into the table of processes, so that they are shown whatever
    /// they open: all of them, or those of the last interval. Not before the opens probe has reported
    /// its start: until then the pane says that it is starting.
    pub fn meet_talking_processes(&mut self, all: bool, now: Mono) {
        if matches!(self.opens_state, ProbeState::Starting) {
            return;
        }
        let owners = &self.owners;
        let opens = Rc::make_mut(&mut self.opens);
        let talks = |net: &&Net| match owners.polled() {
            true => net.live > 0,
            false => !net.delta.is_none(),
        };
        for net in owners.processes().filter(|net| all || talks(net)) {
            opens.meet(net.owner.key, net.owner.comm, net.owner.uid, now);
        }
    }

    /// The features that the kernel refused to the probes that run, and the calls that these do not see, each once.
    pub fn missing(&self) -> Vec<&Missing> {
        let opens = self.opens_state.running().into_iter().flat_map(|info| &info.missing);
        let owners = self.connections_state.running().into_iter().flat_map(|info| &info.missing);
        let io = self.io_state.running().into_iter().flat_map(|info| &info.missing);
        let names = &self.owners.hostnames.missing;
        let talkers = self.interfaces().iter().flat_map(|w| &w.missing);
        let mut all: Vec<&Missing> = Vec::new();
        for missing in opens.chain(owners).chain(names).chain(io).chain(talkers) {
            if !all.contains(&missing) {
                all.push(missing);
            }
        }
        all
    }

    /// Connections are polled from /proc and `sock_diag`.
    pub fn polled(&self) -> bool {
        self.connections_known && self.owners.polled()
    }

    /// Problems of probes that are not running. The connections probe is not among them: the others work
    /// without it.
    pub fn problems(&self) -> Vec<&Problem> {
        self.opens_state.problem().into_iter().chain(self.watching.problem()).collect()
    }

    /// The interfaces of `ports` whose traffic is summed: interfaces stacked on others would count twice, unless
    /// all are stacked.
    pub fn summed(&self, wire: &Wire, ports: &[usize]) -> Vec<usize> {
        let links = self.links.iter().filter(|link| link.is_stacked());
        let stacked: Vec<u32> = links.map(|link| link.ifindex).collect();
        let is_stacked =
            |at: &usize| wire.ports().get(*at).is_some_and(|port| stacked.contains(&port.ifindex));
        let summed: Vec<usize> = ports.iter().copied().filter(|at| !is_stacked(at)).collect();
        if summed.is_empty() { ports.to_vec() } else { summed }
    }

    /// The watched interfaces, as places that packets pass.
    pub fn packet_points(&self, interfaces: &[Watched]) -> Vec<PacketPoint> {
        let stacked = self.links.iter().filter(|link| link.is_stacked()).map(|link| link.ifindex);
        let stacked: Vec<u32> = stacked.collect();
        let point = |watched: &Watched| PacketPoint {
            netns: watched.netns,
            passes: stacked.iter().copied().chain([watched.ifindex]).collect(),
            loopback: watched.interface == "lo",
        };
        interfaces.iter().map(point).collect()
    }

    /// Ends the current interval.
    pub fn tick(&mut self, now: Mono) {
        Rc::make_mut(&mut self.opens).tick(now);
    }

    /// Takes the probe's last counts.
    pub fn set_counts(&mut self, counts: OpenCounts) {
        Rc::make_mut(&mut self.opens).set_counts(counts);
    }

    /// Restarts the counts.
    pub fn restart(&mut self) {
        Rc::make_mut(&mut self.opens).restart();
        Rc::make_mut(&mut self.wire).restart();
        Rc::make_mut(&mut self.owners).restart();
        Rc::make_mut(&mut self.process_log).restart();
        self.under_way = Rc::default();
        Rc::make_mut(&mut self.change_log).restart();
        Rc::make_mut(&mut self.slow_log).restart();
    }

    /// Counts only what comes after a recording's beginning.
    pub fn begin_after(&mut self, before: Before) {
        Rc::make_mut(&mut self.opens).begin_after(before);
        Rc::make_mut(&mut self.wire).begin_after();
        Rc::make_mut(&mut self.process_log).restart();
        Rc::make_mut(&mut self.change_log).restart();
        Rc::make_mut(&mut self.slow_log).restart();
    }

    /// Marks processes that have exited.
    pub fn ended(&mut self, gone: &[ProcessKey], at: Mono) {
        let opens = Rc::make_mut(&mut self.opens);
        for key in gone {
            opens.process_ended(*key, at);
        }
    }

    /// The interfaces watched now.
    pub fn interfaces(&self) -> &[Watched] {
        self.watching.running().map_or(&[], Vec::as_slice)
    }
}
