//! Writes changed cells so that a row stays straight where terminals disagree about widths.
//!
//! An emoji with a variation selector, a keycap, Indic letters: each terminal gives them another number
//! of cells. A row with such text is written again as a whole whenever it changes: first blanks, then
//! text in one piece up to the next blank, and the cursor is placed again after it. A terminal that
//! gives a text fewer cells leaves blanks behind it; one that gives it more has its end overwritten.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect, Size};
use unicode_width::UnicodeWidthStr;

/// A backend of ratatui, with a copy of what the screen shows.
#[derive(Debug)]
pub(super) struct Cells<W: Write> {
    inner: CrosstermBackend<W>,
    shown: Buffer,
    /// The rows that have text of uncertain width.
    uncertain: Vec<bool>,
}

impl<W: Write> Cells<W> {
    /// A writer for an empty screen of this size.
    pub(super) fn new(out: W, (width, height): (u16, u16)) -> Self {
        let shown = Buffer::empty(Rect::new(0, 0, width, height));
        let uncertain = vec![false; height.into()];
        Self { inner: CrosstermBackend::new(out), shown, uncertain }
    }

    /// The output, for bytes that are not cells.
    pub(super) fn out(&mut self) -> &mut impl Write {
        &mut self.inner
    }

    /// The cells of row `y` that begin a symbol: the second half of a wide one is left out.
    fn row(&self, y: u16) -> Vec<(u16, &Cell)> {
        let mut cells = Vec::with_capacity(self.shown.area.width.into());
        let mut x = 0;
        while let Some(cell) = self.shown.cell((x, y)) {
            cells.push((x, cell));
            x += u16::try_from(cell.symbol().width()).unwrap_or(1).max(1);
        }
        cells
    }

    /// Writes the whole of row `y`.
    fn write_row(&mut self, y: u16) -> io::Result<()> {
        let row: Vec<(u16, Cell)> =
            self.row(y).into_iter().map(|(x, cell)| (x, cell.clone())).collect();
        let blanks: Vec<Cell> = (0..self.shown.area.width)
            .filter_map(|x| self.shown.cell((x, y)).cloned())
            .map(|mut cell| {
                cell.set_symbol(" ");
                cell
            })
            .collect();
        self.inner.draw((0..).zip(&blanks).map(|(x, cell)| (x, y, cell)))?;
        let mut rest = row.as_slice();
        while let [(start, _), ..] = rest {
            let (piece, after) = rest.split_at(piece_len(rest));
            // Neighbours by number, so that the cursor is placed before the first alone.
            self.inner.draw((*start..).zip(piece).map(|(x, (_, cell))| (x, y, cell)))?;
            rest = after;
        }
        Ok(())
    }
}

/// How many cells can be written before the cursor is placed again: up to the first blank behind a
/// symbol of uncertain width.
fn piece_len(row: &[(u16, Cell)]) -> usize {
    let mut uncertain = false;
    row.iter()
        .position(|(_, cell)| {
            uncertain |= !is_certain(cell.symbol());
            uncertain && cell.symbol() == " "
        })
        .unwrap_or(row.len())
        .max(1)
}

/// Whether every terminal gives `symbol` as many cells as we do.
fn is_certain(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    match (chars.next().map(u32::from), chars.next()) {
        (None, _) => true,
        (Some(c), None) => matches!(
            c,
            // Latin, Greek, Cyrillic, Armenian; punctuation; arrows, lines, blocks, shapes, braille;
            // kana, CJK, Hangul.
            0..0x300 | 0x370..0x483 | 0x48a..0x590 | 0x2010..0x2028 | 0x2030..0x205f
            | 0x2190..0x2200 | 0x2500..0x2600 | 0x2800..0x2900
            | 0x3041..0x3097 | 0x30a0..0x3100 | 0x3400..0x4dc0 | 0x4e00..0xa000 | 0xac00..0xd7a4
        ),
        _ => false,
    }
}

