//! One watched interface: its two directions, its ledgers, and the gaps in its counts.

use std::net::IpAddr;

use super::choose;
use super::detail::Detail;
use super::direction::{Counting, Means, absorb_one, begin, grow_one, is_xdp, last, read_one};
use super::features::Features;
use super::hand_over::take_over;
use super::interface::Row;
use super::kernel_counters::is_comparable;
use super::links::{KernelCounters, Links};
use super::third_party::Detour;
use crate::clock;
use crate::model::compare::{Compared, Comparison};
use crate::model::coverage::{Missing, add_missing};
use crate::model::event::Watched;
use crate::model::interface_name::InterfaceName;
use crate::model::ledger::{Folded, Ledger};
use crate::model::link::{Hook, XdpMode};
use crate::model::problem::Problem;
use crate::model::talkers::{Direction, TalkersSample};
use crate::model::time::Stamp;
use crate::probes::grace_period;
use crate::sys::percpu::Batch;

/// The ledgers of one interface.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) rx: Ledger,
    pub(super) tx: Ledger,
}

impl Books {
    /// Number of sources in both.
    pub(super) fn len(&self) -> usize {
        self.rx.len() + self.tx.len()
    }

    /// Evicts all sources; the totals stay.
    pub(super) fn evict_all(&mut self) {
        self.rx.evict_all();
        self.tx.evict_all();
    }
}

/// The properties of an interface that decide how it is counted, and what the counts lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Circumstances {
    foreign_xdp: bool,
    detour: Option<Detour>,
    behind_tcx: bool,
}

impl Circumstances {
    fn of(row: &Row) -> Self {
        let (detour, behind_tcx) = (row.detour, row.behind_tcx);
        Self { foreign_xdp: row.link.xdp.is_some(), detour, behind_tcx }
    }

    /// Whether `auto` may choose another hook than with `other`.
    fn choose_alike(self, other: Self) -> bool {
        (self.foreign_xdp, self.detour.is_some()) == (other.foreign_xdp, other.detour.is_some())
    }
}

/// One interface with its programs attached.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) ifindex: u32,
    pub(super) name: InterfaceName,
    pub(super) mode: XdpMode,
    rx: Result<Counting, Problem>,
    tx: Result<Counting, Problem>,
    books: Books,
    rx_doubts: Vec<&'static str>,
    tx_doubts: Vec<&'static str>,
    /// Counts from before the interface was last watched were dropped.
    forgotten: bool,
    /// Packets that the device itself had dropped when counting began, and since then.
    tx_dropped: (u64, u64),
    /// The hook whose count is compared with the kernel's, the comparison, and the kernel's counts
    /// before and after the last turn.
    compared_hook: Option<Hook>,
    comparison: Comparison,
    compared: Compared,
    kernel: Option<(u64, u64)>,
    price: String,
    /// The circumstances in which the hook was chosen.
    circumstances: Circumstances,
    features: Features,
}

impl Watch {
    /// Loads and attaches both directions. A direction that cannot be attached holds the problem.
    pub(super) fn start(
        row: &Row,
        mode: XdpMode,
        entries: usize,
        (books, forgotten): (Books, bool),
        links: &Links,
        means: &mut Means,
    ) -> Self {
        let dropped = links.kernel_counters(&[row.link.ifindex]);
        let dropped = dropped.get(&row.link.ifindex).copied().unwrap_or_default().tx_dropped;
        let mut watch = Self {
            ifindex: row.link.ifindex,
            name: row.link.name.clone(),
            mode,
            rx: Err(Problem::new("watch", "not attached yet", "")),
            tx: Err(Problem::new("watch", "not attached yet", "")),
            books,
            rx_doubts: Vec::new(),
            tx_doubts: Vec::new(),
            forgotten,
            tx_dropped: (dropped, 0),
            compared_hook: None,
            comparison: Comparison::default(),
            compared: Compared::default(),
            kernel: None,
            price: String::new(),
            circumstances: Circumstances::of(row),
            features: Features::default(),
        };
        let hooks = choose::rx_hooks(row, mode);
        watch.features.before(links, row);
        watch.rx = begin(row, Direction::Rx, &hooks, entries, &mut watch.books.rx, means);
        watch.features.after(links, row);
        watch.tx =
            begin(row, Direction::Tx, &choose::TX_HOOKS, entries, &mut watch.books.tx, means);
        watch.describe(row);
        watch
    }

