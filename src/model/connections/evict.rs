//! Eviction: which entries go when a table is full, and where their sums go.

use super::Connections;
use crate::model::time::Mono;

impl Connections {
    /// Keeps the tables within their bounds. Traffic of an evicted process stays in the sums.
    pub(super) fn evict_quiet(&mut self) {
        let evicted = &mut self.evicted;
        if let Some(before) =
            quietest(self.pairs.iter().map(|(_, p)| p.last), self.pairs.len(), self.bounds.pairs)
        {
            let processes = &mut self.processes;
            self.pairs.evict(
                |pair| pair.last <= before,
                |pair| {
                    *evicted += 1;
                    if let Some(net) = processes.row_mut(pair.key) {
                        net.peers = net.peers.saturating_sub(1);
                    }
                },
            );
        }
        let last = self.processes.iter().map(|(_, net)| net.last);
        let len = self.processes.len();
        if let Some(before) = quietest(last, len, self.bounds.processes) {
            let other = &mut self.other;
            self.processes.evict(
                |net| net.last <= before,
                |net| {
                    *evicted += 1;
                    *other += net.total;
                },
            );
        }
    }
}

/// The time up to which entries are evicted where there are more than `most`: an eighth of them.
fn quietest(last: impl Iterator<Item = Mono>, len: usize, most: usize) -> Option<Mono> {
    if len <= most {
        return None;
    }
    let mut last: Vec<Mono> = last.collect();
    let nth = (len - most + most / 8).min(last.len() - 1);
    Some(*last.select_nth_unstable(nth).1)
}
