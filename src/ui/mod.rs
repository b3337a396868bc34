//! x
/// stub
pub fn help_last_line(_area: ratatui::layout::Rect) -> usize { 0 }
