//! What the loop tells: what is watched, and a snapshot on every tick.

use std::collections::HashMap;

use super::super::target::Target;
use super::super::watch::Watch;
use super::{End, Run};
use crate::model::escape::escape;
use crate::model::problem::Problem;
use crate::model::talkers::TalkersSample;
use crate::probes::{ProbeEvent, Watched, clock, grace_period};

impl Run<'_> {
    /// What is watched, for people.
    pub(super) fn watched(&self) -> Vec<Watched> {
        let mut watched: Vec<Watched> = self
            .watches
            .iter()
            .map(|watch| {
                let down = self.links.by_index(watch.ifindex).is_some_and(|r| !r.link.up);
                watch.watched(down.then(|| is_down(&watch.name)))
            })
            .collect();
        if let (true, Target::One { name, .. }) = (watched.is_empty(), &self.target) {
            let problem = Problem::new(
                format!("watch {}", escape(name.as_bytes())),
                "the interface is gone",
                if self.locked {
                    "start again when it is back: --lock attaches nothing more"
                } else {
                    "it is taken up again when it returns"
                },
            );
            watched.push(Watched {
                ifindex: 0,
                interface: name.clone(),
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

    /// Sends the last readings of what ended, and what is watched where that changed.
    pub(super) fn tell(&mut self) -> Result<(), End> {
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            self.send(ProbeEvent::Talkers(last))?;
        }
        let watched = self.watched();
        if self.told.as_ref() != Some(&watched) {
            self.told = Some(watched.clone());
            self.send(ProbeEvent::Watching(Ok(watched)))?;
        }
        Ok(())
    }

    /// What the kernel itself has counted of arriving packets, where that can be compared.
    pub(super) fn kernel_packets(&self) -> HashMap<u32, u64> {
        if !self.watches.iter().any(Watch::is_comparable) {
            return HashMap::new();
        }
        let links = self.links.netlink.links().unwrap_or_default();
        links.iter().map(|l| (l.ifindex, l.counters.rx_packets)).collect()
    }

    /// One snapshot of everything: all sides turn, one grace period, all idle sides are read.
    pub(super) fn snapshot(&mut self, samples: &mut Vec<TalkersSample>, restart: bool) {
        let before = self.kernel_packets();
        for watch in &mut self.watches {
            watch.turn();
        }
        let at = clock::now();
        grace_period();
        let after = self.kernel_packets();
        for watch in &mut self.watches {
            let kernel = before.get(&watch.ifindex).zip(after.get(&watch.ifindex));
            watch.compare_with(kernel.map(|(before, after)| (*before, *after)));
            watch.read(at, &mut self.means.batch, samples);
            if restart {
                watch.restart(at);
            }
        }
    }

    /// A snapshot is told, and what it shows to be due is done.
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
        self.refresh(false);
        // An XDP program that is attached or detached by a link makes no netlink event.
        let stale = |w: &Watch| self.links.by_index(w.ifindex).is_none_or(|row| w.is_stale(row));
        if self.watches.iter().any(stale) {
            self.refresh(true);
            self.reconcile();
            self.tell()?;
        }
        self.send(ProbeEvent::Links(self.links.told()))
    }
}

fn is_down(name: &str) -> Problem {
    let name = escape(name.as_bytes());
    Problem::new(format!("watch {name}"), "the interface is down", format!("ip link set {name} up"))
}
