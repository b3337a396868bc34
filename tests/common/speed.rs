//! Opens at full speed, with as many threads as cores, and what the probe makes of them.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ebpftop::model::event::{ProbeEnd, ProbeEvent, ProbeInfo};
use ebpftop::model::open::OpenCounts;
use ebpftop::probes::{CHANNEL_DEPTH, OpensConfig, opens};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::opens::in_child;
use super::patience::next;

/// Opens, and how many of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub opens: u64,
    pub failed: u64,
}

/// How a run went.
#[derive(Debug, Default)]
pub struct Run {
    /// The opens of the load, as it says itself.
    pub done: Opened,
    /// Its opens that were reported one by one.
    pub reported: Opened,
    /// Its opens that the kernel counted as lost.
    pub lost: Opened,
    /// All opens that were reported.
    pub reported_all: u64,
    /// The probe's counts, of everybody.
    pub counts: OpenCounts,
}

impl Run {
    /// Fails unless every open is accounted for, exactly.
    pub fn assert_exact(&self) {
        let accounted = Opened {
            opens: self.reported.opens + self.lost.opens,
            failed: self.reported.failed + self.lost.failed,
        };
        assert_eq!(accounted, self.done, "{self:?}");
        assert_eq!(self.counts.seen, self.reported_all + self.counts.lost, "{self:?}");
        assert_eq!((self.counts.lost_unowned, self.counts.malformed), (0, 0), "{self:?}");
    }
}

/// Opens until `end`, every fourth time what is not there.
fn opens_until(end: Instant) -> Opened {
    let mut done = Opened::default();
    while Instant::now() < end {
        for path in [c"/etc/hostname", c"/etc/hostname", c"/etc/hostname", c"/no such file"] {
            done.opens += 1;
            done.failed += u64::from(open(path, OFlag::O_RDONLY, Mode::empty()).is_err());
        }
    }
    done
}

/// A process with as many threads as cores that opens for so long, watched.
pub fn full_speed(time: Duration) -> Run {
    let (sink, mut events) = tokio::sync::mpsc::channel(CHANNEL_DEPTH);
    let mut probe = opens::start(OpensConfig::default(), sink);
    match next(&mut events) {
        Some(ProbeEvent::Started(ProbeInfo::Opens(_))) => {}
        other => panic!("the opens probe must start here (this needs root): {other:?}"),
    }
    // The child's pid is known when it has ended, so everybody's opens are counted until then.
    let reader = std::thread::spawn(move || {
        let mut reported = std::collections::HashMap::<u32, Opened>::new();
        let mut lost = std::collections::HashMap::<u32, Opened>::new();
        while let Some(event) = next(&mut events) {
            match event {
                ProbeEvent::Opens(batch) => {
                    for open in batch.iter() {
                        let of = reported.entry(open.meta.tgid).or_default();
                        of.opens += 1;
                        of.failed += u64::from(open.meta.ret < 0);
                    }
                    for l in &batch.lost_by {
                        lost.insert(l.tgid, Opened { opens: l.opens, failed: l.failed });
                    }
                }
                ProbeEvent::Ended(ProbeEnd::Opens(counts)) => return (reported, lost, counts),
                ProbeEvent::Cgroups(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        panic!("the probe ended without a word")
    });
    let cores = std::thread::available_parallelism().unwrap().get();
    let (mut from, mut to) = std::io::pipe().unwrap();
    let child = in_child(|| {
        let end = Instant::now() + time;
        let threads: Vec<_> =
            (0..cores).map(|_| std::thread::spawn(move || opens_until(end))).collect();
        let all = threads.into_iter().map(|t| t.join().unwrap());
        let sum = all.fold(Opened::default(), |a, b| Opened {
            opens: a.opens + b.opens,
            failed: a.failed + b.failed,
        });
        to.write_all(&sum.opens.to_ne_bytes()).unwrap();
        to.write_all(&sum.failed.to_ne_bytes()).unwrap();
    });
    let mut word = || {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes).unwrap();
        u64::from_ne_bytes(bytes)
    };
    let done = Opened { opens: word(), failed: word() };
    probe.stop();
    let (reported, lost, counts) = reader.join().unwrap();
    probe.join();
    Run {
        done,
        reported: reported.get(&child).copied().unwrap_or_default(),
        lost: lost.get(&child).copied().unwrap_or_default(),
        reported_all: reported.values().map(|o| o.opens).sum(),
        counts,
    }
}