    /// Works out what the hooks cost and lack, with the interface as it is now.
    fn describe(&mut self, row: &Row) {
        let hook = self.rx_hook();
        self.price = hook.map_or(String::new(), |hook| choose::price(row, hook));
        // Another program's XDP in front takes frames that the kernel counts.
        let alone = row.link.xdp.is_none();
        let driver = row.driver.name.as_deref();
        let comparable =
            hook.filter(|hook| alone && is_comparable(driver, row.link.loopback, *hook));
        if comparable != self.compared_hook {
            self.comparison = Comparison::default();
            self.compared = Compared::default();
            self.compared_hook = comparable;
        }
        self.rx_doubts = hook.map_or(Vec::new(), |hook| choose::rx_doubts(row, hook));
        let tx_hook = self.tx.as_ref().ok().map(|c| c.hook);
        self.tx_doubts = tx_hook.map_or(Vec::new(), |hook| choose::tx_doubts(row, hook));
    }

    /// Whether the kernel counts what the rx hook does.
    pub(super) fn is_comparable(&self) -> bool {
        self.compared_hook.is_some()
    }

    /// Takes the kernel's counters before and after the turn that is read next.
    pub(super) fn compare_with(&mut self, before: Option<&KernelCounters>, after: &KernelCounters) {
        self.kernel = before.map(|before| (before.rx_packets, after.rx_packets));
        self.note_dropped(*after);
    }

    fn note_dropped(&mut self, now: KernelCounters) {
        let (before, dropped) = &mut self.tx_dropped;
        // A driver may set its counters back.
        *dropped = (*dropped).max(now.tx_dropped.saturating_sub(*before));
    }

    /// Whether nothing is attached any more: the interface was deleted, and one that has its index now
    /// is another.
    pub(super) fn is_orphaned(&self) -> bool {
        let mut counting = [&self.rx, &self.tx].into_iter().flatten();
        !counting.any(|counting| counting.attachment.is_attached())
    }

    fn compare(&mut self, total: u64) {
        if let (Some(_), Some(kernel)) = (self.compared_hook, self.kernel.take()) {
            self.compared = self.comparison.turn(total, kernel);
        }
    }

    fn rx_hook(&self) -> Option<Hook> {
        self.rx.as_ref().ok().map(|c| c.hook)
    }

    /// How the interface is watched; `gone`: why nothing can pass it now.
    pub(super) fn watched(&self, netns: u32, gone: Option<Problem>) -> Watched {
        let hook =
            |side: &Result<Counting, Problem>| side.as_ref().map(|c| c.hook).map_err(Clone::clone);
        Watched {
            ifindex: self.ifindex,
            interface: self.name.clone(),
            netns,
            rx: hook(&self.rx),
            tx: hook(&self.tx),
            mode: self.mode,
            partial: self.partial(Direction::Rx).or_else(|| self.partial(Direction::Tx)),
            price: self.price.clone(),
            missing: self.missing(),
            gone,
        }
    }

    fn missing(&self) -> Vec<Missing> {
        let counting = [&self.rx, &self.tx].into_iter().flatten();
        let mut all = Vec::new();
        add_missing(&mut all, counting.flat_map(|counting| counting.counter.missing()));
        all
    }

    /// Whether features of the device are to be restored.
    pub(super) fn changed_features(&self) -> bool {
        self.features.changed()
    }

    /// Ids of our programs.
    pub(super) fn program_ids(&self) -> impl Iterator<Item = u32> {
        [&self.rx, &self.tx].into_iter().flatten().flat_map(|c| c.counter.ids())
    }

    /// Whether the interface has changed in a way that [`Watch::follow`] acts on.
    pub(super) fn is_stale(&self, row: &Row) -> bool {
        Circumstances::of(row) != self.circumstances || row.link.name != self.name
    }

    /// Adapts to the interface as it is now: its name, and what others attached.
    pub(super) fn follow(
        &mut self,
        row: &Row,
        links: &Links,
        batch: &mut Batch,
        samples: &mut Vec<TalkersSample>,
        locked: bool,
    ) {
        self.name.clone_from(&row.link.name);
        let before = std::mem::replace(&mut self.circumstances, Circumstances::of(row));
        let alike = before.choose_alike(self.circumstances);
        if !alike && self.mode == XdpMode::Auto && !locked {
            self.take_mode(row, self.mode, links, batch, samples);
        }
        self.describe(row);
    }

