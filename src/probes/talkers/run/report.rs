//! Events that the loop sends: how interfaces are watched, and a snapshot on every tick.

use std::collections::HashMap;

use super::super::links::KernelCounters;
use super::super::target::Target;
use super::super::watch::Watch;
use super::{End, Run};
use crate::clock;
use crate::model::event::{ProbeEvent, ProbeInfo, Watched};
use crate::model::interface_name::InterfaceName;
use crate::model::problem::Problem;
use crate::model::talkers::TalkersSample;
use crate::probes::grace_period;

impl Run<'_> {
    /// How each interface is watched.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let mut watched: Vec<Watched> = self
            .watches
            .iter()
            .map(|watch| {
                let down = self.links.by_index(watch.ifindex).is_some_and(|r| !r.link.up);
                watch.watched(self.netns_inode, down.then(|| is_down(&watch.name)))
            })
            .collect();
        if let (true, Target::One { name, .. }) = (watched.is_empty(), &self.target) {
            let problem = Problem::new(
                format!("watch {name}"),
                "the interface is gone",
                if self.locked {
                    "start again when it is back: --lock attaches nothing more"
                } else {
                    "it is watched again when it returns"
                },
            );
            watched.push(Watched {
                ifindex: 0,
                interface: name.clone(),
                netns: self.netns_inode,
                rx: Err(problem.clone()),
                tx: Err(problem.clone()),
                mode: self.mode,
                partial: None,
                price: String::new(),
                missing: Vec::new(),
                gone: Some(problem),
            });
        }
        watched
    }

    /// Sends the last readings of watches that ended, and the list of watches if it changed.
    pub(super) fn report(&mut self) -> Result<(), End> {
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            self.send(ProbeEvent::Talkers(last))?;
        }
        let watched = self.watched();
        if self.reported.as_ref() != Some(&watched) {
            let first = self.reported.replace(watched.clone()).is_none();
            self.send(match first {
                true => ProbeEvent::Started(ProbeInfo::Talkers(watched)),
                false => ProbeEvent::Watching(watched),
            })?;
        }
        Ok(())
    }

    /// The kernel's counters of the interfaces that `which` chooses.
    fn kernel_counters(&self, which: fn(&Watch) -> bool) -> HashMap<u32, KernelCounters> {
        let watches = self.watches.iter().filter(|watch| which(watch));
        let indexes: Vec<u32> = watches.map(|watch| watch.ifindex).collect();
        self.links.kernel_counters(&indexes)
    }

    /// One snapshot of everything: all sides turn, one grace period, all idle sides are read.
    pub(super) fn snapshot(&mut self, samples: &mut Vec<TalkersSample>, restart: bool) {
        let before = self.kernel_counters(Watch::is_comparable);
        for watch in &mut self.watches {
            watch.turn();
        }
        let at = clock::now();
        grace_period();
        let after = self.kernel_counters(|_| true);
        for watch in &mut self.watches {
            if let Some(after) = after.get(&watch.ifindex) {
                watch.compare_with(before.get(&watch.ifindex), after);
            }
            watch.read(at, &mut self.means.batch, samples);
            if restart {
                watch.restart(at);
            }
        }
    }

    /// Sends a snapshot, then lets crowded tables grow and follows what others attached.
    pub(super) fn tick(&mut self) -> Result<(), End> {
        let mut samples = Vec::with_capacity(self.watches.len() * 2);
        self.snapshot(&mut samples, false);
        if !samples.is_empty() {
            self.send(ProbeEvent::Talkers(samples))?;
        }
        let mut grown = Vec::new();
        for watch in &mut self.watches {
            if let Some(row) = self.links.by_index(watch.ifindex) {
                watch.grow(row, &mut self.means, &mut grown);
            }
        }
        if !grown.is_empty() {
            self.send(ProbeEvent::Talkers(grown))?;
        }
        self.refresh();
        // An XDP program that is attached or detached by a link makes no notification.
        let stale = |w: &Watch| self.links.by_index(w.ifindex).is_none_or(|row| w.is_stale(row));
        if self.watches.iter().any(stale) {
            self.reconcile();
            self.report()?;
        }
        self.send_links()
    }
}

fn is_down(name: &InterfaceName) -> Problem {
    Problem::new(format!("watch {name}"), "the interface is down", format!("ip link set {name} up"))
}
