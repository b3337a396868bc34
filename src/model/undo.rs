//! Bytes that lead a table back to what it was: how they are put together and taken apart.
//!
//! They stay in the memory of the program that wrote them: nothing here is a format.

use serde::{Deserialize, Serialize};

/// The seconds in which histories change until the next moment is kept.
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

/// Bytes that are being written.
#[derive(Clone, Debug, Default)]
pub struct Writing {
    pub bytes: Vec<u8>,
    pub window: Window,
}

impl Writing {
    /// Appends a value.
    pub fn put(&mut self, what: &impl Serialize) {
        // Memory takes what there is.
        let _ = postcard::to_io(what, &mut self.bytes);
    }

    /// Appends what others wrote, with its length.
    pub fn part(&mut self, bytes: &[u8]) {
        self.put(&bytes.len());
        self.bytes.extend_from_slice(bytes);
    }
}

/// Bytes that are being read.
#[derive(Debug)]
pub struct Reading<'a>(pub &'a [u8]);

impl<'a> Reading<'a> {
    /// The next value; `None` where the bytes are not those that were written.
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

/// A row of a table whose changes can be taken back.
pub trait Undoable: Sized {
    /// Writes what stays as it is as long as the row is held.
    fn write_fixed(&self, to: &mut Writing);
    /// Makes a row of that; the rest is read after it.
    fn read_fixed(from: &mut Reading<'_>) -> Option<Self>;
    /// Writes what may change, but for what the table can work out.
    fn write(&self, to: &mut Writing);
    /// Takes that over.
    fn read(&mut self, from: &mut Reading<'_>) -> Option<()>;
}
