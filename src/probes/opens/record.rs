//! Parts of records of the ring that opens and changes have in common: pure.

use crate::bpf::opens::types::resolved_kind;
use crate::model::open::ResolvedKind;

/// The longest path there is, without its NUL (`PATH_MAX`).
pub(super) const PATH_MAX: usize = 4095;

/// A record that cannot be what the program writes.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::probes) struct Malformed;

/// The head of a record, and the rest of it.
pub(super) fn head_and_texts<T: plain::Plain>(
    record: &[u8],
    head_bytes: usize,
) -> Result<(&T, &[u8]), Malformed> {
    let (head, texts) = record.split_at_checked(head_bytes).ok_or(Malformed)?;
    Ok((plain::from_bytes(head).map_err(|_| Malformed)?, texts))
}

/// The meaning of the name behind a key; `None` where it is not known.
pub(in crate::probes) fn kind_of(resolved: u8) -> Result<Option<ResolvedKind>, Malformed> {
    Ok(match resolved_kind(resolved.into()) {
        resolved_kind::RESOLVED_NONE => None,
        resolved_kind::RESOLVED_OPENED => Some(ResolvedKind::Opened),
        resolved_kind::RESOLVED_DELETED => Some(ResolvedKind::Deleted),
        resolved_kind::RESOLVED_TMPFILE => Some(ResolvedKind::Tmpfile),
        resolved_kind::RESOLVED_ANON => Some(ResolvedKind::Anon),
        resolved_kind::RESOLVED_TRIED => Some(ResolvedKind::Tried),
        _ => return Err(Malformed),
    })
}

/// The absolute prefix, `/`, the path as given; false where that is longer than a path can be.
pub(super) fn tried(text: &mut Vec<u8>, base: &[u8], path: &[u8]) -> bool {
    text.clear();
    if base != b"/" {
        text.extend_from_slice(base);
    }
    if path.first() != Some(&b'/') {
        text.push(b'/');
    }
    text.extend_from_slice(path);
    text.len() <= PATH_MAX
}
