//! Device features that attaching changed, put back when we detach.

use super::links::{Links, Row};
use crate::sys::ethtool::Feature;

/// A feature that was different before we attached.
#[derive(Debug)]
struct Changed {
    before: Feature,
    after: Feature,
}

/// What one interface's features were, and what attaching made of them.
#[derive(Debug, Default)]
pub(super) struct Features {
    before: Vec<Feature>,
    changed: Vec<Changed>,
}

impl Features {
    /// To be called right before attaching.
    pub(super) fn before(&mut self, links: &Links, row: &Row) {
        self.before = links.ethtool.features(&row.raw_name).unwrap_or_default();
    }

    /// To be called right after: remembers what changed.
    pub(super) fn after(&mut self, links: &Links, row: &Row) {
        let after = links.ethtool.features(&row.raw_name).unwrap_or_default();
        let changed = std::mem::take(&mut self.before)
            .into_iter()
            .zip(after)
            .filter(|(before, after)| before.requested != after.requested);
        self.changed.extend(changed.map(|(before, after)| Changed { before, after }));
    }

    /// Whether anything is to be put back.
    pub(super) fn changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// To be called after detaching. What somebody else has changed since is left alone.
    pub(super) fn restore(&mut self, links: &Links, row: &Row) {
        if self.changed.is_empty() {
            return;
        }
        let now = links.ethtool.features(&row.raw_name).unwrap_or_default();
        for Changed { before, after } in self.changed.drain(..) {
            let untouched =
                now.iter().any(|f| f.bit == after.bit && f.requested == after.requested);
            if !untouched {
                continue;
            }
            if let Err(e) = links.ethtool.set_feature(&row.raw_name, before.bit, before.requested) {
                tracing::warn!("{} of {:?} cannot be put back: {e}", before.name, row.raw_name);
            }
        }
    }
}
