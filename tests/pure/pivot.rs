//! Process, talker, file: from each to the others and back, on a fed model.

use std::net::IpAddr;

use crate::fake::{Dashboard, at, batch, busy, sample, text, type_text};
use ebpftop::app::opens::OpensView;
use ebpftop::app::{Msg, Pane};
use ebpftop::model::conn::{
    Carried, Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Limits, Owner, OwnerFrom, Share,
    TCP, TcpCounts,
};
use ebpftop::model::connections::MAX_EVENTS;
use ebpftop::model::event::{ConnectionsInfo, ProbeEvent, ProbeId, ProbeInfo};
use ebpftop::model::file_change::FileChanges;
use ebpftop::model::open::Comm;
use ebpftop::model::problem::Problem;
use ebpftop::model::process::ProcessKey;
use ebpftop::model::process_event::{Args, ExitStatus, ProcessAction, ProcessEvent, ProcessEvents};
use ebpftop::model::talkers::Direction;
use ebpftop::model::time::WallOffset;
use ebpftop::model::timeline::WatchedPaths;
use ebpftop::settings::{ScreenSettings, Settings};
use ratatui::crossterm::event::KeyCode;

/// The line of the screen that contains all these words.
fn line<'a>(screen: &'a str, words: &[&str]) -> &'a str {
    let found = screen.lines().find(|l| words.iter().all(|w| l.contains(w)));
    found.unwrap_or_else(|| panic!("no line with {words:?}\n{screen}"))
}

pub(super) fn owner(pid: u32, name: &str) -> Owner {
    let key = ProcessKey { tgid: pid, start_boottime_ns: u64::from(pid) * 1_000_000 };
    Owner { key, uid: 0, comm: Comm::new(name.as_bytes()), from: OwnerFrom::Made }
}

/// A socket with what it has received and sent.
pub(super) fn conn(
    cookie: u64,
    who: Option<Owner>,
    local: &str,
    remote: &str,
    rx: u64,
    tx: u64,
) -> Conn {
    let carried = Carried { rx_bytes: rx, tx_bytes: tx, rx_packets: 1, tx_packets: 1 };
    Conn {
        at: at(30.5),
        since: Some(at(29.0)),
        cookie,
        event: ConnEvent::Sample,
        protocol: TCP,
        local: local.parse().unwrap(),
        remote: remote.parse().unwrap(),
        netns: 1,
        interface: 0,
        state: 1,
        error: 0,
        shares: who.map(|owner| Share { owner, carried }).into_iter().collect(),
        current: 0,
        left_out: Carried::default(),
        tcp: Some(TcpCounts { carried, queued: 0 }),
        shared: false,
        kernel: who.is_none(),
        passive: false,
        stream: true,
        unseen: false,
        quality: Default::default(),
    }
}

fn report(app: &mut Dashboard, samples: Vec<Conn>) {
    let tick = ConnectionsTick { samples, ..ConnectionsTick::default() };
    let batch = ConnectionsBatch {
        at: at(31.0),
        wall: WallOffset(0),
        tick: Some(tick),
        ..Default::default()
    };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(31.0));
    app.update(Msg::Tick, at(31.0));
}

/// The reason of unattributed traffic leaves the counts of what is missing their room.
#[test]
fn losses_stand_before_the_reason_of_unattributed_traffic() {
    let reason = "(mostly kernel socket)";
    let bottom = |app: &mut Dashboard, width| {
        app.resize((width, 24), at(32.0));
        line(&app.text(), &["╰", " of 7 "]).to_owned()
    };
    let mut app = connected();
    assert!(!bottom(&mut app, 80).contains("mostly"));
    assert!(bottom(&mut app, 104).contains(reason));
    let limits = Limits { lost: 12, ..Limits::default() };
    let samples = vec![conn(4, None, "10.0.3.1:2049", "10.0.3.17:700", 800, 1_000)];
    let tick = Some(ConnectionsTick { samples, ..ConnectionsTick::default() });
    let batch = ConnectionsBatch { at: at(32.0), tick, limits, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(32.0));
    app.update(Msg::Tick, at(32.0));
    let mut shown = Vec::new();
    for width in 80..120 {
        let bottom = bottom(&mut app, width);
        assert!(bottom.contains(" 12 events lost "), "{width}: {bottom}");
        shown.push((bottom.contains("payload rx"), bottom.contains(reason)));
    }
    assert!(shown.is_sorted(), "{shown:?}");
    shown.dedup();
    assert_eq!(shown, [(false, false), (true, false), (true, true)]);
}

