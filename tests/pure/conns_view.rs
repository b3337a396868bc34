//! The table of connections in the talkers pane, on a fed model.

use ebpftop::app::{Effect, Msg};
use ebpftop::model::bound::{Bound, UnixKind, UnixName};
use ebpftop::model::conn::{Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, TCP, UDP};
use ebpftop::model::connections::MAX_CLOSED;
use ebpftop::model::coverage::Attribution;
use ebpftop::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use ebpftop::model::hostnames::{Answer, HostnamesBatch, NameSource};
use ebpftop::model::listener::{Listener, Listeners};
use ebpftop::model::quality::{Quality, Windows};
use ebpftop::stream::sample;
use ratatui::crossterm::event::KeyCode;

use crate::fake::{Dashboard, at, busy, type_text};
use crate::pivot::{conn, owner};

fn report(app: &mut Dashboard, s: f64, events: Vec<Conn>, samples: Vec<Conn>) {
    let tick = Some(ConnectionsTick { samples, ..ConnectionsTick::default() });
    let batch = ConnectionsBatch { at: at(s), events, tick, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(s));
    app.update(Msg::Tick, at(s));
}

fn with_quality(conn: Conn, srtt_us: u32, retransmits: u32) -> Conn {
    let quality = Quality {
        connect_us: (!conn.passive).then_some(48_000),
        srtt_us: Some(srtt_us),
        rttvar_us: Some(srtt_us / 10),
        retransmits: Some(retransmits),
        lost: Some(retransmits),
        reordering: Some(1),
        cwnd: Some(10),
        delivery_bps: Some(1_250_000),
        windows: Some(Windows {
            in_flight: Some(14_480),
            unacked: 10,
            unsent: 96_000,
            snd_wnd: Some(64_256),
            rcv_wnd: Some(65_535),
        }),
    };
    Conn { quality, ..conn }
}

/// Living connections of nginx and quiet, one that was closed, one that was refused, one given up.
fn connected(size: (u16, u16)) -> Dashboard {
    let mut app = busy(size);
    let info = ConnectionsInfo::default();
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))), at(30.0));
    let nginx = Some(owner(812, "nginx"));
    let mut accepted = conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", 0, 0);
    (accepted.event, accepted.passive) = (ConnEvent::Accept, true);
    report(&mut app, 30.2, vec![accepted.clone()], Vec::new());
    let ends = |cookie, remote: &str, state, error| Conn {
        event: ConnEvent::Close,
        state,
        error,
        ..conn(cookie, nginx, "10.9.0.1:40005", remote, 10, 20)
    };
    let (mut refused, aborted) =
        (ends(5, "10.9.0.3:25", 2, 111), ends(6, "[2001:db8::77]:8443", 2, 0));
    refused.quality.connect_us = Some(120);
    let short = Conn { event: ConnEvent::Connect, ..ends(7, "10.9.0.4:80", 1, 0) };
    let closed = with_quality(ends(7, "10.9.0.4:80", 8, 0), 900, 0);
    let waits = Conn {
        state: 8,
        ..conn(3, Some(owner(777, "quiet")), "10.0.3.1:40001", "10.0.3.17:22", 10, 20)
    };
    let samples = vec![
        with_quality(conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", 2_000, 125_000), 230, 0),
        with_quality(conn(2, nginx, "10.9.0.1:40000", "10.9.0.2:5432", 70, 30), 61_500, 12),
        with_quality(waits, 1_500, 0),
        conn(4, None, "10.0.3.1:2049", "10.0.3.17:700", 400, 500),
    ];
    report(&mut app, 31.2, vec![refused, aborted, short, closed], samples);
    app
}

