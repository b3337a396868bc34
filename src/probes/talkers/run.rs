//! The probe's loop: commands, changes of links, and ticks on a steady schedule.

mod commands;
mod report;

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::bpf_object::{FIRST_PART, entries_for};
use super::direction::Means;
use super::interface::Row;
use super::links::{Changed, Links};
use super::netns::Netns;
use super::target::{Target, resolve};
use super::watch::{Books, Watch};
use crate::model::event::{DetailOf, ProbeEvent, TalkersCommand, Watched};
use crate::model::interface_name::InterfaceName;
use crate::model::link::XdpMode;
use crate::model::problem::Problem;
use crate::model::talkers::TalkersSample;
use crate::privileges::{self, ThreadRole};
use crate::probes::{Sink, TalkersConfig};
use crate::sys::percpu::Batch;

/// Map memory that one direction may grow to: alone, and when every interface has its own.
const BUDGET_BYTES: usize = 64 << 20;
const BUDGET_BYTES_OF_ALL: usize = 8 << 20;

/// Interfaces whose books are kept while they are not watched. Beyond that those of the one that was
/// left first are dropped, and interfaces watched from then on say so (`partial`).
const KEPT_BOOKS: usize = 4_096;
/// Sources in all books that are kept, both directions: about 170 bytes each. Beyond that the oldest
/// books lose theirs, which count as evicted; their totals stay.
const KEPT_SOURCES: usize = 131_072;

/// Why the loop ends without having been asked to.
enum End {
    /// The reader of the channel has gone.
    Closed,
    /// The namespace has.
    NoNamespace(Problem),
}

/// How often to check that a namespace which is not our own still exists.
const CHECK_NAMESPACE: Duration = Duration::from_millis(500);

/// The table of interfaces is sent at most so often when notifications come, and on each tick.
const SEND_LINKS: Duration = Duration::from_millis(250);

struct Run<'a> {
    sink: &'a Sink,
    /// The watched namespace, where it is not our own.
    netns: Option<Netns>,
    /// The inode number of the namespace that is watched; 0: unknown.
    netns_inode: u32,
    links: Links,
    target: Target,
    mode: XdpMode,
    /// Nothing more is attached.
    locked: bool,
    watches: Vec<Watch>,
    /// Books of interfaces that are not watched now.
    kept: Vec<((u32, InterfaceName), Books)>,
    /// Some of those were dropped.
    forgot: bool,
    means: Means,
    reported: Option<Vec<Watched>>,
    /// The address whose detail view is open.
    detail_of: Option<DetailOf>,
    /// Last readings of watches that ended, to be sent.
    last: Vec<TalkersSample>,
    /// When the table of interfaces was last sent, and whether it has changed since.
    links_sent: Instant,
    links_changed: bool,
}

/// The thread.
pub(super) fn run(
    config: &TalkersConfig,
    commands: &mpsc::Receiver<TalkersCommand>,
    wake: &EventFd,
    sink: &Sink,
) -> Result<(), Problem> {
    let mut run = Run::start(config, sink)?;
    let timer = timer(config.interval).map_err(|e| system_problem("set a timer", &e))?;
    run.keep_rights();
    let done = match run.go(commands, wake, &timer) {
        Ok(()) => Ok(()),
        Err(End::NoNamespace(problem)) => Err(problem),
        Err(End::Closed) => return Ok(()),
    };
    // Everything is detached before the reader is waited for.
    let last = run.finish();
    drop(run);
    if !last.is_empty() {
        let _ = sink.blocking_send(ProbeEvent::Talkers(last));
    }
    done
}

fn system_problem(what: &str, e: &io::Error) -> Problem {
    Problem::new(what, e.to_string(), "")
}

fn timer(interval: std::time::Duration) -> io::Result<TimerFd> {
    let timer =
        TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
    let ns = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX).max(1);
    let every = Expiration::Interval(TimeSpec::nanoseconds(ns));
    timer.set(every, TimerSetTimeFlags::empty())?;
    Ok(timer)
}

