//! The path as a program passed it, beside the one that the kernel resolved it to.
//!
//! Mostly it is the same, or the end of it (a relative path, a merged `/usr`), and then costs no
//! memory. A path that differs is kept for the last open of each use, within a budget of bytes.

/// The requested path, expressed by the resolved one where that is possible.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RequestedPath {
    /// The resolved path itself, or none that could be read.
    #[default]
    Same,
    /// The last so many bytes of it.
    End(u16),
    /// Another one.
    Other(Box<[u8]>),
}

impl RequestedPath {
    /// The path as passed, when `held` is the path it was resolved to.
    pub fn of<'a>(&'a self, held: &'a [u8]) -> &'a [u8] {
        match self {
            RequestedPath::Same => held,
            RequestedPath::End(len) => {
                { held.len().checked_sub(usize::from(*len)).and_then(|at| held.get(at..)) }
                    .unwrap_or(held)
            }
            RequestedPath::Other(path) => path,
        }
    }

    /// Bytes of memory that it takes of its own.
    pub(super) fn bytes(&self) -> usize {
        match self {
            RequestedPath::Other(path) => path.len(),
            RequestedPath::Same | RequestedPath::End(_) => 0,
        }
    }

    /// Takes over the path that the last open passed. A path that does not fit into `budget`, which
    /// `used` is counted against, is not kept.
    #[inline]
    pub(super) fn set(
        &mut self,
        passed: Option<&[u8]>,
        held: &[u8],
        used: &mut usize,
        budget: usize,
    ) {
        let Some(passed) = passed.filter(|p| !p.is_empty() && *p != held) else {
            return self.replace(RequestedPath::Same, used);
        };
        if held.ends_with(passed) {
            return self
                .replace(RequestedPath::End(u16::try_from(passed.len()).unwrap_or(0)), used);
        }
        if matches!(self, RequestedPath::Other(path) if **path == *passed) {
            return;
        }
        self.replace(RequestedPath::Same, used);
        if used.saturating_add(passed.len()) <= budget {
            self.replace(RequestedPath::Other(passed.into()), used);
        }
    }

    #[inline]
    fn replace(&mut self, with: RequestedPath, used: &mut usize) {
        if *self != with {
            *used = used.saturating_sub(self.bytes()).saturating_add(with.bytes());
            *self = with;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requested_paths_are_derived_from_resolved_ones() {
        let held = &b"/usr/lib/libc.so.6"[..];
        let mut used = 0;
        let mut given = RequestedPath::default();
        for (passed, is, bytes) in [
            (Some(held), RequestedPath::Same, 0),
            (None, RequestedPath::Same, 0),
            (Some(&b""[..]), RequestedPath::Same, 0),
            (Some(b"/lib/libc.so.6"), RequestedPath::End(14), 0),
            (Some(b"libc.so.6"), RequestedPath::End(9), 0),
            (Some(b"/opt/libc.so"), RequestedPath::Other(b"/opt/libc.so"[..].into()), 12),
            (Some(b"../x"), RequestedPath::Other(b"../x"[..].into()), 4),
            (Some(b"longer than there is room"), RequestedPath::Same, 0),
        ] {
            given.set(passed, held, &mut used, 20);
            assert_eq!((&given, used), (&is, bytes));
            let shown = passed.filter(|p| !p.is_empty() && p.len() <= 20).unwrap_or(held);
            assert_eq!(given.of(held), shown);
        }
        assert_eq!(RequestedPath::End(9).of(b"short"), b"short");
    }
}
