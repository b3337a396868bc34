//! Text in cells: escaped, cut, and put where it belongs.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::escape::escape;

/// The width of `text` in cells.
pub fn cells(text: &str) -> usize {
    text.width()
}

/// `text` in at most `width` cells, cut at the end.
pub fn cut<'a>(text: &'a str, width: usize, sign: &str) -> Cow<'a, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(cells(sign));
    let mut out = head(text, room).to_owned();
    if cells(sign) <= width {
        out.push_str(sign);
    }
    Cow::Owned(out)
}

/// A path in at most `width` cells, shortened in the middle: `/usr/…/x86_64-linux-gnu/libc.so.6`.
///
/// The file's name is what counts, then the directories that it is in, which distinguish it from others
/// of that name, then where the path begins.
pub fn middle<'a>(text: &'a str, width: usize, sign: &str) -> Cow<'a, str> {
    if cells(text) <= width {
        return Cow::Borrowed(text);
    }
    if cells(sign) > width {
        return Cow::Owned(head(text, width).to_owned());
    }
    let room = width.saturating_sub(cells(sign));
    // A name that leaves nothing of the beginning is cut; else whole parts, up to three quarters.
    let mut end = tail(text, room * 2 / 3);
    for (at, _) in text.rmatch_indices('/') {
        let part = text.get(at..).unwrap_or("");
        let most = if part.rfind('/') == Some(0) { room.saturating_sub(3) } else { room * 3 / 4 };
        if cells(part) > most {
            break;
        }
        end = part;
    }
    let start_room = room.saturating_sub(cells(end));
    let mut start = head(text, start_room);
    // Whole parts at the beginning, where that costs little.
    if let Some(part) = start.rfind('/').filter(|at| *at > 0).and_then(|at| start.get(..=at))
        && start_room.saturating_sub(cells(part)) <= 8
    {
        start = part;
    }
    Cow::Owned(format!("{start}{sign}{end}"))
}

