//! Empties the ring on a timer and hands on what it held.
//!
//! The program writes without waking anybody: a wake-up for each event is what makes the
//! peers slow. While the reader of the channel is slow this waits, the ring fills, and what
//! does not fit is counted by the program that could not write it.

use std::cell::RefCell;
use std::sync::mpsc;
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, RingBufferBuilder};

use super::attach::Attached;
use super::decode::decode;
use crate::bpf::opens::types::open_counts;
use crate::model::open::{OpenBatch, OpenCounts};
use crate::probes::{ProbeEvent, Sink, clock, grace_period};

/// Between drains. At 16 MiB the ring holds 100 ms of the fastest that two cores can open.
const DRAIN_EVERY: Duration = Duration::from_millis(20);

/// Opens in one batch: bounds the memory that waits in the channel to about 0.5 MiB a batch.
const BATCH_OPENS: usize = 2_048;

/// Drains until told to stop, then detaches and drains what is left.
pub(super) fn drain(
    attached: Attached<'_>,
    stopped: &mpsc::Receiver<()>,
    sink: &Sink,
) -> libbpf_rs::Result<()> {
    let Attached { links, skel, info: _ } = attached;
    let batch = RefCell::new(OpenBatch::default());
    let malformed = RefCell::new(0u64);
    let mut builder = RingBufferBuilder::new();
    builder.add(&skel.maps.ring, |record| {
        if decode(record, &mut batch.borrow_mut()).is_err() {
            *malformed.borrow_mut() += 1;
        }
        // Anything else would end the whole consume.
        0
    })?;
    let ring = builder.build()?;
    let mut told = OpenCounts::default();

    // Sends all the ring holds; false when nobody listens any more.
    let mut empty_ring = || -> libbpf_rs::Result<bool> {
        loop {
            let read = ring.consume_raw_n(BATCH_OPENS);
            if read < 0 {
                return Err(libbpf_rs::Error::from_raw_os_error(-read));
            }
            let counts =
                OpenCounts { malformed: *malformed.borrow(), ..read_counts(&skel.maps.counts)? };
            let mut full = batch.take();
            if full.is_empty() && counts.lost == told.lost && counts.malformed == told.malformed {
                return Ok(true);
            }
            told = counts;
            full.sort_by_time();
            full.wall = clock::wall_offset();
            full.counts = counts;
            if sink.blocking_send(ProbeEvent::Opens(full)).is_err() {
                return Ok(false);
            }
            if usize::try_from(read).unwrap_or(0) < BATCH_OPENS {
                return Ok(true);
            }
        }
    };

    loop {
        if !empty_ring()? {
            return Ok(());
        }
        match stopped.recv_timeout(DRAIN_EVERY) {
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    drop(links);
    // A program that was running when its link went has written its record after this.
    grace_period();
    empty_ring()?;
    let counts = OpenCounts { malformed: *malformed.borrow(), ..read_counts(&skel.maps.counts)? };
    let _ = sink.blocking_send(ProbeEvent::OpensEnded(counts));
    Ok(())
}

/// The sums over the CPUs.
fn read_counts(map: &impl MapCore) -> libbpf_rs::Result<OpenCounts> {
    let mut sum = OpenCounts::default();
    let values = map.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
    for value in values {
        let mut counts = open_counts::default();
        if plain::copy_from_bytes(&mut counts, &value).is_ok() {
            sum.seen += counts.seen;
            sum.lost += counts.lost;
        }
    }
    Ok(sum)
}