impl<'a> Run<'a> {
    /// Reads the links and attaches. Fails where nothing at all can be counted.
    fn start(config: &TalkersConfig, sink: &'a Sink) -> Result<Self, Problem> {
        let netns = config.netns.as_deref().map(Netns::enter).transpose()?;
        let mut links =
            Links::open().map_err(|e| system_problem("list the interfaces (netlink)", &e))?;
        links
            .read_all(&HashSet::new())
            .map_err(|e| system_problem("list the interfaces (netlink)", &e))?;
        let target = resolve(&links, &config.choice)?;
        let cpus = libbpf_rs::num_possible_cpus()
            .map_err(|e| Problem::new("count the CPUs", e.to_string(), ""))?;
        let mut run = Self {
            sink,
            netns,
            netns_inode: super::netns::inode(),
            links,
            target,
            mode: config.mode,
            locked: false,
            watches: Vec::new(),
            kept: Vec::new(),
            forgot: false,
            means: Means {
                refused: Vec::new(),
                batch: Batch::new(cpus),
                cpus,
                // With --lock nothing can be loaded later, so tables have their full size at once.
                first_part: if config.locked { 1 } else { FIRST_PART },
            },
            reported: None,
            detail_of: None,
            last: Vec::new(),
            links_sent: Instant::now(),
            links_changed: false,
        };
        run.reconcile();
        run.locked = config.locked;
        match run.watched().first() {
            Some(Watched { rx: Err(problem), .. }) if run.nothing_counts() => Err(problem.clone()),
            _ => Ok(run),
        }
    }

    /// Drops the capabilities that only the start needed.
    fn keep_rights(&self) {
        let mut parts = vec![ThreadRole::Talkers];
        parts.extend(self.netns.as_ref().map(|_| ThreadRole::Namespace));
        parts.extend(
            self.watches.iter().any(Watch::changed_features).then_some(ThreadRole::Features),
        );
        privileges::keep(&parts, self.locked);
    }

    fn nothing_counts(&self) -> bool {
        let watched = self.watched();
        !watched.is_empty() && watched.iter().all(|w| w.rx.is_err() && w.tx.is_err())
    }

    fn go(
        &mut self,
        commands: &mpsc::Receiver<TalkersCommand>,
        wake: &EventFd,
        timer: &TimerFd,
    ) -> Result<(), End> {
        // Frames that came while programs were being attached do not count.
        self.snapshot(&mut Vec::new(), true);
        self.report()?;
        self.send_links()?;
        loop {
            let (woken, changed, ticked) = self.wait(wake, timer);
            if woken {
                let _ = wake.read();
                loop {
                    match commands.try_recv() {
                        Ok(command) => self.obey(command),
                        Err(mpsc::TryRecvError::Empty) => break,
                        Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                    }
                }
                self.report()?;
            }
            if changed {
                self.follow_changes();
                self.report()?;
            }
            if self.links_due() == Some(Duration::ZERO) {
                self.send_links()?;
            }
            if let Some(problem) = self.netns.as_ref().and_then(Netns::gone) {
                return Err(End::NoNamespace(problem));
            }
            if ticked {
                // Ticks that were missed are one tick: the schedule stays as it was set.
                let _ = timer.wait();
                self.tick()?;
            }
        }
    }

