//! Columns as data: which fit, and how wide they are.

/// One column of a table; `F` writes the cell of a row, `S` is what rows can be ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Column<F, S> {
    pub header: &'static str,
    /// The least it makes sense with.
    pub min: u16,
    /// The most it makes sense with; what is left over is shared among those that can grow.
    pub max: u16,
    /// Numbers stand at the right.
    pub right: bool,
    /// 0 stays always; the highest goes first when it gets narrow.
    pub priority: u8,
    /// What a click on the header orders by.
    pub sort: Option<S>,
    pub cell: F,
}

/// A column's place: from the left edge, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which column of the table.
    pub index: usize,
    pub x: u16,
    pub width: u16,
}

/// Cells between columns.
const GAP: u16 = 1;

/// Those of `columns` that the configuration chose, in its order; all where it chose none of them.
pub fn chosen<F: Copy, S: Copy>(
    columns: &[Column<F, S>],
    names: Option<&Vec<&'static str>>,
) -> Vec<Column<F, S>> {
    let named = |name: &&str| columns.iter().find(|c| c.header == *name).copied();
    let chosen: Vec<_> = names.into_iter().flatten().filter_map(named).collect();
    if chosen.is_empty() { columns.to_vec() } else { chosen }
}

/// The names of columns in the configuration: their headers.
pub fn names<F, S>(columns: &[Column<F, S>]) -> Vec<&'static str> {
    columns.iter().map(|c| c.header).collect()
}

/// Places for the columns that fit into `width`.
pub fn fit<F, S>(columns: &[Column<F, S>], width: u16) -> Vec<Place> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let min = |i: &usize| columns.get(*i).map_or(0, |c| c.min);
    let max = |i: &usize| columns.get(*i).map_or(0, |c| c.max);
    let needs = |shown: &[usize]| -> u32 {
        let gaps = u32::from(GAP) * shown.len().saturating_sub(1) as u32;
        shown.iter().map(|i| u32::from(min(i))).sum::<u32>() + gaps
    };
    while needs(&shown) > u32::from(width) && shown.len() > 1 {
        let priority = |(_, i): &(usize, &usize)| columns.get(**i).map_or(0, |c| c.priority);
        let Some((at, _)) = shown.iter().enumerate().max_by_key(priority) else { break };
        shown.remove(at);
    }
    let mut widths: Vec<u16> = shown.iter().map(min).collect();
    let mut spare = u32::from(width).saturating_sub(needs(&shown));
    while spare > 0 {
        let mut grown = false;
        for (w, i) in widths.iter_mut().zip(&shown) {
            // What stays always says most: it grows four times as fast.
            let step = if columns.get(*i).is_some_and(|c| c.priority == 0) { 4 } else { 1 };
            let more =
                step.min(max(i).saturating_sub(*w)).min(u16::try_from(spare).unwrap_or(step));
            *w += more;
            spare -= u32::from(more);
            grown |= more > 0;
        }
        if !grown {
            break;
        }
    }
    let mut x = 0;
    let mut places = Vec::with_capacity(shown.len());
    for (index, w) in shown.into_iter().zip(widths) {
        let w = w.min(width.saturating_sub(x));
        places.push(Place { index, x, width: w });
        x = x.saturating_add(w).saturating_add(GAP);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(min: u16, max: u16, priority: u8) -> Column<(), ()> {
        Column { header: "", min, max, right: false, priority, sort: None, cell: () }
    }

    #[test]
    fn the_least_important_goes_first_and_the_rest_grows() {
        let columns = [column(5, 5, 1), column(10, 40, 0), column(8, 8, 2)];
        let of = |w| fit(&columns, w).iter().map(|p| (p.index, p.x, p.width)).collect::<Vec<_>>();
        assert_eq!(of(30), [(0, 0, 5), (1, 6, 15), (2, 22, 8)]);
        assert_eq!(of(20), [(0, 0, 5), (1, 6, 14)]);
        assert_eq!(of(12), [(1, 0, 12)]);
        assert_eq!(of(3), [(1, 0, 3)]);
        assert_eq!(of(0), [(1, 0, 0)]);
    }

    proptest::proptest! {
        #[test]
        fn columns_stay_in_their_place(
            sizes in proptest::collection::vec((0u16..20, 0u16..60, 0u8..5), 1..9), width in 0u16..300,
        ) {
            let columns: Vec<_> = sizes.iter().map(|(a, b, p)| column(*a, *b, *p)).collect();
            let mut end = 0;
            for (n, place) in fit(&columns, width).iter().enumerate() {
                proptest::prop_assert!(n == 0 || place.x >= end);
                end = place.x + place.width;
                proptest::prop_assert!(end <= width || place.width == 0);
            }
        }
    }
}
