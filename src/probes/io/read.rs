//! Takes the names from the ring on a timer, and the counts at the end of each interval.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};
use plain::Plain;

use super::attach::Attached;
use super::decode::Uses;
use super::slow::{self, SlowReader};
use super::{Begin, IoConfig, decode, under_way};
use crate::bpf::io::IoSkel;
use crate::bpf::io::types::{io_counts, io_entry, io_key, io_last_used, io_rest, io_timed_entry};
use crate::clock;
use crate::model::event::ProbeEvent;
use crate::model::file_io::{IoCounts, IoSample};
use crate::model::time::{Mono, Stamp};
use crate::probes::opens::decode::take_name;
use crate::probes::opens::names::Names;
use crate::probes::under_way::Finder;
use crate::probes::{Commands, Sink, grace_period};
use crate::sys::percpu::{self, Batch};
use crate::sys::records::bytes_of;

/// Between drains of the ring of names.
pub(super) const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// Uses of one part of an interval, and the bytes of their paths.
const PART_USES: usize = 8_192;
const PART_BYTES: usize = 1 << 20;
/// `IO_OFF` of io.h.
const OFF: u32 = 2;

/// Reads until it is stopped, then detaches and reads the rest.
pub(super) fn read(
    attached: Attached<'_>,
    config: &IoConfig,
    commands: &Commands<Begin>,
    sink: &Sink,
) -> libbpf_rs::Result<()> {
    let Attached { links, skel, ring, since, under_way: threads, .. } = attached;
    let mut under_way = threads.map(|link| Finder::new(link, under_way::records, config.under_way));
    let names = RefCell::new(Names::default());
    let mut builder = RingBufferBuilder::new();
    builder.add(&ring, |record| {
        // One that cannot be read is no name.
        let _ = take_name(&mut names.borrow_mut(), record);
        0
    })?;
    let ring = builder.build()?;
    let timed = skel.maps.used.value_size() as usize > size_of::<io_entry>();
    let (batch, side) = (Batch::of_io(timed), if config.waits { OFF } else { 0 });
    let slow_records = RefCell::default();
    let slow = timed.then(|| SlowReader::new(&skel, &slow_records)).transpose()?;
    let mut reader = Reader { skel, ring, names: &names, slow, side, since, batch, sink };
    let mut next = Instant::now() + config.interval;
    loop {
        if !reader.drain()? {
            return Ok(());
        }
        if Instant::now() >= next {
            if reader.side != OFF && !reader.tick()? {
                return Ok(());
            }
            // Ticks that were missed are one tick: the schedule stays as it was set.
            while next <= Instant::now() {
                next += config.interval;
            }
        }
        if let Some(found) = under_way.as_mut().and_then(Finder::find)
            && sink.blocking_send(ProbeEvent::FileCallsUnderWay(found)).is_err()
        {
            return Ok(());
        }
        let wait = DRAIN_EVERY.min(next.saturating_duration_since(Instant::now()));
        match commands.recv_timeout(wait) {
            Ok(Begin { began }) => {
                let at = reader.switch_to(0);
                next = Instant::now() + config.interval;
                // An error: the run has ended.
                let _ = began.send(at);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    drop((links, under_way));
    reader.finish().map(drop)
}

/// The sum of [`io_rest`] over the CPUs.
#[derive(Default)]
struct Rest {
    other: IoCounts,
    unknown: IoCounts,
    slow: u64,
    untimed: u64,
    uncounted: u64,
}

struct Reader<'a, 'obj> {
    skel: IoSkel<'obj>,
    ring: RingBuffer<'a>,
    names: &'a RefCell<Names>,
    /// The slow calls, where calls are timed.
    slow: Option<SlowReader<'a>>,
    /// The side that programs count on.
    side: u32,
    /// When they began to.
    since: Mono,
    batch: Batch,
    sink: &'a Sink,
}

impl Reader<'_, '_> {
    /// Takes the names that are there, and sends the slow calls; false where the receiver has gone.
    fn drain(&mut self) -> libbpf_rs::Result<bool> {
        let Some(slow) = &mut self.slow else {
            self.ring.consume()?;
            return Ok(true);
        };
        // As many as the ring holds: those that come meanwhile must not hold up the interval's end.
        for _ in 0..slow::BATCHES {
            let taken = slow.consume()?;
            self.ring.consume()?;
            if !slow.send(&self.skel, &self.names.borrow(), self.sink)? {
                return Ok(false);
            }
            if taken < slow::BATCH_RECORDS {
                break;
            }
        }
        Ok(true)
    }

    /// Lets programs count on another side from now on; none counts on the former one any more when this
    /// returns. The moment at which it was done.
    fn switch_to(&mut self, side: u32) -> Mono {
        if let Some(bss) = self.skel.maps.data_data.as_deref_mut() {
            bss.side = side;
        }
        let at = clock::mono();
        grace_period();
        (self.side, self.since) = (side, at);
        at
    }

    /// Ends the interval; false where the receiver has gone.
    fn tick(&mut self) -> libbpf_rs::Result<bool> {
        let (side, since) = (self.side, self.since);
        let at = self.switch_to(1 - side);
        self.send(side, since, at)
    }

    fn finish(mut self) -> libbpf_rs::Result<bool> {
        let (side, since) = (self.side, self.since);
        // Also of a program that was running when its link went.
        let at = self.switch_to(OFF);
        if side == OFF { Ok(true) } else { self.send(side, since, at) }
    }

    /// Sends the counts of a side that no program counts on.
    fn send(&mut self, side: u32, since: Mono, at: Mono) -> libbpf_rs::Result<bool> {
        // Names stand in the ring before their entries are complete.
        if !self.drain()? {
            return Ok(false);
        }
        let mut last = self.take_last(side)?;
        let uses = self.take_entries(side, &mut last).map_err(libbpf_rs::Error::from)?;
        let uses = uses.into_sorted();
        let mut rest = self.take_rest(side)?;
        // None: a record's entry is there as long as the record.
        last.values().for_each(|counts| rest.other += decode::counts(counts));
        if let (Some(epoch), Some(bss)) =
            (self.names.borrow_mut().turn(), self.skel.maps.bss_data.as_deref_mut())
        {
            bss.epoch = epoch;
        }
        let stamp = Stamp { mono: at, wall: clock::wall_offset() };
        let part = |uses, more| IoSample {
            at: stamp,
            interval_ns: at.since(since),
            uses,
            more,
            ..IoSample::default()
        };
        let (mut some, mut bytes) = (Vec::new(), 0);
        for one in uses {
            let path = one.place.as_ref().map_or(0, |place| place.path.len());
            if some.len() >= PART_USES || bytes + path > PART_BYTES {
                let sample = part(std::mem::take(&mut some), true);
                bytes = 0;
                if self.sink.blocking_send(ProbeEvent::Io(sample)).is_err() {
                    return Ok(false);
                }
            }
            bytes += path;
            some.push(one);
        }
        let last = IoSample {
            other: rest.other,
            other_slow: rest.slow,
            untimed: rest.untimed,
            uncounted: rest.uncounted,
            unknown: rest.unknown,
            ..part(some, false)
        };
        Ok(self.sink.blocking_send(ProbeEvent::Io(last)).is_ok())
    }

    /// Takes what the CPUs counted of their last uses on a side, by the bytes of the key.
    fn take_last(&self, side: u32) -> libbpf_rs::Result<HashMap<Vec<u8>, io_counts>> {
        let mut last = HashMap::<Vec<u8>, io_counts>::new();
        take_percpu(&self.skel.maps.last_used, side, |used: &io_last_used| {
            for (record, writes) in used.by.iter().zip([false, true]) {
                if record.calls > 0 {
                    let sum = last.entry(bytes_of(&record.key).to_vec()).or_default();
                    decode::add(sum, &decode::of_last(record, writes));
                }
            }
        })?;
        Ok(last)
    }

    /// Takes the entries of a side out of the table, and adds to each what is in `last` of it.
    fn take_entries(
        &mut self,
        side: u32,
        last: &mut HashMap<Vec<u8>, io_counts>,
    ) -> std::io::Result<Uses> {
        let map = self.skel.maps.used.as_fd();
        let names = self.names.borrow();
        let (mut uses, mut keys) = (Uses::default(), Vec::new());
        self.batch.read(map, |key, value| {
            let (mut id, mut counted) = (io_key::default(), io_entry::default());
            let mut timed = io_timed_entry::default();
            if plain::copy_from_bytes(&mut id, key).is_ok()
                && plain::copy_from_bytes(&mut counted, value).is_ok()
                && id.side == side
            {
                // Too short where calls are not timed.
                let has_times = plain::copy_from_bytes(&mut timed, value).is_ok();
                let times = has_times.then_some(&timed.times);
                if let Some(more) = last.remove(key) {
                    decode::add(&mut counted.counts, &more);
                }
                uses.add(&id, &counted, times, &names);
                keys.extend_from_slice(key);
            }
        })?;
        percpu::delete_io(map, &keys)?;
        Ok(uses)
    }

    /// Takes what has no entry on a side: for lack of room, and of unknown files.
    fn take_rest(&self, side: u32) -> libbpf_rs::Result<Rest> {
        let mut sum = Rest::default();
        take_percpu(&self.skel.maps.rest, side, |rest: &io_rest| {
            sum.other += decode::counts(&rest.other);
            sum.unknown += decode::counts(&rest.unknown);
            sum.slow = sum.slow.saturating_add(rest.slow);
            sum.untimed = sum.untimed.saturating_add(rest.untimed);
            sum.uncounted = sum.uncounted.saturating_add(rest.uncounted);
        })?;
        Ok(sum)
    }
}

/// Calls `each` with every CPU's value of a side that no program counts on, and clears them.
fn take_percpu<T: Plain + Default>(
    map: &impl MapCore,
    side: u32,
    mut each: impl FnMut(&T),
) -> libbpf_rs::Result<()> {
    let values = map.lookup_percpu(&side.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    let mut one = T::default();
    for value in &values {
        if plain::copy_from_bytes(&mut one, value).is_ok() {
            each(&one);
        }
    }
    let zero = vec![bytes_of(&T::default()).to_vec(); values.len()];
    map.update_percpu(&side.to_ne_bytes(), &zero, MapFlags::ANY)
}