fn rows(app: &Dashboard) -> Vec<String> {
    let text = app.text();
    let peers = ["10.0.3.17:50000", "10.9.0.2:5432", "10.0.3.17:22", "10.0.3.17:700"]
        .into_iter()
        .chain(["10.9.0.3:25", "[2001:db8::77]:8443", "10.9.0.4:80"]);
    let peers: Vec<&str> = peers.collect();
    let in_row =
        |line: &str| peers.iter().find(|peer| line.contains(&format!(" {peer} "))).copied();
    text.lines().filter_map(in_row).map(str::to_owned).collect()
}

#[test]
fn connections_are_a_table_with_their_quality() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('c'), at(31.3));
    let screen = app.text();
    for words in [
        &["nginx", "10.0.3.17:50000", "established", "1.00M", "230µs"][..],
        &["nginx", "10.9.0.2:5432", "61.5ms", "12"],
        &["quiet", "close-wait", "1.5ms"],
        &["unattributed", "10.0.3.17:700"],
        &["nginx", "10.9.0.3:25", "refused"],
        &["nginx", "[2001:db8::77]:8443", "aborted"],
        &["nginx", "10.9.0.4:80", "closed", "900µs"],
        &["4 open · 1 new/s · 1 closed/s · 2 failed/s", "1 refused, 1 aborted"],
        &["7 of 7 · 0 evicted"],
    ] {
        let found = screen.lines().any(|l| words.iter().all(|w| l.contains(w)));
        assert!(found, "{words:?}\n{screen}");
    }
    snapshots!("connections", app);
    // A minute later the ended ones are gone, and new counts are those of the interval.
    report(&mut app, 92.0, Vec::new(), Vec::new());
    assert_eq!(rows(&app).len(), 4, "{}", app.text());
    assert!(app.text().contains("4 open · 0 new/s · 0 closed/s · 0 failed/s"), "{}", app.text());
    // Again: back to the addresses, and the key for the next view goes round.
    app.press(KeyCode::Char('c'), at(92.1));
    assert!(app.text().contains("2 Talkers"), "{}", app.text());
    app.press(KeyCode::Char('t'), at(92.1));
    assert!(app.text().contains("2 Connections"), "{}", app.text());
}

#[test]
fn connections_are_filtered_and_ordered() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('c'), at(31.3));
    for (filter, peers) in [
        ("state:close-wait", &["10.0.3.17:22"][..]),
        ("state:closed !port:80", &["[2001:db8::77]:8443", "10.9.0.3:25"]),
        ("rtt:>50ms", &["10.9.0.2:5432"]),
        ("retrans:>0", &["10.9.0.2:5432"]),
        ("rtt:<1ms nginx", &["10.0.3.17:50000", "10.9.0.4:80"]),
        ("peer:10.0.3.0/24 !quiet", &["10.0.3.17:50000"]),
        ("port:25", &["10.9.0.3:25"]),
        ("pid:777", &["10.0.3.17:22"]),
    ] {
        type_text(&mut app, &format!("/{filter}"), at(31.4));
        app.press(KeyCode::Enter, at(31.4));
        let mut shown = rows(&app);
        shown.sort();
        let mut truth = peers.to_vec();
        truth.sort_unstable();
        assert_eq!(shown, truth, "{filter}\n{}", app.text());
        app.press(KeyCode::Esc, at(31.4));
    }
    // The order of round-trip times: the longest first, ended ones last.
    for _ in 0..5 {
        app.press(KeyCode::Char('s'), at(31.5));
    }
    assert!(app.text().contains(" RTT ▼ "), "{}", app.text());
    let order =
        ["10.9.0.2:5432", "10.0.3.17:22", "10.0.3.17:50000", "10.0.3.17:700", "10.9.0.4:80"];
    assert_eq!(rows(&app)[..5], order, "{}", app.text());
    app.press(KeyCode::Char('S'), at(31.5));
    assert_eq!(rows(&app)[..2], ["10.0.3.17:700", "10.0.3.17:50000"], "{}", app.text());
}

