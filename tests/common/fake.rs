//! Made-up events at fixed times, for the tests and benches of model and screen.
#![allow(dead_code)]

use std::net::IpAddr;

use ebpftop::app::{App, Effect, Msg};
use ebpftop::model::event::{OpensInfo, ProbeEvent, ProbeInfo, Watched};
use ebpftop::model::link::{Foreign, ForeignHook, Hook, Link, LinkCounters, XdpMode};
use ebpftop::model::open::{Comm, OpenBatch, OpenCounts, OpenMeta, ResolvedKind, Syscall};
use ebpftop::model::talkers::{Direction, Source, TalkersSample, Traffic};
use ebpftop::model::time::{Mono, Stamp, WallOffset};
use ebpftop::settings::{ScreenSettings, Settings};
use ebpftop::ui::{Look, measure, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;

/// The sizes of the screen in snapshots.
pub const SIZES: [(u16, u16); 5] = [(80, 24), (120, 40), (200, 60), (40, 12), (10, 3)];

/// Second `s` of the made-up time.
pub fn at(s: f64) -> Mono {
    Mono(1_000_000_000_000 + (s * 1e9) as u64)
}

/// An open by process `pid` called `name`.
pub fn meta(pid: u32, name: &str, when: Mono, ret: i64) -> OpenMeta {
    OpenMeta {
        at: when,
        tgid: pid,
        tid: pid,
        ppid: 1,
        uid: 0,
        start_boottime_ns: u64::from(pid) * 1_000_000,
        comm: Comm::new(name.as_bytes()),
        process: Comm::new(name.as_bytes()),
        syscall: Syscall::Openat,
        flags: Some(0o2000000),
        mode: 0,
        ret,
        slot: None,
        latency_ns: None,
        cgroup_id: Some(u64::from(pid % 4)),
    }
}

/// A batch of `(pid, name, path, ret, times)`.
pub fn batch(when: Mono, opens: &[(u32, &str, &[u8], i64, usize)]) -> OpenBatch {
    let mut batch = OpenBatch::default();
    for (pid, name, path, ret, times) in opens {
        for _ in 0..*times {
            let resolved = (ResolvedKind::Opened, *path);
            batch.push(meta(*pid, name, when, *ret), Some(path), Some(resolved));
        }
    }
    batch
}

/// An interface as the picker shows it.
pub fn link(ifindex: u32, name: &str, up: bool, address: &str) -> Link {
    Link {
        ifindex,
        name: name.into(),
        up,
        carrier: up,
        loopback: name == "lo",
        arphrd: if name == "lo" { 772 } else { 1 },
        mtu: 1500,
        addresses: vec![address.parse().unwrap()],
        gateways: Vec::new(),
        driver: None,
        speed_mbit: None,
        counters: LinkCounters::default(),
        xdp: None,
        foreign: Vec::new(),
        would_get: Some(Hook::Generic),
        price: String::new(),
    }
}

/// The list of watches: one interface, with generic XDP.
pub fn watched(name: &str) -> Watched {
    Watched {
        ifindex: 2,
        interface: name.into(),
        netns: 1,
        rx: Ok(Hook::Generic),
        tx: Ok(Hook::Tcx),
        mode: XdpMode::Auto,
        partial: None,
        price: "software GRO off".into(),
        missing: Vec::new(),
        gone: None,
    }
}

/// A snapshot with sources `(address, bytes in all, bytes in the interval)`, 1,000 bytes a packet.
pub fn sample(
    interface: &str,
    direction: Direction,
    when: Mono,
    sources: &[(IpAddr, u64, u64)],
) -> TalkersSample {
    let of = |n: u64| Traffic { packets: n.div_ceil(1_000), bytes: n };
    let sources: Vec<Source> = sources
        .iter()
        .map(|(ip, total, delta)| Source {
            ip: *ip,
            since: at(0.0),
            total: of(*total),
            delta: of(*delta),
        })
        .collect();
    let other = Traffic { packets: 12, bytes: 960 };
    let sum = |f: fn(&Source) -> Traffic| sources.iter().map(f).fold(other, |a, b| a + b);
    TalkersSample {
        ifindex: 2,
        interface: interface.into(),
        direction,
        hook: Hook::Generic,
        at: Stamp { mono: when, wall: WallOffset(0) },
        interval_ns: 1_000_000_000,
        total: sum(|s| s.total),
        delta: sum(|s| s.delta),
        other,
        other_delta: other,
        partial: None,
        evicted: 0,
        compared: Default::default(),
        detail: None,
        sources,
    }
}

/// A key without modifiers.
pub fn key(code: KeyCode) -> Msg {
    Msg::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// A dashboard on a screen of some size, which measures itself after each message as in the program.
#[derive(Debug)]
pub struct Dashboard {
    app: App,
    pub size: (u16, u16),
    /// The time of the last message.
    now: Mono,
    look: Look,
}

impl Dashboard {
    pub fn new(settings: &Settings, host: &str, size: (u16, u16), now: Mono) -> Self {
        let look = Look::new(&ScreenSettings::default());
        let mut dashboard = Self { app: App::new(settings, host, now), size, now, look };
        dashboard.fit();
        dashboard
    }

    pub fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }

    fn fit(&mut self) {
        let measured = measure(&self.app, &self.look, self.area());
        self.app.fit(measured);
    }

    pub fn update(&mut self, msg: Msg, now: Mono) -> Vec<Effect> {
        self.now = now;
        let effects = self.app.update(msg, now);
        self.fit();
        effects
    }

    pub fn resize(&mut self, size: (u16, u16), now: Mono) {
        self.size = size;
        // Nothing is dragged: this only moves the clock.
        self.update(Msg::Drop, now);
    }

    pub fn press(&mut self, code: KeyCode, now: Mono) -> Vec<Effect> {
        self.update(key(code), now)
    }

    /// The text of the screen.
    pub fn text(&self) -> String {
        text(&self.app, self.size)
    }

    /// The text of the screen at the sizes of the snapshots, with the size.
    pub fn at_sizes(&mut self) -> Vec<(String, String)> {
        let own = self.size;
        let mut at = |size: (u16, u16)| {
            self.resize(size, self.now);
            (format!("{}x{}", size.0, size.1), self.text())
        };
        let texts = SIZES.map(&mut at).to_vec();
        at(own);
        texts
    }
}

impl std::ops::Deref for Dashboard {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl std::ops::DerefMut for Dashboard {
    fn deref_mut(&mut self) -> &mut App {
        &mut self.app
    }
}

/// The text of a screen of some size.
pub fn text(app: &App, size: (u16, u16)) -> String {
    drawn(app, &ScreenSettings::default(), size).to_string()
}

/// A screen of some size, with its styles.
pub fn drawn(app: &App, settings: &ScreenSettings, size: (u16, u16)) -> TestBackend {
    let look = Look::new(settings);
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| view(app, &look, frame)).unwrap();
    terminal.backend().clone()
}

/// Types text.
pub fn type_text(app: &mut Dashboard, text: &str, now: Mono) {
    for c in text.chars() {
        app.update(key(KeyCode::Char(c)), now);
    }
}

/// One second of a machine that does a bit of everything.
pub fn second(app: &mut Dashboard, s: u32) {
    let now = at(f64::from(s) + 0.5);
    let wave = |n: usize| n + (s as usize * 7 + n) % (n / 2 + 1);
    let mut opens = batch(
        now,
        &[
            (18220, "cc1", b"/usr/include/stdio.h", 5, wave(420)),
            (18220, "cc1", b"/usr/include/x86_64-linux-gnu/bits/types.h", 5, wave(210)),
            (18220, "cc1", b"/usr/local/include/stdio.h", -2, wave(60)),
            (812, "nginx", b"/etc/nginx/mime.types", 3, 60),
            (812, "nginx", b"/var/www/html/index.html", 7, 59),
            (812, "nginx", b"/var/www/html/favicon.ico", -2, 4),
            (1, "systemd", b"/proc/1/cgroup", 9, usize::from(s.is_multiple_of(3))),
            (4021, "a\x1b[31m\nb", b"/tmp/\xff\xfe/evil\n\x1b]0;x\x07", 3, 1),
            (
                4022,
                "\u{65e5}\u{672c}\u{8a9e}",
                "/home/\u{65e5}\u{672c}\u{8a9e}/\u{1f600}.txt".as_bytes(),
                -13,
                2,
            ),
        ],
    );
    if s < 3 {
        for open in batch(now, &[(2201, "backup.sh", b"/srv/a", -13, 3)]).iter() {
            opens.push(*open.meta, open.path, open.resolved);
        }
    }
    opens.counts = OpenCounts { seen: 1, ..OpenCounts::default() };
    app.update(Msg::Probe(ProbeEvent::Opens(opens)), now);
    let n = u64::from(s) + 1;
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let end = at(f64::from(s) + 1.0);
    let up = |n: u64| n + n / 3 * u64::from(s % 4);
    let samples = vec![
        sample(
            "eth0",
            Direction::Rx,
            end,
            &[
                (ip("10.0.3.17"), n * 7_600_000, up(7_600_000)),
                (ip("2001:db8::7"), n * 1_700_000, up(1_700_000)),
                (ip("192.0.2.44"), n * 260, 260),
            ],
        ),
        sample(
            "eth0",
            Direction::Tx,
            end,
            &[
                (ip("10.0.3.17"), n * 1_000_000, up(1_000_000)),
                (ip("2001:db8:85a3:1234:5678:8a2e:370:7334"), n * 90, 0),
                (ip("2001:db8::7"), n * 25_000_000, up(25_000_000)),
            ],
        ),
    ];
    app.update(Msg::Probe(ProbeEvent::Talkers(samples)), end);
    app.update(Msg::Tick, end);
}

/// A dashboard whose probes have just started.
pub fn started(settings: &Settings, size: (u16, u16)) -> Dashboard {
    let mut app = Dashboard::new(settings, "web-3", size, at(0.0));
    let info = OpensInfo { seen: vec![Syscall::Openat], ..OpensInfo::default() };
    app.update(Msg::Probe(ProbeEvent::Started(ProbeInfo::Opens(info))), at(0.0));
    app.update(Msg::Probe(ProbeEvent::Watching(vec![watched("eth0")])), at(0.0));
    let mut down = link(5, "eth1", false, "192.168.7.1");
    down.xdp = Some(("native".into(), 77));
    down.driver = Some("ixgbe".into());
    down.speed_mbit = Some(10_000);
    let foreign = |hook, id, name: &str| Foreign { hook, id, name: name.into() };
    down.foreign = vec![
        foreign(ForeignHook::Xdp("native".into()), 77, "drop_all"),
        foreign(ForeignHook::Tc(Direction::Rx), 12, "cil_from_netdev"),
    ];
    let links = |n: u64| {
        let mut eth = link(2, "eth0", true, "10.0.3.1");
        eth.price = "software GRO off".into();
        eth.counters.rx_bytes = n * 10_000_000;
        eth.counters.tx_bytes = n * 27_000_000;
        vec![link(1, "lo", true, "127.0.0.1"), eth, down.clone()]
    };
    app.update(Msg::Probe(ProbeEvent::Links(links(0))), at(0.0));
    app.update(Msg::Probe(ProbeEvent::Links(links(1))), at(1.0));
    app.update(Msg::Tick, at(0.0));
    app
}

/// A dashboard after half a minute.
pub fn busy(size: (u16, u16)) -> Dashboard {
    let mut app = started(&Settings::default(), size);
    for s in 0..30 {
        second(&mut app, s);
    }
    app
}
