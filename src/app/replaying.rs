//! A recording in place of the probes, played or live: its items, and the keys that control the player.

use std::rc::Rc;

use super::{App, Data, Effect, Msg, PlayerCommand, Remote, Replay};
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
        let notice_gone = (replay.ended || replay.paused) && self.age_notice();
        self.replay = Some(replay);
        if arrived {
            self.rebuild();
        }
        if moves || notice_gone { vec![Effect::Redraw] } else { Vec::new() }
    }

    /// Takes the state of the live recording.
    pub(super) fn take_remote(&mut self, remote: Remote) -> Vec<Effect> {
        let before = self.remote.as_ref();
        let is_news = before != Some(&remote);
        let stands = remote.ended.is_some() || remote.lag.stalled_ns.is_some();
        // No tick comes after the end.
        if remote.ended.is_some() && before.is_none_or(|r| r.ended.is_none()) && !self.paused() {
            self.rebuild();
        }
        self.remote = Some(remote);
        let notice_gone = stands && self.age_notice();
        if is_news || notice_gone { vec![Effect::Redraw] } else { Vec::new() }
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
                self.data.begin_after(before);
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

    /// Refuses what only the machine itself can do; false if a key asks for something else.
    pub(super) fn is_elsewhere(&mut self, action: Action) -> bool {
        let of_interfaces = matches!(
            action,
            Action::Picker | Action::NextInterface | Action::PreviousInterface | Action::XdpMode
        );
        let elsewhere = (of_interfaces || action == Action::Hostnames)
            && (self.remote.is_some() || self.replay.is_some());
        if elsewhere {
            self.say(match of_interfaces {
                true => "not in a replay: it shows the recorded interfaces",
                false => "not in a replay: it shows the recorded names",
            });
        }
        elsewhere
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
            _ => return None,
        };
        Some(vec![Effect::Replay(command)])
    }

    /// The wall clock's time of the shown moment.
    pub fn wall_clock(&self) -> Option<String> {
        Some(clock_time(self.data.wall?, self.shown_at(), &self.zone))
    }
}
