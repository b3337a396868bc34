//! One watched interface: a counter a direction, the hook of each, and how one takes over.

use std::io;
use std::os::fd::AsFd;

use super::choose::{self, AFTER_FOREIGN_XDP, LinkKind};
use super::counter::{Counter, FIRST_PART, HandOver, Rung, lacks_rights};
use super::features::Features;
use super::links::{Links, Row};
use crate::bpf::sys::attachment::Attachment;
use crate::bpf::sys::percpu::Batch;
use crate::model::ledger::{Folded, Ledger, Side};
use crate::model::link::{Hook, XdpMode};
use crate::model::problem::Problem;
use crate::model::talkers::{Direction, TalkersSample};
use crate::model::time::{Mono, Stamp};
use crate::probes::{Watched, clock, grace_period};

/// The books of one interface: rx and tx.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) rx: Ledger,
    pub(super) tx: Ledger,
}

/// A counter with a hook on the interface. The attachment is declared first, and so goes first.
#[derive(Debug)]
struct Counting {
    attachment: Attachment,
    hook: Hook,
    counter: Counter,
    /// The side that was turned away from at this tick, until it is read.
    idle: Option<Side>,
    /// How many entries a side may have in the end.
    most: usize,
    /// More than half of the hash was in use at the last tick.
    crowded: bool,
}

/// One interface with its programs attached.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) mode: XdpMode,
    rx: Result<Counting, Problem>,
    tx: Result<Counting, Problem>,
    books: Books,
    partial: Option<String>,
    price: String,
    /// Somebody else's XDP program, as seen when the hook was chosen.
    foreign: bool,
    features: Features,
}

/// What loading needs to know of the machine, and learns of the kernel.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) rung: Rung,
    pub(super) batch: Batch,
    /// Possible CPUs.
    pub(super) cpus: usize,
}

impl Watch {
    /// Loads and attaches both directions. What cannot be attached is told in its place.
    pub(super) fn start(
        row: &Row,
        mode: XdpMode,
        entries: usize,
        books: Books,
        links: &Links,
        means: &mut Means,
    ) -> Self {
        let mut watch = Self {
            ifindex: row.link.ifindex,
            name: row.link.name.clone(),
            mode,
            rx: Err(Problem::new("watch", "not attached yet", "")),
            tx: Err(Problem::new("watch", "not attached yet", "")),
            books,
            partial: None,
            price: String::new(),
            foreign: row.link.xdp.is_some(),
            features: Features::default(),
        };
        let hooks = choose::rx_hooks(row, mode);
        watch.features.before(links, row);
        watch.rx = begin(row, Direction::Rx, &hooks, entries, &mut watch.books.rx, means);
        watch.features.after(links, row);
        watch.tx = begin(
            row,
            Direction::Tx,
            &[Hook::Tcx, Hook::Socket],
            entries,
            &mut watch.books.tx,
            means,
        );
        watch.describe(row);
        watch
    }

    /// What the hook costs and lacks, as the interface is now.
    fn describe(&mut self, row: &Row) {
        let hook = self.rx_hook();
        self.price = hook.map_or(String::new(), |hook| choose::price(row, hook));
        let skb = matches!(hook, Some(Hook::Tcx | Hook::Socket));
        self.partial = (skb && row.link.xdp.is_some()).then(|| AFTER_FOREIGN_XDP.to_owned());
    }

    fn rx_hook(&self) -> Option<Hook> {
        self.rx.as_ref().ok().map(|c| c.hook)
    }

    /// For people; `gone` is told by who knows.
    pub(super) fn watched(&self, gone: Option<Problem>) -> Watched {
        let hook =
            |side: &Result<Counting, Problem>| side.as_ref().map(|c| c.hook).map_err(Clone::clone);
        Watched {
            ifindex: self.ifindex,
            interface: self.name.clone(),
            rx: hook(&self.rx),
            tx: hook(&self.tx),
            mode: self.mode,
            partial: self.partial.clone(),
            price: self.price.clone(),
            gone,
        }
    }

