//! The problem of a probe, in place of its rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use super::text::{Line, wrapped};
use crate::model::problem::Problem;

/// The problem of a probe that is not running, in its pane: what failed, why, what to do.
pub fn draw(look: &Look, problem: &Problem, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let place = Rect { x: area.x + area.width.min(1), width: area.width.saturating_sub(2), ..area };
    let parts = [
        (format!("cannot {}", problem.what), theme.bad),
        (problem.why.clone(), theme.text),
        (problem.fix.clone(), theme.strong),
    ];
    let mut y = place.y + u16::from(place.height > 5);
    for (text, style) in parts {
        for row in wrapped(&text, usize::from(place.width)) {
            if y < place.bottom() {
                Line::new(buf, Rect { y, height: 1, ..place }).put(&row, style);
            }
            y = y.saturating_add(1);
        }
        y = y.saturating_add(u16::from(place.height > 8));
    }
}

/// Lines that [`draw`] takes in a pane whose inside is `width` wide.
pub fn lines(problem: &Problem, width: u16) -> u16 {
    let width = usize::from(width.saturating_sub(2));
    let what = format!("cannot {}", problem.what);
    let texts = [&what, &problem.why, &problem.fix];
    let lines: usize = texts.iter().map(|text| wrapped(text, width).len()).sum();
    // In a larger pane they stand apart.
    let apart = match lines {
        0..=5 => 0,
        6..=7 => 1,
        _ => 3,
    };
    u16::try_from(lines + apart).unwrap_or(u16::MAX)
}
