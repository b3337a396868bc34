//! Empties the ring on a timer, and on each tick reads what the living sockets have carried.

use std::cell::RefCell;
use std::io::Read;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libbpf_rs::{Iter, Link, MapHandle, ProgramInput, RingBuffer, RingBufferBuilder};

use super::attach::Attached;
use super::decode;
use super::flows::Flows;
use crate::bpf::owners::OwnersSkel;
use crate::bpf::owners::types::holder;
use crate::model::conn::{Conn, OwnersBatch, OwnersTick};
use crate::model::event::{OwnersInfo, ProbeEvent, ProbeInfo};
use crate::model::owners::MAX_CONNS;
use crate::probes::{Commands, Sink, clock, grace_period};
use crate::sys::misses;

/// Between drains. The ring holds 38,000 records: 380,000 connections a second, told at both ends.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// Records in one batch, about 200 bytes each, of two events at most.
const BATCH_RECORDS: usize = 1_024;
/// Sockets, and others who hold one, that one look tells of: what the model follows.
const MOST: usize = MAX_CONNS;
/// As `enum walk_over` in `owners.h`.
const WALK_BEGUN: u32 = 0;
const WALK_SOCKETS: u32 = 1;
const WALK_FLOWS: u32 = 2;
/// What one read of an iterator takes: as much as the kernel's own buffer.
const READ_BYTES: usize = 32 << 10;

/// Finds what is there, says that it has started, and reads until told to stop; then it detaches
/// and reads what is left.
pub(super) fn read(
    attached: Attached<'_>,
    info: OwnersInfo,
    interval: Duration,
    stopped: &Commands,
    sink: &Sink,
) -> libbpf_rs::Result<()> {
    let Attached { links, holders, mut skel } = attached;
    // Sockets that are older than the programs get a state, and who holds them.
    set(&mut skel, |bss| bss.seeding = true);
    each_holder(holders.as_ref(), |_| {})?;
    set(&mut skel, |bss| bss.seeding = false);
    if sink.blocking_send(ProbeEvent::Started(ProbeInfo::Connections(info))).is_err() {
        return Ok(());
    }
    let (events, walked) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let (conns, found) =
        (MapHandle::try_from(&skel.maps.conns)?, MapHandle::try_from(&skel.maps.walked)?);
    let mut builder = RingBufferBuilder::new();
    builder.add(&conns, |record| {
        events.borrow_mut().extend(decode::events(record));
        0
    })?;
    let ring = builder.build()?;
    let mut builder = RingBufferBuilder::new();
    builder.add(&found, |record| {
        walked.borrow_mut().extend_from_slice(record);
        0
    })?;
    let walk = Walk { ring: builder.build()?, found: &walked };
    let mut reader = Reader {
        skel,
        ring,
        events: &events,
        walk,
        holders,
        flows: Flows::default(),
        lost: 0,
        missed: 0,
        sink,
    };
    let mut next = Instant::now() + interval;
    loop {
        if !reader.drain()? {
            return Ok(());
        }
        if Instant::now() >= next {
            if !reader.tick(false)? {
                return Ok(());
            }
            // Ticks that were missed are one tick: the schedule stays as it was set.
            while next <= Instant::now() {
                next += interval;
            }
        }
        let wait = DRAIN_EVERY.min(next.saturating_duration_since(Instant::now()));
        match stopped.recv_timeout(wait) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(links);
    // A program that was running when its link went has written its record after this.
    grace_period();
    let _ = reader.drain()? && reader.tick(true)?;
    Ok(())
}

fn set(skel: &mut OwnersSkel<'_>, change: impl FnOnce(&mut crate::bpf::owners::types::bss)) {
    if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
        change(bss);
    }
}

/// Runs the iterator over open files to its end, and hands over its records.
fn each_holder(link: Option<&Link>, mut take: impl FnMut(&[u8])) -> libbpf_rs::Result<()> {
    const BYTES: usize = size_of::<holder>();
    let Some(link) = link else { return Ok(()) };
    let mut iter = Iter::new(link)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut have = 0;
    loop {
        let room = buffer.get_mut(have..).unwrap_or_default();
        let read = match iter.read(room) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => continue,
            Err(e) => return Err(e.into()),
        };
        have += read;
        let whole = have - have % BYTES;
        buffer.get(..whole).unwrap_or_default().chunks_exact(BYTES).for_each(&mut take);
        buffer.copy_within(whole..have, 0);
        have -= whole;
    }
}

/// The ring that walks write into, and what was read from it.
struct Walk<'a> {
    ring: RingBuffer<'a>,
    found: &'a RefCell<Vec<u8>>,
}

