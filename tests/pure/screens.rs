//! Snapshots of the screen, at fixed times and several sizes.

use crate::fake::{Dashboard, SIZES, at, busy, drawn, started, text, type_text};
use ebpftop::app::{App, Effect, Lost, Msg, Recorded};
use ebpftop::model::event::{DetailOf, ProbeEvent, ProbeId, TalkersCommand};
use ebpftop::model::open::OpenCounts;
use ebpftop::model::problem::Problem;
use ebpftop::model::process::ProcessKey;
use ebpftop::settings::saved_view::SavedView;
use ebpftop::settings::{ScreenSettings, Settings};
use ebpftop::stream::sample;
use ebpftop::ui::{Look, THEMES, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyCode;
use ratatui::style::{Color, Modifier};

#[test]
fn both_panes() {
    snapshots!("main", busy((120, 40)));
}

#[test]
fn nothing_yet() {
    let mut app = Dashboard::new(&Settings::default(), "web-3", (80, 24), at(0.0));
    app.update(Msg::Tick, at(30.0));
    snapshots!("starting", app);
}

/// A pane without rows has the lines that its message needs, and the other pane the rest.
#[test]
fn an_empty_pane_leaves_the_room_to_the_other() {
    let lines = |app: &Dashboard, title: &str| {
        let screen = text(app, (80, 24));
        let from = screen.lines().skip_while(|l| !l.contains(title));
        from.take_while(|l| !l.contains('╰')).count() + 1
    };
    let mut app = started(&Settings::default(), (80, 24));
    app.update(Msg::Tick, at(1.0));
    assert_eq!(lines(&app, "2 Talkers"), 4, "{}", app.text());
    let why = "the interface does not exist; ".repeat(5);
    let problem = Problem::new("watch nope0", why, "choose one with i");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Talkers, problem)), at(1.0));
    assert_eq!(lines(&app, "2 Talkers"), 6, "{}", app.text());
    assert!(app.text().contains("choose one with i"), "{}", app.text());
    // More addresses than the talkers had lines for, and a filter that matches no open.
    let mut app = busy((80, 24));
    type_text(&mut app, "/pid:1234567", at(30.0));
    app.press(KeyCode::Enter, at(30.0));
    assert_eq!(lines(&app, "1 Files") + lines(&app, "2 Talkers"), 21, "{}", app.text());
}

/// The graphs have a peak, and the seconds that they show.
#[test]
fn graphs_have_a_scale() {
    let mut app = busy((120, 40));
    let screen = text(&app, (120, 40));
    let header: Vec<_> = screen.lines().take(3).collect();
    assert!(header[1].contains("1.13k ") && header[2].contains(" 22 s"), "{screen}");
    app.resize((150, 24), at(30.0));
    let screen = app.text();
    assert!(screen.lines().nth(1).unwrap().contains("2.00k "), "{screen}");
    assert!(screen.contains("LAST 18s"), "{screen}");
}

#[test]
fn every_view_of_the_opens() {
    let mut app = busy((120, 40));
    app.update(Msg::Probe(ProbeEvent::Files(sample::files())), at(30.0));
    for name in ["processes", "units", "files", "directories", "failures", "changes", "live"] {
        app.press(KeyCode::Char('t'), at(30.0));
        snapshots!(name, app);
    }
}

#[test]
fn found_in_the_help() {
    let mut app = busy((80, 24));
    type_text(&mut app, "?/latency", at(30.0));
    snapshots!("help_search", app);
}

#[test]
fn an_invalid_filter_is_marked_where_it_is_wrong() {
    let mut app = busy((80, 24));
    type_text(&mut app, "/nginx pid:x err:2", at(30.0));
    app.press(KeyCode::Enter, at(30.0));
    assert!(app.filter.editing(), "it is typed on");
    snapshots!("filter_bad", app);
    let (text, backend) = ("pid:x", drawn(&app, &ScreenSettings::default(), (120, 40)));
    let buffer = backend.buffer();
    let row: Vec<_> = (0..120).map(|x| &buffer[(x, 3)]).collect();
    let line: String = row.iter().map(|c| c.symbol()).collect();
    let place = line.find(text).unwrap();
    let marked: Vec<_> = (0..120).filter(|x| row[*x].fg == Color::Yellow).collect();
    assert!((place..place + text.len()).all(|x| marked.contains(&x)), "{line}");
    assert!(!marked.contains(&(place - 2)), "{line}");
}

