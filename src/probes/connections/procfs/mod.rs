//! Sockets and their processes by polling, where no BPF program can watch them: `sock_diag` lists the
//! sockets, `/proc/PID/fd` says who holds them, as `ss -p` does.
//!
//! A connection that begins and ends between two polls is missed, and bytes that a process sent cannot be
//! distinguished from those of another one that has the socket too. So no bytes of processes are reported;
//! [`crate::model::connections::Connections`] ignores those of the samples, which are the sockets' own.

pub(in crate::probes) mod diag;
pub(in crate::probes) mod fds;
mod spaces;

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use nix::time::{ClockId, clock_gettime};

use super::hostnames;
use super::{Begin, Command, ConnectionsConfig};
use crate::clock;
use crate::model::conn::{
    Carried, Conn, ConnEvent, ConnectionsBatch, ConnectionsTick, Holder, Owner, Share, TCP,
    TcpCounts,
};
use crate::model::connections::MAX_CONNS;
use crate::model::coverage::{Attribution, Missing};
use crate::model::event::{ConnectionsInfo, ProbeEvent, ProbeInfo};
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::probes::{Commands, Sink};
use diag::Entry;
use fds::Scan;
use spaces::Spaces;

/// Listing sockets, and scanning /proc, each take at most this part of a CPU: the pause after one is
/// so many times the CPU time that it took.
const PAUSE_SHARE: u32 = 100;

/// Between scans of all descriptors while no socket is new.
const SCAN_ANYHOW: Duration = Duration::from_secs(10);

/// A socket that is followed.
struct Followed {
    conn: Conn,
    inode: u32,
    /// TCP's counts when the first poll found it.
    before: Carried,
    /// When a poll found it first.
    first: Mono,
    /// `seen` is to be reported: it was not there at the first poll.
    fresh: bool,
    /// A scan of /proc has looked for its process.
    sought: bool,
    /// The number of the last poll that found it.
    poll: u64,
    holders: Vec<Owner>,
}

/// Polls until it is asked to stop. `why` is the problem for which no BPF program watches: the kernel refused
/// `program`.
///
/// Returns the problem for which this cannot either.
pub(super) fn read(
    why: &Problem,
    program: &str,
    config: &ConnectionsConfig,
    commands: &Commands<Command>,
    sink: &Sink,
) -> Result<(), Problem> {
    let cannot = |e: &io::Error| {
        Problem::new(
            why.what.clone(),
            format!("{}; nor can /proc and sock_diag be polled: {e}", why.why),
            why.fix.clone(),
        )
    };
    let mut poller = Poller::new().map_err(|e| cannot(&e))?;
    // The first one finds the namespaces, the second one what is in them.
    poller.poll(Duration::ZERO).map_err(|e| cannot(&e))?;
    poller.next_scan = Instant::now();
    let batch = poller.poll(Duration::ZERO).map_err(|e| cannot(&e))?;
    poller.first = false;
    let mut missing = poller.missing(why, program);
    if config.hostnames.on {
        missing.extend(hostnames::while_polled().missing);
    }
    let info = ConnectionsInfo { attribution: Attribution::Procfs, missing };
    if sink.blocking_send(ProbeEvent::Started(ProbeInfo::Connections(info))).is_err()
        || sink.blocking_send(ProbeEvent::Connections(batch)).is_err()
    {
        return Ok(());
    }
    let interval = config.interval;
    let mut pause = interval;
    loop {
        let mut answer = None;
        let ends = match commands.recv_timeout(pause) {
            Ok(Command::Names(_)) => {
                let refused = ProbeEvent::Hostnames(hostnames::while_polled());
                sink.blocking_send(refused).is_err()
            }
            // No bytes are counted from there: any poll will do.
            Ok(Command::Begin(Begin { began, .. })) => {
                answer = Some(began);
                false
            }
            Err(mpsc::RecvTimeoutError::Timeout) => false,
            Err(mpsc::RecvTimeoutError::Disconnected) => true,
        };
        let begun = (Instant::now(), cpu_time());
        let batch = poller.poll(interval).map_err(|e| {
            Problem::new("poll the connections", e.to_string(), "start ebpftop again")
        })?;
        let at = batch.at;
        if sink.blocking_send(ProbeEvent::Connections(batch)).is_err() {
            return Ok(());
        }
        // An error: the run has ended.
        answer.map(|began| began.send(at));
        if ends {
            return Ok(());
        }
        // The scan is paced by itself.
        let listing = cpu_time().saturating_sub(begun.1).saturating_sub(poller.scan_took);
        pause = interval.saturating_sub(begun.0.elapsed()).max(listing * PAUSE_SHARE);
    }
}

