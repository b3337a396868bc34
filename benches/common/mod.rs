//! Parts that the benches of the opens probe share.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use ebpftop::model::event::{ProbeEnd, ProbeEvent, ProbeInfo};
use ebpftop::probes::{CHANNEL_DEPTH, OpensConfig, opens};

/// The median; it sorts.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// CPU time of this process, ns: the reader's, since the load is a process of its own.
pub fn own_cpu_ns() -> u64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_usec() as u64 * 1_000)
        .sum()
}

/// The probe's counts while the load ran, and the cost of reading them.
#[derive(Default)]
pub struct Read {
    pub seen: u64,
    pub lost: u64,
    pub cpu_ns: u64,
}

/// Runs the load while the probe does.
pub fn with_probe(config: OpensConfig, load: impl FnOnce()) -> Read {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let mut probe = opens::start(config, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::Started(ProbeInfo::Opens(_))) => {}
        other => panic!("cannot start (root?): {other:?}"),
    }
    let reader = std::thread::spawn(move || {
        let mut opens = 0u64;
        while let Some(event) = events.blocking_recv() {
            match event {
                ProbeEvent::Opens(batch) => opens += batch.len() as u64,
                ProbeEvent::Ended(ProbeEnd::Opens(counts)) => return (opens, counts),
                _ => {}
            }
        }
        panic!("ended without counts")
    });
    let cpu = own_cpu_ns();
    load();
    let cpu_ns = own_cpu_ns() - cpu;
    probe.stop();
    let (opens, counts) = reader.join().unwrap();
    probe.join();
    assert_eq!(
        counts.seen,
        opens + counts.lost + counts.skipped,
        "every open is reported or counted as lost"
    );
    Read { seen: counts.seen, lost: counts.lost, cpu_ns }
}
