//! Bytes of files on the screen: the last minute of them, and who did what with a file.

use std::time::Duration;

use crate::fake::{Dashboard, at, second, started, text, type_text};
use crate::opens_views::view_of;
use crate::pivot::{owner, renamed};
use ebpftop::app::Msg;
use ebpftop::app::opens::OpensView;
use ebpftop::model::call_times::CallTimes;
use ebpftop::model::coverage::Missing;
use ebpftop::model::event::{IoInfo, ProbeEvent, ProbeInfo};
use ebpftop::model::file_io::{FileIo, FilePlace, FileType, IoCounts, IoSample};
use ebpftop::model::open::{Comm, ResolvedKind};
use ebpftop::model::slow_call::{IoCall, SlowCall, SlowCalls};
use ebpftop::model::time::{Stamp, WallOffset};
use ebpftop::probes::programs::IO_COMPAT;
use ebpftop::settings::Settings;
use ratatui::crossterm::event::KeyCode;

const SIZE: (u16, u16) = (200, 60);
const FILE: &[u8] = b"/etc/nginx/mime.types";

/// The end of second `s`, in which nginx has read and written so many bytes; and calls without room.
fn bytes_of(s: u32, [read_bytes, written_bytes]: [u64; 2], other_slow: u64) -> IoSample {
    let counts = IoCounts { read_bytes, written_bytes, read_calls: 1, write_calls: 2 };
    let one = FileIo {
        key: owner(812, "nginx").key,
        process: Comm::new(b"nginx"),
        uid: 0,
        // As its opens have it.
        cgroup_id: Some(812 % 4),
        file_type: FileType::Regular,
        place: Some(FilePlace { kind: ResolvedKind::Opened, path: FILE.into() }),
        counts,
        times: None,
    };
    IoSample {
        at: Stamp { mono: at(f64::from(s) + 1.0), wall: WallOffset(0) },
        interval_ns: 1_000_000_000,
        uses: vec![one],
        other: IoCounts { read_bytes: other_slow, read_calls: other_slow, ..IoCounts::default() },
        other_slow,
        ..IoSample::default()
    }
}

/// Half a minute with bytes of a file: 2 MB read in each second, and 3 MB written in one.
fn app() -> Dashboard {
    let mut app = started(&Settings::default(), SIZE);
    app.remember(Duration::from_secs(1));
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Io(IoInfo::default()))), at(0.0));
    for s in 0..30 {
        let written = if s == 20 { 3_000_000 } else { 0 };
        let sample = bytes_of(s, [2_000_000, written], u64::from(s == 29) * 7);
        app.update(Msg::Probe(ProbeEvent::Io(sample)), at(f64::from(s) + 0.9));
        second(&mut app, s);
    }
    app
}

/// The screen without its first and last line: the state of the pause, hints.
fn body(app: &Dashboard) -> String {
    let text = text(app, SIZE);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    lines[..lines.len() - 1].join("\n")
}

/// Most machines run no 32-bit program, and most kernels have the calls: the help says so, not the header.
#[test]
fn calls_that_no_program_sees_are_in_the_help_alone() {
    let mut app = started(&Settings::default(), SIZE);
    let missing = vec![Missing::compat_calls(IO_COMPAT, "io_exit")];
    let info = IoInfo { missing, ..IoInfo::default() };
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Io(info))), at(0.0));
    assert!(!text(&app, SIZE).contains("missing"));
    app.press(KeyCode::Char('?'), at(1.0));
    type_text(&mut app, "/32-bit", at(1.0));
    let help = text(&app, SIZE);
    assert!(help.contains("missing here") && help.contains("io: 32-bit calls: not seen"), "{help}");
}

