//! Empties the ring on a timer and passes the records on.
//!
//! The program writes without waking the reader: a wake-up for each event is what makes the
//! peers slow. While the reader of the channel is slow this waits, the ring fills, and what
//! does not fit is counted by the program that could not write it.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};

use super::Begin;
use super::attach::Attached;
use super::compat::Compat;
use super::decode::Decoder;
use super::under_way;
use crate::bpf::opens::OpensSkel;
use crate::bpf::opens::types::{lost_opens, open_counts, process_key};
use crate::clock;
use crate::model::event::{Only, ProbeEvent};
use crate::model::event_log::Logged as _;
use crate::model::file_change::FileChanges;
use crate::model::open::{Comm, Ended, LostOpens, OpenBatch, OpenCounts, Syscall};
use crate::model::process_event::ProcessEvents;
use crate::model::time::{Mono, WallOffset};
use crate::probes::cgroups::made::Made;
use crate::probes::under_way::Finder;
use crate::probes::{Commands, Sink, grace_period};
use crate::sys::mapped::Mapped;
use crate::sys::misses;
use crate::sys::records::bytes_of;

/// How far ahead a window begins, so that programs know it before it does: a grace period on a busy
/// machine takes some tens of milliseconds.
const LEAD_NS: u64 = 50_000_000;

/// Between drains. At 16 MiB the ring holds 100 ms of the fastest that two cores can open.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

/// Records in one batch: bounds the memory that waits in the channel to about 0.5 MiB a batch.
const BATCH_RECORDS: usize = 2_048;

/// Starts of programs and ends of processes in one message: 1.1 MiB with the longest arguments.
const MOST_PROCESSES: usize = 256;

/// Bytes of the changes of files in one message; one of them may be beyond.
const MOST_CHANGES_BYTES: usize = 512 << 10;

/// Ended processes that are remembered until then.
const MOST_GONE: usize = 8_192;

/// Least time between two readings of the losses by process: up to 8,192 look-ups, at a time when
/// the ring is full already.
const LOST_EVERY: Duration = Duration::from_millis(250);

