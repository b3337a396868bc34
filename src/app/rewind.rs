//! A screen that stands still, and what it shows of the last minutes.

use std::rc::Rc;
use std::time::Duration;

use super::data::ProbeState;
use super::{App, Effect};
use crate::keys::Action;
use crate::model::event::{ProbeEvent, Watched};
use crate::model::opens::Opens;
use crate::model::owners::Owners;
use crate::model::past::{Changes, PAST_BYTES, Past};
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, NS_PER_SEC};
use crate::model::undo::Window;
use crate::model::wire::Wire;

/// How what is watched was told.
type Watching = Rc<ProbeState<Vec<Watched>>>;

/// How far `{` and `}` leap.
const LEAP_NS: u64 = 60 * NS_PER_SEC;

/// A screen that stands still.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) opens: Rc<Opens>,
    pub(super) wire: Rc<Wire>,
    /// As they were when it was paused: those of earlier moments are not kept.
    pub(super) owners: Option<Rc<Owners>>,
    /// The moment that is shown.
    pub(super) now: Mono,
    /// When it was paused.
    at: Mono,
    /// What was watched then, where that is not what is watched now.
    watching: Option<Watching>,
    /// The number of what is shown: that of its moment, or the next one.
    number: u64,
    /// What leads from the pause to the moment before, once it is known.
    begun: Option<Changes>,
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
    /// Takes `changes` back; what leads to where it was before that.
    fn take_back(&mut self, changes: &Changes) -> Changes {
        let (opens, wire) = (Rc::make_mut(&mut self.opens), Rc::make_mut(&mut self.wire));
        changes.take_back(opens, wire);
        Changes::of(opens, wire, Window::ALL)
    }

    /// Who is behind connections, where the moment is that at which it was paused.
    pub(super) fn owners(&self) -> Option<&Owners> {
        self.owners.as_deref().filter(|_| self.forth.is_empty())
    }

    /// A moment back; false where none is kept.
    fn back(&mut self, past: &Past<Watching>) -> bool {
        let number = self.number.checked_sub(1);
        let Some(moment) = number.and_then(|n| past.moment(n)) else { return false };
        let changes = if self.forth.is_empty() {
            let (opens, wire) = (Rc::make_mut(&mut self.opens), Rc::make_mut(&mut self.wire));
            let begun = self.begun.take();
            let begun = begun.unwrap_or_else(|| Changes::of(opens, wire, Window::ALL));
            self.take_back(&begun)
        } else {
            let Some(changes) = &moment.until_next else { return false };
            self.take_back(changes)
        };
        let watching = self.watching.replace(moment.with.clone());
        self.forth.push(Step { changes, to: self.now, watching });
        self.number -= 1;
        self.now = moment.at;
        true
    }

    /// A moment forth; false at the one at which it was paused.
    fn forth(&mut self) -> bool {
        let Some(step) = self.forth.pop() else { return false };
        let back = self.take_back(&step.changes);
        if self.forth.is_empty() {
            self.begun = Some(back);
        }
        self.number += 1;
        self.now = step.to;
        self.watching = step.watching;
        true
    }
}

impl App {
    /// Keeps the last minutes from now on, to be stepped through while paused.
    pub fn remember(&mut self, interval: Duration) {
        self.remember_within(interval, PAST_BYTES);
    }

    /// The same, with another bound in bytes.
    pub fn remember_within(&mut self, interval: Duration, most: usize) {
        self.past = Some(Past::new(interval, most));
    }

    /// Keeps the moment of a tick.
    pub(super) fn keep_moment(&mut self) {
        let Some(past) = &mut self.past else { return };
        let from = self.screen.frozen.as_ref().map_or(self.clock, |f| f.at);
        let (opens, wire) = (Rc::make_mut(&mut self.data.opens), Rc::make_mut(&mut self.data.wire));
        past.tick(opens, wire, self.clock, self.data.watching.clone(), from);
    }

    /// Keeps a moment before an event that touches seconds that the last one did not reckon with.
    pub(super) fn keep_before(&mut self, event: &ProbeEvent) {
        let Some(past) = &mut self.past else { return };
        let begun = |s: &TalkersSample| Mono(s.at.mono.0.saturating_sub(s.interval_ns));
        let first = match event {
            ProbeEvent::Talkers(samples) => samples.iter().map(begun).min(),
            _ => None,
        };
        let (opens, wire) = (Rc::make_mut(&mut self.data.opens), Rc::make_mut(&mut self.data.wire));
        let with = || self.data.watching.clone();
        past.before(opens, wire, self.clock, first.unwrap_or(self.clock), with);
    }

    pub(super) fn pause(&mut self) {
        self.screen.frozen = match self.screen.frozen.take() {
            Some(_) => None,
            None => Some(Frozen {
                opens: self.data.opens.clone(),
                wire: self.data.wire.clone(),
                owners: self.data.owners_known.then(|| self.data.owners.clone()),
                now: self.clock,
                at: self.clock,
                watching: None,
                number: self.past.as_ref().map_or(0, Past::next),
                begun: None,
                forth: Vec::new(),
            }),
        };
        self.rebuild();
    }

    /// Steps through the last minutes.
    pub(super) fn step_in_time(&mut self, action: Action) -> Vec<Effect> {
        let pause = self.keys.first(Action::Pause);
        let (Some(frozen), Some(past)) = (&mut self.screen.frozen, &self.past) else {
            self.say(&format!("{pause} pauses: then it steps through what has been"));
            return Vec::new();
        };
        let back = matches!(action, Action::Back | Action::LeapBack);
        let leap = matches!(action, Action::LeapBack | Action::LeapForth);
        let start = frozen.now;
        let far = |now: Mono| now.since(start).max(start.since(now)) >= LEAP_NS;
        let mut moved = false;
        while if back { frozen.back(past) } else { frozen.forth() } {
            moved = true;
            if !leap || far(frozen.now) {
                break;
            }
        }
        if moved {
            Rc::make_mut(&mut frozen.opens).settle();
            self.rebuild();
        } else if back {
            let mib = PAST_BYTES >> 20;
            self.say(&format!("nothing older is kept: ten minutes, or {mib} MiB of changes"));
        } else {
            self.say(&format!("this is where it was paused; {pause} returns to now"));
        }
        Vec::new()
    }

    /// While paused: how far before the pause the moment is that is shown, and how far back one can
    /// go, ns.
    pub fn rewound(&self) -> Option<(u64, u64)> {
        let (frozen, past) = (self.screen.frozen.as_ref()?, self.past.as_ref()?);
        let oldest = past.oldest().unwrap_or(frozen.at).min(frozen.now);
        Some((frozen.at.since(frozen.now), frozen.at.since(oldest)))
    }

    /// How what the screen shows is watched.
    pub fn watching(&self) -> &ProbeState<Vec<Watched>> {
        let then = self.screen.frozen.as_ref().and_then(|f| f.watching.as_deref());
        then.unwrap_or(&self.data.watching)
    }

    /// What was watched at the moment that the screen shows.
    pub fn interfaces(&self) -> &[Watched] {
        self.watching().running().map_or(&[], Vec::as_slice)
    }
}