/// A busy dashboard with connections: nginx talks to 10.0.3.17, and to an address that is not on a
/// watched interface; so does a process that opens nothing.
fn connected() -> Dashboard {
    let mut app = busy((120, 40));
    app.update(
        Msg::Probe(ProbeEvent::Started(ProbeInfo::Connections(ConnectionsInfo::default()))),
        at(30.0),
    );
    let nginx = Some(owner(812, "nginx"));
    let mut accepted = conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", 0, 0);
    (accepted.event, accepted.passive) = (ConnEvent::Accept, true);
    let events = vec![accepted];
    let batch = ConnectionsBatch { at: at(30.2), events, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(30.2));
    report(
        &mut app,
        vec![
            conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", 2_000, 125_000),
            conn(2, nginx, "10.9.0.1:40000", "10.9.0.2:5432", 70, 30),
            conn(3, Some(owner(777, "quiet")), "10.0.3.1:40001", "10.0.3.17:22", 10, 20),
            conn(4, None, "10.0.3.1:2049", "10.0.3.17:700", 400, 500),
        ],
    );
    app
}

#[test]
fn processes_have_their_traffic() {
    let mut app = connected();
    app.resize((200, 60), at(32.0));
    let screen = text(&app, (200, 60));
    // 2,070 bytes and 125,030 in a second.
    for words in [&["812", "nginx", "16.6k", "1.00M"][..], &["777", "quiet"], &["cc1", " – "]] {
        line(&screen, words);
    }
    line(&screen, &["payload rx 19.8 kb/s tx 1.00 Mb/s", "unattributed 7.20 kb/s"]);
    snapshots!("pivot_main", app);
    // By what they send: nginx, quiet, the others.
    for _ in 0..4 {
        app.press(KeyCode::Char('s'), at(32.0));
    }
    let screen = text(&app, (200, 60));
    assert!(screen.contains(" tx ▼"), "{screen}");
    let rows: Vec<_> =
        ["nginx", "quiet", "cc1"].map(|n| screen.find(&format!(" {n} ")).unwrap()).into();
    assert!(rows.is_sorted(), "{screen}");
    let mut app =
        Dashboard::new(&Settings { owners: false, ..Settings::default() }, "h", (120, 40), at(0.0));
    app.update(Msg::Tick, at(1.0));
    let screen = text(&app, (120, 40));
    assert!(
        screen.contains("no connections: off: --no-owners") && !screen.contains("RX b/s "),
        "{screen}"
    );
}

#[test]
fn from_a_talker_to_a_process_to_a_file_and_back() {
    let mut app = connected();
    app.press(KeyCode::Tab, at(32.0));
    // 10.0.3.17 is not the largest: further down.
    while !app.is_lit_process(owner(812, "nginx").key) {
        app.press(KeyCode::Down, at(32.0));
    }
    assert!(!app.is_lit_process(owner(18220, "cc1").key));
    let screen = text(&app, (120, 40));
    line(&screen, &["◆", "nginx"]);
    app.press(KeyCode::Enter, at(32.0));
    snapshots!("pivot_talker", app);
    let screen = text(&app, (120, 40));
    line(&screen, &["812", "nginx", "tcp 443", "2000", "125 000"]);
    line(&screen, &["/etc/nginx/mime.types"]);
    line(&screen, &["777", "quiet"]);
    line(&screen, &["unattributed: kernel socket", "400", "500"]);
    app.press(KeyCode::Enter, at(32.0));
    assert_eq!(app.screen.focus, Pane::Opens);
    let screen = text(&app, (120, 40));
    line(&screen, &["› 10.0.3.17 › nginx 812"]);
    line(&screen, &["traffic", "rx 2070 bytes", "tx 125 030", "2 peers"]);
    snapshots!("pivot_process", app);
    app.press(KeyCode::Enter, at(32.0));
    app.resize((200, 60), at(32.0));
    let screen = text(&app, (200, 60));
    line(&screen, &["› 10.0.3.17 › nginx 812 › /"]);
    snapshots!("pivot_file", app);
    app.press(KeyCode::Esc, at(32.0));
    app.press(KeyCode::Esc, at(32.0));
    assert_eq!(app.screen.focus, Pane::Talkers);
    let screen = text(&app, (120, 40));
    line(&screen, &["Talkers", "› 10.0.3.17"]);
    app.press(KeyCode::Esc, at(32.0));
    assert!(app.talkers_pane.inside.is_none());
    assert!(app.is_lit_process(owner(812, "nginx").key), "the cursor is where it was");
}

