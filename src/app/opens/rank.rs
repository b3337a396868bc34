//! The order of rows.

use std::cmp::Ordering;

/// A row with the values that its place depends on.
pub(super) struct Ranked<'a, T> {
    /// Rows of a higher class come after all others, whatever the order.
    pub(super) class: u8,
    /// Larger first; the second number decides among equal first ones.
    pub(super) weight: (u64, u64),
    pub(super) name: &'a [u8],
    pub(super) id: u64,
    pub(super) what: T,
}

/// Names ascend, numbers descend. Equal rows are ordered by what does not change, so that they do not
/// change places without a reason.
pub(super) fn order<T>(items: &mut [Ranked<'_, T>], by_name: bool, reverse: bool) {
    let compare = |a: &Ranked<'_, T>, b: &Ranked<'_, T>| {
        let first = if by_name { a.name.cmp(b.name) } else { Ordering::Equal };
        first.then(b.weight.cmp(&a.weight)).then_with(|| a.id.cmp(&b.id))
    };
    items.sort_unstable_by(|a, b| {
        let by_order = if reverse { compare(b, a) } else { compare(a, b) };
        a.class.cmp(&b.class).then(by_order)
    });
}

/// The rows in the order of these indexes.
pub(super) fn take_in_order<T>(rows: Vec<T>, at: &[usize]) -> Vec<T> {
    let mut rows: Vec<Option<T>> = rows.into_iter().map(Some).collect();
    at.iter().filter_map(|at| rows.get_mut(*at)?.take()).collect()
}
