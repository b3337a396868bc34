//! One loaded object: the programs and the two-sided maps of one interface and direction.
//!
//! It knows the maps' layout and the order of steps that keeps them consistent. It does not
//! know which hook is right, nor what the numbers mean.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject, ProgramMut};

use super::choose::LinkKind;
use super::detail::Detail;
use crate::bpf::btf;
use crate::bpf::talkers::types::{side_record, source_key, traffic};
use crate::bpf::talkers::{TalkersSkel, TalkersSkelBuilder};
use crate::model::coverage::Missing;
use crate::model::ledger::{COUNT_BYTES, Folded, Reading, Side, merged};
use crate::model::link::Hook;
use crate::model::talkers::{DetailSample, Direction};
use crate::model::time::Stamp;
use crate::probes::programs::{self, Choice, Load, Object, PACKET_SOCKET, TCX_RX, TCX_TX, XDP};
use crate::probes::refusal::{LoadError, Refusal};
use crate::sys::attachment::Attachment;
use crate::sys::percpu::{self, Batch, KEY_BYTES, VALUE_BYTES, counted};
use crate::sys::xdp::XdpHook;
use crate::sys::{packet_socket, tcx, xdp};

/// The most entries of one side: the ledger evicts so that a quarter stays free for new sources, and
/// 65,536 sources are held.
const MAX_ENTRIES: usize = 87_381;
const MIN_ENTRIES: usize = 1_024;

/// A table begins with this part of its maximum. Every entry is made when the map
/// is (an insertion must not fail for want of memory), which takes a microsecond each and CPU:
/// with all of them a switch would wait for a third of a second.
pub(super) const FIRST_PART: usize = 8;

/// Bytes that the kernel needs for an entry in addition to the CPUs' values: element, key, pointer,
/// bucket and the allocator's rounding (kernel/bpf/hashtab.c).
const ENTRY_OVERHEAD_BYTES: usize = 112;

/// How many entries a side fits into `budget_bytes` for both sides, on `cpus` possible CPUs.
pub(super) fn entries_for(cpus: usize, budget_bytes: usize) -> usize {
    let entry = ENTRY_OVERHEAD_BYTES + cpus * VALUE_BYTES;
    (budget_bytes / (2 * entry)).clamp(MIN_ENTRIES, MAX_ENTRIES)
}

const _: () = assert!(VALUE_BYTES == COUNT_BYTES);

/// A bit of `talkers_control.active` (talkers.h).
const DETAIL_COUNTED: u32 = 2;

/// Values of `enum hand_over`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum HandOver {
    None = 0,
    Xdp = 1,
    Skb = 2,
    SkbAlone = 3,
}

/// How the object is opened.
struct Form {
    direction: Direction,
    kind: LinkKind,
    capacity: usize,
}

impl Form {
    fn open_and_load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> libbpf_rs::Result<TalkersSkel<'obj>> {
        let mut builder = TalkersSkelBuilder::default();
        btf::prepare(&mut builder.obj_builder)?;
        builder.plain = btf::from_file();
        let mut open = builder.open(storage)?;
        let entries = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        open.maps.side_0.set_max_entries(entries)?;
        open.maps.side_1.set_max_entries(entries)?;
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.direction = u32::from(self.direction == Direction::Tx);
            rodata.link_kind = self.kind.number();
        }
        choice.prepare(open.open_object_mut());
        open.load()
    }

    fn keep(&self, skel: &TalkersSkel<'_>, choice: &Choice) -> libbpf_rs::Result<Counter> {
        let program = |program: &ProgramMut<'_>, name| -> libbpf_rs::Result<_> {
            Ok(choice.uses(name).then(|| program.as_fd().try_clone_to_owned()).transpose()?)
        };
        let progs = &skel.progs;
        let xdp = program(&progs.xdp_frags, "xdp_frags")?;
        let tcx = program(&progs.tcx_ingress, "tcx_ingress")?;
        Ok(Counter {
            direction: self.direction,
            xdp: xdp.map_or_else(|| program(&progs.xdp_plain, "xdp_plain"), |xdp| Ok(Some(xdp)))?,
            tcx: tcx
                .map_or_else(|| program(&progs.tcx_egress, "tcx_egress"), |tcx| Ok(Some(tcx)))?,
            socket: program(&progs.socket_filter, "socket_filter")?,
            missing: Vec::new(),
            control: MapHandle::try_from(&skel.maps.bss)?,
            phase: HandOver::None,
            sides: [
                MapHandle::try_from(&skel.maps.side_0)?,
                MapHandle::try_from(&skel.maps.side_1)?,
            ],
            records: MapHandle::try_from(&skel.maps.records)?,
            detail_maps: MapHandle::try_from(&skel.maps.detail_maps)?,
            detail_records: MapHandle::try_from(&skel.maps.detail_records)?,
            detail: None,
            counts_detail: false,
            capacity: self.capacity,
            active: Side::Zero,
        })
    }
}

