//! The help page, printed from the table of keys.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::Line;
use super::{Look, window};
use crate::keys::{self, Mode};

/// What the marks and the filter language mean, after the keys.
const REST: &[(&str, &str)] = &[
    ("", ""),
    ("filter", ""),
    ("word", "the name of the process or of a thread has it in it"),
    ("~regex", "a regular expression; ! in front negates, quotes hold spaces"),
    ("pid: uid:", "a number"),
    ("path:", "a word or ~regex, tried on the path as passed and on the absolute one"),
    (
        "cgroup:",
        "a word or ~regex, tried on the cgroup's path; one that is not known does not match",
    ),
    ("err:", "ENOENT, EACCES, …"),
    ("ip:", "an address or a network, 10.0.0.0/8"),
    ("", ""),
    ("marks", ""),
    ("self", "an address of this machine, or of the namespace watched"),
    ("gw", "where a default route leads to"),
    ("lan", "a private address (RFC 1918, 6598, 4193) or a link-local one"),
    ("a name", "beside an address (r): what reverse DNS says, proven by nobody"),
    ("new", "first seen after the mark"),
    ("ended", "the process is no longer there"),
    (
        "then found",
        "the last good open, since the failure, of a file of the same name by the same process",
    ),
    ("other", "frames that are not IP, and addresses that had to make room"),
    ("lost", "opens of which only the number is known: the ring was full"),
    ("let go", "rows that had to make room; totals stay exact"),
];

fn lines() -> Vec<(String, &'static str)> {
    let bound = keys::of(Mode::Main).map(|b| (b.names(), b.help));
    bound.chain(REST.iter().map(|(a, b)| ((*a).to_owned(), *b))).collect()
}

fn height(area: Rect) -> u16 {
    let wanted = u16::try_from(lines().len()).unwrap_or(u16::MAX).saturating_add(2);
    wanted.min(area.height)
}

/// The last line that the page can begin with.
pub fn last_line(area: Rect) -> usize {
    lines().len().saturating_sub(usize::from(height(area).saturating_sub(2)))
}

/// The text with the signs that this screen has.
fn plain<'a>(look: &Look, text: &'a str) -> Cow<'a, str> {
    if look.glyphs.braille || text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let signs = [("↑", "Up"), ("↓", "Down"), ("←", "Left"), ("→", "Right"), ("…", "...")];
    Cow::Owned(signs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// Draws the page from line `first` on.
pub fn draw(look: &Look, first: usize, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let inside = window(look, area, 84, height(area), "Keys", buf);
    let names = if inside.width >= 60 { 19 } else { 12 };
    let lines = lines();
    let first = first.min(last_line(area));
    for ((keys, help), y) in lines.iter().skip(first).zip(inside.y..inside.bottom()) {
        let heading = help.is_empty();
        let place = Rect { y, height: 1, ..inside };
        let style = if heading { theme.title } else { theme.key };
        Line::new(buf, Rect { width: place.width.min(names), ..place })
            .put(&plain(look, keys), style);
        Line::new(buf, place).skip(names).put(&plain(look, help), theme.text);
    }
    if first < last_line(area) && inside.height > 0 {
        let y = inside.bottom();
        let edge = Rect { y, height: 1, ..inside }.intersection(area);
        Line::new(buf, edge).put_right(&format!(" {} more ", look.glyphs.down), theme.quiet);
    }
}