#[test]
fn from_a_process_to_its_peers_and_back() {
    let mut app = connected();
    type_text(&mut app, "/nginx", at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(app.is_lit_address(ip("10.0.3.17")) && !app.is_lit_address(ip("2001:db8::7")));
    line(&text(&app, (120, 40)), &["◆10.0.3.17"]);
    app.press(KeyCode::Enter, at(32.0));
    // Over to the peers: the largest one is a talker.
    app.press(KeyCode::Right, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    assert_eq!(app.screen.focus, Pane::Talkers);
    app.resize((200, 60), at(32.0));
    line(&text(&app, (200, 60)), &["Talkers", "› nginx 812 › 10.0.3.17"]);
    app.press(KeyCode::Esc, at(32.0));
    assert_eq!(app.screen.focus, Pane::Opens);
    assert!(app.opens_pane.in_related && app.talkers_pane.inside.is_none());
    // The other one is not on a watched interface.
    app.press(KeyCode::Down, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    let screen = text(&app, (120, 40));
    line(&screen, &["Files", "› nginx 812 › 10.9.0.2"]);
    line(&screen, &["812", "nginx", "70", "30"]);
    snapshots!("pivot_address", app);
    app.press(KeyCode::Esc, at(32.0));
    assert_eq!(app.opens_pane.related.list.cursor, 1);
    app.press(KeyCode::Left, at(32.0));
    assert!(!app.opens_pane.in_related);
    app.press(KeyCode::Esc, at(32.0));
    assert!(app.opens_pane.detail().is_none());
}

#[test]
fn a_process_that_only_talks_has_a_view_as_well() {
    let mut app = connected();
    type_text(&mut app, "/quiet", at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    app.resize((200, 60), at(32.0));
    let screen = text(&app, (200, 60));
    line(&screen, &["process", "pid 777", "parent ?"]);
    line(&screen, &["opens", "none"]);
    line(&screen, &["traffic", "rx 10 bytes", "tx 20", "1 peer ", "1 live of 1 connection "]);
    // There are no files: one step down is the first peer.
    app.press(KeyCode::Down, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    line(&text(&app, (200, 60)), &["Talkers", "› quiet 777 › 10.0.3.17"]);
}

#[test]
fn the_process_beside_an_address_is_one_whose_packets_can_pass() {
    let mut app = connected();
    let address = "169.254.0.9";
    let talker = [(address.parse().unwrap(), 9_000_000, 9_000_000)];
    let samples = vec![sample("eth0", Direction::Rx, at(31.0), &talker)];
    app.update(Msg::Probe(ProbeEvent::Talkers(samples)), at(31.0));
    // The same address on a link of another namespace, and on another link of this one.
    let on_link = |cookie, pid, name, netns, interface| {
        let who = Some(owner(pid, name));
        let remote = format!("{address}:9");
        Conn { netns, interface, ..conn(cookie, who, "169.254.0.1:40002", &remote, 10, 20) }
    };
    report(&mut app, vec![on_link(5, 901, "foreign", 2, 2), on_link(6, 902, "beside", 1, 5)]);
    app.resize((200, 60), at(32.0));
    line(&text(&app, (200, 60)), &[address, "unattributed"]);
    report(&mut app, vec![on_link(7, 903, "here", 1, 2)]);
    line(&text(&app, (200, 60)), &[address, "here"]);
}

#[test]
fn unattributed_traffic_has_a_reason() {
    let mut app = connected();
    let mut waiting = conn(11, None, "10.0.3.1:8080", "10.0.3.17:40", 60, 0);
    (waiting.kernel, waiting.passive) = (false, true);
    let mut older = conn(12, None, "10.0.3.1:8081", "10.0.3.17:41", 0, 70);
    older.kernel = false;
    report(&mut app, vec![waiting, older]);
    app.press(KeyCode::Tab, at(32.0));
    while !app.is_lit_process(owner(812, "nginx").key) {
        app.press(KeyCode::Down, at(32.0));
    }
    app.resize((200, 60), at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    let screen = text(&app, (200, 60));
    line(&screen, &["unattributed: kernel socket", "400", "500"]);
    line(&screen, &["unattributed: not accepted", " 60 "]);
    line(&screen, &["unattributed: older than ebpftop", " 70 "]);
}

/// All of the traffic is 100 %, and a hair less is 99 %; where bytes are not counted by process, or no longer,
/// there is no share.
#[test]
fn the_attributed_share_is_rounded_down_and_hidden_where_it_is_unknown() {
    let mut app = connected();
    app.resize((120, 40), at(32.0));
    let header = |app: &Dashboard| text(app, (120, 40)).lines().next().unwrap().to_owned();
    for (of, unattributed, shown) in
        [(0, 0, "attributed     –"), (9, 0, "attributed 100 %"), (9_999, 1, "attributed  99 %")]
    {
        app.opens_pane.carried = Carried { rx_bytes: of, ..Carried::default() };
        app.opens_pane.unattributed = Carried { rx_bytes: unattributed, ..Carried::default() };
        assert!(header(&app).contains(shown), "{shown}: {}", header(&app));
    }
    let problem = Problem::new("attribute connections", "the ring is gone", "start again");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Connections, problem)), at(32.0));
    assert!(!header(&app).contains("attributed"), "{}", header(&app));
}

/// Between two ticks too.
#[test]
fn the_sum_is_of_the_same_interval_as_the_rows() {
    let mut app = connected();
    app.resize((200, 60), at(31.5));
    let nginx = Some(owner(812, "nginx"));
    let samples = vec![conn(1, nginx, "10.0.3.1:443", "10.0.3.17:50000", 2_125, 125_000)];
    let tick = Some(ConnectionsTick { samples, ..ConnectionsTick::default() });
    let batch = ConnectionsBatch { at: at(32.0), tick, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(32.0));
    let screen = text(&app, (200, 60));
    line(&screen, &["812", "nginx", "1.00k"]);
    line(&screen, &["payload rx 1.00 kb/s tx 0 b/s", "unattributed 0 b/s"]);
}

#[test]
fn lost_and_evicted_counts_are_beside_the_sum() {
    let mut app = connected();
    assert!(!text(&app, (200, 60)).contains("events lost"));
    let tick = Some(ConnectionsTick { left_out: 40, ..ConnectionsTick::default() });
    let limits = Limits { lost: 1_200, sockets: 2, ..Limits::default() };
    let at_31 = ConnectionsBatch { at: at(31.0), tick, limits, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(at_31)), at(31.0));
    app.update(Msg::Tick, at(31.0));
    line(&text(&app, (200, 60)), &["unattributed", "1200 events lost", "40 evicted", "2 left out"]);
}

/// Calls of raw sockets, as of ping, name no address: then the process of an address may be unknown.
#[test]
fn no_process_of_an_address_is_certain_while_each_call_names_one() {
    let mut app = connected();
    app.press(KeyCode::Tab, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    line(&text(&app, (120, 40)), &["no process called: kernel, forwarded or unread"]);
    let limits = Limits { unknown_peers: 7, ..Limits::default() };
    let tick = Some(ConnectionsTick::default());
    let batch = ConnectionsBatch { at: at(32.0), tick, limits, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(32.0));
    app.update(Msg::Tick, at(32.0));
    line(&text(&app, (120, 40)), &["no known processes; 7 calls named no address"]);
    app.resize((240, 60), at(32.0));
    line(&text(&app, (240, 60)), &["unattributed", "7 calls named no address"]);
}

#[test]
fn talking_processes_are_shown_once_the_opens_probe_has_started() {
    let mut app = Dashboard::new(&Settings::default(), "h", (120, 40), at(0.0));
    app.update(
        Msg::Probe(ProbeEvent::Started(ProbeInfo::Connections(ConnectionsInfo::default()))),
        at(30.0),
    );
    let quiet = Some(owner(777, "quiet"));
    report(&mut app, vec![conn(3, quiet, "10.0.3.1:40001", "10.0.3.17:22", 10, 20)]);
    let screen = text(&app, (120, 40));
    assert!(screen.contains("starting") && !screen.contains("quiet"), "{screen}");
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Opens(Default::default()))), at(32.0));
    app.update(Msg::Tick, at(33.0));
    line(&text(&app, (120, 40)), &["777", "quiet"]);
}