impl Load for Form {
    type Loaded<'obj> = Counter;

    fn load(
        &self,
        storage: &mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Counter, LoadError> {
        let skel = self.open_and_load(storage, choice).map_err(LoadError::of_load)?;
        self.keep(&skel, choice).map_err(LoadError::Other)
    }
}

/// The loaded programs and maps. Descriptors only: the object itself is gone after loading.
#[derive(Debug)]
pub(super) struct Counter {
    direction: Direction,
    xdp: Option<OwnedFd>,
    tcx: Option<OwnedFd>,
    socket: Option<OwnedFd>,
    /// Features that this kernel refused.
    missing: Vec<Missing>,
    /// `struct talkers_control`, in .bss.
    control: MapHandle,
    phase: HandOver,
    sides: [MapHandle; 2],
    records: MapHandle,
    detail_maps: MapHandle,
    detail_records: MapHandle,
    /// The address whose detail is counted.
    detail: Option<Detail>,
    /// The programs count the detail: from the first turn after it was asked for.
    counts_detail: bool,
    pub(super) capacity: usize,
    pub(super) active: Side,
}

impl Counter {
    /// Loads the programs of one direction for frames of `kind`, but for those that the kernel is
    /// known to have `refused`; what it refuses now is added to these.
    pub(super) fn load(
        direction: Direction,
        kind: LinkKind,
        capacity: usize,
        refused: &mut Vec<Refusal>,
    ) -> Result<Self, LoadError> {
        let other = match direction {
            Direction::Rx => [TCX_TX, ""],
            Direction::Tx => [TCX_RX, XDP],
        };
        let mut choice = Choice::of(Object::Talkers);
        for feature in other {
            choice = choice.without(feature);
        }
        for refusal in refused.iter() {
            choice.refuse(refusal);
        }
        let mut storage = programs::storage();
        let form = Form { direction, kind, capacity };
        let (counter, choice) = programs::load(&form, &mut storage, choice)?;
        for refusal in choice.refused() {
            if !refused.contains(refusal) {
                refused.push(refusal.clone());
            }
        }
        Ok(Self { missing: choice.missing(), ..counter })
    }

    /// The ids of the programs that an interface may carry, which distinguish ours from others'.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        let programs = self.xdp.iter().chain(&self.tcx);
        programs.filter_map(|p| libbpf_rs::Program::id_from_fd(p.as_fd()).ok())
    }

    /// Attaches the program for `hook`; it stays until the attachment is dropped.
    pub(super) fn attach(&self, hook: Hook, ifindex: u32) -> io::Result<Attachment> {
        let program = self.program(hook)?;
        match hook {
            Hook::Native => xdp::attach(program, ifindex, XdpHook::Native),
            Hook::Generic => xdp::attach(program, ifindex, XdpHook::Generic),
            Hook::Tcx => tcx::attach(program, ifindex, self.direction),
            Hook::Socket => packet_socket::attach(program, ifindex, self.direction),
        }
    }