    /// Ids of our XDP programs.
    pub(super) fn xdp_ids(&self) -> impl Iterator<Item = u32> {
        self.rx.as_ref().ok().and_then(|c| c.counter.xdp_id()).into_iter()
    }

    /// Whether `row` is not what this was made for.
    pub(super) fn is_stale(&self, row: &Row) -> bool {
        row.link.xdp.is_some() != self.foreign || row.link.name != self.name
    }

    /// The interface changed: its name, or whether somebody else's XDP program is there.
    pub(super) fn follow(
        &mut self,
        row: &Row,
        links: &Links,
        batch: &mut Batch,
        samples: &mut Vec<TalkersSample>,
    ) {
        self.name.clone_from(&row.link.name);
        if row.link.xdp.is_some() != self.foreign {
            self.foreign = row.link.xdp.is_some();
            if self.mode == XdpMode::Auto {
                self.take_mode(row, self.mode, links, batch, samples);
            }
        }
        self.describe(row);
    }

    /// Counts rx as `mode` wants it from now on. The maps stay, so nothing counted is lost; where
    /// no hook of that mode can be had, rx ends with a last sample.
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

    /// Detaches rx, for the reason of `problem`, and tells what it counted since the last tick.
    fn end_rx(&mut self, problem: Problem, batch: &mut Batch, samples: &mut Vec<TalkersSample>) {
        let Ok(counting) = std::mem::replace(&mut self.rx, Err(problem)) else { return };
        drop(counting.attachment);
        let at = clock::now();
        grace_period();
        let folded = last(&counting.counter, &mut self.books.rx, at.mono, batch);
        samples.extend(folded.map(|f| self.sample(Direction::Rx, counting.hook, f, at)));
    }

    /// Whether rx has to be begun anew: an earlier mode could not be had.
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

    /// Second half, a grace period later: what the idle sides hold.
    pub(super) fn read(&mut self, at: Stamp, batch: &mut Batch, samples: &mut Vec<TalkersSample>) {
        let Self { rx, tx, books, .. } = self;
        let rx = rx.as_mut().ok().and_then(|c| read_one(c, &mut books.rx, at.mono, batch));
        let tx = tx.as_mut().ok().and_then(|c| read_one(c, &mut books.tx, at.mono, batch));
        samples.extend(rx.map(|(hook, f)| self.sample(Direction::Rx, hook, f, at)));
        samples.extend(tx.map(|(hook, f)| self.sample(Direction::Tx, hook, f, at)));
    }

    /// Gives a crowded direction the largest table it may have. What the old one counted since
    /// the tick is a sample of its own.
    pub(super) fn grow(&mut self, row: &Row, means: &mut Means, samples: &mut Vec<TalkersSample>) {
        let Self { rx, tx, books, .. } = self;
        let rx =
            rx.as_mut().ok().and_then(|c| grow_one(c, row, Direction::Rx, &mut books.rx, means));
        let tx =
            tx.as_mut().ok().and_then(|c| grow_one(c, row, Direction::Tx, &mut books.tx, means));
        samples.extend(rx.map(|(hook, at, f)| self.sample(Direction::Rx, hook, f, at)));
        samples.extend(tx.map(|(hook, at, f)| self.sample(Direction::Tx, hook, f, at)));
    }

    /// Detaches, reads what was counted since the last tick, and gives the books back.
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
            partial: if direction == Direction::Rx { self.partial.clone() } else { None },
            sources: f.sources,
            let_go: f.let_go,
        }
    }
}

fn is_xdp(hook: Hook) -> bool {
    matches!(hook, Hook::Native | Hook::Generic)
}

/// Loads one direction and attaches the first hook that can be had.
fn begin(
    row: &Row,
    direction: Direction,
    hooks: &[Hook],
    entries: usize,
    book: &mut Ledger,
    means: &mut Means,
) -> Result<Counting, Problem> {
    let kind = LinkKind::of(row.link.arphrd);
    // As many as are held already, twice, or what it begins with.
    let first = (book.len() * 2).max(entries / FIRST_PART).min(entries);
    let counter = Counter::load(direction, kind, first, &mut means.rung)
        .map_err(|e| load_problem(row, &e))?;
    let held = book.open(counter.capacity, entries, clock::mono());
    if let Err(e) = counter.hold(&held, &mut means.batch) {
        // They are admitted again as they come: only a flood in the first interval could differ.
        tracing::warn!("held sources: {e}");
    }
    let (hook, attachment) = attach_first(&counter, row, hooks)?;
    Ok(Counting { attachment, hook, counter, idle: None, most: entries, crowded: false })
}

