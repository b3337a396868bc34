//! A recording in several files says what it says in one.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};
use std::path::PathBuf;

use super::output::Output;
use crate::cli::{Cli, Command, RecordArgs};
use crate::clock;
use crate::model::conn::Limits;
use crate::model::connections::Connections;
use crate::model::event::{ProbeEvent, ProbeInfo};
use crate::model::open::OpenCounts;
use crate::model::opens::Opens;
use crate::model::slow_call::SlowCalls;
use crate::model::talkers::{Direction, Traffic};
use crate::model::time::{Mono, NS_PER_SEC};
use crate::model::wire::Wire;
use crate::recording::{Item, Reader, Seen, Totals};
use crate::stream::sample;
use clap::Parser;

const DEMO: &[u8] = include_bytes!("../../assets/demo.ebpftop");

fn args(dir: &std::path::Path, more: &str) -> RecordArgs {
    let words = ["ebpftop", "record", dir.to_str().unwrap()];
    match Cli::parse_from(words.into_iter().chain(more.split_whitespace())).command {
        Some(Command::Record(args)) => *args,
        other => panic!("{other:?}"),
    }
}

/// Everything that comes in the demo, with the losses that it has not.
fn demo() -> Vec<(Mono, Seen)> {
    let mut reader = Reader::new(Cursor::new(DEMO)).unwrap();
    let (mut all, mut batches) = (Vec::new(), 0);
    let slow = |lost| SlowCalls { lost, ..sample::slow() };
    loop {
        match reader.read().unwrap() {
            Item::Seen(at, mut seen) => {
                batches += 1;
                match &mut seen {
                    Seen::Probe(ProbeEvent::Opens(batch)) => batch.counts.lost += batches,
                    Seen::Probe(ProbeEvent::Connections(batch)) => batch.limits.lost += batches,
                    Seen::Probe(ProbeEvent::Processes(events)) => events.lost += batches,
                    Seen::Probe(ProbeEvent::Talkers(samples)) => {
                        samples.iter_mut().for_each(|sample| sample.evicted += batches);
                    }
                    _ => {}
                }
                all.push((at, seen));
                if batches % 8 == 0 {
                    all.push((at, Seen::Probe(ProbeEvent::SlowCalls(slow(batches)))));
                }
            }
            Item::Block(_) => {}
            Item::End(_) => return all,
        }
    }
}

/// The sums of a recording.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    opens: u64,
    failed: u64,
    lost: u64,
    seen: u64,
    /// By interface, direction and address; without an address, all of the interface.
    wire: BTreeMap<String, Traffic>,
    payload: [u64; 4],
    limits: u64,
    /// Addresses that were evicted.
    evicted: u64,
    /// Slow calls with a record, and those without.
    slow: [u64; 2],
    /// Connections that ended and that began.
    turnover: [u64; 2],
    ticks: u64,
    /// The lengths of the intervals between the readings of connections, ns.
    intervals: Vec<u64>,
}

impl Sums {
    fn add(&mut self, o: Self) {
        for (mine, other) in [
            (&mut self.opens, o.opens),
            (&mut self.failed, o.failed),
            (&mut self.lost, o.lost),
            (&mut self.seen, o.seen),
            (&mut self.limits, o.limits),
            (&mut self.evicted, o.evicted),
            (&mut self.ticks, o.ticks),
        ] {
            *mine += other;
        }
        self.intervals.extend(o.intervals);
        for (key, more) in o.wire {
            let sum = self.wire.entry(key).or_default();
            *sum = *sum + more;
        }
        self.payload.iter_mut().zip(o.payload).for_each(|(mine, other)| *mine += other);
        self.slow.iter_mut().zip(o.slow).for_each(|(mine, other)| *mine += other);
        self.turnover.iter_mut().zip(o.turnover).for_each(|(mine, other)| *mine += other);
    }
}

