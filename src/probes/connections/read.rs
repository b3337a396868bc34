//! Empties the ring on a timer, and at the end of each interval reads the counts of living sockets.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use libbpf_rs::{MapCore, MapHandle, RingBuffer, RingBufferBuilder};
use tokio::sync::oneshot;

use super::attach::Attached;
use super::decode::{self, Decoded};
use super::holders::Holders;
use super::hostnames::Hostnames;
use super::shares::{Peers, Shares};
use super::walk::{Walk, set};
use super::{Begin, Command, ConnectionsConfig};
use crate::bpf::connections::ConnectionsSkel;
use crate::bpf::connections::types::walk_over;
use crate::clock;
use crate::model::conn::{Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Limits};
use crate::model::connections::MAX_CONNS;
use crate::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use crate::model::hostnames::HostnamesBatch;
use crate::model::time::{Mono, Stamp};
use crate::privileges;
use crate::probes::programs;
use crate::probes::{Commands, Sink, grace_period};
use crate::sys::misses;

/// Between drains. The ring holds 27,600 records: 550,000 connections a second.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// Records in one batch, 300 bytes each, of two events at most.
const BATCH_RECORDS: usize = 1_024;
/// Bytes before each record in a ring (`BPF_RINGBUF_HDR_SZ`).
const RECORD_HEADER: usize = 8;
/// Sockets in one tick: as many as the model follows.
const MOST: usize = MAX_CONNS;

