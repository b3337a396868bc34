//! A report of a recording: the same sums, from the events as they were written down.

use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use super::gather::Gather;
use crate::cli::{By, Kind, ReportArgs};
use crate::console::say;
use crate::files;
use crate::model::cgroup::{Cgroup, KnownCgroups};
use crate::model::connections::{Connections, Net};
use crate::model::coverage::add_missing;
use crate::model::escape::escape;
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeInfo};
use crate::model::file_io::{FileIo, IoSample};
use crate::model::open::OpenCounts;
use crate::model::talkers::{Direction, Traffic};
use crate::model::time::{Mono, Stamp};
use crate::privileges;
use crate::recording::{Item, Reader, Seen};
use crate::session::Choose;
use crate::stream::{
    ConnectionsSummary, Coverage, IoLine, IoSummary, Lines as _, Note, OpenLine, OpensSummary,
    Summary, print,
};

/// Reports on `file`. The exit status is 1 where the recording is damaged: then the rows are those of
/// its readable part.
pub(super) fn run(
    file: &Path,
    choose: &Choose,
    gather: Gather,
    args: &ReportArgs,
) -> anyhow::Result<ExitCode> {
    let name = escape(file.as_os_str().as_encoded_bytes()).into_owned();
    let open = || -> anyhow::Result<_> {
        let source = files::open(file).map_err(|e| anyhow::anyhow!("report {name}: {e}"))?;
        Reader::new(BufReader::new(source)).map_err(|e| anyhow::anyhow!("report {name}: {e}"))
    };
    let (mut names, mut reader) = (open()?, open()?);
    // Nothing else is opened.
    privileges::keep(&[], false);
    let mut sums = Recorded::new(gather, choose);
    // The names of cgroups stand in a recording behind the opens that they belong to.
    loop {
        match names.read() {
            Ok(Item::Seen(_, seen)) => sums.name(&seen),
            Ok(Item::Block(_)) => {}
            Ok(Item::End(_)) | Err(_) => break,
        }
    }
    let start = reader.head().started;
    let last = args.duration.map(|d| {
        Mono(start.mono.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    });
    sums.at = start;
    let mut damage = None;
    loop {
        match reader.read() {
            Ok(Item::Seen(at, _)) if last.is_some_and(|last| at > last) => {
                sums.at.mono = last.unwrap_or(at);
                break;
            }
            Ok(Item::Seen(at, seen)) => {
                sums.at.mono = sums.at.mono.max(at);
                sums.take(seen);
            }
            Ok(Item::End(totals)) => {
                sums.at.mono = sums.at.mono.max(totals.ended);
                break;
            }
            Ok(Item::Block(_)) => {}
            Err(e) => {
                damage = Some(e);
                break;
            }
        }
    }
    let complete = sums.unwritten == 0 && damage.is_none();
    if let Some(damage) = damage {
        say(&format!("report {name}: {damage}; the rows are those of the readable part"));
    }
    if sums.unwritten > 0 {
        let n = sums.unwritten;
        say(&format!("report {name}: {n} events are missing, which could not be recorded"));
    }
    let missing = sums.end();
    if let Some(missing) = &missing {
        say(&format!("report {name}: {missing}"));
    }
    print(sums.finish(start, args.by), args.format)?;
    Ok(if complete && missing.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The sums on the way, and what the summary says.
struct Recorded<'c> {
    gather: Gather,
    choose: &'c Choose,
    cgroups: KnownCgroups,
    connections: Connections,
    has_connections: bool,
    before: OpenCounts,
    counts: Option<OpenCounts>,
    written: u64,
    frames: Option<(Traffic, Traffic)>,
    /// Bytes of files, where they were counted.
    io: Option<IoSummary>,
    /// The most calls of one search that were under way and not named.
    under_way_left_out: u64,
    coverage: Coverage,
    /// Events that the recording has not.
    unwritten: u64,
    /// Opens of which it has the number alone.
    missing: u64,
    at: Stamp,
}

impl<'c> Recorded<'c> {
    fn new(gather: Gather, choose: &'c Choose) -> Self {
        Self {
            gather,
            choose,
            cgroups: KnownCgroups::default(),
            connections: Connections::with_changes(),
            has_connections: false,
            before: OpenCounts::default(),
            counts: None,
            written: 0,
            frames: None,
            io: None,
            under_way_left_out: 0,
            coverage: Coverage::default(),
            unwritten: 0,
            missing: 0,
            at: Stamp::default(),
        }
    }

    /// Takes the name of a cgroup.
    fn name(&mut self, seen: &Seen) {
        match seen {
            Seen::Cgroups(answers) => {
                for (id, cgroup) in answers {
                    self.cgroups.answer(*id, cgroup.clone());
                }
            }
            Seen::Containers(answers) => {
                self.cgroups.name_containers(answers);
            }
            Seen::Probe(ProbeEvent::Cgroups(made)) => {
                for (id, path) in &made.paths {
                    self.cgroups.answer(*id, Some(Cgroup::at(path)));
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Probe(event) => self.event(event),
            Seen::Before(before) => self.before = before.counts(),
            Seen::Missing { opens, events } => {
                self.missing = self.missing.saturating_add(opens);
                self.unwritten = self.unwritten.saturating_add(events);
            }
            Seen::Unwritten => self.unwritten += 1,
            Seen::Tick | Seen::Cgroups(_) | Seen::Containers(_) => {}
        }
    }

    fn event(&mut self, event: ProbeEvent) {
        let mut none = Vec::new();
        match event {
            ProbeEvent::Opens(batch) => {
                for open in batch.iter() {
                    let cgroup = open.meta.cgroup_id.and_then(|id| self.cgroups.get(id));
                    if self.choose.open(&open, cgroup) {
                        let line = OpenLine { open, wall: batch.wall, cgroup };
                        self.gather.open(&mut none, &line);
                        self.written += 1;
                    }
                }
                self.counts = Some(batch.counts);
                self.at.wall = batch.wall;
            }
            ProbeEvent::Talkers(samples) => {
                let frames = self.frames.get_or_insert_default();
                for mut sample in samples {
                    let side = match sample.direction {
                        Direction::Rx => &mut frames.0,
                        Direction::Tx => &mut frames.1,
                    };
                    *side = *side + sample.delta;
                    self.choose.talkers(&mut sample);
                    self.gather.talkers(&mut none, &sample);
                }
            }
            ProbeEvent::Connections(batch) => {
                self.has_connections = true;
                self.connections.apply(&batch);
                for change in self.connections.take_changes() {
                    if self.choose.connection(&change) {
                        self.gather.connection(&mut none, batch.wall, &change);
                    }
                }
                if batch.tick.is_some() {
                    let chosen = self.connections.processes();
                    let chosen: Vec<&Net> =
                        chosen.filter(|net| self.choose.owner(&net.owner)).collect();
                    self.gather.owners(&mut none, self.at, &self.connections, &chosen);
                }
            }
            ProbeEvent::Started(ProbeInfo::Opens(info)) => {
                self.counts.get_or_insert_default();
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Started(ProbeInfo::Connections(info)) => {
                self.has_connections = true;
                self.connections.start(self.at.mono, info.attribution);
                self.coverage.attribution = Some(info.attribution);
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Started(ProbeInfo::Talkers(watched)) | ProbeEvent::Watching(watched) => {
                self.frames.get_or_insert_default();
                let missing = watched.iter().flat_map(|watched| &watched.missing);
                add_missing(&mut self.coverage.missing, missing);
            }
            ProbeEvent::Started(ProbeInfo::Io(info)) => {
                add_missing(&mut self.coverage.missing, &info.missing);
            }
            ProbeEvent::Hostnames(names) => self.connections.hostnames.add(&names),
            ProbeEvent::Io(sample) => self.io(sample),
            ProbeEvent::OpensUnderWay(found) => self.left_out_under_way(found.left_out),
            ProbeEvent::FileCallsUnderWay(found) => self.left_out_under_way(found.left_out),
            ProbeEvent::Ended(ProbeEnd::Opens(counts)) => self.counts = Some(counts),
            ProbeEvent::Ended(_)
            | ProbeEvent::Failed(..)
            | ProbeEvent::Cgroups(_)
            | ProbeEvent::Processes(_)
            | ProbeEvent::Files(_)
            | ProbeEvent::SlowCalls(_)
            | ProbeEvent::Listeners(_)
            | ProbeEvent::Started(ProbeInfo::Listeners(_))
            | ProbeEvent::Links(_) => {}
        }
    }

    fn io(&mut self, mut sample: IoSample) {
        let sums = self.io.get_or_insert_default();
        sums.counts += sample.total();
        sums.unknown += sample.unknown;
        sums.untimed = sums.untimed.saturating_add(sample.untimed);
        sums.uncounted = sums.uncounted.saturating_add(sample.uncounted);
        let cgroups = &self.cgroups;
        let cgroup = |one: &FileIo| one.cgroup_id.and_then(|id| cgroups.get(id));
        sample.choose(|one| self.choose.io(one, cgroup(one)));
        let mut none = Vec::new();
        let rest = IoLine {
            at: sample.at,
            interval_ns: sample.interval_ns,
            of: None,
            counts: sample.other,
            // Recordings do not say whether calls were timed; rows without any durations have no slow calls.
            other_slow: Some(sample.other_slow),
            cgroup: None,
        };
        for one in &sample.uses {
            let line = IoLine { of: Some(one), counts: one.counts, cgroup: cgroup(one), ..rest };
            self.gather.io(&mut none, &line);
        }
        self.gather.io(&mut none, &rest);
    }

    fn left_out_under_way(&mut self, calls: u64) {
        self.under_way_left_out = self.under_way_left_out.max(calls);
    }

    fn lost_connections(&self) -> u64 {
        self.connections.limits.lost.saturating_add(self.connections.dropped())
    }

    /// Why connections are missing.
    fn end(&mut self) -> Option<String> {
        self.gather.end(&self.connections)
    }

    /// The report as it is written. The summary has what the rows count, as that of a live report.
    fn finish(mut self, start: Stamp, by: By) -> Vec<u8> {
        let before = self.before;
        let counts = |kind| by.kinds().contains(&kind);
        let lost = |c: OpenCounts| c.lost.saturating_add(c.malformed);
        let summary = Summary {
            at: self.at,
            duration_ns: self.at.mono.since(start.mono),
            opens: self.counts.filter(|_| counts(Kind::Opens)).map(|counts| OpensSummary {
                written: self.written,
                seen: counts.seen.saturating_sub(before.seen),
                lost: lost(counts).saturating_sub(lost(before)).saturating_add(self.missing),
                unfinished: counts.unfinished,
                unnamed: counts.unnamed.saturating_sub(before.unnamed),
            }),
            talkers: self.frames.filter(|_| counts(Kind::Talkers)),
            connections: (self.has_connections && counts(Kind::Connections)).then(|| {
                ConnectionsSummary { lost: self.lost_connections(), ..Default::default() }
            }),
            files: None,
            processes: None,
            io: self.io.filter(|_| counts(Kind::Io)),
            slow: None,
            listeners: None,
            under_way_left_out: Some(self.under_way_left_out).filter(|calls| *calls > 0),
            dropped: None,
            coverage: self.coverage,
        };
        let mut out = Vec::new();
        self.gather.header(&mut out);
        if !self.gather.note(&mut out, &Note::Summary(&summary)) {
            say(&crate::stream::text_note(&Note::Summary(&summary)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{ChooseArgs, Format};
    use crate::model::under_way::{FileCallsUnderWay, OpensUnderWay};
    use crate::settings::Settings;
    use crate::stream::sample;
    use serde_json::Value;

    /// The lines of a report of these events.
    fn report(events: &[ProbeEvent], choose: &ChooseArgs, by: By) -> Vec<Value> {
        let choose = Choose::new(&Settings::default(), choose).unwrap();
        let gather = Gather::new(by, 20, Format::Json, choose.clone());
        let mut sums = Recorded::new(gather, &choose);
        events.iter().for_each(|event| sums.take(Seen::Probe(event.clone())));
        let lines = String::from_utf8(sums.finish(Stamp::default(), by)).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn slow_calls_and_calls_without_a_duration_are_those_of_the_recording() {
        let of_wal = |more| {
            let mut sample = sample::io();
            sample.uses[0].place.as_mut().unwrap().path = (*b"/srv/wal").into();
            ProbeEvent::Io(IoSample { more, ..sample })
        };
        // Two uses of an interval in two parts: a slow call each, one without room in each part.
        let events = [of_wal(true), ProbeEvent::Io(sample::io())];
        let none = ChooseArgs::default();
        let wal = ChooseArgs { path: Some("wal".to_owned()), ..ChooseArgs::default() };
        for by in [By::Program, By::Unit, By::Process, By::File, By::Directory] {
            for (choose, in_rows) in [(&none, 2), (&wal, 1)] {
                let lines = report(&events, choose, by);
                let (summary, rows) = lines.split_last().unwrap();
                let slow = |other: bool| {
                    let of = rows.iter().filter(|row| row["other"] == other);
                    of.map(|row| row["slow_calls"].as_u64().unwrap()).sum::<u64>()
                };
                assert_eq!((slow(false), slow(true)), (in_rows, 4 - in_rows), "{by:?} {rows:?}");
                assert_eq!(summary["io_untimed_calls"], 4, "{by:?}");
            }
        }
    }

    #[test]
    fn calls_under_way_that_were_not_named_are_in_the_summary() {
        let opens = OpensUnderWay { left_out: 3, ..OpensUnderWay::default() };
        let on_files = |left_out| FileCallsUnderWay { left_out, ..FileCallsUnderWay::default() };
        let events = [
            ProbeEvent::OpensUnderWay(opens),
            ProbeEvent::FileCallsUnderWay(on_files(7)),
            ProbeEvent::FileCallsUnderWay(on_files(0)),
        ];
        let lines = report(&events, &ChooseArgs::default(), By::File);
        assert_eq!(lines.last().unwrap()["under_way_left_out"], 7);
    }
}
