//! The latest network events of all processes, in the order of time.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::What;
use crate::model::conn::Carried;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::model::undo::{Reading, Writing};

/// Latest network events, 96 bytes each; the oldest is evicted.
pub const MAX_EVENTS: usize = 8_192;

/// A network event of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetActivity {
    /// A connection began, was accepted, failed (with the errno), ended, or was found by a poll; its
    /// traffic, where that is counted.
    Conn {
        what: What,
        protocol: u16,
        local: u16,
        remote: SocketAddr,
        error: u32,
        carried: Option<Carried>,
    },
    /// Traffic with an address in one interval.
    Carried { ip: IpAddr, carried: Carried },
}

/// An event with its process and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Mono,
    pub key: ProcessKey,
    pub activity: NetActivity,
}

/// The latest events, numbered without gaps.
#[derive(Clone, Debug)]
pub(super) struct Events {
    most: usize,
    /// The number of the oldest event.
    first: u64,
    queue: VecDeque<Event>,
    /// Where changes are noted: the numbers when the turn began.
    turn_start: Option<Range<u64>>,
    /// Events of that time that have gone since.
    gone: Vec<(u64, Event)>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new(MAX_EVENTS)
    }
}

impl Events {
    /// No events; `most` are stored at once.
    pub(super) fn new(most: usize) -> Self {
        let (queue, gone) = Default::default();
        Self { most, first: 0, queue, turn_start: None, gone }
    }

    pub(super) fn push(&mut self, event: Event) {
        if self.queue.len() >= self.most {
            self.pop_front();
        }
        self.queue.push_back(event);
    }

    pub(super) fn of(&self, key: ProcessKey) -> impl Iterator<Item = &Event> {
        self.queue.iter().filter(move |event| event.key == key)
    }

    fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.queue.len() as u64
    }

    fn pop_front(&mut self) {
        if let Some(event) = self.queue.pop_front() {
            self.note(self.first, event);
            self.first += 1;
        }
    }

    fn note(&mut self, number: u64, event: Event) {
        if self.turn_start.as_ref().is_some_and(|there| there.contains(&number)) {
            self.gone.push((number, event));
        }
    }

    /// Writes the undo records of this turn and begins another.
    pub(super) fn changes(&mut self, to: &mut Writing) {
        let now = self.numbers();
        let then = self.turn_start.replace(now.clone()).unwrap_or(now);
        to.put(&(then, std::mem::take(&mut self.gone)));
    }

    /// Goes back by what [`Events::changes`] wrote.
    pub(super) fn go_back(&mut self, from: &mut Reading<'_>) -> Option<()> {
        let (then, mut gone): (Range<u64>, Vec<(u64, Event)>) = from.get()?;
        while self.first < then.start && !self.queue.is_empty() {
            self.pop_front();
        }
        while self.numbers().end > then.end
            && let Some(event) = self.queue.pop_back()
        {
            self.note(self.numbers().end, event);
        }
        gone.sort_unstable_by_key(|(number, _)| *number);
        let earlier = match self.queue.is_empty() {
            true => 0,
            false => gone.partition_point(|(number, _)| *number < self.first),
        };
        self.queue.extend(gone.drain(earlier..).map(|(_, event)| event));
        gone.into_iter().rev().for_each(|(_, event)| self.queue.push_front(event));
        self.first = then.start;
        Some(())
    }
}
