//! Detail views of a process, a file, a kind of failure, and the way there.

use crate::fake::{Dashboard, at, busy, meta, started, text, type_text};
use ebpftop::app::opens::{Detail, OpensView};
use ebpftop::app::{App, Effect, Msg};
use ebpftop::model::cgroup::Cgroup;
use ebpftop::model::event::{ProbeEnd, ProbeEvent};
use ebpftop::model::file_io::FileType;
use ebpftop::model::open::{Comm, OpenBatch, OpenMeta, ResolvedKind, Syscall};
use ebpftop::model::process::ProcessKey;
use ebpftop::model::process_info::{
    Descriptors, OpenDescriptor, Parent, ProcessDetails, ProcessInfo, Unread,
};
use ebpftop::model::slow_call::IoCall;
use ebpftop::model::time::WallOffset;
use ebpftop::model::under_way::{AllUnderWay, FileCall, UnderWay};
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;

pub fn who() -> ProcessInfo {
    let id = "1b3f5c7d9e0a2b4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";
    let path = format!("/kubepods/burstable/pod0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/{id}");
    let parent = |pid, name: &[u8]| Parent { pid, name: name.to_vec() };
    let args = ["/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "-quiet", "-I", "a b", "", "-o\n\x1b[2J"];
    ProcessInfo {
        user: Some("builder".into()),
        cgroup: Some(Cgroup::at(path.as_bytes())),
        facts: Ok(ProcessDetails {
            exe: Some(b"/usr/lib/gcc/x86_64-linux-gnu/12/cc1".to_vec()),
            args: args
                .iter()
                .copied()
                .chain(["-std=gnu17"; 16])
                .map(|a| a.as_bytes().to_vec())
                .collect(),
            args_cut: false,
            parents: vec![parent(18201, b"make"), parent(902, b"ba\x1bsh"), parent(1, b"systemd")],
            started_ns: 7_200_000_000_000,
            started: "2026-11-22 12:00:00".into(),
            threads: vec![(b"worker".to_vec(), 8), (b"cc1".to_vec(), 1)],
            thread_count: 9,
            descriptors: Some(open(&["/dev/null", "pipe:[7]", "/home/\u{1b}[31m (deleted)"])),
        }),
    }
}

pub fn open(targets: &[&str]) -> Descriptors {
    let one = |(fd, target): (u32, &&str)| OpenDescriptor { fd, target: target.as_bytes().into() };
    Descriptors { listed: (0..).zip(targets).map(one).collect(), count: targets.len() }
}

pub fn asked(effects: &[Effect]) -> Option<ProcessKey> {
    effects.iter().find_map(|e| match e {
        Effect::Describe(asked) => Some(asked.key),
        _ => None,
    })
}

#[test]
fn a_process_has_its_details() {
    let mut app = busy((120, 40));
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    assert_eq!(key.tgid, 18220);
    assert!(text(&app, (120, 40)).contains("reading"));
    app.update(Msg::Described(key, Box::new(who())), at(30.0));
    snapshots!("process", app);
    app.press(KeyCode::Char('e'), at(30.0));
    app.resize((80, 24), at(30.0));
    insta::assert_snapshot!("process_alone_80x24", text(&app, (80, 24)));
    app.resize((120, 40), at(30.0));
    let shown = text(&app, (120, 40));
    for words in
        ["builder", "make", "ba\\x1bsh", "worker ×8", "'a b' ''", "-o\\n\\x1b[2J", "pod 0f1e"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn details_are_read_again_and_old_ones_stay() {
    let mut app = busy((120, 40));
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    app.update(Msg::Described(key, Box::new(who())), at(30.1));
    assert_eq!(asked(&app.update(Msg::Tick, at(31.0))), None);
    assert_eq!(asked(&app.update(Msg::Tick, at(34.0))), Some(key));
    let gone = ProcessInfo { user: None, cgroup: None, facts: Err(Unread::Gone) };
    app.update(Msg::Described(key, Box::new(gone.clone())), at(34.0));
    assert!(text(&app, (120, 40)).contains("make"));
    // An answer for another process, late, says nothing about this one.
    let other = ProcessKey { tgid: key.tgid, start_boottime_ns: 1 };
    app.update(Msg::Described(other, Box::new(gone)), at(34.0));
    assert!(text(&app, (120, 40)).contains("make"));
    app.update(Msg::Ended(vec![key]), at(35.0));
    assert_eq!(asked(&app.update(Msg::Tick, at(40.0))), None, "it has ended and was answered");
}

/// Descriptors, how many more they are than at the start and at a mark, and the way from one to its file.
#[test]
fn a_leak_of_descriptors_is_seen() {
    let mut app = busy((120, 40));
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    app.press(KeyCode::Char('e'), at(30.0));
    let held = |app: &mut Dashboard, targets: &[&str], count: usize, s: f64| {
        let mut info = who();
        let descriptors = Descriptors { count, ..open(targets) };
        info.facts.as_mut().unwrap().descriptors = Some(descriptors);
        app.update(Msg::Described(key, Box::new(info)), at(s));
        let screen = text(app, (120, 40));
        screen.lines().find(|l| l.contains("holds ")).unwrap().to_owned()
    };
    let targets = ["/usr/include/stdio.h", "pipe:[7]", "anon_inode:[eventfd]"];
    assert!(!held(&mut app, &targets, 3, 31.0).contains(" in "), "as at the start");
    let line = held(&mut app, &[targets, targets].concat(), 6, 34.0);
    assert!(line.contains("6 descriptors (+3 in 3.0s)  "), "{line}");
    assert!(line.contains("file ×2 pipe ×2 eventfd ×2"), "{line}");
    app.press(KeyCode::Char('m'), at(35.0));
    let line = held(&mut app, &targets, 1_000_005, 37.0);
    assert!(line.contains("1 000 005 descriptors (+999 999 in 2.0s)  of the first: "), "{line}");
    let line = held(&mut app, &targets[..1], 1, 40.0);
    assert!(line.contains("1 descriptor (-5 in 5.0s)  file ×1"), "{line}");
    app.press(KeyCode::Right, at(40.0));
    app.press(KeyCode::Enter, at(40.0));
    assert!(text(&app, (120, 40)).contains("› /usr/include/stdio.h"), "{}", text(&app, (120, 40)));
}

#[test]
fn an_exited_process_says_so() {
    let mut app = busy((120, 40));
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    let gone = ProcessInfo { user: Some("root".into()), cgroup: None, facts: Err(Unread::Gone) };
    app.update(Msg::Described(key, Box::new(gone)), at(30.0));
    app.update(Msg::Ended(vec![key]), at(30.0));
    insta::assert_snapshot!("process_gone_120x40", text(&app, (120, 40)));
}

/// A program that searches its libraries in the wrong directories first.
fn searching() -> Dashboard {
    let mut app = started(&Settings::default(), (120, 40));
    let mut opens: Vec<(u32, &str, Vec<u8>, i64, usize)> = Vec::new();
    for n in 0..4 {
        let file = |dir: &str| format!("{dir}/libfoo{n}.so").into_bytes();
        opens.push((700, "daemon", file("/usr/lib"), -2, 53));
        if n > 0 {
            opens.push((700, "daemon", file("/opt/lib"), 3, 1));
        }
    }
    opens.push((700, "daemon", b"/etc/daemon.key".to_vec(), -13, 2));
    let opens: Vec<_> =
        opens.iter().map(|(p, name, f, r, n)| (*p, *name, f.as_slice(), *r, *n)).collect();
    app.update(Msg::Probe(ProbeEvent::Opens(crate::fake::batch(at(0.5), &opens))), at(0.5));
    app.update(Msg::Tick, at(1.0));
    for _ in 0..5 {
        app.press(KeyCode::Char('t'), at(30.0));
    }
    assert_eq!(app.opens_pane.view, OpensView::Failures);
    // Those found later as well.
    app.press(KeyCode::Char('a'), at(30.0));
    app
}

/// A process with so many files that those which it found are evicted; one of three failed again.
#[test]
fn a_file_that_was_found_and_evicted_is_elsewhere() {
    let mut app = started(&Settings::default(), (200, 40));
    let lib = |dir: &str, n: u32| format!("{dir}/libfoo{n}.so").into_bytes();
    let mut opens: Vec<(Vec<u8>, i64)> = Vec::new();
    for n in 0..3 {
        opens.push((lib("/usr/lib", n), -2));
        opens.push((lib("/opt/lib", n), 3));
    }
    opens.extend((0..1_100).map(|n| (format!("/srv/{n}").into_bytes(), 3)));
    let batch = |opens: &[(Vec<u8>, i64)]| {
        let of = |(path, ret): &(Vec<u8>, i64)| (700, "daemon", path.clone(), *ret, 1);
        let all: Vec<_> = opens.iter().map(of).collect();
        let all: Vec<_> =
            all.iter().map(|(p, n, f, r, c)| (*p, *n, f.as_slice(), *r, *c)).collect();
        Msg::Probe(ProbeEvent::Opens(crate::fake::batch(at(0.5), &all)))
    };
    app.update(batch(&opens), at(0.5));
    app.update(Msg::Tick, at(1.0));
    for _ in 0..5 {
        app.press(KeyCode::Char('t'), at(30.0));
    }
    app.press(KeyCode::Char('a'), at(30.0));
    let screen = text(&app, (200, 40));
    let group = |screen: &str| screen.lines().find(|l| l.contains("ENOENT")).unwrap().to_owned();
    let line = group(&screen);
    assert!(line.contains("elsewhere") && !line.contains(" of "), "{screen}");
    app.update(batch(&opens[..1]), at(31.0));
    app.update(Msg::Tick, at(32.0));
    let screen = text(&app, (200, 40));
    assert!(group(&screen).contains("2 of 3 elsewhere"), "{screen}");
    app.press(KeyCode::Enter, at(32.0));
    let screen = text(&app, (200, 40));
    let files: Vec<&str> = screen.lines().filter(|l| l.contains("libfoo")).collect();
    let found = files.iter().filter(|l| l.contains("elsewhere")).count();
    assert_eq!((files.len(), found), (3, 2), "{screen}");
}

#[test]
fn the_failures_view_shows_later_success() {
    let mut app = searching();
    snapshots!("lens", app);
    app.resize((120, 40), at(30.0));
    app.press(KeyCode::Char('s'), at(30.0));
    app.press(KeyCode::Enter, at(30.0));
    assert!(matches!(app.opens_pane.detail(), Some(Detail::Failures(f)) if f.errno == 2));
    snapshots!("lens_inside", app);
    app.press(KeyCode::Enter, at(30.0));
    assert!(matches!(app.opens_pane.detail(), Some(Detail::Process(_))));
    for _ in 0..2 {
        app.press(KeyCode::Esc, at(30.0));
    }
    assert!(app.opens_pane.detail().is_none());
    assert_eq!(app.opens_pane.view, OpensView::Failures);
}

#[test]
fn every_view_opens_and_closes_details() {
    let mut app = busy((120, 40));
    let inside = |app: &App| app.opens_pane.detail().cloned();
    for (view, is) in [
        // A program with one process is that process.
        (OpensView::Programs, (|i| matches!(i, Detail::Process(_))) as fn(&Detail) -> bool),
        (OpensView::Processes, |i| matches!(i, Detail::Process(_))),
        (OpensView::Units, |i| matches!(i, Detail::Unit(_))),
        (OpensView::Files, |i| matches!(i, Detail::Path(_))),
        (OpensView::Directories, |i| matches!(i, Detail::Directory(_))),
        (OpensView::Failures, |i| matches!(i, Detail::Failures(_))),
        (OpensView::Live, |i| matches!(i, Detail::Process(_))),
    ] {
        assert_eq!(app.opens_pane.view, view);
        // In the first views the second row is a file.
        if !view.has_rows_below() {
            app.press(KeyCode::Down, at(30.0));
        }
        let cursor = app.opens_pane.list.cursor;
        app.press(KeyCode::Enter, at(30.0));
        assert!(inside(&app).is_some_and(|i| is(&i)), "{view:?}");
        assert!(!app.opens_pane.rows.is_empty(), "{view:?}");
        app.press(KeyCode::Enter, at(30.0));
        app.press(KeyCode::Esc, at(30.0));
        assert!(inside(&app).is_some_and(|i| is(&i)), "{view:?}");
        app.press(KeyCode::Esc, at(30.0));
        assert_eq!((inside(&app), app.opens_pane.list.cursor), (None, cursor), "{view:?}");
        app.press(KeyCode::Char('t'), at(30.0));
        if app.opens_pane.view == OpensView::Changes {
            app.press(KeyCode::Char('t'), at(30.0)); // `files.rs` is about it
        }
    }
    assert_eq!(app.opens_pane.view, OpensView::Programs);
}

#[test]
fn directories_collapse_and_unfold() {
    let mut app = busy((120, 40));
    for _ in 0..4 {
        app.press(KeyCode::Char('t'), at(30.0));
    }
    let dirs = |app: &App| app.opens_pane.dirs.iter().map(|d| d.path.to_vec()).collect::<Vec<_>>();
    let usr = |app: &App| {
        let mut of: Vec<_> = dirs(app).into_iter().filter(|d| d.starts_with(b"/usr")).collect();
        of.sort();
        of.into_iter().map(|d| String::from_utf8(d).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(usr(&app), ["/usr/include", "/usr/include/x86_64-linux-gnu", "/usr/local/include"]);
    app.press(KeyCode::Char('-'), at(30.0));
    assert_eq!(usr(&app), ["/usr/include", "/usr/local"]);
    app.press(KeyCode::Char('-'), at(30.0));
    assert_eq!(usr(&app), ["/usr"]);
    for _ in 0..3 {
        app.press(KeyCode::Char('+'), at(30.0));
    }
    assert!(usr(&app).contains(&"/usr/include/x86_64-linux-gnu/bits".to_owned()));
}

fn opened(app: &mut Dashboard, opens: &[(OpenMeta, &str, &str)]) {
    let mut batch = OpenBatch::default();
    for (meta, passed, resolved) in opens {
        let resolved = (ResolvedKind::Opened, resolved.as_bytes());
        batch.push(*meta, Some(passed.as_bytes()), Some(resolved));
    }
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(0.5));
}

#[test]
fn a_path_filter_matches_the_requested_path_too() {
    for (expr, rows) in [
        ("path:~^conf/", 1),
        ("path:~^/etc/nginx/conf/", 1),
        ("path:link.conf", 1),
        ("path:~^link", 0),
        ("path:real.conf", 1),
        ("!path:link.conf", 1),
        ("path:~.", 2),
    ] {
        for view in 0..8 {
            let mut app = started(&Settings::default(), (120, 40));
            let of = |pid, name: &str| meta(pid, name, at(0.4), 3);
            opened(
                &mut app,
                &[
                    (of(5, "nginx"), "conf/site.conf", "/etc/nginx/conf/site.conf"),
                    (of(6, "other"), "/run/link.conf", "/etc/real.conf"),
                ],
            );
            app.update(Msg::Tick, at(1.0));
            for _ in 0..view {
                app.press(KeyCode::Char('t'), at(1.0));
            }
            if matches!(app.opens_pane.view, OpensView::Failures | OpensView::Changes) {
                continue;
            }
            type_text(&mut app, &format!("/{expr}"), at(1.0));
            app.press(KeyCode::Enter, at(1.0));
            let of_files = |r: &&ebpftop::app::opens::Row| {
                use ebpftop::app::opens::Row;
                !matches!(r, Row::FileUnderProcess(_) | Row::FileUnderProgram(_) | Row::Common(_))
            };
            let n = app.opens_pane.rows.iter().filter(of_files).count();
            assert_eq!(n, rows, "{expr} {:?}", app.opens_pane.view);
        }
    }
}

#[test]
fn a_cgroup_filter_waits_for_names_of_cgroups() {
    let mut app = started(&Settings::default(), (120, 40));
    let of = |pid, cgroup_id| OpenMeta { cgroup_id, ..meta(pid, "x", at(0.4), 3) };
    let opens =
        [(of(5, Some(50)), "/a", "/a"), (of(6, Some(60)), "/a", "/a"), (of(7, None), "/a", "/a")];
    opened(&mut app, &opens);
    let ids = app.update(Msg::Tick, at(1.0)).into_iter().find_map(|e| match e {
        Effect::Cgroups(ids) => Some(ids),
        _ => None,
    });
    let mut ids = ids.unwrap();
    ids.sort_unstable();
    assert_eq!(ids, [50, 60]);
    type_text(&mut app, "/cgroup:nginx", at(1.0));
    app.press(KeyCode::Enter, at(1.0));
    assert_eq!(app.opens_pane.matched, 0, "unknown does not match");
    let nginx = Cgroup::at(b"/system.slice/nginx.service");
    app.update(Msg::Cgroups(vec![(50, Some(nginx)), (60, None)]), at(1.1));
    assert_eq!(app.opens_pane.matched, 1);
    app.press(KeyCode::Enter, at(1.1));
    assert!(text(&app, (120, 40)).contains("/system.slice/nginx.service"));
}

#[test]
fn timed_opens_show_how_long_they_took() {
    let mut app = started(&Settings::default(), (120, 40));
    let of = |ns| OpenMeta { latency_ns: Some(ns), ..meta(5, "slow", at(0.4), 3) };
    opened(&mut app, &[(of(1_000), "/a", "/a"), (of(3_000_000), "/mnt/nfs/b", "/mnt/nfs/b")]);
    app.update(Msg::Tick, at(1.0));
    app.press(KeyCode::Char('e'), at(1.0));
    for name in
        ["programs", "processes", "units", "files", "directories", "failures", "changes", "live"]
    {
        insta::assert_snapshot!(format!("timed_{name}_120x40"), text(&app, (120, 40)));
        app.press(KeyCode::Char('t'), at(1.0));
    }
}

/// The footer names the keys of what is on the screen: of the view, of details, of a pause.
#[test]
fn the_footer_names_the_keys_that_matter_here() {
    let mut app = started(&Settings::default(), (120, 40));
    opened(&mut app, &[(meta(5, "cat", at(0.4), 3), "/a", "/a")]);
    app.update(Msg::Tick, at(1.0));
    let footer = |app: &App| {
        let screen = text(app, (120, 40));
        screen.lines().last().unwrap_or_default().to_owned()
    };
    assert!(footer(&app).contains("? help  q quit  Enter details  t view  → unfold  / filter"));
    app.press(KeyCode::Enter, at(1.0));
    assert!(footer(&app).contains("? help  q quit  Esc back  Enter details  l timeline  y copy"));
    app.press(KeyCode::Esc, at(1.0));
    app.press(KeyCode::Char('c'), at(1.0));
    assert!(footer(&app).contains("t view  C group  D asked names"));
    app.press(KeyCode::Char('p'), at(1.0));
    assert!(
        footer(&app).contains("? help  q quit  Enter details  t view  p pause  [ earlier  ] later")
    );
}

/// A call that does not return: in the header, and in the details of its process.
#[test]
fn a_call_under_way_is_shown_with_its_age() {
    let mut app = busy((140, 40));
    let key = asked(&app.press(KeyCode::Enter, at(30.0))).unwrap();
    app.update(Msg::Described(key, Box::new(who())), at(30.0));
    fn call<C>(key: ProcessKey, call: C, path: &[u8], since: f64) -> UnderWay<C> {
        UnderWay {
            key,
            tid: 18_221,
            uid: 0,
            comm: Comm::new(b"worker"),
            process: Comm::new(b"cc\x1b1"),
            call,
            path: Some(path.into()),
            since: at(since),
        }
    }
    fn found<C>(calls: Vec<UnderWay<C>>, left_out: u64, s: f64) -> AllUnderWay<C> {
        AllUnderWay { calls, left_out, at: at(s), wall: WallOffset(0) }
    }
    let open = call(key, Syscall::Openat, b"/mnt/nfs/\xff", 25.0);
    let opens = found(vec![open], 2, 30.0);
    app.update(Msg::Probe(ProbeEvent::OpensUnderWay(opens)), at(30.0));
    app.update(Msg::Tick, at(31.0));
    let screen = text(&app, (140, 40));
    let header = screen.lines().next().unwrap();
    assert!(header.contains("3 under way 6.0s cc\\x1b1 18220"), "{header}");
    let waits = screen.lines().find(|l| l.contains("waits")).unwrap();
    assert!(waits.contains("6.0s in openat: /mnt/nfs/\\xff"), "{waits}");
    let narrow = text(&app, (80, 24));
    assert!(narrow.contains("3 under way 6.0s"), "{narrow}");
    // A read that waits for longer.
    let read = FileCall {
        call: IoCall::Read,
        writes: false,
        file_type: FileType::Regular,
        kind: Some(ResolvedKind::Opened),
        cgroup_id: None,
    };
    let calls = found(vec![call(key, read, b"/mnt/\x1bpage", 21.0)], 0, 31.0);
    app.update(Msg::Probe(ProbeEvent::FileCallsUnderWay(calls)), at(31.0));
    let screen = text(&app, (140, 40));
    let header = screen.lines().next().unwrap();
    assert!(header.contains("4 under way 10s"), "{header}");
    let waits = screen.lines().find(|l| l.contains("waits")).unwrap();
    assert!(waits.contains("10s in read: /mnt/\\x1bpage, th"), "{waits}");
    // The screen stands still at a moment of which this is not known.
    app.press(KeyCode::Char('p'), at(32.0));
    assert!(!text(&app, (140, 40)).contains("under way"));
    app.press(KeyCode::Char('p'), at(33.0));
    let none = found(Vec::new(), 0, 34.0);
    app.update(Msg::Probe(ProbeEvent::OpensUnderWay(none)), at(34.0));
    assert!(text(&app, (140, 40)).contains("1 under way"));
    // Of a probe that does not run this is not known.
    app.update(Msg::Probe(ProbeEvent::Ended(ProbeEnd::Io)), at(34.0));
    assert!(!text(&app, (140, 40)).contains("under way"));
}
