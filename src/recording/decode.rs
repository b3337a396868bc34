//! Takes a block's records apart.

use std::ops::Range;

use serde::Deserialize;

use super::Seen;
use super::codec::{
    Actor, File, Frame, How, KIND_OPENS, KIND_RARE, MOST_BATCH, MOST_FRAME, MOST_OPENS, MOST_RARE,
    MOST_TEXT,
};
use super::rare::Rare;
use crate::model::event::ProbeEvent;
use crate::model::open::{OpenBatch, OpenMeta, ResolvedKind};
use crate::model::time::Mono;

/// Takes a block apart.
pub(super) struct Decoder {
    raw: Vec<u8>,
    next: usize,
    at: Mono,
    actors: Vec<Actor>,
    hows: Vec<How>,
    files: Vec<File>,
    rest: Option<Rest>,
}

/// The part of a batch that has not been read yet.
struct Rest {
    frame: Frame<'static>,
    /// Opens.
    left: usize,
    /// When the last open returned.
    before: Mono,
}

impl Decoder {
    /// A reader of an unpacked block.
    pub(super) fn new(raw: Vec<u8>) -> Self {
        let (actors, hows, files, rest) = Default::default();
        Self { raw, next: 0, at: Mono(0), actors, hows, files, rest }
    }

    /// Whether all of it has been read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_none() && self.next >= self.raw.len()
    }

    /// The next record; `None` where there is none that makes sense.
    pub(super) fn next(&mut self) -> Option<(Mono, Seen)> {
        if let Some(rest) = self.rest.take() {
            return Some((self.at, Seen::Probe(ProbeEvent::Opens(self.part(rest)?))));
        }
        let kind = self.byte()?;
        let at = Mono(self.at.0.wrapping_add_signed(self.signed()?));
        self.at = at;
        let seen = match kind {
            KIND_OPENS => Seen::Probe(ProbeEvent::Opens(self.batch(at)?)),
            KIND_RARE => self.get::<Rare<'static>>(MOST_RARE)?.seen(),
            _ => return None,
        };
        Some((at, seen))
    }

    fn batch(&mut self, at: Mono) -> Option<OpenBatch> {
        let frame: Frame<'static> = self.get(MOST_FRAME)?;
        let left = self.length(MOST_OPENS)?;
        self.part(Rest { frame, left, before: at })
    }

    /// Reads on in a batch, as far as one may reach in memory; the lists come with the last part.
    fn part(&mut self, mut rest: Rest) -> Option<OpenBatch> {
        let mut batch = OpenBatch::default();
        let frame = &rest.frame;
        (batch.wall, batch.counts, batch.compat) = (frame.wall, frame.counts, frame.compat);
        while rest.left > 0 && batch.bytes() < MOST_BATCH {
            rest.before = Mono(rest.before.0.wrapping_add_signed(self.signed()?));
            self.open(rest.before, &mut batch)?;
            rest.left -= 1;
        }
        if rest.left > 0 {
            self.rest = Some(rest);
        } else {
            batch.ended = rest.frame.ended.into_owned();
            batch.lost_by = rest.frame.lost_by.into_owned();
        }
        Some(batch)
    }

    fn open(&mut self, at: Mono, batch: &mut OpenBatch) -> Option<()> {
        let actor = match self.number()? {
            0 => {
                let actor = self.get(usize::MAX)?;
                self.actors.push(actor);
                actor
            }
            n => *self.actors.get(usize::try_from(n).ok()? - 1)?,
        };
        let file = match self.number()? {
            0 => {
                let file = self.file()?;
                self.files.push(file.clone());
                file
            }
            n => self.files.get(usize::try_from(n).ok()? - 1)?.clone(),
        };
        let how: How = match self.number()? {
            0 => {
                let how = self.get(usize::MAX)?;
                self.hows.push(how);
                how
            }
            n => *self.hows.get(usize::try_from(n).ok()? - 1)?,
        };
        let ret = self.signed()?;
        let slot = if how.slot { Some(u32::try_from(self.number()?).ok()?) } else { None };
        let latency_ns = if how.timed { Some(self.number()?) } else { None };
        let Actor { tgid, tid, ppid, uid, start_boottime_ns, comm, process, cgroup_id } = actor;
        let How { syscall, flags, mode, .. } = how;
        let meta = OpenMeta {
            at,
            tgid,
            tid,
            ppid,
            uid,
            start_boottime_ns,
            comm,
            process,
            syscall,
            flags,
            mode,
            ret,
            slot,
            latency_ns,
            cgroup_id,
        };
        let resolved = match file.resolved {
            Some((kind, range)) => Some((kind, self.raw.get(range)?)),
            None => None,
        };
        let path = match file.path {
            Some(range) => Some(self.raw.get(range)?),
            None => None,
        };
        batch.push(meta, path, resolved);
        Some(())
    }

    fn file(&mut self) -> Option<File> {
        let tag = self.byte()?;
        let kind = match tag >> 2 {
            0 => None,
            1 => Some(ResolvedKind::Opened),
            2 => Some(ResolvedKind::Deleted),
            3 => Some(ResolvedKind::Tmpfile),
            4 => Some(ResolvedKind::Anon),
            5 => Some(ResolvedKind::Tried),
            _ => return None,
        };
        let resolved = match kind {
            Some(kind) => Some((kind, self.text()?)),
            None => None,
        };
        let path = match (tag & 3, &resolved) {
            (0, _) => None,
            (1, _) => Some(self.text()?),
            (2, Some((_, resolved))) => {
                let len = self.length(resolved.len())?;
                Some(resolved.end - len..resolved.end)
            }
            _ => return None,
        };
        Some(File { path, resolved })
    }

    fn text(&mut self) -> Option<Range<usize>> {
        let len = self.length(MOST_TEXT)?;
        let start = self.next;
        self.next = start + len;
        (self.next <= self.raw.len()).then_some(start..self.next)
    }

    /// The next value, of `most` bytes in the file at most.
    fn get<T: for<'d> Deserialize<'d>>(&mut self, most: usize) -> Option<T> {
        let rest = self.raw.get(self.next..)?;
        let rest = rest.get(..most).unwrap_or(rest);
        let (value, left) = postcard::take_from_bytes(rest).ok()?;
        self.next += rest.len() - left.len();
        Some(value)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.raw.get(self.next)?;
        self.next += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    fn length(&mut self, most: usize) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|n| *n <= most)
    }
}