struct Poller {
    followed: HashMap<u64, Followed>,
    spaces: Spaces,
    /// Sockets that are found now were there before the probe.
    first: bool,
    polls: u64,
    next_scan: Instant,
    /// When descriptors were scanned last.
    scanned: Instant,
    /// CPU time of the scan within the last poll.
    scan_took: Duration,
    /// Processes in the last scan.
    processes: u64,
    unreadable: u64,
    /// Sockets and namespaces beyond the bounds, at the last poll.
    left_out: u64,
    /// Holders without a place in the last scan.
    holders_left_out: u64,
    /// Modules that cannot answer.
    refused: Vec<(&'static str, io::Error)>,
}

impl Poller {
    fn new() -> io::Result<Self> {
        Ok(Self {
            followed: HashMap::new(),
            spaces: Spaces::new()?,
            first: true,
            polls: 0,
            next_scan: Instant::now(),
            scanned: Instant::now(),
            scan_took: Duration::ZERO,
            processes: 0,
            unreadable: 0,
            left_out: 0,
            holders_left_out: 0,
            refused: Vec::new(),
        })
    }

    /// Lists the sockets, and scans /proc where that is due.
    fn poll(&mut self, interval: Duration) -> io::Result<ConnectionsBatch> {
        self.polls += 1;
        let now = clock::now();
        let mut left_out = self.list(now.mono)?;
        if self.followed.values().any(|f| f.poll < self.polls) {
            // A socket that moves in the kernel's table meanwhile may be missed: one that has ended is
            // missed twice.
            left_out = left_out.min(self.list(now.mono)?);
        }
        left_out += self.spaces.left_out();
        self.scan_took = Duration::ZERO;
        if Instant::now() >= self.next_scan {
            let begun = cpu_time();
            self.look_around()?;
            self.scan_took = cpu_time().saturating_sub(begun);
            self.next_scan = Instant::now() + (self.scan_took * PAUSE_SHARE).max(interval / 2);
        }
        let events = self.events();
        let tick = ConnectionsTick {
            samples: self.followed.values().map(|f| f.conn.clone()).collect(),
            complete: true,
            left_out: left_out.saturating_sub(self.left_out),
            holders: self.holders(),
            peers: Vec::new(),
            holders_left_out: std::mem::take(&mut self.holders_left_out),
        };
        self.left_out = left_out;
        Ok(ConnectionsBatch {
            at: now.mono,
            wall: now.wall,
            events,
            tick: Some(tick),
            ..ConnectionsBatch::default()
        })
    }

    /// Lists the sockets of all namespaces; returns how many found no room.
    fn list(&mut self, at: Mono) -> io::Result<u64> {
        let (followed, polls, first) = (&mut self.followed, self.polls, self.first);
        let mut left_out = 0;
        self.refused = self.spaces.each(|netns, entry| {
            if !take(followed, netns, entry, at, polls, first) {
                left_out += 1;
            }
        })?;
        Ok(left_out)
    }

    /// Scans the descriptors where a socket has no process yet, and every [`SCAN_ANYHOW`]: a socket
    /// may have been handed on. Else only learns the namespaces, for which nothing is opened.
    fn look_around(&mut self) -> io::Result<()> {
        let unsought = self.followed.values().any(|f| !f.sought);
        if self.first || unsought || self.scanned.elapsed() >= SCAN_ANYHOW {
            self.scanned = Instant::now();
            return self.scan();
        }
        self.spaces.learn(fds::namespaces()?);
        Ok(())
    }

    fn scan(&mut self) -> io::Result<()> {
        let inodes: hashbrown::HashSet<u32> =
            self.followed.values().map(|f| f.inode).filter(|inode| *inode != 0).collect();
        let mut scan = fds::scan(|inode| inodes.contains(&inode))?;
        (self.processes, self.unreadable) = (scan.processes, scan.unreadable);
        self.holders_left_out = scan.left_out;
        self.spaces.learn(std::mem::take(&mut scan.namespaces));
        self.followed.values_mut().for_each(|f| f.hold(&scan));
        Ok(())
    }

