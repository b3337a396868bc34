//! Stepping through the last minutes of the dashboard while it is paused.

use crate::fake::{Dashboard, at, key, second, started, text, type_text};
use std::time::Duration;

use crate::pivot::{conn, owner};
use ebpftop::app::{App, Msg};
use ebpftop::model::conn::{ConnEvent, ConnectionsBatch, ConnectionsTick};
use ebpftop::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use ebpftop::model::quality::Quality;
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (140, 50);

/// All lines but the first, which says that it is paused, and the last, which has key hints.
fn body(app: &App) -> String {
    let text = text(app, SIZE);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    lines[..lines.len() - 1].join("\n")
}

fn header(app: &App) -> String {
    text(app, SIZE).lines().next().unwrap().to_owned()
}

/// A second in which next to nothing happens.
fn quiet(app: &mut Dashboard, s: u32) {
    let now = at(f64::from(s) + 0.5);
    let batch = crate::fake::batch(now, &[(812, "nginx", b"/etc/hosts", 3, s as usize % 3)]);
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), now);
    app.update(Msg::Tick, at(f64::from(s) + 1.0));
}

fn app() -> Dashboard {
    let mut app = started(&Settings::default(), SIZE);
    app.remember(Duration::from_secs(1));
    type_text(&mut app, "F", at(0.0));
    app
}

/// Each pane, each view, the details: what was on the screen at a tick is there again, number by
/// number, and what came meanwhile is there after the pause.
#[test]
fn each_moment_shows_the_screen_of_that_time() {
    for keys in ["", "t", "tt", "ttt", "tttt", "ttttt", "tttttt", "\r", "t\r", "2\r", "f"] {
        let (mut app, mut other) = (app(), app());
        second(&mut app, 0);
        second(&mut other, 0);
        for c in keys.chars() {
            let code = if c == '\r' { KeyCode::Enter } else { KeyCode::Char(c) };
            app.update(key(code), at(1.2));
            other.update(key(code), at(1.2));
        }
        let mut shown = Vec::new();
        for s in 1..10 {
            second(&mut app, s);
            second(&mut other, s);
            shown.push(body(&app));
        }
        app.press(KeyCode::Char('p'), at(10.0));
        // It goes on meanwhile.
        for s in 10..13 {
            second(&mut app, s);
            second(&mut other, s);
        }
        assert_eq!(body(&app), shown[8], "{keys:?}: paused");
        for n in (0..9).rev() {
            app.press(KeyCode::Char('['), at(13.2));
            assert_eq!(body(&app), shown[n], "{keys:?}: back to {n}");
        }
        for (n, then) in shown.iter().enumerate().skip(1) {
            app.press(KeyCode::Char(']'), at(13.2));
            assert_eq!(body(&app), *then, "{keys:?}: forth to {n}");
        }
        app.press(KeyCode::Char('['), at(13.2));
        app.press(KeyCode::Char('p'), at(13.2));
        other.update(Msg::Tick, at(13.2));
        app.update(Msg::Tick, at(13.2));
        assert_eq!(body(&app), body(&other), "{keys:?}: now");
    }
}

/// A second of connections: one goes on, one begins and one ends in every third second, another is
/// refused, and a process that opens nothing begins to talk in the fifth.
fn talk(app: &mut Dashboard, s: u32) {
    let now = at(f64::from(s) + 0.4);
    if s == 2 {
        let info = ProbeInfo::Connections(ConnectionsInfo::default());
        app.update(Msg::Probe(ProbeEvent::Started(info)), now);
    }
    if s < 2 {
        return;
    }
    let nginx = Some(owner(812, "nginx"));
    let n = u64::from(s);
    let mut bulk = conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", n * 700, n * n * 900);
    bulk.quality = Quality { srtt_us: Some(61_420 + 10 * s), ..Quality::default() };
    let unowned = conn(2, None, "10.0.3.1:2049", "10.0.3.17:700", n * 40, 0);
    let mut short = conn(100 + n / 3, nginx, "10.9.0.1:40000", "10.9.0.2:5432", n, 2 * n);
    short.event = [ConnEvent::Connect, ConnEvent::Sample, ConnEvent::Close][s as usize % 3];
    let mut refused = conn(7, nginx, "10.9.0.1:40001", "10.9.0.3:25", 0, 0);
    (refused.event, refused.state, refused.error) = (ConnEvent::Close, 2, 111);
    let mut samples = vec![bulk, unowned];
    let mut events = vec![refused];
    match short.event {
        ConnEvent::Sample => samples.push(short),
        _ => events.push(short),
    }
    if s >= 5 {
        let quiet = Some(owner(777, "quiet"));
        samples.push(conn(3, quiet, "10.0.3.1:40001", "10.0.3.17:22", 10 * n, 20 * n));
    }
    for conn in events.iter_mut().chain(&mut samples) {
        conn.at = now;
    }
    let tick = Some(ConnectionsTick { samples, ..ConnectionsTick::default() });
    let batch = ConnectionsBatch { at: now, events, tick, ..ConnectionsBatch::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), now);
}