impl<W: Write> Backend for Cells<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut changed = vec![false; self.uncertain.len()];
        let mut cells = Vec::new();
        for (x, y, cell) in content {
            if let (Some(shown), Some(row)) =
                (self.shown.cell_mut((x, y)), changed.get_mut(usize::from(y)))
            {
                shown.clone_from(cell);
                *row = true;
                cells.push((x, y, cell));
            }
        }
        let mut whole = Vec::new();
        for (y, row) in (0..).zip(&mut changed).filter(|(_, row)| **row) {
            let now = self.row(y).iter().any(|(_, cell)| !is_certain(cell.symbol()));
            let before = self.uncertain.get_mut(usize::from(y));
            // One that had such text is cleaned of what its terminal may have left.
            *row = before.is_some_and(|before| std::mem::replace(before, now) || now);
            if *row {
                whole.push(y);
            }
        }
        let is_whole = |y: u16| changed.get(usize::from(y)) == Some(&true);
        self.inner.draw(cells.into_iter().filter(|(_, y, _)| !is_whole(*y)))?;
        whole.into_iter().try_for_each(|y| self.write_row(y))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.inner.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.inner.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.inner.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.inner.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.shown.reset();
        self.inner.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.inner.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.shown.area.as_size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.inner.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use ratatui::style::Style;
    use ratatui::{Terminal, TerminalOptions, Viewport};

    use super::*;

    /// A copy of the output, to be read while the backend has it.
    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The rows that `vt100` shows, which gives each character cells by itself, after these frames.
    fn rows(frames: &[&[&str]]) -> Vec<String> {
        let area = Rect::new(0, 0, 24, 4);
        let written = Written::default();
        let cells = Cells::new(written.clone(), (area.width, area.height));
        let viewport = Viewport::Fixed(area);
        let mut terminal = Terminal::with_options(cells, TerminalOptions { viewport }).unwrap();
        let mut screen = vt100::Parser::new(area.height, area.width, 0);
        for frame in frames {
            let draw = |f: &mut ratatui::Frame<'_>| {
                for (y, text) in (0..).zip(*frame) {
                    f.buffer_mut().set_string(0, y, text, Style::new());
                    f.buffer_mut().set_string(20, y, "1.0│", Style::new());
                }
            };
            terminal.draw(draw).unwrap();
            screen.process(&written.0.take());
        }
        screen.screen().rows(0, area.width).collect()
    }

    const NAMES: [&str; 4] = ["♻️♻️♻️⚠️.txt", "1️⃣2️⃣3️⃣.txt", "हिन्दी.txt", "xxxxxxxx.txt"];

    #[test]
    fn rows_stay_straight_and_keep_nothing_of_other_rows() {
        let mut order = NAMES;
        let mut frames = vec![order];
        for turn in 0..12 {
            order.rotate_left(1);
            if turn % 3 == 0 {
                order.swap(0, 2);
            }
            frames.push(order);
            let frames: Vec<&[&str]> = frames.iter().map(|f| &f[..]).collect();
            for (row, name) in rows(&frames).iter().zip(order) {
                let (text, rest) = row.split_once(".txt").unwrap();
                assert_eq!(format!("{text}.txt"), name);
                assert_eq!(rest.trim_start(), "1.0│", "{row:?}");
            }
        }
    }

    #[test]
    fn a_row_of_plain_text_costs_what_has_changed() {
        let cells = |text: &str| Buffer::with_lines([text]);
        let written = Written::default();
        let mut backend = Cells::new(written.clone(), (9, 1));
        let (before, after) = (cells("aé日本 │⣿"), cells("aé日本x│⣿"));
        for next in [&before, &after] {
            written.0.take();
            let shown = backend.shown.clone();
            let diff = shown.diff(next);
            backend.draw(diff.into_iter()).unwrap();
        }
        let written = String::from_utf8(written.0.take()).unwrap();
        assert!(written.starts_with("\x1b[1;7Hx\x1b["), "{written:?}");
    }

    #[test]
    fn what_this_program_draws_itself_is_certain() {
        let signs = "…▼▾·›–»▏•◆×µ⣿╭│";
        for sign in signs.chars().map(String::from) {
            assert!(is_certain(&sign), "{sign}");
        }
        for text in ["♻️", "1️⃣", "हि", "🦀", "👩‍👩‍👧"] {
            assert!(!is_certain(text), "{text}");
        }
    }
}
