//! One run: start, `ready`, the events, the last lines.

use std::cmp::Reverse;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::lines::{FileLine, IoLine, Lines, ListenerLine, Note, OpenLine, ProcessLine, SlowLine};
use super::out::Out;
use super::tally::{Coverage, Ready, Tally};
use super::text;
use super::wanted::Wanted;
use crate::clock;
use crate::console::say;
use crate::machine;
use crate::model::cgroup::Cgroup;
use crate::model::conn::ConnectionsBatch;
use crate::model::connections::{Connections, Net};
use crate::model::coverage::add_missing;
use crate::model::escape::escape;
use crate::model::event::{
    CgroupsMade, ConnectionsInfo, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo, Watched,
};
use crate::model::file_change::FileChanges;
use crate::model::file_io::{FileTypes, IoCounts, IoSample};
use crate::model::listener::{KnownListeners, Listeners};
use crate::model::open::{OpenBatch, OpenCounts};
use crate::model::process_event::ProcessEvents;
use crate::model::slow_call::SlowCalls;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, Stamp};
use crate::model::under_way::{UnderWay, UnderWayOpens};
use crate::privileges;
use crate::probes::cgroups::Cgroups;
use crate::probes::connections::ConnectionsConfig;
use crate::probes::io::IoConfig;
use crate::probes::listeners::ListenersConfig;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig};
use crate::session::{Choose, OutError, Stop, answered, say_lost_cgroups};
use crate::settings::Settings;

/// Bytes that are put together before they are written.
const BUFFER: usize = 64 << 10;

/// The duration of slow calls, without `--slow`.
const SLOW: Duration = Duration::from_millis(10);

/// How often the end of the reader is checked while there is nothing to write.
const POLL: Duration = Duration::from_millis(250);

/// A run and what it counts.
pub(super) struct Session {
    wanted: Wanted,
    lines: Box<dyn Lines>,
    choose: Choose,
    out: Out,
    duration: Option<Duration>,
    cgroups: Cgroups,
    tally: Tally,
    owners: Connections,
    buffer: Vec<u8>,
    /// Samples from before `ready`: a start takes a second or two at most.
    early: Vec<Vec<TalkersSample>>,
    /// Bytes from before `ready`, where opens are asked for too: some milliseconds.
    early_io: Vec<IoSample>,
    /// Slow calls, likewise.
    early_slow: Vec<SlowCalls>,
    /// The latest listeners from before `ready`.
    early_listeners: Option<Listeners>,
    listeners: KnownListeners,
    /// Why the latest reading of them may lack some.
    listeners_doubt: Option<String>,
    /// Bytes of the interval under way that have no line of their own.
    io_other: IoCounts,
    /// The probes that ran at `ready`.
    ran: Wanted,
    watched: Vec<Watched>,
    coverage: Coverage,
    /// The probe reports starts and ends of processes.
    has_processes: bool,
    /// The probe reports changes of files.
    has_files: bool,
    /// Calls that read and write are timed.
    is_timed: bool,
    /// The first line, of each file too.
    ready: Ready,
    /// Opens that had not returned when that was last looked for.
    waiting: UnderWayOpens,
    /// Something asked for was not done.
    failed: bool,
}

impl Session {
    pub(super) fn new(
        wanted: Wanted,
        lines: Box<dyn Lines>,
        choose: Choose,
        out: Out,
        duration: Option<Duration>,
    ) -> Self {
        Self {
            wanted,
            lines,
            choose,
            out,
            duration,
            cgroups: Cgroups::with_containers(),
            tally: Tally::default(),
            owners: Connections::with_changes(),
            buffer: Vec::with_capacity(BUFFER + (16 << 10)),
            early: Vec::new(),
            early_io: Vec::new(),
            early_slow: Vec::new(),
            early_listeners: None,
            listeners: KnownListeners::default(),
            listeners_doubt: None,
            io_other: IoCounts::default(),
            ran: Wanted::default(),
            watched: Vec::new(),
            coverage: Coverage::default(),
            has_processes: false,
            has_files: false,
            is_timed: false,
            ready: Ready::default(),
            waiting: UnderWayOpens::default(),
            failed: false,
        }
    }

    /// Whether everything was done as asked.
    pub(super) fn is_complete(&self) -> bool {
        !self.failed
    }

