//! Device features that attaching changed, restored after detaching.

use super::interface::Row;
use super::links::Links;
use crate::sys::ethtool::Feature;

/// A feature that attaching changed.
#[derive(Debug)]
struct Changed {
    before: Feature,
    after: Feature,
}

/// The features of one interface before attaching, and those that it changed.
#[derive(Debug, Default)]
pub(super) struct Features {
    before: Vec<Feature>,
    changed: Vec<Changed>,
}

impl Features {
    /// Reads the features; to be called right before attaching.
    pub(super) fn before(&mut self, links: &Links, row: &Row) {
        self.before = links.ethtool.features(&row.link.name).unwrap_or_default();
    }

    /// Notes what attaching changed; to be called right after it.
    pub(super) fn after(&mut self, links: &Links, row: &Row) {
        let after = links.ethtool.features(&row.link.name).unwrap_or_default();
        let changed = std::mem::take(&mut self.before)
            .into_iter()
            .zip(after)
            .filter(|(before, after)| before.requested != after.requested);
        self.changed.extend(changed.map(|(before, after)| Changed { before, after }));
    }

    /// Whether there is anything to restore.
    pub(super) fn changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Restores them after detaching, but for those that another program has changed since.
    pub(super) fn restore(&mut self, links: &Links, row: &Row) {
        if self.changed.is_empty() {
            return;
        }
        let now = links.ethtool.features(&row.link.name).unwrap_or_default();
        for Changed { before, after } in self.changed.drain(..) {
            let untouched =
                now.iter().any(|f| f.bit == after.bit && f.requested == after.requested);
            if !untouched {
                continue;
            }
            if let Err(e) = links.ethtool.set_feature(&row.link.name, before.bit, before.requested)
            {
                tracing::warn!("{} of {} cannot be restored: {e}", before.name, row.link.name);
            }
        }
    }
}
