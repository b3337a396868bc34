//! The counts of the summary: exact since `ready`.

use super::kinds::Kinds;
use super::lines::Loss;
use super::summary::{
    ConnectionsSummary, Coverage, FilesSummary, IoSummary, ListenersSummary, OpensSummary,
    ProcessesSummary, SlowSummary, Summary,
};
use crate::cli::Kind;
use crate::model::connections::What;
use crate::model::coverage::Attribution;
use crate::model::file_io::IoSample;
use crate::model::open::OpenCounts;
use crate::model::talkers::{Direction, TalkersSample, Traffic};
use crate::model::time::{Mono, Stamp};

/// Counts on the way to the summary.
#[derive(Debug, Default)]
pub(super) struct Tally {
    ready_at: Mono,
    /// When the end was asked for.
    end: Option<Mono>,
    written: u64,
    counts: OpenCounts,
    reported: Reported,
    /// Traffic in all snapshots, of all interfaces.
    rx: Traffic,
    tx: Traffic,
    connections: ConnectionsSummary,
    files: FilesSummary,
    processes: ProcessesSummary,
    listeners: ListenersSummary,
    io: IoSummary,
    slow: SlowSummary,
    /// The most calls of one search that were under way and not named.
    under_way_left_out: u64,
    /// Lines and reported losses in lines that the output has taken.
    taken: Taken,
    /// Lines that were dropped: since the last report, in a report that the output has not taken, and in all.
    dropped: Dropped,
}

/// Counts of the lines that the output has taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    opens: u64,
    connections: ConnectionsSummary,
    files: u64,
    processes: u64,
    listeners: u64,
    slow: u64,
    reported: Reported,
}

/// Losses that lines have reported.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    opens: u64,
    connections: u64,
    files: u64,
    processes: u64,
    slow: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Dropped {
    unreported: u64,
    reporting: u64,
    all: u64,
}

impl Tally {
    /// The run begins. The opens probe counts from this moment on by itself.
    pub(super) fn ready(&mut self, at: Mono) {
        self.ready_at = at;
    }

    /// Whether what happened to a connection at `at` counts.
    pub(super) fn counts_connection(&self, at: Mono) -> bool {
        at >= self.ready_at && self.end.is_none_or(|end| at <= end)
    }

    /// Nothing after `at` is counted.
    pub(super) fn end(&mut self, at: Mono) {
        self.end = Some(at);
    }

    /// When an end after `ns` is.
    pub(super) fn end_after(&self, ns: u64) -> Mono {
        Mono(self.ready_at.0.saturating_add(ns))
    }

    /// An open was written.
    pub(super) fn wrote(&mut self) {
        self.written += 1;
    }

    /// The probe's counts after a drain; how many were lost since the last time, if any.
    pub(super) fn drained(&mut self, counts: OpenCounts) -> Option<u64> {
        self.counts = counts;
        unreported(&mut self.reported.opens, lost(&counts))
    }

    /// A snapshot was written.
    pub(super) fn sampled(&mut self, sample: &TalkersSample) {
        let sum = match sample.direction {
            Direction::Rx => &mut self.rx,
            Direction::Tx => &mut self.tx,
        };
        *sum = *sum + sample.delta;
    }

    /// Something that happened to a connection was written.
    pub(super) fn wrote_connection(&mut self, what: What) {
        let of = &mut self.connections;
        *match what {
            What::Connect | What::Failed => &mut of.connects,
            What::Accept => &mut of.accepts,
            What::Close => &mut of.closes,
            What::Seen => of.seen.get_or_insert(0),
        } += 1;
    }

    /// A change of a file was written.
    pub(super) fn wrote_file(&mut self) {
        self.files.written += 1;
    }

    /// Changes of files until now, and those of them that were lost; how many of these since the last time, if any.
    pub(super) fn changed_files(&mut self, seen: u64, lost: u64) -> Option<u64> {
        self.files.seen = self.files.seen.max(seen);
        self.files.lost = self.files.lost.max(lost);
        unreported(&mut self.reported.files, lost)
    }

    /// A line about a listener was written.
    pub(super) fn wrote_listener(&mut self) {
        self.listeners.written += 1;
    }

    /// A reading found `left_out` listeners without room, and `accepted` connections are in no count so far.
    pub(super) fn left_out_listeners(&mut self, left_out: u64, accepted: u64) {
        self.listeners.left_out = self.listeners.left_out.max(left_out);
        self.listeners.accepted_left_out = accepted;
    }