    /// Runs the probes and writes until the end is asked for, or until no probe is left.
    pub(super) async fn run(&mut self, settings: &Settings, stop: &Stop) -> Result<(), OutError> {
        let with_io = Settings {
            io: settings.io.or(Some(FileTypes::Regular)),
            slow: settings.slow.or(self.wanted.slow.then_some(SLOW)),
            ..settings.clone()
        };
        let config = ProbesConfig {
            opens: self.wanted.needs_opens_probe().then(|| OpensConfig {
                calls: self.wanted.opens,
                processes: self.wanted.processes,
                files: self.wanted.files,
                waits: true,
                ..OpensConfig::new(settings, self.choose.only())
            }),
            talkers: self.wanted.talkers.then(|| TalkersConfig::new(settings)),
            connections: self.wanted.connections.then(|| ConnectionsConfig::new(settings)),
            io: self
                .wanted
                .needs_io_probe()
                .then(|| IoConfig::new(&with_io, false))
                .flatten()
                .map(|io| IoConfig { waits: true, ..io }),
            listeners: (self.wanted.listeners)
                .then(|| ListenersConfig::every(settings.interval, settings)),
        };
        let mut probes = ProbeSet::start(config, Order::InTurn);
        let done = self.run_with(&mut probes, settings, stop).await;
        probes.join();
        done
    }

    async fn run_with(
        &mut self,
        probes: &mut ProbeSet,
        settings: &Settings,
        stop: &Stop,
    ) -> Result<(), OutError> {
        if !self.start(probes, stop).await {
            // The end was asked for before the start, or nothing runs.
            return Ok(());
        }
        privileges::keep(&[], settings.locked);
        let at = self.begin(probes).await;
        self.ran = Wanted {
            opens: self.wanted.opens && probes.runs(ProbeId::Opens),
            talkers: probes.runs(ProbeId::Talkers),
            connections: probes.runs(ProbeId::Connections),
            files: self.has_files && probes.runs(ProbeId::Opens),
            processes: self.has_processes && probes.runs(ProbeId::Opens),
            io: self.wanted.io && probes.runs(ProbeId::Io),
            slow: self.wanted.slow && self.is_timed && probes.runs(ProbeId::Io),
            listeners: probes.runs(ProbeId::Listeners),
        };
        let ready = Ready {
            at,
            opens: self.ran.opens,
            talkers: self.ran.talkers,
            connections: self.ran.connections,
            files: self.ran.files,
            processes: self.ran.processes,
            io: self.ran.io,
            slow: self.ran.slow,
            listeners: self.ran.listeners,
            watched: self.watched.clone(),
            host: machine::name(),
            boot_id: machine::boot_id(),
            file: None,
            netns: settings.netns.clone(),
            coverage: self.coverage.clone(),
        };
        self.tally.ready(at.mono);
        self.owners.restart();
        self.owners.start(at.mono, self.coverage.attribution.unwrap_or_default());
        self.begin_output(ready)?;
        self.flush()?;
        for samples in std::mem::take(&mut self.early) {
            self.talkers(samples)?;
        }
        for sample in std::mem::take(&mut self.early_io) {
            self.io(&sample)?;
        }
        for slow in std::mem::take(&mut self.early_slow) {
            self.slow(&slow)?;
        }
        if let Some(found) = self.early_listeners.take() {
            self.listeners(found)?;
        }
        self.flush()?;
        self.pump(probes, stop).await?;
        // Gone or down in the end: the rest of the time nothing was counted.
        self.failed |= self.watched.iter().any(|watched| watched.gone.is_some());
        self.flush()?;
        self.note_dropped();
        let at = clock::now();
        let [opens, connections, files, processes, slow] = self.tally.unreported();
        let lost = [
            opens.map(|opens| Note::Lost { at, opens }),
            connections.map(|connections| Note::LostConnections { at, connections }),
            files.map(|files| Note::LostFiles { at, files }),
            processes.map(|processes| Note::LostProcesses { at, processes }),
            slow.map(|slow| Note::LostSlow { at, slow }),
        ];
        lost.iter().flatten().for_each(|note| self.note(note));
        let summary = self.tally.summary(clock::now(), self.ran, self.coverage.clone());
        self.note(&Note::Summary(&summary));
        // It is never dropped.
        self.write()?;
        self.out.finish()
    }

