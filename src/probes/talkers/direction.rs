//! One direction of a watched interface: a counter, its hook, and its ledger.

use std::io;
use std::os::fd::AsFd;

use super::bpf_object::Counter;
use super::choose::{self, LinkKind};
use super::interface::Row;
use crate::bpf::btf;
use crate::clock;
use crate::model::ledger::{Folded, Ledger, Side};
use crate::model::link::Hook;
use crate::model::problem::Problem;
use crate::model::talkers::Direction;
use crate::model::time::{Mono, Stamp};
use crate::probes::grace_period;
use crate::probes::refusal::{LoadError, Refusal};
use crate::sys::attachment::Attachment;
use crate::sys::percpu::Batch;

/// A counter with a hook on the interface. The attachment is declared first, so it is dropped first.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) attachment: Attachment,
    pub(super) hook: Hook,
    pub(super) counter: Counter,
    /// The side that was turned away from at this tick, until it is read.
    pub(super) idle: Option<Side>,
    /// How many entries a side may have in the end.
    pub(super) most: usize,
    /// More than half of the hash was in use at the last tick.
    pub(super) crowded: bool,
}

/// Properties of the machine that loading needs, and programs that the kernel refused.
#[derive(Debug)]
pub(super) struct Means {
    /// Programs that this kernel refused.
    pub(super) refused: Vec<Refusal>,
    pub(super) batch: Batch,
    /// Possible CPUs.
    pub(super) cpus: usize,
    /// A table begins with this part of its maximum.
    pub(super) first_part: usize,
}

pub(super) fn is_xdp(hook: Hook) -> bool {
    matches!(hook, Hook::Native | Hook::Generic)
}

/// Loads one direction and attaches the first hook that can be had.
pub(super) fn begin(
    row: &Row,
    direction: Direction,
    hooks: &[Hook],
    entries: usize,
    book: &mut Ledger,
    means: &mut Means,
) -> Result<Counting, Problem> {
    let kind = LinkKind::of(row.link.arphrd);
    // As many as are held already, twice, or what it begins with.
    let first = (book.len() * 2).max(entries / means.first_part).min(entries);
    let counter = Counter::load(direction, kind, first, &mut means.refused)
        .map_err(|e| load_problem(row, &e))?;
    let held = book.open(counter.capacity, entries, clock::mono());
    if let Err(e) = counter.hold(&held, &mut means.batch) {
        // They are admitted again as they come: only a flood in the first interval could differ.
        tracing::warn!("held sources: {e}");
    }
    let (hook, attachment) = attach_first(&counter, row, hooks)?;
    Ok(Counting { attachment, hook, counter, idle: None, most: entries, crowded: false })
}

pub(super) fn attach_first(
    counter: &Counter,
    row: &Row,
    hooks: &[Hook],
) -> Result<(Hook, Attachment), Problem> {
    let mut first = None;
    for &hook in hooks {
        match attach(counter, row, hook) {
            Ok(attachment) => return Ok((hook, attachment)),
            Err(e) => {
                tracing::info!("{} on {}: {e}", hook.name(), row.link.name);
                first.get_or_insert_with(|| choose::refusal(row, hook, &e));
            }
        }
    }
    Err(first.unwrap_or_else(|| Problem::new("watch", "no hook to try", "")))
}

pub(super) fn attach(counter: &Counter, row: &Row, hook: Hook) -> io::Result<Attachment> {
    if is_xdp(hook) {
        // A tunnel may hand frames with the outer headers to XDP (skb_pop_mac_header,
        // net/ipv4/ip_gre.c), and XDP cannot parse a link header of another form.
        let first_is_known = match LinkKind::of(row.link.arphrd) {
            LinkKind::Ethernet => true,
            LinkKind::NoHeader => row.driver.name.as_deref() == Some("tun"),
            LinkKind::Other => false,
        };
        if !first_is_known {
            return Err(io::Error::other("XDP cannot find the IP header on this link"));
        }
        // For a program in the other mode the kernel answers EBUSY, EEXIST or nothing (offload).
        if row.link.xdp.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
    }
    counter.attach(hook, row.link.ifindex)
}

fn load_problem(row: &Row, error: &LoadError) -> Problem {
    let what = format!("count on {}", row.link.name);
    if let Some(fix) = error.fix() {
        return Problem::new(what, error.to_string(), fix);
    }
    if !btf::known() {
        let (why, fix) = btf::unknown();
        return Problem::new(what, why, fix);
    }
    Problem::new(what, error.to_string(), "see `ebpftop doctor` and --log FILE")
}

/// Loads a counter with more room and puts it in the place of the present one.
pub(super) fn grow_one(
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
    let mut counter = Counter::load(direction, kind, counting.most, &mut means.refused)
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
    if let Some(detail) = counting.counter.detail() {
        counter.open_detail(detail.again(), true);
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
pub(super) fn read_one(
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

/// Reads and settles the side that was turned away from in the middle of an interval; what it
/// counted is part of the next tick's sample.
pub(super) fn absorb_one(counting: &mut Counting, book: &mut Ledger, at: Mono, batch: &mut Batch) {
    let Some(side) = counting.idle.take() else { return };
    match counting.counter.read(side, batch) {
        Ok(reading) => {
            let folded = book.absorb(side, &reading, at);
            if let Err(e) = counting.counter.settle(side, &folded, batch) {
                tracing::warn!("a side cannot be settled: {e}");
            }
        }
        Err(e) => tracing::warn!("a side cannot be read: {e}"),
    }
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
    let mut folded = book.fold(side, &reading, at);
    folded.detail = counter.take_detail(side);
    if let Err(e) = counter.settle(side, &folded, batch) {
        tracing::warn!("a side cannot be settled: {e}");
    }
    Some(folded)
}

/// The last reading: nothing is attached any more, so no side changes.
pub(super) fn last(
    counter: &Counter,
    book: &mut Ledger,
    at: Mono,
    batch: &mut Batch,
) -> Option<Folded> {
    let folded = fold(counter, counter.active, book, at, batch);
    book.close();
    folded
}
