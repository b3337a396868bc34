//! The view by program: what is one row, what its numbers count, what is below it.

use crate::fake::{Dashboard, at, drawn, meta, started, text, type_text};
use ebpftop::app::Msg;
use ebpftop::app::opens::{Detail, OpensSort, ProgramRow, Row};
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::lineage::{Ancestor, Lookup};
use ebpftop::model::open::{Comm, OpenBatch, OpenMeta, ResolvedKind};
use ebpftop::model::process::ProcessKey;
use ebpftop::settings::{ScreenSettings, Settings};
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (150, 40);

fn open(batch: &mut OpenBatch, meta: &OpenMeta, path: &str) {
    let resolved = (ResolvedKind::Opened, path.as_bytes());
    batch.push(*meta, Some(path.as_bytes()), Some(resolved));
}

/// A loop that runs `cat` for `n` processes, and a server.
fn looping(n: u32, size: (u16, u16)) -> Dashboard {
    let mut app = started(&Settings::default(), size);
    let mut batch = OpenBatch::default();
    for pid in 1_000..1_000 + n {
        let meta = OpenMeta { cgroup_id: Some(1), ..meta(pid, "cat", at(1.0), 3) };
        for path in ["/etc/ld.so.cache", "/usr/lib/libc.so.6", "/etc/hostname"] {
            open(&mut batch, &meta, path);
        }
        open(&mut batch, &OpenMeta { ret: -2, ..meta }, "/etc/ld.so.preload");
    }
    for _ in 0..5 {
        let meta = OpenMeta { cgroup_id: Some(2), ..meta(812, "nginx", at(1.0), 3) };
        open(&mut batch, &meta, "/etc/nginx/mime.types");
        open(&mut batch, &meta, "/usr/lib/libc.so.6");
    }
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(1.0));
    let gone = |pid: u32| ProcessKey { tgid: pid, start_boottime_ns: u64::from(pid) * 1_000_000 };
    app.update(Msg::Ended((1_000..1_000 + n).map(gone).collect()), at(1.2));
    app.update(Msg::Tick, at(2.0));
    app
}

/// The row of the screen with this in it, and the one below.
fn rows<'a>(screen: &'a str, what: &str) -> Vec<&'a str> {
    let rows: Vec<_> = screen.lines().skip_while(|l| !l.contains(what)).take(2).collect();
    assert!(!rows.is_empty(), "{what}: {screen}");
    rows
}

#[test]
fn short_lived_processes_are_one_row_with_the_file_of_their_own() {
    let app = looping(26, SIZE);
    let screen = text(&app, SIZE);
    let cat = rows(&screen, "cat ×26");
    assert!(cat[0].contains(" 104.0") && cat[1].contains("/etc/hostname"), "{screen}");
    assert!(screen.contains("+ 3 common files") && !screen.contains("libc.so.6"), "{screen}");
    let nginx = rows(&screen, "nginx 812");
    assert!(nginx[1].contains("/etc/nginx/mime.types"), "{screen}");
    assert!(screen.contains(" 2 of 2 "), "{screen}");
    // Where there is no room below, the file is in the row.
    let app = looping(26, (80, 12));
    let screen = text(&app, (80, 12));
    assert!(rows(&screen, "cat ×26")[0].contains("/etc/hostname"), "{screen}");
}

