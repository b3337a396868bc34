//! The interfaces to watch: the user's choice, resolved against those that exist.

use super::choose;
use super::interface::Row;
use super::links::Links;
use crate::model::interface_name::InterfaceName;
use crate::model::link::Choice;
use crate::model::problem::Problem;

/// The interfaces to watch.
#[derive(Clone, Debug)]
pub(super) enum Target {
    All,
    /// Followed by its index, so that a rename changes nothing; by name once it was deleted.
    One {
        ifindex: u32,
        name: InterfaceName,
    },
}

/// Resolves a choice against the interfaces that exist now.
pub(super) fn resolve(links: &Links, choice: &Choice) -> Result<Target, Problem> {
    let one = |row: &Row| Target::One { ifindex: row.link.ifindex, name: row.link.name.clone() };
    match choice {
        Choice::All => Ok(Target::All),
        Choice::Default => links.default().map(one).ok_or_else(|| {
            Problem::new("choose an interface", "this network namespace has none", "")
        }),
        Choice::Named(name) => links
            .find(name)
            .map(one)
            .ok_or_else(|| choose::unknown(name, links.rows.iter().map(|r| &r.link.name))),
    }
}
