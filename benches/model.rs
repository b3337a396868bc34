//! Cost of counting an open, of recording one, and of reading a tick of a machine with many CPUs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/common/fake.rs"]
mod fake;

use std::net::IpAddr;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ebpftop::model::conn::{
    Carried, Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Owner, OwnerFrom, Share, TCP,
    TcpCounts,
};
use ebpftop::model::connections::Connections;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::ledger::{Ledger, Reading, Side, merged};
use ebpftop::model::open::{Comm, OpenBatch, ResolvedKind};
use ebpftop::model::opens::Opens;
use ebpftop::model::past::{PAST_BYTES, Past, Tables};
use ebpftop::model::process::ProcessKey;
use ebpftop::model::time::Mono;
use ebpftop::model::wire::Wire;
use ebpftop::recording::{Head, Seen, Writer};
use fake::{at, meta};

/// `n` opens: `processes` by turns, `files` each by turns.
fn batch(n: usize, processes: usize, files: usize, failing: usize) -> OpenBatch {
    let mut batch = OpenBatch::default();
    for i in 0..n {
        let process = i % processes;
        let file = (i / processes) % files;
        let path = format!("/srv/build/src/module{process}/part/file{file}.c");
        let failed = failing > 0 && i % failing == 0;
        let meta =
            meta(1000 + process as u32, "cc1", at(i as f64 / 1e6), if failed { -2 } else { 5 });
        batch.push(meta, Some(b"file.c"), Some((ResolvedKind::Opened, path.as_bytes())));
    }
    batch
}

