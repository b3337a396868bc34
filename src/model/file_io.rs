//! Bytes and calls read and written, by process and file.

use std::ops::{Add, AddAssign};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::call_times::{self, CallTimes};
use super::open::{Comm, ResolvedKind};
use super::process::ProcessKey;
use super::time::Stamp;

/// Calls that read or wrote and returned 0 or more, and the bytes that they returned.
///
/// Bytes of calls are not bytes of the disk: the page cache answers most reads and takes most writes. Access
/// through mapped memory is no call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoCounts {
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub read_calls: u64,
    pub write_calls: u64,
}

impl IoCounts {
    /// Bytes in both directions.
    pub fn bytes(&self) -> u64 {
        self.read_bytes.saturating_add(self.written_bytes)
    }

    /// Whether nothing was counted.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The growth since `earlier` was copied from it.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
            read_calls: self.read_calls.saturating_sub(earlier.read_calls),
            write_calls: self.write_calls.saturating_sub(earlier.write_calls),
        }
    }
}

impl AddAssign for IoCounts {
    fn add_assign(&mut self, other: Self) {
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.written_bytes = self.written_bytes.saturating_add(other.written_bytes);
        self.read_calls = self.read_calls.saturating_add(other.read_calls);
        self.write_calls = self.write_calls.saturating_add(other.write_calls);
    }
}

impl Add for IoCounts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

/// Calls and bytes since the start, and the bytes of the last interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoTally {
    pub total: IoCounts,
    /// Bytes read and written in the interval with this number.
    read: u64,
    written: u64,
    interval: u32,
    /// Durations of the calls, where these are timed.
    pub times: Option<Box<CallTimes>>,
}

impl IoTally {
    /// Counts more, in the interval with this number.
    pub fn add(&mut self, counts: &IoCounts, times: &Option<Box<CallTimes>>, interval: u32) {
        self.total += *counts;
        call_times::merge(&mut self.times, times);
        self.begin(interval);
        self.read = self.read.saturating_add(counts.read_bytes);
        self.written = self.written.saturating_add(counts.written_bytes);
    }

    fn begin(&mut self, interval: u32) {
        if self.interval < interval {
            (self.interval, self.read, self.written) = (interval, 0, 0);
        }
    }

    /// Both together.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        call_times::merge(&mut self.times, &other.times);
        self.begin(other.interval);
        if self.interval == other.interval {
            self.read = self.read.saturating_add(other.read);
            self.written = self.written.saturating_add(other.written);
        }
    }

    /// Bytes read and written in the interval with this number, or in one after it.
    pub fn delta(&self, interval: u32) -> (u64, u64) {
        if self.interval >= interval { (self.read, self.written) } else { (0, 0) }
    }

    /// Whether nothing was counted.
    pub fn is_none(&self) -> bool {
        self.total.is_none() && self.times.is_none()
    }

    /// The growth since `earlier` was copied from it; see [`CallTimes::since`] for the longest duration.
    pub fn since(&self, earlier: &Self) -> Self {
        let (read, written) = earlier.delta(self.interval);
        let times = match (&self.times, &earlier.times) {
            (Some(times), Some(earlier)) => times.since(earlier).map(Box::new),
            (times, _) => times.clone(),
        };
        Self {
            total: self.total.since(&earlier.total),
            read: self.read.saturating_sub(read),
            written: self.written.saturating_sub(written),
            interval: self.interval,
            times,
        }
    }
}

/// The types of files whose bytes and calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTypes {
    /// Regular files alone.
    Regular,
    /// Pipes, sockets, terminals and devices too.
    All,
}

/// `IO_TYPE_UNKNOWN` of io.h.
const UNKNOWN_TYPE: u8 = 0o17;

/// The type of a file, as its inode has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileType {
    Regular,
    Directory,
    Pipe,
    Socket,
    Character,
    Block,
    /// None of these: eventfd, timerfd and their like.
    Other,
    /// Not known: the descriptor was closed during the call.
    Unknown,
}

impl FileType {
    /// The type behind the upper four bits of a mode (`S_IFMT`).
    pub fn of_mode(bits: u8) -> Self {
        match bits {
            0o01 => Self::Pipe,
            0o02 => Self::Character,
            0o04 => Self::Directory,
            0o06 => Self::Block,
            0o10 => Self::Regular,
            0o14 => Self::Socket,
            UNKNOWN_TYPE => Self::Unknown,
            _ => Self::Other,
        }
    }

    /// The word in lines; `None` where it is not known.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Regular => "regular",
            Self::Directory => "directory",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Character => "character",
            Self::Block => "block",
            Self::Other => "other",
            Self::Unknown => return None,
        })
    }
}

