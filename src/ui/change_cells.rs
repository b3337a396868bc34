//! The cells of changes of files.

use super::opens_data::Ctx;
use super::text::{Line, cells, middle};
use crate::app::opens::Row;
use crate::model::errno::errno_name;
use crate::model::escape::escape;
use crate::model::file_change::{FileChange, Name};

fn event<'a>(c: &Ctx<'a>, row: Row) -> Option<&'a FileChange> {
    match row {
        Row::Change(number) => c.change(number),
        _ => None,
    }
}

pub(super) fn pid(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    match event(c, row) {
        Some(event) => {
            let ended = c.process_of(row).is_none_or(|p| p.ended.is_some());
            let style = if ended { c.look.theme.quiet } else { c.look.theme.text };
            line.put_right(&event.key.tgid.to_string(), style);
        }
        // Rows are those of the last tick.
        None => {
            line.put_right("evicted", c.look.theme.quiet);
        }
    }
}

pub(super) fn thread(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(event) = event(c, row) {
        line.put_bytes(event.comm.as_bytes(), c.look.glyphs.cut, c.look.theme.text);
    }
}

pub(super) fn op(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    if let Some(event) = event(c, row) {
        line.put(event.op.name(), c.look.theme.strong);
    }
}

pub(super) fn result(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    match event(c, row).map(|event| event.errno) {
        Some(Some(errno)) => line.put(&errno_name(errno), c.look.theme.bad),
        Some(None) => line.put("ok", c.look.theme.quiet),
        None => line,
    };
}

/// The path; of two both, the first in half of the room or in what the second leaves.
pub(super) fn path(c: &Ctx<'_>, row: Row, line: &mut Line<'_>) {
    let Some(event) = event(c, row) else { return };
    let (theme, glyphs) = (c.look.theme, c.look.glyphs);
    let text = |name: &Name| escape(name.best().unwrap_or(b"?")).into_owned();
    let path = text(&event.path);
    if !event.has_to() {
        line.put(&middle(&path, line.room(), glyphs.cut), theme.text);
        return;
    }
    let (arrow, to) = (format!(" {} ", glyphs.into), text(&event.to));
    let room = line.room().saturating_sub(cells(&arrow));
    let half = (room / 2).max(room.saturating_sub(cells(&to)));
    line.put(&middle(&path, half, glyphs.cut), theme.text).put(&arrow, theme.quiet);
    line.put(&middle(&to, line.room(), glyphs.cut), theme.text);
}
