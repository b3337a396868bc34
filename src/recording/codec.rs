//! Records: what a block holds once it is unpacked.
//!
//! Opens are what there is most of, so they are written by hand: who, which file and how are
//! told once a block and by number from then on, times as differences. All else is postcard.
//! Reading trusts nothing: any bytes give records or an end, and memory stays in proportion.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use serde::{Deserialize, Serialize};

use super::Seen;
use crate::model::cgroup::{Cgroup, Owner};
use crate::model::escape::escape;
use crate::model::flags;
use crate::model::link::{ForeignHook, Link};
use crate::model::open::{
    Comm, Ended, LostOpens, Open, OpenBatch, OpenCounts, OpenMeta, ResolvedKind, Syscall,
};
use crate::model::opens::ProcessKey;
use crate::model::problem::Problem;
use crate::model::talkers::TalkersSample;
use crate::model::time::{Mono, WallOffset};
use crate::probes::{OpensInfo, ProbeEvent, Watched};

/// Opens of one record: what a batch is cut into, so that reading one takes bounded memory.
const MOST_OPENS: usize = 4_096;

/// The longest path: PATH_MAX, and what a failed open puts in front of it.
const MOST_TEXT: usize = 8_192;

/// Everything but opens.
#[derive(Serialize, Deserialize)]
enum Rare<'a> {
    OpensStarted(Result<OpensInfo, Problem>),
    OpensEnded(OpenCounts),
    Watching(Result<Vec<Watched>, Problem>),
    Talkers(Cow<'a, [TalkersSample]>),
    Links(Cow<'a, [Link]>),
    TalkersEnded,
    Tick,
    Cgroups(Vec<(u64, Option<Cow<'a, [u8]>>)>),
    Ended(Cow<'a, [ProcessKey]>),
    Before(OpenCounts, Cow<'a, [LostOpens]>),
    Unwritten(u64, u64),
}

impl Rare<'_> {
    /// Texts that are ours go to the terminal as they are: those of a file may be anybody's.
    fn make_plain(&mut self) {
        match self {
            Rare::OpensStarted(Err(problem)) | Rare::Watching(Err(problem)) => all_plain(problem),
            Rare::OpensStarted(Ok(info)) => {
                for (what, why) in &mut info.unseen {
                    plain(what);
                    plain(why);
                }
            }
            Rare::Watching(Ok(watched)) => {
                for w in watched {
                    plain(&mut w.price);
                    w.partial.as_mut().map(plain);
                    let sides = [&mut w.rx, &mut w.tx].into_iter().filter_map(|s| s.as_mut().err());
                    sides.chain(&mut w.gone).for_each(all_plain);
                }
            }
            Rare::Talkers(samples) => {
                for sample in samples.to_mut() {
                    sample.partial.as_mut().map(plain);
                    if let Some(look) = &mut sample.look {
                        plain(&mut look.since_text);
                        look.problem.as_mut().map(plain);
                    }
                }
            }
            Rare::Links(links) => {
                for link in links.to_mut() {
                    plain(&mut link.price);
                    for foreign in &mut link.foreign {
                        if let ForeignHook::Xdp(kind) = &mut foreign.hook {
                            plain(kind.to_mut());
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn all_plain(problem: &mut Problem) {
    let Problem { what, why, fix } = problem;
    [what, why, fix].into_iter().for_each(plain);
}

/// Escapes a text that holds anything that acts. One that was escaped stays as it is.
fn plain(text: &mut String) {
    if let Cow::Owned(_) = escape(text.replace('\\', "").as_bytes()) {
        *text = escape(text.as_bytes()).into_owned();
    }
}

/// What a batch has besides its opens.
#[derive(Serialize, Deserialize)]
struct Frame<'a> {
    wall: WallOffset,
    counts: OpenCounts,
    compat: bool,
    ended: Cow<'a, [Ended]>,
    lost_by: Cow<'a, [LostOpens]>,
}

/// Who opens: told once a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Actor {
    tgid: u32,
    tid: u32,
    ppid: u32,
    uid: u32,
    start_boottime_ns: u64,
    comm: Comm,
    process: Comm,
    cgroup_id: Option<u64>,
}

/// How it is opened: told once a block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct How {
    syscall: Syscall,
    flags: Option<u64>,
    mode: u32,
    slot: bool,
    timed: bool,
}

/// A file as it was told: places of its texts.
#[derive(Clone)]
struct File {
    path: Option<Range<usize>>,
    resolved: Option<(ResolvedKind, Range<usize>)>,
}

const KIND_OPENS: u8 = 0;
const KIND_RARE: u8 = 1;

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
        let rare = match seen {
            Seen::Probe(ProbeEvent::Opens(batch)) => {
                self.batch(at, batch);
                return true;
            }
            Seen::Probe(ProbeEvent::OpensStarted(result)) => Rare::OpensStarted(result.clone()),
            Seen::Probe(ProbeEvent::OpensEnded(counts)) => Rare::OpensEnded(*counts),
            Seen::Probe(ProbeEvent::Watching(result)) => Rare::Watching(result.clone()),
            Seen::Probe(ProbeEvent::Talkers(samples)) => Rare::Talkers(samples.into()),
            Seen::Probe(ProbeEvent::Links(links)) => Rare::Links(links.into()),
            Seen::Probe(ProbeEvent::TalkersEnded) => Rare::TalkersEnded,
            Seen::Tick => Rare::Tick,
            Seen::Cgroups(answers) => {
                let path = |c: &'_ Option<Cgroup>| c.as_ref().map(|c| c.path.to_vec().into());
                Rare::Cgroups(answers.iter().map(|(id, c)| (*id, path(c))).collect())
            }
            Seen::Ended(keys) => Rare::Ended(keys.into()),
            Seen::Before { counts, lost } => Rare::Before(*counts, lost.into()),
            Seen::Unwritten { opens, events } => Rare::Unwritten(*opens, *events),
        };
        let before = self.raw.len();
        self.begin(KIND_RARE, at);
        let written = self.put(&rare) && self.raw.len() <= super::block::MOST_RAW;
        if !written {
            self.raw.truncate(before);
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
        loop {
            let n = left.min(MOST_OPENS);
            left -= n;
            self.begin(KIND_OPENS, at);
            // What came with the batch is told with its last opens.
            let (ended, lost_by): (&[_], &[_]) =
                if left == 0 { (&batch.ended, &batch.lost_by) } else { (&[], &[]) };
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
            if left == 0 {
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

    /// Two bits for the path (none, told, the end of the resolved one), the rest for what the
    /// resolved one is.
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

/// Takes a block apart.
pub(super) struct Decoder {
    raw: Vec<u8>,
    next: usize,
    at: Mono,
    actors: Vec<Actor>,
    hows: Vec<How>,
    files: Vec<File>,
}

impl Decoder {
    /// Of an unpacked block.
    pub(super) fn new(raw: Vec<u8>) -> Self {
        let (actors, hows, files) = Default::default();
        Self { raw, next: 0, at: Mono(0), actors, hows, files }
    }

    /// Whether all of it has been read.
    pub(super) fn is_done(&self) -> bool {
        self.next >= self.raw.len()
    }

    /// The next record; `None` where there is none that makes sense.
    pub(super) fn next(&mut self) -> Option<(Mono, Seen)> {
        let kind = self.byte()?;
        let at = Mono(self.at.0.wrapping_add_signed(self.signed()?));
        self.at = at;
        let seen = match kind {
            KIND_OPENS => Seen::Probe(ProbeEvent::Opens(self.batch(at)?)),
            KIND_RARE => self.rare()?,
            _ => return None,
        };
        Some((at, seen))
    }

    fn rare(&mut self) -> Option<Seen> {
        let mut rare = self.get::<Rare<'static>>()?;
        rare.make_plain();
        Some(match rare {
            Rare::OpensStarted(result) => Seen::Probe(ProbeEvent::OpensStarted(result)),
            Rare::OpensEnded(counts) => Seen::Probe(ProbeEvent::OpensEnded(counts)),
            Rare::Watching(result) => Seen::Probe(ProbeEvent::Watching(result)),
            Rare::Talkers(samples) => Seen::Probe(ProbeEvent::Talkers(samples.into_owned())),
            Rare::Links(links) => Seen::Probe(ProbeEvent::Links(links.into_owned())),
            Rare::TalkersEnded => Seen::Probe(ProbeEvent::TalkersEnded),
            Rare::Tick => Seen::Tick,
            Rare::Cgroups(answers) => {
                let of = |path: Cow<'_, [u8]>| Cgroup {
                    owner: Owner::of(&path),
                    path: path.into_owned().into(),
                };
                Seen::Cgroups(answers.into_iter().map(|(id, p)| (id, p.map(of))).collect())
            }
            Rare::Ended(keys) => Seen::Ended(keys.into_owned()),
            Rare::Before(counts, lost) => Seen::Before { counts, lost: lost.into_owned() },
            Rare::Unwritten(opens, events) => Seen::Unwritten { opens, events },
        })
    }

    fn batch(&mut self, at: Mono) -> Option<OpenBatch> {
        let frame: Frame<'static> = self.get()?;
        let mut batch = OpenBatch::default();
        (batch.wall, batch.counts, batch.compat) = (frame.wall, frame.counts, frame.compat);
        batch.ended = frame.ended.into_owned();
        batch.lost_by = frame.lost_by.into_owned();
        let n = self.length(MOST_OPENS)?;
        let mut before = at;
        for _ in 0..n {
            before = Mono(before.0.wrapping_add_signed(self.signed()?));
            self.open(before, &mut batch)?;
        }
        Some(batch)
    }

    fn open(&mut self, at: Mono, batch: &mut OpenBatch) -> Option<()> {
        let actor = match self.number()? {
            0 => {
                let actor = self.get()?;
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
                let how = self.get()?;
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

    fn get<T: for<'d> Deserialize<'d>>(&mut self) -> Option<T> {
        let rest = self.raw.get(self.next..)?;
        let (value, left) = postcard::take_from_bytes(rest).ok()?;
        self.next = self.raw.len() - left.len();
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
