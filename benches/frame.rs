//! Cost of a frame, a tick and a key with full tables.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/common/fake.rs"]
mod fake;

use criterion::{Criterion, criterion_group, criterion_main};
use ebpftop::app::Msg;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::{OpenBatch, ResolvedKind};
use ebpftop::model::talkers::Direction;
use ebpftop::settings::{ScreenSettings, Settings};
use ebpftop::ui::{Look, draw};
use fake::{at, key, meta, sample};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::Rect;

const MANY: u32 = 10_000;

fn opens(s: f64) -> OpenBatch {
    let mut batch = OpenBatch::default();
    for pid in 0..MANY {
        for file in 0..3 {
            let path = format!("/srv/data/tree{}/leaf{file}/file{}.dat", pid % 500, pid % 97);
            let ret = if (pid + file) % 9 == 0 { -2 } else { 4 };
            batch.push(
                meta(pid + 1, "worker", at(s), ret),
                Some(b"x"),
                Some((ResolvedKind::Opened, path.as_bytes())),
            );
        }
    }
    batch
}

fn full() -> fake::Dashboard {
    let mut app = fake::started(&Settings::default(), (200, 60));
    for s in 0..20 {
        let s = f64::from(s);
        app.update(Msg::Probe(ProbeEvent::Opens(opens(s + 0.5))), at(s + 0.5));
        let sources: Vec<_> = (0..MANY)
            .map(|n| {
                let ip = std::net::IpAddr::from((0x0a00_0000 + n).to_be_bytes());
                let n = u64::from(n);
                (ip, n * 1000 * (s as u64 + 1), n * 1000)
            })
            .collect();
        let samples = vec![
            sample("eth0", Direction::Rx, at(s + 1.0), &sources),
            sample("eth0", Direction::Tx, at(s + 1.0), &sources),
        ];
        app.update(Msg::Probe(ProbeEvent::Talkers(samples)), at(s + 1.0));
        app.update(Msg::Tick, at(s + 1.0));
    }
    app
}

fn frame(c: &mut Criterion) {
    let look = Look::new(&ScreenSettings::default());
    let area = Rect::new(0, 0, 200, 60);
    let mut app = full();
    let mut buf = Buffer::empty(area);
    c.bench_function("frame 200x60, 10000 processes, 10000 sources", |b| {
        b.iter(|| {
            buf.reset();
            draw(&app, &look, area, &mut buf);
        });
    });
    let mut s = 20.0;
    c.bench_function("tick (sort both panes) and frame", |b| {
        b.iter(|| {
            s += 0.01;
            app.update(Msg::Tick, at(s));
            buf.reset();
            draw(&app, &look, area, &mut buf);
        });
    });
    c.bench_function("a key (down) and frame", |b| {
        b.iter(|| {
            app.update(key(KeyCode::Down), at(s));
            buf.reset();
            draw(&app, &look, area, &mut buf);
        });
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
