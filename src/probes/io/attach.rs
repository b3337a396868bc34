//! Loads the object in the best form this kernel takes, and attaches it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapHandle, OpenObject, ProgramMut};

use super::IoConfig;
use crate::bpf::btf;
use crate::bpf::io::types::io_entry;
use crate::bpf::io::{IoSkel, IoSkelBuilder};
use crate::clock;
use crate::model::event::IoInfo;
use crate::model::problem::Problem;
use crate::model::time::Mono;
use crate::probes::cgroups;
use crate::probes::kernel::Kernel;
use crate::probes::opens::rings::Layout;
use crate::probes::preflight::own_tgid;
use crate::probes::programs::{
    self, Choice, IO_CALLS, IO_COMPAT, IO_TIMES, IO_UNDER_WAY, IO_URING_IO, IO_URING_TIMES, Load,
    Object, Storage,
};
use crate::probes::refusal::{LoadError, not_attached};
use crate::sys::tracepoint::{self, TraceFs};

/// Bytes of the ring through which names come: those of 30,000 new files in [`super::read::DRAIN_EVERY`].
const RING_BYTES: u32 = 4 << 20;

/// Bytes of the ring of slow calls: 37,000 in [`super::read::DRAIN_EVERY`].
pub(super) const SLOW_RING_BYTES: u32 = 4 << 20;

/// Threads in a call that is timed, below kernel 5.17: beyond that the call is not timed.
const BEGAN_ENTRIES: u32 = 65_536;

/// Requests of io_uring that are timed at once: the one beyond that was submitted first is not timed.
const SUBMITTED_ENTRIES: u32 = 16_384;

/// Why the probe cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error(transparent)]
    Load(LoadError),
    #[error("{0}")]
    NoCalls(String),
}

impl From<AttachError> for Problem {
    fn from(e: AttachError) -> Self {
        let fix = match &e {
            AttachError::Load(e) => e.fix().unwrap_or("see `ebpftop doctor` and --log FILE"),
            AttachError::NoCalls(_) => "see `ebpftop doctor`; everything else works without",
        };
        Problem::new("count bytes of files", e.to_string(), fix)
    }
}

/// The loaded and attached programs. Links first: they go before the object does.
pub(super) struct Attached<'obj> {
    pub(super) links: Vec<Link>,
    pub(super) skel: IoSkel<'obj>,
    pub(super) ring: MapHandle,
    /// The iterator over threads, for calls that have not returned.
    pub(super) under_way: Option<Link>,
    pub(super) info: IoInfo,
    /// When it was attached.
    pub(super) since: Mono,
}

/// Loads and attaches. Calls that return after this are counted, unless the probe waits.
pub(super) fn attach<'obj>(
    config: &IoConfig,
    storage: &'obj mut Storage,
) -> Result<Attached<'obj>, AttachError> {
    let kernel = Kernel::known(config.as_on_510).map_err(AttachError::Load)?;
    let mut choice = Choice::of(Object::Io);
    if config.slow.is_none() {
        choice = choice.without(IO_TIMES).without(IO_UNDER_WAY).without(IO_URING_TIMES);
    } else if !kernel.bpf_loop {
        let why = "this kernel has no bpf_loop (5.17)";
        choice = choice.unavailable(&["io_under_way"], why);
    }
    if !kernel.bpf_loop {
        choice = choice.skip("io_exit");
    }
    let choice = kernel.limit_uring(choice, &["io_uring_done", "io_uring_overflowed"]);
    let (skel, choice) =
        programs::load(&Form { config, kernel }, storage, choice).map_err(AttachError::Load)?;
    let mut info = IoInfo {
        every_type: config.every_type,
        slow_ns: config.slow_ns().filter(|_| choice.has(IO_TIMES)),
        missing: choice.missing(),
    };
    if let Some(calls) = info.missing.iter().find(|missing| missing.feature == IO_CALLS) {
        return Err(AttachError::NoCalls(calls.error.clone()));
    }
    let ring = LAYOUT.create(&skel.maps.rings).map_err(other)?.pop();
    let ring = ring.ok_or_else(|| AttachError::NoCalls("no ring".into()))?;
    let mut links = Vec::new();
    // A pair finds the time of the entry where the other one does not.
    let progs = &skel.progs;
    let (calls, name, entry, at_entry) = match choice.uses("io_exit_516") {
        false => (&progs.io_exit, "io_exit", &progs.io_enter, "io_enter"),
        true => (&progs.io_exit_516, "io_exit_516", &progs.io_enter_516, "io_enter_516"),
    };
    info.missing.extend(kernel.lacks_compat(IO_COMPAT, "io_exit"));
    if choice.has(IO_TIMES) {
        match entry.attach() {
            Ok(link) => links.push(link),
            Err(e) => {
                let e = io::Error::other(e.to_string());
                info.missing.push(not_attached(IO_TIMES, at_entry, &e));
                info.slow_ns = None;
            }
        }
    }
    let link = calls.attach().map_err(|e| AttachError::Load(LoadError::of_attach(name, &e)))?;
    links.push(link);
    let rings = [
        (IO_URING_IO, "io_uring_done", "io_uring_complete", &progs.io_uring_done),
        (IO_URING_IO, "io_uring_overflowed", "io_uring_cqe_overflow", &progs.io_uring_overflowed),
        (IO_URING_TIMES, "io_uring_begun", "io_uring_submit_req", &progs.io_uring_begun),
    ];
    for (feature, name, at, program) in rings.into_iter().filter(|(of, ..)| choice.has(of)) {
        match attach_uring(program, at) {
            Ok(link) => links.push(link),
            Err(e) => info.missing.push(not_attached(feature, name, &e)),
        }
    }
    // Of no use without the times of entries.
    let wanted = choice.has(IO_UNDER_WAY) && info.slow_ns.is_some();
    let under_way = match wanted.then(|| skel.progs.io_under_way.attach()) {
        Some(Ok(link)) => Some(link),
        Some(Err(e)) => {
            let e = io::Error::other(e.to_string());
            info.missing.push(not_attached(IO_UNDER_WAY, "io_under_way", &e));
            None
        }
        None => None,
    };
    Ok(Attached { links, skel, ring, under_way, info, since: clock::mono() })
}

