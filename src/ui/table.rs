//! A table: its header line, its rows, the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns::{Place, fit};
use super::glyphs::Glyphs;
use super::look::Look;
use super::text::Line;
use crate::model::field::{Column, PAST};
use crate::model::history::HISTORY_SECONDS;

/// Columns and order of a table.
pub struct Table<'a, F, S> {
    pub look: &'a Look,
    pub columns: &'a [Column<F, S>],
    pub sort: S,
    pub reverse: bool,
    pub focused: bool,
}

impl<F: Copy, S: Copy + PartialEq> Table<'_, F, S> {
    /// Cells before the first column.
    fn pad(&self, width: u16) -> u16 {
        pad(self.columns, width)
    }

    /// Draws the header line into the first line of `area`.
    pub fn header(&self, area: Rect, buf: &mut Buffer) {
        if area.height == 0 {
            return;
        }
        let (theme, glyphs) = (self.look.theme, self.look.glyphs);
        let area = shifted(area, self.pad(area.width));
        let mut marked = false;
        for place in fit(self.columns, area.width) {
            let Some(column) = self.columns.get(place.index) else { continue };
            // Of two columns with the same order the first shows it.
            let sorted = column.order() == Some(self.sort) && !marked;
            marked |= sorted;
            let mark = match (sorted, self.reverse) {
                (false, _) => "",
                (true, false) => glyphs.down,
                (true, true) => glyphs.up,
            };
            let style = if sorted { theme.sorted } else { theme.heading };
            let text = match column.header {
                PAST => format!("LAST {}s{mark}", seconds_in(glyphs, place.width)),
                header => format!("{header}{mark}"),
            };
            let mut line = Line::new(buf, cell(area, place, 0));
            if column.right() {
                line.put_right(&text, style);
            } else {
                line.put(&text, style);
            }
        }
    }

    /// Whether a column that `is_wanted` fits into `width`.
    pub fn shows(&self, width: u16, is_wanted: impl Fn(F) -> bool) -> bool {
        let places = fit(self.columns, width.saturating_sub(self.pad(width)));
        let mut columns = places.iter().filter_map(|place| self.columns.get(place.index));
        columns.any(|column| is_wanted(column.field))
    }

    /// Draws rows `first..` of `len` into `area`: `write` draws one cell.
    pub fn rows(
        &self,
        area: Rect,
        (first, len, cursor): (usize, usize, usize),
        buf: &mut Buffer,
        mut write: impl FnMut(&Column<F, S>, usize, &mut Line<'_>),
    ) {
        let cells = shifted(area, self.pad(area.width));
        let places = fit(self.columns, cells.width);
        for (y, row) in (0..area.height).zip(first..len) {
            for place in &places {
                let Some(column) = self.columns.get(place.index) else { continue };
                write(column, row, &mut Line::in_row(buf, cell(cells, *place, y), area.x));
            }
            if row == cursor && self.focused {
                select(self.look, Rect { y: area.y + y, height: 1, ..area }, buf);
            }
        }
    }
}

/// The seconds that a graph of so many cells shows.
fn seconds_in(glyphs: &Glyphs, width: u16) -> usize {
    glyphs.values_in(width.into()).min(HISTORY_SECONDS)
}

/// Marks a line as selected.
pub fn select(look: &Look, line: Rect, buf: &mut Buffer) {
    let style = if look.theme.flat_selection { Style::reset() } else { Style::new() };
    buf.set_style(line, style.patch(look.theme.selected));
}

/// Cells before the first of the columns that fit: one, where it is left-aligned.
fn pad<F: Copy, S: Copy>(columns: &[Column<F, S>], width: u16) -> u16 {
    let places = fit(columns, width.saturating_sub(1));
    let first = places.first().and_then(|place| columns.get(place.index));
    u16::from(first.is_some_and(|c| !c.right()))
}

fn shifted(area: Rect, by: u16) -> Rect {
    let by = by.min(area.width);
    Rect { x: area.x + by, width: area.width - by, ..area }
}

fn cell(area: Rect, place: Place, y: u16) -> Rect {
    Rect { x: area.x + place.x, y: area.y + y, width: place.width, height: 1 }.intersection(area)
}

/// The order of the column whose header is at `x`.
pub fn sort_at<F: Copy, S: Copy>(columns: &[Column<F, S>], width: u16, x: u16) -> Option<S> {
    let pad = pad(columns, width);
    let x = x.saturating_sub(pad);
    let places = fit(columns, width.saturating_sub(pad));
    let place = places.into_iter().find(|p| (p.x..=p.x + p.width).contains(&x))?;
    columns.get(place.index)?.order()
}