/// Columns of traffic, connections with their graphs and groups, peers of a process, its timeline, and the processes of an address.
#[test]
fn each_moment_shows_the_connections_of_that_time() {
    for keys in
        ["", "t/nginx\r\r", "t/nginx\r\rl", "2/ip:10.0.3.17\r\r", "c", "c/port:443\r|\r", "C|\r"]
    {
        let mut app = app();
        app.resize((200, 60), at(0.0));
        let body = |app: &Dashboard| {
            let text = text(app, (200, 60));
            let lines: Vec<&str> = text.lines().skip(1).collect();
            lines[..lines.len() - 1].join("\n")
        };
        let pass = |app: &mut Dashboard, s| {
            talk(app, s);
            second(app, s);
        };
        pass(&mut app, 0);
        // Rows are there from the second second on.
        let (first, then) = keys.split_once('|').unwrap_or((keys, ""));
        let press = |app: &mut Dashboard, keys: &str, s| {
            for c in keys.chars() {
                let code = if c == '\r' { KeyCode::Enter } else { KeyCode::Char(c) };
                app.update(key(code), at(s));
            }
        };
        press(&mut app, first, 1.2);
        let from = if then.is_empty() { 0 } else { 4 };
        let mut shown = Vec::new();
        for s in 1..10 {
            if s == 5 {
                press(&mut app, then, 5.1);
            }
            pass(&mut app, s);
            shown.push(body(&app));
        }
        let words: &[&str] = match keys {
            "" => &["quiet", "unattributed", "payload rx"],
            "c" => &["refused", "61.5ms", "1 failed/s"],
            "c/port:443\r|\r" => &["peak 117 kb/s in 59 s", "peak 61.5ms in 59 s"],
            "C|\r" => &["▾ nginx", " 10.9.0.3:25 ", "3 groups"],
            "2/ip:10.0.3.17\r\r" => &["quiet", "nginx", "unattributed: kernel socket"],
            _ => &["10.9.0.2", "10.0.3.17"],
        };
        for word in words {
            assert!(shown[8].contains(word), "{keys:?}: {word}\n{}", shown[8]);
        }
        app.update(key(KeyCode::Char('p')), at(10.0));
        for s in 10..13 {
            pass(&mut app, s);
        }
        for n in (from..9).rev() {
            app.update(key(KeyCode::Char('[')), at(13.2));
            assert_eq!(body(&app), shown[n], "{keys:?}: back to {n}");
        }
        for (n, then) in shown.iter().enumerate().skip(from + 1) {
            app.update(key(KeyCode::Char(']')), at(13.2));
            assert_eq!(body(&app), *then, "{keys:?}: forth to {n}");
        }
        shown.dedup();
        assert!(shown.len() + from > 6, "{keys:?}: the moments differ");
    }
}

#[test]
fn the_header_has_the_time_and_the_reach() {
    let mut app = app();
    for s in 0..700 {
        quiet(&mut app, s);
        if s == 100 {
            app.press(KeyCode::Char('p'), at(101.0));
            assert!(header(&app).contains(" PAUSED 00:18:21 -0:00/1:40"), "{}", header(&app));
            app.press(KeyCode::Char('p'), at(101.0));
        }
    }
    app.press(KeyCode::Char('p'), at(700.0));
    assert!(header(&app).contains("-0:00/10:00"), "{}", header(&app));
    // The first step is to the moment at which it was paused.
    for _ in 0..6 {
        app.press(KeyCode::Char('['), at(700.0));
    }
    assert!(header(&app).contains(" PAUSED 00:28:15 -0:05/10:00"), "{}", header(&app));
    app.press(KeyCode::Char('{'), at(700.0));
    assert!(header(&app).contains(" -1:05/10:00"), "{}", header(&app));
    app.press(KeyCode::Char('}'), at(700.0));
    assert!(header(&app).contains(" -0:05/10:00"), "{}", header(&app));
    for _ in 0..11 {
        app.press(KeyCode::Char('{'), at(700.0));
    }
    assert!(header(&app).contains(" -10:00/10:00"), "{}", header(&app));
    app.press(KeyCode::Char('['), at(700.0));
    assert!(
        text(&app, SIZE)
            .contains("no older moment is kept: the limit is ten minutes, or 64 MiB of changes")
    );
    // The shown moment stays, and so do ten minutes before the pause.
    let before = body(&app);
    for s in 700..720 {
        quiet(&mut app, s);
    }
    assert_eq!(body(&app), before);
    assert!(header(&app).contains(" -10:00/10:00"), "{}", header(&app));
    for _ in 0..11 {
        app.press(KeyCode::Char('}'), at(720.0));
    }
    app.press(KeyCode::Char(']'), at(720.0));
    assert!(header(&app).contains(" -0:00/10:00"), "{}", header(&app));
    assert!(text(&app, SIZE).contains("this is the moment of the pause; p returns to now"));
}

