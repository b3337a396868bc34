//! The shown columns of a table, those of them that fit, and their widths.

use crate::app::App;
use crate::model::field::conn_groups::{self, Grouping};
use crate::model::field::conns::{self, ConnsColumn, ConnsField};
use crate::model::field::listeners::{self, ListenersColumn};
use crate::model::field::opens::{BESIDE_FILE, OpensColumn, OpensField};
use crate::model::field::talkers::{self, TalkersColumn, TalkersField};
use crate::model::field::{Column, Need};

/// The place of a column: from the left edge, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The index of the column in the table.
    pub index: usize,
    pub x: u16,
    pub width: u16,
}

/// Cells between columns.
const GAP: u16 = 1;

/// The columns of the opens pane.
pub fn opens(app: &App) -> Vec<OpensColumn> {
    let pane = &app.opens_pane;
    let bytes = app.screen.units.bytes;
    let table = pane.table();
    let chosen = app.columns.get(table.name());
    let mut columns = shown(table.columns(), chosen, bytes, |need| pane.has(need));
    let program = |c: &&mut OpensColumn| c.field == OpensField::Program;
    if let Some(column) = columns.iter_mut().find(program).filter(|_| pane.inline) {
        let (min, max) = BESIDE_FILE;
        *column = column.sized(min, max, column.priority);
    }
    columns
}

/// The columns of the talkers pane. Addresses get more room while their names are shown.
pub fn talkers(app: &App) -> Vec<TalkersColumn> {
    let pane = &app.talkers_pane;
    let directions = pane.ways(app.wire());
    let has = |need| match need {
        Need::Origins => !app.origins.is_empty(),
        Need::Interfaces => pane.ports.len() > 1,
        Need::Connections => app.owners().is_some(),
        need => directions.has(need),
    };
    let bytes = app.screen.units.bytes;
    let mut columns = shown(&talkers::COLUMNS, app.columns.get(talkers::TABLE), bytes, has);
    let address = |c: &&mut TalkersColumn| c.field == TalkersField::Address;
    let room = match pane.names {
        true => Some(talkers::WITH_NAME),
        false => has_hostnames(app).then_some(talkers::WITH_ASKED_NAME),
    };
    if let (Some(column), Some((min, max))) = (columns.iter_mut().find(address), room) {
        *column = column.sized(min, max, column.priority);
    }
    columns
}

/// Whether there are names that processes asked for, or may be soon.
fn has_hostnames(app: &App) -> bool {
    app.owners().is_some_and(|owners| owners.hostnames.is_used())
}

/// The columns of the table of connections.
pub fn conns(app: &App) -> Vec<ConnsColumn> {
    let bytes = app.screen.units.bytes;
    let has = |need| match need {
        Need::Hostnames => has_hostnames(app),
        _ => true,
    };
    let table = &app.talkers_pane.conns;
    if table.grouping == Grouping::None {
        return shown(&conns::COLUMNS, app.columns.get(conns::TABLE), bytes, has);
    }
    let chosen = app.columns.get(conn_groups::TABLE);
    let mut columns = shown(&conn_groups::COLUMNS, chosen, bytes, |_| true);
    if table.unfolded.is_empty() {
        // Connections alone have these.
        columns.retain(|c| !matches!(c.field, ConnsField::State | ConnsField::Age));
    }
    for column in columns.iter_mut().filter(|c| c.field == ConnsField::Group) {
        column.header = table.grouping.header();
    }
    columns
}

/// The columns of the table of listeners.
pub fn listeners(app: &App) -> Vec<ListenersColumn> {
    shown(&listeners::COLUMNS, app.columns.get(listeners::TABLE), false, |_| true)
}

/// The columns that the configuration chose by their headers, in its order, or all of them; without
/// those that have no data.
fn shown<F: Copy, S: Copy>(
    table: &[Column<F, S>],
    headers: Option<&Vec<&'static str>>,
    bytes: bool,
    has: impl Fn(Need) -> bool,
) -> Vec<Column<F, S>> {
    let mut columns = table.to_vec();
    columns.retain(|c| c.needs.is_none_or(&has));
    let mut columns = chosen(&columns, headers);
    if bytes {
        columns.iter_mut().for_each(|c| *c = c.as_bytes());
    }
    columns
}

/// The columns that the configuration chose by their headers, in its order; all where it chose none
/// of them.
pub fn chosen<F: Copy, S: Copy>(
    columns: &[Column<F, S>],
    headers: Option<&Vec<&'static str>>,
) -> Vec<Column<F, S>> {
    let named = |header: &&str| columns.iter().find(|c| c.header == *header).copied();
    let chosen: Vec<_> = headers.into_iter().flatten().filter_map(named).collect();
    if chosen.is_empty() { columns.to_vec() } else { chosen }
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
            // Columns that always stay say most: they grow four times as fast.
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
    use crate::model::field::Unit;

    fn column(min: u16, max: u16, priority: u8) -> Column<(), ()> {
        Column {
            field: (),
            header: "",
            header_in_bytes: None,
            help: "",
            unit: Unit::Text,
            min,
            max,
            priority,
            sort: None,
            needs: None,
        }
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
