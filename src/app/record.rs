//! The recording of the dashboard: started and ended by a key.

use super::{App, Effect, Recorded, Recording};
use crate::keys::Action;
use crate::model::event::{ProbeEvent, ProbeId, ProbeInfo};
use crate::model::file_change::FileChanges;
use crate::model::filter::ProcessInfo;
use crate::model::process_event::ProcessEvents;
use crate::model::slow_call::SlowCalls;
use crate::recording::{Known, Seen};

impl App {
    /// Starts or ends a recording.
    pub(super) fn record(&mut self) -> Vec<Effect> {
        let since = self.time.clock();
        match &mut self.recording {
            _ if self.replay.is_some() => {
                self.say("a replay cannot be recorded: the file is a recording");
                Vec::new()
            }
            _ if self.remote.is_some() => {
                self.say(
                    "a replay cannot be recorded; `tee FILE` before `ebpftop replay -` does that",
                );
                Vec::new()
            }
            Some(recording) if recording.ending => {
                self.say("still writing the last recording");
                Vec::new()
            }
            Some(recording) => {
                recording.ending = true;
                vec![Effect::Record(false)]
            }
            none => {
                *none = Some(Recording { since, ..Recording::default() });
                vec![Effect::Record(true)]
            }
        }
    }

    /// The recording under way, and its duration so far, ns.
    pub fn recording(&self) -> Option<(&Recording, u64)> {
        self.recording.as_ref().map(|r| (r, self.time.clock().since(r.since)))
    }

    pub(super) fn take_recorded(&mut self, report: Recorded) -> Vec<Effect> {
        match report {
            Recorded::Begun(file) => {
                let key = self.keys.first(Action::Record);
                self.say(&format!("recording to {file}; press {key} to stop"));
            }
            Recorded::Grown { bytes, lost } => {
                if let Some(recording) = &mut self.recording {
                    (recording.bytes, recording.lost) = (bytes, lost);
                }
            }
            Recorded::Ended(sentence) => {
                self.recording = None;
                self.say(&sentence);
            }
        }
        vec![Effect::Redraw]
    }

    /// The first records of a recording: the state of the probes, interfaces, cgroups and counts at
    /// its start.
    pub fn known_before(&self) -> Vec<Seen> {
        let data = &self.data;
        let probes = [
            data.opens_state.event(ProbeId::Opens, ProbeInfo::Opens),
            data.watching.event(ProbeId::Talkers, ProbeInfo::Talkers),
            data.connections_state.event(ProbeId::Connections, ProbeInfo::Connections),
            data.io_state.event(ProbeId::Io, ProbeInfo::Io),
        ];
        // Counts alone: events from before are not part of it.
        let processes = ProcessEvents { lost: data.process_log.reported(), ..Default::default() };
        let files = FileChanges { lost: data.change_log.reported(), ..Default::default() };
        let slow = SlowCalls { lost: data.slow_log.reported(), ..Default::default() };
        let before = [
            ProbeEvent::Processes(processes),
            ProbeEvent::Files(files),
            ProbeEvent::SlowCalls(slow),
            ProbeEvent::Talkers(data.wire.counted_before(data.wall.unwrap_or_default())),
        ];
        let known = Known {
            probes: probes.into_iter().flatten().chain(before).collect(),
            connections: &data.owners,
            links: &data.links,
            cgroups: &data.cgroups,
            before: data.opens.counted_before(),
        };
        known.records()
    }

    /// Drops opens, bytes and calls of processes that `--process` does not match from an event, so that
    /// every view and a recording have the same ones.
    pub fn choose(&self, event: &mut ProbeEvent) {
        let Some(chosen) = self.filter.fixed() else { return };
        let is_chosen = |tgid, uid, names: &[&[u8]]| {
            chosen.process(&ProcessInfo { names, tgid, uid, cgroup: None })
        };
        match event {
            ProbeEvent::Opens(batch) => batch.retain(is_chosen),
            ProbeEvent::Io(sample) => {
                sample.choose(|one| is_chosen(one.key.tgid, one.uid, &[one.process.as_bytes()]))
            }
            ProbeEvent::SlowCalls(slow) => slow.calls.retain(|call| {
                let names = [call.comm.as_bytes(), call.process.as_bytes()];
                is_chosen(call.key.tgid, call.uid, &names)
            }),
            ProbeEvent::OpensUnderWay(found) => found.calls.retain(|call| {
                let names = [call.comm.as_bytes(), call.process.as_bytes()];
                is_chosen(call.key.tgid, call.uid, &names)
            }),
            ProbeEvent::FileCallsUnderWay(found) => found.calls.retain(|call| {
                let names = [call.comm.as_bytes(), call.process.as_bytes()];
                is_chosen(call.key.tgid, call.uid, &names)
            }),
            _ => {}
        }
    }
}