/// A name that a process asked for has a column; in a narrow pane it stands in place of the address, and
/// state and rates stay.
#[test]
fn names_that_were_asked_for_cost_no_other_column() {
    let mut app = connected((200, 60));
    let answer = Answer {
        at: at(1.0),
        process: owner(812, "nginx").key,
        ip: "10.9.0.2".parse().unwrap(),
        name: b"db.example"[..].into(),
        source: NameSource::Dns,
        ttl_s: 60,
    };
    let batch = HostnamesBatch { answers: vec![answer], ..HostnamesBatch::default() };
    app.update(Msg::Probe(ProbeEvent::Hostnames(batch)), at(31.2));
    app.press(KeyCode::Char('c'), at(31.3));
    let row = |app: &Dashboard, of: &str| {
        let screen = app.text();
        let row = screen.lines().find(|l| l.contains(of)).map(str::to_owned);
        row.unwrap_or_else(|| panic!("{of}\n{screen}"))
    };
    let wide = row(&app, "10.9.0.2:5432");
    assert!(wide.contains("db.example dns") && wide.contains("established"), "{wide}");
    for size in [(80, 24), (120, 36)] {
        app.resize(size, at(31.4));
        let narrow = row(&app, "db.example:5432 d");
        assert!(narrow.contains("established") && narrow.contains("560"), "{narrow}");
    }
}

#[test]
fn a_connection_has_details_and_leads_to_its_process() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('c'), at(31.3));
    type_text(&mut app, "/retrans:>0", at(31.4));
    app.press(KeyCode::Enter, at(31.4));
    app.press(KeyCode::Enter, at(31.4));
    snapshots!("connection", app);
    let screen = app.text();
    for text in [
        "2 Connections › 10.9.0.1:40000 to 10.9.0.2:5432",
        "nginx 812, uid 0, made it",
        "61.5ms, mean deviation 6.2ms",
        "12 sent again, 12 lost, 1 reordered",
        "48.0ms from the SYN to the answer",
        "bytes in 10 segments, ",
        " bytes, 0.9s ago",
        "peak 448 b/s in 59 s",
        "peak unknown in 59 s",
    ] {
        assert!(screen.contains(text), "{text}\n{screen}");
    }
    // It ends, and its details stay as they were at the end.
    let end = conn(2, Some(owner(812, "nginx")), "10.9.0.1:40000", "10.9.0.2:5432", 70, 30);
    let end = Conn { event: ConnEvent::Close, error: 104, ..with_quality(end, 70_000, 13) };
    report(&mut app, 32.2, vec![end], Vec::new());
    let screen = app.text();
    assert!(screen.contains("reset (ECONNRESET)") && screen.contains("70.0ms"), "{screen}");
    app.press(KeyCode::Enter, at(32.3));
    assert!(app.text().contains(" › nginx 812 "), "{}", app.text());
    app.press(KeyCode::Char('2'), at(32.3));
    app.press(KeyCode::Esc, at(32.3));
    assert!(app.text().contains("2 Connections ─"), "{}", app.text());
    report(&mut app, 95.0, Vec::new(), Vec::new());
    assert!(app.text().contains("no match for the filter"), "{}", app.text());
}