    /// Counts rx in this mode from now on. The maps stay, so no count is lost; where no hook of the mode
    /// can be attached, rx ends with a last sample.
    pub(super) fn take_mode(
        &mut self,
        row: &Row,
        mode: XdpMode,
        links: &Links,
        batch: &mut Batch,
        samples: &mut Vec<TalkersSample>,
    ) {
        self.mode = mode;
        let hooks = choose::rx_hooks(row, mode);
        let Ok(counting) = &mut self.rx else {
            return;
        };
        if hooks.first() != Some(&counting.hook) {
            let was_xdp = is_xdp(counting.hook);
            let taken = take_over(counting, row, &hooks, &mut self.features, links);
            if was_xdp && !is_xdp(counting.hook) {
                self.features.restore(links, row);
            }
            if let Err(problem) = taken {
                self.end_rx(problem, batch, samples);
            }
        }
        self.describe(row);
    }

    /// Detaches rx because of `problem`, and adds a sample of its counts since the last tick.
    fn end_rx(&mut self, problem: Problem, batch: &mut Batch, samples: &mut Vec<TalkersSample>) {
        let Ok(counting) = std::mem::replace(&mut self.rx, Err(problem)) else { return };
        drop(counting.attachment);
        let at = clock::now();
        grace_period();
        let folded = last(&counting.counter, &mut self.books.rx, at.mono, batch);
        samples.extend(folded.map(|f| self.sample(Direction::Rx, counting.hook, f, at)));
    }

    /// Whether a direction could not be attached, so that the watch must be started again.
    pub(super) fn is_broken(&self) -> bool {
        self.rx.is_err() || self.tx.is_err()
    }

    /// First half of a tick: from here on frames count on the other side.
    pub(super) fn turn(&mut self) {
        for counting in [&mut self.rx, &mut self.tx].into_iter().flatten() {
            counting.idle = counting
                .counter
                .turn()
                .inspect_err(|e| tracing::warn!("the sides do not turn: {e}"))
                .ok();
        }
    }

    /// Second half, a grace period later: reads the idle sides.
    pub(super) fn read(&mut self, at: Stamp, batch: &mut Batch, samples: &mut Vec<TalkersSample>) {
        let Self { rx, tx, books, .. } = self;
        let rx = rx.as_mut().ok().and_then(|c| read_one(c, &mut books.rx, at.mono, batch));
        let tx = tx.as_mut().ok().and_then(|c| read_one(c, &mut books.tx, at.mono, batch));
        if let Some((hook, f)) = rx {
            self.compare(f.total.packets);
            samples.push(self.sample(Direction::Rx, hook, f, at));
        }
        samples.extend(tx.map(|(hook, f)| self.sample(Direction::Tx, hook, f, at)));
    }

    /// Prepares to count the detail of `ip` from the next turn on, in both directions.
    pub(super) fn open_detail(&mut self, ip: IpAddr, cpus: usize) {
        for counting in [&mut self.rx, &mut self.tx].into_iter().flatten() {
            counting.counter.open_detail(Detail::new(ip, cpus), false);
        }
    }

    /// Whether each attached direction counts the detail of this address, or of none.
    pub(super) fn has_detail_of(&self, ip: Option<IpAddr>) -> bool {
        let mut counting = [&self.rx, &self.tx].into_iter().flatten();
        counting.all(|c| c.counter.detail().map(|detail| detail.ip) == ip)
    }

    /// First half of ending a detail: no program begins to count it from here on. True where one did.
    pub(super) fn close_detail(&mut self) -> bool {
        let mut closed = false;
        for counting in [&mut self.rx, &mut self.tx].into_iter().flatten() {
            if counting.counter.detail().is_some() {
                counting.counter.close_detail();
                closed = true;
            }
        }
        closed
    }

    /// Second half, a grace period later.
    pub(super) fn drop_detail(&mut self) {
        for counting in [&mut self.rx, &mut self.tx].into_iter().flatten() {
            counting.counter.drop_detail();
        }
    }

