//! What the terminal sends, as messages to the app.

use crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use crate::app::{App, Effect, Msg};
use crate::model::time::Mono;
use crate::ui::{self, Look};

/// Tells the app what room a screen of size `size` has for its rows.
pub(super) fn fit(app: &mut App, look: &Look, (width, height): (u16, u16)) {
    let measured = ui::measure(app, look, Rect::new(0, 0, width, height));
    app.fit(measured);
}

/// Hands what the terminal sent to the app; a new size goes to `size`.
pub(super) fn take(
    app: &mut App,
    look: &Look,
    size: &mut (u16, u16),
    event: Event,
    now: Mono,
) -> Vec<Effect> {
    let area = Rect::new(0, 0, size.0, size.1);
    let msg = match event {
        Event::Key(key) => Msg::Key(key),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(width, height) => {
            *size = (width, height);
            return vec![Effect::Redraw];
        }
        Event::Mouse(mouse) => match pointed(app, look, area, mouse) {
            Some(msg) => msg,
            None => return Vec::new(),
        },
        Event::FocusGained | Event::FocusLost => return Vec::new(),
    };
    app.update(msg, now)
}

fn pointed(app: &App, look: &Look, area: Rect, mouse: MouseEvent) -> Option<Msg> {
    let (x, y) = (mouse.column, mouse.row);
    // Selecting text is the terminal's, also where it tells of it.
    if mouse.modifiers.contains(KeyModifiers::SHIFT) {
        return None;
    }
    let pane = || ui::pane_at(app, area, x, y).unwrap_or(app.screen.focus);
    match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => ui::hit(app, look, area, x, y).map(Msg::Click),
        MouseEventKind::Drag(MouseButton::Left) => ui::split_for(app, area, x, y).map(Msg::Drag),
        MouseEventKind::Up(MouseButton::Left) => Some(Msg::Drop),
        MouseEventKind::ScrollUp => Some(Msg::Wheel(pane(), -3)),
        MouseEventKind::ScrollDown => Some(Msg::Wheel(pane(), 3)),
        _ => None,
    }
}