/// The line of a group, with one space between words.
fn group(app: &Dashboard, name: &str) -> String {
    let text = app.text();
    let line = text.lines().find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no {name}\n{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn connections_are_grouped_by_program_and_by_peer() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('C'), at(31.3));
    assert!(app.text().contains("2 Connections · by program"), "{}", app.text());
    // Two open ones, one that began and ended in the interval, a refused and an aborted one.
    let nginx = group(&app, "▸ nginx");
    assert!(nginx.contains(" 2 1.0 2 16.6k 1.00M 2.10k 125k 61.5ms 12"), "{nginx}");
    assert!(
        group(&app, "▸ unattributed").contains(" 1 0.0 0 3.20k 4.00k 400 500 – –│"),
        "{}",
        app.text()
    );
    assert!(app.text().contains("3 groups · 7 of 7 · 0 evicted"), "{}", app.text());
    snapshots!("connections_by_program", app);
    // Its connections are shown below it, and hidden again.
    app.press(KeyCode::Enter, at(31.3));
    assert_eq!(rows(&app).len(), 5, "{}", app.text());
    assert!(group(&app, " 10.9.0.3:25 ").contains("refused"), "{}", app.text());
    snapshots!("connections_by_program_unfolded", app);
    app.press(KeyCode::Down, at(31.3));
    app.press(KeyCode::Left, at(31.3));
    assert_eq!(rows(&app).len(), 0, "{}", app.text());
    app.press(KeyCode::Right, at(31.3));
    app.press(KeyCode::Down, at(31.3));
    app.press(KeyCode::Enter, at(31.3));
    assert!(app.text().contains("2 Connections · by program › "), "{}", app.text());
    app.press(KeyCode::Esc, at(31.3));
    // By peer, whatever its port.
    app.press(KeyCode::Char('C'), at(31.3));
    let peer = group(&app, "▸ 10.0.3.17");
    assert!(peer.contains(" 3 0.0 0 "), "{peer}");
    snapshots!("connections_by_peer", app);
    for _ in 0..6 {
        app.press(KeyCode::Char('s'), at(31.3));
    }
    // The most retransmits first.
    assert!(app.text().contains(" retransmits ▼ "), "{}", app.text());
    app.press(KeyCode::Right, at(31.3));
    assert!(group(&app, "nginx 812 :40000").contains("established"), "{}", app.text());
    app.press(KeyCode::Char('C'), at(31.3));
    assert_eq!(rows(&app).len(), 7, "{}", app.text());
}

#[test]
fn a_connection_has_its_last_minute() {
    let mut app = connected((200, 60));
    let bulk = |bytes, srtt_us| {
        let owner = Some(owner(812, "nginx"));
        with_quality(conn(2, owner, "10.9.0.1:40000", "10.9.0.2:5432", bytes, 30), srtt_us, 12)
    };
    report(&mut app, 32.2, Vec::new(), vec![bulk(1_000_070, 90_000)]);
    report(&mut app, 33.2, Vec::new(), vec![bulk(1_000_070, 61_000)]);
    app.press(KeyCode::Char('c'), at(33.3));
    type_text(&mut app, "/retrans:>0", at(33.3));
    app.press(KeyCode::Enter, at(33.3));
    app.press(KeyCode::Enter, at(33.3));
    report(&mut app, 35.2, Vec::new(), Vec::new());
    for text in ["peak 6.40 Mb/s in 59 s", "peak 90.0ms in 59 s", "59 s ago"] {
        assert!(app.text().contains(text), "{text}\n{}", app.text());
    }
    // It ends: the graphs stand as they were.
    let end = Conn { event: ConnEvent::Close, ..bulk(1_000_070, 61_000) };
    report(&mut app, 36.2, vec![end], Vec::new());
    for text in ["closed", "peak 6.40 Mb/s in 59 s", "peak 90.0ms in 59 s"] {
        assert!(app.text().contains(text), "{text}\n{}", app.text());
    }
    // Where there is little room they are in their lines.
    app.resize((80, 24), at(36.3));
    assert!(app.text().contains(" peak 90.0ms in 24 s"), "{}", app.text());
}

#[test]
fn a_connection_between_two_readings_has_its_last_minute_or_the_reason_why_not() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('c'), at(31.3));
    for (filter, text) in [("port:80", "peak 80 b/s in 59 s"), ("port:25", "no graphs: ")] {
        type_text(&mut app, &format!("/{filter}"), at(31.4));
        app.press(KeyCode::Enter, at(31.4));
        app.press(KeyCode::Enter, at(31.4));
        assert!(app.text().contains(text), "{text}\n{}", app.text());
        app.press(KeyCode::Esc, at(31.5));
        app.press(KeyCode::Esc, at(31.5));
    }
    // Below the attribution by call, bytes of UDP are not counted.
    let mut app = busy((200, 60));
    let info = ConnectionsInfo { attribution: Attribution::Connection, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))), at(30.0));
    let of = conn(1, Some(owner(812, "nginx")), "10.0.3.1:4711", "10.0.3.17:53", 0, 0);
    let asks = Conn { protocol: UDP, tcp: None, event: ConnEvent::Connect, ..of };
    report(&mut app, 31.2, vec![asks], Vec::new());
    app.press(KeyCode::Char('c'), at(31.3));
    app.press(KeyCode::Enter, at(31.3));
    let text = "no graphs: bytes of connections other than TCP are not counted";
    assert!(app.text().contains(text), "{}", app.text());
}

