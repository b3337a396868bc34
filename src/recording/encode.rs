//! Puts a block's records together.

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use serde::Serialize;

use super::Seen;
use super::codec::{
    Actor, File, Frame, How, KIND_OPENS, KIND_RARE, MOST_LISTED, MOST_OPENS, MOST_RARE, MOST_TEXT,
};
use super::rare::Rare;
use crate::model::flags;
use crate::model::open::{Open, OpenBatch, OpenMeta, ResolvedKind};
use crate::model::time::Mono;

/// Puts records together; one block's worth.
#[derive(Default)]
pub(super) struct Encoder {
    raw: Vec<u8>,
    at: Mono,
    hasher: DefaultHashBuilder,
    actors: HashMap<Actor, u64>,
    actor: Option<(Actor, u64)>,
    hows: HashMap<How, u64>,
    how: Option<(How, u64)>,
    files: Vec<File>,
    by_text: HashTable<usize>,
    texts: Vec<u8>,
}

impl Encoder {
    /// How long the block is so far, bytes.
    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    /// The block's bytes; the next one begins.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.at = Mono(0);
        self.actors.clear();
        self.actor = None;
        self.hows.clear();
        self.how = None;
        self.files.clear();
        self.by_text.clear();
        self.texts.clear();
        std::mem::take(&mut self.raw)
    }

    /// Adds what came at `at`; false when it is larger than a block may be.
    pub(super) fn add(&mut self, at: Mono, seen: &Seen) -> bool {
        let rare = match Rare::of(seen) {
            Ok(rare) => rare,
            Err(opens) => {
                self.batch(at, opens);
                return true;
            }
        };
        let (before, time) = (self.raw.len(), self.at);
        self.begin(KIND_RARE, at);
        let written = rare.is_readable() && self.put(&rare) && self.raw.len() - before <= MOST_RARE;
        if !written {
            self.raw.truncate(before);
            self.at = time;
        }
        written
    }

    fn begin(&mut self, kind: u8, at: Mono) {
        self.raw.push(kind);
        self.signed(at.0.wrapping_sub(self.at.0).cast_signed());
        self.at = at;
    }

    fn put(&mut self, what: &impl Serialize) -> bool {
        postcard::to_io(what, &mut self.raw).is_ok()
    }

    fn batch(&mut self, at: Mono, batch: &OpenBatch) {
        let mut left = batch.len();
        let mut opens = batch.iter();
        let (mut ended_left, mut lost_left) = (&*batch.ended, &*batch.lost_by);
        loop {
            let n = left.min(MOST_OPENS);
            left -= n;
            self.begin(KIND_OPENS, at);
            // The lists of the batch come with its last opens, and after them when they are long.
            let (mut ended, mut lost_by): (&[_], &[_]) = (&[], &[]);
            if left == 0 {
                (ended, ended_left) = ended_left.split_at(ended_left.len().min(MOST_LISTED));
                (lost_by, lost_left) = lost_left.split_at(lost_left.len().min(MOST_LISTED));
            }
            self.put(&Frame {
                wall: batch.wall,
                counts: batch.counts,
                compat: batch.compat,
                ended: ended.into(),
                lost_by: lost_by.into(),
            });
            self.number(n as u64);
            let mut before = at;
            for open in opens.by_ref().take(n) {
                self.open(&open, &mut before);
            }
            if left == 0 && ended_left.is_empty() && lost_left.is_empty() {
                return;
            }
        }
    }

    fn open(&mut self, open: &Open<'_>, before: &mut Mono) {
        // Every field: a new one has to be written, too.
        let OpenMeta {
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
        } = *open.meta;
        self.signed(at.0.wrapping_sub(before.0).cast_signed());
        *before = at;
        self.actor(Actor { tgid, tid, ppid, uid, start_boottime_ns, comm, process, cgroup_id });
        self.file(open);
        self.how(How {
            syscall,
            flags,
            // Else it is what happened to be in the register.
            mode: flags::mode(flags, mode).map_or(0, u32::from),
            slot: slot.is_some(),
            timed: latency_ns.is_some(),
        });
        self.signed(ret);
        if let Some(slot) = slot {
            self.number(u64::from(slot));
        }
        if let Some(ns) = latency_ns {
            self.number(ns);
        }
    }

    fn actor(&mut self, actor: Actor) {
        if let Some((held, number)) = self.actor
            && held == actor
        {
            return self.number(number);
        }
        let next = self.actors.len() as u64 + 1;
        let number = *self.actors.entry(actor).or_insert(next);
        self.actor = Some((actor, number));
        self.number(if number == next { 0 } else { number });
        if number == next {
            self.put(&actor);
        }
    }

    fn how(&mut self, how: How) {
        if let Some((held, number)) = self.how
            && held == how
        {
            return self.number(number);
        }
        let next = self.hows.len() as u64 + 1;
        let number = *self.hows.entry(how).or_insert(next);
        self.how = Some((how, number));
        self.number(if number == next { 0 } else { number });
        if number == next {
            self.put(&how);
        }
    }

    fn file(&mut self, open: &Open<'_>) {
        let cut = |text: &'_ [u8]| text.len().min(MOST_TEXT);
        let path = open.path.map(|p| p.get(..cut(p)).unwrap_or(p));
        let resolved = open.resolved.map(|(kind, p)| (kind, p.get(..cut(p)).unwrap_or(p)));
        let hash = self.hasher.hash_one((path, resolved));
        let (files, texts) = (&self.files, &self.texts);
        let same = |at: &usize| {
            files.get(*at).is_some_and(|f| {
                let text = |r: &Range<usize>| texts.get(r.clone());
                f.path.as_ref().and_then(text) == path
                    && f.resolved.as_ref().map(|(k, r)| (*k, text(r).unwrap_or(&[]))) == resolved
            })
        };
        if let Some(at) = self.by_text.find(hash, same) {
            return self.number(*at as u64 + 1);
        }
        let keep = |texts: &mut Vec<u8>, text: &[u8]| {
            let start = texts.len();
            texts.extend_from_slice(text);
            start..texts.len()
        };
        let file = File {
            path: path.map(|p| keep(&mut self.texts, p)),
            resolved: resolved.map(|(kind, p)| (kind, keep(&mut self.texts, p))),
        };
        self.files.push(file);
        // The hash is kept nowhere: room for all of a block's files, so that none is asked for.
        let (hasher, files, texts) = (&self.hasher, &self.files, &self.texts);
        self.by_text.insert_unique(hash, files.len() - 1, |at| {
            files.get(*at).map_or(0, |f| {
                let text = |r: &Range<usize>| texts.get(r.clone()).unwrap_or(&[]);
                let resolved = f.resolved.as_ref().map(|(kind, r)| (*kind, text(r)));
                hasher.hash_one((f.path.as_ref().map(text), resolved))
            })
        });
        self.number(0);
        self.define(path, resolved);
    }

    /// Two bits for the path (none, written out, the end of the resolved one), the rest for the kind
    /// of the resolved one.
    fn define(&mut self, path: Option<&[u8]>, resolved: Option<(ResolvedKind, &[u8])>) {
        let tail = match (path, resolved) {
            (Some(path), Some((_, resolved))) => resolved.ends_with(path),
            _ => false,
        };
        let kind = resolved.map_or(0, |(kind, _)| kind as u8 + 1);
        let how_path = match path {
            None => 0,
            Some(_) if tail => 2,
            Some(_) => 1,
        };
        self.raw.push(how_path | kind << 2);
        if let Some((_, text)) = resolved {
            self.number(text.len() as u64);
            self.raw.extend_from_slice(text);
        }
        if let Some(text) = path {
            self.number(text.len() as u64);
            if !tail {
                self.raw.extend_from_slice(text);
            }
        }
    }

    /// LEB128.
    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.raw.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.raw.push(n as u8);
    }

    fn signed(&mut self, n: i64) {
        self.number((n << 1 ^ n >> 63).cast_unsigned());
    }
}
