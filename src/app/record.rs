//! What comes from now on goes into a recording, too: begun and ended by a key.

use super::{App, Effect};
use crate::model::event::{ProbeEvent, ProbeId, ProbeInfo};
use crate::model::time::Mono;
use crate::recording::Seen;

/// A recording that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    since: Mono,
    /// What the file holds, bytes.
    pub bytes: u64,
    /// Opens that came faster than they could be written.
    pub missing: u64,
    /// It has been asked to end.
    ending: bool,
}

/// What is told of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It has begun, in this file.
    Begun(String),
    /// It has so many bytes, and so many opens are missing.
    Grown { bytes: u64, missing: u64 },
    /// It has ended, as asked or not: in words.
    Ended(String),
}

impl App {
    /// Begins or ends a recording.
    pub(super) fn record(&mut self) -> Vec<Effect> {
        match &mut self.recording {
            _ if self.replay.is_some() => {
                self.say("this is a recording");
                return Vec::new();
            }
            Some(recording) if recording.ending => {
                self.say("still writing");
                return Vec::new();
            }
            Some(recording) => recording.ending = true,
            None => self.recording = Some(Recording { since: self.clock, ..Recording::default() }),
        }
        vec![Effect::Record(self.recording.as_ref().is_some_and(|r| !r.ending))]
    }

    /// The recording that is being written, and for how long already, ns.
    pub fn recording(&self) -> Option<(&Recording, u64)> {
        self.recording.as_ref().map(|r| (r, self.clock.since(r.since)))
    }

    /// Takes in what is told of the recording.
    pub(super) fn take_recorded(&mut self, told: Recorded) -> Vec<Effect> {
        match told {
            Recorded::Begun(file) => {
                let key = self.keys.first(crate::keys::Action::Record);
                self.say(&format!("recording to {file}; {key} ends it"));
            }
            Recorded::Grown { bytes, missing } => {
                if let Some(recording) = &mut self.recording {
                    (recording.bytes, recording.missing) = (bytes, missing);
                }
            }
            Recorded::Ended(words) => {
                self.recording = None;
                self.say(&words);
            }
        }
        vec![Effect::Redraw]
    }

    /// What has to be known of what was before a recording: its first records.
    pub fn known_before(&self) -> Vec<Seen> {
        let data = &self.data;
        let mut seen = Vec::new();
        let probes = [
            data.opens_state.event(ProbeId::Opens, ProbeInfo::Opens),
            data.watching.event(ProbeId::Talkers, ProbeInfo::Talkers),
            data.owners_state.event(ProbeId::Connections, ProbeInfo::Connections),
        ];
        seen.extend(probes.into_iter().flatten().map(Seen::Probe));
        seen.push(Seen::Probe(ProbeEvent::Links(data.links.clone())));
        seen.push(Seen::Cgroups(data.cgroups.all()));
        seen.push(Seen::Before(data.opens.counted_before()));
        seen.push(Seen::Tick);
        seen
    }

    /// Leaves out of an event what the command line did not choose: it holds for the whole run, so
    /// that every view, and a recording, has opens by those processes alone.
    pub fn choose(&self, event: &mut ProbeEvent) {
        if let (ProbeEvent::Opens(batch), Some(chosen)) = (event, self.filter.fixed()) {
            batch.retain(|tgid, uid, names| {
                chosen.process(&crate::model::filter::ProcessInfo {
                    names,
                    tgid,
                    uid,
                    cgroup: None,
                })
            });
        }
    }
}