/// Finds the connections that are there, reports its start, and reads until it is stopped; then it
/// reads all counts once more and detaches.
pub(super) fn read(
    attached: Attached<'_>,
    info: ConnectionsInfo,
    config: &ConnectionsConfig,
    commands: &Commands<Command>,
    sink: &Sink,
) -> libbpf_rs::Result<()> {
    let Attached { links, holders, mut skel } = attached;
    // Connections that are older than the programs get a state, with their process.
    set(&mut skel, |bss| bss.seeding = true);
    let mut holders = Holders::new(holders);
    holders.run()?;
    set(&mut skel, |bss| bss.seeding = false);
    let (events, walked) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let (conns, found) =
        (MapHandle::try_from(&skel.maps.conns)?, MapHandle::try_from(&skel.maps.walked)?);
    let mut builder = RingBufferBuilder::new();
    builder.add(&conns, |record| {
        events.borrow_mut().extend(decode::conn(record));
        0
    })?;
    let ring = builder.build()?;
    let mut builder = RingBufferBuilder::new();
    builder.add(&found, |record| {
        walked.borrow_mut().extend_from_slice(record);
        0
    })?;
    let walk = Walk::new(builder.build()?, &walked);
    let ring_records = conns.max_entries() as usize / (decode::CONN_BYTES + RECORD_HEADER);
    let mut reader = Reader {
        skel,
        ring,
        ring_records,
        events: &events,
        walk,
        holders,
        shares: Shares::default(),
        peers: Peers::default(),
        closed: HashSet::new(),
        latest: None,
        lost: 0,
        missed: 0,
        sink,
    };
    let mut schedule =
        Schedule { next: Instant::now() + config.interval, interval: config.interval, began: None };
    let (mut names, mut info) = (config.hostnames.on, Some(info));
    let mut links = Some(links);
    while let Some(begun) = links.take() {
        let mut storage = programs::storage();
        let (mut hostnames, missing) = match names {
            true => Hostnames::attach(&config.hostnames, &mut storage),
            false => (None, Vec::new()),
        };
        if let Some(mut info) = info.take() {
            privileges::keep(config.roles(), config.locked);
            info.missing.extend(missing.iter().cloned());
            if sink.blocking_send(ProbeEvent::Started(ProbeInfo::Connections(info))).is_err() {
                return Ok(());
            }
        }
        let state =
            HostnamesBatch { on: hostnames.is_some(), missing, ..HostnamesBatch::default() };
        if sink.blocking_send(ProbeEvent::Hostnames(state)).is_err() {
            return Ok(());
        }
        match reader.run(&mut hostnames, &mut schedule, commands)? {
            Ended::Gone => return Ok(()),
            Ended::Switched(on) => {
                names = on;
                links = Some(begun);
            }
            Ended::Stopped => {
                // With all programs attached: the links go one by one, and TCP counts on meanwhile. Nothing after
                // this is read.
                reader.tick(&mut hostnames, true)?;
                drop(begun);
            }
        }
        if let Some(rest) = hostnames.map(Hostnames::end).transpose()?.flatten()
            && sink.blocking_send(ProbeEvent::Hostnames(rest)).is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Why a run of the reader ended.
enum Ended {
    /// It was asked to stop.
    Stopped,
    /// The search for names was switched on or off.
    Switched(bool),
    /// The receiver of the events has gone.
    Gone,
}

/// When the counts are read next.
struct Schedule {
    next: Instant,
    interval: Duration,
    /// Receives the time of the next reading.
    began: Option<oneshot::Sender<Mono>>,
}

impl Schedule {
    /// The next reading is at a moment, or at once; the intervals begin there.
    fn begin(&mut self, Begin { at, began }: Begin) {
        let ahead = at.map_or(0, |at| at.since(clock::mono()));
        self.next = Instant::now() + Duration::from_nanos(ahead);
        self.began = Some(began);
    }

    /// A reading was sent, with this time.
    fn was_read(&mut self, at: Mono) {
        // An error: the run has ended.
        self.began.take().map(|began| began.send(at));
        // Readings that were missed are one: the schedule stays as it was set.
        while self.next <= Instant::now() {
            self.next += self.interval;
        }
    }
}

/// How much of the ring a turn took.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    /// There is more.
    Some,
    ReceiverGone,
}

struct Reader<'a, 'obj> {
    ring: RingBuffer<'a>,
    /// Records that the ring can hold.
    ring_records: usize,
    skel: ConnectionsSkel<'obj>,
    events: &'a RefCell<Vec<Decoded>>,
    walk: Walk<'a>,
    holders: Holders,
    shares: Shares,
    peers: Peers,
    /// Sockets that ended since the last walk over them, while a tick is under way.
    closed: HashSet<u64>,
    /// The latest other event of each socket since then, while a tick is under way.
    latest: Option<HashMap<u64, Conn>>,
    /// Lost events at the last tick.
    lost: u64,
    /// Changes of TCP's state for which the kernel did not run the program, as of the last tick.
    missed: u64,
    sink: &'a Sink,
}

impl Reader<'_, '_> {
    /// Drains and reads until it is asked to stop, or the search for names is switched.
    fn run(
        &mut self,
        hostnames: &mut Option<Hostnames<'_>>,
        schedule: &mut Schedule,
        commands: &Commands<Command>,
    ) -> libbpf_rs::Result<Ended> {
        let mut taken = Taken::All;
        loop {
            if taken == Taken::All {
                self.collect_begun()?;
            }
            taken = self.take_some(hostnames)?;
            if taken == Taken::ReceiverGone {
                return Ok(Ended::Gone);
            }
            if Instant::now() >= schedule.next {
                let Some(at) = self.tick(hostnames, false)? else { return Ok(Ended::Gone) };
                schedule.was_read(at);
            }
            // Between batches: where more comes than is taken, the ring is never empty.
            let wait = match taken {
                Taken::Some => Duration::ZERO,
                _ => DRAIN_EVERY.min(schedule.next.saturating_duration_since(Instant::now())),
            };
            match commands.recv_timeout(wait) {
                Ok(Command::Names(on)) if on != hostnames.is_some() => {
                    return Ok(Ended::Switched(on));
                }
                Ok(Command::Begin(begin)) => schedule.begin(begin),
                Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ended::Stopped),
            }
        }
    }

    /// Has the begun connections that are not reported yet written into the ring of events.
    fn collect_begun(&mut self) -> libbpf_rs::Result<()> {
        if self.skel.maps.bss_data.as_deref().is_some_and(|bss| bss.some_begun) {
            set(&mut self.skel, |bss| bss.some_begun = false);
            self.walk.run(&mut self.skel, walk_over::WALK_BEGUN, 1, |_| {})?;
        }
        Ok(())
    }

    /// Sends what the ring holds now, and no more: records may come faster than they are sent.
    fn take_held(&mut self, hostnames: &mut Option<Hostnames<'_>>) -> libbpf_rs::Result<Taken> {
        self.collect_begun()?;
        let mut taken = Taken::Some;
        for _ in 0..self.ring_records.div_ceil(BATCH_RECORDS) {
            taken = self.take_some(hostnames)?;
            if taken != Taken::Some {
                break;
            }
        }
        Ok(taken)
    }

    /// Sends a batch of the events.
    fn take_some(&mut self, hostnames: &mut Option<Hostnames<'_>>) -> libbpf_rs::Result<Taken> {
        let read = self.ring.consume_raw_n(BATCH_RECORDS);
        if read < 0 {
            return Err(libbpf_rs::Error::from_raw_os_error(-read));
        }
        let decoded = std::mem::take(&mut *self.events.borrow_mut());
        let some = !decoded.is_empty();
        let events = self.completed(decoded)?;
        // A name that a process had before it connected comes before the connection.
        if !self.send_names(hostnames)? || (some && !self.send(clock::now(), events, None)) {
            return Ok(Taken::ReceiverGone);
        }
        match usize::try_from(read).unwrap_or(0) < BATCH_RECORDS {
            true => Ok(Taken::All),
            false => Ok(Taken::Some),
        }
    }

    /// The events of records, in the order of time. A socket that ended has its sharing processes with
    /// their last counts, and its entries in the kernel's tables go.
    fn completed(&mut self, decoded: Vec<Decoded>) -> libbpf_rs::Result<Vec<Conn>> {
        let ended = |d: &Decoded| d.conn.event == ConnEvent::Close;
        if decoded.iter().any(|d| ended(d) && d.has_sharers) {
            self.walk_shares()?;
        }
        let mut events = Vec::with_capacity(decoded.len() + 1);
        for decoded in decoded {
            events.extend(decoded.begin());
            let (ended, cookie) = (ended(&decoded), decoded.conn.cookie);
            let (has_sharers, has_peers) = (decoded.has_sharers, !decoded.conn.stream);
            events.push(self.shares.complete(decoded));
            if ended && has_sharers {
                self.shares.end(cookie, &self.skel.maps.shares)?;
            }
            if ended && has_peers {
                self.peers.end(cookie);
            }
            if let Some(latest) = &mut self.latest {
                if ended {
                    self.closed.insert(cookie);
                }
                latest.extend(events.last().map(|event| (cookie, event.clone())));
            }
        }
        events.sort_by_cached_key(|event| event.at);
        Ok(events)
    }

    fn walk_shares(&mut self) -> libbpf_rs::Result<()> {
        let (skel, shares) = (&mut self.skel, &mut self.shares);
        self.walk.run(skel, walk_over::WALK_SHARES, decode::SHARE_BYTES, |record| {
            shares.take(record);
        })
    }

    /// Reads the living sockets, and sends them; the time of that, or `None` when the receiver has gone. After a loss
    /// it reads all, so that those whose end was lost are missed.
    ///
    /// `last`: nothing is read later. All programs have to be attached.
    fn tick(
        &mut self,
        hostnames: &mut Option<Hostnames<'_>>,
        last: bool,
    ) -> libbpf_rs::Result<Option<Mono>> {
        let progs = &self.skel.progs;
        let changes =
            [&progs.tcp_state, &progs.tcp_state_raw, &progs.tcp_gone, &progs.sent, &progs.received];
        self.missed = changes.into_iter().filter(|p| p.autoload()).filter_map(misses::of).sum();
        let lost = self.lost_events();
        let complete = last || lost != self.lost;
        self.lost = lost;
        set(&mut self.skel, |bss| bss.walk_everything = complete);
        // Without a walk nothing is known to be missing.
        let complete = complete && self.has_walk();
        let mut tick = ConnectionsTick { complete, ..ConnectionsTick::default() };
        if last || self.holders.are_due() {
            set(&mut self.skel, |bss| bss.holders_run += 1);
            self.holders.run()?;
        }
        tick.holders.clone_from(&self.holders.found);
        tick.holders_left_out = std::mem::take(&mut self.holders.left_out);
        // Of a socket whose end was lost, the walk finds nothing.
        let shared = self.shares.sockets();
        let mut decoded = Vec::new();
        self.walk.run(&mut self.skel, walk_over::WALK_SOCKETS, decode::CONN_BYTES, |record| {
            if decoded.len() < MOST {
                decoded.extend(decode::conn(record));
            } else {
                tick.complete = false;
                tick.left_out += 1;
            }
        })?;
        // After the sockets: an entry is then never older than TCP's counters of its socket.
        self.walk_shares()?;
        let mut samples: Vec<Conn> =
            decoded.into_iter().map(|decoded| self.shares.complete(decoded)).collect();
        if last {
            self.walk_peers(&mut tick)?;
            // A program that was ending a socket then has written its record after this.
            grace_period();
        }
        // The walk itself ended sockets that were gone. A socket that ends after its sample is no sample,
        // and one that begins after the walk is.
        self.closed.clear();
        self.latest = Some(HashMap::new());
        let taken = self.take_held(hostnames);
        let mut latest = self.latest.take().unwrap_or_default();
        if taken? == Taken::ReceiverGone {
            return Ok(None);
        }
        latest.retain(|cookie, _| !self.closed.contains(cookie));
        samples.retain(|sample| {
            let event = latest.get(&sample.cookie);
            !self.closed.contains(&sample.cookie) && event.is_none_or(|e| e.at <= sample.at)
        });
        for sample in &samples {
            latest.remove(&sample.cookie);
        }
        if tick.complete {
            let living: HashSet<u64> = samples.iter().map(|sample| sample.cookie).collect();
            let is_gone = |cookie: &u64| !living.contains(cookie) && !latest.contains_key(cookie);
            for cookie in shared.into_iter().filter(is_gone) {
                self.shares.end(cookie, &self.skel.maps.shares)?;
            }
        }
        tick.samples = samples;
        let since = latest.into_values().map(|conn| Conn { event: ConnEvent::Sample, ..conn });
        tick.samples.extend(since);
        if !last {
            // After the ends: the entries of a socket that ended are deleted.
            self.walk_peers(&mut tick)?;
            self.peers.end_tick(&self.skel.maps.peers)?;
        }
        let now = clock::now();
        Ok(self.send(now, Vec::new(), Some(tick)).then_some(now.mono))
    }

    fn walk_peers(&mut self, tick: &mut ConnectionsTick) -> libbpf_rs::Result<()> {
        let (skel, peers) = (&mut self.skel, &mut self.peers);
        self.walk.run(skel, walk_over::WALK_PEERS, decode::PEER_BYTES, |record| {
            tick.peers.extend(peers.take(record));
        })
    }

    /// Events that found no room in the ring, or for which the kernel did not run the program.
    fn lost_events(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.lost) + self.missed
    }

    fn has_walk(&self) -> bool {
        self.skel.progs.walk.autoload() || self.skel.progs.walk_raw.autoload()
    }

    fn limits(&self) -> Limits {
        let lost = self.lost_events();
        let bss = self.skel.maps.bss_data.as_deref();
        bss.map_or_else(Limits::default, |bss| Limits {
            lost,
            sockets: bss.sockets_left_out,
            sharers: bss.sharers_left_out,
            peers: bss.peers_left_out,
            unknown_peers: bss.peers_unknown,
        })
    }

    fn send_names(&self, hostnames: &mut Option<Hostnames<'_>>) -> libbpf_rs::Result<bool> {
        let found = hostnames.as_mut().map(Hostnames::drain).transpose()?.flatten();
        Ok(found.is_none_or(|found| self.sink.blocking_send(ProbeEvent::Hostnames(found)).is_ok()))
    }

    fn send(&self, now: Stamp, events: Vec<Conn>, tick: Option<ConnectionsTick>) -> bool {
        let limits = self.limits();
        let batch = ConnectionsBatch {
            at: now.mono,
            wall: now.wall,
            events,
            tick,
            limits,
            ..ConnectionsBatch::default()
        };
        self.sink.blocking_send(ProbeEvent::Connections(batch)).is_ok()
    }
}