/// Programs that ended are after those that live, and a minute later in one row, which opens; the totals stay.
#[test]
fn ended_programs_do_not_fill_the_screen() {
    let mut app = looping(26, SIZE);
    app.update(Msg::Tick, at(20.0));
    app.update(Msg::Tick, at(21.0));
    let screen = text(&app, SIZE);
    let place = |screen: &str, name: &str| screen.find(name).unwrap_or_else(|| panic!("{screen}"));
    assert!(place(&screen, "nginx 812") < place(&screen, "cat ×26"), "{screen}");
    assert!(rows(&screen, "cat ×26")[0].contains("ended"), "{screen}");
    app.update(Msg::Tick, at(70.0));
    let screen = text(&app, SIZE);
    assert!(screen.contains("nginx 812") && !screen.contains("cat ×26"), "{screen}");
    assert!(rows(&screen, "+ 1 program ended")[0].contains(" 104 "), "{screen}");
    app.press(KeyCode::End, at(70.0));
    app.press(KeyCode::Right, at(70.0));
    let screen = text(&app, SIZE);
    assert!(rows(&screen, "- 1 program ended")[1].contains("cat ×26"), "{screen}");
    app.press(KeyCode::Left, at(70.0));
    // A filter selects among all.
    type_text(&mut app, "/cat", at(70.0));
    app.press(KeyCode::Enter, at(70.0));
    let screen = text(&app, SIZE);
    assert!(screen.contains("cat ×26") && !screen.contains("program ended"), "{screen}");
}

/// A program that went quiet is dim: its name and its top file have the style of `0.0`.
#[test]
fn quiet_programs_are_dim() {
    let mut app = looping(26, SIZE);
    let style_of = |app: &Dashboard, name: &str| {
        let screen = drawn(app, &ScreenSettings::default(), SIZE);
        let buffer = screen.buffer();
        let cells = |y| (0..SIZE.0).map(move |x| buffer[(x, y)].symbol()).collect::<String>();
        let y = (0..SIZE.1).find(|y| cells(*y).contains(name)).unwrap();
        let text = cells(y);
        let x = text[..text.find(name).unwrap()].chars().count();
        buffer[(x as u16, y)].style()
    };
    let active = style_of(&app, "nginx 812");
    for tick in [3.0, 4.0, 14.0, 15.0] {
        app.update(Msg::Tick, at(tick));
    }
    let quiet = style_of(&app, "nginx 812");
    assert_ne!(active, quiet);
    assert_eq!(quiet, style_of(&app, "0.0"));
}

/// Far more processes than the table has: no total is smaller for it, with a filter or without.
#[test]
fn totals_are_exact_whatever_is_evicted_and_whatever_is_filtered() {
    const PROCESSES: u32 = 20_000;
    let mut app = looping(PROCESSES, SIZE);
    assert!(app.opens().evicted().processes > 0);
    let total = |app: &Dashboard| {
        let cat = app.opens_pane.programs.iter().find(|p| p.group.key.name.as_bytes() == b"cat");
        cat.map(|p| (p.tally.opens, p.tally.failed))
    };
    let n = u64::from(PROCESSES);
    assert_eq!(total(&app), Some((4 * n, n)));
    for (filter, counted) in [
        ("cat", Some((4 * n, n))),
        ("uid:0", Some((4 * n, n))),
        ("!nginx", Some((4 * n, n))),
        ("uid:1", None),
        ("path:hostname", Some((n, 0))),
        ("cat err:ENOENT", Some((n, n))),
        ("nginx", None),
    ] {
        type_text(&mut app, &format!("/{filter}"), at(2.0));
        app.press(KeyCode::Enter, at(2.0));
        assert_eq!(total(&app), counted, "{filter}");
        app.press(KeyCode::Esc, at(2.0));
    }
}

#[test]
fn a_path_filter_counts_what_matches_by_process_too() {
    let mut app = looping(3, SIZE);
    type_text(&mut app, "/path:mime", at(2.0));
    app.press(KeyCode::Enter, at(2.0));
    assert!(rows(&text(&app, SIZE), "nginx 812")[0].contains(" 5.0"), "{}", text(&app, SIZE));
    app.press(KeyCode::Char('t'), at(2.0));
    let screen = text(&app, SIZE);
    let row = rows(&screen, " nginx ")[0];
    assert!(row.contains(" 5.0") && !row.contains("10.0"), "{screen}");
}