fn attach_first(
    counter: &Counter,
    row: &Row,
    hooks: &[Hook],
) -> Result<(Hook, Attachment), Problem> {
    let mut first = None;
    for &hook in hooks {
        match attach(counter, row, hook) {
            Ok(attachment) => return Ok((hook, attachment)),
            Err(e) => {
                tracing::info!("{} on {}: {e}", hook.name(), row.link.name.escape_default());
                first.get_or_insert_with(|| choose::refusal(row, hook, &e));
            }
        }
    }
    Err(first.unwrap_or_else(|| Problem::new("watch", "no hook to try", "")))
}

fn attach(counter: &Counter, row: &Row, hook: Hook) -> io::Result<Attachment> {
    if is_xdp(hook) {
        // What a tunnel hands to XDP may begin with the outer headers (skb_pop_mac_header,
        // net/ipv4/ip_gre.c), and a header of another form cannot be told at all.
        let first_is_known = match LinkKind::of(row.link.arphrd) {
            LinkKind::Ethernet => true,
            LinkKind::NoHeader => row.driver.name.as_deref() == Some("tun"),
            LinkKind::Other => false,
        };
        if !first_is_known {
            return Err(io::Error::other("XDP cannot tell where the IP header is on this link"));
        }
        // A program of the other mode may be told as EBUSY, EEXIST or not at all (offload).
        if row.link.xdp.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
    }
    counter.attach(hook, row.link.ifindex)
}

/// Lets the first hook that can be had take over from the present one.
///
/// From generic XDP to an skb hook and back no frame is lost or counted twice: both programs run
/// for one frame in one pass of `__netif_receive_skb_core` on one CPU, XDP first, and the later
/// goes by what the earlier did (talkers.bpf.c). From and to native the frames that are between
/// driver and stack at that instant may be told twice or not at all: nothing marks them.
fn take_over(
    counting: &mut Counting,
    row: &Row,
    hooks: &[Hook],
    features: &mut Features,
    links: &Links,
) -> Result<(), Problem> {
    if is_xdp(counting.hook) {
        // One XDP mode excludes the other, so that an skb hook bridges them.
        let (hook, attachment) = hand_to_skb(counting, row)?;
        counting.hook = hook;
        counting.attachment = attachment;
    }
    let mut first = None;
    for &hook in hooks {
        if hook == counting.hook {
            return Ok(());
        }
        let taken = if is_xdp(hook) {
            features.before(links, row);
            let taken = hand_to_xdp(counting, row, hook);
            features.after(links, row);
            taken
        } else {
            // From one skb hook to the other nothing is gained.
            return Ok(());
        };
        match taken {
            Ok(()) => return Ok(()),
            Err(e) => first.get_or_insert_with(|| choose::refusal(row, hook, &e)),
        };
    }
    Err(first.unwrap_or_else(|| Problem::new("watch", "no hook to try", "")))
}

fn hand_to_skb(counting: &mut Counting, row: &Row) -> Result<(Hook, Attachment), Problem> {
    let control = |counter: &mut Counter, phase| {
        let set = counter.hand_over(phase);
        grace_period();
        set.map_err(|e| Problem::new("change the mode", e.to_string(), ""))
    };
    control(&mut counting.counter, HandOver::Xdp)?;
    let (hook, attachment) = match attach_first(&counting.counter, row, &[Hook::Tcx, Hook::Socket])
    {
        Ok(taken) => taken,
        Err(problem) => {
            control(&mut counting.counter, HandOver::None)?;
            return Err(problem);
        }
    };
    grace_period();
    control(&mut counting.counter, HandOver::Skb)?;
    control(&mut counting.counter, HandOver::SkbAlone)?;
    // The caller drops the XDP attachment by putting this one in its place; XDP counts nothing
    // in this phase, so it does not matter when. `None` would make it count again.
    Ok((hook, attachment))
}