/// Each word of the header, the column headers and the footer is whole, at whatever width, or is
/// left out.
#[test]
fn nothing_at_the_edges_is_cut_in_a_word() {
    let mut app = busy((300, 40));
    app.press(KeyCode::Left, at(30.0));
    let words = |s: &str| -> Vec<String> {
        let graph = |c: char| ('\u{2800}'..'\u{2900}').contains(&c) || "│╭╮╰╯─\"".contains(c);
        s.split(|c: char| c.is_whitespace() || graph(c)).map(Into::into).collect()
    };
    let edges = |s: &str| -> String {
        let lines: Vec<_> = s.lines().filter(|l| l.starts_with('"')).collect();
        let header = |l: &&&str| l.contains("OPENS/S") || l.contains("ADDRESS");
        let headers = lines.iter().filter(header).copied();
        let ends = lines.iter().take(3).chain(lines.last()).copied();
        ends.chain(headers).collect::<Vec<_>>().join(" ")
    };
    let mut whole: Vec<String> = Vec::new();
    for size in [(300, 40), (118, 40), (70, 20), (40, 20)] {
        app.resize(size, at(30.0));
        whole.extend(words(&text(&app, size)));
    }
    // Peaks and spans of graphs depend on their width.
    let scale = regex::Regex::new("^[0-9.]+[kM]?s?[▼▲]?$").unwrap();
    for width in 20..=220 {
        for height in [12, 24, 40] {
            app.resize((width, height), at(30.0));
            let shown = edges(&text(&app, (width, height)));
            for word in words(&shown) {
                let is_whole = whole.contains(&word) || scale.is_match(&word);
                assert!(is_whole, "{word:?} at {width}x{height}: {shown}");
            }
        }
    }
}

#[test]
fn help_and_picker() {
    let mut app = busy((80, 24));
    app.press(KeyCode::Char('?'), at(30.0));
    snapshots!("help", app);
    app.press(KeyCode::Esc, at(30.0));
    app.press(KeyCode::Char('i'), at(30.0));
    snapshots!("picker", app);
    app.press(KeyCode::Down, at(30.0));
    app.press(KeyCode::Down, at(30.0));
    snapshots!("picker_down", app);
}

#[test]
fn filter_while_it_is_typed() {
    let mut app = busy((80, 24));
    type_text(&mut app, "/nginx", at(30.0));
    snapshots!("filter", app);
}

#[test]
fn paused_with_losses_ended_marked() {
    let mut app = busy((120, 40));
    let ended = ProcessKey { tgid: 2201, start_boottime_ns: 2_201_000_000 };
    app.update(Msg::Ended(vec![ended]), at(18.0));
    let mut lost = crate::fake::batch(at(29.0), &[(5, "late", b"/new", 3, 1)]);
    lost.counts = OpenCounts { seen: 9, lost: 512, ..OpenCounts::default() };
    app.press(KeyCode::Char('m'), at(28.0));
    app.update(Msg::Probe(ProbeEvent::Opens(lost)), at(29.0));
    app.update(Msg::Tick, at(35.0));
    app.press(KeyCode::Char('p'), at(35.0));
    let before = text(&app, (120, 40));
    crate::fake::second(&mut app, 36);
    assert_eq!(text(&app, (120, 40)), before, "the screen stands still");
    snapshots!("paused", app);
    app.press(KeyCode::Char('p'), at(37.0));
    assert_ne!(text(&app, (120, 40)), before);
}

#[test]
fn while_it_records() {
    let mut app = busy((80, 24));
    assert!(app.press(KeyCode::Char('R'), at(30.0)).contains(&Effect::Record(true)));
    app.update(
        Msg::Recorded(Recorded::Begun("/root/ebpftop-20261123-051205.rec".into())),
        at(30.0),
    );
    for size in [(80, 24), (120, 40)] {
        app.resize(size, at(30.5));
        insta::assert_snapshot!(format!("recording_{}x{}", size.0, size.1), text(&app, size));
    }
    let grown = Recorded::Grown { bytes: 5_300_000, lost: Lost { opens: 12_345, events: 40 } };
    app.update(Msg::Recorded(grown), at(72.0));
    for size in [(120, 40), (40, 12)] {
        app.resize(size, at(72.0));
        insta::assert_snapshot!(format!("recording_slow_{}x{}", size.0, size.1), text(&app, size));
    }
    assert!(app.press(KeyCode::Char('R'), at(73.0)).contains(&Effect::Record(false)));
    assert!(!app.press(KeyCode::Char('R'), at(73.0)).contains(&Effect::Record(false)));
    app.update(Msg::Recorded(Recorded::Ended("recorded 43.0 s".into())), at(74.0));
    assert!(!text(&app, (120, 40)).contains("REC "));
}

