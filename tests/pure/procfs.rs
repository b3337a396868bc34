//! The screen where connections are polled from `sock_diag` and /proc.

use ebpftop::app::Msg;
use ebpftop::model::conn::{
    Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Owner, OwnerFrom, TCP, UDP,
};
use ebpftop::model::coverage::{Attribution, Missing};
use ebpftop::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use ebpftop::model::open::Comm;
use ebpftop::model::process::ProcessKey;
use ebpftop::model::time::WallOffset;
use ratatui::crossterm::event::KeyCode;

use crate::fake::{Dashboard, at, busy, text};

fn owner(pid: u32, name: &str) -> Owner {
    // As /proc has it: in ticks. The process's opens have it in nanoseconds.
    let start_boottime_ns = u64::from(pid) * 1_000_000 / 10_000_000 * 10_000_000;
    let key = ProcessKey { tgid: pid, start_boottime_ns };
    Owner { key, uid: 0, comm: Comm::new(name.as_bytes()), from: OwnerFrom::Found }
}

fn conn(cookie: u64, who: Option<Owner>, protocol: u16, local: &str, remote: &str) -> Conn {
    let conn = crate::pivot::conn(cookie, who, local, remote, 700, 30);
    let tcp = conn.tcp.filter(|_| protocol == TCP);
    Conn { since: None, protocol, tcp, kernel: false, ..conn }
}

/// A busy dashboard whose connections are polled.
fn dashboard() -> Dashboard {
    let mut app = busy((120, 40));
    let missing = Missing {
        feature: "connections: short ones, bytes per process".into(),
        program: "tcp_state_raw".into(),
        error: "tcp_state_raw: load: EPERM; a policy of this kernel forbids it".into(),
    };
    let info = ConnectionsInfo { attribution: Attribution::Procfs, missing: vec![missing] };
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))), at(30.0));
    let nginx = Some(owner(812, "nginx"));
    let seen =
        Conn { event: ConnEvent::Seen, ..conn(1, nginx, TCP, "10.0.3.1:443", "10.0.3.17:50000") };
    let samples = vec![
        Conn { event: ConnEvent::Sample, ..seen.clone() },
        conn(2, nginx, TCP, "10.9.0.1:40000", "10.9.0.2:5432"),
        conn(3, Some(owner(777, "quiet")), UDP, "10.0.3.1:40001", "10.0.3.17:53"),
        conn(4, None, TCP, "10.0.3.1:2049", "10.0.3.17:700"),
    ];
    let tick = ConnectionsTick { samples, complete: true, ..ConnectionsTick::default() };
    let batch = ConnectionsBatch {
        at: at(31.0),
        wall: WallOffset(0),
        events: vec![seen],
        tick: Some(tick),
        ..ConnectionsBatch::default()
    };
    app.update(Msg::Probe(ProbeEvent::Connections(batch)), at(31.0));
    app.update(Msg::Tick, at(31.0));
    app
}

#[test]
fn the_screen_says_that_connections_are_polled() {
    let mut app = dashboard();
    app.resize((80, 24), at(32.0));
    let screen = text(&app, (80, 24));
    assert!(screen.contains("procfs") && screen.contains("missing 1"), "{screen}");
    app.resize((200, 60), at(32.0));
    let screen = text(&app, (200, 60));
    assert!(screen.contains("connections: procfs") && screen.contains("missing 1"), "{screen}");
    assert!(screen.contains("bytes per process unknown"), "{screen}");
    assert!(!screen.contains("attributed"), "{screen}");
    app.press(KeyCode::Char('t'), at(32.0));
    let screen = text(&app, (200, 60));
    // Beside the rows of the talkers, which have processes, too.
    let files = |l: &str| l.chars().take(100).collect::<String>();
    let rows =
        |name: &str| screen.lines().filter(|l| files(l).contains(&format!(" {name} "))).count();
    assert!(rows("nginx") == 1, "by /proc it is the process that opens: {screen}");
    let nginx = screen.lines().find(|l| l.contains(" nginx ")).unwrap();
    assert!(nginx.contains("~–") && nginx.contains("~2"), "{nginx}");
    snapshots!("procfs_main", app);
    app.press(KeyCode::Char('?'), at(32.0));
    let screen = text(&app, (120, 40));
    for words in ["missing here", "tcp_state_raw", "short connections may be missing"] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    snapshots!("procfs_help", app);
}

#[test]
fn behind_an_address_sockets_without_a_process_are_counted() {
    let mut app = dashboard();
    app.press(KeyCode::Tab, at(32.0));
    while !app.is_lit_process(owner(812, "nginx").key) {
        app.press(KeyCode::Down, at(32.0));
    }
    app.press(KeyCode::Enter, at(32.0));
    app.resize((120, 40), at(32.0));
    let screen = text(&app, (120, 40));
    assert!(screen.contains("unattributed: 1 socket, not in /proc"), "{screen}");
    assert!(screen.contains("~nginx") && screen.contains("~quiet"), "{screen}");
    snapshots!("procfs_behind", app);
    // The timeline of the second one.
    app.press(KeyCode::Down, at(32.0));
    app.press(KeyCode::Char('l'), at(32.0));
    let screen = text(&app, (120, 40));
    assert!(screen.contains("seen tcp 10.0.3.17:50000"), "{screen}");
}