#[test]
fn filters_by_peer_and_port() {
    for (filter, shown, hidden) in [
        ("peer:10.9.0.0/16", "nginx", "quiet"),
        ("port:22", "quiet", "nginx"),
        ("peer:10.0.3.17 port:443", "nginx", "quiet"),
    ] {
        let mut app = connected();
        type_text(&mut app, &format!("/{filter}"), at(32.0));
        app.press(KeyCode::Enter, at(32.0));
        let screen = text(&app, (200, 60));
        // The talkers beside them have processes, too.
        let has = |name: &str| screen.lines().any(|l| l.starts_with(&format!("\"│  {name} ")));
        assert!(has(shown) && !has(hidden), "{filter}\n{screen}");
        assert!(!screen.contains(" cc1 "), "{filter}\n{screen}");
        let mut talkers = screen.lines().filter_map(|l| Some(l.split_once("││")?.1));
        let talker = talkers.any(|l| l.contains("10.0.3.17 "));
        assert_eq!(talker, filter != "peer:10.9.0.0/16", "{filter}\n{screen}");
    }
}

#[test]
fn a_paused_screen_keeps_its_owners() {
    let mut app = connected();
    app.press(KeyCode::Char('p'), at(32.0));
    let before = text(&app, (200, 60));
    let more = conn(9, Some(owner(18220, "cc1")), "10.0.3.1:1", "10.0.3.17:2", 9_999, 9_999);
    report(&mut app, vec![more]);
    assert_eq!(text(&app, (200, 60)), before);
    app.press(KeyCode::Char('p'), at(32.0));
    assert_ne!(text(&app, (200, 60)), before);
}

