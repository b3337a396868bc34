//! Reads a recording, as far as it is whole.

use std::io::{self, Read, Seek, SeekFrom};

use super::block::{Front, HEADER, Kind, MAGIC, fill};
use super::decode::Decoder;
use super::{Head, Seen, Totals};
use crate::model::time::Mono;

/// Why a recording cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is something else.
    #[error("it is no recording of ebpftop")]
    Foreign,
    /// Another version's.
    #[error("its format is {0}, this ebpftop reads 1: it was made by another version")]
    Version(u8),
    /// It ends without an end.
    #[error("it was cut off")]
    Cut,
    /// Bytes are not those that were written.
    #[error("it is damaged at byte {0}")]
    Bytes(u64),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A block that reading can begin at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// The next item.
#[derive(Debug)]
pub enum Item {
    /// A block begins: reading can begin here again.
    Block(Mark),
    /// An event and its time.
    Seen(Mono, Seen),
    /// The recording ended as it should.
    End(Totals),
}

/// A recording that is being read.
pub struct Reader<S> {
    from: S,
    head: Head,
    /// The last time in any block.
    end: Mono,
    /// The position of the next block.
    next: u64,
    block: Option<Decoder>,
}

impl<S> std::fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({:?}, at {})", self.head, self.next)
    }
}

impl<S: Read> Reader<S> {
    /// Reads the head, of a pipe too.
    pub fn of_stream(mut from: S) -> Result<Self, Damage> {
        let mut magic = [0; 16];
        let n = fill(&mut from, &mut magic)?;
        let (version, name) = MAGIC.split_last().unwrap_or((&0, &[]));
        let named = name.iter().zip(magic).all(|(a, b)| *a == b);
        match magic.last() {
            _ if !named || n == 0 => return Err(Damage::Foreign),
            _ if n < MAGIC.len() => return Err(Damage::Cut),
            Some(v) if v != version => return Err(Damage::Version(*v)),
            _ => {}
        }
        let mut reader = Self { from, head: Head::default(), end: Mono(0), next: 16, block: None };
        let (front, raw) = reader.block()?;
        if front.kind != Kind::Head {
            return Err(Damage::Bytes(16));
        }
        reader.head = postcard::from_bytes(&raw).map_err(|_| Damage::Bytes(16))?;
        reader.end = reader.head.started.mono;
        Ok(reader)
    }

    /// The machine and the time of its making.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next item. After [`Item::End`] or an error there is nothing more.
    pub fn read(&mut self) -> Result<Item, Damage> {
        let mark = self.next;
        let Some(block) = self.block.as_mut() else {
            let (front, raw) = self.block()?;
            match front.kind {
                Kind::Data => self.block = Some(Decoder::new(raw)),
                Kind::Head => return Err(Damage::Bytes(mark)),
                Kind::End => {
                    let totals = postcard::from_bytes(&raw).map_err(|_| Damage::Bytes(mark))?;
                    return Ok(Item::End(totals));
                }
            }
            return Ok(Item::Block(Mark(mark)));
        };
        let item = block.next();
        if item.is_none() || block.is_done() {
            self.block = None;
        }
        let (at, seen) = item.ok_or(Damage::Bytes(mark))?;
        Ok(Item::Seen(at, seen))
    }

    /// The front of the next block; `None` at the end.
    fn front(&mut self) -> Result<Option<([u8; HEADER], Front)>, Damage> {
        let mut bytes = [0; HEADER];
        match fill(&mut self.from, &mut bytes)? {
            0 => return Ok(None),
            n if n < HEADER => return Err(Damage::Cut),
            _ => {}
        }
        let front = Front::parse(&bytes).ok_or(Damage::Bytes(self.next))?;
        self.next += HEADER as u64;
        Ok(Some((bytes, front)))
    }

    fn block(&mut self) -> Result<(Front, Vec<u8>), Damage> {
        let start = self.next;
        let (bytes, front) = self.front()?.ok_or(Damage::Cut)?;
        let mut packed = Vec::new();
        // As much memory as there are bytes.
        self.from.by_ref().take(front.packed_len.into()).read_to_end(&mut packed)?;
        if packed.len() < front.packed_len as usize {
            return Err(Damage::Cut);
        }
        self.next += u64::from(front.packed_len);
        let raw = front.unpack(&bytes, &packed).ok_or(Damage::Bytes(start))?;
        Ok((front, raw))
    }
}

impl<S: Read + Seek> Reader<S> {
    /// Reads the head, and how far the recording reaches.
    pub fn new(from: S) -> Result<Self, Damage> {
        let mut reader = Self::of_stream(from)?;
        let first = Mark(reader.next);
        // Fronts alone: whether a block is whole is seen when it is read.
        while let Ok(Some((_, front))) = reader.front() {
            reader.end = reader.end.max(front.last);
            let Some(next) = reader.next.checked_add(front.packed_len.into()) else { break };
            reader.next = next;
            if reader.from.seek(SeekFrom::Start(next)).is_err() {
                break;
            }
        }
        reader.go(first)?;
        Ok(reader)
    }

    /// How far it reaches, when it is whole.
    pub fn end(&self) -> Mono {
        self.end
    }

    /// Continues to read at a block.
    pub fn go(&mut self, mark: Mark) -> Result<(), Damage> {
        self.block = None;
        self.next = mark.0;
        self.from.seek(SeekFrom::Start(mark.0))?;
        Ok(())
    }
}
