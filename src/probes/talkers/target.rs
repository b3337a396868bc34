//! What is to be watched: a choice, resolved against the links there are.

use super::choose;
use super::links::{Links, Row};
use crate::model::link::Choice;
use crate::model::problem::Problem;

/// What is to be watched, resolved.
#[derive(Clone, Debug)]
pub(super) enum Target {
    All,
    /// Followed by its index, so a new name changes nothing; taken up by name when it returns.
    One {
        ifindex: u32,
        name: String,
    },
}

/// What a choice means with the links as they are.
pub(super) fn resolve(links: &Links, choice: &Choice) -> Result<Target, Problem> {
    let one = |row: &Row| Target::One { ifindex: row.link.ifindex, name: row.link.name.clone() };
    match choice {
        Choice::All => Ok(Target::All),
        Choice::Default => links.default().map(one).ok_or_else(|| {
            Problem::new("choose an interface", "this network namespace has none", "")
        }),
        Choice::Named(name) => links
            .by_name(name)
            .map(one)
            .ok_or_else(|| choose::unknown(name, links.rows.iter().map(|r| r.link.name.as_str()))),
    }
}
