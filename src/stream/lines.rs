//! The interface of the formats, and the lines that they write.

use super::summary::{Ready, Summary};
use crate::model::call_times::CallTimes;
use crate::model::cgroup::Cgroup;
use crate::model::connections::{Change, Connections, Net};
use crate::model::file_change::FileChange;
use crate::model::file_io::{FileIo, FilePlace, IoCounts};
use crate::model::listener::{KnownListeners, Listener, ListenerEvent};
use crate::model::open::Open;
use crate::model::process_event::ProcessEvent;
use crate::model::slow_call::SlowCall;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Stamp, WallOffset};
use crate::model::under_way::Waiting;

/// An open with everything that its line contains.
#[derive(Clone, Copy, Debug)]
pub struct OpenLine<'a> {
    /// The open.
    pub open: Open<'a>,
    /// The wall-clock offset of its batch.
    pub wall: WallOffset,
    /// Its task's cgroup, where known.
    pub cgroup: Option<&'a Cgroup>,
}

/// An event of a process with everything that its line contains.
#[derive(Debug)]
pub struct EventLine<'a, E> {
    pub event: &'a E,
    /// The wall-clock offset of its batch.
    pub wall: WallOffset,
    /// The process's cgroup, where known.
    pub cgroup: Option<&'a Cgroup>,
}

impl<E> Clone for EventLine<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for EventLine<'_, E> {}

/// A program that was started, or a process that has ended.
pub type ProcessLine<'a> = EventLine<'a, ProcessEvent>;

/// A change of a file.
pub type FileLine<'a> = EventLine<'a, FileChange>;

/// A call that read or wrote a file and took long.
pub type SlowLine<'a> = EventLine<'a, SlowCall>;

/// Bytes and calls of a process on a file in an interval, or those of an interval that have no such line.
#[derive(Clone, Copy, Debug)]
pub struct IoLine<'a> {
    /// When the interval ended.
    pub at: Stamp,
    /// Its length, ns.
    pub interval_ns: u64,
    /// `None`: the last line of an interval.
    pub of: Option<&'a FileIo>,
    pub counts: IoCounts,
    /// Slow calls of the last line of an interval, failed ones too; `None` where calls are not timed.
    pub other_slow: Option<u64>,
    /// The process's cgroup, where known.
    pub cgroup: Option<&'a Cgroup>,
}

impl<'a> IoLine<'a> {
    /// The durations of the calls, where these are timed.
    pub fn times(self) -> Option<&'a CallTimes> {
        self.of.and_then(|one| one.times.as_deref())
    }

    /// The place of the file, where it is known.
    pub fn place(self) -> Option<&'a FilePlace> {
        self.of.and_then(|one| one.place.as_ref())
    }
}

/// A listener, and how it changed before a reading.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLine<'a> {
    /// When the listeners were read.
    pub at: Stamp,
    pub event: ListenerEvent,
    pub row: &'a Listener,
    /// The cgroup of its process, where known.
    pub cgroup: Option<&'a Cgroup>,
    /// Why listeners or processes may be missing.
    pub problem: Option<&'a str>,
}

/// The events or lines that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    Opens,
    /// Events of connections.
    Connections,
    /// Starts of programs and ends of processes.
    Processes,
    /// Changes of files.
    Files,
    SlowCalls,
    /// Lines of every kind, since the disk or the reader was slow.
    Lines,
}

/// A number of losses since they were last reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub at: Stamp,
    pub loss: Loss,
    pub count: u64,
}

/// A call that has not returned, when it was found.
#[derive(Clone, Copy, Debug)]
pub struct UnderWayLine<'a> {
    pub waiting: Waiting<'a>,
    pub at: Stamp,
}

/// A line about the run itself.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// Every requested probe is attached.
    Ready(&'a Ready),
    /// Events or lines lost since the last such line of the same kind.
    Lost(Lost),
    /// A call that has not returned for a second, once for each.
    UnderWay(UnderWayLine<'a>),
    /// The last line.
    Summary(&'a Summary),
}

/// A format, which appends whole lines to a buffer.
pub trait Lines {
    /// The header line, where the format has one.
    fn header(&mut self, _out: &mut Vec<u8>) {}

    /// One return from an open.
    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>);

    /// A program that was started, or a process that has ended.
    fn process(&mut self, out: &mut Vec<u8>, line: &ProcessLine<'_>);

    /// A change of a file.
    fn file(&mut self, out: &mut Vec<u8>, line: &FileLine<'_>);

    /// Bytes and calls of a process on a file in an interval. The last line of an interval has neither.
    fn io(&mut self, out: &mut Vec<u8>, line: &IoLine<'_>);

    /// A call that read or wrote a file and took long.
    fn slow(&mut self, out: &mut Vec<u8>, line: &SlowLine<'_>);

    /// A change of a listener.
    fn listener(&mut self, out: &mut Vec<u8>, line: &ListenerLine<'_>);

    /// The listeners at the end.
    fn last_listeners(&mut self, _listeners: &KnownListeners) {}

    /// An interval of one interface and direction.
    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample);

    /// An event of a connection.
    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, change: &Change);

    /// An interval of the processes with connections: those that the filter lets pass, the largest first.
    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Connections, processes: &[&Net]);

    /// The end, before the summary, with the connections as they are then. Returns why some are missing, if any are.
    fn end(&mut self, _connections: &Connections) -> Option<String> {
        None
    }

    /// A line about the run; returns false where the format has none, so that stderr gets it.
    fn note(&mut self, _out: &mut Vec<u8>, _note: &Note<'_>) -> bool {
        false
    }

    /// Whether lines contain the cgroup, whose path has to be looked up.
    fn has_cgroup(&self) -> bool {
        true
    }
}
