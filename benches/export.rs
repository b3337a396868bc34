//! Cost of `export`: counting an open, a snapshot of all groups, and the text of a scrape.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ebpftop::export::{Counts, Format, PlaceLabels, Places, Seen, Usage};
use ebpftop::model::cgroup::Cgroup;
use ebpftop::model::event::ProbeEvent;
use ebpftop::model::open::{Comm, OpenBatch, OpenMeta};
use ebpftop::model::process::ProcessKey;
use ebpftop::stream::sample;

/// A unit for each cgroup.
struct Units;

impl Places for Units {
    fn named(&mut self, _id: u64) -> Option<&Cgroup> {
        None
    }

    fn cgroup(&mut self, id: u64) -> Option<PlaceLabels> {
        Some(PlaceLabels { unit: format!("unit-{id}.service"), ..PlaceLabels::default() })
    }

    fn process(&mut self, _key: ProcessKey) -> Option<PlaceLabels> {
        None
    }
}

/// `opens` opens of `groups` groups in turn, a third of them failed.
fn batch(groups: u32, opens: u32) -> ProbeEvent {
    let first = *sample::opens().iter().next().unwrap().meta;
    let mut batch = OpenBatch::default();
    for n in 0..opens {
        let group = n % groups;
        let meta = OpenMeta {
            tgid: 1_000 + group,
            cgroup_id: Some(u64::from(group / 4)),
            process: Comm::new(format!("program-{}", group % 4).as_bytes()),
            ret: if n / groups % 3 == 2 { -2 } else { 3 },
            ..first
        };
        batch.push(meta, Some(b"/etc/hosts"), None);
    }
    ProbeEvent::Opens(batch)
}

fn counts(groups: u32) -> Counts {
    let mut counts = Counts::new(groups as usize, &[]).unwrap();
    counts.take(&batch(groups, groups * 3), &mut Units);
    for _ in 0..3 {
        counts.snapshot(Seen::Yes, Usage::default());
    }
    counts
}

fn export(c: &mut Criterion) {
    let mut group = c.benchmark_group("export");
    for groups in [200, 5_000] {
        let mut all = counts(groups);
        group.bench_function(format!("snapshot/{groups}"), |b| {
            b.iter(|| black_box(all.snapshot(Seen::Yes, Usage::default())));
        });
        let samples = all.snapshot(Seen::Yes, Usage::default());
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let text = format.write(&samples);
            println!("{format:?}, {groups} groups: {} bytes", text.len());
            group.bench_function(format!("text/{format:?}/{groups}"), |b| {
                b.iter(|| black_box(format.write(black_box(&samples))));
            });
        }
    }
    group.throughput(Throughput::Elements(2_048));
    for groups in [1, 200] {
        let mut all = counts(groups.max(200));
        group.bench_function(format!("opens/{groups}"), |b| {
            b.iter_batched_ref(
                || batch(groups, 2_048),
                |batch| all.take(batch, &mut Units),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, export);
criterion_main!(benches);