/// Words in lines of at most `width` cells.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = cells(&line) + 1 + cells(word);
        if !line.is_empty() && needed > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` in at most `width` cells, so that it does not look like `other`: the directory in which
/// they differ first is shown as well, `/usr/…/arm64/…/libc.so.6`. `None` where both fit, where
/// they look different anyhow, or where there is no room for that.
pub fn apart(text: &str, other: &str, width: usize, sign: &str) -> Option<String> {
    if cells(text) <= width
        || text == other
        || middle(text, width, sign) != middle(other, width, sign)
    {
        return None;
    }
    let same = text.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let from = text.get(..same).or_else(|| text.get(..same.saturating_sub(1)))?.rfind('/')?;
    let name = text.get(text.rfind('/')?..)?;
    let rest = text.get(from + 1..)?;
    let part = text.get(from..from + 1 + rest.find('/')?)?;
    let whole = from + part.len() + name.len() == text.len();
    let cuts = if whole { String::new() } else { format!("/{sign}") };
    let fixed = cells(part) + cells(name) + cells(&cuts);
    // The beginning, in whole parts as far as there is room.
    let room = width.checked_sub(fixed + cells(sign))?;
    let start = head(text.get(..from)?, room);
    let start = start.get(..start.rfind('/')? + 1)?;
    Some(format!("{start}{sign}{part}{cuts}{name}"))
}

/// The most cells that a character can add: a selector for emoji widens the one before it.
fn wide(c: char) -> usize {
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(1) }
}

/// The longest beginning of at most `width` cells.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += wide(c);
        if used > width {
            return text.get(..at).unwrap_or("");
        }
    }
    text
}

/// The longest end of at most `width` cells.
fn tail(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += wide(c);
        if used > width {
            return text.get(at + c.len_utf8()..).unwrap_or("");
        }
    }
    text
}

/// A line to write on, left to right and right to left, that never leaves its place.
#[derive(Debug)]
pub struct Line<'b> {
    buf: &'b mut Buffer,
    y: u16,
    left: u16,
    right: u16,
    /// How far to the left a cell can reach when those before it are empty.
    floor: u16,
}

impl<'b> Line<'b> {
    /// The first line of `area`.
    pub fn new(buf: &'b mut Buffer, area: Rect) -> Self {
        let area = area.intersection(buf.area);
        let right = if area.height == 0 { area.x } else { area.right() };
        Self { buf, y: area.y, left: area.x, right, floor: area.x }
    }

    /// A line in a row that begins at `floor`.
    pub fn in_row(buf: &'b mut Buffer, area: Rect, floor: u16) -> Self {
        let line = Self::new(buf, area);
        Self { floor: floor.min(line.left), ..line }
    }

    /// Begins at cell `n` of the row, over empty cells before this one; never further right.
    pub fn reach_left(&mut self, n: u16) -> &mut Self {
        let least = self.left.min(self.floor.saturating_add(n));
        let blank = |x: u16| self.buf.cell((x, self.y)).is_some_and(|c| c.symbol() == " ");
        // One stays between, where something does stand there.
        let stop = (least..self.left).rev().find(|x| !blank(*x)).map(|x| x + 2);
        self.left = stop.map_or(least, |x| x.min(self.left));
        self
    }

    /// Begins at cell `n` of the row, over its present contents.
    pub fn take_back(&mut self, n: u16) -> &mut Self {
        let from = self.floor.saturating_add(n).min(self.right);
        for x in from..self.left {
            if let Some(cell) = self.buf.cell_mut((x, self.y)) {
                cell.set_symbol(" ");
            }
        }
        self.left = from;
        self
    }

    /// Cells that are left.
    pub fn room(&self) -> usize {
        usize::from(self.right.saturating_sub(self.left))
    }

    /// Writes at the left what fits.
    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        if self.room() > 0 {
            let (x, _) = self.buf.set_stringn(self.left, self.y, text, self.room(), style);
            self.left = x.min(self.right);
        }
        self
    }

    /// Writes at the right, if it fits whole.
    pub fn put_right(&mut self, text: &str, style: Style) -> &mut Self {
        let width = cells(text);
        if width > 0 && width <= self.room() {
            let x = self.right - u16::try_from(width).unwrap_or(0);
            self.buf.set_stringn(x, self.y, text, width, style);
            self.right = x;
        }
        self
    }

    /// Leaves cells free at the left.
    pub fn skip(&mut self, n: u16) -> &mut Self {
        self.left = self.left.saturating_add(n).min(self.right);
        self
    }

    /// Leaves cells free at the right.
    pub fn skip_right(&mut self, n: u16) -> &mut Self {
        self.right = self.right.saturating_sub(n).max(self.left);
        self
    }

    /// Writes bytes from elsewhere at the left, shortened in the middle.
    pub fn put_path(&mut self, bytes: &[u8], sign: &str, style: Style) -> &mut Self {
        let room = self.room();
        self.put(&middle(&shown(bytes, room), room, sign), style)
    }

    /// Writes a path so that it differs visibly from each of `others`.
    pub fn put_path_apart<'p>(
        &mut self,
        bytes: &[u8],
        others: impl Iterator<Item = &'p [u8]>,
        sign: &str,
        style: Style,
    ) -> &mut Self {
        let room = self.room();
        // Escaping makes no path shorter, so one of fewer bytes than cells may still be cut; it is
        // rare enough.
        if bytes.len() > room {
            let mut alike =
                others.filter(|o| o.len() > room && *o != bytes && name(o) == name(bytes));
            let text = shown(bytes, room);
            if let Some(text) = alike.find_map(|o| apart(&text, &shown(o, room), room, sign)) {
                return self.put(&text, style);
            }
        }
        self.put_path(bytes, sign, style)
    }

    /// Writes bytes from elsewhere at the left, cut at the end.
    pub fn put_bytes(&mut self, bytes: &[u8], sign: &str, style: Style) -> &mut Self {
        let room = self.room();
        self.put(&cut(&escape(bytes), room, sign), style)
    }
}

/// The text after the last slash.
fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// `bytes` escaped. Of a path far longer than the room only the two ends are read: 4 KiB
/// of text for 30 cells would cost more than the rest of the row.
fn shown(bytes: &[u8], room: usize) -> Cow<'_, str> {
    let keep = room.saturating_mul(4) + 16;
    if bytes.len() <= keep * 2 + 16 {
        return escape(bytes);
    }
    let (start, end) = (bytes.get(..keep), bytes.get(bytes.len() - keep..));
    let start = escape(start.unwrap_or(bytes)).into_owned();
    Cow::Owned(start + &escape(end.unwrap_or(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_middle() {
        assert_eq!(middle("/usr/lib/x86_64-linux-gnu/libc.so.6", 22, "…"), "/usr/lib/…/libc.so.6");
        let of = |path: &str, width| middle(path, width, "…").into_owned();
        assert_eq!(
            of("/home/me/detail/target/debug/deps/libc.so.6", 34),
            "/home/me/…/debug/deps/libc.so.6"
        );
        assert_eq!(of("/home/me/one/lib/libc.so.6", 24), "/home/me/…/lib/libc.so.6");
        assert_eq!(of("/a/very/long/way/averylongname.txt", 22), "/a/…/averylongname.txt");
        assert_eq!(middle("/a/b", 10, "…"), "/a/b");
        assert_eq!(middle("/abcdefghijklmnopqrstuvwxyz", 9, "…"), "/ab…vwxyz");
        assert_eq!(middle("/abc", 1, "…"), "…");
        assert_eq!(middle("/abc", 0, "…"), "");
    }

    #[test]
    fn paths_that_would_look_alike_show_where_they_differ() {
        let of = |a, b, width| apart(a, b, width, "…");
        let (one, two) =
            ("/usr/lib/modules/one/kernel/fs/file.ko", "/usr/lib/modules/two/kernel/fs/file.ko");
        assert_eq!(middle(one, 24, "…"), middle(two, 24, "…"));
        assert_eq!(of(one, two, 24).as_deref(), Some("/usr/lib/…/one/…/file.ko"));
        assert_eq!(of(two, one, 20).as_deref(), Some("/usr/…/two/…/file.ko"));
        // Beside the name there is nothing to cut out.
        assert_eq!(
            of("/srv/data/tree/one/file.ko", "/srv/data/tree/two/file.ko", 20).as_deref(),
            None,
        );
        assert_eq!(of(one, two, 60), None);
        assert_eq!(of(one, one, 24), None);
        assert_eq!(of(one, two, 5), None);
    }

    proptest::proptest! {
        #[test]
        fn apart_is_never_wider_than_asked(
            a in "(/[a-cé日]{1,4}){1,8}", b in "(/[a-cé日]{1,4}){1,8}", width in 0usize..30,
        ) {
            if let Some(text) = apart(&a, &b, width, "…") {
                proptest::prop_assert!(cells(&text) <= width, "{text}");
                proptest::prop_assert!(text != middle(&b, width, "…"), "{text}");
            }
        }

        #[test]
        fn never_wider_than_asked(text in ".{0,60}", width in 0usize..40) {
            for sign in ["…", "~"] {
                proptest::prop_assert!(cells(&middle(&text, width, sign)) <= width);
                proptest::prop_assert!(cells(&cut(&text, width, sign)) <= width);
            }
        }
    }
}
