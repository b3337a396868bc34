//! The contents of `ready` and `summary`.

use super::kinds::Kinds;
use crate::model::coverage::{Attribution, Missing};
use crate::model::event::Watched;
use crate::model::file_io::IoCounts;
use crate::model::link::Hook;
use crate::model::talkers::{Direction, Traffic};
use crate::model::time::Stamp;

/// The contents of `ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// When every probe was attached.
    pub at: Stamp,
    /// The kinds of lines that the run writes: those asked for whose probe runs.
    pub kinds: Kinds,
    /// The interfaces that the talkers probe watches.
    pub watched: Vec<Watched>,
    /// The machine's name, bytes from elsewhere.
    pub host: String,
    /// The id of the kernel's boot; `None` where it cannot be read.
    pub boot_id: Option<String>,
    /// The number of the file of `--output`, from 1.
    pub file: Option<u32>,
    /// The network namespace, where it is not our own.
    pub netns: Option<String>,
    /// Features that the kernel refused to the probes that run.
    pub coverage: Coverage,
}

/// How far the probes of a run see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How connections are attributed to processes; `None` while the probe of connections does not run.
    pub attribution: Option<Attribution>,
    /// The features that the kernel or its policy refused, of all probes.
    pub missing: Vec<Missing>,
}

impl Ready {
    /// The interface's name, `all` where there are several, `None` where there is none.
    pub fn interface(&self) -> Option<&[u8]> {
        match self.watched.as_slice() {
            [] => None,
            [one] => Some(one.interface.as_bytes()),
            _ => Some(b"all"),
        }
    }

    /// The hook that counts a direction, where it is the same on every interface.
    pub fn hook(&self, direction: Direction) -> Option<Hook> {
        let mut hooks = self.watched.iter().map(|w| hook(w, direction));
        let first = hooks.next()??;
        hooks.all(|h| h == Some(first)).then_some(first)
    }
}

/// The hook that counts a direction of one interface.
pub(super) fn hook(watched: &Watched, direction: Direction) -> Option<Hook> {
    let hook = match direction {
        Direction::Rx => &watched.rx,
        Direction::Tx => &watched.tx,
    };
    hook.as_ref().ok().copied()
}

/// The contents of `summary`; `None` for a probe that did not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub at: Stamp,
    pub duration_ns: u64,
    pub opens: Option<OpensSummary>,
    pub talkers: Option<(Traffic, Traffic)>,
    pub connections: Option<ConnectionsSummary>,
    pub files: Option<FilesSummary>,
    pub processes: Option<ProcessesSummary>,
    pub io: Option<IoSummary>,
    pub slow: Option<SlowSummary>,
    pub listeners: Option<ListenersSummary>,
    /// The most opens, or reads and writes, of one search that were under way and not among the 256 oldest.
    pub under_way_left_out: Option<u64>,
    /// Lines dropped while the output was slow.
    pub dropped: Option<u64>,
    /// The coverage in `ready`, with the changes since.
    pub coverage: Coverage,
}

/// The part of the summary about connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionsSummary {
    /// Lines written: connections that began from here or did not come about, that were accepted,
    /// that ended.
    pub connects: u64,
    pub accepts: u64,
    pub closes: u64,
    /// Connections that a poll found, where they are polled.
    pub seen: Option<u64>,
    /// Events that were lost.
    pub lost: u64,
}

/// The part of the summary about changes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilesSummary {
    /// Lines written.
    pub written: u64,
    /// Changes since `ready`, before choosing.
    pub seen: u64,
    /// Changes without a record; among the seen.
    pub lost: u64,
}

/// The part of the summary about starts of programs and ends of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessesSummary {
    /// Lines written.
    pub written: u64,
    /// Events that were lost.
    pub lost: u64,
}

/// The part of the summary about listeners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenersSummary {
    /// Lines written.
    pub written: u64,
    /// The most listeners of one reading that found no room.
    pub left_out: u64,
    /// Accepted connections to addresses without room for a count.
    pub accepted_left_out: u64,
}

/// The part of the summary about slow calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowSummary {
    /// Lines written.
    pub written: u64,
    /// Calls without a record.
    pub lost: u64,
}

/// The part of the summary about bytes read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoSummary {
    /// All lines together, before any filter.
    pub counts: IoCounts,
    /// Calls on descriptors that were closed when they returned; not among the counts.
    pub unknown: IoCounts,
    /// Calls without a duration, where calls are timed; among the counts, but for failed ones.
    pub untimed: u64,
    /// Requests without a number of bytes: see [`crate::model::file_io::IoSample::uncounted`].
    pub uncounted: u64,
}

impl IoSummary {
    /// See [`IoSummary::unknown`].
    pub fn unknown_calls(&self) -> u64 {
        self.unknown.read_calls.saturating_add(self.unknown.write_calls)
    }
}

/// The part of the summary about opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpensSummary {
    /// Lines written.
    pub written: u64,
    /// Opens that returned since `ready`, before choosing.
    pub seen: u64,
    /// Opens whose record was lost; among the seen.
    pub lost: u64,
    /// Requests of io_uring whose completion has not been seen.
    pub unfinished: u64,
    /// Opens through io_uring without a path, since the request was not known; among the seen.
    pub unnamed: u64,
}