#[test]
fn a_row_unfolds_to_its_files_and_processes_and_opens() {
    let mut app = looping(3, SIZE);
    let kinds = |app: &Dashboard| {
        let name = |row: &Row| format!("{row:?}").split('(').next().unwrap().to_owned();
        app.opens_pane.rows.iter().map(name).collect::<Vec<_>>()
    };
    let folded = ["Program", "FileUnderProgram", "Common", "Program", "FileUnderProgram", "Common"];
    assert_eq!(kinds(&app), folded);
    app.press(KeyCode::Right, at(2.0));
    let unfolded = kinds(&app);
    assert_eq!(unfolded[3..6], ["ProcessUnderProgram"; 3]);
    // The common files.
    app.press(KeyCode::Down, at(2.0));
    app.press(KeyCode::Down, at(2.0));
    app.press(KeyCode::Right, at(2.0));
    assert_eq!(kinds(&app)[3..6], ["FileUnderProgram"; 3]);
    assert!(text(&app, SIZE).contains("/usr/lib/libc.so.6"));
    app.press(KeyCode::Left, at(2.0));
    assert_eq!(kinds(&app), unfolded);
    app.press(KeyCode::Left, at(2.0));
    assert_eq!(
        kinds(&app)[..4],
        ["Program"; 2]
            .iter()
            .map(|s| s.to_string())
            .chain(["FileUnderProgram".to_owned(), "Common".to_owned()])
            .collect::<Vec<_>>()
    );
    assert_eq!(app.opens_pane.list.cursor, 0);
    // Its details: all files, common ones last, and the processes.
    app.press(KeyCode::Enter, at(2.0));
    assert!(matches!(app.opens_pane.detail(), Some(Detail::Program(_))));
    let screen = text(&app, SIZE);
    assert!(screen.contains("0 living  3 ended") && screen.contains("ended 0.8s ago"), "{screen}");
    let first = &app.opens_pane.group_files[0];
    assert_eq!(&*app.opens().paths().get(first.path).unwrap().bytes, b"/etc/hostname");
    insta::assert_snapshot!("program_detail_150x40", screen);
    // From a process of it to its files, and back.
    app.press(KeyCode::Right, at(2.0));
    app.press(KeyCode::Enter, at(2.0));
    assert!(matches!(app.opens_pane.detail(), Some(Detail::Process(_))));
    app.press(KeyCode::Esc, at(2.0));
    app.press(KeyCode::Esc, at(2.0));
    assert_eq!(app.opens_pane.detail(), None);
}

/// A script whose child looks for a file that is nowhere, and a daemon that finds its libraries in the second
/// directory.
fn failing() -> Dashboard {
    let mut app = started(&Settings::default(), SIZE);
    let mut batch = OpenBatch::default();
    let script = OpenMeta { ppid: 600, ..meta(700, "backup.sh", at(0.5), 3) };
    open(&mut batch, &script, "/srv/backup.sh");
    for pid in 701..704 {
        let cat = OpenMeta { ppid: 700, ret: -2, ..meta(pid, "cat", at(1.0), 3) };
        open(&mut batch, &cat, "/usr/lib/locale/C.UTF-8/LC_CTYPE");
        open(&mut batch, &cat, "/srv/backup/last");
    }
    for n in 0..50 {
        let daemon = meta(800, "daemon", at(1.0), -2);
        open(&mut batch, &daemon, &format!("/opt/one/part{n}"));
        open(&mut batch, &OpenMeta { ret: 3, ..daemon }, &format!("/opt/two/part{n}"));
    }
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(1.0));
    let found =
        Ancestor { pid: 600, name: Comm::new(b"cron"), ppid: 0, start_boottime_ns: 1_000_000 };
    let cron = Lookup { pid: 600, read_boottime_ns: 900_000_000, found: Some(found) };
    app.update(Msg::Parents(vec![cron]), at(1.5));
    app.update(Msg::Tick, at(2.0));
    app
}