fn hand_to_xdp(counting: &mut Counting, row: &Row, hook: Hook) -> io::Result<()> {
    let control = |counter: &mut Counter, phase| {
        let set = counter.hand_over(phase).map_err(io::Error::other);
        grace_period();
        set
    };
    control(&mut counting.counter, HandOver::SkbAlone)?;
    let attachment = attach(&counting.counter, row, hook)?;
    grace_period();
    control(&mut counting.counter, HandOver::Skb)?;
    control(&mut counting.counter, HandOver::Xdp)?;
    counting.attachment = attachment;
    counting.hook = hook;
    // The skb program is detached by now: XDP may stop leaving word for it.
    grace_period();
    control(&mut counting.counter, HandOver::None)
}

fn load_problem(row: &Row, error: &libbpf_rs::Error) -> Problem {
    let name = crate::model::escape::escape(row.link.name.as_bytes());
    let what = format!("count on {name}");
    if lacks_rights(error) {
        return Problem::new(what, "this needs root", "run it with sudo");
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        let why = "the kernel has no BTF at /sys/kernel/btf/vmlinux";
        return Problem::new(what, why, "use a kernel built with CONFIG_DEBUG_INFO_BTF=y");
    }
    let why = format!("the kernel refused the programs: {error}");
    Problem::new(what, why, "see `ebpftop doctor` and --log FILE")
}

/// Loads a counter with more room and puts it in the place of the present one.
fn grow_one(
    counting: &mut Counting,
    row: &Row,
    direction: Direction,
    book: &mut Ledger,
    means: &mut Means,
) -> Option<(Hook, Stamp, Folded)> {
    if !counting.crowded || counting.counter.capacity >= counting.most {
        return None;
    }
    let kind = LinkKind::of(row.link.arphrd);
    let counter = Counter::load(direction, kind, counting.most, &mut means.rung)
        .inspect_err(|e| {
            tracing::warn!("no larger table: {e}");
            // Not tried again: the smaller one is right too.
            counting.most = counting.counter.capacity;
            book.cannot_grow();
        })
        .ok()?;
    if let Err(e) = counter.hold(&book.held(), &mut means.batch) {
        tracing::warn!("held sources: {e}");
    }
    if let Err(e) = counter.replace(counting.hook, counting.attachment.as_fd()) {
        tracing::warn!("no larger table: {e}");
        counting.most = counting.counter.capacity;
        book.cannot_grow();
        return None;
    }
    let at = clock::now();
    grace_period();
    let old = std::mem::replace(&mut counting.counter, counter);
    counting.crowded = false;
    let folded = last(&old, book, at.mono, &mut means.batch);
    book.open(counting.counter.capacity, counting.most, at.mono);
    folded.map(|f| (counting.hook, at, f))
}

/// Reads, folds and settles the side that a tick turned away from.
fn read_one(
    counting: &mut Counting,
    book: &mut Ledger,
    at: Mono,
    batch: &mut Batch,
) -> Option<(Hook, Folded)> {
    let side = counting.idle.take()?;
    let folded = fold(&counting.counter, side, book, at, batch)?;
    counting.crowded = folded.sources.len() > counting.counter.capacity / 2;
    Some((counting.hook, folded))
}

fn fold(
    counter: &Counter,
    side: Side,
    book: &mut Ledger,
    at: Mono,
    batch: &mut Batch,
) -> Option<Folded> {
    let reading = counter
        .read(side, batch)
        .inspect_err(|e| tracing::warn!("a side cannot be read: {e}"))
        .ok()?;
    let folded = book.fold(side, &reading, at);
    if let Err(e) = counter.settle(side, &folded, batch) {
        tracing::warn!("a side cannot be settled: {e}");
    }
    Some(folded)
}

/// The last reading: nothing is attached any more, and the side that counted stands still.
fn last(counter: &Counter, book: &mut Ledger, at: Mono, batch: &mut Batch) -> Option<Folded> {
    let folded = fold(counter, counter.active, book, at, batch);
    book.close();
    folded
}