    /// The moment from which on everything is counted. Takes events until then.
    async fn begin(&mut self, probes: &mut ProbeSet) -> Stamp {
        let io = match probes.begin_io() {
            Some(began) => self.begun(probes, began).await,
            None => None,
        };
        let from = match probes.begin_opens(self.duration) {
            Some(began) => self.begun(probes, began).await,
            None => io,
        };
        let Some(from) = from else { return clock::now() };
        let ahead = from.since(clock::mono());
        tokio::time::sleep(Duration::from_nanos(ahead)).await;
        Stamp { mono: from, ..clock::now() }
    }

    /// The moment since when a probe counts; `None`: it has ended, and an event says why.
    async fn begun(
        &mut self,
        probes: &mut ProbeSet,
        mut began: oneshot::Receiver<Mono>,
    ) -> Option<Mono> {
        loop {
            tokio::select! {
                biased;
                from = &mut began => return from.ok(),
                event = probes.next() => self.state(event?),
            }
        }
    }

    /// Waits until each probe has answered; true when at least one runs and the end was not asked for.
    async fn start(&mut self, probes: &mut ProbeSet, stop: &Stop) -> bool {
        answered(probes, stop, |event| self.state(event)).await && probes.any_runs()
    }

    /// Writes the events of the probes until they have ended.
    async fn pump(&mut self, probes: &mut ProbeSet, stop: &Stop) -> Result<(), OutError> {
        let deadline = self.duration.map(|d| Instant::now() + d);
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ending = false;
        while probes.any_runs() {
            tokio::select! {
                biased;
                () = stop.heard(), if !ending => self.tally.end(clock::mono()),
                () = at(deadline), if !ending => {
                    let ns = self.duration.map_or(0, |d| d.as_nanos());
                    self.tally.end(self.tally.end_after(u64::try_from(ns).unwrap_or(u64::MAX)));
                }
                _ = poll.tick() => {
                    self.out.check()?;
                    self.next_file()?;
                    continue;
                }
                event = probes.next() => {
                    match event {
                        Some(event) => self.take(event)?,
                        None => break,
                    }
                    continue;
                }
            }
            ending = true;
            probes.stop();
        }
        Ok(())
    }

    fn take(&mut self, event: ProbeEvent) -> Result<(), OutError> {
        match event {
            ProbeEvent::Opens(batch) => self.opens(&batch)?,
            ProbeEvent::Cgroups(made) => self.cgroups_made(&made),
            ProbeEvent::Ended(ProbeEnd::Opens(counts)) => self.lost(counts),
            ProbeEvent::Processes(events) => self.processes(&events)?,
            ProbeEvent::Files(events) => self.files(&events)?,
            ProbeEvent::Io(sample) => self.io(&sample)?,
            ProbeEvent::SlowCalls(slow) => self.slow(&slow)?,
            ProbeEvent::UnderWay(opens) => self.under_way(opens),
            ProbeEvent::Talkers(samples) => self.talkers(samples)?,
            ProbeEvent::Hostnames(names) => self.owners.hostnames.add(&names),
            ProbeEvent::Listeners(found) => self.listeners(*found)?,
            ProbeEvent::Connections(batch) => self.connections(&batch)?,
            other => self.state(other),
        }
        self.flush()
    }

