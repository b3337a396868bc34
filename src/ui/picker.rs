//! The interface picker: a table, and details of the selected interface below it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::frame::window;
use super::look::Look;
use super::text::{Line, cut};
use super::{num, table};
use crate::app::App;
use crate::app::overlay::picker::{Picker, choices};
use crate::model::escape::escape;
use crate::model::link::{Choice, Foreign, ForeignHook, Hook, Link};
use crate::model::talkers::Direction;

/// The column at which each part of a row begins; the last takes the rest.
const NAME: u16 = 2;
const STATE: u16 = 16;
const RX: u16 = 26;
const TX: u16 = 35;
const MODE: u16 = 45;
const REST: u16 = 54;

/// Lines about the selected interface: device, addresses, side effects, third-party programs.
const ABOUT: u16 = 4;

/// Lines of the window: a header, the choices, a line of space, those about the selected one, edges.
fn window_height(choices: usize) -> u16 {
    u16::try_from(choices).unwrap_or(u16::MAX).saturating_add(4).saturating_add(ABOUT)
}

/// Lines below the table; on a low screen the table needs them all.
fn lines_below(inside: u16) -> u16 {
    if inside >= 2 * ABOUT + 2 { ABOUT + 1 } else { 0 }
}

/// Rows of the table that are shown at once on a screen of size `area`.
pub fn rows(app: &App, area: Rect) -> usize {
    let inside = window_height(choices(&app.data.links).len()).min(area.height).saturating_sub(2);
    usize::from(inside.saturating_sub(1 + lines_below(inside)))
}

/// Draws the picker over the panes.
pub fn draw(app: &App, look: &Look, picker: &Picker, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let choices = choices(&app.data.links);
    let height = window_height(choices.len());
    let title = match &app.netns {
        Some(name) => format!("Interfaces of netns {}", escape(name.as_bytes())),
        None => "Interfaces".to_owned(),
    };
    let inside = window(look, area, 110, height, &title, buf);
    if inside.height == 0 {
        return;
    }
    for (at, name, right) in [
        (NAME, "NAME", false),
        (STATE, "STATE", false),
        (RX, if app.screen.units.bytes { "RX B/s" } else { "RX b/s" }, true),
        (TX, if app.screen.units.bytes { "TX B/s" } else { "TX b/s" }, true),
        (MODE, "AUTO", false),
        (REST, "ADDRESSES", false),
    ] {
        put(buf, inside, 0, at, name, theme.heading, right);
    }
    let below = lines_below(inside.height);
    let rows = usize::from(inside.height - 1 - below);
    let cursor = picker.cursor.min(choices.len().saturating_sub(1));
    let first = (cursor + 1).saturating_sub(rows.max(1));
    let shown = choices.iter().enumerate().skip(first).take(rows);
    for (y, (i, choice)) in (1..inside.height).zip(shown) {
        let watched = app.data.interfaces();
        let now = match choice {
            Choice::Named(name) => matches!(watched, [one] if one.interface == *name),
            _ => watched.len() > 1,
        };
        if now {
            put(buf, inside, y, 0, look.glyphs.tick, theme.key, false);
        }
        match link(app, choice) {
            Some(link) => row(app, look, link, inside, y, buf),
            None => {
                put(buf, inside, y, NAME, "all", theme.strong, false);
                put(buf, inside, y, STATE, "all that are up", theme.quiet, false);
            }
        }
        if i == cursor {
            table::select(look, Rect { y: inside.y + y, height: 1, ..inside }, buf);
        }
    }
    if below > 0 {
        let lines = choices.get(cursor).map_or(Vec::new(), |choice| match link(app, choice) {
            Some(link) => about(look, link),
            None => about_all(app),
        });
        for (text, y) in lines.iter().zip(inside.height - ABOUT..inside.height) {
            let room = usize::from(inside.width.saturating_sub(NAME));
            put(buf, inside, y, NAME, &cut(text, room, look.glyphs.cut), theme.text, false);
        }
    }
}