#[test]
fn the_last_minute_of_bytes_is_drawn_for_process_and_file() {
    let mut app = app();
    let header: String = text(&app, SIZE).lines().take(4).collect::<Vec<_>>().join("\n");
    assert!(header.contains("read") && header.contains("2.00MB/s"), "{header}");
    type_text(&mut app, "/nginx", at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    let process = text(&app, SIZE);
    for words in ["opens, peak", "read, peak 2.00MB/s", "wrote, peak 3.00MB/s"] {
        assert!(process.contains(words), "{words}: {process}");
    }
    // From the process to the file.
    while !text(&app, SIZE).contains("file      ") {
        app.press(KeyCode::Enter, at(30.5));
    }
    let file = text(&app, SIZE);
    assert!(file.contains("read, peak 2.00MB/s") && !file.contains("opens, peak"), "{file}");
    let narrow = text(&app, (80, 24));
    assert!(!narrow.contains("wrote, peak"), "{narrow}");
}

#[test]
fn going_back_shows_the_bytes_of_that_time() {
    let mut app = app();
    type_text(&mut app, "/nginx", at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    let mut shown = Vec::new();
    for s in 30..36 {
        let sample = bytes_of(s, [u64::from(s) * 1_000_000, 500], 0);
        app.update(Msg::Probe(ProbeEvent::Io(sample)), at(f64::from(s) + 0.9));
        second(&mut app, s);
        shown.push(body(&app));
    }
    app.press(KeyCode::Char('p'), at(36.5));
    for before in shown.iter().rev() {
        app.press(KeyCode::Char('['), at(36.5));
        assert_eq!(&body(&app), before);
    }
}

#[test]
fn slow_calls_without_room_are_beside_the_rows() {
    let mut app = app();
    for view in [OpensView::Programs, OpensView::Files] {
        view_of(&mut app, view);
        let screen = text(&app, SIZE);
        assert!(screen.contains("other: read 7 B, wrote 0 B, 7 slow"), "{view:?}: {screen}");
    }
}

/// By file, calls on files without a path are in no row; calls on unknown files are in none anywhere.
#[test]
fn bytes_of_no_row_are_beside_the_rows() {
    let mut app = app();
    let mut sample = bytes_of(30, [50, 60], 0);
    let one = sample.uses.last_mut().unwrap();
    one.place = None;
    one.times = Some(Box::new(CallTimes::new(20_000_000, 2, [3])));
    sample.unknown = IoCounts { written_bytes: 9, write_calls: 1, ..IoCounts::default() };
    app.update(Msg::Probe(ProbeEvent::Io(sample)), at(30.9));
    second(&mut app, 30);
    let (unnamed, unknown) =
        ("without a path: read 50 B, wrote 60 B, 2 slow", "unknown files: read 0 B, wrote 9 B");
    for (view, by_path) in [
        (OpensView::Programs, false),
        (OpensView::Processes, false),
        (OpensView::Files, true),
        (OpensView::Directories, true),
    ] {
        view_of(&mut app, view);
        let screen = text(&app, (280, SIZE.1));
        assert_eq!(screen.contains(unnamed), by_path, "{view:?}: {screen}");
        assert!(screen.contains(unknown), "{view:?}: {screen}");
        // In one number where there is little room.
        let narrow = text(&app, (80, 24));
        assert!(narrow.contains("unknown files 9 B"), "{view:?}: {narrow}");
        assert_eq!(narrow.contains("no path 110 B, 2 slow"), by_path, "{view:?}: {narrow}");
    }
}

/// One that comes back and is evicted again counts again: the number of files is a limit, that of processes unknown.
#[test]
fn numbers_of_evicted_files_are_limits() {
    let mut app = app();
    for s in [30, 31] {
        let mut sample = bytes_of(s, [1, 0], 0);
        let nginx = sample.uses[0].clone();
        let uses = (0..50_000).map(|n| {
            let path = format!("/srv/{n}").into_bytes().into();
            FileIo { place: Some(FilePlace { kind: ResolvedKind::Opened, path }), ..nginx.clone() }
        });
        sample.uses.extend(uses);
        app.update(Msg::Probe(ProbeEvent::Io(sample)), at(f64::from(s) + 0.9));
        second(&mut app, s);
    }
    let row = |app: &mut Dashboard, view, part: &str| {
        view_of(app, view);
        let screen = text(app, SIZE);
        screen
            .lines()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("{screen}"))
            .to_owned()
    };
    let evicted = row(&mut app, OpensView::Files, "/srv/ (");
    let directory = row(&mut app, OpensView::Directories, "/srv ");
    // Bytes read and written, opens, failures and their share; no processes.
    let cells = evicted.split_once("evicted)").unwrap().1.split_once('│').unwrap().0;
    assert_eq!(cells.split_whitespace().count(), 5, "{evicted}");
    assert!(directory.contains(" ≤100k "), "{directory}");
}

/// Uses, changes and slow calls of one path, by whichever process; `Enter` leads to the process.
#[test]
fn a_file_has_a_timeline() {
    let mut app = app();
    let mut changes = renamed(4_021);
    for event in &mut changes.events {
        event.at = at(30.1);
        event.path.requested = Some(FILE.into());
    }
    app.update(Msg::Probe(ProbeEvent::Files(changes)), at(30.2));
    let slow = SlowCall {
        at: at(30.3),
        took_ns: 20_000_000,
        key: owner(18_220, "cc1").key,
        tid: 18_220,
        uid: 0,
        comm: Comm::new(b"cc1"),
        process: Comm::new(b"c\x1b1"),
        cgroup_id: None,
        call: IoCall::Read,
        writes: false,
        file_type: FileType::Regular,
        place: Some(FilePlace { kind: ResolvedKind::Opened, path: FILE.into() }),
        ret: 100,
    };
    let other = SlowCall { place: None, ret: 77, ..slow.clone() };
    let calls = SlowCalls { calls: vec![slow, other], ..SlowCalls::default() };
    app.update(Msg::Probe(ProbeEvent::SlowCalls(calls)), at(30.3));
    view_of(&mut app, OpensView::Files);
    type_text(&mut app, "/path:mime", at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    app.press(KeyCode::Char('l'), at(30.5));
    let screen = text(&app, SIZE);
    let find = |words: &str| screen.find(words).unwrap_or_else(|| panic!("{words}: {screen}"));
    find("/etc/nginx/mime.types timeline");
    let rows = [
        find("c\\x1b1 18220 read took 20.0ms 100 B"),
        find(" 4021 "),
        find("nginx 812 opened (1800 times) read 60M B wrote 3.00M B"),
    ];
    assert!(rows.is_sorted(), "latest first: {screen}");
    assert!(!screen.contains("77 B"), "{screen}");
    app.press(KeyCode::Home, at(30.5));
    app.press(KeyCode::Enter, at(30.5));
    assert!(text(&app, SIZE).contains("cc1 18220"), "{}", text(&app, SIZE));
}