    /// Connections that appeared, once their process has been looked for. Those that the poll has not
    /// found are followed no longer.
    fn events(&mut self) -> Vec<Conn> {
        let (polls, spaces) = (self.polls, &self.spaces);
        let mut events = Vec::new();
        self.followed.retain(|_, f| {
            let ended = f.poll < polls && spaces.was_listed(f.conn.netns);
            if f.fresh && (f.sought || ended) {
                f.fresh = false;
                events.push(Conn { event: ConnEvent::Seen, at: f.first, ..f.conn.clone() });
            }
            !ended
        });
        events.sort_by_key(|event| (event.at, event.cookie));
        events
    }

    fn holders(&self) -> Vec<Holder> {
        let all = self.followed.values().flat_map(|f| {
            f.holders.iter().map(|owner| Holder { cookie: f.conn.cookie, owner: *owner })
        });
        all.take(MAX_CONNS).collect()
    }

    /// Features that polling lacks here.
    fn missing(&self, why: &Problem, program: &str) -> Vec<Missing> {
        let missing = |feature: &str, program: &str, error: String| Missing {
            feature: format!("connections: {feature}"),
            program: program.to_owned(),
            error,
        };
        let mut all = vec![missing("short ones, bytes per process", program, why.why.clone())];
        for (module, e) in &self.refused {
            all.push(missing("UDP", module, e.to_string()));
        }
        if self.unreadable > 0 {
            let error = format!(
                "the descriptors of {} of {} processes cannot be read: that takes CAP_SYS_PTRACE and \
                 CAP_DAC_READ_SEARCH",
                self.unreadable, self.processes
            );
            all.push(missing("processes of other users", "/proc/PID/fd", error));
        } else if fds::is_hidden() {
            let error = "/proc is mounted with hidepid: that takes CAP_SYS_PTRACE".to_owned();
            all.push(missing("processes of other users", "/proc", error));
        }
        if let Some((spaces, sockets, e)) = self.spaces.closed() {
            let error = format!(
                "{sockets} sockets, listeners included, in {spaces} of them are not seen: {e}"
            );
            all.push(missing("other network namespaces", "setns", error));
        }
        all
    }
}

/// Takes in what a poll says of a socket; false where there is no room for it.
fn take(
    followed: &mut HashMap<u64, Followed>,
    netns: u32,
    entry: Entry,
    at: Mono,
    poll: u64,
    first: bool,
) -> bool {
    let count = followed.len();
    let f = match followed.entry(entry.cookie) {
        hashbrown::hash_map::Entry::Occupied(known) => known.into_mut(),
        hashbrown::hash_map::Entry::Vacant(_) if count >= MAX_CONNS => return false,
        hashbrown::hash_map::Entry::Vacant(new) => new.insert(Followed::new(&entry, at, first)),
    };
    f.poll = poll;
    f.conn.netns = netns;
    f.conn.at = at;
    f.conn.state = entry.state;
    (f.conn.local, f.conn.remote) = (entry.local, entry.remote);
    f.conn.quality = entry.quality;
    if entry.inode != 0 {
        f.inode = entry.inode;
    }
    if let Some(tcp) = &mut f.conn.tcp {
        tcp.carried = entry.carried.minus(f.before);
    }
    true
}

impl Followed {
    fn new(entry: &Entry, at: Mono, first: bool) -> Self {
        let conn = Conn {
            at,
            since: None,
            cookie: entry.cookie,
            event: ConnEvent::Sample,
            protocol: entry.protocol,
            local: entry.local,
            remote: entry.remote,
            netns: 0,
            interface: entry.interface,
            state: entry.state,
            error: 0,
            shares: Vec::new(),
            current: 0,
            left_out: Carried::default(),
            tcp: (entry.protocol == TCP).then(TcpCounts::default),
            shared: false,
            kernel: false,
            passive: false,
            stream: entry.protocol == TCP,
            unseen: false,
            quality: Default::default(),
        };
        let before = if first { entry.carried } else { Carried::default() };
        let holders = Vec::new();
        Self { conn, inode: 0, before, first: at, fresh: !first, sought: false, poll: 0, holders }
    }

    /// Updates the processes that hold it. The first stays its process as long as it holds it; if no
    /// process holds it any more, the last holder stays.
    fn hold(&mut self, scan: &Scan) {
        self.sought = true;
        self.holders = scan.holders(self.inode).collect();
        self.conn.shared |= self.holders.len() > 1;
        let is_owner = |o: &Owner| self.conn.owner().is_some_and(|owner| owner.key == o.key);
        if !self.holders.iter().any(is_owner)
            && let Some(first) = self.holders.first()
        {
            self.conn.shares = vec![Share { owner: *first, carried: Carried::default() }];
        }
    }
}

/// CPU time of this thread.
pub(in crate::probes) fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