/// Drains until it is to stop, then detaches and drains the rest.
pub(super) fn drain(
    attached: Attached<'_>,
    made: Option<Made>,
    only: Only,
    commands: &Commands<Begin>,
    sink: &Sink,
) -> libbpf_rs::Result<OpenCounts> {
    let Attached { links, skel, rings, counts, compat, under_way, info } = attached;
    let decoder = RefCell::new(Decoder::default());
    let rings = rings
        .iter()
        .map(|ring| {
            let mut builder = RingBufferBuilder::new();
            builder.add(ring, |record| {
                decoder.borrow_mut().take_in(record);
                // Anything else would end the whole consume.
                0
            })?;
            builder.build()
        })
        .collect::<libbpf_rs::Result<Vec<_>>>()?;
    let mut drain = Drain {
        skel,
        rings,
        counts,
        decoder: &decoder,
        compat,
        under_way: under_way.map(|link| Finder::new(link, under_way::records, only)),
        reports_processes: info.processes,
        made,
        reported: Reported::default(),
        missed: 0,
        missed_before: 0,
        missed_processes: 0,
        missed_processes_before: 0,
        processes_lost: 0,
        changes: ChangeCounts::default(),
        changes_missed_before: 0,
        asked: Instant::now(),
        is_over: false,
        gone: Vec::new(),
        sink,
    };
    loop {
        // Between batches: under a load that is more than is taken the rings are never empty.
        let rest = match drain.take_some(false)? {
            Taken::All => DRAIN_EVERY,
            Taken::Some => Duration::ZERO,
            Taken::ReceiverGone => return Ok(OpenCounts::default()),
        };
        match commands.recv_timeout(rest) {
            Ok(begin) => drain.begin(begin),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    drain.end();
    drop(links);
    drain.compat = None;
    // A program that was running when its link went has written its record after this.
    grace_period();
    while matches!(drain.take_some(true)?, Taken::Some) {}
    Ok(drain.counts())
}

/// How much of the rings a turn took.
enum Taken {
    All,
    /// There is more.
    Some,
    ReceiverGone,
}

struct Drain<'a, 'obj> {
    skel: OpensSkel<'obj>,
    rings: Vec<RingBuffer<'a>>,
    counts: Mapped<open_counts>,
    decoder: &'a RefCell<Decoder>,
    compat: Option<Compat>,
    /// With latencies.
    under_way: Option<Finder<Syscall>>,
    reports_processes: bool,
    made: Option<Made>,
    reported: Reported,
    /// Opens at which the kernel did not run the program, when that was last asked.
    missed: u64,
    /// Misses before the window.
    missed_before: u64,
    /// Starts and ends of processes at which the kernel did not run the programs.
    missed_processes: u64,
    /// Those before the window.
    missed_processes_before: u64,
    /// Lost starts and ends of processes, these included.
    processes_lost: u64,
    /// Changes of files so far.
    changes: ChangeCounts,
    /// Changes before the window at which the kernel did not run the program.
    changes_missed_before: u64,
    asked: Instant,
    /// The window is closed: later misses do not count.
    is_over: bool,
    /// Processes that have ended since it was last read whose opens were lost.
    gone: Vec<Ended>,
    sink: &'a Sink,
}

impl Drain<'_, '_> {
    /// Opens the window, and reports since when it is open. Programs compare the time of a return
    /// with it, so their counts are exact once they know it before it comes.
    fn begin(&mut self, begin: Begin) {
        self.ask_for_misses(true);
        self.missed_before = self.missed;
        self.missed_processes_before = self.missed_processes;
        self.changes_missed_before = self.changes.missed;
        let from = loop {
            let from = Mono(clock::mono().0.saturating_add(LEAD_NS));
            let until = begin.duration.map_or(u64::MAX, |d| {
                from.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
            });
            if let Some(data) = self.skel.maps.data_data.as_deref_mut() {
                data.until_ns = until;
            }
            if let Some(bss) = self.skel.maps.bss_data.as_deref_mut() {
                bss.from_ns = from.0;
            }
            // A program that runs after this reads what was written.
            grace_period();
            if clock::mono() < from {
                break from;
            }
        };
        // An error: the run has ended.
        let _ = begin.began.send(from);
    }

    /// Closes the window: calls that return while the links are dropped, some tens of milliseconds each,
    /// are no part of the run, and would fill the rings, which are not drained meanwhile.
    fn end(&mut self) {
        if let Some(data) = self.skel.maps.data_data.as_deref_mut() {
            data.until_ns = data.until_ns.min(clock::mono().0);
        }
        self.ask_for_misses(true);
        self.is_over = true;
        grace_period();
    }

    /// Sends a batch of what the rings hold.
    fn take_some(&mut self, last: bool) -> libbpf_rs::Result<Taken> {
        let each = (BATCH_RECORDS / self.rings.len().max(1)).max(64);
        let mut taken = Taken::All;
        for ring in &self.rings {
            let read = ring.consume_raw_n(each);
            if read < 0 {
                return Err(libbpf_rs::Error::from_raw_os_error(-read));
            }
            if usize::try_from(read).unwrap_or(0) >= each {
                taken = Taken::Some;
            }
        }
        let batch = self.take_batch(last)?;
        // After the opens: a cgroup was made before the first open in it.
        if let Some(made) = self.made.as_ref().and_then(Made::take)
            && self.sink.blocking_send(ProbeEvent::Cgroups(made)).is_err()
        {
            return Ok(Taken::ReceiverGone);
        }
        if !self.send_processes(batch.wall)? || !self.send_changes(batch.wall, last) {
            return Ok(Taken::ReceiverGone);
        }
        if let Some(found) = self.under_way.as_mut().and_then(Finder::find)
            && self.sink.blocking_send(ProbeEvent::OpensUnderWay(found)).is_err()
        {
            return Ok(Taken::ReceiverGone);
        }
        if self.reported.is_news(&batch)
            && self.sink.blocking_send(ProbeEvent::Opens(batch)).is_err()
        {
            taken = Taken::ReceiverGone;
        }
        Ok(taken)
    }

    /// Sends starts of programs and ends of processes; false where the receiver has gone.
    fn send_processes(&mut self, wall: WallOffset) -> libbpf_rs::Result<bool> {
        let mut events = std::mem::take(&mut self.decoder.borrow_mut().processes);
        if events.is_empty() && self.processes_lost == self.reported.processes_lost {
            return Ok(true);
        }
        self.reported.processes_lost = self.processes_lost;
        events.sort_by_key(|event| event.at);
        let mut rest = events.into_iter();
        loop {
            let events = rest.by_ref().take(MOST_PROCESSES).collect();
            let part = ProcessEvents { events, lost: self.processes_lost, wall };
            if self.sink.blocking_send(ProbeEvent::Processes(part)).is_err() {
                return Ok(false);
            }
            if rest.len() == 0 {
                return Ok(true);
            }
        }
    }

    /// Sends changes of files; false where the receiver has gone.
    fn send_changes(&mut self, wall: WallOffset, last: bool) -> bool {
        let mut events = std::mem::take(&mut self.decoder.borrow_mut().changes);
        let counts = self.changes;
        // Those that are not selected are no news of their own.
        let is_news = counts.lost != self.reported.changes_lost || (last && counts.seen > 0);
        if events.is_empty() && !is_news {
            return true;
        }
        self.reported.changes_lost = counts.lost;
        events.sort_by_key(|event| event.at);
        let mut rest = events.into_iter().peekable();
        loop {
            let mut part =
                FileChanges { events: Vec::new(), seen: counts.seen, lost: counts.lost, wall };
            let mut bytes = 0;
            while bytes < MOST_CHANGES_BYTES
                && let Some(event) = rest.next()
            {
                bytes += event.bytes();
                part.events.push(event);
            }
            if self.sink.blocking_send(ProbeEvent::Files(part)).is_err() {
                return false;
            }
            if rest.peek().is_none() {
                return true;
            }
        }
    }

    /// The opens since the last call, in the order of time, and the counts.
    fn take_batch(&mut self, last: bool) -> libbpf_rs::Result<OpenBatch> {
        self.ask_for_misses(last);
        let counts = self.counts();
        let mut decoder = self.decoder.borrow_mut();
        if let (Some(epoch), Some(bss)) =
            (decoder.names.turn(), self.skel.maps.bss_data.as_deref_mut())
        {
            bss.epoch = epoch;
        }
        let came = std::mem::take(&mut decoder.compat_came);
        if let Some(Err(e)) = self.compat.as_mut().map(|c| c.follow(&self.skel, came)) {
            tracing::warn!("32-bit tasks are not watched any more: {e}");
            self.compat = None;
        }
        let mut batch = std::mem::take(&mut decoder.batch);
        batch.sort_by_time();
        batch.wall = clock::wall_offset();
        batch.counts = counts;
        batch.compat = self.compat.as_ref().is_some_and(Compat::watches);
        if counts.lost > 0 {
            let room = MOST_GONE.saturating_sub(self.gone.len());
            self.gone.extend(batch.ended.iter().take(room));
        }
        if self.reported.lost_is_due(&counts, last) {
            batch.lost_by = read_lost(&self.skel.maps.lost)?;
            self.forget_gone();
        }
        Ok(batch)
    }

    /// Removes processes that have ended: they lose no more, and their losses are reported.
    fn forget_gone(&mut self) {
        for ended in self.gone.drain(..) {
            let key = process_key {
                tgid: ended.tgid,
                start_boottime_ns: ended.start_boottime_ns,
                ..process_key::default()
            };
            // Most have lost nothing and are not there.
            let _ = self.skel.maps.lost.delete(bytes_of(&key));
        }
    }

    /// The counts so far. Opens at which the kernel did not run the program are lost ones too.
    fn counts(&mut self) -> OpenCounts {
        let (mut counts, processes_lost, changes) = sums(self.counts.entries());
        let missed = self.changes.missed.saturating_sub(self.changes_missed_before);
        self.changes.seen = changes.seen + missed;
        self.changes.lost = changes.lost + missed + self.decoder.borrow().malformed_changes;
        self.processes_lost =
            processes_lost + self.missed_processes.saturating_sub(self.missed_processes_before);
        counts.malformed = self.decoder.borrow().malformed;
        let missed = self.missed.saturating_sub(self.missed_before);
        counts.seen += missed;
        counts.lost += missed;
        counts.lost_unowned += missed;
        counts
    }

    /// Asks, not more often than every [`LOST_EVERY`], how many opens the programs were not run for.
    fn ask_for_misses(&mut self, last: bool) {
        if !self.is_over && (last || self.asked.elapsed() >= LOST_EVERY) {
            self.asked = Instant::now();
            let progs = &self.skel.progs;
            // The raw sys_exit program is left out: most that it misses is no open.
            let programs = [&progs.open_exit, &progs.open_exit_516, &progs.compat_return];
            self.missed =
                programs.into_iter().filter(|p| p.autoload()).filter_map(misses::of).sum();
            let programs = [&progs.change_exit, &progs.change_exit_516];
            self.changes.missed =
                programs.into_iter().filter(|p| p.autoload()).filter_map(misses::of).sum();
            if !self.reports_processes {
                return;
            }
            let programs = [&progs.process_exec, &progs.process_exec_516, &progs.process_exit];
            self.missed_processes =
                programs.into_iter().filter(|p| p.autoload()).filter_map(misses::of).sum();
        }
    }
}

/// The values reported last.
#[derive(Debug, Default)]
struct Reported {
    lost: u64,
    lost_at: Option<Instant>,
    malformed: u64,
    unowned: u64,
    processes_lost: u64,
    changes_lost: u64,
    compat: bool,
}

/// Changes of files since the probe counts.
#[derive(Clone, Copy, Debug, Default)]
struct ChangeCounts {
    seen: u64,
    lost: u64,
    /// Changes at which the kernel did not run the program, before the window too.
    missed: u64,
}

impl Reported {
    /// Whether the losses by process are to be reported.
    fn lost_is_due(&mut self, counts: &OpenCounts, last: bool) -> bool {
        let early = self.lost_at.is_some_and(|at| at.elapsed() < LOST_EVERY);
        if counts.lost == self.lost || (early && !last) {
            return false;
        }
        self.lost = counts.lost;
        self.lost_at = Some(Instant::now());
        true
    }

    /// Whether the batch says anything new.
    fn is_news(&mut self, batch: &OpenBatch) -> bool {
        let malformed = std::mem::replace(&mut self.malformed, batch.counts.malformed);
        let compat = std::mem::replace(&mut self.compat, batch.compat);
        let unowned = std::mem::replace(&mut self.unowned, batch.counts.lost_unowned);
        !batch.is_empty()
            || !batch.ended.is_empty()
            || !batch.lost_by.is_empty()
            || malformed != batch.counts.malformed
            || compat != batch.compat
            || unowned != batch.counts.lost_unowned
    }
}

/// The sums over the CPUs: of opens, of lost starts and ends of processes, and of changes of files.
fn sums(cpus: impl Iterator<Item = open_counts>) -> (OpenCounts, u64, ChangeCounts) {
    let mut processes_lost = 0;
    let mut changes = ChangeCounts::default();
    let mut sum = OpenCounts::default();
    for counts in cpus {
        sum.seen += counts.seen;
        sum.own += counts.own;
        sum.skipped += counts.skipped;
        sum.lost += counts.lost;
        sum.lost_unowned += counts.lost_unowned;
        sum.unfinished = sum.unfinished.wrapping_add(counts.unfinished);
        sum.unnamed += counts.unnamed;
        processes_lost += counts.processes_lost;
        changes.seen += counts.changes_seen;
        changes.lost += counts.changes_lost;
    }
    (sum, processes_lost, changes)
}

/// The processes whose opens were lost, with their numbers.
fn read_lost(map: &impl MapCore) -> libbpf_rs::Result<Vec<LostOpens>> {
    let mut all = Vec::new();
    for key in map.keys() {
        let Some(value) = map.lookup(&key, MapFlags::ANY)? else { continue };
        let (mut who, mut count) = (process_key::default(), lost_opens::default());
        if plain::copy_from_bytes(&mut who, &key).is_ok()
            && plain::copy_from_bytes(&mut count, &value).is_ok()
        {
            all.push(LostOpens {
                tgid: who.tgid,
                start_boottime_ns: who.start_boottime_ns,
                uid: count.uid,
                process: Comm(count.process),
                opens: count.opens,
                failed: count.failed,
            });
        }
    }
    Ok(all)
}
