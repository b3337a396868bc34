//! The detail of one address: its traffic by protocol, ports and size, in maps that exist only while
//! a detail view is open.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle, MapType};

use crate::bpf::talkers::types::{detail_key, detail_record};
use crate::model::ledger::{Side, merged};
use crate::model::talkers::{DetailSample, Flow, FlowKind, SIZES};
use crate::model::time::{Mono, Stamp};
use crate::sys::percpu::{Batch, DETAIL_KEY_BYTES, VALUE_BYTES, counted};

/// Memory of the detail map of one side. It is emptied at each tick, so it holds one interval.
const BUDGET_BYTES: usize = 2 << 20;
const MIN_ENTRIES: usize = 512;
const MAX_ENTRIES: usize = 4_096;
/// Bytes that the kernel needs for an entry in addition to the CPUs' values.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// How many pairs of ports one side has room for on `cpus` possible CPUs.
pub(super) fn entries_for(cpus: usize) -> usize {
    (BUDGET_BYTES / (ENTRY_OVERHEAD_BYTES + cpus * VALUE_BYTES)).clamp(MIN_ENTRIES, MAX_ENTRIES)
}

/// The detail of one address in one counter.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) ip: IpAddr,
    since: Mono,
    since_text: String,
    cpus: usize,
    /// One for each side, or why there are none.
    maps: Result<[MapHandle; 2], String>,
}

impl Detail {
    /// Makes the maps.
    pub(super) fn new(ip: IpAddr, cpus: usize) -> Self {
        Self { ip, since: Mono::default(), since_text: String::new(), cpus, maps: maps(cpus) }
    }

    /// Everything from `at` on is in the maps.
    pub(super) fn began(&mut self, at: Stamp) {
        let nanoseconds = i128::from(at.wall.unix_ns(at.mono));
        let wall = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
        let wall = wall.to_zoned(jiff::tz::TimeZone::system());
        self.since = at.mono;
        self.since_text = wall.strftime("%H:%M:%S").to_string();
    }

    /// The same detail, for a counter that replaces this one's.
    pub(super) fn again(&self) -> Self {
        Self { since_text: self.since_text.clone(), maps: maps(self.cpus), ..*self }
    }

    /// Puts the maps where the programs find them.
    pub(super) fn open(&self, outer: &MapHandle, records: &MapHandle) {
        for (side, map) in self.maps.iter().flatten().enumerate() {
            let side = u32::try_from(side).unwrap_or(0).to_ne_bytes();
            let map = map.as_fd().as_raw_fd().to_ne_bytes();
            let put = outer.update(&side, &map, MapFlags::ANY);
            if let Err(e) = put.and_then(|()| clear(records, side)) {
                tracing::warn!("the table for the detail of an address: {e}");
            }
        }
    }

    /// Takes the maps away from the programs.
    pub(super) fn close(outer: &MapHandle) {
        for side in [0u32, 1] {
            if let Err(e) = outer.delete(&side.to_ne_bytes()) {
                tracing::debug!("the table for the detail of an address: {e}");
            }
        }
    }

    /// Empties the side on which no program counts.
    pub(super) fn take(&self, side: Side, records: &MapHandle) -> DetailSample {
        let mut sample = DetailSample {
            ip: Some(self.ip),
            since: self.since,
            since_text: self.since_text.clone(),
            ..DetailSample::default()
        };
        let taken = match &self.maps {
            Ok([zero, one]) => {
                let map = if side == Side::One { one } else { zero };
                self.take_flows(map, &mut sample).and_then(|()| {
                    let side = u32::from(side == Side::One).to_ne_bytes();
                    take_records(records, side, &mut sample).map_err(|e| e.to_string())
                })
            }
            Err(why) => Err(why.clone()),
        };
        sample.problem = taken.err();
        sample
    }

    fn take_flows(&self, map: &MapHandle, sample: &mut DetailSample) -> Result<(), String> {
        let read = Batch::of_details(self.cpus).take(map.as_fd(), |key, values| {
            sample.flows.extend(flow(key).map(|flow| (flow, merged(values))));
        });
        read.map_err(|e| format!("a table cannot be read: {e}"))
    }
}

fn maps(cpus: usize) -> Result<[MapHandle; 2], String> {
    let make = || {
        let opts = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
            ..Default::default()
        };
        let entries = u32::try_from(entries_for(cpus)).unwrap_or(u32::MAX);
        let (key, value) = (DETAIL_KEY_BYTES as u32, VALUE_BYTES as u32);
        MapHandle::create(MapType::PercpuHash, Some("detail"), key, value, entries, &opts).map_err(
            |e| match e.kind() {
                // The privilege to create maps was dropped after the start.
                ErrorKind::PermissionDenied => "start without --lock to see it".into(),
                _ => format!("the kernel makes no table for it: {e}"),
            },
        )
    };
    Ok([make()?, make()?])
}

fn clear(records: &MapHandle, side: [u8; 4]) -> libbpf_rs::Result<()> {
    let mut values = records.lookup_percpu(&side, MapFlags::ANY)?.unwrap_or_default();
    values.iter_mut().for_each(|v| v.fill(0));
    records.update_percpu(&side, &values, MapFlags::ANY)
}

fn take_records(
    records: &MapHandle,
    side: [u8; 4],
    sample: &mut DetailSample,
) -> libbpf_rs::Result<()> {
    for value in records.lookup_percpu(&side, MapFlags::ANY)?.unwrap_or_default() {
        let mut record = detail_record::default();
        if plain::copy_from_bytes(&mut record, &value).is_err() {
            continue;
        }
        sample.all = sample.all + counted(&record.all);
        sample.left = sample.left + counted(&record.left);
        for (sum, size) in sample.sizes.iter_mut().zip(record.sizes) {
            *sum += size;
        }
    }
    clear(records, side)
}

fn flow(key: &[u8]) -> Option<Flow> {
    let mut detail = detail_key::default();
    plain::copy_from_bytes(&mut detail, key).ok()?;
    let low = |n: u16| u8::try_from(n & 0xff).unwrap_or(0);
    let what = match detail.kind {
        0 => FlowKind::Other,
        1 => FlowKind::Ports { there: detail.there, here: detail.here },
        2 => FlowKind::Icmp { kind: low(detail.there), code: low(detail.here) },
        3 => FlowKind::Fragment,
        _ => FlowKind::Short,
    };
    Some(Flow { proto: detail.proto, what })
}

const _: () = assert!(size_of::<detail_record>() == (4 + SIZES) * 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let [a, b] = 443u16.to_ne_bytes();
        let [c, d] = 50_000u16.to_ne_bytes();
        let ports = Flow { proto: 6, what: FlowKind::Ports { there: 443, here: 50_000 } };
        assert_eq!(flow(&[a, b, c, d, 6, 1, 0, 0]), Some(ports));
        let [a, b] = 8u16.to_ne_bytes();
        let echo = Flow { proto: 1, what: FlowKind::Icmp { kind: 8, code: 0 } };
        assert_eq!(flow(&[a, b, 0, 0, 1, 2, 0, 0]), Some(echo));
        assert_eq!(flow(&[0; 7]), None);
    }

    #[test]
    fn the_tables_fit_the_budget() {
        assert_eq!(entries_for(2), MAX_ENTRIES);
        for cpus in [1, 16, 128] {
            let bytes = entries_for(cpus) * (ENTRY_OVERHEAD_BYTES + cpus * VALUE_BYTES);
            assert!(bytes <= BUDGET_BYTES, "{cpus}");
        }
        assert_eq!(entries_for(8_192), MIN_ENTRIES);
    }
}
