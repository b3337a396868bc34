//! Cost of a line: an open as JSON, text and CSV, a filter on it, escaping.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ebpftop::cli::{ChooseArgs, Kind};
use ebpftop::model::escape::escape;
use ebpftop::model::filter::Pattern;
use ebpftop::session::Choose;
use ebpftop::settings::Settings;
use ebpftop::stream::{Csv, Json, Lines, OpenLine, Text, sample};

fn formats(c: &mut Criterion) {
    let mut group = c.benchmark_group("line");
    group.throughput(Throughput::Elements(1));
    let batch = sample::opens();
    let formats: [(&str, Box<dyn Lines>); 3] = [
        ("json", Box::new(Json::default())),
        ("text", Box::new(Text::new(false, false))),
        ("csv", Box::new(Csv::new(Kind::Opens))),
    ];
    for (name, mut lines) in formats {
        for (which, open) in ["plain", "hostile"].into_iter().zip(batch.iter()) {
            let line = OpenLine { open, wall: batch.wall, cgroup: None };
            let mut out = Vec::with_capacity(1 << 16);
            group.bench_function(format!("{name}/{which}"), |b| {
                b.iter(|| {
                    out.clear();
                    lines.open(&mut out, black_box(&line));
                    black_box(out.len())
                });
            });
        }
    }
}

fn filters(c: &mut Criterion) {
    let mut group = c.benchmark_group("filter");
    let batch = sample::opens();
    let open = batch.iter().next().unwrap();
    for (name, expr) in [
        ("none", ""),
        ("pid", "pid:1"),
        ("name", "nginx"),
        ("name, path, error", "work path:conf/site !err:any"),
        ("regex", "path:~site\\.conf$"),
    ] {
        let settings = Settings { filter: Some(expr.into()), ..Settings::default() };
        let choose = Choose::new(&settings, &ChooseArgs::default()).unwrap();
        group.bench_function(name, |b| b.iter(|| choose.open(black_box(&open), None)));
    }
    let pattern = Pattern::parse("site").unwrap();
    let path = b"/usr/lib/x86_64-linux-gnu/security/pam_systemd_home.so";
    group.bench_function("substring, absent", |b| b.iter(|| pattern.matches(black_box(path))));
}

fn escapes(c: &mut Criterion) {
    let mut group = c.benchmark_group("escape");
    for (name, bytes) in [
        ("plain", &b"/usr/lib/x86_64-linux-gnu/security/pam_systemd_home.so"[..]),
        ("utf8", "/home/user/Döcuments/Übersicht/Größe/ähnliche Fälle.odt".as_bytes()),
        ("hostile", b"/tmp/\x1b[31m\n\xff\xfe\\ and more of the same \x07\x07"),
    ] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(escape(black_box(bytes))).len()));
    }
}

criterion_group!(benches, formats, filters, escapes);
criterion_main!(benches);
