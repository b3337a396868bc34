//! The cells of files, directories and failures.

use ratatui::style::Style;

use super::change_cells;
use super::look::outcome;
use super::num;
use super::opens_data::{Ctx, is_below};
use super::text::Line;
use crate::app::opens::Row;
use crate::model::errno::errno_name;

pub(super) fn file(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let Some(path) = c.path_at(row) else {
        let is_unknown = matches!(row, Row::Live(n) if c.live(n).is_some_and(|l| l.path.is_none()));
        // Rows are those of the last tick; a path may have been evicted since.
        line.put(if is_unknown { "(no path)" } else { "evicted" }, theme.quiet);
        return;
    };
    if c.tally(row).is_some_and(|(t, _)| c.is_new(t)) {
        line.put_right("new", theme.fresh).skip_right(1);
    }
    let style: Style = if is_below(row) || c.is_common(row) { theme.quiet } else { theme.text };
    if path.is_rest() {
        line.put_path(&path.label(), glyphs.cut, theme.quiet);
        return;
    }
    let others = c.shown.iter().filter_map(|row| c.path_of(*row));
    line.put_path_apart(&path.bytes, others, glyphs.cut, style);
}

pub(super) fn result(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Change(_) = row {
        return change_cells::result(c, row, line);
    }
    if let Some(ret) = c.last_ret(row) {
        outcome(c.look, ret, line);
    }
}

pub(super) fn users(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::Path(slot) = row
        // Of several evicted files the number of processes is not known.
        && let Some(p) = c.path(slot).filter(|p| !p.is_rest())
    {
        let users = c.share(slot).map_or_else(|| c.app.opens().users_of(p), |s| s.users);
        put_distinct(c, line, users as u64, c.app.opens().has_evicted_users(p), users < 2);
    }
}

pub(super) fn dir(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let path = match row {
        Row::Dir(i) => c.dir(i).map(|d| &d.path),
        Row::FailureGroup(i) => c.fail(i).map(|f| &f.dir),
        _ => None,
    };
    if let Some(path) = path {
        line.put_path(path, c.look.glyphs.cut, c.look.theme.text);
    }
}

/// The parent of the processes of failures; of several one, and how many more.
pub(super) fn parent(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::FailureGroup(i) = row else { return };
    let Some(f) = c.fail(i) else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    match f.parents.as_slice() {
        [] => {
            let ppid = c.process(f.process).map_or(0, |p| p.ppid);
            let text = if ppid > 0 { format!("pid {ppid}") } else { glyphs.none.into() };
            line.put(&text, theme.quiet);
        }
        [first, rest @ ..] => {
            if !rest.is_empty() {
                line.put_right(&format!("+{}", rest.len()), theme.quiet).skip_right(1);
            }
            line.put_bytes(first.as_bytes(), glyphs.cut, theme.text);
        }
    }
}

/// The path that failed; of several the directory.
pub(super) fn failed_path(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::FailureGroup(i) = row else { return };
    let Some(f) = c.fail(i) else { return };
    match c.path(f.path).filter(|_| f.files == 1) {
        Some(path) => line.put_path(&path.label(), c.look.glyphs.cut, c.look.theme.text),
        None => line.put_path(&f.dir, c.look.glyphs.cut, c.look.theme.text),
    };
}

pub(super) fn files(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let n = match row {
        Row::Dir(i) => c.dir(i).map(|d| (d.files, d.files_evicted)),
        Row::FailureGroup(i) => c.fail(i).map(|f| (f.files, f.files_evicted)),
        _ => None,
    };
    if let Some((n, at_most)) = n {
        put_distinct(c, line, n, at_most, true);
    }
}

/// A number of different things, which is a limit where some of them were evicted.
fn put_distinct(c: &Ctx<'_>, line: &mut Line<'_>, n: u64, at_most: bool, quiet: bool) {
    let sign = if at_most { c.look.glyphs.at_most } else { "" };
    let room = line.room().saturating_sub(super::text::cells(sign));
    c.number(line, &format!("{sign}{}", num::count(n, room).trim_start()), quiet);
}

pub(super) fn error(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Row::FailureGroup(i) = row
        && let Some(f) = c.fail(i)
    {
        line.put(&errno_name(f.errno), c.look.theme.bad);
    }
}

/// The file at which a search succeeded after failures; for many failures the number of files that
/// were found, and the directory of the last one. The word `elsewhere` where the path is evicted.
pub(super) fn found(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let (at, found, tried) = match row {
        Row::FailureGroup(i) => {
            let Some(f) = c.fail(i) else { return };
            (f.found_at.map(|(_, path)| path), f.found, f.tried)
        }
        Row::Failure(s) => {
            let found = c.app.opens_pane.found.get(&s);
            (found.copied().flatten(), u64::from(found.is_some()), 1)
        }
        _ => return,
    };
    if found == 0 {
        line.put(glyphs.none, theme.quiet);
        return;
    }
    let path = at.and_then(|s| c.path(s));
    if path.zip(c.path_of(row)).is_some_and(|(path, own)| *own == *path.bytes) {
        line.put("there, later", theme.text);
        return;
    }
    if found < tried {
        line.put(&format!("{found} of {tried} "), theme.quiet);
    }
    let Some(path) = path else {
        line.put("elsewhere", theme.text);
        return;
    };
    if tried == 1 {
        line.put_path(&path.label(), glyphs.cut, theme.text);
        return;
    }
    let end = path.bytes.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let dir = path.bytes.get(..end).filter(|d| !d.is_empty()).unwrap_or(b"/");
    line.put_path(dir, glyphs.cut, theme.text);
}

/// How many files nearly every program opens.
pub(super) fn common_files(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Row::Common(at) = row else { return };
    let Some(common) = c.common(at) else { return };
    let open = c.app.opens_pane.folds.get(&c.app.opens_pane.id(row)) == Some(&true);
    let sign = if open { "-" } else { "+" };
    let files = if common.files == 1 { "file" } else { "files" };
    let text = format!("{sign} {} common {files}", num::grouped(common.files as u64));
    line.put(&text, c.look.theme.quiet);
}
