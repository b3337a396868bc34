//! A failure for people: what failed, why, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure with its reason and remedy, shown in a pane, on stderr, and by `doctor`.
///
/// The texts are ours or already escaped; they go to the terminal as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The operation that failed, `watch eth7`.
    pub what: String,
    /// The reason, `no such interface`.
    pub why: String,
    /// The remedy, `choose one with -i: eth0, lo`; empty if there is none.
    pub fix: String,
}

impl Problem {
    /// A problem from its three parts.
    pub fn new(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), fix: fix.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_one_sentence() {
        let full = Problem::new("watch eth7", "no such interface", "choose another with -i");
        assert_eq!(full.to_string(), "watch eth7: no such interface; choose another with -i");
        assert_eq!(Problem::new("a", "b", "").to_string(), "a: b");
    }
}
