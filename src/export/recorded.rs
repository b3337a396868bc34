//! The source of `--from`: a recording, played in real time or at once, and served from then on.

use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::groups::{PlaceLabels, Places};
use super::otlp::Host;
use super::output::Output;
use super::systemd;
use crate::console::say;
use crate::files;
use crate::model::cgroup::{Cgroup, KnownCgroups, MAX_IN_REPORT};
use crate::model::escape::escape;
use crate::model::event::ProbeEvent;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::privileges;
use crate::recording::{Item, Reader, Seen};
use crate::session::Stop;
use crate::settings::Settings;

fn shown(file: &Path) -> String {
    escape(file.as_os_str().as_encoded_bytes()).into_owned()
}

fn open(file: &Path) -> anyhow::Result<Reader<BufReader<std::fs::File>>> {
    let of = |e: &dyn std::fmt::Display| anyhow::anyhow!("export {}: {e}", shown(file));
    let source = files::open(file).map_err(|e| of(&e))?;
    Reader::new(BufReader::new(source)).map_err(|e| of(&e))
}

/// The machine that a recording is of.
pub(super) fn host(file: &Path) -> anyhow::Result<Host> {
    Ok(Host { name: open(file)?.head().host.clone(), id: None })
}

/// Plays `file` and serves its counts until asked to end. The exit status is 1 where the recording is
/// damaged: then the counts are those of its readable part.
pub(super) async fn run(
    file: &Path,
    at_once: bool,
    output: Output,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<ExitCode> {
    let name = shown(file);
    let (mut names, mut reader) = (open(file)?, open(file)?);
    // Nothing else is opened.
    privileges::keep(&[], false);
    let mut play =
        Play { output, cgroups: Recorded(KnownCgroups::with_room(MAX_IN_REPORT)), failed: false };
    play.output.counts.set_recording_ended(false);
    // The names of cgroups stand in a recording behind the opens that they belong to.
    while let Ok(item) = names.read() {
        match item {
            Item::Seen(_, seen) => play.cgroups.name(&seen),
            Item::Block(_) => {}
            Item::End(_) => break,
        }
    }
    let started = reader.head().started.mono;
    let mut tick = interval(settings.interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    if !at_once {
        play.output.publish();
        systemd::ready();
    }
    let mut watchdog = systemd::Watchdog::start();
    let begin = Instant::now();
    let mut ended = false;
    let mut next = play.next(&mut reader, &name);
    loop {
        let due = match &next {
            Some((at, _)) if !at_once => begin + Duration::from_nanos(at.since(started)),
            _ => begin,
        };
        if next.is_none() && !ended {
            ended = true;
            if at_once {
                // A series begins at 0 in this snapshot, and has its count in the next.
                play.output.publish_as_scraped();
            }
            play.output.counts.set_recording_ended(true);
            if at_once {
                play.output.publish();
                systemd::ready();
            }
        }
        tokio::select! {
            biased;
            () = stop.heard() => break,
            () = watchdog.due() => systemd::alive(),
            _ = tick.tick(), if ended || !at_once => play.output.publish(),
            () = sleep_until(due), if next.is_some() => {
                if let Some((_, seen)) = next.take() {
                    play.take(seen);
                }
                next = play.next(&mut reader, &name);
            }
        }
    }
    systemd::stopping();
    let written = play.output.end();
    Ok(if play.failed || !written { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Play {
    output: Output,
    cgroups: Recorded,
    /// The recording is not whole.
    failed: bool,
}

impl Play {
    /// The next event; `None` at the end.
    fn next(
        &mut self,
        reader: &mut Reader<BufReader<std::fs::File>>,
        name: &str,
    ) -> Option<(Mono, Seen)> {
        loop {
            match reader.read() {
                Ok(Item::Seen(at, seen)) => return Some((at, seen)),
                Ok(Item::Block(_)) => {}
                Ok(Item::End(_)) => return None,
                Err(damage) => {
                    self.failed = true;
                    say(&format!(
                        "export {name}: {damage}; the counts are those of the readable part"
                    ));
                    return None;
                }
            }
        }
    }

    fn take(&mut self, seen: Seen) {
        let counts = &mut self.output.counts;
        match seen {
            Seen::Probe(event) => self.output.take(&event, &mut self.cgroups),
            Seen::Before(before) => counts.counted_before(&before),
            Seen::Missing { opens, events } => {
                counts.missing_in_recording(opens);
                self.failed |= events > 0;
            }
            Seen::Unwritten => self.failed = true,
            Seen::Tick | Seen::Cgroups(_) | Seen::Containers(_) => {}
        }
    }
}

/// The places of a recording.
struct Recorded(KnownCgroups);

impl Recorded {
    fn name(&mut self, seen: &Seen) {
        match seen {
            Seen::Cgroups(answers) => {
                for (id, cgroup) in answers {
                    self.0.answer(*id, cgroup.clone());
                }
            }
            Seen::Containers(answers) => drop(self.0.name_containers(answers)),
            Seen::Probe(ProbeEvent::Cgroups(made)) => {
                for (id, path) in &made.paths {
                    self.0.answer(*id, Some(Cgroup::at(path)));
                }
            }
            _ => {}
        }
    }
}

impl Places for Recorded {
    fn named(&mut self, id: u64) -> Option<&Cgroup> {
        self.0.get(id)
    }

    /// A recording has no more than the opens show.
    fn process(&mut self, _key: ProcessKey) -> Option<PlaceLabels> {
        None
    }
}
