//! Reads and writes at full speed, with as many threads as cores, and what the probe makes of them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use ebpftop::model::event::{ProbeEvent, ProbeInfo};
use ebpftop::model::file_io::IoCounts;
use ebpftop::probes::CHANNEL_DEPTH;
use ebpftop::probes::io::{self, IoConfig};

use super::opens::in_child;

/// Files of each thread.
const FILES: usize = 40;

/// Counts by each call's own result, and by the probe; and the number of the load's slow calls that were
/// reported or lost.
#[derive(Debug, Default)]
pub struct Run {
    pub done: IoCounts,
    pub counted: IoCounts,
    /// Calls that were timed.
    pub timed: u64,
}

/// Calls of one thread until `end`.
fn calls_until(end: Instant, dir: &std::path::Path, thread: usize) -> IoCounts {
    let open = |n| {
        let path = dir.join(format!("{thread}-{n}"));
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    };
    let mut done = IoCounts::default();
    let mut buffer = [7; 512];
    while Instant::now() < end {
        // Opened again and again: the addresses of struct file are used again.
        for (n, bytes) in (0..FILES).zip([1, 100, 512].into_iter().cycle()) {
            let file = open(n);
            // In a row and in turn, on one file.
            for n in 0..=n % 4 {
                done.written_bytes += file.write_at(&buffer[..bytes], 0).unwrap() as u64;
                done.write_calls += 1;
                if n > 1 {
                    continue;
                }
                done.read_bytes += file.read_at(&mut buffer, 0).unwrap() as u64;
                done.read_calls += 1;
            }
        }
    }
    done
}

/// A process with as many threads as cores, and its calls.
fn load(duration: Duration, dir: &std::path::Path) -> (u32, IoCounts) {
    let report = tempfile::NamedTempFile::new().unwrap();
    let end = Instant::now() + duration;
    // It reads files to know.
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let child = in_child(|| {
        let done = std::thread::scope(|scope| {
            let of = |n| scope.spawn(move || calls_until(end, dir, n));
            let threads: Vec<_> = (0..threads).map(of).collect();
            threads.into_iter().fold(IoCounts::default(), |sum, t| sum + t.join().unwrap())
        });
        std::fs::write(report.path(), serde_json::to_vec(&done).unwrap()).unwrap();
    });
    let report = std::fs::read(report.path()).unwrap();
    let mut done: IoCounts = serde_json::from_slice(&report).unwrap();
    // The report itself is one more write.
    done.written_bytes += report.len() as u64;
    done.write_calls += 1;
    (child, done)
}

/// Runs the load for `duration` in processes of its own, one after the other, while the probe reads each 100 ms.
pub fn full_speed(duration: Duration, slow: Option<Duration>) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let interval = Duration::from_millis(100);
    let mut probe = io::start(IoConfig { interval, slow, ..IoConfig::default() }, sink);
    match events.blocking_recv() {
        Some(ProbeEvent::Started(ProbeInfo::Io(_))) => {}
        other => panic!("cannot start (root?): {other:?}"),
    }
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(event) = events.blocking_recv() {
            if let ProbeEvent::Io(sample) = event {
                let timed = |times: &Option<Box<ebpftop::model::call_times::CallTimes>>| {
                    times.as_ref().map_or(0, |times| times.calls())
                };
                let one = |one: &ebpftop::model::file_io::FileIo| {
                    (one.key.tgid, one.counts, timed(&one.times))
                };
                all.extend(sample.uses.iter().map(one));
                assert!(sample.other.is_none(), "{:?}", sample.other);
            }
        }
        all
    });
    let (mut run, mut children) = (Run::default(), Vec::new());
    let end = Instant::now() + duration;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        // A process that takes longer would be taken for one that hangs.
        let (child, done) = load(left.min(Duration::from_secs(20)), dir.path());
        run.done += done;
        children.push(child);
    }
    probe.stop();
    probe.join();
    for (tgid, counts, timed) in reader.join().unwrap() {
        if children.contains(&tgid) {
            run.counted += counts;
            run.timed += timed;
        }
    }
    run
}
