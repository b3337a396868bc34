//! A recording that is shown: where it is, and what the keys ask of it.

use std::rc::Rc;

use super::{App, Effect};
use crate::app::data::Data;
use crate::keys::Action;
use crate::model::event::{ProbeEnd, ProbeEvent};
use crate::model::time::{Mono, NS_PER_SEC, clock_time};
use crate::recording::Seen;

/// A step, and a leap.
const STEP_NS: i64 = 5 * NS_PER_SEC as i64;
const LEAP_NS: i64 = 60 * NS_PER_SEC as i64;

/// What the player is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayerCommand {
    /// Stand still, or go on; at the end, begin again.
    Pause,
    /// So many nanoseconds forth, or back.
    Seek(i64),
    /// To the speed after this one, or the one before.
    Faster,
    Slower,
}

/// How a recording is being played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub start: Mono,
    pub end: Mono,
    /// The times that a second takes.
    pub speed: &'static str,
    pub paused: bool,
    /// On its way to another time.
    pub seeking: bool,
    /// Nothing follows.
    pub ended: bool,
    /// Why nothing follows, where that is not the recording's end.
    pub damage: Option<String>,
}

impl App {
    /// Takes over how the recording is being played.
    pub(super) fn take_replay(&mut self, replay: Replay) -> Vec<Effect> {
        let ended = |r: &Replay| r.ended;
        // No tick comes after the end, however soon it is.
        let arrived = self.seeking() && !replay.seeking
            || replay.ended && !self.replay.as_ref().is_some_and(ended);
        let moves = !replay.paused && !replay.ended || self.replay.as_ref() != Some(&replay);
        self.replay = Some(replay);
        if arrived {
            self.rebuild();
        }
        if moves { vec![Effect::Redraw] } else { Vec::new() }
    }

    /// Whether a recording is on its way to another time: nobody looks meanwhile.
    pub(super) fn seeking(&self) -> bool {
        self.replay.as_ref().is_some_and(|r| r.seeking)
    }

    /// Takes in what a recording tells, as it came then.
    pub fn recorded(&mut self, seen: Seen, at: Mono) -> Vec<Effect> {
        match seen {
            // What was seen last stays to be looked at.
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Talkers | ProbeEnd::Connections)) => Vec::new(),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Opens(counts))) => {
                self.data.set_counts(counts);
                Vec::new()
            }
            Seen::Probe(event) => self.update(super::Msg::Probe(event), at),
            Seen::Tick => self.update(super::Msg::Tick, at),
            Seen::Cgroups(answers) => self.update(super::Msg::Cgroups(answers), at),
            Seen::Before(before) => {
                Rc::make_mut(&mut self.data.opens).begin_after(before);
                Vec::new()
            }
            Seen::Missing { opens, .. } => {
                Rc::make_mut(&mut self.data.opens).add_missing(opens);
                self.say(&format!(
                    "{opens} opens are missing here: they could not be written in time"
                ));
                vec![Effect::Redraw]
            }
            Seen::Unwritten => {
                self.say("something is missing here: it was too large to be recorded");
                vec![Effect::Redraw]
            }
        }
    }

    /// Goes back to what was known at `at`.
    pub fn restore(&mut self, data: Data, at: Mono) {
        // What was found out since about addresses holds then, too.
        let names = std::mem::take(&mut self.data.names);
        self.data = data;
        self.data.names = names;
        self.time.set(at);
        self.screen.notice = None;
    }

    /// What a key asks of a recording; `None` where it asks for something else.
    pub(super) fn act_on_replay(&mut self, action: Action) -> Option<Vec<Effect>> {
        self.replay.as_ref()?;
        let command = match action {
            Action::Pause => PlayerCommand::Pause,
            Action::Back => PlayerCommand::Seek(-STEP_NS),
            Action::Forth => PlayerCommand::Seek(STEP_NS),
            Action::LeapBack => PlayerCommand::Seek(-LEAP_NS),
            Action::LeapForth => PlayerCommand::Seek(LEAP_NS),
            Action::Slower => PlayerCommand::Slower,
            Action::Faster => PlayerCommand::Faster,
            Action::Picker
            | Action::NextInterface
            | Action::PreviousInterface
            | Action::XdpMode => {
                self.say("a recording: it shows what was watched then");
                return Some(Vec::new());
            }
            _ => return None,
        };
        Some(vec![Effect::Replay(command)])
    }

    /// What a clock showed at the moment that the screen shows.
    pub fn wall_clock(&self) -> Option<String> {
        Some(clock_time(self.data.wall?, self.shown_at(), &self.zone))
    }
}