    fn opens(&mut self, batch: &OpenBatch) -> Result<(), OutError> {
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

    fn processes(&mut self, events: &ProcessEvents) -> Result<(), OutError> {
        for event in &events.events {
            let cgroup = event.cgroup_id.and_then(|id| self.cgroups.get(id, clock::mono));
            if !self.choose.process_event(event, cgroup) {
                continue;
            }
            self.lines.process(&mut self.buffer, &ProcessLine { event, wall: events.wall, cgroup });
            self.tally.wrote_process();
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        if let Some(processes) = self.tally.lost_processes(events.lost) {
            self.note(&Note::LostProcesses { at: clock::now(), processes });
        }
        Ok(())
    }

    fn files(&mut self, changes: &FileChanges) -> Result<(), OutError> {
        for event in &changes.events {
            let cgroup = event.cgroup_id.and_then(|id| self.cgroups.get(id, clock::mono));
            if !self.choose.change(event, cgroup) {
                continue;
            }
            self.lines.file(&mut self.buffer, &FileLine { event, wall: changes.wall, cgroup });
            self.tally.wrote_file();
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        if let Some(files) = self.tally.changed_files(changes.seen, changes.lost) {
            self.note(&Note::LostFiles { at: clock::now(), files });
        }
        Ok(())
    }

    fn io(&mut self, sample: &IoSample) -> Result<(), OutError> {
        if !self.wanted.io {
            return Ok(());
        }
        self.tally.read_and_wrote(sample);
        let line = IoLine {
            at: sample.at,
            interval_ns: sample.interval_ns,
            of: None,
            counts: IoCounts::default(),
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
                continue;
            }
            let line = IoLine { of: Some(one), counts: one.counts, cgroup, ..line };
            self.lines.io(&mut self.buffer, &line);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        self.io_other += sample.other;
        if !sample.more {
            let counts = std::mem::take(&mut self.io_other);
            self.lines.io(&mut self.buffer, &IoLine { counts, ..line });
        }
        Ok(())
    }

    fn slow(&mut self, slow: &SlowCalls) -> Result<(), OutError> {
        if !self.wanted.slow {
            return Ok(());
        }
        for call in &slow.calls {
            let cgroup = call.cgroup_id.and_then(|id| self.cgroups.get(id, clock::mono));
            if !self.choose.slow(call, cgroup) {
                continue;
            }
            self.lines.slow(&mut self.buffer, &SlowLine { call, wall: slow.wall, cgroup });
            self.tally.wrote_slow();
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        if let Some(slow) = self.tally.lost_slow(slow.lost) {
            self.note(&Note::LostSlow { at: clock::now(), slow });
        }
        Ok(())
    }

    /// Each open that does not return is reported once; its line comes when it does.
    fn under_way(&mut self, now: UnderWayOpens) {
        let at = Stamp { mono: now.at, wall: now.wall };
        for open in &now.opens {
            let is_known = |known: &UnderWay| known.tid == open.tid && known.since == open.since;
            if !self.waiting.opens.iter().any(is_known) && self.choose.under_way(open) {
                self.note(&Note::UnderWay { at, open });
            }
        }
        self.waiting = now;
    }

    fn cgroups_made(&mut self, made: &CgroupsMade) {
        say_lost_cgroups(self.cgroups.take(made));
    }

    fn lost(&mut self, counts: OpenCounts) {
        if let Some(opens) = self.tally.drained(counts) {
            self.note(&Note::Lost { at: clock::now(), opens });
        }
    }

    fn connections(&mut self, batch: &ConnectionsBatch) -> Result<(), OutError> {
        self.owners.apply(batch);
        for change in self.owners.take_changes() {
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
        if let Some(connections) =
            self.tally.lost_connections(batch.limits.lost + self.owners.dropped())
        {
            self.note(&Note::LostConnections { at: clock::now(), connections });
        }
        Ok(())
    }

    fn listeners(&mut self, mut found: Listeners) -> Result<(), OutError> {
        let mut events = Vec::new();
        self.listeners.follow(&mut found, |event, row| events.push((event, row.clone())));
        self.doubt_listeners(&found);
        let at = Stamp { mono: found.at, wall: found.wall };
        for (event, row) in &events {
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
        self.tally.left_out_listeners(found.left_out);
    }

    fn talkers(&mut self, samples: Vec<TalkersSample>) -> Result<(), OutError> {
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

    /// Takes note of an event about the probes themselves.
    fn state(&mut self, event: ProbeEvent) {
        match event {
            ProbeEvent::Started(ProbeInfo::Opens(info)) => {
                self.has_processes = info.processes;
                self.has_files = info.files;
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Started(ProbeInfo::Talkers(watched)) | ProbeEvent::Watching(watched) => {
                let missing = watched.iter().flat_map(|watched| &watched.missing);
                add_missing(&mut self.coverage.missing, missing);
                self.watching(watched);
            }
            ProbeEvent::Started(ProbeInfo::Connections(info)) => self.connections_start(info),
            ProbeEvent::Failed(_, problem) => {
                self.failed = true;
                say(&problem.to_string());
            }
            ProbeEvent::Cgroups(made) => self.cgroups_made(&made),
            // Before `ready`: the totals of talkers run from their start, and connections that exist
            // by then are known.
            ProbeEvent::Talkers(samples) => self.early.push(samples),
            ProbeEvent::Connections(batch) => {
                self.owners.apply(&batch);
                self.owners.take_changes();
            }
            ProbeEvent::Hostnames(names) => self.owners.hostnames.add(&names),
            ProbeEvent::Started(ProbeInfo::Io(info)) => {
                self.is_timed = info.slow_ns.is_some();
                self.failed |= self.wanted.slow && !self.is_timed;
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Io(sample) => self.early_io.push(sample),
            ProbeEvent::SlowCalls(slow) => self.early_slow.push(slow),
            ProbeEvent::Listeners(found) => self.early_listeners = Some(*found),
            ProbeEvent::Started(ProbeInfo::Listeners)
            | ProbeEvent::Ended(_)
            | ProbeEvent::Opens(_)
            | ProbeEvent::Processes(_)
            | ProbeEvent::UnderWay(_)
            | ProbeEvent::Files(_)
            | ProbeEvent::Links(_) => {}
        }
    }

    /// Polling is an answer in part to who asked for connections by name.
    fn connections_start(&mut self, info: ConnectionsInfo) {
        self.coverage.attribution = Some(info.attribution);
        if let Some(limits) = info.limits() {
            self.failed = true;
            say(limits);
            for missing in &info.missing {
                say(&missing.to_string());
            }
        }
        add_missing(&mut self.coverage.missing, &info.missing);
    }

    /// Says what changed of how the interfaces are watched.
    fn watching(&mut self, watched: Vec<Watched>) {
        // A lost interface is the reason for rx, for tx and for itself: reported once.
        let mut said: Vec<String> = Vec::new();
        let mut say_once = |what: String| {
            if !said.contains(&what) {
                say(&what);
                said.push(what);
            }
        };
        for now in &watched {
            let before = self.watched.iter().find(|w| w.interface == now.interface);
            for (reported, side) in [
                (before.and_then(|w| w.rx.as_ref().err()), now.rx.as_ref().err()),
                (before.and_then(|w| w.tx.as_ref().err()), now.tx.as_ref().err()),
            ] {
                if let Some(problem) = side
                    && reported != side
                {
                    // An interface that is gone may come back: the end decides.
                    self.failed |= now.gone.is_none();
                    say_once(problem.to_string());
                }
            }
            match (before.and_then(|w| w.gone.as_ref()), &now.gone) {
                (None, Some(gone)) => say_once(gone.to_string()),
                (Some(_), None) => {
                    say_once(format!("{}: watched again", escape(now.interface.as_bytes())));
                }
                _ => {}
            }
        }
        self.watched = watched;
    }

    fn note(&mut self, note: &Note<'_>) {
        if !self.lines.note(&mut self.buffer, note) {
            say(&text::note(note));
            self.tally.said();
        }
    }

    /// Begins the output: stdout, or the first file.
    fn begin_output(&mut self, ready: Ready) -> Result<(), OutError> {
        self.ready = ready;
        if self.out.next_file(0).is_some() {
            return self.next_file();
        }
        self.lines.header(&mut self.buffer);
        let ready = self.ready.clone();
        self.note(&Note::Ready(&ready));
        Ok(())
    }

    /// Begins the next file, if that is due: with the header, and with the `ready` of the run.
    fn next_file(&mut self) -> Result<(), OutError> {
        let Some(number) = self.out.next_file(self.buffer.len()) else { return Ok(()) };
        self.ready.file = Some(number);
        let mut head = Vec::new();
        self.lines.header(&mut head);
        let note = Note::Ready(&self.ready);
        if !self.lines.note(&mut head, &note) && number == 1 {
            say(&text::note(&note));
        }
        self.out.begin_file(head)
    }

    /// Writes the buffer, or drops it while the output is slow.
    fn flush(&mut self) -> Result<(), OutError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.out.is_slow(self.buffer.len()) {
            let lines = self.buffer.iter().filter(|byte| **byte == b'\n').count();
            self.tally.dropped(lines as u64);
            self.buffer.clear();
            return Ok(());
        }
        self.write()?;
        self.tally.passed_on();
        self.note_dropped();
        Ok(())
    }

    /// Writes the buffer, into further files where it is larger than one.
    fn write(&mut self) -> Result<(), OutError> {
        loop {
            self.next_file()?;
            let Some(fits) = self.out.part(&self.buffer) else {
                return self.out.write(&mut self.buffer);
            };
            let rest = self.buffer.split_off(fits);
            self.out.write(&mut self.buffer)?;
            self.buffer = rest;
        }
    }

    /// Puts a line into the buffer about those that were dropped since the last one.
    fn note_dropped(&mut self) {
        if let Some(lines) = self.tally.take_dropped() {
            self.note(&Note::Dropped { at: clock::now(), lines });
        }
    }
}

/// Returns at `deadline`; without one, never.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
