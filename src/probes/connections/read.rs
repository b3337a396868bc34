//! Empties the ring on a timer, and at the end of each interval reads the counts of living sockets.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use libbpf_rs::{MapHandle, ProgramInput, RingBuffer, RingBufferBuilder};

use super::attach::Attached;
use super::decode::{self, Decoded};
use super::holders::Holders;
use super::hostnames::Hostnames;
use super::shares::{Peers, Shares};
use super::{ConnectionsConfig, SwitchNames};
use crate::bpf::connections::ConnectionsSkel;
use crate::bpf::connections::types::{bss, walk_over};
use crate::clock;
use crate::model::conn::{Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Limits};
use crate::model::connections::MAX_CONNS;
use crate::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use crate::model::hostnames::HostnamesBatch;
use crate::privileges;
use crate::probes::programs;
use crate::probes::{Commands, Sink, grace_period};
use crate::sys::misses;

/// Between drains. The ring holds 27,600 records: 550,000 connections a second.
const DRAIN_EVERY: Duration = Duration::from_millis(50);
/// Records in one batch, 300 bytes each, of two events at most.
const BATCH_RECORDS: usize = 1_024;
/// Sockets in one tick: as many as the model follows.
const MOST: usize = MAX_CONNS;

/// Finds the connections that are there, reports its start, and reads until it is stopped; then it
/// detaches and reads the rest.
pub(super) fn read(
    attached: Attached<'_>,
    info: ConnectionsInfo,
    config: &ConnectionsConfig,
    stopped: &Commands<SwitchNames>,
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
    let walk = Walk { ring: builder.build()?, found: &walked };
    let mut reader = Reader {
        skel,
        ring,
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
        Schedule { next: Instant::now() + config.interval, interval: config.interval };
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
        match reader.run(&mut hostnames, &mut schedule, stopped)? {
            Ended::Gone => return Ok(()),
            Ended::Switched(on) => {
                names = on;
                links = Some(begun);
            }
            Ended::Stopped => {
                drop(begun);
                // A program that was running when its link went has written its record after this.
                grace_period();
                let _ = reader.drain(&mut hostnames)? && reader.tick(&mut hostnames, true)?;
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
}

fn set(skel: &mut ConnectionsSkel<'_>, change: impl FnOnce(&mut bss)) {
    if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
        change(bss);
    }
}

/// The ring that walks write into, and the bytes read from it.
struct Walk<'a> {
    ring: RingBuffer<'a>,
    found: &'a RefCell<Vec<u8>>,
}

impl Walk<'_> {
    /// Walks over a table to its end, and hands over the records, `bytes` each.
    fn run(
        &self,
        skel: &mut ConnectionsSkel<'_>,
        over: walk_over,
        bytes: usize,
        mut take: impl FnMut(&[u8]),
    ) -> libbpf_rs::Result<()> {
        set(skel, |bss| {
            bss.walk_over = over.0;
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
        stopped: &Commands<SwitchNames>,
    ) -> libbpf_rs::Result<Ended> {
        loop {
            if !self.drain(hostnames)? {
                return Ok(Ended::Gone);
            }
            if Instant::now() >= schedule.next {
                if !self.tick(hostnames, false)? {
                    return Ok(Ended::Gone);
                }
                // Ticks that were missed are one tick: the schedule stays as it was set.
                while schedule.next <= Instant::now() {
                    schedule.next += schedule.interval;
                }
            }
            let wait = DRAIN_EVERY.min(schedule.next.saturating_duration_since(Instant::now()));
            match stopped.recv_timeout(wait) {
                Ok(SwitchNames(on)) if on != hostnames.is_some() => return Ok(Ended::Switched(on)),
                Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(Ended::Stopped),
            }
        }
    }

    /// Sends all events; false when the receiver has gone.
    fn drain(&mut self, hostnames: &mut Option<Hostnames<'_>>) -> libbpf_rs::Result<bool> {
        if self.skel.maps.bss_data.as_deref().is_some_and(|bss| bss.some_begun) {
            set(&mut self.skel, |bss| bss.some_begun = false);
            // They come through the ring of events.
            self.walk.run(&mut self.skel, walk_over::WALK_BEGUN, 1, |_| {})?;
        }
        loop {
            let read = self.ring.consume_raw_n(BATCH_RECORDS);
            if read < 0 {
                return Err(libbpf_rs::Error::from_raw_os_error(-read));
            }
            let decoded = std::mem::take(&mut *self.events.borrow_mut());
            let some = !decoded.is_empty();
            let events = self.completed(decoded)?;
            // A name that a process had before it connected comes before the connection.
            if !self.send_names(hostnames)? || (some && !self.send(events, None)) {
                return Ok(false);
            }
            if usize::try_from(read).unwrap_or(0) < BATCH_RECORDS {
                return Ok(true);
            }
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

    /// Reads the living sockets. After a loss all of them, so that those whose end was lost are missed.
    fn tick(
        &mut self,
        hostnames: &mut Option<Hostnames<'_>>,
        last: bool,
    ) -> libbpf_rs::Result<bool> {
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
        // The walk itself ended sockets that were gone. A socket that ends after its sample is no sample,
        // and one that begins after the walk is.
        self.closed.clear();
        self.latest = Some(HashMap::new());
        let goes_on = self.drain(hostnames);
        let mut latest = self.latest.take().unwrap_or_default();
        if !goes_on? {
            return Ok(false);
        }
        latest.retain(|cookie, _| !self.closed.contains(cookie));
        decoded.retain(|d| {
            let event = latest.get(&d.conn.cookie);
            !self.closed.contains(&d.conn.cookie) && event.is_none_or(|e| e.at <= d.conn.at)
        });
        for sample in &decoded {
            latest.remove(&sample.conn.cookie);
        }
        // After the sockets: an entry is then never older than TCP's counters of its socket.
        self.walk_shares()?;
        if tick.complete {
            let living: HashSet<u64> = decoded.iter().map(|d| d.conn.cookie).collect();
            let is_gone = |cookie: &u64| !living.contains(cookie) && !latest.contains_key(cookie);
            for cookie in shared.into_iter().filter(is_gone) {
                self.shares.end(cookie, &self.skel.maps.shares)?;
            }
        }
        tick.samples = decoded.into_iter().map(|d| self.shares.complete(d)).collect();
        let since = latest.into_values().map(|conn| Conn { event: ConnEvent::Sample, ..conn });
        tick.samples.extend(since);
        let peers = &mut self.peers;
        self.walk.run(&mut self.skel, walk_over::WALK_PEERS, decode::PEER_BYTES, |record| {
            tick.peers.extend(peers.take(record));
        })?;
        peers.end_tick(&self.skel.maps.peers)?;
        Ok(self.send(Vec::new(), Some(tick)))
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

    fn send(&self, events: Vec<Conn>, tick: Option<ConnectionsTick>) -> bool {
        let now = clock::now();
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
