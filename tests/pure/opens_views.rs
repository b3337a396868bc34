//! The opens pane's views: what their numbers count when opens are chosen.

use crate::fake::{Dashboard, at, batch, started, type_text};
use ebpftop::app::opens::{OpensSort, OpensView, Row};
use ebpftop::app::{App, Effect, Msg};
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::OpenBatch;
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (150, 30);

fn report(app: &mut Dashboard, opens: OpenBatch) {
    app.update(Msg::Probe(ProbeEvent::Opens(opens)), at(1.0));
    app.update(Msg::Tick, at(2.0));
}

/// Two processes that open one file, and one of them another.
fn shared() -> Dashboard {
    let mut app = started(&Settings::default(), SIZE);
    report(
        &mut app,
        batch(
            at(1.0),
            &[
                (10, "make", b"/src/a.h", 3, 5),
                (20, "vim", b"/src/a.h", 3, 2),
                (20, "vim", b"/src/a.h", -13, 1),
                (20, "vim", b"/home/vimrc", 3, 4),
            ],
        ),
    );
    app
}

pub(super) fn view_of(app: &mut Dashboard, view: OpensView) {
    for _ in 0..8 {
        if app.opens_pane.view == view {
            return;
        }
        app.press(KeyCode::Char('t'), at(2.0));
    }
    panic!("no such view");
}

/// The row of the screen with `what` in it, its words.
fn words(app: &Dashboard, what: &str) -> Vec<String> {
    let text = app.text();
    let row = text.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {text}"));
    row.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn numbers_by_file_and_directory_are_those_of_the_chosen_processes() {
    let mut app = shared();
    view_of(&mut app, OpensView::Files);
    assert!(words(&app, "/src/a.h").contains(&"8".into()), "{}", app.text());
    type_text(&mut app, "/vim", at(2.0));
    app.press(KeyCode::Enter, at(2.0));
    // FILE, OPENS/S, FAIL, TOTAL, BY, RESULT, AGE
    let row = words(&app, "/src/a.h");
    assert!(row.contains(&"3".into()) && row.contains(&"33".into()), "{row:?}");
    assert!(row.contains(&"EACCES".into()) && !row.contains(&"8".into()), "{row:?}");
    assert_eq!(app.opens_pane.shares.len(), 2);
    assert_eq!(app.opens_pane.shares.values().map(|s| s.users).max(), Some(1));
    view_of(&mut app, OpensView::Directories);
    let row = words(&app, "/src");
    assert!(row.contains(&"3".into()) && !row.contains(&"8".into()), "{row:?}");
    app.press(KeyCode::Esc, at(2.0));
    type_text(&mut app, "/!vim", at(2.0));
    app.press(KeyCode::Enter, at(2.0));
    let dirs: Vec<_> = app.opens_pane.dirs.iter().map(|d| (&*d.path, d.opens)).collect();
    assert_eq!(dirs, [(&b"/src"[..], 5)]);
}

#[test]
fn failed_only_puts_the_most_failures_first_and_gives_the_order_back() {
    let mut app = started(&Settings::default(), SIZE);
    let opens: [(u32, &str, &[u8], i64, usize); 4] = [
        (1, "busy", b"/a", 3, 90),
        (1, "busy", b"/b", -2, 1),
        (2, "failing", b"/c", -2, 9),
        (3, "good", b"/d", 3, 9),
    ];
    report(&mut app, batch(at(1.0), &opens));
    view_of(&mut app, OpensView::Processes);
    let first = |app: &App| match app.opens_pane.rows[0] {
        Row::Process(s) => app.opens().processes().get(s).unwrap().key.tgid,
        other => panic!("{other:?}"),
    };
    assert_eq!((first(&app), app.opens_pane.matched), (1, 3));
    app.press(KeyCode::Char('f'), at(2.0));
    assert_eq!((first(&app), app.opens_pane.matched), (2, 2));
    app.press(KeyCode::Char('f'), at(2.0));
    assert_eq!((first(&app), app.opens_pane.matched), (1, 3));
    app.opens_pane.sort_by(OpensSort::Pid);
    app.press(KeyCode::Char('f'), at(2.0));
    app.press(KeyCode::Char('f'), at(2.0));
    assert_eq!(app.opens_pane.sort(), OpensSort::Pid, "a chosen order stays");
}

#[test]
fn copying_a_failure_gives_the_file_where_there_is_one() {
    let mut app = started(&Settings::default(), SIZE);
    report(&mut app, batch(at(1.0), &[(1, "app", b"/etc/app/one.conf", -2, 3)]));
    view_of(&mut app, OpensView::Failures);
    let copied = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|e| if let Effect::Copy(text) = e { Some(text) } else { None })
    };
    assert_eq!(
        copied(app.press(KeyCode::Char('y'), at(2.0))).as_deref(),
        Some("/etc/app/one.conf")
    );
    report(&mut app, batch(at(1.5), &[(1, "app", b"/etc/app/two.conf", -2, 3)]));
    assert_eq!(copied(app.press(KeyCode::Char('y'), at(2.0))).as_deref(), Some("/etc/app"));
}

#[test]
fn opens_of_processes_that_were_not_asked_for_are_counted() {
    let settings = Settings { process: Some("v".into()), ..Settings::default() };
    let mut app = started(&settings, SIZE);
    let opens: [(u32, &str, &[u8], i64, usize); 2] =
        [(1, "make", b"/a", 3, 7), (2, "vim", b"/b", 3, 2)];
    let mut batch = batch(at(1.0), &opens);
    batch.counts.skipped = 1_000;
    report(&mut app, batch);
    assert_eq!(app.opens().left_out(), 1_007);
    assert_eq!(app.opens().total().opens, 2);
    assert!(app.text().contains("1007 opens by other processes excluded"), "{}", app.text());
    app.update(
        Msg::Key(ratatui::crossterm::event::KeyEvent::new(
            KeyCode::Char('r'),
            ratatui::crossterm::event::KeyModifiers::CONTROL,
        )),
        at(3.0),
    );
    assert_eq!(app.opens().left_out(), 0);
}

/// More opens than the feed has room for come before the screen is drawn again.
#[test]
fn the_live_feed_shows_the_opens_of_the_last_tick() {
    let mut app = shared();
    view_of(&mut app, OpensView::Live);
    assert!(app.text().contains("/home/vimrc"), "{}", app.text());
    let flood = batch(at(2.1), &[(99, "flood", b"/flood", 3, 5_000)]);
    app.update(Msg::Probe(ProbeEvent::Opens(flood)), at(2.1));
    let screen = app.text();
    assert!(screen.contains("/home/vimrc"), "{screen}");
    app.update(Msg::Tick, at(3.0));
    let screen = app.text();
    assert!(screen.contains("/flood") && !screen.contains("/home/vimrc"), "{screen}");
}
