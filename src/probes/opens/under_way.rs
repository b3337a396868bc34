//! Opens that have not returned, as the model has them.

use std::time::{Duration, Instant};

use libbpf_rs::Link;

use super::decode::syscall;
use crate::bpf::opens::types::under_way_head;
use crate::clock;
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::model::under_way::{UnderWay, UnderWayOpens};
use crate::probes::iterator;
use crate::sys::records::UNDER_WAY_HEAD_BYTES;

/// Between two looks at all threads.
const EVERY: Duration = Duration::from_secs(1);

/// Opens in one answer, 4 KiB each at most.
const MOST: usize = 256;

/// Finds the opens that have not returned.
pub(super) struct Finder {
    /// Of the iterator over all threads.
    link: Link,
    asked: Instant,
    /// There were some the last time.
    had_some: bool,
}

impl Finder {
    pub(super) fn new(link: Link) -> Self {
        Self { link, asked: Instant::now(), had_some: false }
    }

    /// Those of now, once in each interval; `None` in between, and where there are none as before.
    pub(super) fn find(&mut self) -> Option<UnderWayOpens> {
        if self.asked.elapsed() < EVERY {
            return None;
        }
        self.asked = Instant::now();
        let mut found =
            UnderWayOpens { at: clock::mono(), wall: clock::wall_offset(), ..Default::default() };
        let take = |bytes: &[u8]| {
            records(bytes, |open| match found.opens.len() < MOST {
                true => found.opens.push(open),
                false => found.left_out += 1,
            })
        };
        if let Err(e) = iterator::run(&self.link, take) {
            tracing::warn!("opens under way cannot be read: {e}");
            return None;
        }
        found.opens.sort_by_key(|open| open.since);
        let is_news = self.had_some || !found.opens.is_empty();
        self.had_some = !found.opens.is_empty();
        is_news.then_some(found)
    }
}

/// Hands over the whole records at the beginning of `bytes`; returns how many bytes these are.
fn records(bytes: &[u8], mut take: impl FnMut(UnderWay)) -> usize {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        let mut head = under_way_head::default();
        if plain::copy_from_bytes(&mut head, rest).is_err() {
            break;
        }
        let path =
            rest.get(UNDER_WAY_HEAD_BYTES..).and_then(|rest| rest.get(..head.path_len as usize));
        let Some(path) = path else { break };
        at += UNDER_WAY_HEAD_BYTES + path.len();
        // A call that is not known is left out.
        let Some(syscall) = syscall(head.syscall) else { continue };
        take(UnderWay {
            key: ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns },
            tid: head.tid,
            uid: head.uid,
            comm: Comm(head.names.comm),
            process: Comm(head.names.process),
            syscall,
            path: (!path.is_empty()).then(|| path.into()),
            since: Mono(head.entry_ns),
        });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::records::bytes_of;

    #[test]
    fn a_cut_record_waits_for_its_rest() {
        let record = |memory: &[u8]| {
            let path_len = memory.len() as u32;
            let head = under_way_head { tgid: 7, path_len, syscall: 1, ..Default::default() };
            [bytes_of(&head), memory].concat()
        };
        let (first, second) = (record(b"/a"), record(b"\xff"));
        let both = [first.clone(), second, record(b"")].concat();
        for cut in 0..both.len() {
            let mut found = 0;
            let taken = records(&both[..cut], |_| found += 1);
            assert!(taken <= cut && (found == 0) == (cut < first.len()), "{cut}");
        }
        let mut paths = Vec::new();
        assert_eq!(records(&both, |open| paths.push(open.path)), both.len());
        assert_eq!(paths, [Some(b"/a"[..].into()), Some(b"\xff"[..].into()), None]);
    }
}