/// Reads a recording alone, by the tables of the dashboard.
fn sums(all: impl IntoIterator<Item = Seen>) -> Sums {
    let mut opens = Opens::default();
    let (mut connections, mut wire) = (Connections::with_changes(), Wire::default());
    let (mut counts, mut before) = (OpenCounts::default(), OpenCounts::default());
    let mut sums = Sums::default();
    let (mut slow_lost, mut slow_before) = (0, 0);
    let mut begins = false;
    for seen in all {
        match seen {
            Seen::Probe(ProbeEvent::Opens(batch)) => {
                opens.add_batch(&batch, Mono(0));
                counts = batch.counts;
            }
            Seen::Probe(ProbeEvent::Started(ProbeInfo::Connections(info))) => {
                connections.start(Mono(0), info.attribution);
            }
            Seen::Probe(ProbeEvent::Connections(batch)) => {
                connections.apply(&batch);
                sums.intervals.extend(batch.tick.is_some().then_some(connections.interval_ns));
            }
            Seen::Probe(ProbeEvent::Talkers(samples)) => {
                samples.iter().for_each(|sample| wire.add_sample(sample));
            }
            Seen::Probe(ProbeEvent::SlowCalls(slow)) => {
                sums.slow[0] += slow.calls.len() as u64;
                slow_lost = slow.lost;
            }
            Seen::Before(known) => {
                // The tick behind it is of the beginning.
                begins = true;
                slow_before = slow_lost;
                (counts, before) = (known.counts(), known.counts());
                opens.begin_after(known);
                wire.begin_after();
            }
            Seen::Tick if !std::mem::take(&mut begins) => sums.ticks += 1,
            _ => {}
        }
    }
    let total = opens.total();
    (sums.opens, sums.failed) = (total.opens, total.failed);
    (sums.lost, sums.seen) = (counts.lost - before.lost, counts.seen - before.seen);
    for port in wire.ports() {
        for (direction, side) in [(Direction::Rx, &port.rx), (Direction::Tx, &port.tx)] {
            sums.wire.insert(format!("{:?} {direction:?}", port.name), side.side.total());
            sums.evicted += side.evicted;
        }
    }
    for (_, talker) in wire.talkers().iter() {
        let name = &wire.ports()[talker.port].name;
        for (direction, side) in [(Direction::Rx, &talker.rx), (Direction::Tx, &talker.tx)] {
            sums.wire.insert(format!("{name:?} {direction:?} {}", talker.ip), side.total());
        }
    }
    sums.slow[1] = slow_lost - slow_before;
    let Limits { lost, .. } = connections.limits;
    sums.limits = lost;
    let pairs = connections
        .pairs()
        .fold([0; 2], |[rx, tx], pair| [rx + pair.total.rx_bytes, tx + pair.total.tx_bytes]);
    let sum = connections.total;
    sums.payload = [sum.rx_bytes, sum.tx_bytes, pairs[0], pairs[1]];
    sums.turnover = [connections.turnover.closed, connections.turnover.begun];
    sums
}

fn read(path: &PathBuf) -> (Vec<Seen>, Mono, Option<Totals>) {
    let mut reader = Reader::new(BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
    let mut all = Vec::new();
    loop {
        match reader.read().unwrap() {
            Item::Seen(_, seen) => all.push(seen),
            Item::Block(_) => {}
            Item::End(totals) => return (all, reader.head().started.mono, Some(totals)),
        }
    }
}

fn files(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Writes the demo into a row of files; the times are of now.
fn rotated(dir: &std::path::Path, more: &str) -> (Sums, Vec<PathBuf>, String) {
    let all = demo();
    let truth = sums(all.iter().map(|(_, seen)| seen.clone()));
    let mut output = Output::begin(&args(dir, more), None).unwrap();
    let (first, now) = (all[0].0, clock::mono());
    let at = |then: Mono| Mono(now.0 + then.since(first));
    let mut last = now;
    for (then, seen) in &all {
        last = at(*then);
        output.take(last, seen).unwrap();
    }
    let (_, words, done) = output.finish(last, 0);
    done.unwrap();
    (truth, files(dir), words)
}

#[test]
fn the_sums_over_the_files_are_those_of_one() {
    let rows = [("64K", 3, 64 << 10), ("5s", 6, u64::MAX), ("100K", 2, 100 << 10)];
    for (rotate, at_least, most) in rows {
        let dir = tempfile::tempdir().unwrap();
        let (truth, files, words) = rotated(dir.path(), &format!("--rotate {rotate}"));
        assert!(truth.slow.iter().all(|n| *n > 10), "{truth:?}");
        assert!(files.len() >= at_least, "{rotate}: {words}");
        assert!(words.starts_with(&format!("{} files, ", files.len())), "{words}");
        let (mut all, mut opens, mut end) = (Sums::default(), 0, None);
        for path in &files {
            let (seen, started, totals) = read(path);
            let totals = totals.unwrap();
            // Each begins where the one before ended.
            assert!(end.is_none_or(|end| end == started), "{rotate}: {end:?} {started:?}");
            end = Some(totals.ended);
            opens += totals.opens;
            let bytes = path.metadata().unwrap().len();
            assert!(bytes <= most, "{rotate}: {bytes}");
            all.add(sums(seen));
        }
        assert_eq!(all, truth, "{rotate}");
        assert!(words.contains(&format!("{opens} opens")), "{words}");
        let names = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(files.iter().all(|path| names(path).starts_with("ebpftop-2")), "{files:?}");
    }
}

#[test]
fn the_oldest_files_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, files, words) = rotated(dir.path(), "--rotate 5s --keep 2");
    assert_eq!(files.len(), 2, "{words}");
    let (seen, started, _) = read(&files[1]);
    // It knows what the removed ones said.
    let probes = seen.iter().filter(|seen| matches!(seen, Seen::Probe(ProbeEvent::Started(_))));
    assert!(probes.count() >= 2, "{seen:?}");
    assert!(seen.iter().any(|s| matches!(s, Seen::Cgroups(names) if !names.is_empty())));
    let (_, before, totals) = read(&files[0]);
    assert_eq!(totals.unwrap().ended, started);
    assert!(started.since(before) >= 5 * NS_PER_SEC);
}
