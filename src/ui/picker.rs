//! The interface picker.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{Line, cut};
use super::{Look, num, table, window};
use crate::app::App;
use crate::app::picker::{Picker, choices};
use crate::model::escape::escape;
use crate::model::link::{Choice, Link};

/// Where each part of a row begins; the last takes what is left.
const NAME: u16 = 2;
const STATE: u16 = 16;
const RX: u16 = 26;
const TX: u16 = 35;
const MODE: u16 = 45;
const REST: u16 = 54;

/// Draws the picker over the panes.
pub fn draw(app: &App, look: &Look, picker: &Picker, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let choices = choices(&app.data.links);
    let height = u16::try_from(choices.len()).unwrap_or(u16::MAX).saturating_add(3);
    let title = match &app.netns {
        Some(name) => format!("Interfaces of netns {}", escape(name.as_bytes())),
        None => "Interfaces".to_owned(),
    };
    let inside = window(look, area, 110, height.max(5), &title, buf);
    if inside.height == 0 {
        return;
    }
    for (at, name, right) in [
        (NAME, "NAME", false),
        (STATE, "STATE", false),
        (RX, if app.screen.units.bytes { "RX B/s" } else { "RX b/s" }, true),
        (TX, if app.screen.units.bytes { "TX B/s" } else { "TX b/s" }, true),
        (MODE, "AUTO IS", false),
        (REST, "ADDRESSES", false),
    ] {
        put(buf, inside, 0, at, name, theme.heading, right);
    }
    let rows = usize::from(inside.height - 1);
    let cursor = picker.cursor.min(choices.len().saturating_sub(1));
    let first = (cursor + 1).saturating_sub(rows.max(1));
    for (y, (i, choice)) in (1..inside.height).zip(choices.iter().enumerate().skip(first)) {
        let watched = app.data.watched();
        let now = match choice {
            Choice::Named(name) => matches!(watched, [one] if one.interface == *name),
            _ => watched.len() > 1,
        };
        if now {
            put(buf, inside, y, 0, look.glyphs.tick, theme.key, false);
        }
        match choice {
            Choice::Named(name) => {
                if let Some(link) = app.data.links.iter().find(|l| l.name == *name) {
                    row(app, look, link, inside, y, buf);
                }
            }
            _ => {
                put(buf, inside, y, NAME, "all", theme.strong, false);
                put(buf, inside, y, STATE, "every one that is up", theme.quiet, false);
            }
        }
        if i == cursor {
            table::select(look, Rect { y: inside.y + y, height: 1, ..inside }, buf);
        }
    }
}

fn row(app: &App, look: &Look, link: &Link, inside: Rect, y: u16, buf: &mut Buffer) {
    let theme = look.theme;
    let name = escape(link.name.as_bytes());
    put(buf, inside, y, NAME, &cut(&name, 13, look.glyphs.cut), theme.strong, false);
    let (state, style) = match (link.up, link.carrier) {
        (true, true) => ("up", theme.fresh),
        (true, false) => ("no link", theme.note),
        (false, _) => ("down", theme.quiet),
    };
    put(buf, inside, y, STATE, state, style, false);
    let rate = app.data.link_rates.get(&link.ifindex).copied().unwrap_or_default();
    for (at, bits) in [(RX, rate.rx_bps), (TX, rate.tx_bps)] {
        let style = if bits > 0.0 { theme.text } else { theme.quiet };
        put(buf, inside, y, at, &num::traffic(bits, app.screen.units), style, true);
    }
    let mode = link.would_get.map_or(look.glyphs.none, |h| h.name());
    put(buf, inside, y, MODE, mode, theme.text, false);
    let mut rest: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
    if let Some((kind, id)) = &link.xdp {
        rest.push(format!("carries a foreign XDP program ({} {id})", escape(kind.as_bytes())));
    }
    if !link.price.is_empty() {
        rest.push(link.price.clone());
    }
    let room = usize::from(inside.width.saturating_sub(REST));
    put(buf, inside, y, REST, &cut(&rest.join("  "), room, look.glyphs.cut), theme.quiet, false);
}

/// Writes at column `at` of line `y`; numbers end eight cells later.
fn put(
    buf: &mut Buffer,
    inside: Rect,
    y: u16,
    at: u16,
    text: &str,
    style: ratatui::style::Style,
    right: bool,
) {
    if at >= inside.width || y >= inside.height {
        return;
    }
    let width = if right { 8.min(inside.width - at) } else { inside.width - at };
    let mut line = Line::new(buf, Rect { x: inside.x + at, y: inside.y + y, width, height: 1 });
    if right {
        line.put_right(text, style);
    } else {
        line.put(text, style);
    }
}
