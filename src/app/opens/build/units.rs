//! Units and containers, with the programs that open the most of each; the programs of one.

use hashbrown::{HashMap, HashSet};

use super::common::Commonness;
use super::programs::{SCALED_BY, files_of_group, programs_of, rows_in_order};
use super::under::{auto_under, rows_under};
use crate::app::opens::filter::Choose;
use crate::app::opens::rank::{Ranked, order, take_in_order};
use crate::app::opens::row::{ProgramRow, Row, UnitRow};
use crate::app::opens::{OpensPane, OpensSort};
use crate::model::field::opens::Measures;
use crate::model::io_history::Counting;
use crate::model::opens::{IoState, Place};

/// All units and containers with a program that matches.
pub(super) fn units(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let groups = choose.opens.groups(choose.cgroups);
    let of = groups.iter().filter(|g| g.evicted == 0 && g.processes > 0);
    pane.of = of.map(|g| &g.key.place).collect::<HashSet<_>>().len();
    pane.programs = rows_in_order(pane, choose, groups);
    pane.units = in_order(pane, choose.opens.io(), by_place(&pane.programs));
    pane.matched = pane.units.iter().filter(|unit| unit.evicted == 0).count();
    let past =
        |unit: &UnitRow| unit.past(Counting::Opens, &pane.programs, choose.opens, choose.now, 59);
    let peak = |unit: &UnitRow| past(unit).into_iter().max().unwrap_or(0);
    pane.most = pane.units.iter().take(SCALED_BY).map(peak).max().unwrap_or(0);
    put_rows(pane, choose, room);
}

/// The programs of the open unit.
pub(super) fn unit(pane: &mut OpensPane, choose: &Choose<'_>, place: &Place, room: usize) {
    let mut groups = choose.opens.groups(choose.cgroups);
    groups.retain(|group| group.key.place == *place);
    programs_of(pane, choose, groups, room);
    pane.units = by_place(&pane.programs);
}

/// Adds up the traffic of programs for their units.
pub(super) fn sum_up_units(pane: &mut OpensPane) {
    for unit in &mut pane.units {
        unit.traffic = None;
        for traffic in unit.programs.iter().filter_map(|at| pane.programs.get(*at)?.traffic) {
            unit.traffic.get_or_insert_default().merge(&traffic);
        }
    }
}

/// The sums of programs in one place, in no order; each has its programs in the order of `programs`.
fn by_place(programs: &[ProgramRow]) -> Vec<UnitRow> {
    let mut units: Vec<UnitRow> = Vec::new();
    let mut by_place: HashMap<&Place, usize> = HashMap::new();
    for (at, program) in programs.iter().enumerate() {
        let place = &program.group.key.place;
        let unit = *by_place.entry(place).or_insert_with(|| {
            units.push(UnitRow::new(&program.group));
            units.len() - 1
        });
        if let Some(unit) = units.get_mut(unit) {
            unit.add(at, program);
        }
    }
    units
}

fn in_order(pane: &OpensPane, io: &IoState, units: Vec<UnitRow>) -> Vec<UnitRow> {
    let sort = pane.sort();
    let names: Vec<_> = units.iter().map(UnitRow::name).collect();
    let mut items = Vec::with_capacity(units.len());
    for (at, (unit, name)) in units.iter().zip(&names).enumerate() {
        let (recent, traffic) = (unit.recent, unit.traffic);
        let measures =
            Measures { recent, traffic, ..Measures::of(&unit.tally, unit.rate).with_io(io) };
        items.push(Ranked {
            class: u8::from(unit.evicted > 0),
            weight: sort.weigh(&measures),
            name,
            id: unit.id,
            what: at,
        });
    }
    order(&mut items, sort == OpensSort::Name, pane.reverse);
    let at: Vec<usize> = items.into_iter().map(|item| item.what).collect();
    drop(names);
    take_in_order(units, &at)
}

/// The rows of units, in their order, with programs below them.
fn put_rows(pane: &mut OpensPane, choose: &Choose<'_>, room: usize) {
    let common = Commonness::of(choose.opens);
    let busy = pane.units.iter().filter(|unit| unit.is_busy()).count();
    pane.auto_under = auto_under(busy, 1, room, pane.auto_under);
    let under = pane.under.unwrap_or(pane.auto_under);
    for at in 0..pane.units.len() {
        let id = pane.id(Row::Unit(at));
        let Some(unit) = pane.units.get(at) else { break };
        let n = rows_under(pane, id, under, unit.is_busy(), room);
        let shown: Vec<usize> = unit.programs.iter().copied().take(n).collect();
        pane.rows.push(Row::Unit(at));
        for at in shown {
            if let Some(program) = pane.programs.get_mut(at) {
                let members = &program.group.members;
                let files = files_of_group(choose, &common, members, OpensSort::Rate, false);
                program.top = files.first().filter(|f| common.class(f.path) == 0).cloned();
            }
            pane.rows.push(Row::ProgramUnderUnit(at));
        }
    }
}
