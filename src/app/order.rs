//! The order of a pane's rows, as keys and clicks on column headers change it.

/// The order after `current` among those offered; from the last one the first.
pub(super) fn next_of<S: Copy + PartialEq>(offered: &[S], current: S) -> Option<S> {
    let at = offered.iter().position(|s| *s == current).unwrap_or(0);
    offered.iter().cycle().nth(at + 1).copied()
}

/// Orders by `chosen`; choosing the `current` order again reverses it.
pub(super) fn choose<S: PartialEq>((sort, reverse): (&mut S, &mut bool), current: S, chosen: S) {
    *reverse = current == chosen && !*reverse;
    *sort = chosen;
}
