//! A failure for people: what failed, why, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What failed, why, and what to do about it. Shown in a pane, on stderr, and by `doctor`.
///
/// The texts are ours or already escaped; they go to the terminal as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What could not be done, `watch eth7`.
    pub what: String,
    /// Why, `no such interface`.
    pub why: String,
    /// What to do, `choose one with -i: eth0, lo`. Empty when there is nothing to be done.
    pub fix: String,
}

impl Problem {
    /// A problem with all three parts.
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
