//! What the probes told: tables, states, interfaces.

use std::collections::HashMap;
use std::rc::Rc;

use crate::model::cgroup::KnownCgroups;
use crate::model::coverage::Missing;
use crate::model::event::{
    OpensInfo, OwnersInfo, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo, Watched,
};
use crate::model::history::per_second;
use crate::model::link::{Link, LinkCounters};
use crate::model::marks::Marks;
use crate::model::names::Names;
use crate::model::open::OpenCounts;
use crate::model::opens::Opens;
use crate::model::owners::Owners;
use crate::model::problem::Problem;
use crate::model::process::ProcessKey;
use crate::model::time::{Mono, WallOffset};
use crate::model::wire::Wire;

/// How a probe is doing.
#[derive(Clone, Debug, Default)]
pub enum ProbeState<T> {
    /// It has not said yet.
    #[default]
    Starting,
    /// It runs.
    Running(T),
    /// It could not start, or it broke down.
    Failed(Problem),
    /// It has ended as asked.
    Ended,
}

impl<T> ProbeState<T> {
    /// What the probe told when it started.
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

    /// Why it does not run.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ProbeState::Failed(p) => Some(p),
            _ => None,
        }
    }
}

/// Bits a second of an interface, by the kernel's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkRate {
    pub rx_bps: f64,
    pub tx_bps: f64,
}

/// Everything that came from the probes. Tables are shared with a paused screen, and copied
/// only when they change while it is paused.
#[derive(Clone, Debug, Default)]
pub struct Data {
    pub opens: Rc<Opens>,
    pub wire: Rc<Wire>,
    pub owners: Rc<Owners>,
    pub owners_state: ProbeState<OwnersInfo>,
    /// The owners' probe has run.
    pub owners_known: bool,
    pub opens_state: ProbeState<OpensInfo>,
    pub watching: Rc<ProbeState<Vec<Watched>>>,
    pub links: Vec<Link>,
    /// What cgroups are called: an id is never used twice, so a paused screen may know it too.
    pub cgroups: KnownCgroups,
    /// Names of new cgroups that were lost.
    pub cgroups_lost: u64,
    /// What addresses are to this machine.
    pub marks: Marks,
    /// What addresses are called.
    pub names: Names,
    pub link_rates: HashMap<u32, LinkRate>,
    counters: HashMap<u32, (Mono, LinkCounters)>,
    /// What the wall clock showed when something was told last.
    pub wall: Option<WallOffset>,
}

impl Data {
    /// Empty; `owners`: whether processes behind connections are asked for.
    pub fn with_owners(owners: bool) -> Self {
        let off = || Problem::new("tell who is behind connections", "off: --no-owners", "");
        let owners_state = if owners { ProbeState::Starting } else { ProbeState::Failed(off()) };
        Self { owners_state, ..Self::default() }
    }

    /// Who is behind connections; `None` where nobody has looked.
    pub fn known_owners(&self) -> Option<&Owners> {
        self.owners_known.then_some(&*self.owners)
    }

    /// Takes an event in; true when the screen should show it before the next tick.
    pub fn absorb(&mut self, event: ProbeEvent, now: Mono) -> bool {
        match event {
            ProbeEvent::Started(info) => {
                self.start(info, now);
                true
            }
            ProbeEvent::Failed(id, problem) => {
                self.fail(id, problem, now);
                true
            }
            ProbeEvent::Ended(end) => {
                match end {
                    ProbeEnd::Opens(counts) => {
                        self.set_counts(counts);
                        self.opens_state = ProbeState::Ended;
                    }
                    ProbeEnd::Talkers => self.watching = Rc::new(ProbeState::Ended),
                    ProbeEnd::Connections => self.owners_state = ProbeState::Ended,
                }
                true
            }
            ProbeEvent::Opens(batch) => {
                self.wall = Some(batch.wall);
                Rc::make_mut(&mut self.opens).add_batch(&batch, now);
                false
            }
            ProbeEvent::Watching(watched) => {
                self.watching = Rc::new(ProbeState::Running(watched));
                true
            }
            ProbeEvent::Talkers(samples) => {
                self.wall = samples.last().map(|s| s.at.wall).or(self.wall);
                let wire = Rc::make_mut(&mut self.wire);
                for sample in &samples {
                    wire.add_sample(sample);
                }
                true
            }
            ProbeEvent::Owners(batch) => {
                let owners = Rc::make_mut(&mut self.owners);
                owners.apply(&batch);
                batch.tick.is_some()
            }
            // The app takes these: their names may be what a filter waits for.
            ProbeEvent::Cgroups(_) => false,
            ProbeEvent::Links(links) => {
                self.take_links(links, now);
                true
            }
        }
    }

