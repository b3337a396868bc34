//! Rows as a table for people: numbers to the right, text escaped, `–` for unknown values, and no column
//! without a value.

use super::row::{Row, WithRecord};
use crate::model::escape::escape;
use crate::model::time::Mono;
use crate::stream::record::{Key, Record, Sink, Type, Value, Visitor, describe};

/// Keys that say what the whole table is about.
const LEFT_OUT: [&str; 2] = ["by", "other"];

/// A value that is not known.
const UNKNOWN: &str = "–";

/// Lays a table out.
#[derive(Debug, Default)]
pub struct Table {
    pub out: Vec<u8>,
}

impl WithRecord for Table {
    fn with<'a, R: Record>(&mut self, wrap: fn(&'a Row) -> R, rows: &'a [Row]) {
        let keys = describe::<R>();
        let shown = keys.iter().filter(|d| !LEFT_OUT.contains(&d.key.name));
        let is_number: Vec<bool> =
            shown.clone().map(|d| matches!(d.of, Type::Integer | Type::Number)).collect();
        let mut lines: Vec<Vec<String>> =
            vec![shown.map(|d| d.key.csv.to_uppercase().replace('_', " ")).collect()];
        for row in rows {
            let mut cells = Cells { record: wrap(row), cells: Vec::new(), text: String::new() };
            R::fields(&mut cells);
            let mut line = cells.cells;
            if row.other
                && let Some(first) = line.first_mut()
            {
                *first = "other".to_owned();
            }
            lines.push(line);
        }
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|c| c.chars().count()).max()
        };
        let has_values = |column: usize| {
            rows.is_empty()
                || lines.iter().skip(1).any(|l| l.get(column).is_some_and(|c| c != UNKNOWN))
        };
        let widths: Vec<usize> = (0..is_number.len())
            .map(|column| width(column).filter(|_| has_values(column)).unwrap_or(0))
            .collect();
        for line in &lines {
            let mut text = String::new();
            let cells = line.iter().zip(&widths).zip(&is_number);
            for ((cell, width), number) in cells.filter(|((_, width), _)| **width > 0) {
                let room = " ".repeat(width.saturating_sub(cell.chars().count()));
                let (before, after) = if *number { (&*room, "") } else { ("", &*room) };
                text.push_str(&format!("{before}{cell}{after}  "));
            }
            self.out.extend_from_slice(text.trim_end().as_bytes());
            self.out.push(b'\n');
        }
    }
}

/// Collects the cells of a row.
struct Cells<R> {
    record: R,
    cells: Vec<String>,
    text: String,
}

impl<R: Copy> Visitor<R> for Cells<R> {
    fn field<T: Value>(&mut self, key: Key, read: impl FnOnce(R) -> T) {
        if !LEFT_OUT.contains(&key.name) {
            read(self.record).write(&mut Text(&mut self.text));
            self.cells.push(std::mem::take(&mut self.text));
        }
    }
}

/// Writes values into a row. Rows of reports have words, text and integers alone.
struct Text<'a>(&'a mut String);

impl Sink for Text<'_> {
    fn null(&mut self) {
        self.0.push_str(UNKNOWN);
    }
    fn boolean(&mut self, value: bool) {
        self.0.push_str(if value { "yes" } else { "no" });
    }
    fn int(&mut self, n: impl itoa::Integer) {
        self.0.push_str(itoa::Buffer::new().format(n));
    }
    fn word(&mut self, word: &str) {
        self.0.push_str(word);
    }
    fn plain(&mut self, text: &str) {
        self.0.push_str(text);
    }
    fn text(&mut self, bytes: &[u8]) {
        self.0.push_str(&escape(bytes));
    }
    fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let texts: Vec<_> = texts.map(escape).collect();
        self.0.push_str(&texts.join(" "));
    }
    fn flags(&mut self, flags: u64) {
        self.0.push_str(&crate::model::flags::text(flags));
    }
    fn octal(&mut self, n: u16) {
        self.0.push_str(&format!("{n:04o}"));
    }
    fn time(&mut self, at: Mono) {
        self.seconds(at.0);
    }
    fn seconds(&mut self, ns: u64) {
        self.0.push_str(&format!("{:.3}", ns as f64 / 1e9));
    }
    fn rate(&mut self, count: u64, ns: u64) {
        self.0.push_str(&format!("{:.1}", count as f64 * 1e9 / ns.max(1) as f64));
    }
    fn row<R: Record>(&mut self, _row: R) {}
    fn rows<R: Record>(&mut self, _rows: impl Iterator<Item = R>) {}
}