    /// Waits for a command, a notification, or the tick.
    fn wait(&self, wake: &EventFd, timer: &TimerFd) -> (bool, bool, bool) {
        let mut fds = [
            PollFd::new(wake.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.links.netlink.changes.as_fd(), PollFlags::POLLIN),
            PollFd::new(timer.as_fd(), PollFlags::POLLIN),
        ];
        let check = self.netns.as_ref().map(|_| CHECK_NAMESPACE);
        let timeout = match check.into_iter().chain(self.links_due()).min() {
            // Rounded up, so that it is over when it ends.
            Some(rest) => {
                PollTimeout::try_from(rest + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => tracing::error!("poll: {e}"),
        }
        let ready = fds.map(|fd| fd.any().unwrap_or(false));
        ready.into()
    }

    fn send(&self, event: ProbeEvent) -> Result<(), End> {
        self.sink.blocking_send(event).map_err(|_| End::Closed)
    }

    /// How long until the changed table of interfaces may be sent; `None` where it has not changed.
    fn links_due(&self) -> Option<Duration> {
        self.links_changed.then(|| SEND_LINKS.saturating_sub(self.links_sent.elapsed()))
    }

    fn send_links(&mut self) -> Result<(), End> {
        self.links_changed = false;
        self.links_sent = Instant::now();
        self.send(ProbeEvent::Links(self.links.links()))
    }

    /// Ids of our own programs.
    fn ours(&self) -> HashSet<u32> {
        self.watches.iter().flat_map(Watch::program_ids).collect()
    }

    /// Reads the table of interfaces; an error leaves the old one.
    fn refresh(&mut self) {
        if let Err(e) = self.links.refresh(&self.ours(), false) {
            tracing::warn!("the interfaces cannot be read: {e}");
        }
    }

    /// Takes the waiting notifications and acts on them.
    fn follow_changes(&mut self) {
        match self.links.take_changes(&self.ours()) {
            Ok(changed) if changed.any => {
                self.links_changed = true;
                self.end_orphans(&changed);
                self.reconcile();
            }
            Ok(_) => {}
            Err(e) => tracing::warn!("the interfaces cannot be read: {e}"),
        }
    }

    /// Ends watches whose interface was deleted, though another one may have its index by now.
    fn end_orphans(&mut self, changed: &Changed) {
        let mut gone = changed.gone.clone();
        for watch in std::mem::take(&mut self.watches) {
            let suspect = changed.lost || changed.gone.contains(&watch.ifindex);
            if suspect && watch.is_orphaned() {
                gone.insert(watch.ifindex);
                self.end(watch, false);
            } else {
                self.watches.push(watch);
            }
        }
        if let Target::One { ifindex, .. } = &mut self.target
            && gone.contains(ifindex)
        {
            *ifindex = 0;
        }
    }

    /// Starts and ends watches so that they match the target, with the interfaces as they are now.
    fn reconcile(&mut self) {
        let wanted: Vec<u32> = match &mut self.target {
            Target::All => {
                self.links.rows.iter().filter(|r| r.link.up).map(|r| r.link.ifindex).collect()
            }
            Target::One { ifindex, name } => {
                let row = self.links.by_index(*ifindex).or_else(|| self.links.by_name(name));
                *ifindex = row.map_or(0, |r| r.link.ifindex);
                if let Some(row) = row {
                    name.clone_from(&row.link.name);
                }
                row.map(|r| r.link.ifindex).into_iter().collect()
            }
        };
        for mut watch in std::mem::take(&mut self.watches) {
            match self.links.by_index(watch.ifindex) {
                Some(row) if wanted.contains(&watch.ifindex) => {
                    let (batch, last) = (&mut self.means.batch, &mut self.last);
                    watch.follow(row, &self.links, batch, last, self.locked);
                    self.watches.push(watch);
                }
                row => {
                    let there = row.is_some();
                    self.end(watch, there);
                }
            }
        }
        let budget = match self.target {
            Target::All => BUDGET_BYTES_OF_ALL,
            Target::One { .. } => BUDGET_BYTES,
        };
        let entries = entries_for(self.means.cpus, budget);
        let before = self.ours();
        for ifindex in wanted {
            if self.locked || self.watches.iter().any(|w| w.ifindex == ifindex) {
                continue;
            }
            let Some(row) = self.links.by_index(ifindex).cloned() else { continue };
            let books = self.take_books(&row);
            let watch = Watch::start(&row, self.mode, entries, books, &self.links, &mut self.means);
            self.watches.push(watch);
        }
        self.watches.sort_by_key(|w| w.ifindex);
        self.apply_detail();
        // Our new programs are not foreign.
        if self.ours() != before {
            self.refresh();
        }
    }

    /// Detaches and keeps the books; `there`: the interface still exists.
    fn end(&mut self, watch: Watch, there: bool) {
        let (ifindex, name) = (watch.ifindex, watch.name.clone());
        let row = self.links.by_index(ifindex).filter(|_| there);
        let books = watch.end(row, &self.links, &mut self.means.batch, &mut self.last);
        let key = (ifindex, name);
        self.kept.retain(|(kept, _)| *kept != key);
        if self.kept.len() >= KEPT_BOOKS {
            self.kept.remove(0);
            self.forgot = true;
        }
        self.kept.push((key, books));
        let mut excess =
            self.kept.iter().map(|(_, b)| b.len()).sum::<usize>().saturating_sub(KEPT_SOURCES);
        for (_, books) in &mut self.kept {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(books.len());
            books.evict_all();
        }
    }

    /// The books of an interface: its own, or those of a deleted one of the same name; and whether
    /// there may have been some that were dropped.
    fn take_books(&mut self, row: &Row) -> (Books, bool) {
        let (ifindex, name) = (row.link.ifindex, &row.link.name);
        let there = |ifindex| self.links.by_index(ifindex).is_some();
        let find = |is: &dyn Fn(u32, &InterfaceName) -> bool| {
            self.kept.iter().position(|((index, kept), _)| is(*index, kept))
        };
        find(&|index, kept| index == ifindex && kept == name)
            .or_else(|| find(&|index, kept| kept == name && !there(index)))
            .map_or_else(|| (Books::default(), self.forgot), |at| (self.kept.remove(at).1, false))
    }

    /// Detaches; the last counts.
    fn finish(&mut self) -> Vec<TalkersSample> {
        for watch in std::mem::take(&mut self.watches) {
            let there = !watch.is_orphaned();
            self.end(watch, there);
        }
        std::mem::take(&mut self.last)
    }
}

/// The reader went away: device features are restored all the same.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}
