//! Events of the probes, added up into counters.

mod connections;
mod interfaces;
mod listeners;
mod processes;
mod snapshot;

use std::sync::Arc;

use hashbrown::HashMap;

use super::groups::{Groups, PlaceLabels, Places};
use super::series::Counter;
use super::text::labels;
use crate::model::cgroup::Cgroup;
use crate::model::coverage::{Missing, add_missing};
use crate::model::escape::escape;
use crate::model::event::{ProbeEnd, ProbeEvent, ProbeId, ProbeInfo};
use crate::model::file_change::FileChanges;
use crate::model::marks::Marks;
use crate::model::open::{LostOpens, OpenBatch, OpenCounts};
use crate::model::opens::Before;
use crate::model::process::ProcessKey;
use crate::model::timeline::WatchedPaths;

use connections::ConnectionCounts;
use interfaces::Interfaces;
use listeners::ListenerCounts;
use processes::Processes;
pub use snapshot::Usage;

/// Opens without a record.
#[derive(Debug)]
struct Lost {
    ring_buffer: Counter,
    malformed: Counter,
    /// A recording has their number alone.
    recording: Counter,
    /// The probe's counts as last read.
    before: OpenCounts,
    /// The lost opens of each process as last read: opens, failed.
    by_process: HashMap<ProcessKey, (u64, u64)>,
}

/// Opens of a watched path.
#[derive(Debug)]
struct Watched {
    labels: Arc<str>,
    paths: WatchedPaths,
    opens: Counter,
}

/// The counters.
#[derive(Debug)]
pub struct Counts {
    groups: Groups,
    processes: Processes,
    lost: Lost,
    watched: Vec<Watched>,
    interfaces: Interfaces,
    marks: Marks,
    connections: ConnectionCounts,
    listeners: ListenerCounts,
    /// Bytes of files are counted.
    has_io: bool,
    /// Calls are timed.
    has_slow: bool,
    /// Calls on descriptors that were closed when they returned.
    unknown_io: Counter,
    untimed_io: Counter,
    /// Requests whose bytes are not known.
    uncounted_io: Counter,
    /// Changes of files are reported.
    has_files: bool,
    lost_changes: Counter,
    /// Changes that the probe has reported as lost.
    changes_reported: u64,
    /// The probes of the run; whether each runs.
    probes: Vec<(ProbeId, bool)>,
    missing: Vec<Missing>,
    /// Of a recording: whether it was played to its end.
    ended: Option<bool>,
}

impl Counts {
    /// Nothing counted yet: at most `max_groups` groups, and opens of these patterns of paths. An error
    /// names an invalid pattern.
    pub fn new(max_groups: usize, watched: &[String]) -> Result<Self, String> {
        let watch = |pattern: &String| {
            let paths = WatchedPaths::parse(std::iter::once(pattern.as_str()))?;
            let labels = labels([("path", &escape(pattern.as_bytes()))]);
            Ok(Watched { labels, paths, opens: Counter::ZERO })
        };
        Ok(Self {
            groups: Groups::new(max_groups),
            processes: Processes::default(),
            lost: Lost {
                ring_buffer: Counter::ZERO,
                malformed: Counter::ZERO,
                recording: Counter::default(),
                before: OpenCounts::default(),
                by_process: HashMap::new(),
            },
            watched: watched.iter().map(watch).collect::<Result<_, String>>()?,
            interfaces: Interfaces::default(),
            marks: Marks::default(),
            connections: ConnectionCounts::default(),
            listeners: ListenerCounts::default(),
            has_io: false,
            has_slow: false,
            unknown_io: Counter::ZERO,
            untimed_io: Counter::ZERO,
            uncounted_io: Counter::ZERO,
            has_files: false,
            lost_changes: Counter::ZERO,
            changes_reported: 0,
            probes: Vec::new(),
            missing: Vec::new(),
            ended: None,
        })
    }

