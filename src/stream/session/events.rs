//! The lines of each event.

use std::cmp::Reverse;

use super::{BUFFER, Session};
use crate::cli::Kind;
use crate::clock;
use crate::console::say;
use crate::model::cgroup::Cgroup;
use crate::model::conn::ConnectionsBatch;
use crate::model::connections::Net;
use crate::model::event::CgroupsMade;
use crate::model::file_change::FileChanges;
use crate::model::file_io::{IoCounts, IoSample};
use crate::model::listener::{Listener, ListenerEvent, Listeners};
use crate::model::open::{OpenBatch, OpenCounts};
use crate::model::process_event::ProcessEvents;
use crate::model::slow_call::SlowCalls;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Stamp, WallOffset};
use crate::model::under_way::{AllUnderWay, CallsUnderWay, Waiting, WaitingCall};
use crate::session::{Choose, OutError, say_lost_cgroups};
use crate::stream::lines::{
    EventLine, IoLine, Lines, ListenerLine, Loss, Note, OpenLine, UnderWayLine,
};
use crate::stream::tally::Tally;

impl Session {
    pub(super) fn opens(&mut self, batch: &OpenBatch) -> Result<(), OutError> {
        let has_cgroup = self.lines.has_cgroup() || self.choose.wants_cgroup();
        for open in batch.iter() {
            let cgroup = match open.meta.cgroup_id {
                Some(id) if has_cgroup => self.cgroups.get(id, clock::mono),
                _ => None,
            };
            if !self.choose.open(&open, cgroup) {
                continue;
            }
            self.lines.open(&mut self.buffer, &OpenLine { open, wall: batch.wall, cgroup });
            self.tally.wrote();
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        self.lost(batch.counts);
        Ok(())
    }

    /// Writes the chosen ones of some events, each with the cgroup that it names.
    fn events<E>(
        &mut self,
        (events, wall): (&[E], WallOffset),
        cgroup_id: impl Fn(&E) -> Option<u64>,
        is_chosen: impl Fn(&Choose, &E, Option<&Cgroup>) -> bool,
        write: impl Fn(&mut dyn Lines, &mut Vec<u8>, &EventLine<'_, E>),
        wrote: impl Fn(&mut Tally),
    ) -> Result<(), OutError> {
        for event in events {
            let cgroup = cgroup_id(event).and_then(|id| self.cgroups.get(id, clock::mono));
            if !is_chosen(&self.choose, event, cgroup) {
                continue;
            }
            write(&mut *self.lines, &mut self.buffer, &EventLine { event, wall, cgroup });
            wrote(&mut self.tally);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(super) fn processes(&mut self, events: &ProcessEvents) -> Result<(), OutError> {
        self.events(
            (events.events.as_slice(), events.wall),
            |event| event.cgroup_id,
            Choose::process_event,
            |lines, out, line| lines.process(out, line),
            Tally::wrote_process,
        )?;
        let lost = self.tally.lost_processes(events.lost);
        self.note_lost(Loss::Processes, lost);
        Ok(())
    }

    pub(super) fn files(&mut self, changes: &FileChanges) -> Result<(), OutError> {
        self.events(
            (changes.events.as_slice(), changes.wall),
            |event| event.cgroup_id,
            Choose::change,
            |lines, out, line| lines.file(out, line),
            Tally::wrote_file,
        )?;
        let lost = self.tally.changed_files(changes.seen, changes.lost);
        self.note_lost(Loss::Files, lost);
        Ok(())
    }

    pub(super) fn io(&mut self, sample: &IoSample) -> Result<(), OutError> {
        if !self.wanted.has(Kind::Io) {
            return Ok(());
        }
        self.tally.read_and_wrote(sample);
        let line = IoLine {
            at: sample.at,
            interval_ns: sample.interval_ns,
            of: None,
            counts: IoCounts::default(),
            other_slow: None,
            cgroup: None,
        };
        let has_cgroup = self.lines.has_cgroup() || self.choose.wants_cgroup();
        for one in &sample.uses {
            let cgroup = match one.cgroup_id {
                Some(id) if has_cgroup => self.cgroups.get(id, clock::mono),
                _ => None,
            };
            if !self.choose.io(one, cgroup) {
                self.io_other += one.counts;
                self.io_other_slow = self.io_other_slow.saturating_add(one.slow());
                continue;
            }
            let line = IoLine { of: Some(one), counts: one.counts, cgroup, ..line };
            self.lines.io(&mut self.buffer, &line);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        self.io_other += sample.other;
        self.io_other_slow = self.io_other_slow.saturating_add(sample.other_slow);
        if !sample.more {
            let counts = std::mem::take(&mut self.io_other);
            let slow = std::mem::take(&mut self.io_other_slow);
            let other_slow = self.is_timed.then_some(slow);
            self.lines.io(&mut self.buffer, &IoLine { counts, other_slow, ..line });
        }
        Ok(())
    }

    pub(super) fn slow(&mut self, slow: &SlowCalls) -> Result<(), OutError> {
        if !self.wanted.has(Kind::Slow) {
            return Ok(());
        }
        self.events(
            (slow.calls.as_slice(), slow.wall),
            |call| call.cgroup_id,
            Choose::slow,
            |lines, out, line| lines.slow(out, line),
            Tally::wrote_slow,
        )?;
        let lost = self.tally.lost_slow(slow.lost);
        self.note_lost(Loss::SlowCalls, lost);
        Ok(())
    }

    /// Each call that does not return is reported once; its line comes when it does.
    pub(super) fn under_way<C>(
        &mut self,
        now: AllUnderWay<C>,
        known: fn(&mut CallsUnderWay) -> &mut AllUnderWay<C>,
    ) where
        for<'a> WaitingCall<'a>: From<&'a C>,
    {
        let at = Stamp { mono: now.at, wall: now.wall };
        self.tally.left_out_under_way(now.left_out);
        let before = std::mem::take(known(&mut self.waiting));
        for waiting in now.calls.iter().map(Waiting::from) {
            let is_known = before.calls.iter().any(|call| Waiting::from(call).is_same(&waiting));
            if !is_known && self.chooses(&waiting) {
                self.note(&Note::UnderWay(UnderWayLine { at, waiting }));
            }
        }
        *known(&mut self.waiting) = now;
    }

    fn chooses(&mut self, waiting: &Waiting<'_>) -> bool {
        let cgroup = waiting.call.on_file().and_then(|on| on.cgroup_id);
        let cgroup = cgroup.and_then(|id| self.cgroups.get(id, clock::mono));
        self.choose.under_way(waiting, cgroup)
    }

    pub(super) fn cgroups_made(&mut self, made: &CgroupsMade) {
        say_lost_cgroups(self.cgroups.take(made));
    }

    pub(super) fn lost(&mut self, counts: OpenCounts) {
        let lost = self.tally.drained(counts);
        self.note_lost(Loss::Opens, lost);
    }

    pub(super) fn connections(&mut self, batch: &ConnectionsBatch) -> Result<(), OutError> {
        self.owners.apply(batch);
        let changes = self.owners.take_changes();
        if !self.wanted.has(Kind::Connections) {
            return Ok(());
        }
        for change in changes {
            if !self.tally.counts_connection(change.at) || !self.choose.connection(&change) {
                continue;
            }
            self.lines.connection(&mut self.buffer, batch.wall, &change);
            self.tally.wrote_connection(change.what);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        if batch.tick.is_some() {
            let mut chosen: Vec<&Net> =
                self.owners.processes().filter(|net| self.choose.owner(&net.owner)).collect();
            chosen.sort_by_key(|net| (Reverse(net.total.bytes()), net.owner.key.tgid));
            let at = Stamp { mono: batch.at, wall: batch.wall };
            self.lines.owners(&mut self.buffer, at, &self.owners, &chosen);
        }
        let lost = self.owners.limits.lost.saturating_add(self.owners.dropped());
        let lost = self.tally.lost_connections(lost);
        self.note_lost(Loss::Connections, lost);
        Ok(())
    }

    pub(super) fn listeners(&mut self, mut found: Listeners) -> Result<(), OutError> {
        if self.coverage.attribution.is_some() && !self.owners.polled() {
            let missed = self.listeners.missed_by(&found);
            self.owners.accepted.fill_in(&mut found, &missed);
        }
        let mut events = Vec::new();
        self.listeners.follow(&mut found, |event, row| events.push((event, row.clone())));
        self.doubt_listeners(&found);
        self.listener_lines(Stamp { mono: found.at, wall: found.wall }, &events)
    }

    /// Writes the listeners whose accepted connections became more since the last reading.
    pub(super) fn last_accepted(&mut self) -> Result<(), OutError> {
        if self.coverage.attribution.is_none() || self.owners.polled() {
            return Ok(());
        }
        let mut events = Vec::new();
        let fill_in = |found: &mut Listeners| self.owners.accepted.fill_in(found, &[]);
        self.listeners.count_again(fill_in, |event, row| events.push((event, row.clone())));
        self.tally.left_out_listeners(0, self.owners.accepted.left_out);
        self.listener_lines(clock::now(), &events)
    }

    fn listener_lines(
        &mut self,
        at: Stamp,
        events: &[(ListenerEvent, Listener)],
    ) -> Result<(), OutError> {
        for (event, row) in events {
            let cgroup = row.cgroup.as_deref().map(Cgroup::at);
            if !self.choose.listener(row, cgroup.as_ref()) {
                continue;
            }
            let (cgroup, problem) = (cgroup.as_ref(), self.listeners_doubt.as_deref());
            let line = ListenerLine { at, event: *event, row, cgroup, problem };
            self.lines.listener(&mut self.buffer, &line);
            self.tally.wrote_listener();
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Says once why readings lack listeners or processes, and when they do no more.
    fn doubt_listeners(&mut self, found: &Listeners) {
        let doubt = found.doubt();
        if doubt != self.listeners_doubt {
            let why = doubt.as_deref().unwrap_or("all are read again");
            say(&format!("listeners: {why}"));
        }
        self.failed |= doubt.is_some();
        self.listeners_doubt = doubt;
        self.tally.left_out_listeners(found.left_out, self.owners.accepted.left_out);
    }

    pub(super) fn talkers(&mut self, samples: Vec<TalkersSample>) -> Result<(), OutError> {
        for mut sample in samples {
            self.tally.sampled(&sample);
            self.choose.talkers(&mut sample);
            self.lines.talkers(&mut self.buffer, &sample);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }
}
