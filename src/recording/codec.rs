//! Records: the contents of a block once it is unpacked.
//!
//! Opens are the most frequent records, so they are written by hand: process, file and way are
//! defined once a block and referred to by number from then on, times are differences. All else
//! is postcard.
//! Reading trusts nothing: any bytes give records or an end, and memory stays in proportion.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::model::open::{Comm, Ended, LostOpens, OpenCounts, ResolvedKind, Syscall};
use crate::model::time::WallOffset;

/// Most opens of one record: a larger batch is cut, so that reading one takes bounded memory.
pub(super) const MOST_OPENS: usize = 4_096;

/// Bytes of one batch in memory: a larger one is handed on in parts. An open by number takes 6 bytes
/// in the file, and 16 KiB of paths in memory.
pub(super) const MOST_BATCH: usize = 4 << 20;

/// Processes in the lists that come with a batch, and the bytes of these lists in the file.
pub(super) const MOST_LISTED: usize = 8_192;
pub(super) const MOST_FRAME: usize = 1 << 20;

/// Bytes of a record that is no batch, in the file.
pub(super) const MOST_RARE: usize = 8 << 20;

/// Elements of a list that holds lists.
pub(super) const MOST_LIST: usize = 65_536;

/// The longest path: PATH_MAX, and what a failed open puts in front of it.
pub(super) const MOST_TEXT: usize = 8_192;

/// A batch without its opens.
#[derive(Serialize, Deserialize)]
pub(super) struct Frame<'a> {
    pub(super) wall: WallOffset,
    pub(super) counts: OpenCounts,
    pub(super) compat: bool,
    pub(super) ended: Cow<'a, [Ended]>,
    pub(super) lost_by: Cow<'a, [LostOpens]>,
}

/// The process that opens: defined once a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Actor {
    pub(super) tgid: u32,
    pub(super) tid: u32,
    pub(super) ppid: u32,
    pub(super) uid: u32,
    pub(super) start_boottime_ns: u64,
    pub(super) comm: Comm,
    pub(super) process: Comm,
    pub(super) cgroup_id: Option<u64>,
}

/// The way a file is opened: defined once a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct How {
    pub(super) syscall: Syscall,
    pub(super) flags: Option<u64>,
    pub(super) mode: u32,
    pub(super) slot: bool,
    pub(super) timed: bool,
}

/// A file as it was defined: places of its texts.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: Option<Range<usize>>,
    pub(super) resolved: Option<(ResolvedKind, Range<usize>)>,
}

pub(super) const KIND_OPENS: u8 = 0;
pub(super) const KIND_RARE: u8 = 1;