#[test]
fn with_a_small_bound_the_reach_is_shorter_and_shown() {
    let mut app = app();
    app.remember_within(Duration::from_secs(1), 40_000);
    for s in 0..30 {
        second(&mut app, s);
    }
    app.press(KeyCode::Char('p'), at(30.0));
    let paused = header(&app);
    let most = paused.split("-0:00/").nth(1).unwrap().split(['"', ' ']).next().unwrap().to_owned();
    let (minutes, seconds) = most.split_once(':').unwrap();
    let s: u64 = minutes.parse::<u64>().unwrap() * 60 + seconds.parse::<u64>().unwrap();
    assert!((3..20).contains(&s), "{paused}");
    for _ in 0..=s {
        app.press(KeyCode::Char('['), at(30.0));
    }
    assert!(header(&app).contains(&format!(" -{most}/{most}")), "{}", header(&app));
    app.press(KeyCode::Char('['), at(30.0));
    assert!(header(&app).contains(&format!(" -{most}/{most}")), "{}", header(&app));
}

/// Another interface is watched now than was then.
#[test]
fn the_interfaces_of_that_time_are_shown() {
    let mut app = app();
    second(&mut app, 0);
    second(&mut app, 1);
    let lo = crate::fake::watched("lo");
    app.update(Msg::Probe(ProbeEvent::Watching(vec![lo])), at(2.1));
    app.update(Msg::Tick, at(3.0));
    assert!(header(&app).contains(" lo generic"), "{}", header(&app));
    app.press(KeyCode::Char('p'), at(3.0));
    app.press(KeyCode::Char('['), at(3.0));
    app.press(KeyCode::Char('['), at(3.0));
    assert!(header(&app).contains(" eth0 generic"), "{}", header(&app));
    assert!(body(&app).contains("10.0.3.17"), "{}", body(&app));
    app.press(KeyCode::Char(']'), at(3.0));
    assert!(header(&app).contains(" lo generic"), "{}", header(&app));
}

#[test]
fn keys_that_need_a_pause_say_so_and_a_restart_leaves_nothing_to_go_back_to() {
    let mut app = app();
    second(&mut app, 0);
    app.press(KeyCode::Char('['), at(1.0));
    assert!(
        text(&app, SIZE)
            .contains("press p to pause first; then [ and ] step through the last ten minutes")
    );
    app.update(
        Msg::Key(ratatui::crossterm::event::KeyEvent::new(
            KeyCode::Char('r'),
            ratatui::crossterm::event::KeyModifiers::CONTROL,
        )),
        at(1.5),
    );
    app.press(KeyCode::Char('p'), at(1.6));
    app.press(KeyCode::Char('['), at(1.6));
    assert!(text(&app, SIZE).contains("no older moment is kept"), "{}", text(&app, SIZE));
    app.press(KeyCode::Char('p'), at(1.6));
    for s in 1..4 {
        second(&mut app, s);
    }
    app.press(KeyCode::Char('p'), at(4.0));
    for _ in 0..9 {
        app.press(KeyCode::Char('['), at(4.0));
    }
    assert!(header(&app).contains(" -0:02/0:02"), "{}", header(&app));
}

#[test]
fn a_rewound_screen() {
    for size in [(80, 24), (120, 40), (200, 60), (40, 12), (10, 3)] {
        let mut app = app();
        for s in 0..40 {
            second(&mut app, s);
        }
        app.resize(size, at(40.0));
        app.press(KeyCode::Char('p'), at(40.0));
        for _ in 0..12 {
            app.press(KeyCode::Char('['), at(40.0));
        }
        // The word about the key that was pressed has gone.
        app.update(Msg::Tick, at(50.0));
        insta::assert_snapshot!(format!("rewound_{}x{}", size.0, size.1), text(&app, size));
    }
}
