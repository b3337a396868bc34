//! Writes a recording, a block at a time.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use lz4_flex::block::get_maximum_output_size;

use super::block::{HEADER, Kind, MAGIC, pack};
use super::encode::Encoder;
use super::{Head, Seen, Totals};
use crate::model::event::ProbeEvent;
use crate::model::time::{Mono, NS_PER_SEC};

/// A block is written when it has this many bytes, or holds this long.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_NS: u64 = NS_PER_SEC;

/// The last block of a recording, bytes at most; a data block is kept from its room.
const END: u64 = HEADER as u64 + 64;
const BLOCK_END: u64 = HEADER as u64 + END;

/// Why nothing more is written. Blocks written before are whole.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file has reached its maximum size.
    #[error("the file has reached its maximum size")]
    Full,
    /// The disk is full, or something else is in the way.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The place that the blocks are written to.
pub trait Sink: fmt::Debug + Send {
    /// Writes all of `bytes` after the first `at` bytes; after an error nothing of them should be there.
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes sure that everything stays: a file is on the disk.
    fn close(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn put(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all(bytes).inspect_err(|_| {
            let _ = self.set_len(at);
            let _ = self.seek(SeekFrom::Start(at));
        })
    }

    fn close(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Writer {
    to: Box<dyn Sink>,
    encoder: Encoder,
    /// The times of the first and the last record of the block under way.
    span: Option<(Mono, Mono)>,
    /// Counts of the block under way.
    pending: Totals,
    /// The length of the file, in whole blocks.
    bytes: u64,
    most: u64,
    totals: Totals,
    /// All that was taken has been written.
    whole: bool,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoder({} bytes)", self.len())
    }
}

impl Writer {
    /// Begins a recording in an empty file or a pipe, which is to take `most` bytes at most.
    pub fn new(to: impl Sink + 'static, head: &Head, most: u64) -> Result<Self, WriteError> {
        let (encoder, pending, totals) = Default::default();
        let to = Box::new(to);
        let mut writer =
            Self { to, encoder, span: None, pending, bytes: 0, most, totals, whole: true };
        writer.write(MAGIC)?;
        let raw = postcard::to_stdvec(head).map_err(io::Error::other)?;
        let at = head.started.mono;
        writer.write(&pack(Kind::Head, at, at, &raw))?;
        Ok(writer)
    }

    /// From now on the file is to have `most` bytes at most.
    pub fn limit(&mut self, most: u64) {
        self.most = most;
    }

    /// Takes what came at `at`. [`WriteError::Full`] where the file has no room for it: then nothing of it is
    /// there, and everything before it is written.
    pub fn take(&mut self, at: Mono, seen: &Seen) -> Result<(), WriteError> {
        let is_close =
            self.most != u64::MAX && !self.has_room(self.encoder.len() + most_added(seen));
        if is_close || self.is_due(at) {
            self.flush()?;
        }
        let opens = match seen {
            Seen::Probe(ProbeEvent::Opens(batch)) => batch.len() as u64,
            _ => 0,
        };
        let mut unwritten = match seen {
            Seen::Missing { events, .. } => *events,
            _ => 0,
        };
        if !self.encoder.add(at, seen) {
            self.encoder.add(at, &Seen::Unwritten);
            unwritten += 1;
        }
        let first = self.span.map_or(at, |(first, _)| first);
        self.span = Some((first, at));
        self.pending.opens += opens;
        self.pending.unwritten += unwritten;
        if is_close {
            // Alone in its block: without room, nothing but this is missing.
            let whole = self.whole;
            let done = self.flush();
            self.whole = whole && !matches!(done, Err(WriteError::Io(_)));
            return done;
        }
        if self.encoder.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the block under way when it has waited long enough.
    pub fn idle(&mut self, now: Mono) -> Result<(), WriteError> {
        if self.is_due(now) { self.flush() } else { Ok(()) }
    }

    fn is_due(&self, now: Mono) -> bool {
        self.span.is_some_and(|(first, _)| now.since(first) >= BLOCK_NS)
    }

    /// Whether a block of so many bytes, were it not to shrink, has room before the end.
    fn has_room(&self, raw: usize) -> bool {
        let most = get_maximum_output_size(raw) as u64;
        self.bytes.saturating_add(most + BLOCK_END) <= self.most
    }

    /// Writes the block under way. Without room for it, it is dropped.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let Some((first, last)) = self.span.take() else { return Ok(()) };
        let block = pack(Kind::Data, first, last, &self.encoder.take());
        let pending = std::mem::take(&mut self.pending);
        if self.bytes + block.len() as u64 + END > self.most {
            self.whole = false;
            return Err(WriteError::Full);
        }
        self.write(&block)?;
        self.totals.ended = last;
        self.totals.opens += pending.opens;
        self.totals.unwritten += pending.unwritten;
        Ok(())
    }

    /// Writes all of `bytes`, or leaves the file as it was.
    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if let Err(e) = self.to.put(bytes, self.bytes) {
            self.whole = false;
            return Err(e.into());
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The length of the file, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the recording at `now`.
    pub fn finish(mut self, now: Mono) -> (Totals, Result<(), WriteError>) {
        let flushed = self.flush();
        if flushed.is_ok() && self.whole {
            self.totals.ended = self.totals.ended.max(now);
        }
        // Without an error before, too: a file that has room gets an end.
        let ended = self.end();
        (self.totals, flushed.and(ended))
    }

    fn end(&mut self) -> Result<(), WriteError> {
        let raw = postcard::to_stdvec(&self.totals).map_err(io::Error::other)?;
        let at = self.totals.ended;
        self.write(&pack(Kind::End, at, at, &raw))?;
        Ok(self.to.close()?)
    }
}

/// Bytes that `seen` adds to a block at most: a number may take more of them there than in memory.
fn most_added(seen: &Seen) -> usize {
    seen.bytes().saturating_mul(2).saturating_add(256)
}
