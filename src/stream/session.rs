//! One run: start, `ready`, the events, the last lines.

mod events;
mod output;
mod probes;

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::kinds::Kinds;
use super::lines::{Lines, Note};
use super::out::Out;
use super::summary::{Coverage, Ready};
use super::tally::Tally;
use crate::cli::Kind;
use crate::clock;
use crate::console::say;
use crate::machine;
use crate::model::connections::Connections;
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId, Watched};
use crate::model::file_io::IoCounts;
use crate::model::listener::{KnownListeners, Listeners};
use crate::model::time::{Mono, Stamp};
use crate::model::under_way::CallsUnderWay;
use crate::privileges;
use crate::probes::cgroups::Cgroups;
use crate::probes::connections::ConnectionsConfig;
use crate::probes::io::IoConfig;
use crate::probes::listeners::ListenersConfig;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig};
use crate::session::{Choose, OutError, Stop, answered};
use crate::settings::Settings;

/// Bytes that are put together before they are written.
const BUFFER: usize = 64 << 10;

/// How often the end of the reader is checked while there is nothing to write.
const POLL: Duration = Duration::from_millis(250);

/// A run and what it counts.
pub(super) struct Session {
    wanted: Kinds,
    lines: Box<dyn Lines>,
    choose: Choose,
    out: Out,
    duration: Option<Duration>,
    cgroups: Cgroups,
    tally: Tally,
    owners: Connections,
    buffer: Vec<u8>,
    /// Events that came before `ready` and have lines: samples of talkers of a start, which takes a second or two at
    /// most, and what the probes that begin to count before the last one found in some milliseconds.
    early: Vec<ProbeEvent>,
    /// The latest listeners from before `ready`.
    early_listeners: Option<Listeners>,
    listeners: KnownListeners,
    /// Why the latest reading of listeners may lack some.
    listeners_doubt: Option<String>,
    /// Bytes of the interval under way that have no line of their own.
    io_other: IoCounts,
    /// Slow calls among these, failed ones too.
    io_other_slow: u64,
    /// Kinds of lines that ran at `ready`.
    ran: Kinds,
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
    /// Opens, reads and writes that had not returned when that was last looked for.
    waiting: CallsUnderWay,
    /// Something asked for was not done.
    failed: bool,
}

impl Session {
    pub(super) fn new(
        wanted: Kinds,
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
            early_listeners: None,
            listeners: KnownListeners::default(),
            listeners_doubt: None,
            io_other: IoCounts::default(),
            io_other_slow: 0,
            ran: Kinds::default(),
            watched: Vec::new(),
            coverage: Coverage::default(),
            has_processes: false,
            has_files: false,
            is_timed: false,
            ready: Ready::default(),
            waiting: CallsUnderWay::default(),
            failed: false,
        }
    }

    /// Whether everything was done as asked.
    pub(super) fn is_complete(&self) -> bool {
        !self.failed
    }

    /// Runs the probes and writes until the end is asked for, or until no probe is left.
    pub(super) async fn run(&mut self, settings: &Settings, stop: &Stop) -> Result<(), OutError> {
        let config = ProbesConfig {
            opens: self.wanted.needs_opens_probe().then(|| OpensConfig {
                calls: self.wanted.has(Kind::Opens),
                processes: self.wanted.has(Kind::Processes),
                files: self.wanted.has(Kind::Files),
                latency: settings.latency && self.wanted.has(Kind::Opens),
                waits: true,
                ..OpensConfig::new(settings, self.choose.only())
            }),
            talkers: self.wanted.has(Kind::Talkers).then(|| TalkersConfig::new(settings)),
            connections: self.connections_config(settings),
            io: self
                .wanted
                .needs_io_probe()
                .then(|| IoConfig::new(settings, false))
                .flatten()
                .map(|io| IoConfig { waits: true, under_way: self.choose.only(), ..io }),
            listeners: self
                .wanted
                .has(Kind::Listeners)
                .then(|| ListenersConfig::every(settings.interval, settings)),
        };
        let mut probes = ProbeSet::start(config, Order::InTurn);
        let done = self.run_with(&mut probes, settings, stop).await;
        probes.join();
        done
    }

    /// The settings of the connections probe. Connections that listeners accept are only counted: no names are
    /// looked for, and polling would count nothing.
    fn connections_config(&self, settings: &Settings) -> Option<ConnectionsConfig> {
        let lines = self.wanted.has(Kind::Connections);
        let counts = lines || (self.wanted.has(Kind::Listeners) && settings.owners);
        let names = settings.names && lines;
        let config = || ConnectionsConfig::new(&Settings { names, ..settings.clone() });
        counts.then(|| ConnectionsConfig { may_poll: lines, ..config() })
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
        let runs = |kind| match kind {
            Kind::Opens => probes.runs(ProbeId::Opens),
            Kind::Files => self.has_files && probes.runs(ProbeId::Opens),
            Kind::Processes => self.has_processes && probes.runs(ProbeId::Opens),
            Kind::Talkers => probes.runs(ProbeId::Talkers),
            Kind::Connections => probes.runs(ProbeId::Connections),
            Kind::Io => probes.runs(ProbeId::Io),
            Kind::Slow => self.is_timed && probes.runs(ProbeId::Io),
            Kind::Listeners => probes.runs(ProbeId::Listeners),
        };
        self.ran = self.wanted.iter().filter(|kind| runs(*kind)).collect();
        let ready = Ready {
            at,
            kinds: self.ran,
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
        for event in std::mem::take(&mut self.early) {
            self.take(event)?;
        }
        if let Some(found) = self.early_listeners.take() {
            self.listeners(found)?;
        }
        self.flush()?;
        self.pump(probes, stop).await?;
        self.last_accepted()?;
        self.lines.last_listeners(&self.listeners);
        // Gone or down in the end: the rest of the time nothing was counted.
        self.failed |= self.watched.iter().any(|watched| watched.gone.is_some());
        self.flush()?;
        self.note_dropped();
        for (loss, count) in self.tally.unreported() {
            self.note_lost(loss, count);
        }
        if let Some(missing) = self.lines.end(&self.owners) {
            say(&missing);
            self.failed = true;
        }
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
        let read = match probes.begin_connections(from) {
            Some(began) => self.begun(probes, began).await,
            None => None,
        };
        // That reading is what the sums of connections begin with.
        while read.is_some_and(|read| self.owners.read_at() < read)
            && let Some(event) = probes.next().await
        {
            self.state(event);
        }
        let Some(from) = from.or(read) else { return clock::now() };
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
            ProbeEvent::OpensUnderWay(now) => {
                self.under_way(now, |waiting| &mut waiting.opens);
            }
            ProbeEvent::FileCallsUnderWay(now) => {
                self.under_way(now, |waiting| &mut waiting.on_files);
            }
            ProbeEvent::Talkers(samples) => self.talkers(samples)?,
            ProbeEvent::Hostnames(names) => self.owners.hostnames.add(&names),
            ProbeEvent::Listeners(found) => self.listeners(*found)?,
            ProbeEvent::Connections(batch) => self.connections(&batch)?,
            other => self.state(other),
        }
        self.flush()
    }
}

/// Returns at `deadline`; without one, never.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
