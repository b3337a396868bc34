//! The question before switching to a mode that may reset the link.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame::window;
use super::look::Look;
use super::text::Line;
use crate::app::App;
use crate::app::overlay::picker::mode_name;
use crate::model::escape::escape;
use crate::model::link::XdpMode;

/// Draws the question.
pub fn draw(app: &App, look: &Look, mode: XdpMode, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let names: Vec<String> =
        app.data.interfaces().iter().map(|w| escape(w.interface.as_bytes()).into_owned()).collect();
    let inside = window(look, area, 62, 7, "XDP mode", buf);
    let texts = [
        (format!("{} on {} may reset the link:", mode_name(mode), names.join(" ")), theme.strong),
        ("connections over it, maybe this session too, may stall for seconds.".into(), theme.text),
        (String::new(), theme.text),
        ("y switch    n cancel".into(), theme.key),
    ];
    for ((text, style), y) in texts.iter().zip(inside.y..inside.bottom()) {
        Line::new(buf, Rect { y, height: 1, ..inside }).put(text, *style);
    }
}
