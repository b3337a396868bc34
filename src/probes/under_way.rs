//! Calls that have not returned: an iterator over all threads, run each second.

use std::time::{Duration, Instant};

use libbpf_rs::Link;

use super::iterator;
use crate::clock;
use crate::model::event::Only;
use crate::model::under_way::{AllUnderWay, UnderWay};

/// Between two looks at all threads.
const EVERY: Duration = Duration::from_secs(1);

/// Hands over the whole records at the beginning of the bytes; returns how many bytes these are.
type Records<C> = fn(&[u8], &mut dyn FnMut(UnderWay<C>)) -> usize;

/// Finds the calls of one kind that have not returned.
pub(super) struct Finder<C> {
    /// Of the iterator over all threads.
    link: Link,
    records: Records<C>,
    /// Chooses processes and users; the rest of it is about calls that have returned.
    only: Only,
    asked: Instant,
    /// There were some the last time.
    had_some: bool,
    /// They could not be read the last time.
    failed: bool,
}

impl<C> Finder<C> {
    pub(super) fn new(link: Link, records: Records<C>, only: Only) -> Self {
        Self { link, records, only, asked: Instant::now(), had_some: false, failed: false }
    }

    /// Those of now, once in each interval; `None` in between, and where there are none as before. Where they
    /// cannot be read there are none, so that no old ones stay on the screen; a warning says why, once.
    pub(super) fn find(&mut self) -> Option<AllUnderWay<C>> {
        if self.asked.elapsed() < EVERY {
            return None;
        }
        self.asked = Instant::now();
        let mut found =
            AllUnderWay { at: clock::mono(), wall: clock::wall_offset(), ..Default::default() };
        let Only { tgid, uid, .. } = self.only;
        let is_chosen = |call: &UnderWay<C>| {
            tgid.is_none_or(|tgid| tgid == call.key.tgid) && uid.is_none_or(|uid| uid == call.uid)
        };
        let take = |bytes: &[u8]| {
            (self.records)(bytes, &mut |call| {
                if is_chosen(&call) {
                    found.add(call);
                }
            })
        };
        let read = iterator::run(&self.link, take);
        if let Err(e) = &read {
            if !self.failed {
                tracing::warn!("calls under way cannot be read: {e}");
            }
            (found.calls, found.left_out) = Default::default();
        }
        self.failed = read.is_err();
        found.keep_oldest();
        let is_news = self.had_some || !found.calls.is_empty();
        self.had_some = !found.calls.is_empty();
        is_news.then_some(found)
    }
}