    fn program(&self, hook: Hook) -> io::Result<BorrowedFd<'_>> {
        let (program, feature) = match hook {
            Hook::Native | Hook::Generic => (&self.xdp, XDP),
            Hook::Tcx if self.direction == Direction::Rx => (&self.tcx, TCX_RX),
            Hook::Tcx => (&self.tcx, TCX_TX),
            Hook::Socket => (&self.socket, PACKET_SOCKET),
        };
        let refused = || {
            let why = self.missing.iter().find(|missing| missing.feature == feature);
            io::Error::other(why.map_or("not loaded", |missing| &missing.error).to_owned())
        };
        program.as_ref().map(AsFd::as_fd).ok_or_else(refused)
    }

    /// Features that this kernel refused.
    pub(super) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Puts this counter's program in the place of the one that is attached: every frame is
    /// counted by the one or the other.
    pub(super) fn replace(&self, hook: Hook, attachment: BorrowedFd<'_>) -> io::Result<()> {
        let program = self.program(hook)?;
        match hook {
            Hook::Native | Hook::Generic | Hook::Tcx => xdp::replace(attachment, program),
            Hook::Socket => packet_socket::replace(attachment, program),
        }
    }

    /// Has frames counted on the other side from now on. The side that counted until now stands
    /// still only after a grace period.
    pub(super) fn turn(&mut self) -> libbpf_rs::Result<Side> {
        let idle = self.active;
        self.active = idle.other();
        self.counts_detail = self.detail.is_some();
        self.write_control()?;
        Ok(idle)
    }

    /// Prepares to count the detail of an address, which begins with the next turn; at once where it
    /// continues in this counter instead of another.
    pub(super) fn open_detail(&mut self, detail: Detail, goes_on: bool) {
        detail.open(&self.detail_maps, &self.detail_records);
        self.detail = Some(detail);
        // The address alone at first: programs read it only once the bit is set.
        if let Err(e) = self.write_control() {
            tracing::warn!("the detail of an address is not counted: {e}");
        }
        if goes_on {
            self.counts_detail = true;
            if let Err(e) = self.write_control() {
                tracing::warn!("the detail of an address is not counted: {e}");
            }
        }
    }

    /// The detail began with the turn at this time.
    pub(super) fn detail_began(&mut self, at: Stamp) {
        if let Some(detail) = &mut self.detail {
            detail.began(at);
        }
    }

    /// The address whose detail is counted.
    pub(super) fn detail(&self) -> Option<&Detail> {
        self.detail.as_ref()
    }

    /// Stops counting the detail; a grace period later the maps may be dropped
    /// ([`Counter::drop_detail`]).
    pub(super) fn close_detail(&mut self) {
        self.counts_detail = false;
        if let Err(e) = self.write_control() {
            tracing::warn!("the detail of an address is still counted: {e}");
        }
    }

    /// Drops the maps of the detail.
    pub(super) fn drop_detail(&mut self) {
        if self.detail.take().is_some() {
            Detail::close(&self.detail_maps);
        }
    }

    /// Takes the detail out of a side on which no program counts.
    pub(super) fn take_detail(&self, side: Side) -> Option<DetailSample> {
        let detail = self.detail.as_ref().filter(|_| self.counts_detail)?;
        Some(detail.take(side, &self.detail_records))
    }

    /// The program that counts from now on, where two are attached.
    pub(super) fn hand_over(&mut self, phase: HandOver) -> libbpf_rs::Result<()> {
        self.phase = phase;
        self.write_control()
    }

    fn write_control(&self) -> libbpf_rs::Result<()> {
        let detail = if self.counts_detail { DETAIL_COUNTED } else { 0 };
        let active = u32::from(self.active == Side::One) | detail;
        let mut control = active.to_ne_bytes().to_vec();
        control.extend((self.phase as u32).to_ne_bytes());
        match &self.detail {
            Some(detail) => control.extend(keys(&[detail.ip])),
            None => control.extend([0; KEY_BYTES]),
        }
        self.control.update(&0u32.to_ne_bytes(), &control, MapFlags::ANY)
    }

    fn side(&self, side: Side) -> BorrowedFd<'_> {
        let [zero, one] = &self.sides;
        match side {
            Side::Zero => zero.as_fd(),
            Side::One => one.as_fd(),
        }
    }

    /// Reads a side on which no program counts, and clears its cache records: the reading has them.
    pub(super) fn read(&self, side: Side, batch: &mut Batch) -> io::Result<Reading> {
        let mut reading = Reading::default();
        batch.read(self.side(side), |key, values| {
            let Some(ip) = address(key) else { return };
            reading.sources.push((ip, merged(values)));
        })?;
        self.read_records(side, &mut reading).map_err(io::Error::other)?;
        Ok(reading)
    }

    fn read_records(&self, side: Side, reading: &mut Reading) -> libbpf_rs::Result<()> {
        let key = u32::from(side == Side::One).to_ne_bytes();
        let mut values = self.records.lookup_percpu(&key, MapFlags::ANY)?.unwrap_or_default();
        let mut cleared = false;
        for value in &mut values {
            let mut record = side_record::default();
            if plain::copy_from_bytes(&mut record, value).is_err() {
                continue;
            }
            reading.total = reading.total + counted(&record.total);
            if let Some(ip) = key_address(&record.last_key) {
                reading.cached.push((ip, counted(&record.last)));
                record.last_key = source_key::default();
                record.last = traffic::default();
                *value = percpu::record_bytes(&record).to_vec();
                cleared = true;
            }
        }
        if cleared {
            self.records.update_percpu(&key, &values, MapFlags::ANY)?;
        }
        Ok(())
    }

    /// Changes a side on which no program counts as the ledger asks.
    pub(super) fn settle(&self, side: Side, folded: &Folded, batch: &mut Batch) -> io::Result<()> {
        percpu::delete(self.side(side), &keys(&folded.remove))?;
        batch.insert_zero(self.side(side), &keys(&folded.insert))
    }

    /// Puts held sources into both sides, before anything is attached.
    pub(super) fn hold(&self, held: &[IpAddr], batch: &mut Batch) -> io::Result<()> {
        let keys = keys(held);
        batch.insert_zero(self.side(Side::Zero), &keys)?;
        batch.insert_zero(self.side(Side::One), &keys)
    }
}