#[test]
fn ended_connections_beyond_their_bound_are_counted() {
    let mut app = connected((200, 60));
    let end = |n: usize| Conn {
        event: ConnEvent::Close,
        state: 2,
        error: 111,
        ..conn(100 + n as u64, Some(owner(812, "nginx")), "10.9.0.1:40005", "10.9.0.3:25", 0, 0)
    };
    report(&mut app, 33.0, (0..MAX_CLOSED).map(end).collect(), Vec::new());
    app.press(KeyCode::Char('c'), at(33.1));
    let screen = app.text();
    assert!(screen.contains("4100 of 4100 · 3 evicted"), "{screen}");
    assert!(screen.contains("4097 refused, 1 aborted"), "{screen}");
}

/// What is missing comes first, then what the mark of a shown row means.
#[test]
fn the_mark_of_shared_counts_is_explained_where_there_is_room() {
    let mut app = connected((200, 60));
    app.press(KeyCode::Char('c'), at(31.3));
    app.press(KeyCode::Char('t'), at(31.3));
    let legend = "* sum of the listeners at one address";
    let mut screen = |width, filter: &str| {
        // A new reading: what accepted connections it has is filled in.
        let mut found = sample::listeners();
        found.problem = Some("2 namespaces cannot be read".to_owned());
        let shared = Listener { inode: 9, ..found.rows[0].clone() };
        found.rows.push(shared);
        app.resize((width, 60), at(33.4));
        app.update(Msg::Listeners(Box::new(found)), at(33.5));
        type_text(&mut app, &format!("/{filter}"), at(33.7));
        app.press(KeyCode::Enter, at(33.7));
        let screen = app.text();
        app.press(KeyCode::Esc, at(33.7));
        screen
    };
    let wide = screen(300, "");
    assert!(wide.contains(&format!("2 namespaces cannot be read · {legend}")), "{wide}");
    let other = screen(300, "port:2049");
    assert!(other.contains(":2049") && !other.contains("* sum"), "{other}");
    let narrow = screen(80, "");
    assert!(narrow.contains("· 2 namespaces cannot be read "), "{narrow}");
    assert!(!narrow.contains("* sum"), "{narrow}");
}

