//! Details of a process from its events, and the growth of its descriptors since a mark.

use crate::detail::{asked, open, who};
use crate::fake::{Dashboard, at, busy, text};
use ebpftop::app::{Effect, Msg};
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::Comm;
use ebpftop::model::process::ProcessKey;
use ebpftop::model::process_event::{Args, ExitStatus, ProcessAction, ProcessEvent, ProcessEvents};
use ebpftop::model::process_info::{Descriptors, ProcessInfo, Unread};
use ebpftop::model::time::WallOffset;
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (120, 40);

/// The line of the details with this label.
fn line(app: &Dashboard, label: &str) -> String {
    let screen = text(app, SIZE);
    let found = screen.lines().find(|line| line.contains(&format!("│ {label:<9} ")));
    found.unwrap_or_else(|| panic!("{label}: {screen}")).to_owned()
}

fn event(key: ProcessKey, s: f64, age_ns: u64, action: ProcessAction) -> ProcessEvent {
    ProcessEvent {
        at: at(s),
        key,
        ppid: 77,
        uid: 0,
        comm: Comm::new(b"sh"),
        process: Comm::new(b"sh"),
        cgroup_id: None,
        age_ns,
        action,
    }
}

fn exec(text: &[u8], bytes: u64, executable: &[u8]) -> ProcessAction {
    let args = Some(Args { text: text.into(), bytes });
    ProcessAction::Exec { args, executable: Some(executable.into()) }
}

/// Of one that ended before /proc was read: its last program with the arguments, its status, how long it lived.
#[test]
fn a_process_that_ended_early_has_what_its_events_say() {
    let mut app = busy(SIZE);
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    app.press(KeyCode::Char('e'), at(30.0));
    let gone = ProcessInfo { user: None, cgroup: None, facts: Err(Unread::Gone) };
    app.update(Msg::Described(key, Box::new(gone)), at(30.0));
    assert!(line(&app, "exe").contains("exited before it could be read"));
    let before = exec(b"env\0", 4, b"/usr/bin/env");
    let last = exec(b"sh\0-c\0exit 3 \x1b[2J\0", 900, b"/bin/da\x1bsh");
    let other = ProcessKey { tgid: key.tgid, start_boottime_ns: 1 };
    let events = vec![
        event(key, 29.0, 500_000_000, before),
        event(key, 29.5, 1_000_000_000, last),
        event(other, 29.6, 5, exec(b"another\0", 8, b"/another")),
        event(key, 29.7, 1_200_000_000, ProcessAction::Exit(ExitStatus(3 << 8))),
    ];
    let events = ProcessEvents { events, lost: 0, wall: WallOffset(0) };
    app.update(Msg::Probe(ProbeEvent::Processes(events)), at(30.0));
    app.update(Msg::Ended(vec![key]), at(30.0));
    assert!(line(&app, "exit").contains("3 after 1.2s"), "{}", line(&app, "exit"));
    assert!(line(&app, "exe").contains("/bin/da\\x1bsh"), "{}", line(&app, "exe"));
    let command = line(&app, "command");
    assert!(command.contains("sh -c 'exit 3 \\x1b[2J'…"), "{command}");
    assert!(line(&app, "started").contains(", 1.5s ago"), "{}", line(&app, "started"));
    // Another moment of the screen, before its end.
    let signal = event(key, 99.0, 5, ProcessAction::Exit(ExitStatus(9)));
    let events = ProcessEvents { events: vec![signal], lost: 0, wall: WallOffset(0) };
    app.update(Msg::Probe(ProbeEvent::Processes(events)), at(30.0));
    assert!(line(&app, "exit").contains("3 after 1.2s"), "{}", line(&app, "exit"));
}

/// What /proc says of one that lives stands before its events.
#[test]
fn details_of_proc_stand_before_events() {
    let mut app = busy(SIZE);
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    app.update(Msg::Described(key, Box::new(who())), at(30.0));
    let events = vec![event(key, 29.0, 5, exec(b"sh\0", 3, b"/bin/sh"))];
    let events = ProcessEvents { events, lost: 0, wall: WallOffset(0) };
    app.update(Msg::Probe(ProbeEvent::Processes(events)), at(30.0));
    assert!(line(&app, "exe").contains("cc1"), "{}", line(&app, "exe"));
    assert!(!text(&app, SIZE).contains("│ exit "));
}

fn counted(effects: &[Effect]) -> Option<Vec<ProcessKey>> {
    effects.iter().find_map(|effect| match effect {
        Effect::CountDescriptors(keys) => Some(keys.clone()),
        _ => None,
    })
}

/// A mark that is set in the list counts for each process, whenever its details are opened.
#[test]
fn descriptors_grow_since_a_mark_in_the_list() {
    for key in ['m', 'N'] {
        let mut app = busy(SIZE);
        let keys = counted(&app.press(KeyCode::Char(key), at(30.0))).unwrap();
        assert!(keys.iter().any(|key| key.tgid == 18220) && keys.iter().any(|key| key.tgid == 812));
        let counts = keys.iter().map(|key| (*key, key.tgid as usize)).collect();
        app.update(Msg::Descriptors(counts), at(30.5));
        if key == 'N' {
            app.press(KeyCode::Char('N'), at(31.0));
        }
        for s in [40.5, 60.5] {
            let key = asked(&app.press(KeyCode::Enter, at(s))).unwrap();
            let mut info = who();
            let descriptors = Descriptors { count: key.tgid as usize + 7, ..open(&["/a"]) };
            info.facts.as_mut().unwrap().descriptors = Some(descriptors);
            app.update(Msg::Described(key, Box::new(info)), at(s));
            let held = line(&app, "holds");
            assert!(held.contains(&format!("(+7 in {}s)", s - 30.5)), "{held}");
            app.press(KeyCode::Esc, at(s));
        }
    }
}

/// The counts start again: no number of before is compared with.
#[test]
fn a_restart_forgets_the_descriptors_of_the_mark() {
    let mut app = busy(SIZE);
    let keys = counted(&app.press(KeyCode::Char('m'), at(30.0))).unwrap();
    app.update(Msg::Descriptors(keys.iter().map(|key| (*key, 1)).collect()), at(30.0));
    let key = asked(&app.press(KeyCode::Enter, at(31.0))).unwrap();
    app.update(Msg::Described(key, Box::new(who())), at(31.0));
    assert_eq!(app.descriptors_more(key), Some((2, at(30.0))));
    app.update(ctrl('r'), at(32.0));
    assert_eq!(app.descriptors_more(key), None);
}

fn ctrl(c: char) -> Msg {
    use ratatui::crossterm::event::{KeyEvent, KeyModifiers};
    Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL))
}
