//! Blocks: their form in the file, and the detection of damaged ones.

use std::io::{self, Read};

use crate::model::time::Mono;

/// The first bytes of every recording; the last of them is the version of the format.
pub(super) const MAGIC: &[u8; 16] = b"ebpftop record\n\x01";

/// Bytes of a block before its payload.
pub(super) const HEADER: usize = 40;

/// The largest block once it is unpacked: the largest batch or record fits, and what came before it.
pub(super) const MOST_RAW: usize = 32 << 20;

/// The largest first or last block once it is unpacked.
const MOST_EDGE: usize = 64 << 10;

const MARKER: &[u8; 4] = b"eblk";

/// The contents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Data,
    End,
}

/// The front of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub kind: Kind,
    /// Time of the first and the last record.
    pub first: Mono,
    pub last: Mono,
    pub raw_len: u32,
    pub packed_len: u32,
    crc: u32,
}

/// Packs a block.
pub(super) fn pack(kind: Kind, first: Mono, last: Mono, raw: &[u8]) -> Vec<u8> {
    let packed = lz4_flex::block::compress(raw);
    let len = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut block = Vec::with_capacity(HEADER + packed.len());
    block.extend_from_slice(MARKER);
    block.extend_from_slice(&[kind as u8, 0, 0, 0]);
    block.extend_from_slice(&first.0.to_le_bytes());
    block.extend_from_slice(&last.0.to_le_bytes());
    block.extend_from_slice(&len(raw.len()).to_le_bytes());
    block.extend_from_slice(&len(packed.len()).to_le_bytes());
    block.extend_from_slice(&[0; 4]);
    let crc = checksum(&block, &packed);
    block.extend_from_slice(&crc.to_le_bytes());
    block.extend_from_slice(&packed);
    block
}

/// The checksum of the bytes before it and of the payload.
pub(super) fn checksum(front: &[u8], packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(front);
    hasher.update(packed);
    hasher.finalize()
}

/// Fills `buffer` as far as there are bytes.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while let Some(rest) = buffer.get_mut(at..).filter(|r| !r.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}

impl Front {
    /// Reads a front; `None` where it cannot be one.
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let (marker, rest) = bytes.split_first_chunk::<4>()?;
        let ([kind, 0, 0, 0], rest) = rest.split_first_chunk::<4>()? else { return None };
        let (first, rest) = rest.split_first_chunk::<8>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (raw_len, rest) = rest.split_first_chunk::<4>()?;
        let (packed_len, rest) = rest.split_first_chunk::<4>()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        let front = Self {
            kind: match kind {
                0 => Kind::Head,
                1 => Kind::Data,
                2 => Kind::End,
                _ => return None,
            },
            first: Mono(u64::from_le_bytes(*first)),
            last: Mono(u64::from_le_bytes(*last)),
            raw_len: u32::from_le_bytes(*raw_len),
            packed_len: u32::from_le_bytes(*packed_len),
            crc: u32::from_le_bytes(*crc),
        };
        let most_packed = lz4_flex::block::get_maximum_output_size(front.raw_len as usize);
        let most_raw = if front.kind == Kind::Data { MOST_RAW } else { MOST_EDGE };
        let fits = front.raw_len as usize <= most_raw && front.packed_len as usize <= most_packed;
        (marker == MARKER && fits).then_some(front)
    }

    /// The payload unpacked; `None` where it is damaged.
    pub(super) fn unpack(&self, front: &[u8; HEADER], packed: &[u8]) -> Option<Vec<u8>> {
        if checksum(front.get(..HEADER - 4)?, packed) != self.crc {
            return None;
        }
        let raw = lz4_flex::block::decompress(packed, self.raw_len as usize).ok()?;
        (raw.len() == self.raw_len as usize).then_some(raw)
    }
}