/// The place of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FilePlace {
    /// See [`super::open::Open::resolved`].
    pub kind: ResolvedKind,
    /// Shared by the uses of an interval.
    pub path: Arc<[u8]>,
}

/// One process's use of one file in an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIo {
    pub key: ProcessKey,
    /// The name of the process, that of its group leader.
    pub process: Comm,
    /// Real user id in the initial user namespace.
    pub uid: u32,
    /// See [`super::open::OpenMeta::cgroup_id`].
    pub cgroup_id: Option<u64>,
    pub file_type: FileType,
    /// The place of the file at its first use in the interval; `None` where it is not known.
    pub place: Option<FilePlace>,
    pub counts: IoCounts,
    /// Durations of the calls, failed ones too, where these are timed (`--slow`).
    #[serde(skip)]
    pub times: Option<Box<CallTimes>>,
}

impl FileIo {
    /// Slow calls (`--slow`).
    pub fn slow(&self) -> u64 {
        self.times.as_ref().map_or(0, |times| times.slow)
    }
}

/// An interval, or a part of one: every call in it is in one of `uses`, in `other` or in `unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoSample {
    /// When the interval ended.
    pub at: Stamp,
    /// Its length, ns.
    pub interval_ns: u64,
    /// Each pair of process and file once.
    pub uses: Vec<FileIo>,
    /// Calls whose process and file found no room in the table.
    pub other: IoCounts,
    /// Slow calls (`--slow`) in no use, failed ones too: they found no room, or their descriptor was closed when they
    /// returned.
    #[serde(skip)]
    pub other_slow: u64,
    /// Calls without a duration (`--slow`), failed ones too: the times at which they began found no place, or
    /// they began before the start.
    #[serde(skip)]
    pub untimed: u64,
    /// Calls whose descriptor was closed by the time they returned: whether their files are of a type
    /// that is counted is unknown. In no other number.
    pub unknown: IoCounts,
    /// Requests that were submitted by `io_submit`, splices that io_uring made, and completions of io_uring that found no
    /// room in their ring: in no other number, since their bytes or files are not known.
    #[serde(skip)]
    pub uncounted: u64,
    /// Further parts of this interval follow: they have its other uses, the last one `other` and `unknown`.
    pub more: bool,
}

impl IoSample {
    /// The sum of uses and other.
    pub fn total(&self) -> IoCounts {
        self.uses.iter().fold(self.other, |sum, one| sum + one.counts)
    }

    /// Leaves the chosen uses; the others are in `other`, so that the sum is the same.
    pub fn choose(&mut self, is_chosen: impl Fn(&FileIo) -> bool) {
        let (other, slow) = (&mut self.other, &mut self.other_slow);
        self.uses.retain(|one| {
            let keep = is_chosen(one);
            if !keep {
                *other += one.counts;
                *slow = slow.saturating_add(one.slow());
            }
            keep
        });
    }

    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        let hanging = |one: &FileIo| {
            one.place.as_ref().map_or(0, |place| place.path.len())
                + one.times.as_ref().map_or(0, |times| times.bytes())
        };
        size_of_val(&*self.uses) + self.uses.iter().map(hanging).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(read_bytes: u64, written_bytes: u64) -> IoCounts {
        IoCounts { read_bytes, written_bytes, read_calls: 1, write_calls: 1 }
    }

    #[test]
    fn the_bytes_of_an_interval_are_those_of_the_last_one() {
        let mut tally = IoTally::default();
        assert!(tally.is_none());
        tally.add(&counts(10, 1), &None, 1);
        tally.add(&counts(5, 0), &None, 1);
        assert_eq!((tally.delta(1), tally.delta(2)), ((15, 1), (0, 0)));
        tally.add(&counts(7, 2), &None, 3);
        assert_eq!(tally.delta(3), (7, 2));
        assert_eq!((tally.total.bytes(), tally.total.read_calls), (25, 3));
        // Of two tallies the later interval counts.
        let mut older = IoTally::default();
        older.add(&counts(100, 100), &None, 2);
        let mut both = tally.clone();
        both.merge(&older);
        older.merge(&tally);
        assert_eq!((&both, both.delta(3)), (&older, (7, 2)));
        assert_eq!(both.total.read_bytes, 122);
        assert_eq!(both.since(&tally).total, counts(100, 100));
        assert_eq!(
            (both.since(&tally).delta(3), tally.since(&IoTally::default())),
            ((0, 0), tally)
        );
    }

    #[test]
    fn each_type_has_its_name() {
        for (mode, name) in
            [(0o100644u32, "regular"), (0o010600, "pipe"), (0o140777, "socket"), (0o600, "other")]
        {
            assert_eq!(FileType::of_mode((mode >> 12) as u8).name(), Some(name));
        }
    }
}
