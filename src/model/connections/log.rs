//! The latest of something that happened, numbered without gaps, with undo records.

use std::collections::VecDeque;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::undo::{Reading, Writing};

/// The latest entries; the oldest is evicted where there is no room.
#[derive(Clone, Debug)]
pub(super) struct Log<T> {
    most: usize,
    /// The number of the oldest entry.
    first: u64,
    queue: VecDeque<T>,
    /// The numbers when the turn began, while changes are noted.
    turn_start: Option<Range<u64>>,
    /// Entries of that time that have gone since.
    gone: Vec<(u64, T)>,
}

impl<T: Clone + Serialize + DeserializeOwned> Log<T> {
    /// An empty one; `most` entries are stored at once.
    pub(super) fn new(most: usize) -> Self {
        let (queue, gone) = Default::default();
        Self { most, first: 0, queue, turn_start: None, gone }
    }

    /// Appends an entry; true where that evicted the oldest one.
    pub(super) fn push(&mut self, entry: T) -> bool {
        let full = self.queue.len() >= self.most;
        if full {
            self.pop_front();
        }
        self.queue.push_back(entry);
        full
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter()
    }

    /// The entries with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.first..).zip(&self.queue)
    }

    /// The entry with a number, if it is still there.
    pub(super) fn get(&self, number: u64) -> Option<&T> {
        self.queue.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Removes the oldest entries that `is` selects.
    pub(super) fn expire(&mut self, is: impl Fn(&T) -> bool) {
        while self.queue.front().is_some_and(&is) {
            self.pop_front();
        }
    }

    /// The numbers of all entries.
    pub(super) fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.queue.len() as u64
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.queue.pop_front() {
            self.note(self.first, entry);
            self.first += 1;
        }
    }

    fn note(&mut self, number: u64, entry: T) {
        if self.turn_start.as_ref().is_some_and(|there| there.contains(&number)) {
            self.gone.push((number, entry));
        }
    }

    /// Writes the undo records of this turn and begins another.
    pub(super) fn changes(&mut self, to: &mut Writing) {
        let now = self.numbers();
        let then = self.turn_start.replace(now.clone()).unwrap_or(now);
        to.put(&(then, std::mem::take(&mut self.gone)));
    }

    /// Goes back by what [`Self::changes`] wrote.
    pub(super) fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let (then, mut gone): (Range<u64>, Vec<(u64, T)>) = from.get()?;
        while self.first < then.start && !self.queue.is_empty() {
            self.pop_front();
        }
        while self.numbers().end > then.end
            && let Some(entry) = self.queue.pop_back()
        {
            self.note(self.numbers().end, entry);
        }
        gone.sort_unstable_by_key(|(number, _)| *number);
        let earlier = match self.queue.is_empty() {
            true => 0,
            false => gone.partition_point(|(number, _)| *number < self.first),
        };
        self.queue.extend(gone.drain(earlier..).map(|(_, entry)| entry));
        gone.into_iter().rev().for_each(|(_, entry)| self.queue.push_front(entry));
        self.first = then.start;
        Some(())
    }
}