fn attach_uring(program: &ProgramMut<'_>, at: &str) -> io::Result<Link> {
    tracepoint::attach(program, TraceFs::open()?.id("io_uring", at)?)
}

/// One ring for all CPUs: only names of new files come through it.
const LAYOUT: Layout = Layout { rings: 1, bytes: RING_BYTES, shift: 31 };

/// How the object is opened.
struct Form<'a> {
    config: &'a IoConfig,
    kernel: Kernel,
}

impl Load for Form<'_> {
    type Loaded<'obj> = IoSkel<'obj>;

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<IoSkel<'obj>, LoadError> {
        self.open_and_load(storage, choice).map_err(LoadError::of_load)
    }
}

impl Form<'_> {
    fn open_and_load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> libbpf_rs::Result<IoSkel<'obj>> {
        let mut builder = IoSkelBuilder::default();
        btf::prepare(&mut builder.obj_builder)?;
        builder.plain = !self.kernel.rdonly_cast;
        let mut open = builder.open(storage)?;
        let timed = choice.has(IO_TIMES);
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.systemd_hierarchy = cgroups::systemd_hierarchy();
            rodata.pids_hierarchy = cgroups::pids_hierarchy();
            rodata.group_shift = LAYOUT.shift;
            rodata.key_seed = RandomState::new().build_hasher().finish();
            rodata.every_type = self.config.every_type;
            rodata.slow_ns = self.config.slow_ns().filter(|_| timed).unwrap_or(0);
            rodata.own_tgid = if self.config.without_own { own_tgid() } else { 0 };
        }
        if let Some(data) = open.maps.data_data.as_deref_mut()
            && !self.config.waits
        {
            data.side = 0;
        }
        if let Some(entries) = self.config.table_entries {
            open.maps.used.set_max_entries(entries)?;
        }
        if timed {
            open.maps.slow_calls.set_max_entries(SLOW_RING_BYTES)?;
            open.maps.began_516.set_max_entries(BEGAN_ENTRIES)?;
            open.maps.submitted.set_max_entries(SUBMITTED_ENTRIES)?;
        } else {
            let bytes = u32::try_from(size_of::<io_entry>()).unwrap_or(u32::MAX);
            open.maps.used.set_value_size(bytes)?;
        }
        // Each is made for the programs that use it.
        open.maps.began.set_autocreate(choice.uses("io_exit"))?;
        open.maps.began_516.set_autocreate(choice.uses("io_exit_516"))?;
        open.maps.submitted.set_autocreate(choice.uses("io_uring_done") && timed)?;
        open.maps.under_way_name.set_autocreate(choice.uses("io_under_way"))?;
        // Below kernel 6.1 (bpf_mem_alloc) a tracing program that allocates is a warning in the log.
        if !self.kernel.uring {
            open.maps.used.set_map_flags(0)?;
        }
        choice.prepare(open.open_object_mut());
        open.load()
    }
}

fn other(e: libbpf_rs::Error) -> AttachError {
    AttachError::Load(LoadError::Other(e))
}