#[test]
fn a_probe_that_cannot_start_says_why() {
    let mut app = busy((80, 24));
    let problem = Problem::new("watch eth7", "no such interface", "choose one with -i: eth0, lo");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Talkers, problem)), at(30.0));
    snapshots!("no_talkers", app);
    let mut app = Dashboard::new(&Settings::default(), "web-3", (80, 24), at(0.0));
    let problem = Problem::new("watch opens", "this needs root", "run it with sudo");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Opens, problem)), at(0.0));
    app.update(Msg::Probe(ProbeEvent::Watching(vec![crate::fake::watched("eth0")])), at(0.0));
    for s in 0..30 {
        crate::fake::second(&mut app, s);
    }
    insta::assert_snapshot!("no_opens_80x24", {
        let mut app = Dashboard::new(&Settings::default(), "web-3", (80, 24), at(0.0));
        let problem = Problem::new("watch opens", "this needs root", "run it with sudo");
        app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Opens, problem)), at(0.0));
        text(&app, (80, 24))
    });
    assert!(text(&app, (80, 24)).contains("stopped: cannot watch opens"));
}

#[test]
fn an_interface_that_has_gone_is_said() {
    let mut app = busy((120, 40));
    let mut gone = crate::fake::watched("eth0");
    gone.ifindex = 0;
    gone.gone = Some(Problem::new("watch eth0", "the interface has gone", "waiting for it"));
    app.update(Msg::Probe(ProbeEvent::Watching(vec![gone])), at(30.0));
    snapshots!("gone", app);
    app.resize((120, 40), at(30.0));

    let mut down = crate::fake::watched("eth0");
    down.gone = Some(Problem::new("watch eth0", "the interface is down", "ip link set eth0 up"));
    app.update(Msg::Probe(ProbeEvent::Watching(vec![down])), at(31.0));
    let screen = text(&app, (120, 40));
    assert!(screen.lines().next().unwrap().contains("eth0 down"), "{screen}");
}

#[test]
fn into_a_process_and_a_talker() {
    let mut app = busy((120, 40));
    app.press(KeyCode::Enter, at(30.0));
    app.press(KeyCode::Tab, at(30.0));
    app.press(KeyCode::Enter, at(30.0));
    snapshots!("details", app);
}

/// Protocols and ports of an open talker, at every size.
#[test]
fn an_open_talker_has_its_ports() {
    use ebpftop::model::talkers::{DetailSample, Direction, Flow, FlowKind, Traffic};
    let mut app = busy((120, 40));
    app.press(KeyCode::Tab, at(30.0));
    let effects = app.press(KeyCode::Enter, at(30.0));
    let ip = "2001:db8::7".parse().unwrap();
    let detail_of = Some(DetailOf { interface: "eth0".into(), ip });
    assert!(effects.contains(&Effect::Talkers(TalkersCommand::Detail(detail_of))), "{effects:?}");
    let traffic = |packets, size| Traffic { packets, bytes: packets * size };
    let ports = |proto, there, here| Flow { proto, what: FlowKind::Ports { there, here } };
    let flows = vec![
        (ports(6, 50_123, 443), traffic(12_000, 80)),
        (ports(6, 50_124, 22), traffic(300, 100)),
        (ports(17, 53, 40_000), traffic(40, 120)),
        (ports(17, 33_000, 44_000), traffic(7, 1_514)),
        (Flow { proto: 58, what: FlowKind::Icmp { kind: 135, code: 0 } }, traffic(5, 86)),
        (Flow { proto: 17, what: FlowKind::Fragment }, traffic(9, 1_514)),
        (Flow { proto: 50, what: FlowKind::Other }, traffic(2, 400)),
    ];
    let left = traffic(80, 60);
    let all = flows.iter().fold(left, |sum, (_, t)| sum + *t);
    let detail = DetailSample {
        ip: Some(ip),
        since: at(30.0),
        since_text: "12:03:04".into(),
        all,
        left,
        sizes: [80, 12_340, 0, 2, 0, 20, 0, 1],
        flows,
        ..DetailSample::default()
    };
    for direction in [Direction::Rx, Direction::Tx] {
        let mut sample =
            crate::fake::sample("eth0", direction, at(31.0), &[(ip, 51_000_000, 990_000)]);
        sample.detail = Some(detail.clone());
        app.update(Msg::Probe(ProbeEvent::Talkers(vec![sample])), at(31.0));
    }
    snapshots!("talk", app);
    app.resize((60, 20), at(31.0));
    insta::assert_snapshot!("talk_60x20", app.text());
    let effects = app.press(KeyCode::Esc, at(31.0));
    assert!(effects.contains(&Effect::Talkers(TalkersCommand::Detail(None))), "{effects:?}");
}

