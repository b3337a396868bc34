//! Names that processes ask for: the programs of `hostnames.bpf.c`, and the packets that they copy.
//!
//! The object is loaded when names are asked for and goes when they no longer are: while they are off,
//! no packet passes a program of it.

mod dns;
mod hello;
mod track;

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::rc::Rc;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};

use crate::bpf::hostnames::types::{hostname_head, hostname_kind};
use crate::bpf::hostnames::{HostnamesSkel, HostnamesSkelBuilder};
use crate::clock;
use crate::model::coverage::Missing;
use crate::model::hostnames::{HostnameCounts, HostnamesBatch};
use crate::model::process::ProcessKey;
use crate::model::time::Mono;
use crate::probes::cgroups::hierarchy_root;
use crate::probes::grace_period;
use crate::probes::programs::{self, Choice, HOSTNAMES_DNS, HOSTNAMES_SNI, Load, Object, Storage};
use crate::probes::refusal::LoadError;
use crate::sys::records::HOSTNAME_HEAD_BYTES;
use track::{Kind, Packet, Track};

/// Whether names are looked for, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostnamesConfig {
    /// The search is on from the start.
    pub on: bool,
    /// The search may be switched on and off later, for which the thread keeps its privileges.
    pub may_switch: bool,
    /// Bytes that are copied within a second, and bytes of the ring, for tests; `None`: as in
    /// docs/semantics.md.
    pub window_bytes: Option<u64>,
    pub ring_bytes: Option<u32>,
}

struct Form<'a> {
    config: &'a HostnamesConfig,
}

impl Load for Form<'_> {
    type Loaded<'obj> = (Vec<Link>, HostnamesSkel<'obj>);

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Self::Loaded<'obj>, LoadError> {
        let skel = self.open_and_load(storage, choice).map_err(LoadError::of_load)?;
        let mut links = Vec::new();
        for (program, name) in [
            // Queries first: an answer without its query changes nothing.
            (&skel.progs.names_leave, "names_leave"),
            (&skel.progs.names_arrive, "names_arrive"),
        ] {
            if let Some(root) = hierarchy_root().filter(|_| choice.uses(name)) {
                let link = program.attach_cgroup(root.dir.as_raw_fd());
                links.push(link.map_err(|e| LoadError::of_attach(name, &e))?);
            }
        }
        Ok((links, skel))
    }
}

impl Form<'_> {
    fn open_and_load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> libbpf_rs::Result<HostnamesSkel<'obj>> {
        let mut open = HostnamesSkelBuilder::default().open(storage)?;
        if let Some(bytes) = self.config.ring_bytes {
            open.maps.hostnames.set_max_entries(bytes)?;
        }
        if let (Some(rodata), Some(bytes)) =
            (open.maps.rodata_data.as_deref_mut(), self.config.window_bytes)
        {
            rodata.window_bytes = bytes;
        }
        choice.prepare(open.open_object_mut());
        open.load()
    }
}

/// The attached programs, and the packets that wait for others.
pub(super) struct Hostnames<'obj> {
    /// Links first: they go before the object does.
    links: Vec<Link>,
    skel: HostnamesSkel<'obj>,
    ring: RingBuffer<'static>,
    track: Rc<RefCell<Track>>,
    missing: Vec<Missing>,
    /// The last batch's counts.
    reported: HostnameCounts,
}

impl<'obj> Hostnames<'obj> {
    /// Loads and attaches. `None` where the kernel refuses everything; the features that it refuses
    /// either way.
    pub(super) fn attach(
        config: &HostnamesConfig,
        storage: &'obj mut Storage,
    ) -> (Option<Self>, Vec<Missing>) {
        let choice = Choice::of(Object::Hostnames);
        let choice = match hierarchy_root() {
            Some(_) => choice,
            None => choice.unavailable(
                &["names_leave", "names_arrive"],
                "cgroup v2 is not mounted, and cannot be",
            ),
        };
        let loaded = programs::load(&Form { config }, storage, choice);
        let ((links, skel), choice) = match loaded {
            Ok(loaded) => loaded,
            Err(e) => return (None, all_missing(&e)),
        };
        let missing = choice.missing();
        if links.is_empty() {
            return (None, missing);
        }
        let track = Rc::new(RefCell::new(Track::default()));
        match ring_of(&skel, &track) {
            Ok(ring) => {
                let (listed, reported) = (missing.clone(), HostnameCounts::default());
                (Some(Self { links, skel, ring, track, missing: listed, reported }), missing)
            }
            Err(e) => (None, all_missing(&LoadError::Other(e))),
        }
    }

