//! The dashboard's clock, its pause, and the steps through the last minutes while it is paused.

mod frozen;
mod shown;

use std::time::Duration;

use super::data::Data;
use crate::keys::Action;
use crate::model::event::ProbeEvent;
use crate::model::past::{PAST_BYTES, Past};
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, NS_PER_SEC};
use frozen::Frozen;
use shown::Probed;
pub use shown::Shown;

/// Time that `{` and `}` skip.
const LEAP_NS: u64 = 60 * NS_PER_SEC;

/// The result of a step through the last minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stepped {
    NotPaused,
    Moved,
    /// Nothing older is kept.
    AtOldest,
    /// The screen shows the moment of the pause.
    AtPause,
}

/// The clock, and the moment that the screen shows.
#[derive(Debug)]
pub(super) struct Time {
    /// The present; it advances while the screen is paused.
    clock: Mono,
    frozen: Option<Frozen>,
    /// The last minutes; `None` in a replay.
    past: Option<Past<Probed>>,
}

impl Time {
    pub(super) fn new(now: Mono) -> Self {
        Self { clock: now, frozen: None, past: None }
    }

    /// The present, also while the screen is paused.
    pub(super) fn clock(&self) -> Mono {
        self.clock
    }

    /// Moves the clock forward; an earlier time changes nothing.
    pub(super) fn advance(&mut self, now: Mono) {
        self.clock = self.clock.max(now);
    }

    /// Sets the clock, back too: a replay starts from an earlier point.
    pub(super) fn set(&mut self, at: Mono) {
        self.clock = at;
    }

    /// Keeps the last minutes from now on: at most `max_bytes` of packed changes.
    pub(super) fn remember(&mut self, interval: Duration, max_bytes: usize) {
        self.past = Some(Past::new(interval, max_bytes));
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// The tables that the screen shows, of `data` or of an earlier moment.
    pub(super) fn shown<'a>(&'a self, data: &'a Data) -> Shown<'a> {
        match &self.frozen {
            Some(frozen) => frozen.shown(),
            None => Shown {
                at: self.clock,
                opens: &data.opens,
                wire: &data.wire,
                owners: data.known_connections(),
                watching: &data.watching,
            },
        }
    }

    /// Pauses at the present, or returns to it.
    pub(super) fn toggle_pause(&mut self, data: &Data) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => {
                let number = self.past.as_ref().map_or(0, Past::next);
                Some(Frozen::new(data, self.clock, number))
            }
        };
    }

    /// Ends a pause and forgets the last minutes: the counts start again.
    pub(super) fn restart(&mut self) {
        self.frozen = None;
        self.past.iter_mut().for_each(Past::clear);
    }

    /// Keeps the moment of a tick.
    pub(super) fn keep_moment(&mut self, data: &mut Data) {
        let Some(past) = &mut self.past else { return };
        let from = self.frozen.as_ref().map_or(self.clock, Frozen::paused_at);
        let probed = Probed::of(data);
        past.tick(&mut data.tables(), self.clock, probed, from);
    }

    /// Keeps a moment before an event that changes seconds which the last moment did not cover.
    pub(super) fn keep_before(&mut self, event: &ProbeEvent, data: &mut Data) {
        let Some(past) = &mut self.past else { return };
        let begin = |s: &TalkersSample| Mono(s.at.mono.0.saturating_sub(s.interval_ns));
        let first = match event {
            ProbeEvent::Talkers(samples) => samples.iter().map(begin).min(),
            ProbeEvent::Io(sample) => {
                Some(Mono(sample.at.mono.0.saturating_sub(sample.interval_ns)))
            }
            _ => None,
        };
        let probed = Probed::of(data);
        past.before(&mut data.tables(), self.clock, first.unwrap_or(self.clock), || probed);
    }

    /// Steps one moment, or a minute, through the last minutes.
    pub(super) fn step(&mut self, action: Action) -> Stepped {
        let (Some(frozen), Some(past)) = (&mut self.frozen, &self.past) else {
            return Stepped::NotPaused;
        };
        let back = matches!(action, Action::Back | Action::LeapBack);
        let leap = matches!(action, Action::LeapBack | Action::LeapForward);
        let start = frozen.at();
        let is_far = |now: Mono| now.since(start).max(start.since(now)) >= LEAP_NS;
        let mut moved = false;
        while if back { frozen.step_back(past) } else { frozen.step_forth() } {
            moved = true;
            if !leap || is_far(frozen.at()) {
                break;
            }
        }
        match (moved, back) {
            (true, _) => {
                frozen.settle();
                Stepped::Moved
            }
            (false, true) => Stepped::AtOldest,
            (false, false) => Stepped::AtPause,
        }
    }

    /// While paused: the distances from the pause back to the shown moment and to the oldest one, ns.
    pub(super) fn rewound(&self) -> Option<(u64, u64)> {
        let (frozen, past) = (self.frozen.as_ref()?, self.past.as_ref()?);
        let (paused_at, at) = (frozen.paused_at(), frozen.at());
        let oldest = past.oldest().unwrap_or(paused_at).min(at);
        Some((paused_at.since(at), paused_at.since(oldest)))
    }
}

/// Packed changes that are kept of the last minutes, MiB.
pub(super) const PAST_MIB: usize = PAST_BYTES >> 20;