fn link<'a>(app: &'a App, choice: &Choice) -> Option<&'a Link> {
    let Choice::Named(name) = choice else { return None };
    app.data.links.iter().find(|l| l.name == *name)
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
    match link.foreign.len() {
        0 => {}
        1 => rest.push("1 third-party program".into()),
        n => rest.push(format!("{n} third-party programs")),
    }
    let room = usize::from(inside.width.saturating_sub(REST));
    put(buf, inside, y, REST, &cut(&rest.join("  "), room, look.glyphs.cut), theme.quiet, false);
}

/// Details of an interface, in [`ABOUT`] lines.
fn about(look: &Look, link: &Link) -> Vec<String> {
    let driver = link
        .driver
        .as_ref()
        .map_or("driver unknown".into(), |d| format!("driver {}", escape(d.as_bytes())));
    let device = [driver, format!("MTU {}", link.mtu), speed(link.speed_mbit)];
    let addresses: Vec<_> = link.addresses.iter().map(ToString::to_string).collect();
    let price = match (link.would_get, link.price.as_str()) {
        (None, _) => "no known way to count".into(),
        (Some(hook), "") => format!("{} has no side effects", hook_name(hook)),
        (Some(hook), price) => format!("{} {price}", hook_name(hook)),
    };
    let others = match link.foreign.as_slice() {
        [] => "no third-party programs attached".into(),
        foreign => {
            let names: Vec<String> = foreign.iter().map(third_party).collect();
            format!("third-party programs: {}", names.join(", "))
        }
    };
    let addresses =
        if addresses.is_empty() { "no address".to_owned() } else { addresses.join("  ") };
    vec![device.join(&format!(" {} ", look.glyphs.dot)), addresses, price, others]
}

/// Side effects of watching all of them.
fn about_all(app: &App) -> Vec<String> {
    let up: Vec<&Link> = app.data.links.iter().filter(|l| l.up).collect();
    let mut lines = vec![format!("{} interfaces, each in its automatic mode", up.len())];
    let mut prices: Vec<&str> = up.iter().map(|l| &*l.price).filter(|p| !p.is_empty()).collect();
    prices.sort_unstable();
    prices.dedup();
    for price in prices {
        let on = up.iter().filter(|l| l.price == price).map(|l| escape(l.name.as_bytes()));
        let on: Vec<_> = on.collect();
        lines.push(format!("{price}: {}", on.join(" ")));
    }
    lines
}

fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Native => "native XDP",
        Hook::Generic => "generic XDP",
        Hook::Tcx => "TCX",
        Hook::Socket => "a packet socket",
    }
}

fn third_party(foreign: &Foreign) -> String {
    let name = if foreign.name.is_empty() {
        String::new()
    } else {
        format!("{} ", escape(foreign.name.as_bytes()))
    };
    let at = match &foreign.hook {
        ForeignHook::Xdp(kind) => format!("XDP {kind}"),
        ForeignHook::Tc(Direction::Rx) => "TC in".to_owned(),
        ForeignHook::Tc(Direction::Tx) => "TC out".to_owned(),
    };
    format!("{at} {name}#{}", foreign.id)
}

fn speed(mbit: Option<u32>) -> String {
    match mbit {
        None => "speed unknown".into(),
        Some(mbit) if mbit >= 1_000 => format!("{} Gb/s", f64::from(mbit) / 1_000.0),
        Some(mbit) => format!("{mbit} Mb/s"),
    }
}

/// Writes at column `at` of line `y`; numbers end eight cells later.
fn put(buf: &mut Buffer, inside: Rect, y: u16, at: u16, text: &str, style: Style, right: bool) {
    // A number that is cut would be another one.
    if at >= inside.width || y >= inside.height || (right && at + 8 > inside.width) {
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
