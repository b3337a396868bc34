//! Bytes read and written, counted for the same processes, programs, paths and uses as opens.

use serde::{Deserialize, Serialize};

use hashbrown::HashMap;

use super::{Opens, Process, ProgramKey, Tally};
use crate::model::file_io::{FileIo, IoCounts, IoSample, IoTally};
use crate::model::io_history::IoHistory;
use crate::model::slab::Slot;
use crate::model::time::Mono;

/// The intervals so far, and what they counted beside the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoState {
    /// The number of the last whole interval; 0: there was none.
    interval: u32,
    interval_ns: u64,
    /// Calls without process and file, for lack of room.
    pub other: IoCounts,
    /// Slow calls without a row, failed ones too: see [`IoSample::other_slow`].
    pub other_slow: u64,
    /// Calls of known processes on files whose path is not known: in no path and no use of a file.
    pub without_path: IoCounts,
    /// Slow calls among the ones without a path, failed ones too.
    pub slow_without_path: u64,
    /// Calls without a duration, where calls are timed: see [`IoSample::untimed`].
    pub untimed: u64,
    /// Calls whose descriptor was closed when they returned; in no other number.
    pub unknown: IoCounts,
    /// Requests without a number of bytes: see [`IoSample::uncounted`].
    pub uncounted: u64,
}

impl IoState {
    /// Nothing counted yet, while counting goes on.
    pub(super) fn restarted(&self) -> Self {
        let IoState { interval, interval_ns, .. } = *self;
        Self { interval, interval_ns, ..Self::default() }
    }

    /// Whether bytes are counted.
    pub fn is_known(&self) -> bool {
        self.interval > 0
    }

    /// Bytes read and written per second in the last interval.
    pub fn rates(&self, tally: &IoTally) -> (f64, f64) {
        let (read, written) = self.delta(tally);
        let rate = |bytes| crate::model::history::per_second(bytes, self.interval_ns);
        (rate(read), rate(written))
    }

    /// Bytes read and written in the last interval.
    pub fn delta(&self, tally: &IoTally) -> (u64, u64) {
        if self.is_known() { tally.delta(self.interval) } else { (0, 0) }
    }
}

/// Counts of a part of an interval, for the last minutes: see [`crate::model::history::History::add_spread`].
#[derive(Debug, Default)]
struct Sums {
    programs: HashMap<Slot, IoCounts>,
    processes: HashMap<Slot, IoCounts>,
    paths: HashMap<Slot, IoCounts>,
}

impl Opens {
    /// Bytes read and written.
    pub fn io(&self) -> &IoState {
        &self.io
    }

    /// The last minute of bytes of all files.
    pub fn io_history(&self) -> &IoHistory {
        &self.io_history
    }

    /// Counts an interval, or a part of one.
    pub fn add_io(&mut self, sample: &IoSample) {
        let interval = self.io.interval.saturating_add(1);
        self.io_history.add(sample.at.mono, sample.interval_ns, &sample.total());
        let mut sums = Sums::default();
        for one in &sample.uses {
            self.add_use(one, interval, sample, &mut sums);
        }
        self.add_to_histories(sample, sums);
        if sample.more {
            return;
        }
        self.io.other += sample.other;
        self.io.unknown += sample.unknown;
        self.io.other_slow = self.io.other_slow.saturating_add(sample.other_slow);
        self.io.untimed = self.io.untimed.saturating_add(sample.untimed);
        self.io.uncounted = self.io.uncounted.saturating_add(sample.uncounted);
        self.total.io.add(&sample.other, &None, interval);
        (self.io.interval, self.io.interval_ns) = (interval, sample.interval_ns);
    }

    fn add_use(&mut self, one: &FileIo, interval: u32, sample: &IoSample, sums: &mut Sums) {
        let at = sample.at.mono;
        self.total.io.add(&one.counts, &one.times, interval);
        let process = self.process_slot(one.key, || Process {
            name: one.process,
            uid: one.uid,
            cgroup_id: one.cgroup_id,
            tally: Tally::starting(at),
            ..Process::empty(one.key)
        });
        // The name is that at the first call in the interval; an open in it may have brought a later one.
        let began = Mono(at.0.saturating_sub(sample.interval_ns));
        let key = match self.processes.get(process) {
            Some(held) if held.tally.last > began && held.program.is_some() => held.program_key(),
            _ => ProgramKey { name: one.process, cgroup_id: one.cgroup_id },
        };
        let program = self.program_at(process, key, at);
        *sums.programs.entry(program).or_default() += one.counts;
        if let Some(program) = self.programs.get_mut(program) {
            program.tally.add_io(one, interval, at);
        }
        *sums.processes.entry(process).or_default() += one.counts;
        if let Some(process) = self.processes.get_mut(process) {
            process.tally.add_io(one, interval, at);
        }
        let Some(place) = &one.place else {
            self.io.without_path += one.counts;
            self.io.slow_without_path = self.io.slow_without_path.saturating_add(one.slow());
            return;
        };
        let path = self.path_slot(&place.path, at);
        *sums.paths.entry(path).or_default() += one.counts;
        if let Some(path) = self.paths.get_mut(path) {
            path.tally.add_io(one, interval, at);
        }
        let file = self.file_slot(process, path, at);
        if let Some(file) = self.files.get_mut(file) {
            file.tally.add_io(one, interval, at);
        }
    }

