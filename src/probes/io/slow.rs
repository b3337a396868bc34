//! Slow calls, as the model has them: pure but for the ring.

use std::cell::RefCell;

use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};

use super::attach::SLOW_RING_BYTES;
use crate::bpf::io::IoSkel;
use crate::bpf::io::types::slow_record;
use crate::clock;
use crate::model::event::ProbeEvent;
use crate::model::file_io::{FilePlace, FileType};
use crate::model::open::Comm;
use crate::model::process::ProcessKey;
use crate::model::slow_call::{IoCall, SlowCall, SlowCalls};
use crate::model::time::Mono;
use crate::probes::Sink;
use crate::probes::opens::names::Names;
use crate::probes::opens::record::kind_of;

/// Maximum records in one batch.
pub(super) const BATCH_RECORDS: usize = 2_048;
/// As many batches as a full ring has: each record has a header of 8 bytes (`BPF_RINGBUF_HDR_SZ`).
pub(super) const BATCHES: usize =
    (SLOW_RING_BYTES as usize / (size_of::<slow_record>() + 8)).div_ceil(BATCH_RECORDS);
/// Bytes of the paths of one event.
const PART_BYTES: usize = 1 << 20;

/// Takes records of slow calls out of their ring.
pub(super) struct SlowReader<'a> {
    ring: RingBuffer<'a>,
    records: &'a RefCell<Vec<slow_record>>,
    /// The number lost as of the last event.
    lost: u64,
}

impl<'a> SlowReader<'a> {
    pub(super) fn new(
        skel: &IoSkel<'_>,
        records: &'a RefCell<Vec<slow_record>>,
    ) -> libbpf_rs::Result<Self> {
        let mut builder = RingBufferBuilder::new();
        builder.add(&skel.maps.slow_calls, |bytes| {
            let mut record = slow_record::default();
            if plain::copy_from_bytes(&mut record, bytes).is_ok() {
                records.borrow_mut().push(record);
            }
            0
        })?;
        Ok(Self { ring: builder.build()?, records, lost: 0 })
    }

    /// Takes records, at most a batch; how many. The names that they refer to stand in their ring by then.
    pub(super) fn consume(&self) -> libbpf_rs::Result<usize> {
        let taken = self.ring.consume_raw_n(BATCH_RECORDS);
        usize::try_from(taken).map_err(|_| libbpf_rs::Error::from_raw_os_error(-taken))
    }

    /// Sends the calls that were taken; false where the receiver has gone.
    pub(super) fn send(
        &mut self,
        skel: &IoSkel<'_>,
        names: &Names,
        sink: &Sink,
    ) -> libbpf_rs::Result<bool> {
        let lost = lost(skel)?;
        let records = std::mem::take(&mut *self.records.borrow_mut());
        if records.is_empty() && lost == self.lost {
            return Ok(true);
        }
        self.lost = lost;
        let mut calls = records.iter().filter_map(|record| slow_call(record, names)).peekable();
        loop {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while bytes < PART_BYTES
                && let Some(call) = calls.next()
            {
                bytes += call.path().map_or(0, <[u8]>::len);
                part.push(call);
            }
            let part = SlowCalls { calls: part, lost, wall: clock::wall_offset() };
            if sink.blocking_send(ProbeEvent::SlowCalls(part)).is_err() {
                return Ok(false);
            }
            if calls.peek().is_none() {
                return Ok(true);
            }
        }
    }
}

/// Slow calls that found no room since the start.
fn lost(skel: &IoSkel<'_>) -> libbpf_rs::Result<u64> {
    let values = skel.maps.slow_lost.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)?;
    let one = |value: &Vec<u8>| value.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    Ok(values.unwrap_or_default().iter().map(one).sum())
}

/// The call of a record; `None` for a number that no such call has.
fn slow_call(record: &slow_record, names: &Names) -> Option<SlowCall> {
    let kind = kind_of(record.resolved).unwrap_or_default();
    let place = kind.and_then(|kind| {
        let path = names.get(record.place)?.into();
        Some(FilePlace { kind, path })
    });
    Some(SlowCall {
        at: Mono(record.ts_ns),
        took_ns: record.duration_ns,
        key: ProcessKey { tgid: record.tgid, start_boottime_ns: record.start_boottime_ns },
        tid: record.tid,
        uid: record.uid,
        comm: Comm(record.names.comm),
        process: Comm(record.names.process),
        cgroup_id: (record.cgroup_id != 0).then_some(record.cgroup_id),
        call: call_of(record.call)?,
        writes: record.writes != 0,
        file_type: FileType::of_mode(record.r#type),
        place,
        ret: record.ret,
    })
}

/// `IO_URING_CALL` of io.h.
const IO_URING_CALL: u32 = u32::MAX;

pub(super) fn call_of(number: u32) -> Option<IoCall> {
    if number == IO_URING_CALL {
        return Some(IoCall::IoUring);
    }
    Some(match i64::from(number) {
        libc::SYS_read => IoCall::Read,
        libc::SYS_pread64 => IoCall::Pread64,
        libc::SYS_readv => IoCall::Readv,
        libc::SYS_preadv => IoCall::Preadv,
        libc::SYS_preadv2 => IoCall::Preadv2,
        libc::SYS_write => IoCall::Write,
        libc::SYS_pwrite64 => IoCall::Pwrite64,
        libc::SYS_writev => IoCall::Writev,
        libc::SYS_pwritev => IoCall::Pwritev,
        libc::SYS_pwritev2 => IoCall::Pwritev2,
        libc::SYS_sendfile => IoCall::Sendfile,
        libc::SYS_tee => IoCall::Tee,
        libc::SYS_splice => IoCall::Splice,
        libc::SYS_copy_file_range => IoCall::CopyFileRange,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::opens::names::Place;

    #[test]
    fn odd_records_do_no_harm() {
        let mut names = Names::default();
        names.insert(9, 0, Place::Tree(b"log\0var\0"));
        let read = u32::try_from(libc::SYS_read).unwrap();
        let record =
            slow_record { call: read, place: 9, resolved: 1, ret: -5, ..Default::default() };
        let call = slow_call(&record, &names).unwrap();
        assert_eq!((call.path(), call.errno()), (Some(&b"/var/log"[..]), Some(5)));
        let odd = slow_record { resolved: 99, r#type: 0xff, ret: i64::MIN, ..record };
        let call = slow_call(&odd, &names).unwrap();
        assert_eq!((call.path(), call.errno(), call.moved()), (None, Some(i32::MAX), None));
        assert_eq!(slow_call(&slow_record { call: u32::MAX - 1, ..record }, &names), None);
    }
}
