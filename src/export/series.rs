//! Counters as scrapers see them: a series begins at 0, and increments that no scrape has seen are
//! known, so that nothing is lost or counted twice by `increase()`.

/// Whether a reader has seen the last snapshot: a scrape, the text file, or the receiver of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Yes,
    No,
    /// It, or an earlier one, waits to be sent or was accepted in part: the receiver may have it.
    Maybe,
}

/// A counter, its value in the last snapshot, and its value in the last snapshot that was scraped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    value: u64,
    published: Option<u64>,
    scraped: Option<u64>,
}

impl Counter {
    /// A counter that is published at 0 before anything was counted.
    pub const ZERO: Self = Self { value: 0, published: Some(0), scraped: None };

    /// Counts.
    pub fn add(&mut self, n: u64) {
        self.value = self.value.saturating_add(n);
    }

    /// The count.
    pub fn value(self) -> u64 {
        self.value
    }

    /// Whether a scrape has seen it.
    pub fn is_known(self) -> bool {
        self.scraped.is_some()
    }

    /// The last snapshot was scraped.
    pub fn scraped(&mut self) {
        self.scraped = self.published.or(self.scraped);
    }

    /// The value for the next snapshot: 0 until a scrape has seen the series, `None` while there is
    /// nothing to publish.
    pub fn publish(&mut self) -> Option<u64> {
        self.published = match (self.scraped, self.value) {
            (None, 0) => self.published,
            (None, _) => Some(0),
            (Some(_), value) => Some(value),
        };
        self.published
    }

    /// Whether the last snapshot has the series at 0, although something was counted.
    pub fn is_held_back(self) -> bool {
        self.published == Some(0) && self.value > 0
    }

    /// Increments that no scrape has seen.
    pub fn unseen(self) -> u64 {
        self.value.saturating_sub(self.scraped.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_begins_at_0_and_stays_there_until_it_was_scraped() {
        let mut counter = Counter::default();
        assert_eq!(counter.publish(), None);
        counter.scraped();
        counter.add(7);
        assert_eq!((counter.publish(), counter.is_held_back()), (Some(0), true));
        // Published once more without a scrape.
        counter.add(1);
        assert_eq!(counter.publish(), Some(0));
        counter.scraped();
        assert_eq!((counter.publish(), counter.unseen()), (Some(8), 8));
        assert!(!counter.is_held_back());
        counter.scraped();
        counter.add(2);
        assert_eq!((counter.publish(), counter.unseen()), (Some(10), 2));
        let mut zero = Counter::ZERO;
        zero.add(3);
        assert_eq!(zero.publish(), Some(0));
        assert_eq!({ Counter::ZERO }.publish(), Some(0));
    }
}