    /// What was evicted meanwhile has no last minute any more.
    fn add_to_histories(&mut self, sample: &IoSample, sums: Sums) {
        let note = |history: &mut IoHistory, counts| {
            history.add(sample.at.mono, sample.interval_ns, &counts);
        };
        for (slot, counts) in sums.programs {
            if let Some(program) = self.programs.get_mut(slot) {
                note(&mut program.io_history, counts);
            }
        }
        for (slot, counts) in sums.processes {
            if let Some(process) = self.processes.get_mut(slot) {
                note(&mut process.io_history, counts);
            }
        }
        for (slot, counts) in sums.paths {
            if let Some(path) = self.paths.get_mut(slot) {
                note(&mut path.io_history, counts);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::call_times::CallTimes;
    use crate::model::file_io::{FilePlace, FileType};
    use crate::model::io_history::IoDirection;
    use crate::model::open::{Comm, ResolvedKind};
    use crate::model::process::ProcessKey;
    use crate::model::time::Stamp;

    const SECOND: u64 = 1_000_000_000;

    /// A second of a process's calls, all of them slow, of 2 ms each.
    fn calls(second: u64, name: &[u8], slow: u64) -> IoSample {
        let counts = IoCounts { read_bytes: slow, read_calls: slow, ..IoCounts::default() };
        let one = FileIo {
            key: ProcessKey { tgid: 7, start_boottime_ns: 1 },
            process: Comm::new(name),
            uid: 0,
            cgroup_id: None,
            file_type: FileType::Regular,
            place: None,
            counts,
            times: Some(Box::new(CallTimes::new(
                2_000_000,
                slow,
                [vec![0; 22], vec![slow]].concat(),
            ))),
        };
        let at = Stamp { mono: Mono(second * SECOND), ..Stamp::default() };
        IoSample { at, interval_ns: SECOND, uses: vec![one], ..IoSample::default() }
    }

    /// Files of one size, each read once, over the boundary of two seconds.
    #[test]
    fn the_last_minute_has_the_bytes_of_many_small_files() {
        const FILES: u64 = 10_000;
        let mut sample = calls(11, b"grep", 1);
        sample.at.mono = Mono(11 * SECOND + SECOND / 2);
        let one = sample.uses.pop().unwrap();
        for n in 0..FILES {
            let path = format!("/srv/{}", n % 50).into_bytes().into();
            let place = FilePlace { kind: ResolvedKind::Opened, path };
            let counts = IoCounts { read_bytes: 4_096, read_calls: 1, ..IoCounts::default() };
            sample.uses.push(FileIo { place: Some(place), counts, times: None, ..one.clone() });
        }
        let mut opens = Opens::default();
        opens.add_io(&sample);
        let close = |history: &IoHistory, bytes: u64| {
            let history = history.of(IoDirection::Read).unwrap();
            let seconds: Vec<u64> = history.last(Mono(12 * SECOND), 2).collect();
            let is_close = |second: &u64| second.abs_diff(bytes / 2) <= bytes / 1_024;
            assert!(seconds.iter().all(is_close), "{seconds:?} of {bytes}");
            let sum: u64 = seconds.iter().sum();
            assert!(sum <= bytes && bytes - sum <= bytes / 1_024, "{sum} of {bytes}");
        };
        close(opens.io_history(), FILES * 4_096);
        close(&opens.processes.iter().next().unwrap().1.io_history, FILES * 4_096);
        close(&opens.programs.iter().next().unwrap().1.io_history, FILES * 4_096);
        for (_, path) in opens.paths.iter() {
            close(&path.io_history, FILES / 50 * 4_096);
        }
    }

    /// As the rows of a filter that selects processes have it.
    #[test]
    fn a_process_that_runs_another_program_leaves_its_durations_to_the_first() {
        let mut opens = Opens::default();
        let part = |opens: &Opens, is_stand_in| {
            let mut all = opens.processes.iter().map(|(_, p)| p);
            let io = all.find(|p| p.is_stand_in() == is_stand_in).unwrap().part().io;
            let delta = opens.io.delta(&io);
            (io.total.read_calls, delta.0, io.times.map(|times| (times.calls(), times.slow)))
        };
        opens.add_io(&calls(1, b"bash", 500));
        assert_eq!(part(&opens, false), (500, 500, Some((500, 500))));
        let process = opens.processes.iter().next().unwrap().0;
        let cat = ProgramKey { name: Comm::new(b"cat"), cgroup_id: None };
        opens.program_at(process, cat, Mono(SECOND));
        assert_eq!(part(&opens, false), (0, 0, None));
        assert_eq!(part(&opens, true), (500, 500, Some((500, 500))));
        opens.add_io(&calls(3, b"cat", 2));
        assert_eq!(part(&opens, false), (2, 2, Some((2, 2))));
        assert_eq!(part(&opens, true), (500, 0, Some((500, 500))));
    }
}