fn count(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    for (name, batch) in [
        ("one process, 100 files", batch(2048, 1, 100, 0)),
        ("100 processes, 20 files each", batch(2048, 100, 20, 0)),
        ("100 processes, 20 files each, half fail", batch(2048, 100, 20, 2)),
    ] {
        let mut opens = Opens::default();
        opens.add_batch(&batch, at(1.0));
        group.throughput(Throughput::Elements(batch.len() as u64));
        group.bench_function(name, |b| b.iter(|| opens.add_batch(&batch, at(1.0))));
        // The last minutes are kept, a moment each second of 300,000 opens.
        let mut past = Past::new(Duration::from_secs(1), PAST_BYTES);
        let (mut wire, mut connections) = (Wire::default(), Connections::default());
        let mut n = 0u32;
        group.bench_function(format!("{name}, the past kept"), |b| {
            b.iter(|| {
                if n.is_multiple_of(146) {
                    let now = at(f64::from(n / 146));
                    let (opens, wire) = (&mut opens, &mut wire);
                    let connections = &mut connections;
                    past.tick(&mut Tables { opens, wire, connections }, now, (), now);
                }
                n += 1;
                opens.add_batch(&batch, at(1.0));
            });
        });
        if let Some(oldest) = past.oldest() {
            let seconds = at(f64::from(n / 146)).since(oldest) / 1_000_000_000;
            println!("{} KiB for {seconds} s of it", past.bytes() >> 10);
        }
    }
    // A new process and a new file with each open: tables are full and evict all the time.
    let mut opens = Opens::default();
    let mut next = 0u32;
    group.throughput(Throughput::Elements(2048));
    group.bench_function("all new, tables full", |b| {
        b.iter_batched(
            || {
                let mut batch = OpenBatch::default();
                for _ in 0..2048 {
                    next += 1;
                    let path = format!("/tmp/new/file{next}");
                    let meta = meta(next, "sh", at(f64::from(next) / 1e4), 3);
                    batch.push(meta, Some(path.as_bytes()), None);
                }
                batch
            },
            |batch| opens.add_batch(&batch, at(1.0)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A thousand sockets of a hundred processes, each with ten bytes more than in the tick before.
fn sockets(n: u32) -> ConnectionsBatch {
    let conn = |cookie: u32| {
        let key = ProcessKey { tgid: 1 + cookie % 100, start_boottime_ns: 77 };
        let owner = Owner { key, uid: 0, comm: Comm::new(b"server"), from: OwnerFrom::Accepted };
        let rx_bytes = 10 * u64::from(n);
        let carried = Carried { rx_bytes, rx_packets: n.into(), ..Carried::default() };
        Conn {
            at: at(f64::from(n)),
            since: None,
            cookie: cookie.into(),
            event: ConnEvent::Sample,
            protocol: TCP,
            local: "10.0.0.1:443".parse().unwrap(),
            remote: (IpAddr::from((0x0a01_0000 + cookie).to_be_bytes()), 40_000).into(),
            netns: 1,
            interface: 0,
            state: 1,
            error: 0,
            shares: vec![Share { owner, carried }],
            current: 0,
            left_out: Carried::default(),
            tcp: Some(TcpCounts { carried, queued: 0 }),
            shared: false,
            kernel: false,
            passive: true,
            stream: true,
            unseen: false,
            quality: Default::default(),
        }
    };
    let samples = (0..1_000).map(conn).collect();
    let tick = Some(ConnectionsTick { samples, ..ConnectionsTick::default() });
    ConnectionsBatch { at: at(f64::from(n)), tick, ..ConnectionsBatch::default() }
}

/// A tick of connections that all carried something.
fn connections(c: &mut Criterion) {
    let mut group = c.benchmark_group("connections");
    group.throughput(Throughput::Elements(1_000));
    for keeps in [false, true] {
        let mut past = Past::new(Duration::from_secs(1), PAST_BYTES);
        let (mut opens, mut wire) = (Opens::default(), Wire::default());
        let (mut connections, mut n) = (Connections::default(), 0);
        let mut next = || {
            n += 1;
            (n, sockets(n))
        };
        let name = if keeps { "1,000 active, the past kept" } else { "1,000 active" };
        group.bench_function(name, |b| {
            b.iter_batched(
                &mut next,
                |(n, batch)| {
                    connections.apply(&batch);
                    if keeps {
                        let (opens, wire) = (&mut opens, &mut wire);
                        let connections = &mut connections;
                        let now = at(f64::from(n));
                        past.tick(&mut Tables { opens, wire, connections }, now, (), now);
                    }
                },
                BatchSize::SmallInput,
            );
        });
        if let Some(oldest) = past.oldest() {
            let seconds = at(f64::from(n)).since(oldest) / 1_000_000_000;
            println!("{} KiB for {seconds} s of it", past.bytes() >> 10);
        }
    }
    group.finish();
}

/// Cost of a tick for the reader in one direction of a full table: summing what the CPUs have, and
/// the account. The sizes are those that 128 and 2 possible CPUs get.
fn tick(c: &mut Criterion) {
    let mut group = c.benchmark_group("tick");
    group.sample_size(20);
    for (cpus, entries) in [(2usize, 65_536u32), (128, 11_600)] {
        let values: Vec<u8> =
            (0..cpus as u64).flat_map(|n| [n, n * 60]).flat_map(u64::to_ne_bytes).collect();
        let all = values.repeat(entries as usize);
        let mut ledger = Ledger::default();
        let most = entries as usize * 4 / 3;
        ledger.open(most, most, Mono(0));
        let (mut side, mut at) = (Side::Zero, 0);
        group.throughput(Throughput::Elements(u64::from(entries)));
        group.bench_function(format!("{cpus} CPUs, {entries} sources"), |b| {
            b.iter(|| {
                let mut reading = Reading::default();
                for (n, values) in (0..entries).zip(all.chunks(values.len())) {
                    let sum = merged(values);
                    reading.total = reading.total + sum;
                    reading.sources.push((IpAddr::from(n.to_be_bytes()), sum));
                }
                at += 1_000_000_000;
                side = side.other();
                ledger.fold(side, &reading, Mono(at))
            });
        });
    }
    group.finish();
}

/// Packing and checksums are in it, the disk is not.
fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    for (name, batch) in [
        ("one process, 100 files", batch(2048, 1, 100, 0)),
        ("100 processes, 20 files each", batch(2048, 100, 20, 0)),
    ] {
        let file = std::fs::File::options().write(true).open("/dev/null").unwrap();
        let mut writer = Writer::new(file, &Head::default(), u64::MAX).unwrap();
        let seen = Seen::Probe(ProbeEvent::Opens(batch));
        let mut batches = 0u64;
        group.throughput(Throughput::Elements(2048));
        group.bench_function(name, |b| {
            b.iter(|| {
                batches += 1;
                writer.take(at(1.0), &seen).unwrap();
            });
        });
        let (bytes, opens) = (writer.bytes() as f64, (batches * 2048) as f64);
        println!("{name}: {:.1} bytes an open", bytes / opens);
    }
    group.finish();
}

criterion_group!(benches, count, connections, tick, record);
criterion_main!(benches);
