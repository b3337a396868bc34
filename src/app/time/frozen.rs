//! A paused screen's own tables, and the way from one moment to the next.

use std::rc::Rc;

use super::{Shown, Watching};
use crate::app::data::Data;
use crate::model::connections::Connections;
use crate::model::opens::Opens;
use crate::model::past::{Changes, Past};
use crate::model::time::Mono;
use crate::model::undo::Window;
use crate::model::wire::Wire;

/// A paused screen. The tables are shared with the live ones until one of the two changes.
#[derive(Debug)]
pub(super) struct Frozen {
    opens: Rc<Opens>,
    wire: Rc<Wire>,
    /// Those of the pause: earlier ones are not kept.
    owners: Option<Rc<Connections>>,
    /// The moment that is shown.
    at: Mono,
    paused_at: Mono,
    /// The interfaces of the shown moment, if that is not the pause.
    watching: Option<Watching>,
    /// The number of the shown moment; at the pause, the number of the next one.
    number: u64,
    /// The changes from the last moment to the pause, once they are known.
    since_last: Option<Changes>,
    /// The way forth, the next step last.
    forth: Vec<Step>,
}

/// A step from one moment to the next.
#[derive(Debug)]
struct Step {
    changes: Changes,
    to: Mono,
    watching: Option<Watching>,
}

impl Frozen {
    /// Pauses at `now`; `number` is that of the next moment to be kept.
    pub(super) fn new(data: &Data, now: Mono, number: u64) -> Self {
        Self {
            opens: data.opens.clone(),
            wire: data.wire.clone(),
            owners: data.connections_known.then(|| data.owners.clone()),
            at: now,
            paused_at: now,
            watching: None,
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

    pub(super) fn shown<'a>(&'a self, data: &'a Data) -> Shown<'a> {
        Shown {
            at: self.at,
            opens: &self.opens,
            wire: &self.wire,
            owners: self.owners.as_deref().filter(|_| self.forth.is_empty()),
            watching: self.watching.as_deref().unwrap_or(&data.watching),
        }
    }

    /// Orders what the changes left unordered.
    pub(super) fn settle(&mut self) {
        Rc::make_mut(&mut self.opens).settle();
    }

    /// Takes `changes` back; returns those that lead to the state before.
    fn take_back(&mut self, changes: &Changes) -> Changes {
        let (opens, wire) = (Rc::make_mut(&mut self.opens), Rc::make_mut(&mut self.wire));
        changes.take_back(opens, wire);
        Changes::of(opens, wire, Window::ALL)
    }

    /// One moment back; false where none is kept.
    pub(super) fn step_back(&mut self, past: &Past<Watching>) -> bool {
        let number = self.number.checked_sub(1);
        let Some(moment) = number.and_then(|n| past.moment(n)) else { return false };
        let changes = if self.forth.is_empty() {
            let (opens, wire) = (Rc::make_mut(&mut self.opens), Rc::make_mut(&mut self.wire));
            let since_last = self.since_last.take();
            let since_last = since_last.unwrap_or_else(|| Changes::of(opens, wire, Window::ALL));
            self.take_back(&since_last)
        } else {
            let Some(changes) = &moment.until_next else { return false };
            self.take_back(changes)
        };
        let watching = self.watching.replace(moment.with.clone());
        self.forth.push(Step { changes, to: self.at, watching });
        self.number -= 1;
        self.at = moment.at;
        true
    }

    /// One moment forth; false at the moment of the pause.
    pub(super) fn step_forth(&mut self) -> bool {
        let Some(step) = self.forth.pop() else { return false };
        let back = self.take_back(&step.changes);
        if self.forth.is_empty() {
            self.since_last = Some(back);
        }
        self.number += 1;
        self.at = step.to;
        self.watching = step.watching;
        true
    }
}