#[test]
fn without_the_probe_the_reason_is_there_and_nothing_else_changes() {
    let mut app = busy((120, 40));
    let problem = Problem::new("watch", "cgroup v2 is not mounted", "mount it");
    app.update(Msg::Probe(ProbeEvent::Failed(ProbeId::Connections, problem)), at(30.0));
    app.update(Msg::Tick, at(31.0));
    let screen = text(&app, (120, 40));
    line(&screen, &["no connections: cgroup v2 is not mounted"]);
    assert!(app.data.problems().is_empty());
    app.press(KeyCode::Enter, at(32.0));
    let screen = text(&app, (120, 40));
    assert!(!screen.contains("traffic ") && !screen.contains("PEER"), "{screen}");
}

/// A rename by a process, and a file that it could not remove.
pub(super) fn renamed(pid: u32) -> FileChanges {
    let mut events = ebpftop::stream::sample::files().events.split_off(3);
    for (event, second) in events.iter_mut().zip([30.6, 30.7]) {
        event.at = at(second);
        event.key = owner(pid, "").key;
    }
    FileChanges { events, lost: 0, ..FileChanges::default() }
}

/// A program that a process started, its end by a signal, and one after the present.
fn starts_and_end(pid: u32) -> ProcessEvents {
    let event = |at_s, action| ProcessEvent {
        at: at(at_s),
        key: owner(pid, "nginx").key,
        ppid: 1,
        uid: 0,
        comm: Comm::new(b"nginx"),
        process: Comm::new(b"nginx"),
        cgroup_id: None,
        age_ns: 1,
        action,
    };
    let exec = |text: &[u8]| ProcessAction::Exec {
        args: Some(Args { text: text.into(), bytes: text.len() as u64 }),
        executable: None,
    };
    let events = vec![
        event(29.0, exec(b"nginx\0-g\0a\x1b[31m;\0")),
        event(31.7, ProcessAction::Exit(ExitStatus(11))),
        event(90.0, exec(b"not yet\0")),
    ];
    ProcessEvents { events, lost: 2, wall: WallOffset(0) }
}

