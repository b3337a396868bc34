//! `ebpftop record`: the probes' events into a file or to stdout, until asked to end.
//!
//! Writing may block here: the probes wait then, and the kernel counts its losses exactly.

mod files;
mod known;
mod output;
mod pipe;
#[cfg(test)]
mod tests;

use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cli::{ChooseArgs, RecordArgs};
use crate::clock;
use crate::console::say;
use crate::model::cgroup::{Cgroup, KnownCgroups};
use crate::model::container::ContainerAnswers;
use crate::model::escape::escape;
use crate::model::event::{CgroupsMade, ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::model::open::OpenBatch;
use crate::model::time::Mono;
use crate::privileges;
use crate::probes::cgroups::Cgroups;
use crate::probes::connections::ConnectionsConfig;
use crate::probes::io::IoConfig;
use crate::probes::listeners::ListenersConfig;
use crate::probes::{OpensConfig, Order, ProbeSet, ProbesConfig, TalkersConfig};
use crate::recording::{Seen, WriteError};
use crate::session::{Choose, Stop, answered, new_loop, say_lost_cgroups};
use crate::settings::Settings;
use output::{Output, not_begun};

/// How often the age of a waiting block is checked.
const POLL: Duration = Duration::from_millis(500);

/// Runs until asked to end. The exit status: 0 done as asked, 1 only in part or not at all.
pub fn run(settings: &Settings, args: &RecordArgs) -> anyhow::Result<ExitCode> {
    if pipe::is_meant(&args.file) && std::io::stdout().is_terminal() {
        say("stdout is a terminal, and a recording is no text: name a file, or use a pipe, as in \
             `ebpftop record - | ebpftop replay -`");
        return Ok(ExitCode::from(2));
    }
    if pipe::is_meant(&args.file) && args.rotate.is_some() {
        say("--rotate needs a directory: it cannot write to stdout");
        return Ok(ExitCode::from(2));
    }
    let choose = match Choose::new(settings, &ChooseArgs::default()) {
        Ok(choose) => choose,
        Err(e) => {
            say(&format!("invalid filter: {e}"));
            return Ok(ExitCode::from(2));
        }
    };
    let stop = Stop::on_signals().context("listen to signals")?;
    let runtime = new_loop()?;
    runtime.block_on(async {
        let config = ProbesConfig {
            opens: Some(OpensConfig {
                processes: true,
                files: settings.files,
                ..OpensConfig::new(settings, choose.only())
            }),
            talkers: Some(TalkersConfig::new(settings)),
            connections: settings.owners.then(|| ConnectionsConfig::new(settings)),
            io: IoConfig::new(settings, false),
            listeners: settings.owners.then(|| ListenersConfig::seldom(settings)),
        };
        let mut probes = ProbeSet::start(config, Order::AtOnce);
        let mut session = Session::new(choose, stop);
        // The file is made only once there is something to write.
        let ready = session.start(&mut probes).await;
        let done = match ready {
            true => session.record(&mut probes, settings, args).await,
            false => Ok(()),
        };
        probes.join();
        done?;
        Ok(if session.failed || !ready { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

struct Session {
    choose: Choose,
    stop: Stop,
    /// Events from before the file was there.
    early: Vec<(Mono, Seen)>,
    cgroups: Cgroups,
    known: KnownCgroups,
    /// The reader of stdout, where that is the recording.
    reader: Option<pipe::Pipe>,
    /// Opens that the kernel side lost.
    lost: u64,
    /// Something was not done as asked.
    failed: bool,
}

impl Session {
    fn new(choose: Choose, stop: Stop) -> Self {
        Self {
            choose,
            stop,
            early: Vec::new(),
            cgroups: Cgroups::with_containers(),
            known: KnownCgroups::default(),
            reader: None,
            lost: 0,
            failed: false,
        }
    }

    /// Waits until each probe has answered; true when opens or talkers run and the end was not asked
    /// for.
    async fn start(&mut self, probes: &mut ProbeSet) -> bool {
        let stop = self.stop.clone();
        let all = answered(probes, &stop, |event| {
            self.state(&event);
            self.early.push((clock::mono(), Seen::Probe(event)));
        });
        all.await && (probes.runs(ProbeId::Opens) || probes.runs(ProbeId::Talkers))
    }

    /// Takes note of an event about the probes themselves.
    fn state(&mut self, event: &ProbeEvent) {
        match event {
            ProbeEvent::Opens(batch) => self.lost = batch.counts.lost,
            ProbeEvent::Ended(ProbeEnd::Opens(counts)) => self.lost = counts.lost,
            ProbeEvent::Started(ProbeInfo::Connections(info)) => {
                info.limits().into_iter().for_each(say);
            }
            // Opens and talkers are recorded without it: the recording is complete.
            ProbeEvent::Failed(ProbeId::Connections, problem) => {
                say(&format!("connections are not recorded: {problem}"));
            }
            ProbeEvent::Failed(ProbeId::Opens | ProbeId::Talkers | ProbeId::Io, problem) => {
                self.failed = true;
                say(&problem.to_string());
            }
            _ => {}
        }
    }

    async fn record(
        &mut self,
        probes: &mut ProbeSet,
        settings: &Settings,
        args: &RecordArgs,
    ) -> anyhow::Result<()> {
        let to_pipe = pipe::is_meant(&args.file);
        if to_pipe {
            let pipe = pipe::Pipe::stdout(self.stop.clone()).context("open stdout")?;
            self.reader = Some(pipe);
        }
        let mut output = match Output::begin(args, self.reader.clone()) {
            Ok(output) => output,
            Err(WriteError::Io(e)) if to_pipe && e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(e) => {
                let name = escape(args.file.as_os_str().as_encoded_bytes());
                anyhow::bail!("record to {name}: {}", not_begun(&e, args.rotate.is_some()));
            }
        };
        privileges::keep(&[], settings.locked);
        // Behind ssh, messages would stand in the middle of the reader's screen: without need, there are none.
        if !to_pipe {
            say(&format!("recording to {}; Ctrl-C ends it", output.name));
        }
        let done = self.pump(&mut output, probes, settings, args.duration).await;
        let (name, what, finished) = output.finish(clock::mono(), self.lost);
        match done.and(finished) {
            Ok(()) if to_pipe => {}
            Err(WriteError::Io(e)) if to_pipe && e.kind() == ErrorKind::BrokenPipe => {}
            Ok(()) => say(&format!("{name}: {what}")),
            Err(WriteError::Full) => {
                say(&format!("{name} has reached its maximum size: {what}"));
            }
            Err(e) => {
                self.failed = true;
                say(&format!("write {name}: {e}; saved: {what}"));
            }
        }
        Ok(())
    }

    async fn pump(
        &mut self,
        output: &mut Output,
        probes: &mut ProbeSet,
        settings: &Settings,
        duration: Option<Duration>,
    ) -> Result<(), WriteError> {
        for (at, seen) in std::mem::take(&mut self.early) {
            self.write(output, at, seen)?;
        }
        let deadline = duration.map(|d| Instant::now() + d);
        let mut tick = interval(settings.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let stop = self.stop.clone();
        let mut ending = false;
        while probes.any_runs() {
            tokio::select! {
                biased;
                () = stop.heard(), if !ending => {
                    ending = true;
                    probes.stop();
                }
                () = until(deadline), if !ending => {
                    ending = true;
                    probes.stop();
                }
                _ = tick.tick() => {
                    output.take(clock::mono(), &Seen::Tick)?;
                    // The reader's screen is to be no block behind.
                    if self.reader.is_some() {
                        output.flush()?;
                    }
                }
                _ = poll.tick() => {
                    if self.reader.as_ref().is_some_and(pipe::Pipe::reader_gone) {
                        return Err(std::io::Error::from(ErrorKind::BrokenPipe).into());
                    }
                    output.idle(clock::mono())?;
                }
                event = probes.next() => match event {
                    Some(event) => {
                        self.state(&event);
                        self.write(output, clock::mono(), Seen::Probe(event))?;
                    }
                    None => break,
                },
            }
        }
        Ok(())
    }

    fn write(&mut self, output: &mut Output, at: Mono, mut seen: Seen) -> Result<(), WriteError> {
        if let Seen::Probe(ProbeEvent::Cgroups(made)) = &seen {
            // Written with the first open in one of them.
            self.cgroups_made(made);
            return Ok(());
        }
        if let Seen::Probe(ProbeEvent::Opens(batch)) = &mut seen {
            let (news, named) = self.news(batch);
            if !news.is_empty() {
                output.take(at, &Seen::Cgroups(news))?;
            }
            if !named.is_empty() {
                output.take(at, &Seen::Containers(named))?;
            }
            let (choose, cgroups) = (&self.choose, &self.known);
            batch.retain(|tgid, uid, names| choose.process(tgid, uid, names));
            batch.retain_opens(|open| {
                let cgroup = open.meta.cgroup_id.and_then(|id| cgroups.get(id));
                choose.open(open, cgroup)
            });
        }
        if let Seen::Probe(ProbeEvent::Talkers(samples)) = &mut seen {
            samples.iter_mut().for_each(|sample| self.choose.talkers(sample));
        }
        output.take(at, &seen)
    }

    fn cgroups_made(&mut self, made: &CgroupsMade) {
        say_lost_cgroups(self.cgroups.take(made));
    }

    /// The cgroups of a batch and the names of their containers, as far as they were not written yet.
    fn news(&mut self, batch: &OpenBatch) -> (Vec<(u64, Option<Cgroup>)>, ContainerAnswers) {
        let (mut news, mut named) = (Vec::new(), ContainerAnswers::new());
        let mut last = None;
        for id in batch.iter().filter_map(|open| open.meta.cgroup_id) {
            if last == Some(id) || !(self.known.is_wanted(id) || self.known.is_unnamed(id)) {
                continue;
            }
            last = Some(id);
            let Some(cgroup) = self.cgroups.get(id, clock::mono) else {
                self.known.answer(id, None);
                continue;
            };
            let (is_new, names) = self.known.copy(id, cgroup);
            news.extend(is_new.then(|| (id, Some(cgroup.clone()))));
            named.extend(names);
        }
        (news, named)
    }
}

/// Returns at `deadline`; without one, never.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
