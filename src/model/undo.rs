//! Encoding of undo records.
//!
//! They stay in the memory of the process that wrote them: this is no file format.

use serde::{Deserialize, Serialize};

/// The seconds in which histories change until the next moment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub first: u64,
    pub last: u64,
}

impl Window {
    /// Any second may change.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };
}

impl Default for Window {
    fn default() -> Self {
        Self::ALL
    }
}

/// A writer of undo records.
#[derive(Clone, Debug, Default)]
pub struct Writing {
    pub bytes: Vec<u8>,
    pub window: Window,
}

impl Writing {
    /// Appends a value.
    pub fn put(&mut self, what: &impl Serialize) {
        // Writing to memory cannot fail.
        let _ = postcard::to_io(what, &mut self.bytes);
    }

    /// Appends bytes of another writer, with their length.
    pub fn part(&mut self, bytes: &[u8]) {
        self.put(&bytes.len());
        self.bytes.extend_from_slice(bytes);
    }
}

/// A reader of undo records.
#[derive(Debug)]
pub struct Reading<'a>(pub &'a [u8]);

impl<'a> Reading<'a> {
    /// The next value; `None` if the bytes were not written by [`Writing`].
    pub fn get<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    /// The next part.
    pub fn part(&mut self) -> Option<Reading<'a>> {
        let len = self.get()?;
        let (part, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(Reading(part))
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// A row of a table whose changes can be undone.
pub trait Undoable: Sized {
    /// Writes the parts that never change while the row exists.
    fn write_fixed(&self, to: &mut Writing);
    /// Makes a row of these; [`Undoable::read`] follows.
    fn read_fixed(from: &mut Reading<'_>) -> Option<Self>;
    /// Writes the parts that may change, without derived data.
    fn write(&self, to: &mut Writing);
    /// Replaces these parts.
    fn read(&mut self, from: &mut Reading<'_>) -> Option<()>;
}