    /// Second half of a turn in the middle of an interval, with which a detail begins.
    pub(super) fn absorb(&mut self, at: Stamp, batch: &mut Batch) {
        let Self { rx, tx, books, .. } = self;
        for (side, book) in [(rx, &mut books.rx), (tx, &mut books.tx)] {
            if let Ok(counting) = side {
                counting.counter.detail_began(at);
                absorb_one(counting, book, at.mono, batch);
            }
        }
    }

    /// Counts start again at nothing, `at` the turn that has just been read.
    pub(super) fn restart(&mut self, at: Stamp) {
        self.comparison = Comparison::default();
        self.books.rx.restart(at.mono);
        self.books.tx.restart(at.mono);
    }

    /// Gives a crowded direction the largest table it may have. The counts of the old one since the tick
    /// are a sample of their own.
    pub(super) fn grow(&mut self, row: &Row, means: &mut Means, samples: &mut Vec<TalkersSample>) {
        let Self { rx, tx, books, .. } = self;
        let rx =
            rx.as_mut().ok().and_then(|c| grow_one(c, row, Direction::Rx, &mut books.rx, means));
        let tx =
            tx.as_mut().ok().and_then(|c| grow_one(c, row, Direction::Tx, &mut books.tx, means));
        samples.extend(rx.map(|(hook, at, f)| self.sample(Direction::Rx, hook, f, at)));
        samples.extend(tx.map(|(hook, at, f)| self.sample(Direction::Tx, hook, f, at)));
    }

    /// Detaches, reads the counts since the last tick, and returns the ledgers.
    pub(super) fn end(
        mut self,
        row: Option<&Row>,
        links: &Links,
        batch: &mut Batch,
        samples: &mut Vec<TalkersSample>,
    ) -> Books {
        let detach = |side: Result<Counting, Problem>| {
            side.ok().map(|c| {
                drop(c.attachment);
                (c.hook, c.counter)
            })
        };
        let placeholder = || Err(Problem::new("watch", "ended", ""));
        let rx = detach(std::mem::replace(&mut self.rx, placeholder()));
        let tx = detach(std::mem::replace(&mut self.tx, placeholder()));
        let at = clock::now();
        grace_period();
        if let Some(row) = row {
            self.features.restore(links, row);
            let counters = links.kernel_counters(&[self.ifindex]);
            counters.get(&self.ifindex).into_iter().for_each(|now| self.note_dropped(*now));
        }
        if let Some((hook, counter)) = rx {
            let folded = last(&counter, &mut self.books.rx, at.mono, batch);
            samples.extend(folded.map(|f| self.sample(Direction::Rx, hook, f, at)));
        }
        if let Some((hook, counter)) = tx {
            let folded = last(&counter, &mut self.books.tx, at.mono, batch);
            samples.extend(folded.map(|f| self.sample(Direction::Tx, hook, f, at)));
        }
        self.books
    }

    /// Why a direction's counts may not be exact.
    fn partial(&self, direction: Direction) -> Option<String> {
        let doubts = match direction {
            Direction::Rx => &self.rx_doubts,
            Direction::Tx => &self.tx_doubts,
        };
        let forgotten = self.forgotten.then_some("since it was watched again");
        let all: Vec<&str> = doubts.iter().copied().chain(forgotten).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The reason, with the number of packets that the device dropped after they were counted.
    fn partial_with_drops(&self, direction: Direction) -> Option<String> {
        let partial = self.partial(direction);
        match self.tx_dropped.1 {
            n if n > 0 && direction == Direction::Tx => {
                let dropped = format!("the device reports {n} dropped");
                Some(partial.map_or(dropped.clone(), |doubts| format!("{doubts}; {dropped}")))
            }
            _ => partial,
        }
    }

    fn sample(&self, direction: Direction, hook: Hook, f: Folded, at: Stamp) -> TalkersSample {
        TalkersSample {
            ifindex: self.ifindex,
            interface: self.name.clone(),
            direction,
            hook,
            at,
            interval_ns: f.interval_ns,
            total: f.total,
            delta: f.delta,
            other: f.other,
            other_delta: f.other_delta,
            partial: self.partial_with_drops(direction),
            sources: f.sources,
            evicted: f.evicted,
            compared: match direction {
                Direction::Rx => self.compared,
                Direction::Tx => Compared::NotComparable,
            },
            detail: f.detail,
        }
    }
}
