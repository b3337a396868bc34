//! The last minute of the bytes that were read and written.

use super::file_io::IoCounts;
use super::history::History;
use super::time::Mono;
use super::undo::{Reading, Writing};

/// What a call does to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoDirection {
    Read,
    Written,
}

/// What a history of the last minute counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    Opens,
    Bytes(IoDirection),
}

/// Bytes read and written in each of the last 60 seconds: 272 bytes from the first one on.
#[derive(Clone, Debug, Default)]
pub struct IoHistory(Option<Box<[History; 2]>>);

impl IoHistory {
    /// Counts the bytes of the `interval_ns` before `at`.
    pub fn add(&mut self, at: Mono, interval_ns: u64, counts: &IoCounts) {
        if self.0.is_none() && counts.bytes() == 0 {
            return;
        }
        let [read, written] = &mut **self.0.get_or_insert_default();
        read.add_spread(at, interval_ns, counts.read_bytes);
        written.add_spread(at, interval_ns, counts.written_bytes);
    }

    /// The bytes of one direction; `None` where there never were any of either.
    pub fn of(&self, direction: IoDirection) -> Option<&History> {
        let [read, written] = &**self.0.as_ref()?;
        Some(match direction {
            IoDirection::Read => read,
            IoDirection::Written => written,
        })
    }

    /// See [`History::write`].
    pub fn write(&self, to: &mut Writing) {
        to.put(&self.0.is_some());
        self.0.iter().flat_map(|both| both.iter()).for_each(|history| history.write(to));
    }

    /// See [`History::read`].
    pub fn read(&mut self, from: &mut Reading<'_>) -> Option<()> {
        if !from.get::<bool>()? {
            self.0 = None;
            return Some(());
        }
        self.0.get_or_insert_default().iter_mut().try_for_each(|history| history.read(from))
    }
}
