//! What every format has to write.

use super::tally::{Ready, Summary};
use crate::model::open::Open;
use crate::model::owners::{Net, Owners, Told};
use crate::model::talkers::TalkersSample;
use crate::model::time::{Stamp, WallOffset};
use crate::probes::cgroups::Cgroup;

/// An open with all that is told of it.
#[derive(Clone, Copy, Debug)]
pub struct OpenLine<'a> {
    /// The open.
    pub open: Open<'a>,
    /// The wall offset of its batch.
    pub wall: WallOffset,
    /// Its task's cgroup, where known.
    pub cgroup: Option<&'a Cgroup>,
}

/// A line about the run itself.
#[derive(Clone, Copy, Debug)]
pub enum Note<'a> {
    /// Everything asked for is attached.
    Ready(&'a Ready),
    /// So many opens were lost since the last such line.
    Lost { at: Stamp, opens: u64 },
    /// So many events of connections were lost since the last such line.
    LostConnections { at: Stamp, connections: u64 },
    /// The last line.
    Summary(&'a Summary),
}

/// A format: appends whole lines to a buffer.
pub trait Lines {
    /// What stands before everything else.
    fn header(&mut self, _out: &mut Vec<u8>) {}

    /// One return from an open.
    fn open(&mut self, out: &mut Vec<u8>, line: &OpenLine<'_>);

    /// One interval of one interface and direction.
    fn talkers(&mut self, out: &mut Vec<u8>, sample: &TalkersSample);

    /// Something that happened to a connection.
    fn connection(&mut self, out: &mut Vec<u8>, wall: WallOffset, told: &Told);

    /// One interval of the processes on the wire: those that are chosen, the largest first.
    fn owners(&mut self, out: &mut Vec<u8>, at: Stamp, owners: &Owners, processes: &[&Net]);

    /// A line about the run; false where this format has none, and stderr gets it.
    fn note(&mut self, _out: &mut Vec<u8>, _note: &Note<'_>) -> bool {
        false
    }

    /// Whether it tells the cgroup, whose path has to be found out.
    fn tells_cgroup(&self) -> bool {
        true
    }
}
