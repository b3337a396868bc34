//! The last minutes: undo records that lead the tables back to each of a row of moments.
//!
//! The tables note the contents of a row before it changes, once between two moments, so a moment
//! costs its changes and nothing else, and no second copy of a table is needed until the user goes
//! back. Going back begins at the tables as they are; the oldest moments are dropped.

use std::collections::VecDeque;
use std::time::Duration;

use super::connections::Connections;
use super::opens::Opens;
use super::time::{Mono, NS_PER_SEC};
use super::undo::{Reading, Window, Writing};
use super::wire::Wire;

/// Maximum bytes of all moments.
pub const PAST_BYTES: usize = 64 << 20;

/// How far back moments reach, if the bytes allow it.
pub const PAST_NS: u64 = 600 * NS_PER_SEC;

/// Minimum time between two moments: a second, less the jitter of a tick.
const BETWEEN_NS: u64 = 900_000_000;

/// Approximate bytes of a moment beside its changes.
const MOMENT_BYTES: usize = 128;

/// The tables that go back together.
#[derive(Debug)]
pub struct Tables<'a> {
    pub opens: &'a mut Opens,
    pub wire: &'a mut Wire,
    pub connections: &'a mut Connections,
}

/// Packed undo records of one moment.
#[derive(Debug)]
pub struct Changes {
    packed: Box<[u8]>,
    raw_len: usize,
}

impl Changes {
    /// Takes the changes of the tables since the last call. Histories note further changes for the
    /// seconds of `window`.
    pub fn of(tables: &mut Tables<'_>, window: Window) -> Self {
        let mut raw = Writing::default();
        tables.opens.changes(window, &mut raw);
        tables.wire.changes(window, &mut raw);
        tables.connections.changes(window, &mut raw);
        let packed = lz4_flex::block::compress(&raw.bytes).into_boxed_slice();
        Self { packed, raw_len: raw.bytes.len() }
    }

    /// Undoes these changes in the tables. [`Tables::settle`] has to follow before they are read.
    pub fn take_back(&self, tables: &mut Tables<'_>) {
        let raw = lz4_flex::block::decompress(&self.packed, self.raw_len).unwrap_or_default();
        let mut raw = Reading(&raw);
        let back = tables.go_back(&mut raw);
        debug_assert!(back.is_some() && raw.is_done(), "what was just written can be read");
    }
}

impl Tables<'_> {
    fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        self.opens.go_back(from)?;
        self.wire.go_back(from)?;
        self.connections.go_back(from)
    }

    /// Works out the derived data, which no moment has.
    pub fn settle(&mut self) {
        self.opens.settle();
        self.connections.settle();
    }
}

/// A moment that one can go back to.
#[derive(Debug)]
pub struct Moment<W> {
    pub at: Mono,
    /// Other state of that time.
    pub with: W,
    /// The changes until the next moment; `None` for the last one.
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
    /// Stores `most` bytes at most; `interval` is the time between refreshes.
    pub fn new(interval: Duration, most: usize) -> Self {
        let (window, moments) = Default::default();
        Self { most, spare_s: interval.as_secs() + 3, bytes: 0, first: 0, moments, window }
    }

    /// Stores a moment unless the last one was just before. Moments more than [`PAST_NS`] before
    /// `from` are dropped.
    pub fn tick(&mut self, tables: &mut Tables<'_>, at: Mono, with: W, from: Mono) {
        if self.moments.back().is_none_or(|last| at.since(last.at) >= BETWEEN_NS) {
            self.take(tables, at, with, at);
        }
        while let Some(oldest) = self.moments.front()
            && (self.bytes > self.most || from.since(oldest.at) > PAST_NS)
        {
            self.bytes -= oldest.bytes();
            self.moments.pop_front();
            self.first += 1;
        }
    }

    /// Stores a moment; from now on histories do not change before `first`.
    fn take(&mut self, tables: &mut Tables<'_>, at: Mono, with: W, first: Mono) {
        let second = |at: Mono| at.0 / NS_PER_SEC;
        self.window = Window {
            first: second(first.min(at)).saturating_sub(self.spare_s),
            last: second(at) + self.spare_s,
        };
        let changes = Changes::of(tables, self.window);
        if let Some(last) = self.moments.back_mut() {
            self.bytes += changes.packed.len();
            last.until_next = Some(changes);
        }
        self.bytes += MOMENT_BYTES;
        self.moments.push_back(Moment { at, with, until_next: None });
    }

    /// To be called before an event at `now` that changes histories from `first` on: stores a moment
    /// first if the event reaches further back than a refresh.
    pub fn before(
        &mut self,
        tables: &mut Tables<'_>,
        now: Mono,
        first: Mono,
        with: impl FnOnce() -> W,
    ) {
        let Window { first: from, last: to } = self.window;
        if !self.moments.is_empty() && (first.0 / NS_PER_SEC < from || now.0 / NS_PER_SEC > to) {
            self.take(tables, now, with(), first);
        }
    }

    /// Drops all moments.
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

    /// The moment of that number; `None` if it was dropped.
    pub fn moment(&self, number: u64) -> Option<&Moment<W>> {
        self.moments.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Bytes of all moments.
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
