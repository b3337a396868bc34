//! The last minutes: what leads the tables back to what they held at each of a row of moments.
//!
//! The tables note what was in a row before it changed, once between two moments, so that keeping
//! a moment costs what changed and nothing else, and no second copy of a table is needed until
//! somebody looks. Going back begins at the tables as they are; the oldest moments are let go.

use std::collections::VecDeque;
use std::time::Duration;

use super::opens::Opens;
use super::time::{Mono, NS_PER_SEC};
use super::undo::{Reading, Window, Writing};
use super::wire::Wire;

/// Bytes that the moments may take.
pub const PAST_BYTES: usize = 64 << 20;

/// How far back is kept, where the bytes allow it.
pub const PAST_NS: u64 = 600 * NS_PER_SEC;

/// Between two moments, less what a tick may come early.
const BETWEEN_NS: u64 = 900_000_000;

/// What a moment takes beside its changes, about.
const MOMENT_BYTES: usize = 128;

/// Changes, packed.
#[derive(Debug)]
pub struct Changes {
    packed: Box<[u8]>,
    raw_len: usize,
}

impl Changes {
    /// What changed in the tables since the last call, and what changes from now on is noted in
    /// histories for the seconds of `window`.
    pub fn of(opens: &mut Opens, wire: &mut Wire, window: Window) -> Self {
        let mut raw = Writing::default();
        opens.changes(window, &mut raw);
        wire.changes(window, &mut raw);
        let packed = lz4_flex::block::compress(&raw.bytes).into_boxed_slice();
        Self { packed, raw_len: raw.bytes.len() }
    }

    /// Leads the tables to what they held before these changes.
    pub fn take_back(&self, opens: &mut Opens, wire: &mut Wire) {
        let raw = lz4_flex::block::decompress(&self.packed, self.raw_len).unwrap_or_default();
        let mut raw = Reading(&raw);
        let back = opens.go_back(&mut raw).and_then(|()| wire.go_back(&mut raw));
        debug_assert!(back.is_some() && raw.is_done(), "what was just written can be read");
    }
}

/// A moment that can be gone back to.
#[derive(Debug)]
pub struct Moment<W> {
    pub at: Mono,
    /// What else held then.
    pub with: W,
    /// What was changed until the next moment; `None` for the last one.
    pub until_next: Option<Changes>,
}

/// The moments, numbered without gaps.
#[derive(Debug)]
pub struct Past<W> {
    most: usize,
    /// Seconds that a refresh may reach back or ahead.
    spare_s: u64,
    bytes: usize,
    first: u64,
    moments: VecDeque<Moment<W>>,
    window: Window,
}

impl<W> Past<W> {
    /// Keeps `most` bytes at most, with so much time between refreshes.
    pub fn new(interval: Duration, most: usize) -> Self {
        let (window, moments) = Default::default();
        Self { most, spare_s: interval.as_secs() + 3, bytes: 0, first: 0, moments, window }
    }

    /// Keeps a moment unless the last one was just before. Moments more than [`PAST_NS`] before
    /// `from` are let go.
    pub fn tick(&mut self, opens: &mut Opens, wire: &mut Wire, at: Mono, with: W, from: Mono) {
        if self.moments.back().is_none_or(|last| at.since(last.at) >= BETWEEN_NS) {
            self.take(opens, wire, at, with, at);
        }
        while let Some(oldest) = self.moments.front()
            && (self.bytes > self.most || from.since(oldest.at) > PAST_NS)
        {
            self.bytes -= oldest.bytes();
            self.moments.pop_front();
            self.first += 1;
        }
    }

    /// Keeps a moment; histories are not touched before `first` from now on.
    fn take(&mut self, opens: &mut Opens, wire: &mut Wire, at: Mono, with: W, first: Mono) {
        let second = |at: Mono| at.0 / NS_PER_SEC;
        self.window = Window {
            first: second(first.min(at)).saturating_sub(self.spare_s),
            last: second(at) + self.spare_s,
        };
        let changes = Changes::of(opens, wire, self.window);
        if let Some(last) = self.moments.back_mut() {
            self.bytes += changes.packed.len();
            last.until_next = Some(changes);
        }
        self.bytes += MOMENT_BYTES;
        self.moments.push_back(Moment { at, with, until_next: None });
    }

    /// Before something is taken in at `now` that touches histories from `first` on: keeps a moment
    /// first where it reaches further than a refresh does.
    pub fn before(
        &mut self,
        opens: &mut Opens,
        wire: &mut Wire,
        now: Mono,
        first: Mono,
        with: impl FnOnce() -> W,
    ) {
        let Window { first: from, last: to } = self.window;
        if !self.moments.is_empty() && (first.0 / NS_PER_SEC < from || now.0 / NS_PER_SEC > to) {
            self.take(opens, wire, now, with(), first);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.first += self.moments.len() as u64;
        self.moments.clear();
        self.bytes = 0;
    }

    /// The oldest moment.
    pub fn oldest(&self) -> Option<Mono> {
        self.moments.front().map(|m| m.at)
    }

    /// The number that the next moment will have.
    pub fn next(&self) -> u64 {
        self.first + self.moments.len() as u64
    }

    /// The moment of that number; `None` where it was let go.
    pub fn moment(&self, number: u64) -> Option<&Moment<W>> {
        self.moments.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Bytes that the moments take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<W> Moment<W> {
    fn bytes(&self) -> usize {
        MOMENT_BYTES + self.until_next.as_ref().map_or(0, |c| c.packed.len())
    }
}

#[cfg(test)]
mod tests;