#[test]
fn ascii_has_nothing_beyond_ascii_but_opened_paths() {
    let app = {
        let mut app = started(&Settings::default(), (120, 40));
        let batch = crate::fake::batch(at(0.5), &[(7, "plain", b"/etc/hosts", 3, 9)]);
        app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(0.5));
        app.update(Msg::Tick, at(1.0));
        app.update(Msg::Tick, at(2.0));
        app
    };
    let settings = ScreenSettings { ascii: true, ..ScreenSettings::default() };
    let shown = drawn(&app, &settings, (120, 40)).to_string();
    assert!(shown.is_ascii(), "{shown}");
    insta::assert_snapshot!("ascii_120x40", shown);
}

#[test]
fn the_help_in_ascii_is_ascii() {
    let mut app = started(&Settings::default(), (120, 60));
    let settings = ScreenSettings { ascii: true, ..ScreenSettings::default() };
    app.press(KeyCode::Char('?'), at(1.0));
    let shown = drawn(&app, &settings, (120, 60)).to_string();
    assert!(shown.is_ascii(), "{shown}");
}

#[test]
fn without_colour_there_is_none() {
    let app = busy((120, 40));
    let settings = ScreenSettings { colour: false, ..ScreenSettings::default() };
    let backend = drawn(&app, &settings, (120, 40));
    for cell in backend.buffer().content() {
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
    }
}

#[test]
fn red_is_for_failure_and_loss_alone() {
    let mut app = started(&Settings::default(), (120, 40));
    let batch = crate::fake::batch(at(0.5), &[(7, "plain", b"/etc/hosts", 3, 9)]);
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(0.5));
    app.update(Msg::Tick, at(1.0));
    let red = |app: &App| {
        let backend = drawn(app, &ScreenSettings::default(), (120, 40));
        backend.buffer().content().iter().any(|c| c.fg == Color::Red && c.symbol() != " ")
    };
    assert!(!red(&app));
    let batch = crate::fake::batch(at(1.5), &[(7, "plain", b"/etc/nope", -2, 9)]);
    app.update(Msg::Probe(ProbeEvent::Opens(batch)), at(1.5));
    app.update(Msg::Tick, at(2.0));
    assert!(red(&app));
}

/// Each cell's style as a letter, and what the letters stand for.
fn styles(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let mut legend = Vec::new();
    let mut map = String::new();
    for y in 0..buffer.area.height.min(14) {
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let blank = cell.symbol() == " " && !cell.modifier.contains(Modifier::REVERSED);
            let style = (if blank { Color::Reset } else { cell.fg }, cell.bg, cell.modifier);
            let at = legend.iter().position(|s| *s == style).unwrap_or_else(|| {
                legend.push(style);
                legend.len() - 1
            });
            map.push(char::from(b'a' + u8::try_from(at).unwrap()));
        }
        map.push('\n');
    }
    for (letter, (fg, bg, modifier)) in ('a'..).zip(legend) {
        map.push_str(&format!("{letter} {fg} on {bg} {modifier:?}\n"));
    }
    map
}

#[test]
fn every_theme_draws_the_same_text() {
    let app = busy((120, 40));
    let plain = text(&app, (120, 40));
    for theme in THEMES {
        // Which colours are where, as letters for the styles in the order that they come.
        let view = SavedView { theme: theme.name, ..SavedView::default() };
        let settings = ScreenSettings { view, ..ScreenSettings::default() };
        let backend = drawn(&app, &settings, (120, 40));
        assert_eq!(backend.to_string(), plain);
        insta::assert_snapshot!(format!("styles_{}", theme.name), styles(&backend));
    }
}

/// Every view in every theme and at every size: the same text, whatever the colours.
#[test]
fn every_view_has_the_same_text_in_every_theme() {
    let views = [
        "", "t", "tt", "ttt", "tttt", "ttttt", "?", "?/rx", "i", "/nginx", "/pid:x", "p", "fm", "x",
    ];
    for keys in views {
        let mut app = busy((120, 40));
        type_text(&mut app, keys, at(30.0));
        for size in SIZES {
            app.resize(size, at(30.0));
            let plain = text(&app, size);
            let colourless = ScreenSettings { colour: false, ..ScreenSettings::default() };
            assert_eq!(drawn(&app, &colourless, size).to_string(), plain, "{keys} {size:?}");
            for theme in THEMES {
                let look = Look::new(&ScreenSettings::default()).themed(theme.name);
                let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
                terminal.draw(|frame| view(&app, &look, frame)).unwrap();
                let shown = terminal.backend().to_string();
                assert_eq!(shown, plain, "{keys} {size:?} {}", theme.name);
            }
        }
    }
}
