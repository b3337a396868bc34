//! A recording in place of the probes: its items, and the keys that control the player.

use std::rc::Rc;

use super::{App, Data, Effect, Msg, PlayerCommand, Replay};
use crate::keys::Action;
use crate::model::event::{ProbeEnd, ProbeEvent};
use crate::model::time::{Mono, NS_PER_SEC, clock_time};
use crate::recording::Seen;

/// Distances of `[` and `]`, `{` and `}`.
const STEP_NS: i64 = 5 * NS_PER_SEC as i64;
const LEAP_NS: i64 = 60 * NS_PER_SEC as i64;

impl App {
    /// Takes the state of the replay.
    pub(super) fn take_replay(&mut self, replay: Replay) -> Vec<Effect> {
        let ended = |r: &Replay| r.ended;
        // No tick comes after the end.
        let arrived = self.seeking() && !replay.seeking
            || replay.ended && !self.replay.as_ref().is_some_and(ended);
        let moves = !replay.paused && !replay.ended || self.replay.as_ref() != Some(&replay);
        self.replay = Some(replay);
        if arrived {
            self.rebuild();
        }
        if moves { vec![Effect::Redraw] } else { Vec::new() }
    }

    /// Whether the replay is on the way to another time; nothing is drawn meanwhile.
    pub(super) fn seeking(&self) -> bool {
        self.replay.as_ref().is_some_and(|r| r.seeking)
    }

    /// Takes an item of the recording, as it came then.
    pub fn recorded(&mut self, seen: Seen, at: Mono) -> Vec<Effect> {
        match seen {
            // The last data stays on the screen.
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Talkers | ProbeEnd::Connections)) => Vec::new(),
            Seen::Probe(ProbeEvent::Ended(ProbeEnd::Opens(counts))) => {
                self.data.set_counts(counts);
                Vec::new()
            }
            Seen::Probe(event) => self.update(Msg::Probe(event), at),
            Seen::Tick => self.update(Msg::Tick, at),
            Seen::Cgroups(answers) => self.update(Msg::Cgroups(answers), at),
            Seen::Containers(answers) => self.update(Msg::Containers(answers), at),
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
                self.say("an event is missing here: it was too large to be recorded");
                vec![Effect::Redraw]
            }
        }
    }

    /// Returns to the data of time `at`.
    pub fn restore(&mut self, data: Data, at: Mono) {
        // Names of addresses found out since stay valid.
        let names = std::mem::take(&mut self.data.names);
        self.data = data;
        self.data.names = names;
        self.time.set(at);
        self.screen.notice = None;
    }

    /// Does what a key asks of a replay; `None` if it is not about the replay.
    pub(super) fn act_on_replay(&mut self, action: Action) -> Option<Vec<Effect>> {
        self.replay.as_ref()?;
        let command = match action {
            Action::Pause => PlayerCommand::Pause,
            Action::Back => PlayerCommand::Seek(-STEP_NS),
            Action::Forward => PlayerCommand::Seek(STEP_NS),
            Action::LeapBack => PlayerCommand::Seek(-LEAP_NS),
            Action::LeapForward => PlayerCommand::Seek(LEAP_NS),
            Action::Slower => PlayerCommand::Slower,
            Action::Faster => PlayerCommand::Faster,
            Action::Picker
            | Action::NextInterface
            | Action::PreviousInterface
            | Action::XdpMode => {
                self.say("not in a replay: it shows the recorded interfaces");
                return Some(Vec::new());
            }
            _ => return None,
        };
        Some(vec![Effect::Replay(command)])
    }

    /// The wall clock's time of the shown moment.
    pub fn wall_clock(&self) -> Option<String> {
        Some(clock_time(self.data.wall?, self.shown_at(), &self.zone))
    }
}