#[test]
fn failures_for_good_come_first_with_the_parent() {
    let mut app = failing();
    for _ in 0..5 {
        app.press(KeyCode::Char('t'), at(2.0));
    }
    for size in [(80, 24), (120, 36), (200, 60)] {
        app.resize(size, at(2.0));
        let screen = text(&app, size);
        let row = rows(&screen, "ENOENT")[0];
        assert!(row.contains("cat") && row.contains("backup.sh"), "{screen}");
        assert!(row.contains("/srv/") && row.contains("/last"), "{screen}");
        assert!(row.contains("ENOENT") && row.contains("×3"), "{screen}");
        assert!(!screen.contains("daemon") && !screen.contains("LC_CTYPE"), "{screen}");
        insta::assert_snapshot!(format!("failures_{}x{}", size.0, size.1), screen);
    }
    assert_eq!((app.opens_pane.rows.len(), app.opens_pane.hidden), (1, 53));
    app.press(KeyCode::Char('a'), at(2.0));
    let screen = text(&app, (200, 60));
    assert_eq!((app.opens_pane.rows.len(), app.opens_pane.hidden), (3, 0));
    let row = rows(&screen, "daemon")[0];
    assert!(row.contains("/opt/one") && row.contains("/opt/two"), "{screen}");
}

#[test]
fn a_filter_by_ancestor() {
    let mut app = failing();
    let names = |app: &Dashboard| {
        let name =
            |p: &ProgramRow| String::from_utf8_lossy(p.group.key.name.as_bytes()).into_owned();
        let mut names: Vec<_> = app.opens_pane.programs.iter().map(name).collect();
        names.sort();
        names.dedup();
        names
    };
    for (filter, shown) in [
        ("parent:backup", &["cat"][..]),
        ("parent:700", &["cat"]),
        ("parent:600", &["backup.sh", "cat"]),
        ("parent:cron cat", &["cat"]),
        ("!parent:cron", &["daemon"]),
        ("parent:absent", &[]),
    ] {
        type_text(&mut app, &format!("/{filter}"), at(2.0));
        app.press(KeyCode::Enter, at(2.0));
        assert_eq!(names(&app), shown, "{filter}");
        app.press(KeyCode::Esc, at(2.0));
    }
}

#[test]
fn each_table_has_an_order_of_its_own() {
    let mut app = looping(3, SIZE);
    app.opens_pane.sort_by(OpensSort::Total);
    app.press(KeyCode::Char('t'), at(2.0));
    assert_eq!(app.opens_pane.sort(), OpensSort::Rate);
    app.opens_pane.sort_by(OpensSort::Age);
    app.press(KeyCode::Enter, at(2.0));
    assert_eq!(app.opens_pane.sort(), OpensSort::Rate);
    app.press(KeyCode::Esc, at(2.0));
    assert_eq!(app.opens_pane.sort(), OpensSort::Age);
    for _ in 0..7 {
        app.press(KeyCode::Char('t'), at(2.0));
    }
    assert_eq!(app.opens_pane.sort(), OpensSort::Total);
}

/// A word that no process has in its name, but paths have.
#[test]
fn a_word_of_paths_is_completed() {
    let mut app = looping(3, SIZE);
    type_text(&mut app, "/hostname", at(2.0));
    let screen = text(&app, SIZE);
    let hint = "no process matches; 1 path does: press Tab for path:hostname";
    assert!(screen.contains(hint), "{screen}");
    app.press(KeyCode::Tab, at(2.0));
    assert_eq!(app.filter.text().0, "path:hostname");
    assert!(rows(&text(&app, SIZE), "cat ×3")[0].contains(" 3.0"));
    app.press(KeyCode::Esc, at(2.0));
    type_text(&mut app, "/nothing-like-it", at(2.0));
    assert!(text(&app, SIZE).contains("no match for the filter"));
    app.press(KeyCode::Tab, at(2.0));
    assert_eq!(app.notice().unwrap().0, "no key begins with nothing-like-it");
}