    /// Takes an event of the probes.
    pub fn take(&mut self, event: &ProbeEvent, places: &mut impl Places) {
        match event {
            ProbeEvent::Opens(batch) => self.opens(batch, places),
            ProbeEvent::Talkers(samples) => {
                samples.iter().for_each(|sample| self.interfaces.add(sample, &self.marks));
            }
            ProbeEvent::Connections(batch) => {
                let (groups, processes) = (&mut self.groups, &mut self.processes);
                self.connections
                    .take(batch, |key, name| processes.group_of_known(groups, key, name, places));
                self.connections.add_to(&mut self.groups);
            }
            ProbeEvent::Io(sample) => {
                for one in &sample.uses {
                    let groups = &mut self.groups;
                    let group =
                        self.processes.group(groups, one.key, one.process, one.cgroup_id, places);
                    self.has_slow |= one.times.is_some();
                    let counts = groups.counts(group);
                    counts.read_and_wrote(&one.counts);
                    counts.slow_calls.add(one.slow());
                }
                let other = self.groups.counts(None);
                other.read_and_wrote(&sample.other);
                other.slow_calls.add(sample.other_slow);
                let unknown = sample.unknown;
                self.unknown_io.add(unknown.read_calls.saturating_add(unknown.write_calls));
                self.untimed_io.add(sample.untimed);
                self.uncounted_io.add(sample.uncounted);
            }
            ProbeEvent::Listeners(found) => {
                let (groups, processes) = (&mut self.groups, &mut self.processes);
                self.listeners.take(found, |row, dropped| {
                    let places = &mut WithCgroup { cgroup: row.cgroup.as_deref(), places };
                    let group = row.owner.as_ref().and_then(|owner| {
                        processes.group_of_known(groups, owner.key, owner.comm, places)
                    });
                    let counts = groups.counts(group);
                    match row.bound.is_tcp() {
                        true => counts.tcp_drops.add(dropped),
                        false => counts.udp_drops.add(dropped),
                    }
                });
            }
            ProbeEvent::Files(changes) => self.changes(changes, places),
            ProbeEvent::Links(links) => self.marks = Marks::of(links),
            ProbeEvent::Watching(watched) => self.interfaces.watch(watched),
            ProbeEvent::Started(info) => self.started(info),
            ProbeEvent::Failed(id, _) => self.state(*id, false),
            ProbeEvent::Ended(end) => {
                if let ProbeEnd::Opens(counts) = end {
                    self.counted(*counts);
                }
                // A recording ends with its probes; they did not fail.
                if self.ended.is_none() {
                    self.state(end.id(), false);
                }
            }
            ProbeEvent::Cgroups(_)
            | ProbeEvent::Processes(_)
            | ProbeEvent::OpensUnderWay(_)
            | ProbeEvent::FileCallsUnderWay(_)
            | ProbeEvent::Hostnames(_)
            | ProbeEvent::SlowCalls(_) => {}
        }
    }

    fn changes(&mut self, changes: &FileChanges, places: &mut impl Places) {
        self.has_files |= changes.lost > 0 || !changes.events.is_empty();
        let reported = std::mem::replace(&mut self.changes_reported, changes.lost);
        self.lost_changes.add(changes.lost.saturating_sub(reported));
        for change in changes.events.iter().filter(|change| change.errno.is_none()) {
            let (groups, process) = (&mut self.groups, change.process);
            let group = self.processes.group(groups, change.key, process, change.cgroup_id, places);
            groups.counts(group).change(change.op);
        }
    }

    fn started(&mut self, info: &ProbeInfo) {
        self.state(info.id(), true);
        match info {
            ProbeInfo::Opens(info) => {
                self.has_files |= info.files;
                add_missing(&mut self.missing, &info.missing);
            }
            ProbeInfo::Io(info) => {
                self.has_io = true;
                self.has_slow = info.slow_ns.is_some();
                add_missing(&mut self.missing, &info.missing);
            }
            ProbeInfo::Talkers(watched) => {
                add_missing(&mut self.missing, watched.iter().flat_map(|w| &w.missing));
                self.interfaces.watch(watched);
            }
            ProbeInfo::Listeners(info) => {
                self.listeners.present = true;
                add_missing(&mut self.missing, &info.missing);
            }
            ProbeInfo::Connections(info) => {
                add_missing(&mut self.missing, &info.missing);
                self.connections.start(info.attribution);
            }
        }
    }

