//! A paused screen's own tables, and the way from one moment to the next.

use std::rc::Rc;

use super::shown::{Probed, Shown};
use crate::app::data::Data;
use crate::model::connections::Connections;
use crate::model::opens::Opens;
use crate::model::past::{Changes, Past, Tables};
use crate::model::time::Mono;
use crate::model::undo::Window;
use crate::model::wire::Wire;

/// A paused screen. The tables are shared with the live ones until one of the two changes.
#[derive(Debug)]
pub(super) struct Frozen {
    opens: Rc<Opens>,
    wire: Rc<Wire>,
    connections: Rc<Connections>,
    /// The moment that is shown.
    at: Mono,
    paused_at: Mono,
    /// The probes at the shown moment.
    probed: Probed,
    /// The number of the shown moment; at the pause, the number of the next one.
    number: u64,
    /// The changes from the last moment to the pause, once they are known.
    since_last: Option<Changes>,
    /// The steps forward, the next one last.
    forth: Vec<Step>,
}

/// A step from one moment to the next.
#[derive(Debug)]
struct Step {
    changes: Changes,
    to: Mono,
    probed: Probed,
}

impl Frozen {
    /// Pauses at `now`; `number` is that of the next moment to be kept.
    pub(super) fn new(data: &Data, now: Mono, number: u64) -> Self {
        Self {
            opens: data.opens.clone(),
            wire: data.wire.clone(),
            connections: data.owners.clone(),
            at: now,
            paused_at: now,
            probed: Probed::of(data),
            number,
            since_last: None,
            forth: Vec::new(),
        }
    }

    pub(super) fn at(&self) -> Mono {
        self.at
    }

    pub(super) fn paused_at(&self) -> Mono {
        self.paused_at
    }

    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            at: self.at,
            opens: &self.opens,
            wire: &self.wire,
            owners: self.probed.connections_known.then_some(&*self.connections),
            watching: &self.probed.watching,
        }
    }

    fn tables(&mut self) -> Tables<'_> {
        Tables {
            opens: Rc::make_mut(&mut self.opens),
            wire: Rc::make_mut(&mut self.wire),
            connections: Rc::make_mut(&mut self.connections),
        }
    }

    /// Works out the derived data after steps.
    pub(super) fn settle(&mut self) {
        self.tables().settle();
    }

    /// Takes `changes` back; returns those that lead to the state before.
    fn take_back(&mut self, changes: &Changes) -> Changes {
        let mut tables = self.tables();
        changes.take_back(&mut tables);
        Changes::of(&mut tables, Window::ALL)
    }

    /// One moment back; false where none is kept.
    pub(super) fn step_back(&mut self, past: &Past<Probed>) -> bool {
        let number = self.number.checked_sub(1);
        let Some(moment) = number.and_then(|n| past.moment(n)) else { return false };
        let changes = if self.forth.is_empty() {
            let since_last = match self.since_last.take() {
                Some(changes) => changes,
                None => Changes::of(&mut self.tables(), Window::ALL),
            };
            self.take_back(&since_last)
        } else {
            let Some(changes) = &moment.until_next else { return false };
            self.take_back(changes)
        };
        let probed = std::mem::replace(&mut self.probed, moment.with.clone());
        self.forth.push(Step { changes, to: self.at, probed });
        self.number -= 1;
        self.at = moment.at;
        true
    }

    /// One moment forward; false at the moment of the pause.
    pub(super) fn step_forth(&mut self) -> bool {
        let Some(step) = self.forth.pop() else { return false };
        let back = self.take_back(&step.changes);
        if self.forth.is_empty() {
            self.since_last = Some(back);
        }
        self.number += 1;
        self.at = step.to;
        self.probed = step.probed;
        true
    }
}
