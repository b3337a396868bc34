//! The tables take the events of the probes.

use std::rc::Rc;

use super::{Changed, Data, LinkRate, ProbeState};
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::model::history::per_second;
use crate::model::link::Link;
use crate::model::marks::Marks;
use crate::model::problem::Problem;
use crate::model::time::Mono;

impl Data {
    /// Takes an event of a probe.
    pub fn absorb(&mut self, event: ProbeEvent, now: Mono) -> Changed {
        match event {
            ProbeEvent::Started(info) => self.start(info, now),
            ProbeEvent::Failed(id, problem) => self.fail(id, problem, now),
            ProbeEvent::Ended(end) => {
                self.forget_under_way(end.id());
                match end {
                    ProbeEnd::Opens(counts) => {
                        self.set_counts(counts);
                        self.opens_state = ProbeState::Ended;
                    }
                    ProbeEnd::Talkers => self.watching = Rc::new(ProbeState::Ended),
                    ProbeEnd::Connections => self.connections_state = ProbeState::Ended,
                    ProbeEnd::Io => self.io_state = ProbeState::Ended,
                    ProbeEnd::Listeners => {}
                }
                Changed::REDRAW
            }
            ProbeEvent::Opens(batch) => {
                self.wall = Some(batch.wall);
                Rc::make_mut(&mut self.opens).add_batch(&batch, now);
                Changed::default()
            }
            ProbeEvent::Processes(events) => {
                Rc::make_mut(&mut self.process_log).add(events.events, events.lost);
                Changed::default()
            }
            ProbeEvent::Files(changes) => {
                Rc::make_mut(&mut self.change_log).add(changes.events, changes.lost);
                Changed::default()
            }
            ProbeEvent::SlowCalls(slow) => {
                Rc::make_mut(&mut self.slow_log).add(slow.calls, slow.lost);
                Changed::default()
            }
            ProbeEvent::Io(sample) => {
                Rc::make_mut(&mut self.opens).add_io(&sample);
                Changed { redraw: !sample.more, ..Changed::default() }
            }
            ProbeEvent::Hostnames(names) => {
                Rc::make_mut(&mut self.owners).hostnames.add(&names);
                Changed::REDRAW
            }
            ProbeEvent::OpensUnderWay(opens) => {
                Rc::make_mut(&mut self.under_way).opens = opens;
                Changed::REDRAW
            }
            ProbeEvent::FileCallsUnderWay(calls) => {
                Rc::make_mut(&mut self.under_way).on_files = calls;
                Changed::REDRAW
            }
            ProbeEvent::Watching(watched) => {
                self.watching = Rc::new(ProbeState::Running(watched));
                Changed { watching: true, ..Changed::REDRAW }
            }
            ProbeEvent::Talkers(samples) => {
                self.wall = samples.last().map(|s| s.at.wall).or(self.wall);
                let wire = Rc::make_mut(&mut self.wire);
                for sample in &samples {
                    wire.add_sample(sample);
                }
                Changed { talkers: true, ..Changed::REDRAW }
            }
            ProbeEvent::Connections(batch) => {
                Rc::make_mut(&mut self.owners).apply(&batch);
                let connections = batch.tick.is_some();
                Changed { connections, redraw: connections, ..Changed::default() }
            }
            // `App` takes these: a filter may wait for their names, and a table shows listeners.
            ProbeEvent::Cgroups(_) | ProbeEvent::Listeners(_) => Changed::default(),
            ProbeEvent::Links(links) => {
                self.take_links(links, now);
                Changed::REDRAW
            }
        }
    }

    fn start(&mut self, info: ProbeInfo, now: Mono) -> Changed {
        match info {
            ProbeInfo::Opens(info) => {
                self.opens_state = ProbeState::Running(info);
                Changed { opens_started: true, ..Changed::REDRAW }
            }
            ProbeInfo::Talkers(watched) => {
                self.watching = Rc::new(ProbeState::Running(watched));
                Changed { watching: true, ..Changed::REDRAW }
            }
            ProbeInfo::Connections(info) => {
                Rc::make_mut(&mut self.owners).start(now, info.attribution);
                self.connections_known = true;
                self.connections_state = ProbeState::Running(info);
                Changed::REDRAW
            }
            ProbeInfo::Io(info) => {
                self.io_state = ProbeState::Running(info);
                Changed::REDRAW
            }
            ProbeInfo::Listeners(_) => Changed::default(),
        }
    }

    /// Calls under way are no longer known: their probe does not run any more.
    fn forget_under_way(&mut self, id: ProbeId) {
        let calls = Rc::make_mut(&mut self.under_way);
        match id {
            ProbeId::Opens => calls.opens = Default::default(),
            ProbeId::Io => calls.on_files = Default::default(),
            ProbeId::Talkers | ProbeId::Connections | ProbeId::Listeners => {}
        }
    }

    fn fail(&mut self, id: ProbeId, problem: Problem, now: Mono) -> Changed {
        self.forget_under_way(id);
        match id {
            ProbeId::Opens => {
                self.opens_state = ProbeState::Failed(problem);
                Changed { opens_started: true, ..Changed::REDRAW }
            }
            ProbeId::Talkers => {
                self.watching = Rc::new(ProbeState::Failed(problem));
                Changed { watching: true, ..Changed::REDRAW }
            }
            ProbeId::Connections => {
                let attribution = self.owners.attribution;
                Rc::make_mut(&mut self.owners).start(now, attribution);
                self.connections_state = ProbeState::Failed(problem);
                Changed::REDRAW
            }
            ProbeId::Io => {
                self.io_state = ProbeState::Failed(problem);
                Changed::REDRAW
            }
            ProbeId::Listeners => Changed::default(),
        }
    }

    fn take_links(&mut self, links: Vec<Link>, now: Mono) {
        for link in &links {
            let counted = link.counters;
            let Some((at, before)) = self.counters.get(&link.ifindex) else {
                self.counters.insert(link.ifindex, (now, counted));
                continue;
            };
            let interval_ns = now.since(*at);
            // A change of a link brings more reports per tick: too short for a rate.
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
