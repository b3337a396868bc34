//! The lines at the top: rates of the machine, and how complete the screen is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::figures;
use super::look::{Look, loss_style};
use super::num;
use super::text::{Line, cells};
use crate::app::App;
use crate::app::data::ProbeState;
use crate::model::escape::escape;
use crate::model::talkers::Direction;
use crate::model::time::NS_PER_SEC;

/// Draws the header.
pub fn draw(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    match area.height {
        0 => {}
        1 => one_line(app, look, area, buf),
        _ => {
            identity(app, look, Rect { height: 1, ..area }, buf);
            let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
            figures::draw(app, look, below, buf);
        }
    }
}

/// One line for small terminals, the most important figure first.
pub fn one_line(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    let lost = format!("lost {}", app.opens().lost());
    let rx = num::traffic(figures::traffic(app, Direction::Rx).0, app.screen.units);
    let tx = num::traffic(figures::traffic(app, Direction::Tx).0, app.screen.units);
    let opens = num::si(app.opens().rate());
    let parts = [format!("opens {opens}/s"), format!("rx {rx}"), format!("tx {tx}"), lost.clone()];
    // Losses and the pause stay longest: they qualify the other figures.
    let state = state(app);
    let paused = if state.is_empty() { String::new() } else { format!(" {state}{}", back(app)) };
    let paused = if app.recording().is_some() { format!("{paused} REC") } else { paused };
    let paused = match remote(app, look, false) {
        Some((status, _)) => format!("{paused} {status}"),
        None => paused,
    };
    let paused = paused.as_str();
    let whole: usize = parts.iter().map(|p| cells(p) + 1).sum::<usize>() + cells(paused);
    if whole <= usize::from(area.width) + 1 {
        for (i, part) in parts.iter().enumerate() {
            let style = if i == 3 { loss_style(app, theme) } else { theme.text };
            line.put(part, style);
            line.skip(1);
        }
        line.put(paused.trim_start(), theme.note);
        let interface = interface(app, look);
        if line.room() > cells(&interface) {
            line.skip(1).put(&interface, theme.quiet);
        }
        return;
    }
    line.put(&lost, loss_style(app, theme)).put(paused, theme.note);
    for part in parts.iter().take(3) {
        if line.room() > cells(part) {
            line.skip(1).put(part, theme.text);
        }
    }
}

/// The first line: host and interface, losses, pause, filter.
fn identity(app: &App, look: &Look, area: Rect, buf: &mut Buffer) {
    let theme = look.theme;
    let mut line = Line::new(buf, area);
    line.skip_right(1);
    let still = if app.paused() || app.replay.as_ref().is_some_and(|r| r.paused) {
        format!("{} ", look.glyphs.pause)
    } else {
        String::new()
    };
    let state = state(app);
    if !state.is_empty() {
        // The host of a live recording comes before the clock.
        let clock_from = if app.remote.is_some() { 100 } else { 80 };
        let time = if area.width >= clock_from { shown_time(app, look) } else { back(app) };
        line.put_right(&format!("{still}{state}{time}"), theme.note).skip_right(3);
    }
    if let Some((status, style)) = remote(app, look, area.width >= 120) {
        line.put_right(&status, style).skip_right(3);
    }
    line.put_right(&format!("lost {}", app.opens().lost()), loss_style(app, theme)).skip_right(3);
    if let Some(text) = under_way(app, area.width) {
        line.put_right(&text, theme.bad).skip_right(3);
    }
    let held = app.filter.held_text();
    let filter = escape(held.as_bytes());
    let interface = interface(app, look);
    // The interface and the filter come before the host's name, and before long words, when it gets narrow.
    let needed = cells(&interface) + if filter.is_empty() { 0 } else { 10 + cells(&filter) };
    coverage(app, look, &mut line, needed);
    recording(app, look, &mut line);
    if let Some(mark) = app.screen.mark {
        let word = if app.screen.new_only { "new since" } else { "mark" };
        let age = num::age(app.shown_at().since(mark));
        line.put_right(&format!("{word} {age}"), theme.fresh).skip_right(3);
    }
    line.put(" ebpftop", theme.strong).skip(2);
    if line.room() > needed + 4 {
        let room = line.room() - needed - 3;
        let host = escape(app.host.as_bytes());
        line.put(&super::text::cut(&host, room.min(24), look.glyphs.cut), theme.text).skip(2);
    }
    line.put(&interface, theme.text);
    if !filter.is_empty() {
        line.skip(2).put("filter ", theme.quiet);
        let room = line.room();
        line.put(&super::text::cut(&filter, room, look.glyphs.cut), theme.note);
    } else if let Some(price) = price(app) {
        let price = format!(" {} {price}", look.glyphs.dot);
        if cells(&price) <= line.room() {
            line.put(&price, theme.quiet);
        }
    }
}

