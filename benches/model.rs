//! What it costs to count an open.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../tests/common/fake.rs"]
mod fake;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ebpftop::model::open::{OpenBatch, ResolvedKind};
use ebpftop::model::opens::Opens;
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
    }
    // Each open a process and a file that nobody has seen: tables full, room made all the time.
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

criterion_group!(benches, count);
criterion_main!(benches);