    /// A search left out so many of the calls under way.
    pub(super) fn left_out_under_way(&mut self, left_out: u64) {
        self.under_way_left_out = self.under_way_left_out.max(left_out);
    }

    /// A start of a program or an end of a process was written.
    pub(super) fn wrote_process(&mut self) {
        self.processes.written += 1;
    }

    /// An interval of bytes read and written, or a part of one.
    pub(super) fn read_and_wrote(&mut self, sample: &IoSample) {
        self.io.counts += sample.total();
        self.io.unknown += sample.unknown;
        self.io.untimed = self.io.untimed.saturating_add(sample.untimed);
        self.io.uncounted = self.io.uncounted.saturating_add(sample.uncounted);
    }

    /// Starts and ends of processes that were lost until now; how many since the last time, if any.
    pub(super) fn lost_processes(&mut self, lost: u64) -> Option<u64> {
        self.processes.lost = self.processes.lost.max(lost);
        unreported(&mut self.reported.processes, lost)
    }

    /// The output has taken all lines so far.
    pub(super) fn passed_on(&mut self) {
        self.taken = Taken {
            opens: self.written,
            connections: self.connections,
            files: self.files.written,
            processes: self.processes.written,
            listeners: self.listeners.written,
            slow: self.slow.written,
            reported: self.reported,
        };
        self.dropped.reporting = 0;
    }

    /// The last report stands on stderr, not among the lines.
    pub(super) fn said(&mut self) {
        self.taken.reported = self.reported;
        self.dropped.reporting = 0;
    }

    /// The lines since then were dropped: they are not among the written ones, and losses that they report are
    /// reported again. A report about dropped lines does not count as one.
    pub(super) fn dropped(&mut self, lines: u64) {
        let Taken { opens, connections, files, processes, listeners, slow, reported } = self.taken;
        self.written = opens;
        self.connections = ConnectionsSummary { lost: self.connections.lost, ..connections };
        self.files.written = files;
        self.processes.written = processes;
        self.listeners.written = listeners;
        self.slow.written = slow;
        self.reported = reported;
        let Dropped { unreported, reporting, all } = &mut self.dropped;
        let lines = lines.saturating_sub(u64::from(*reporting > 0));
        *unreported += lines + std::mem::take(reporting);
        *all += lines;
    }

    /// How many lines were dropped since the last call, if any.
    pub(super) fn take_dropped(&mut self) -> Option<u64> {
        self.dropped.reporting += std::mem::take(&mut self.dropped.unreported);
        Some(self.dropped.reporting).filter(|lines| *lines > 0)
    }

    /// Losses that are not in a line yet, if any.
    pub(super) fn unreported(&mut self) -> [(Loss, Option<u64>); 5] {
        [
            (Loss::Opens, self.drained(self.counts)),
            (Loss::Connections, self.lost_connections(self.connections.lost)),
            (Loss::Files, self.changed_files(self.files.seen, self.files.lost)),
            (Loss::Processes, self.lost_processes(self.processes.lost)),
            (Loss::SlowCalls, self.lost_slow(self.slow.lost)),
        ]
    }

    /// A slow call was written.
    pub(super) fn wrote_slow(&mut self) {
        self.slow.written += 1;
    }

    /// Slow calls that were lost until now; how many since the last time, if any.
    pub(super) fn lost_slow(&mut self, lost: u64) -> Option<u64> {
        self.slow.lost = self.slow.lost.max(lost);
        unreported(&mut self.reported.slow, lost)
    }

    /// Events of connections that were lost until now; how many since the last time, if any.
    pub(super) fn lost_connections(&mut self, lost: u64) -> Option<u64> {
        self.connections.lost = self.connections.lost.max(lost);
        unreported(&mut self.reported.connections, lost)
    }

    /// The summary; `ran` says which kinds of lines there were.
    pub(super) fn summary(&self, at: Stamp, ran: Kinds, coverage: Coverage) -> Summary {
        let mut connections = self.connections;
        if coverage.attribution == Some(Attribution::Procfs) {
            connections.seen.get_or_insert(0);
        }
        Summary {
            at,
            duration_ns: self.end.unwrap_or(at.mono).since(self.ready_at),
            opens: ran.has(Kind::Opens).then(|| OpensSummary {
                written: self.written,
                seen: self.counts.seen,
                lost: lost(&self.counts),
                unfinished: self.counts.unfinished,
                unnamed: self.counts.unnamed,
            }),
            talkers: ran.has(Kind::Talkers).then_some((self.rx, self.tx)),
            connections: ran.has(Kind::Connections).then_some(connections),
            files: ran.has(Kind::Files).then_some(self.files),
            processes: ran.has(Kind::Processes).then_some(self.processes),
            io: ran.has(Kind::Io).then_some(self.io),
            slow: ran.has(Kind::Slow).then_some(self.slow),
            listeners: ran.has(Kind::Listeners).then_some(self.listeners),
            under_way_left_out: Some(self.under_way_left_out).filter(|calls| *calls > 0),
            dropped: Some(self.dropped.all).filter(|lines| *lines > 0),
            coverage,
        }
    }
}