#[test]
fn listeners_are_read_while_they_are_shown() {
    let mut app = connected((200, 60));
    let asks = |effects: Vec<Effect>| effects.contains(&Effect::Listeners);
    assert!(!asks(app.update(Msg::Tick, at(31.3))));
    app.press(KeyCode::Char('c'), at(31.3));
    assert!(asks(app.press(KeyCode::Char('t'), at(31.3))));
    assert!(app.text().contains("reading the listeners"), "{}", app.text());
    assert!(!asks(app.update(Msg::Tick, at(32.3))) && asks(app.update(Msg::Tick, at(33.4))));
    let listener = |inode, protocol, local: &str, who, waiting, limit, drops| Listener {
        bound: Bound::Ip { protocol, local: local.parse().unwrap(), interface: 0 },
        netns: 1,
        inode,
        since: None,
        waiting,
        limit,
        drops,
        accepted: None,
        accepting: 0,
        owner: who,
        others: u32::from(inode == 1) * 3,
        cgroup: who.map(|_| (*b"/system.slice/nginx.service").into()),
    };
    let nginx = Some(owner(812, "nginx"));
    let rows = vec![
        listener(1, TCP, "[::]:443", nginx, 3, Some(511), Some(0)),
        listener(2, TCP, "10.0.3.1:80", nginx, 129, Some(128), Some(17)),
        listener(3, UDP, "127.0.0.53:53", Some(owner(777, "a\x1b[31m")), 832, None, Some(2)),
        listener(4, UDP, "0.0.0.0:111", None, 0, None, None),
    ];
    let problem = Some("2 namespaces cannot be read".to_owned());
    let found = Listeners { at: at(33.4), rows, left_out: 7, problem, ..Listeners::default() };
    app.update(Msg::Listeners(Box::new(found)), at(33.5));
    snapshots!("listeners", app);
    let screen = app.text();
    for words in [
        &["2 TCP · 2 UDP", "2 namespaces cannot be read"][..],
        &["nginx", "+3", "nginx.serv", "tcp", "[::]:443", " 3 ", "511"],
        &["nginx", "10.0.3.1:80", "129", "128", "17"],
        &["a\\x1b[31m", "udp", "127.0.0.53:53", "832"],
        &["4 of 4 · 7 left out"],
    ] {
        let found = screen.lines().any(|l| words.iter().all(|w| l.contains(w)));
        assert!(found, "{words:?}\n{screen}");
    }
    let shown = |app: &Dashboard| {
        let text = app.text();
        let all = [":443 ", ":80 ", ":53 ", ":111 "];
        let mut found: Vec<_> = all.iter().filter_map(|p| Some((text.find(p)?, *p))).collect();
        found.sort_unstable();
        found.into_iter().map(|(_, port)| port).collect::<Vec<_>>()
    };
    assert_eq!(shown(&app), [":53 ", ":80 ", ":111 ", ":443 "]);
    for _ in 0..3 {
        app.press(KeyCode::Char('s'), at(33.6));
    }
    assert_eq!(shown(&app)[..2], [":80 ", ":53 "], "{}", app.text());
    for (filter, ports) in [
        ("port:<100 state:listening", &[":80 "][..]),
        ("nginx", &[":80 ", ":443 "]),
        ("unit:nginx pid:812 port:443", &[":443 "]),
        ("peer:10.0.0.0/8", &[]),
    ] {
        type_text(&mut app, &format!("/{filter}"), at(33.7));
        app.press(KeyCode::Enter, at(33.7));
        assert_eq!(shown(&app), ports, "{filter}\n{}", app.text());
        app.press(KeyCode::Esc, at(33.7));
    }
    // The one with the most drops leads to its process.
    app.press(KeyCode::Enter, at(33.8));
    assert!(app.text().contains(" › nginx 812 "), "{}", app.text());
    app.press(KeyCode::Esc, at(33.8));
    // A Unix socket, whose name any user chooses.
    let name = UnixName::new(b"\0db\x1b[31m");
    let bound = Bound::Unix { kind: UnixKind::Seqpacket, name };
    let unix = Listener { bound, ..listener(5, TCP, "[::]:1", nginx, 7, Some(8), None) };
    let found = Listeners { at: at(35.4), rows: vec![unix], ..Listeners::default() };
    app.update(Msg::Listeners(Box::new(found)), at(35.5));
    let screen = app.text();
    assert!(screen.contains("0 TCP · 0 UDP · 1 Unix"), "{screen}");
    let words = ["nginx", "u_seq", "@db\\x1b[31m", " 7 ", " 8 ", " – "];
    assert!(screen.lines().any(|l| words.iter().all(|w| l.contains(w))), "{screen}");
    for (filter, is_shown) in [("port:443", false), ("!port:443 state:listening", true)] {
        type_text(&mut app, &format!("/{filter}"), at(35.7));
        app.press(KeyCode::Enter, at(35.7));
        assert_eq!(app.text().contains("u_seq"), is_shown, "{filter}\n{}", app.text());
        app.press(KeyCode::Esc, at(35.7));
    }
}