    /// The findings since the last call; `None`: nothing has changed.
    pub(super) fn drain(&mut self) -> libbpf_rs::Result<Option<HostnamesBatch>> {
        self.ring.consume()?;
        let mut track = self.track.borrow_mut();
        track.expire(clock::mono());
        let counts = self.counts(track.counts);
        let found = std::mem::take(&mut track.found);
        let nothing =
            found.answers.is_empty() && found.hellos.is_empty() && counts == self.reported;
        self.reported = counts;
        Ok((!nothing).then(|| HostnamesBatch {
            on: true,
            known: false,
            missing: self.missing.clone(),
            answers: found.answers,
            hellos: found.hellos,
            counts,
        }))
    }

    /// Detaches, and returns the rest.
    pub(super) fn end(mut self) -> libbpf_rs::Result<Option<HostnamesBatch>> {
        self.links.clear();
        grace_period();
        self.drain()
    }

    fn counts(&self, own: HostnameCounts) -> HostnameCounts {
        self.skel.maps.bss_data.as_deref().map_or(own, |bss| HostnameCounts {
            skipped: bss.skipped,
            lost: bss.lost,
            cut: bss.cut,
            unasked: own.unasked + bss.unasked,
            ..own
        })
    }
}

/// The ring of packets, which go to `track` when it is consumed.
fn ring_of(
    skel: &HostnamesSkel<'_>,
    track: &Rc<RefCell<Track>>,
) -> libbpf_rs::Result<RingBuffer<'static>> {
    let (map, track) = (MapHandle::try_from(&skel.maps.hostnames)?, Rc::clone(track));
    let mut builder = RingBufferBuilder::new();
    builder.add(&map, move |record| {
        if let Some(packet) = packet(record) {
            track.borrow_mut().take(&packet);
        }
        0
    })?;
    builder.build()
}

/// The packet of a record; `None` for one that cannot be read.
fn packet(record: &[u8]) -> Option<Packet<'_>> {
    let mut head = hostname_head::default();
    plain::copy_from_bytes(&mut head, record).ok()?;
    let copied = record.get(HOSTNAME_HEAD_BYTES..)?.get(..head.copied as usize)?;
    let process = ProcessKey { tgid: head.tgid, start_boottime_ns: head.start_boottime_ns };
    Some(Packet {
        at: Mono(head.ts_ns),
        cookie: head.cookie,
        process: (head.tgid != 0).then_some(process),
        port: head.port,
        seq: head.seq,
        kind: match hostname_kind(head.kind.into()) {
            hostname_kind::HOSTNAME_QUERY => Kind::Query,
            hostname_kind::HOSTNAME_ANSWER => Kind::Answer,
            hostname_kind::HOSTNAME_HELLO => Kind::Hello,
            _ => return None,
        },
        tcp: head.tcp != 0,
        bytes: head.bytes as usize,
        copied,
    })
}

/// Loads and attaches, and detaches at once: the features that the kernel refuses.
pub fn tried() -> Vec<Missing> {
    let mut storage = programs::storage();
    Hostnames::attach(&HostnamesConfig::default(), &mut storage).1
}

/// Both features as missing, where there is no object.
fn all_missing(e: &LoadError) -> Vec<Missing> {
    let missing = |feature: &str, program: &str| Missing {
        feature: feature.into(),
        program: program.into(),
        error: e.to_string(),
    };
    vec![missing(HOSTNAMES_DNS, "names_arrive"), missing(HOSTNAMES_SNI, "names_leave")]
}

/// Why there are no names where connections are polled.
pub(super) fn while_polled() -> HostnamesBatch {
    let why = "connections are polled: their sockets have no numbers to join names by";
    let missing = |feature: &str| Missing {
        feature: feature.into(),
        program: "hostnames".into(),
        error: why.into(),
    };
    let missing = vec![missing(HOSTNAMES_DNS), missing(HOSTNAMES_SNI)];
    HostnamesBatch { missing, ..HostnamesBatch::default() }
}