#[test]
fn a_timeline_is_in_order_and_marks_watched_paths() {
    let mut app = connected();
    let watched = WatchedPaths::parse(["**/mime.types"].into_iter()).unwrap();
    app.arrange(&ScreenSettings { watched, ..ScreenSettings::default() });
    let mut ended = conn(2, Some(owner(812, "nginx")), "10.9.0.1:40000", "10.9.0.2:5432", 75, 30);
    ended.event = ConnEvent::Close;
    ended.at = at(31.5);
    let mut refused = conn(9, Some(owner(812, "nginx")), "10.9.0.1:40001", "10.9.0.3:25", 0, 0);
    (refused.event, refused.state, refused.error) = (ConnEvent::Close, 2, 111);
    refused.at = at(31.6);
    let batch = ConnectionsBatch {
        at: at(31.7),
        events: vec![ended, refused],
        ..ConnectionsBatch::default()
    };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(31.7));
    app.update(Msg::Probe(ProbeEvent::Files(renamed(812))), at(31.8));
    app.update(Msg::Probe(ProbeEvent::Processes(starts_and_end(812))), at(31.8));
    type_text(&mut app, "/nginx", at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    app.press(KeyCode::Char('l'), at(32.0));
    let screen = text(&app, (120, 40));
    line(&screen, &["Files", "› nginx 812 timeline"]);
    line(&screen, &["a coincidence in time, not a proof"]);
    let expected = [
        &["exit SIGSEGV"][..],
        &["connect tcp 10.9.0.3:25 ECONNREFUSED"],
        &["◆", "close tcp 10.9.0.2:5432  rx 75 tx 30 bytes"],
        &["◆", "10.0.3.17  rx 2000 tx 125000 bytes"],
        &["EACCES unlink /srv/backup/old.tar"],
        &["rename /srv/backup/site.tar.tmp ›"],
        &["opened (1800 times)", "mime.types"],
    ];
    let rows: Vec<usize> =
        expected.iter().map(|words| screen.find(line(&screen, words)).unwrap()).collect();
    assert!(rows.is_sorted(), "latest first: {screen}");
    assert!(!line(&screen, &["ECONNREFUSED"]).contains('◆'), "nothing was sent: {screen}");
    snapshots!("pivot_timeline", app);
    line(&screen, &["exec nginx -g a\\x1b[31m;"]);
    assert!(!screen.contains("not yet"), "{screen}");
    app.press(KeyCode::Down, at(32.0));
    // From an activity to its peer, from an open to the file, and back to the same row.
    app.press(KeyCode::Enter, at(32.0));
    line(&text(&app, (120, 40)), &["› 10.9.0.3"]);
    app.press(KeyCode::Esc, at(32.0));
    for _ in 0..20 {
        app.press(KeyCode::Down, at(32.0));
    }
    app.press(KeyCode::Up, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    line(&text(&app, (120, 40)), &["› nginx 812 timeline › /"]);
    app.press(KeyCode::Esc, at(32.0));
    app.press(KeyCode::Esc, at(32.0));
    assert!(!text(&app, (120, 40)).contains("timeline"));
}

/// Beyond 8,192 the oldest leave, and the timeline says so; events that the kernel side lost are missing, too.
#[test]
fn network_events_that_timelines_lack_are_counted() {
    let mut app = connected();
    let connect = |cookie: u64| {
        let nginx = Some(owner(812, "nginx"));
        let conn = conn(cookie, nginx, "10.9.0.1:40000", "10.9.0.2:5432", 0, 0);
        Conn { event: ConnEvent::Connect, at: at(31.5), ..conn }
    };
    let events: Vec<_> = (10..10 + MAX_EVENTS as u64).map(connect).collect();
    let limits = Limits { lost: 12, ..Limits::default() };
    let before = app.owners().unwrap().events_evicted;
    assert_eq!(before, 0);
    let all = ConnectionsBatch { at: at(31.5), events, limits, ..Default::default() };
    app.update(Msg::Probe(ProbeEvent::Connections(all)), at(31.5));
    type_text(&mut app, "/nginx", at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    app.press(KeyCode::Char('l'), at(32.0));
    let evicted = app.owners().unwrap().events_evicted;
    assert!(evicted > 0);
    let says = format!("network events of all processes: 12 lost · {evicted} evicted");
    line(&text(&app, (200, 60)), &[&says]);
    // With less room, in fewer words.
    let says = format!("network events: 12 lost · {evicted} evicted");
    line(&text(&app, (120, 40)), &[&says]);
    let parts = ProcessEvents { lost: 7, ..starts_and_end(812) };
    app.update(Msg::Probe(ProbeEvent::Processes(parts)), at(32.0));
    line(&text(&app, (120, 40)), &[&format!("{} events missing", 12 + 7 + evicted)]);
}

#[test]
fn a_file_has_the_peers_of_all_its_processes() {
    let mut app = connected();
    let pids = 2_000..2_070;
    let opens: Vec<_> = pids.clone().map(|pid| (pid, "many", &b"/srv/shared"[..], 3, 1)).collect();
    app.update(Msg::Probe(ProbeEvent::Opens(batch(at(31.5), &opens))), at(31.5));
    let talks = |pid: u32| {
        let who = Some(owner(pid, "many"));
        conn(pid.into(), who, "10.9.0.1:40000", &format!("10.8.0.{}:5432", pid % 100), 1, 1)
    };
    report(&mut app, pids.map(talks).collect());
    while app.opens_pane.view != OpensView::Files {
        app.press(KeyCode::Char('t'), at(32.0));
    }
    type_text(&mut app, "/path:/srv/shared", at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    app.press(KeyCode::Enter, at(32.0));
    assert_eq!(app.opens_pane.related.of, 70);
}

/// The heaviest peer of a program and of a process, where there is room.
#[test]
fn a_row_has_its_top_peer() {
    let mut app = connected();
    let row = |app: &Dashboard, name: &str| {
        let screen = text(app, (250, 60));
        let row = screen.lines().find(|l| l.split("││").next().is_some_and(|l| l.contains(name)));
        row.and_then(|l| l.split("││").next()).unwrap_or_default().to_owned()
    };
    assert!(row(&app, " nginx 812").contains(" 10.0.3.17 "), "{}", row(&app, " nginx 812"));
    assert!(!row(&app, " cc1 18220").contains("10."));
    app.press(KeyCode::Char('t'), at(32.0));
    assert!(row(&app, "812 nginx").contains(" 10.0.3.17 "), "{}", row(&app, "812 nginx"));
    let narrow = text(&app, (80, 24));
    assert!(!narrow.contains("TOP PEER"), "{narrow}");
}

/// `l` on a row that has no process of its own but is about one.
#[test]
fn a_timeline_opens_from_a_live_open_and_from_a_failure() {
    for view in ["live feed", "failures"] {
        let mut app = connected();
        for _ in 0..8 {
            if text(&app, (120, 40)).lines().any(|l| l.contains("1 ") && l.contains(view)) {
                break;
            }
            app.press(KeyCode::Char('t'), at(32.0));
        }
        app.press(KeyCode::Home, at(32.0));
        app.press(KeyCode::Char('l'), at(32.0));
        let screen = text(&app, (120, 40));
        assert!(screen.contains(" timeline"), "{view}: {screen}");
    }
}