fn address(key: &[u8]) -> Option<IpAddr> {
    let mut source = source_key::default();
    plain::copy_from_bytes(&mut source, key).ok()?;
    key_address(&source)
}

/// The address; `None` in an empty record.
fn key_address(key: &source_key) -> Option<IpAddr> {
    let [a, b, c, d] = key.addr.map(u32::to_ne_bytes);
    match key.family {
        4 => Some(IpAddr::V4(Ipv4Addr::from(a))),
        6 => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip([a, b, c, d].as_flattened()) {
                *to = *from;
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// The map keys of `addresses`, one after the other.
fn keys(addresses: &[IpAddr]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(addresses.len() * KEY_BYTES);
    for ip in addresses {
        let family: u32 = match ip {
            IpAddr::V4(v4) => {
                bytes.extend_from_slice(&v4.octets());
                bytes.extend_from_slice(&[0; 12]);
                4
            }
            IpAddr::V6(v6) => {
                bytes.extend_from_slice(&v6.octets());
                6
            }
        };
        bytes.extend_from_slice(&family.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let all: [IpAddr; 3] = [
            "192.0.2.1".parse().unwrap(),
            "::ffff:192.0.2.1".parse().unwrap(),
            "2001:db8::17".parse().unwrap(),
        ];
        let bytes = keys(&all);
        let back: Vec<_> = bytes.chunks(KEY_BYTES).map(|k| address(k).unwrap()).collect();
        assert_eq!(back, all);
        assert_eq!(address(&[0; KEY_BYTES]), None);
        assert_eq!(address(&[4; 3]), None);
    }

    #[test]
    fn the_table_fits_the_budget_on_any_machine() {
        let budget = 64 << 20;
        assert_eq!(entries_for(2, budget), MAX_ENTRIES);
        assert_eq!(MAX_ENTRIES - MAX_ENTRIES / 4, 65_536);
        assert_eq!(entries_for(8192, budget), MIN_ENTRIES);
        for cpus in [1, 2, 16, 128, 192] {
            let entries = entries_for(cpus, budget);
            assert!(entries * 2 * (ENTRY_OVERHEAD_BYTES + cpus * VALUE_BYTES) <= budget);
        }
        assert!(entries_for(128, budget) > 10_000);
    }
}
