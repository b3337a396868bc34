//! Empties the ring on a timer, and on each tick reads what the living sockets have carried.

use std::cell::RefCell;
use std::io::Read;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libbpf_rs::{Iter, Link, RingBuffer, RingBufferBuilder};

use super::attach::{Attached, Walks};
use super::decode::{self, CONN_BYTES};
use super::flows::Flows;
use crate::bpf::owners::OwnersSkel;
use crate::bpf::owners::types::holder;
use crate::model::conn::{Conn, OwnersBatch, OwnersTick};
use crate::model::owners::MAX_CONNS;
use crate::probes::{OwnersInfo, ProbeEvent, Sink, cgroups, clock, grace_period};

/// Between drains. The ring holds 38,000 records: 380,000 connections a second, told at both ends.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// Records in one batch, about 200 bytes each, of two events at most.
const BATCH_RECORDS: usize = 1_024;
/// Sockets, and others who hold one, that one look tells of: what the model follows.
const MOST: usize = MAX_CONNS;
/// What one read of an iterator takes: as much as the kernel's own buffer.
const READ_BYTES: usize = 32 << 10;

/// Finds what is there, says that it has started, and reads until told to stop; then it detaches
/// and reads what is left.
pub(super) fn read(
    attached: Attached<'_>,
    interval: Duration,
    stopped: &mpsc::Receiver<()>,
    sink: &Sink,
) -> libbpf_rs::Result<()> {
    let Attached { links, walks, mut skel } = attached;
    // Sockets that are older than the programs get a state, and who holds them.
    set(&mut skel, |bss| bss.seeding = true);
    each_record::<{ size_of::<holder>() }>(&walks.holders, |_| {})?;
    set(&mut skel, |bss| bss.seeding = false);
    let missing = cgroups::missing(cgroups::OUTSIDE_CONNECTIONS).into_iter().collect();
    let info = OwnersInfo { missing, ..OwnersInfo::default() };
    if sink.blocking_send(ProbeEvent::OwnersStarted(Ok(info))).is_err() {
        return Ok(());
    }
    let events = RefCell::new(Vec::new());
    let mut builder = RingBufferBuilder::new();
    let conns = libbpf_rs::MapHandle::try_from(&skel.maps.conns)?;
    builder.add(&conns, |record| {
        events.borrow_mut().extend(decode::events(record));
        0
    })?;
    let ring = builder.build()?;
    let mut reader =
        Reader { skel, ring, events: &events, walks, flows: Flows::default(), lost: 0, sink };
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
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(links);
    // A program that was running when its link went has written its record after this.
    grace_period();
    if reader.drain()? && reader.tick(true)? {
        let _ = sink.blocking_send(ProbeEvent::OwnersEnded);
    }
    Ok(())
}

fn set(skel: &mut OwnersSkel<'_>, change: impl FnOnce(&mut crate::bpf::owners::types::bss)) {
    if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
        change(bss);
    }
}

/// Runs an iterator to its end, and hands over its records, `N` bytes each.
fn each_record<const N: usize>(link: &Link, mut take: impl FnMut(&[u8])) -> libbpf_rs::Result<()> {
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
        let whole = have - have % N;
        buffer.get(..whole).unwrap_or_default().chunks_exact(N).for_each(&mut take);
        buffer.copy_within(whole..have, 0);
        have -= whole;
    }
}

struct Reader<'a, 'obj> {
    ring: RingBuffer<'a>,
    skel: OwnersSkel<'obj>,
    events: &'a RefCell<Vec<Conn>>,
    walks: Walks,
    flows: Flows,
    /// Events that were lost, as told last.
    lost: u64,
    sink: &'a Sink,
}

impl Reader<'_, '_> {
    /// Sends all that happened; false when nobody listens any more.
    fn drain(&mut self) -> libbpf_rs::Result<bool> {
        if self.skel.maps.bss_data.as_deref().is_some_and(|bss| bss.some_begun) {
            set(&mut self.skel, |bss| bss.some_begun = false);
            // They come through the ring too.
            each_record::<1>(&self.walks.begun, |_| {})?;
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
        let lost = self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost);
        let complete = last || lost != self.lost;
        self.lost = lost;
        set(&mut self.skel, |bss| {
            bss.everything = complete;
            bss.walk += 1;
        });
        let mut tick = OwnersTick { complete, ..OwnersTick::default() };
        each_record::<CONN_BYTES>(&self.walks.sample, |record| {
            if tick.samples.len() < MOST {
                tick.samples.extend(decode::sample(record));
            } else {
                tick.complete = false;
                tick.left_out += 1;
            }
        })?;
        each_record::<{ size_of::<holder>() }>(&self.walks.holders, |record| {
            if tick.holders.len() < MOST {
                tick.holders.extend(decode::held(record));
            }
        })?;
        tick.flows = self.flows.read(&self.skel.maps.flows)?;
        Ok(self.send(Vec::new(), Some(tick)))
    }

    fn send(&self, events: Vec<Conn>, tick: Option<OwnersTick>) -> bool {
        let now = clock::now();
        let bss = self.skel.maps.bss_data.as_deref();
        let batch = OwnersBatch {
            at: now.mono,
            wall: now.wall,
            events,
            tick,
            lost: bss.map_or(0, |bss| bss.lost),
            stateless: bss.map_or(0, |bss| bss.stateless),
        };
        self.sink.blocking_send(ProbeEvent::Owners(batch)).is_ok()
    }
}
