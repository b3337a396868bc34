//! Calls that have not returned: an iterator over all threads, run each second.

use std::time::{Duration, Instant};

use libbpf_rs::Link;

use super::iterator;
use crate::clock;
use crate::model::under_way::{AllUnderWay, UnderWay};

/// Between two looks at all threads.
const EVERY: Duration = Duration::from_secs(1);

/// Calls in one answer, some 4 KiB each at most.
const MOST: usize = 256;

/// Hands over the whole records at the beginning of the bytes; returns how many bytes these are.
type Records<C> = fn(&[u8], &mut dyn FnMut(UnderWay<C>)) -> usize;

/// Finds the calls of one kind that have not returned.
pub(super) struct Finder<C> {
    /// Of the iterator over all threads.
    link: Link,
    records: Records<C>,
    asked: Instant,
    /// There were some the last time.
    had_some: bool,
}

impl<C> Finder<C> {
    pub(super) fn new(link: Link, records: Records<C>) -> Self {
        Self { link, records, asked: Instant::now(), had_some: false }
    }

    /// Those of now, once in each interval; `None` in between, and where there are none as before.
    pub(super) fn find(&mut self) -> Option<AllUnderWay<C>> {
        if self.asked.elapsed() < EVERY {
            return None;
        }
        self.asked = Instant::now();
        let mut found =
            AllUnderWay { at: clock::mono(), wall: clock::wall_offset(), ..Default::default() };
        let take = |bytes: &[u8]| {
            (self.records)(bytes, &mut |call| match found.calls.len() < MOST {
                true => found.calls.push(call),
                false => found.left_out += 1,
            })
        };
        if let Err(e) = iterator::run(&self.link, take) {
            tracing::warn!("calls under way cannot be read: {e}");
            return None;
        }
        found.calls.sort_by_key(|call| call.since);
        let is_news = self.had_some || !found.calls.is_empty();
        self.had_some = !found.calls.is_empty();
        is_news.then_some(found)
    }
}
