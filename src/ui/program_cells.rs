//! The cells of programs, and of the processes and files below them.

use ratatui::style::Style;

use super::opens_data::{Ctx, UNDER};
use super::text::{Line, cells};
use super::{file_cells, num};
use crate::app::opens::{ProgramRow, Row};
use crate::app::related::MAX_USERS;
use crate::model::errno::errno_name;
use crate::model::opens::Tally;
use crate::model::slab::Slot;

/// A row under a program, over all columns up to this one; false for other rows.
pub(super) fn below_program(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) -> bool {
    if !matches!(row, Row::FileUnderProgram(_) | Row::ProcessUnderProgram(_) | Row::Common(_)) {
        return false;
    }
    line.take_back(UNDER);
    match row {
        Row::FileUnderProgram(_) => file_cells::file(c, row, line),
        Row::ProcessUnderProgram(slot) => process_below(c, slot, line),
        _ => file_cells::common_files(c, row, line),
    }
    true
}

/// The mark of a row to whose processes the selected row of the other pane belongs.
pub(super) fn mark_lit(c: &Ctx<'_>, mut members: impl Iterator<Item = Slot>, line: &mut Line<'_>) {
    let is_lit = |slot| c.process(slot).is_some_and(|p| c.app.is_lit_process(p.key));
    if members.any(is_lit) {
        line.put(c.look.glyphs.lit, c.look.theme.key);
    } else {
        line.skip(1);
    }
}

/// The marks `new` and `ended` of a row for several processes; the style of its name, which is dim when it went
/// quiet.
pub(super) fn head(
    c: &Ctx<'_>,
    tally: &Tally,
    (is_active, is_busy): (bool, bool),
    living: usize,
    line: &mut Line<'_>,
) -> Style {
    let theme = c.look.theme;
    if c.is_new(tally) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    if living == 0 && !is_busy {
        line.put_right("ended", theme.quiet).skip_right(1);
    }
    match (is_active, is_busy) {
        (true, _) => theme.strong,
        (false, true) => theme.text,
        (false, false) => theme.quiet,
    }
}

/// Name and number of processes, or the pid of the only one; below it files and processes.
pub(super) fn program(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    if below_program(c, row, line) {
        return;
    }
    if row == Row::Ended {
        return ended(c, line);
    }
    let Row::Program(at) = row else { return };
    let Some(p) = c.program(at) else { return };
    mark_lit(c, p.group.members.iter().take(MAX_USERS).copied(), line);
    if p.group.evicted > 0 {
        return evicted(c, p.group.evicted, line);
    }
    let style = head(c, &p.tally, (p.is_active(), p.is_busy()), p.living, line);
    let beside = beside_name(c, p);
    let name = p.group.key.name;
    line.put_bytes(name.as_bytes(), glyphs.cut, style);
    if line.room() > cells(&beside) {
        line.skip(1).put(&beside, theme.quiet);
    }
    if !c.app.opens_pane.inline && p.files > 0 {
        let files = if p.files == 1 { "file" } else { "files" };
        let text = format!("{} {files}", num::grouped(p.files as u64));
        line.skip(2).put_right(&text, theme.quiet);
    }
}

/// The number of a program's processes, or the pid of the only one.
pub(super) fn beside_name(c: &Ctx<'_>, p: &ProgramRow) -> String {
    match p.single.and_then(|s| c.process(s)) {
        Some(process) => process.key.tgid.to_string(),
        None => format!("{}{}", c.look.glyphs.times, num::count(p.group.processes, 6)),
    }
}

/// The name of the row of programs that ended and opened nothing in the last minute.
fn ended(c: &Ctx<'_>, line: &mut Line<'_>) {
    let pane = &c.app.opens_pane;
    let sign = if pane.folds.get(&pane.id(Row::Ended)) == Some(&true) { "-" } else { "+" };
    let programs = if pane.ended.programs == 1 { "program" } else { "programs" };
    let n = num::grouped(pane.ended.programs as u64);
    line.put(&format!("{sign} {n} {programs} ended"), c.look.theme.quiet);
}

/// The name of the row of evicted programs.
pub(super) fn evicted(c: &Ctx<'_>, n: u64, line: &mut Line<'_>) {
    let programs = if n == 1 { "program" } else { "programs" };
    line.put(&format!("{} evicted {programs}", num::grouped(n)), c.look.theme.quiet);
}

/// A process under its program.
pub(super) fn process_below(c: &Ctx<'_>, slot: Slot, line: &mut Line<'_>) {
    let (theme, Some(p)) = (c.look.theme, c.process(slot)) else { return };
    let style = if p.ended.is_some() { theme.quiet } else { theme.text };
    line.put(&format!("process {}", p.key.tgid), style);
    if let Some(at) = p.ended {
        let age = num::age(c.app.shown_at().since(at));
        line.skip(1).put(&format!("ended {age} ago"), theme.quiet);
    }
}

/// The service or container of a program.
pub(super) fn unit(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if below_program(c, row, line) {
        return;
    }
    let Row::Program(i) = row else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let Some(group) = c.program(i).map(|p| &p.group) else { return };
    match (&group.container, group.key.place.unit()) {
        (Some(names), _) => line.put_path(names.label().as_bytes(), glyphs.cut, theme.quiet),
        (None, Some(unit)) => line.put_bytes(unit.name, glyphs.cut, theme.quiet),
        (None, None) => line.put(glyphs.none, theme.quiet),
    };
}

/// The file of a program that matters most.
pub(super) fn top_file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if below_program(c, row, line) {
        return;
    }
    let Row::Program(i) = row else { return };
    let theme = c.look.theme;
    let Some(p) = c.program(i) else { return };
    let Some((top, path)) = p.top.as_ref().and_then(|top| Some((top, c.path(top.path)?))) else {
        let files = if p.files == 1 { "file" } else { "files" };
        let common = if p.all_common { "common " } else { "" };
        if p.files > 0 {
            line.put(&format!("{} {common}{files}", num::grouped(p.files as u64)), theme.quiet);
        }
        return;
    };
    if top.last_ret < 0 {
        line.put(&errno_name(top.last_ret.saturating_neg()), theme.bad).skip(1);
    }
    let style = if p.is_active() { theme.text } else { theme.quiet };
    line.put_path(&path.label(), c.look.glyphs.cut, style);
}