/// How many opens, reads and writes have not returned, and the age of the oldest one with its process: `1 under
/// way 34s cat 812`.
fn under_way(app: &App, width: u16) -> Option<String> {
    let found = app.under_way()?;
    let oldest = found.oldest()?;
    let age = num::age(app.shown_at().since(oldest.since));
    let mut text = format!("{} under way {age}", num::grouped(found.count()));
    if width >= 120 {
        let name = escape(oldest.process.as_bytes());
        text.push_str(&format!(" {name} {}", oldest.key.tgid));
    }
    Some(text)
}

/// How many opens through io_uring have no path, how connections are attributed where no program does, how
/// many features the kernel refused, and the share of traffic that is attributed to processes: `unnamed 3
/// connections: procfs   missing 2`, `missing 2   attributed 97 %`. Shorter where less than `needed` cells
/// would be left.
fn coverage(app: &App, look: &Look, line: &mut Line<'_>, needed: usize) {
    let missing = match app.data.missing().iter().filter(|missing| missing.is_refused()).count() {
        0 => String::new(),
        n => format!("missing {n}"),
    };
    const PROGRAM: usize = " ebpftop  ".len();
    let long = "connections: procfs   ".len() + missing.len() + 3;
    let polled = match app.data.polled() {
        false => "",
        true if line.room() < (needed + PROGRAM + long).max(60) => "procfs",
        true => "connections: procfs",
    };
    let own = match app.opens().own() {
        0 => String::new(),
        n => format!("own {} left out", num::grouped(n)),
    };
    // In the narrowest header the number alone, where there is room.
    let own = match line.room() >= (needed + PROGRAM + long + own.len()).max(86) {
        true => own,
        false => own.strip_suffix(" left out").unwrap_or_default().to_owned(),
    };
    let unnamed = match app.opens().unnamed() {
        0 => String::new(),
        n => format!("unnamed {}", num::grouped(n)),
    };
    if is_attributed(app) && line.room() >= (needed + PROGRAM + long).max(100) {
        let share = match app.opens_pane.attributed() {
            // Rounded down: 100 % is all of it.
            Some(share) => format!("{:.0} %", (share * 100.0).floor()),
            None => look.glyphs.none.to_owned(),
        };
        // As wide without traffic as with some, so that what is beside it stays.
        line.put_right(&format!("attributed {share:>5}"), look.theme.quiet).skip_right(3);
    }
    if !own.is_empty() && line.room() >= needed + PROGRAM + long + own.len() + 3 {
        line.put_right(&own, look.theme.quiet).skip_right(3);
    }
    for word in [&*missing, polled, &*unnamed].into_iter().filter(|word| !word.is_empty()) {
        line.put_right(word, look.theme.note).skip_right(3);
    }
}

/// Whether bytes are attributed to processes.
fn is_attributed(app: &App) -> bool {
    let data = &app.data;
    app.opens_pane.net && !data.polled() && data.connections_state.problem().is_none()
}

/// The recording under way, its duration and size: `REC 0:42 1.21Mi`.
fn recording(app: &App, look: &Look, line: &mut Line<'_>) {
    let Some((recording, ns)) = app.recording() else { return };
    let size = num::scaled(recording.bytes as f64, true);
    let mut words = format!("REC {} {size}B", minutes(ns));
    let mut style = look.theme.note;
    if recording.lost.events > 0 {
        // Most of what comes is opens; where none is missing, the events say that something is.
        words.push_str(&match recording.lost.opens {
            0 => format!(" missing {} events", num::grouped(recording.lost.events)),
            opens => format!(" missing {}", num::grouped(opens)),
        });
        style = look.theme.bad;
    }
    // The interface has precedence.
    let narrow = line.room() < cells(&words) + 36;
    line.put_right(if narrow { "REC" } else { &words }, style).skip_right(3);
}

/// Side effects of watching, or the number of interfaces with some.
fn price(app: &App) -> Option<String> {
    let watched = app.interfaces();
    let mut priced = watched.iter().filter(|w| w.gone.is_none() && !w.price.is_empty());
    let first = priced.next()?;
    let more = priced.clone().count();
    Some(match (watched.len(), priced.all(|w| w.price == first.price)) {
        (1, _) => first.price.clone(),
        (_, true) => format!("{} on {}", first.price, more + 1),
        _ => format!("changes device features on {}: see i", more + 1),
    })
}

