//! The counters as samples.

use std::borrow::Cow;
use std::sync::Arc;

use super::Counts;
use super::interfaces::Side;
use crate::export::families as of;
use crate::export::group_counts::{Errno, GroupCounts};
use crate::export::groups::Series;
use crate::export::series::{Counter, Seen};
use crate::export::text::{Family, Sample, Samples, Value, labels};
use crate::model::connections::Reason;
use crate::model::coverage::Attribution;
use crate::model::errno::errno_name;

/// The program's own consumption.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Unix time, ns.
    pub now: u64,
}

/// The samples of a family.
fn family(family: &'static Family, samples: impl IntoIterator<Item = Sample>) -> Samples {
    Samples { family, samples: samples.into_iter().collect() }
}

fn plain(value: impl Into<u64>) -> Sample {
    Sample::new([None, None], Value::Int(value.into()))
}

fn float(value: f64) -> Sample {
    Sample::new([None, None], Value::Float(value))
}

fn with(label: &Arc<str>, value: u64) -> Sample {
    Sample::new([Some(label.clone()), None], Value::Int(value))
}

/// Unix time in seconds, to the millisecond.
fn seconds(unix_ns: u64) -> f64 {
    (unix_ns as f64 / 1e6).round() / 1e3
}

impl Counts {
    /// The next snapshot; `seen` is about the last one.
    pub fn snapshot(&mut self, seen: Seen, usage: Usage) -> Vec<Samples> {
        self.processes.end_interval();
        self.groups.prepare(seen, usage.now);
        if seen == Seen::Yes {
            self.each_beside_groups(&mut Counter::scraped);
        }
        self.interfaces.prepare(seen, usage.now);
        let refused = self.missing.iter().filter(|missing| missing.is_refused());
        let mut all = vec![
            family(&of::BUILD, [with(&labels([("version", env!("CARGO_PKG_VERSION"))]), 1)]),
            self.probe_states(),
            family(&of::FEATURES_MISSING, [plain(refused.count() as u64)]),
        ];
        self.opens_samples(&mut all);
        if self.has_io {
            all.push(self.by_group(&of::FILE_READ, |counts| &mut counts.read_bytes));
            all.push(self.by_group(&of::FILE_WRITTEN, |counts| &mut counts.written_bytes));
        }
        if self.has_io {
            all.push(family(&of::UNKNOWN_IO_CALLS, self.unknown_io.publish().map(plain)));
            all.push(family(&of::UNCOUNTED_IO_REQUESTS, self.uncounted_io.publish().map(plain)));
        }
        if self.has_slow {
            all.push(self.by_group(&of::SLOW_CALLS, |counts| &mut counts.slow_calls));
            all.push(family(&of::UNTIMED_IO_CALLS, self.untimed_io.publish().map(plain)));
        }
        self.change_samples(&mut all);
        self.interface_samples(&mut all);
        self.connection_samples(&mut all);
        self.listener_samples(&mut all);
        all.extend([
            family(&of::GROUPS, [plain(self.groups.len() as u64)]),
            family(&of::GROUPS_LIMIT, [plain(self.groups.limit() as u64)]),
            family(&of::GROUPS_EVICTED, [plain(self.groups.evicted)]),
            family(&of::CPU, [float(usage.cpu_seconds)]),
            family(&of::MEMORY, [plain(usage.memory)]),
            family(&of::SNAPSHOT_TIME, [float(seconds(usage.now))]),
            family(&of::RECORDING_ENDED, self.ended.map(plain)),
        ]);
        all
    }

    /// Whether the last snapshot has a series at 0 although something was counted: the next one has the
    /// count, if the last one was seen.
    pub fn holds_back(&mut self) -> bool {
        let mut found = false;
        let mut look = |counter: &mut Counter| found |= counter.is_held_back();
        self.groups.each(&mut look);
        self.each_beside_groups(&mut look);
        found
    }