    fn start(&mut self, info: ProbeInfo, now: Mono) {
        match info {
            ProbeInfo::Opens(info) => self.opens_state = ProbeState::Running(info),
            ProbeInfo::Talkers(watched) => self.watching = Rc::new(ProbeState::Running(watched)),
            ProbeInfo::Connections(info) => {
                Rc::make_mut(&mut self.owners).start(now, info.attribution);
                self.owners_known = true;
                self.owners_state = ProbeState::Running(info);
            }
        }
    }

    fn fail(&mut self, id: ProbeId, problem: Problem, now: Mono) {
        match id {
            ProbeId::Opens => self.opens_state = ProbeState::Failed(problem),
            ProbeId::Talkers => self.watching = Rc::new(ProbeState::Failed(problem)),
            ProbeId::Connections => {
                let attribution = self.owners.attribution;
                Rc::make_mut(&mut self.owners).start(now, attribution);
                self.owners_state = ProbeState::Failed(problem);
            }
        }
    }

    /// The features that the kernel refused to the probes that run, each once.
    pub fn missing(&self) -> Vec<&Missing> {
        let opens = self.opens_state.running().into_iter().flat_map(|info| &info.missing);
        let owners = self.owners_state.running().into_iter().flat_map(|info| &info.missing);
        let talkers = self.interfaces().iter().flat_map(|w| &w.missing);
        let mut all: Vec<&Missing> = Vec::new();
        for missing in opens.chain(owners).chain(talkers) {
            if !all.contains(&missing) {
                all.push(missing);
            }
        }
        all
    }

    /// Connections are polled: what is known of them comes from /proc and `sock_diag`.
    pub fn polled(&self) -> bool {
        self.owners_known && self.owners.polled()
    }

    /// Why each probe that does not run does not. The owners' is not among them: what it tells is
    /// shown beside what the others tell.
    pub fn problems(&self) -> Vec<&Problem> {
        self.opens_state.problem().into_iter().chain(self.watching.problem()).collect()
    }

    /// Ends the interval that is under way.
    pub fn tick(&mut self, now: Mono) {
        Rc::make_mut(&mut self.opens).tick(now);
    }

    /// Takes over the probe's last counts.
    pub fn set_counts(&mut self, counts: OpenCounts) {
        Rc::make_mut(&mut self.opens).set_counts(counts);
    }

    /// Starts the counts again.
    pub fn restart(&mut self) {
        Rc::make_mut(&mut self.opens).restart();
        Rc::make_mut(&mut self.wire).restart();
        Rc::make_mut(&mut self.owners).restart();
    }

    /// Marks processes that are no longer there.
    pub fn ended(&mut self, gone: &[ProcessKey], at: Mono) {
        let opens = Rc::make_mut(&mut self.opens);
        for key in gone {
            opens.process_ended(*key, at);
        }
    }

    /// What is watched now.
    pub fn interfaces(&self) -> &[Watched] {
        self.watching.running().map_or(&[], Vec::as_slice)
    }

    fn take_links(&mut self, links: Vec<Link>, now: Mono) {
        for link in &links {
            let counted = link.counters;
            let Some((at, before)) = self.counters.get(&link.ifindex) else {
                self.counters.insert(link.ifindex, (now, counted));
                continue;
            };
            let interval_ns = now.since(*at);
            // Told more than once a tick when a link changes: too short to say a rate.
            if interval_ns < 50_000_000 {
                continue;
            }
            let bits = |now: u64, then: u64| {
                per_second(now.saturating_sub(then).saturating_mul(8), interval_ns)
            };
            let rate = LinkRate {
                rx_bps: bits(counted.rx_bytes, before.rx_bytes),
                tx_bps: bits(counted.tx_bytes, before.tx_bytes),
            };
            self.link_rates.insert(link.ifindex, rate);
            self.counters.insert(link.ifindex, (now, counted));
        }
        let there = |index: &u32| links.iter().any(|l| l.ifindex == *index);
        self.counters.retain(|index, _| there(index));
        self.link_rates.retain(|index, _| there(index));
        self.marks = Marks::of(&links);
        self.links = links;
    }
}