impl Walk<'_> {
    /// Walks over a table to its end, and hands over the records, `bytes` each.
    fn run(
        &self,
        skel: &mut OwnersSkel<'_>,
        over: u32,
        bytes: usize,
        mut take: impl FnMut(&[u8]),
    ) -> libbpf_rs::Result<()> {
        set(skel, |bss| {
            bss.walk_over = over;
            bss.walk_next = 0;
        });
        loop {
            let programs = [&skel.progs.walk, &skel.progs.walk_raw];
            let Some(program) = programs.into_iter().find(|p| p.autoload()) else { return Ok(()) };
            program.test_run(ProgramInput::default())?;
            self.ring.consume()?;
            let mut found = self.found.borrow_mut();
            found.chunks_exact(bytes).for_each(&mut take);
            found.clear();
            if !skel.maps.bss_data.as_deref().is_some_and(|bss| bss.walk_more) {
                return Ok(());
            }
        }
    }
}

struct Reader<'a, 'obj> {
    ring: RingBuffer<'a>,
    skel: OwnersSkel<'obj>,
    events: &'a RefCell<Vec<Conn>>,
    walk: Walk<'a>,
    holders: Option<Link>,
    flows: Flows,
    /// Events that were lost, as told last.
    lost: u64,
    /// Changes of TCP's state for which the kernel did not run the program, as of the last tick.
    missed: u64,
    sink: &'a Sink,
}

impl Reader<'_, '_> {
    /// Sends all that happened; false when nobody listens any more.
    fn drain(&mut self) -> libbpf_rs::Result<bool> {
        if self.skel.maps.bss_data.as_deref().is_some_and(|bss| bss.some_begun) {
            set(&mut self.skel, |bss| bss.some_begun = false);
            // They come through the ring of events.
            self.walk.run(&mut self.skel, WALK_BEGUN, 1, |_| {})?;
        }
        loop {
            let read = self.ring.consume_raw_n(BATCH_RECORDS);
            if read < 0 {
                return Err(libbpf_rs::Error::from_raw_os_error(-read));
            }
            let mut events = std::mem::take(&mut *self.events.borrow_mut());
            // An end may tell of a beginning that was before what stands in front of it.
            events.sort_by_cached_key(|event| event.at);
            let some = !events.is_empty();
            if some && !self.send(events, None) {
                return Ok(false);
            }
            if usize::try_from(read).unwrap_or(0) < BATCH_RECORDS {
                return Ok(true);
            }
        }
    }

    /// Reads what lives. After a loss all of it, so that what ended unseen is missed.
    fn tick(&mut self, last: bool) -> libbpf_rs::Result<bool> {
        let progs = &self.skel.progs;
        let changes = [&progs.tcp_state, &progs.tcp_state_raw];
        self.missed = changes.into_iter().filter(|p| p.autoload()).filter_map(misses::of).sum();
        let lost = self.lost_events();
        let complete = last || lost != self.lost;
        self.lost = lost;
        set(&mut self.skel, |bss| {
            bss.walk_everything = complete;
            bss.holders_run += 1;
        });
        // Without a walk nothing is known to be missing.
        let complete = complete && self.has_walk();
        let mut tick = OwnersTick { complete, ..OwnersTick::default() };
        self.walk.run(&mut self.skel, WALK_SOCKETS, decode::CONN_BYTES, |record| {
            if tick.samples.len() < MOST {
                tick.samples.extend(decode::sample(record));
            } else {
                tick.complete = false;
                tick.left_out += 1;
            }
        })?;
        each_holder(self.holders.as_ref(), |record| {
            if tick.holders.len() < MOST {
                tick.holders.extend(decode::held(record));
            }
        })?;
        let flows = &mut self.flows;
        self.walk.run(&mut self.skel, WALK_FLOWS, decode::FLOW_BYTES, |record| {
            tick.flows.extend(flows.report(record));
        })?;
        flows.end_tick(&self.skel.maps.flows)?;
        Ok(self.send(Vec::new(), Some(tick)))
    }

    /// Events that found no room in the ring, or for which the kernel did not run the program.
    fn lost_events(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost) + self.missed
    }

    fn has_walk(&self) -> bool {
        self.skel.progs.walk.autoload() || self.skel.progs.walk_raw.autoload()
    }

    fn send(&self, events: Vec<Conn>, tick: Option<OwnersTick>) -> bool {
        let now = clock::now();
        let bss = self.skel.maps.bss_data.as_deref();
        let batch = OwnersBatch {
            at: now.mono,
            wall: now.wall,
            events,
            tick,
            lost: self.lost_events(),
            stateless: bss.map_or(0, |bss| bss.stateless),
        };
        self.sink.blocking_send(ProbeEvent::Owners(batch)).is_ok()
    }
}