    fn state(&mut self, id: ProbeId, runs: bool) {
        match self.probes.iter_mut().find(|(known, _)| *known == id) {
            Some((_, state)) => *state = runs,
            None => self.probes.push((id, runs)),
        }
    }

    fn opens(&mut self, batch: &OpenBatch, places: &mut impl Places) {
        for open in batch.iter() {
            let meta = open.meta;
            let key = ProcessKey::of(meta);
            let groups = &mut self.groups;
            let group = self.processes.group(groups, key, meta.process, meta.cgroup_id, places);
            let counts = groups.counts(group);
            counts.opens.add(1);
            if let Some(errno) = meta.errno() {
                counts.fail(Some(errno), 1);
            }
            let Some(path) = open.best_path() else { continue };
            for watched in self.watched.iter_mut().filter(|watched| watched.paths.has(path)) {
                watched.opens.add(1);
            }
        }
        if !batch.lost_by.is_empty() {
            self.lost_by(&batch.lost_by, places);
        }
        self.counted(batch.counts);
    }

    /// Adds the opens whose records were lost, by process.
    fn lost_by(&mut self, lost_by: &[LostOpens], places: &mut impl Places) {
        let before = std::mem::take(&mut self.lost.by_process);
        for lost in lost_by {
            let key = ProcessKey { tgid: lost.tgid, start_boottime_ns: lost.start_boottime_ns };
            let (opens, failed) = before.get(&key).copied().unwrap_or_default();
            let groups = &mut self.groups;
            let group = self.processes.group_of_known(groups, key, lost.process, places);
            let counts = groups.counts(group);
            counts.opens.add(lost.opens.saturating_sub(opens));
            counts.fail(None, lost.failed.saturating_sub(failed));
            self.lost.by_process.insert(key, (lost.opens.max(opens), lost.failed.max(failed)));
        }
        // The list is complete; one that is missing in it would only be counted again.
        for (key, counts) in before {
            self.lost.by_process.entry(key).or_insert(counts);
        }
    }

    /// Takes the probe's counts. Opens that have neither a record nor a process are `other`.
    fn counted(&mut self, counts: OpenCounts) {
        let before = std::mem::replace(&mut self.lost.before, counts);
        let malformed = counts.malformed.saturating_sub(before.malformed);
        let unowned = counts.lost_unowned.saturating_sub(before.lost_unowned);
        self.lost.ring_buffer.add(counts.lost.saturating_sub(before.lost));
        self.lost.malformed.add(malformed);
        self.groups.counts(None).opens.add(unowned.saturating_add(malformed));
    }

    /// The counts are those of a recording, which has ended or not.
    pub fn set_recording_ended(&mut self, ended: bool) {
        self.ended = Some(ended);
    }

    /// Opens of which a recording has the number alone.
    pub fn missing_in_recording(&mut self, opens: u64) {
        self.lost.recording.add(opens);
        self.groups.counts(None).opens.add(opens);
    }

    /// The counts before a recording that began in the midst of a run: they are not its own.
    pub fn counted_before(&mut self, before: &Before) {
        self.lost.before = before.counts();
        self.lost_changes = Counter::ZERO;
        let lost = before.lost_by().iter().map(|(key, opens, failed)| (*key, (*opens, *failed)));
        self.lost.by_process = lost.collect();
    }
}

/// The places of processes, where that of one is known besides by the path of its cgroup.
struct WithCgroup<'a, P> {
    cgroup: Option<&'a [u8]>,
    places: &'a mut P,
}

impl<P: Places> Places for WithCgroup<'_, P> {
    fn named(&mut self, id: u64) -> Option<&Cgroup> {
        self.places.named(id)
    }

    fn process(&mut self, key: ProcessKey) -> Option<PlaceLabels> {
        let by_path = |path| PlaceLabels::of(&Cgroup::at(path));
        self.places.process(key).or_else(|| self.cgroup.map(by_path))
    }
}
