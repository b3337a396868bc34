//! Connections by group: increments from the model's totals of processes.

use hashbrown::HashMap;

use crate::export::groups::{GroupId, Groups};
use crate::export::series::Counter;
use crate::model::conn::{Carried, ConnectionsBatch};
use crate::model::connections::{Connections, Reason, What};
use crate::model::coverage::Attribution;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// The connections, and the part of them that the groups have counted.
#[derive(Debug)]
pub(super) struct ConnectionCounts {
    model: Connections,
    attribution: Option<Attribution>,
    /// Payload of each process that its group has.
    counted: HashMap<ProcessKey, Carried>,
    /// Payload that groups have.
    grouped: Carried,
    /// Increments that are to be added to groups.
    news: Vec<(Option<GroupId>, New)>,
    pub(super) lost: [(&'static str, Counter); 5],
}

/// An increment.
#[derive(Clone, Copy, Debug)]
enum New {
    Connect,
    ConnectFailure,
    Accept,
    Payload(Carried),
}

impl Default for ConnectionCounts {
    fn default() -> Self {
        Self {
            model: Connections::with_changes(),
            attribution: None,
            counted: HashMap::new(),
            grouped: Carried::default(),
            news: Vec::new(),
            lost: ["ring_buffer", "sockets", "sharers", "queue", "evicted"]
                .map(|reason| (reason, Counter::ZERO)),
        }
    }
}

impl ConnectionCounts {
    pub(super) fn start(&mut self, attribution: Attribution) {
        self.attribution = Some(attribution);
        self.model.start(Mono::default(), attribution);
    }

    /// How bytes are attributed; `None`: the probe has not started.
    pub(super) fn attribution(&self) -> Option<Attribution> {
        self.attribution
    }

    /// Takes a batch; `group` finds the group of a process.
    pub(super) fn take(
        &mut self,
        batch: &ConnectionsBatch,
        mut group: impl FnMut(ProcessKey, Comm) -> Option<GroupId>,
    ) {
        self.model.apply(batch);
        for change in self.model.take_changes() {
            let new = match change.what {
                What::Connect => New::Connect,
                What::Failed => New::ConnectFailure,
                What::Accept => New::Accept,
                What::Close | What::Seen => continue,
            };
            let owner = change.conn.owner();
            self.news.push((owner.and_then(|owner| group(owner.key, owner.comm)), new));
        }
        let limits = self.model.limits;
        let lost =
            [limits.lost, limits.sockets, limits.sharers, self.model.dropped(), self.model.evicted];
        for ((_, counter), now) in self.lost.iter_mut().zip(lost) {
            counter.add(now.saturating_sub(counter.value()));
        }
        if batch.tick.is_some() && !self.model.polled() {
            self.payload(group);
        }
    }

    /// Takes the payload of an interval. The part of processes that were evicted is `other`.
    fn payload(&mut self, mut group: impl FnMut(ProcessKey, Comm) -> Option<GroupId>) {
        let mut before = std::mem::take(&mut self.counted);
        for net in self.model.processes() {
            let known = before.remove(&net.owner.key).unwrap_or_default();
            let more = net.total.minus(known);
            if !more.is_none() {
                let group = group(net.owner.key, net.owner.comm);
                self.news.push((group, New::Payload(more)));
                self.grouped += more;
            }
            // A total falls where bytes turn out to be another process's: they count once.
            self.counted.insert(net.owner.key, known + more);
        }
        let attributed = self.model.total.minus(self.model.unattributed.total());
        let rest = attributed.minus(self.grouped);
        if !rest.is_none() {
            self.news.push((None, New::Payload(rest)));
            self.grouped += rest;
        }
    }

    /// Adds the increments to the groups.
    pub(super) fn add_to(&mut self, groups: &mut Groups) {
        for (group, new) in self.news.drain(..) {
            let counts = groups.counts(group);
            match new {
                New::Connect => counts.connects.add(1),
                New::ConnectFailure => counts.connect_failures.add(1),
                New::Accept => counts.accepts.add(1),
                New::Payload(carried) => counts.carry(carried),
            }
        }
    }

    /// Connections that are tracked now.
    pub(super) fn live(&self) -> u64 {
        self.model.live() as u64
    }

    /// Payload that is attributed to no process, by reason; empty where it is unknown.
    pub(super) fn unattributed(&self) -> Vec<(Reason, Carried)> {
        match self.model.polled() {
            true => Vec::new(),
            false => self.model.unattributed.parts().collect(),
        }
    }
}