/// Losses that are not reported yet, if any; they count as reported from now on.
fn unreported(reported: &mut u64, lost: u64) -> Option<u64> {
    let new = lost.saturating_sub(*reported);
    *reported += new;
    (new > 0).then_some(new)
}

/// A record that could not be read is as lost as one that could not be written.
fn lost(counts: &OpenCounts) -> u64 {
    counts.lost.saturating_add(counts.malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_reported_once_and_the_summary_has_the_probes_counts() {
        let mut tally = Tally::default();
        let counts = |seen, lost| OpenCounts { seen, lost, ..OpenCounts::default() };
        tally.ready(Mono(100));
        tally.wrote();
        tally.end(Mono(5_100));
        assert_eq!(tally.drained(counts(2, 0)), None);
        assert_eq!(tally.drained(counts(7, 5)), Some(5));
        assert_eq!(tally.drained(counts(7, 5)), None);
        let at = Stamp { mono: Mono(6_000), ..Stamp::default() };
        let summary = tally.summary(at, [Kind::Opens].into(), Coverage::default());
        assert_eq!(summary.duration_ns, 5_000);
        assert_eq!(
            summary.opens,
            Some(OpensSummary { written: 1, seen: 7, lost: 5, ..OpensSummary::default() })
        );
        assert_eq!(summary.talkers, None);
    }

    #[test]
    fn dropped_lines_are_not_among_the_written() {
        let mut tally = Tally::default();
        let ran = Kinds::from([Kind::Opens]);
        let unreported = |tally: &mut Tally| tally.unreported().map(|(_, count)| count);
        let written = |tally: &Tally| {
            let summary = tally.summary(Stamp::default(), ran, Coverage::default());
            (summary.opens.unwrap().written, summary.dropped)
        };
        tally.wrote();
        assert_eq!(tally.drained(OpenCounts { lost: 2, ..OpenCounts::default() }), Some(2));
        assert_eq!((tally.lost_connections(1), tally.lost_processes(4)), (Some(1), Some(4)));
        assert_eq!((tally.changed_files(9, 3), tally.lost_slow(5)), (Some(3), Some(5)));
        tally.dropped(2);
        assert_eq!(
            (unreported(&mut tally), tally.take_dropped()),
            ([Some(2), Some(1), Some(3), Some(4), Some(5)], Some(2))
        );
        tally.wrote();
        tally.passed_on();
        assert_eq!(unreported(&mut tally), [None; 5]);
        let mut tally = Tally::default();
        tally.wrote();
        tally.passed_on();
        assert_eq!((written(&tally), tally.take_dropped()), ((1, None), None));
        tally.wrote();
        tally.wrote();
        tally.dropped(3);
        tally.wrote();
        tally.dropped(1);
        assert_eq!((written(&tally), tally.take_dropped()), ((1, Some(4)), Some(4)));
        // That report is dropped, with an open.
        tally.wrote();
        tally.dropped(2);
        assert_eq!((written(&tally), tally.take_dropped()), ((1, Some(5)), Some(5)));
        tally.wrote();
        tally.passed_on();
        assert_eq!((written(&tally), tally.take_dropped()), ((2, Some(5)), None));
    }

    #[test]
    fn snapshots_are_summed_also_over_an_interface_that_was_made_again() {
        let mut tally = Tally::default();
        let mut sample = super::super::sample::talkers();
        tally.sampled(&sample);
        // The same books go on under another index: their total has the first part in it.
        sample.ifindex += 1;
        sample.total = sample.total + sample.delta;
        tally.sampled(&sample);
        sample.direction = Direction::Tx;
        tally.sampled(&sample);
        let summary = tally.summary(Stamp::default(), [Kind::Talkers].into(), Coverage::default());
        assert_eq!(summary.talkers, Some((sample.delta + sample.delta, sample.delta)));
        assert_eq!(summary.opens, None);
    }
}
