//! A live recording of another machine: its delay and its end on the screen.

use crate::fake::{Dashboard, at, busy};
use ebpftop::app::{Msg, Remote};
use ebpftop::model::lag::Lagging;
use ebpftop::model::time::NS_PER_SEC;
use ratatui::crossterm::event::KeyCode;

fn lag(delay_ns: u64, clock_s: i64, stalled_ns: Option<u64>) -> Remote {
    let clock_ns = clock_s * NS_PER_SEC.cast_signed();
    Remote { lag: Lagging { delay_ns, clock_ns, stalled_ns }, ended: None }
}

fn ended(how: Result<&str, &str>) -> Remote {
    let how = how.map(str::to_owned).map_err(str::to_owned);
    Remote { ended: Some(how), ..Remote::default() }
}

/// The header at this width.
fn header(app: &mut Dashboard, remote: &Remote, width: u16) -> String {
    app.resize((width, 24), at(30.0));
    app.update(Msg::Remote(remote.clone()), at(30.0));
    app.text().lines().next().unwrap().to_owned()
}

#[test]
fn the_header_has_host_delay_stall_and_end() {
    let mut app = busy((80, 24));
    for (remote, words) in [
        (lag(400_000_000, 0, None), "delay 0.4s"),
        (lag(400_000_000, -3, None), "delay 0.4s clock 3.0s behind"),
        (lag(0, 90, None), "delay 0.0s clock 1m ahead"),
        (lag(0, 1, None), "delay 0.0s"),
        (lag(0, 0, Some(12 * NS_PER_SEC)), "stalled 12s"),
        (ended(Ok("4.2 s")), "ended"),
        (ended(Err("cut")), "broken off"),
    ] {
        for width in [200, 120, 80, 40] {
            let header = header(&mut app, &remote, width);
            // The clocks need room.
            let words = if width < 120 { words.split(" clock").next().unwrap() } else { words };
            assert!(header.contains(words), "{width}: {header}");
            assert!(
                width < 120 || header.trim_end_matches([' ', '"']).ends_with(words),
                "{width}: {header}"
            );
            assert!(width < 80 || header.contains("web-3"), "{width}: {header}");
        }
    }
    app.press(KeyCode::Char('p'), at(30.0));
    let paused = header(&mut app, &lag(0, 0, Some(12 * NS_PER_SEC)), 80);
    for words in ["web-3", "stalled 12s", "PAUSED"] {
        assert!(paused.contains(words), "{paused}");
    }
}

#[test]
fn the_end_is_explained_as_long_as_no_notice_is_newer() {
    let mut app = busy((120, 40));
    app.press(KeyCode::F(12), at(30.0));
    let end = ended(Err("it broke off"));
    let footer = |app: &Dashboard| app.text().lines().last().unwrap().to_owned();
    app.update(Msg::Remote(end.clone()), at(30.0));
    assert!(footer(&app).contains("has no function here"), "{}", footer(&app));
    // The clock stands still; five updates come in a second.
    for _ in 0..20 {
        app.update(Msg::Remote(end.clone()), at(30.0));
    }
    assert!(footer(&app).contains("it broke off"), "{}", footer(&app));
}

#[test]
fn interfaces_and_recordings_are_the_other_machines() {
    let mut app = busy((120, 40));
    app.update(Msg::Remote(lag(0, 0, None)), at(30.0));
    for key in ['i', 'n', 'x', 'R'] {
        let effects = app.press(KeyCode::Char(key), at(30.0));
        assert!(effects.iter().all(|e| matches!(e, ebpftop::app::Effect::Redraw)), "{effects:?}");
        assert!(app.notice().unwrap().0.contains("replay"), "{key}");
    }
}
