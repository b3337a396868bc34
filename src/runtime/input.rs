//! What the terminal sends, as messages to the app.

use crossterm::event::{Event, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;

use crate::app::{App, Effect, Msg};
use crate::model::time::Mono;
use crate::ui;

/// Hands what the terminal sent to the app.
pub(super) fn take(app: &mut App, event: Event, now: Mono) -> Vec<Effect> {
    let area = app.screen.area;
    let msg = match event {
        Event::Key(key) => Msg::Key(key),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(width, height) => Msg::Resize(width, height),
        Event::Mouse(mouse) => match pointed(app, area, mouse) {
            Some(msg) => msg,
            None => return Vec::new(),
        },
        Event::FocusGained | Event::FocusLost => return Vec::new(),
    };
    app.update(msg, now)
}

fn pointed(app: &App, area: Rect, mouse: MouseEvent) -> Option<Msg> {
    let (x, y) = (mouse.column, mouse.row);
    // Selecting text is the terminal's, also where it tells of it.
    if mouse.modifiers.contains(KeyModifiers::SHIFT) {
        return None;
    }
    let pane = || ui::pane_at(app, area, x, y).unwrap_or(app.screen.focus);
    match mouse.kind {
        MouseEventKind::Down(MouseButton::Left) => ui::hit(app, area, x, y).map(Msg::Click),
        MouseEventKind::Drag(MouseButton::Left) => Some(Msg::Drag(x, y)),
        MouseEventKind::Up(MouseButton::Left) => Some(Msg::Drop),
        MouseEventKind::ScrollUp => Some(Msg::Wheel(pane(), -3)),
        MouseEventKind::ScrollDown => Some(Msg::Wheel(pane(), 3)),
        _ => None,
    }
}
