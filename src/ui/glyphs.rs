//! The signs that are drawn with: braille and lines, or plain ASCII.

use ratatui::symbols::border;

/// A set of signs.
#[derive(Debug)]
pub struct Glyphs {
    pub braille: bool,
    pub border: border::Set<'static>,
    /// The sign for a part that was cut out.
    pub cut: &'static str,
    pub down: &'static str,
    pub up: &'static str,
    pub open: &'static str,
    pub closed: &'static str,
    pub dot: &'static str,
    pub into: &'static str,
    pub none: &'static str,
    pub pause: &'static str,
    pub follow: &'static str,
    pub cursor: &'static str,
    pub tick: &'static str,
    /// The sign of rows that are related to the selection in the other pane.
    pub lit: &'static str,
    pub times: &'static str,
    /// A millionth.
    pub micro: &'static str,
    /// Before a number that is an upper limit.
    pub at_most: &'static str,
}

/// Signs with braille and lines.
pub const UNICODE: Glyphs = Glyphs {
    braille: true,
    border: border::ROUNDED,
    cut: "…",
    down: "▼",
    up: "▲",
    open: "▾",
    closed: "▸",
    dot: "·",
    into: "›",
    none: "–",
    pause: "⏸",
    follow: "»",
    cursor: "▏",
    tick: "•",
    lit: "◆",
    times: "×",
    micro: "µ",
    at_most: "≤",
};

/// Signs in ASCII.
pub const ASCII: Glyphs = Glyphs {
    braille: false,
    border: border::Set {
        top_left: "+",
        top_right: "+",
        bottom_left: "+",
        bottom_right: "+",
        vertical_left: "|",
        vertical_right: "|",
        horizontal_top: "-",
        horizontal_bottom: "-",
    },
    cut: "~",
    down: "v",
    up: "^",
    open: "-",
    closed: "+",
    dot: "|",
    into: ">",
    none: "-",
    pause: "||",
    follow: ">",
    cursor: "_",
    tick: "*",
    lit: "*",
    times: "x",
    micro: "u",
    at_most: "<=",
};

impl Glyphs {
    /// The values that a graph of so many cells shows: two a cell in braille.
    pub fn values_in(&self, cells: usize) -> usize {
        if self.braille { cells * 2 } else { cells }
    }
}

/// The rows of a graph, from the top: each value becomes a column of dots as high as its share
/// of `most`; a value above 0 is at least one dot high.
pub fn graph(glyphs: &Glyphs, values: &[u64], most: u64, width: usize, rows: usize) -> Vec<String> {
    let steps = if glyphs.braille { 4 } else { LEVELS.len() };
    let full = steps * rows.max(1);
    let height = |v: u64| match v {
        0 => 0,
        v => ((v as f64 / most.max(1) as f64 * full as f64).round() as usize).clamp(1, full),
    };
    let columns = glyphs.values_in(width);
    let skip = values.len().saturating_sub(columns);
    let shown: Vec<usize> = values.iter().skip(skip).map(|v| height(*v)).collect();
    let lead = columns - shown.len();
    let at = |i: usize| i.checked_sub(lead).and_then(|i| shown.get(i)).copied().unwrap_or(0);
    (0..rows.max(1))
        .rev()
        .map(|row| {
            let part = |i: usize| at(i).saturating_sub(row * steps).min(steps);
            (0..width)
                .map(|cell| {
                    if glyphs.braille {
                        braille(part(cell * 2), part(cell * 2 + 1))
                    } else {
                        part(cell)
                            .checked_sub(1)
                            .and_then(|l| LEVELS.get(l))
                            .copied()
                            .unwrap_or(' ')
                    }
                })
                .collect()
        })
        .collect()
}

/// The latest of the values that fit into a graph, each up to four times to fill a wide one; and how many
/// they are.
pub fn stretch(glyphs: &Glyphs, values: &[u64], width: usize) -> (Vec<u64>, usize) {
    let columns = glyphs.values_in(width);
    let times = (columns / values.len().max(1)).clamp(1, 4);
    let from = values.len().saturating_sub(columns / times);
    let shown = values.get(from..).unwrap_or_default();
    (shown.iter().flat_map(|v| std::iter::repeat_n(*v, times)).collect(), shown.len())
}

/// From a little to full, without braille.
const LEVELS: [char; 6] = ['.', ':', '-', '=', '*', '#'];

/// Two columns of up to four dots. No dots at all is a space: it copies better.
fn braille(left: usize, right: usize) -> char {
    const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
    const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];
    let dots = LEFT.get(left).unwrap_or(&0x47) | RIGHT.get(right).unwrap_or(&0xb8);
    if dots == 0 { ' ' } else { char::from_u32(0x2800 + dots).unwrap_or(' ') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_stand_on_the_right() {
        let rows = graph(&UNICODE, &[0, 1, 2, 4], 4, 3, 1);
        assert_eq!(rows, [" ⢀⣼"]);
        let rows = graph(&ASCII, &[0, 1, 6], 6, 4, 1);
        assert_eq!(rows, ["  .#"]);
        let rows = graph(&UNICODE, &[8, 4], 8, 1, 2);
        assert_eq!(rows, ["⡇", "⣿"]);
    }

    proptest::proptest! {
        #[test]
        fn as_wide_as_asked(values in proptest::collection::vec(0u64.., 0..100), most: u64,
                            width in 0usize..70, rows in 0usize..4) {
            for glyphs in [&UNICODE, &ASCII] {
                for row in graph(glyphs, &values, most, width, rows) {
                    proptest::prop_assert_eq!(row.chars().count(), width);
                }
            }
        }
    }
}
