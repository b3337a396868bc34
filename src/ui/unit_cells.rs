//! The cells of units and containers, and of the programs below them.

use super::opens_data::{Ctx, UNDER};
use super::text::{Line, cells};
use super::{num, program_cells};
use crate::app::opens::{ProgramRow, Row, UnitRow};
use crate::model::errno::errno_name;

/// Name and number of programs; below it a program with the file that matters most.
pub(super) fn unit(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    match row {
        Row::Unit(at) => {
            if let Some(unit) = c.unit(at) {
                whole(c, at, unit, line);
            }
        }
        Row::ProgramUnderUnit(at) => {
            if let Some(program) = c.program(at) {
                below(c, program, line);
            }
        }
        _ => {}
    }
}

fn whole(c: &Ctx<'_>, at: usize, unit: &UnitRow, line: &mut Line<'_>) {
    let (theme, glyphs, pane) = (c.look.theme, c.look.glyphs, &c.app.opens_pane);
    program_cells::mark_lit(c, pane.members_of_unit(at), line);
    if unit.evicted > 0 {
        return program_cells::evicted(c, unit.evicted, line);
    }
    let style =
        program_cells::head(c, &unit.tally, (unit.is_active(), unit.is_busy()), unit.living, line);
    line.put_bytes(&unit.name(), glyphs.cut, style);
    let n = unit.programs.len() as u64;
    let programs = if n == 1 { "program" } else { "programs" };
    line.skip(2).put_right(&format!("{} {programs}", num::grouped(n)), theme.quiet);
}

fn below(c: &Ctx<'_>, program: &ProgramRow, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    line.skip(UNDER);
    if program.group.evicted > 0 {
        return program_cells::evicted(c, program.group.evicted, line);
    }
    let style = if program.is_active() { theme.text } else { theme.quiet };
    line.put_bytes(program.group.key.name.as_bytes(), glyphs.cut, style);
    let beside = program_cells::beside_name(c, program);
    if line.room() > cells(&beside) {
        line.skip(1).put(&beside, theme.quiet);
    }
    let Some((top, path)) = program.top.as_ref().and_then(|top| Some((top, c.path(top.path)?)))
    else {
        return;
    };
    line.skip(2);
    if top.last_ret < 0 {
        line.put(&errno_name(top.last_ret.saturating_neg()), theme.bad).skip(1);
    }
    if line.room() > 8 {
        line.put_path(&path.label(), glyphs.cut, theme.quiet);
    }
}
