//! Listening sockets in the open files of all processes, by an iterator (`listeners.bpf.c`).

use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, OpenObject};

use crate::bpf::listeners::types::listener_record;
use crate::bpf::listeners::{ListenersSkel, ListenersSkelBuilder};
use crate::model::bound::{Bound, UnixKind, UnixName};
use crate::model::conn::{Owner, OwnerFrom};
use crate::model::coverage::Missing;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::probes::connections::procfs::diag::unix::unix_kind;
use crate::probes::iterator;
use crate::probes::programs::{self, Choice, Load, Object};
use crate::probes::quiet_libbpf;
use crate::probes::refusal::LoadError;
use crate::sys::records::LISTENER_RECORD_BYTES;

/// A process has a listening socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListeningFile {
    pub(super) owner: Owner,
    pub(super) inode: u32,
    /// The inode number of the network namespace.
    pub(super) netns: u32,
    /// `None`: the kernel does not say it, as of MPTCP where its socket cannot be read.
    pub(super) queue: Option<Queue>,
    pub(super) unix: Option<UnixFile>,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnixFile {
    kind: UnixKind,
    /// `None` where it cannot be read.
    name: Option<UnixName>,
}

impl UnixFile {
    /// Where it is bound.
    pub(super) fn bound(self) -> Option<Bound> {
        let Self { kind, name } = self;
        name.map(|name| Bound::Unix { kind, name })
    }
}

/// The queue of a listener; of UDP it says nothing, nor do drops of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) waiting: u32,
    pub(super) limit: u32,
    pub(super) drops: u32,
}

/// The loaded iterator, or why there is none.
#[derive(Debug)]
pub(super) struct ListeningFiles {
    link: Option<Link>,
    missing: Vec<Missing>,
}

const PROGRAM: &str = "listening_files";

/// With Unix sockets.
struct ListenersObject(bool);

impl Load for ListenersObject {
    /// The kernel keeps what a link needs: the object itself is not needed any more.
    type Loaded<'obj> = Option<Link>;

    fn load(
        &self,
        storage: &mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Option<Link>, LoadError> {
        let skel = self.open_and_load(storage, choice).map_err(LoadError::of_load)?;
        let link = choice.uses(PROGRAM).then(|| skel.progs.listening_files.attach());
        link.transpose().map_err(|e| LoadError::of_attach(PROGRAM, &e))
    }
}

impl ListenersObject {
    fn open_and_load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> libbpf_rs::Result<ListenersSkel<'obj>> {
        let mut open = ListenersSkelBuilder::default().open(storage)?;
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.with_unix = self.0;
        }
        choice.prepare(open.open_object_mut());
        open.load()
    }
}

impl ListeningFiles {
    /// Loads the iterator, `with_unix` for Unix sockets, too.
    pub(super) fn load(with_unix: bool) -> Self {
        quiet_libbpf();
        let mut storage = programs::storage();
        match programs::load(
            &ListenersObject(with_unix),
            &mut storage,
            Choice::of(Object::Listeners),
        ) {
            Ok((link, choice)) => Self { link, missing: choice.missing() },
            Err(e) => {
                let missing = Missing {
                    feature: programs::LISTENING_FILES.into(),
                    program: PROGRAM.into(),
                    error: e.to_string(),
                };
                Self { link: None, missing: vec![missing] }
            }
        }
    }

    /// The features that the kernel refused.
    pub(super) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Hands over the listening sockets that each process has open at this moment; false where there is
    /// no iterator.
    pub(super) fn read(&self, mut each: impl FnMut(ListeningFile)) -> libbpf_rs::Result<bool> {
        let Some(link) = &self.link else { return Ok(false) };
        iterator::run(link, |bytes| records(bytes, &mut each))?;
        Ok(true)
    }
}

/// Hands over the whole records at the beginning of `bytes`; returns how many bytes these are.
fn records(bytes: &[u8], mut each: impl FnMut(ListeningFile)) -> usize {
    let mut at = 0;
    while let Some((record, rest)) = bytes.get(at..).and_then(record_and_rest) {
        let Some(name) = rest.get(..record.name_len.into()) else { break };
        // A type that is not known is left out.
        if let Some(file) = listening_file(&record, name) {
            each(file);
        }
        at += LISTENER_RECORD_BYTES + name.len();
    }
    at
}

fn record_and_rest(bytes: &[u8]) -> Option<(listener_record, &[u8])> {
    let mut record = listener_record::default();
    plain::copy_from_bytes(&mut record, bytes).ok()?;
    Some((record, bytes.get(LISTENER_RECORD_BYTES..)?))
}

fn listening_file(record: &listener_record, name: &[u8]) -> Option<ListeningFile> {
    let listener_record { start_boottime_ns, tgid, uid, inode, netns, .. } = *record;
    let unix = match record.unix_type {
        0 => None,
        of => {
            let name = (!name.is_empty()).then(|| UnixName::new(name));
            Some(UnixFile { kind: unix_kind(of.into())?, name })
        }
    };
    let owner = Owner {
        key: ProcessKey { tgid, start_boottime_ns },
        uid,
        comm: Comm(record.process),
        from: OwnerFrom::Found,
    };
    let queue = Queue { waiting: record.waiting, limit: record.limit, drops: record.drops };
    let queue = (record.has_queue != 0).then_some(queue);
    Some(ListeningFile { owner, inode, netns, queue, unix })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::records::bytes_of;

    #[test]
    fn records_that_are_cut_wait_for_their_rest() {
        let of = |inode, unix_type: u8, name: &[u8]| {
            let name_len = name.len() as u16;
            let record = listener_record { inode, unix_type, name_len, ..Default::default() };
            [bytes_of(&record), name].concat()
        };
        let stream = libc::SOCK_STREAM as u8;
        let (ip, unix) = (of(1, 0, b""), of(2, stream, b"\0a\xff"));
        // Of a type that takes no connections.
        let odd = of(3, libc::SOCK_DGRAM as u8, b"/x");
        let all = [ip.clone(), unix.clone(), odd].concat();
        let ends = [0, ip.len(), ip.len() + unix.len(), all.len()];
        for cut in 0..=all.len() {
            let mut found = Vec::new();
            let taken = records(&all[..cut], |file| found.push(file));
            assert_eq!(Some(taken), ends.into_iter().filter(|n| *n <= cut).max());
            let whole = ends.iter().skip(1).filter(|n| **n <= cut).count();
            assert_eq!(found.len(), whole.min(2));
        }
        let mut names = Vec::new();
        let shown = |unix: UnixFile| unix.bound().map(|bound| bound.to_string());
        records(&all, |file| names.push(file.unix.and_then(shown)));
        assert_eq!(names, [None, Some("@a\\xff".to_owned())]);
        // A name that could not be read is none, and not an empty one; a queue neither.
        records(&of(4, stream, b""), |file| {
            assert_eq!((file.unix.unwrap().bound(), file.queue), (None, None));
        });
    }
}