/// The namespace, the interface and how it is watched: `netns blue · eth0 generic`.
fn interface(app: &App, look: &Look) -> String {
    let watched = watched(app);
    match &app.netns {
        Some(name) => {
            let name = escape(name.as_bytes());
            let name = super::text::middle(&name, 24, look.glyphs.cut);
            format!("netns {name} {} {watched}", look.glyphs.dot)
        }
        None => watched,
    }
}

/// The state of a pause or replay.
fn state(app: &App) -> &'static str {
    match &app.replay {
        None if app.paused() => "PAUSED",
        None => "",
        Some(r) if r.seeking => "SEEKING",
        Some(r) if r.damage.is_some() => "DAMAGED",
        Some(r) if r.ended => "END",
        Some(r) if r.paused => "PAUSED",
        Some(_) => "REPLAY",
    }
}

/// The smallest difference of wall clocks that is worth a word.
const CLOCKS_NS: u64 = 2 * NS_PER_SEC;

/// How far the live data of another machine is behind, or that no more comes: `delay 0.4s`,
/// `delay 0.4s clock 3.2s ahead`, `stalled 12s`, `ended`.
fn remote(app: &App, look: &Look, wide: bool) -> Option<(String, Style)> {
    let remote = app.remote.as_ref()?;
    let lag = &remote.lag;
    Some(match (&remote.ended, lag.stalled_ns) {
        (Some(Ok(_)), _) => ("ended".into(), look.theme.note),
        (Some(Err(_)), _) => ("broken off".into(), look.theme.bad),
        (None, Some(ns)) => (format!("stalled {}", num::age(ns)), look.theme.bad),
        (None, None) => {
            let mut words = format!("delay {}", num::age(lag.delay_ns));
            let apart = lag.clock_ns.unsigned_abs();
            if wide && apart >= CLOCKS_NS {
                let side = if lag.clock_ns < 0 { "behind" } else { "ahead" };
                words.push_str(&format!(" clock {} {side}", num::age(apart)));
            }
            (words, look.theme.quiet)
        }
    })
}

/// The distance of the shown moment from the pause, if it is another one: ` -0:37`.
fn back(app: &App) -> String {
    match app.rewound() {
        Some((back, _)) if back > 0 => format!(" -{}", minutes(back)),
        _ => String::new(),
    }
}

/// Minutes and seconds: `4:10`.
fn minutes(ns: u64) -> String {
    let s = ns / NS_PER_SEC;
    format!("{}:{:02}", s / 60, s % 60)
}

/// The position in a replay, ` 12:03:04 0:12/1:30 ×2`, or of a paused screen in the last minutes:
/// ` 12:03:04 -0:37/4:10`.
fn shown_time(app: &App, look: &Look) -> String {
    let clock = app.wall_clock().map(|c| format!(" {c}")).unwrap_or_default();
    if let Some((back, most)) = app.rewound() {
        return format!("{clock} -{}/{}", minutes(back), minutes(most));
    }
    let Some(replay) = &app.replay else { return String::new() };
    let now = app.shown_at().min(replay.end);
    let at = minutes(now.since(replay.start));
    let of = minutes(replay.end.since(replay.start));
    format!("{clock} {at}/{of} {}{}", look.glyphs.times, replay.speed)
}

/// The interface and how it is watched: `eth0 generic`.
fn watched(app: &App) -> String {
    match app.watching() {
        ProbeState::Starting => "starting".into(),
        ProbeState::Failed(_) => "no interface".into(),
        ProbeState::Ended => "ended".into(),
        ProbeState::Running(watched) => match watched.as_slice() {
            [] => "no interface".into(),
            [one] => {
                let name = escape(one.interface.as_bytes());
                match (&one.gone, &one.rx) {
                    (Some(_), _) if one.ifindex != 0 => format!("{name} down"),
                    (Some(_), _) => format!("{name} gone"),
                    (None, Ok(hook)) => format!("{name} {}", hook.name()),
                    (None, Err(_)) => format!("{name} rx off"),
                }
            }
            many => match app.talkers_pane.summed.len() {
                summed if summed < app.talkers_pane.ports.len() => {
                    format!("all ({}), sum of {summed}", many.len())
                }
                _ => format!("all ({})", many.len()),
            },
        },
    }
}