    fn each_beside_groups(&mut self, f: &mut impl FnMut(&mut Counter)) {
        self.interfaces.each(f);
        self.connections.lost.iter_mut().for_each(|(_, n)| f(n));
        self.watched.iter_mut().for_each(|watched| f(&mut watched.opens));
        let io = [&mut self.unknown_io, &mut self.untimed_io, &mut self.uncounted_io];
        io.into_iter().chain([&mut self.lost_changes]).for_each(&mut *f);
        let lost = &mut self.lost;
        [&mut lost.ring_buffer, &mut lost.malformed, &mut lost.recording].into_iter().for_each(f);
    }

    fn probe_states(&self) -> Samples {
        let state = |(id, runs): &(crate::model::event::ProbeId, bool)| {
            with(&labels([("probe", id.name())]), u64::from(*runs))
        };
        family(&of::PROBE_UP, self.probes.iter().map(state))
    }

    /// A family with a sample for each group.
    fn by_group(
        &mut self,
        of: &'static Family,
        counter: impl Fn(&mut GroupCounts) -> &mut Counter,
    ) -> Samples {
        let sample = |series: Series<'_>| {
            let value = counter(series.counts).publish()?;
            Some(Sample { start: series.start, ..with(series.labels, value) })
        };
        family(of, self.groups.iter_mut().filter_map(sample))
    }

    /// A family with two samples for each group, with one of two labels each.
    fn by_group_and(
        &mut self,
        of: &'static Family,
        labels: &[Arc<str>; 2],
        counters: impl Fn(&mut GroupCounts) -> [&mut Counter; 2],
    ) -> Samples {
        let mut samples = Vec::new();
        for Series { labels: group, start, counts } in self.groups.iter_mut() {
            for (counter, label) in counters(counts).into_iter().zip(labels) {
                let labels = [Some(group.clone()), Some(label.clone())];
                let sample = |n| Sample { labels, value: Value::Int(n), start };
                samples.extend(counter.publish().map(sample));
            }
        }
        family(of, samples)
    }

    fn opens_samples(&mut self, all: &mut Vec<Samples>) {
        all.push(self.by_group(&of::OPENS, |counts| &mut counts.opens));
        let mut failures = Vec::new();
        for Series { labels: group, start, counts } in self.groups.iter_mut() {
            for (errno, counter) in counts.errnos() {
                if let Some(n) = counter.publish() {
                    let label = labels([("errno", &errno_label(errno))]);
                    let labels = [Some(group.clone()), Some(label)];
                    failures.push(Sample { labels, value: Value::Int(n), start });
                }
            }
        }
        all.push(family(&of::OPEN_FAILURES, failures));
        let lost = [
            ("ring_buffer", &mut self.lost.ring_buffer),
            ("malformed", &mut self.lost.malformed),
            ("recording", &mut self.lost.recording),
        ];
        all.push(reasons(&of::OPENS_LOST, lost));
        let watched = self.watched.iter_mut();
        let sample =
            watched.filter_map(|watched| Some(with(&watched.labels, watched.opens.publish()?)));
        all.push(family(&of::WATCHED_OPENS, sample));
    }

    fn change_samples(&mut self, all: &mut Vec<Samples>) {
        if !self.has_files {
            return;
        }
        let mut changes = Vec::new();
        for Series { labels: group, start, counts } in self.groups.iter_mut() {
            for (op, counter) in counts.changes() {
                if let Some(n) = counter.publish() {
                    let labels = [Some(group.clone()), Some(labels([("op", op.name())]))];
                    changes.push(Sample { labels, value: Value::Int(n), start });
                }
            }
        }
        all.push(family(&of::FILE_CHANGES, changes));
        all.push(family(&of::FILE_CHANGES_LOST, self.lost_changes.publish().map(plain)));
    }

    fn interface_samples(&mut self, all: &mut Vec<Samples>) {
        let mut sides = |of: &'static Family, value: fn(&mut Side) -> Option<u64>| {
            let sides = self.interfaces.iter_mut();
            let sample = |side: &mut Side| {
                let value = value(side)?;
                Some(Sample { start: side.start, ..with(&side.labels, value) })
            };
            all.push(family(of, sides.filter_map(sample)));
        };
        sides(&of::INTERFACE_PACKETS, |side| side.all.packets.publish());
        sides(&of::INTERFACE_BYTES, |side| side.all.bytes.publish());
        sides(&of::INTERFACE_COUNTED, |side| side.counted.map(u64::from));
        sides(&of::INTERFACE_PARTIAL, |side| side.counted.map(|_| u64::from(side.partial)));
        all.push(family(&of::INTERFACES_EVICTED, [plain(self.interfaces.evicted)]));
        let (mut packets, mut bytes) = (Vec::new(), Vec::new());
        for side in self.interfaces.iter_mut() {
            for (scope, counter) in &mut side.scopes {
                let labels = [Some(side.labels.clone()), Some(scope.clone())];
                let start = side.start;
                let sample = |n| Sample { labels: labels.clone(), value: Value::Int(n), start };
                packets.extend(counter.packets.publish().map(sample));
                bytes.extend(counter.bytes.publish().map(sample));
            }
        }
        all.push(family(&of::TALKER_PACKETS, packets));
        all.push(family(&of::TALKER_BYTES, bytes));
    }

    fn connection_samples(&mut self, all: &mut Vec<Samples>) {
        let Some(attribution) = self.connections.attribution() else { return };
        let direction = ["rx", "tx"].map(|direction| labels([("direction", direction)]));
        if attribution != Attribution::Procfs {
            all.push(self.by_group_and(&of::CONNECTION_BYTES, &direction, |counts| {
                [&mut counts.rx_bytes, &mut counts.tx_bytes]
            }));
        }
        let unattributed = self.connections.unattributed();
        let parts = unattributed.iter().flat_map(|(reason, part): &(Reason, _)| {
            let reason = labels([("reason", reason.name())]);
            let both = [part.rx_bytes, part.tx_bytes].into_iter().zip(direction.clone());
            both.map(move |(n, direction)| {
                Sample::new([Some(direction), Some(reason.clone())], Value::Int(n))
            })
        });
        all.push(family(&of::CONNECTION_UNATTRIBUTED, parts));
        all.push(self.by_group(&of::CONNECTS, |counts| &mut counts.connects));
        all.push(self.by_group(&of::CONNECT_FAILURES, |counts| &mut counts.connect_failures));
        all.push(self.by_group(&of::ACCEPTS, |counts| &mut counts.accepts));
        all.push(family(&of::CONNECTIONS, [plain(self.connections.live())]));
        let lost = self.connections.lost.iter_mut().map(|(reason, n)| (*reason, n));
        all.push(reasons(&of::CONNECTION_EVENTS_LOST, lost));
        let label = labels([("attribution", attribution.name())]);
        all.push(family(&of::CONNECTION_ATTRIBUTION, [with(&label, 1)]));
    }

    fn listener_samples(&mut self, all: &mut Vec<Samples>) {
        if !self.listeners.present {
            return;
        }
        let protocols = ["tcp", "udp"].map(|protocol| labels([("protocol", protocol)]));
        let now = [self.listeners.now.tcp, self.listeners.now.udp];
        let now = protocols.iter().zip(now).map(|(label, n)| with(label, n as u64));
        all.push(family(&of::LISTENERS, now));
        all.push(self.by_group_and(&of::LISTENER_DROPS, &protocols, |counts| {
            [&mut counts.tcp_drops, &mut counts.udp_drops]
        }));
        all.push(family(&of::LISTENERS_PARTIAL, [plain(self.listeners.partial)]));
    }
}

fn errno_label(errno: Errno) -> Cow<'static, str> {
    match errno {
        Errno::Of(errno) => errno_name(errno),
        Errno::Unknown => "unknown".into(),
        Errno::Other => "other".into(),
    }
}

/// A family with a sample for each reason.
fn reasons<'a>(
    of: &'static Family,
    all: impl IntoIterator<Item = (&'static str, &'a mut Counter)>,
) -> Samples {
    let sample = |(reason, n): (&'static str, &mut Counter)| {
        Some(with(&labels([("reason", reason)]), n.publish()?))
    };
    family(of, all.into_iter().filter_map(sample))
}
