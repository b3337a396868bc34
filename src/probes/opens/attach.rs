//! Loads the object in the best form this kernel takes, and attaches what can be attached.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapHandle, OpenObject};

use super::changes;
use super::compat::{self, Compat};
use super::rings::Layout;
use crate::bpf::btf;
use crate::bpf::opens::types::open_counts;
use crate::bpf::opens::{OpenOpensSkel, OpensSkel, OpensSkelBuilder};
use crate::model::event::{Only, OpensInfo};
use crate::model::open::Syscall;
use crate::model::problem::Problem;
use crate::probes::OpensConfig;
use crate::probes::cgroups;
use crate::probes::kernel::cpu_numbers;
use crate::probes::kernel::{Kernel, NOT_WITH_BTF_FILE};
use crate::probes::preflight::own_tgid;
use crate::probes::programs::{
    self, CHANGE_CALLS, CHANGE_COMPAT, CHANGE_ENTRY, CHANGE_RING, COMPAT, COMPAT_CALLS, Choice,
    IO_URING, Load, OPEN_CALLS, OPEN_ENTRY, Object, PROCESS_EXEC, PROCESS_EXIT, Storage, UNDER_WAY,
};
use crate::probes::refusal::{
    ALLOW_PERF_EVENTS, LoadError, not_attached, perf_events_are_restricted,
};
use crate::sys::errno_of;
use crate::sys::mapped::Mapped;
use crate::sys::tracepoint::{self, TraceFs};

/// How many threads may be inside an open at once with their arguments kept from entry to exit;
/// beyond that an open has no latency, and below kernel 5.15 no path. 48 bytes each and overhead.
const PENDING_ENTRIES: u32 = 32_768;

/// The calls that have a tracepoint: all that this architecture has.
#[cfg(target_arch = "x86_64")]
const SYSCALLS: [Syscall; 5] =
    [Syscall::Open, Syscall::Openat, Syscall::Openat2, Syscall::Creat, Syscall::OpenByHandleAt];
#[cfg(not(target_arch = "x86_64"))]
const SYSCALLS: [Syscall; 3] = [Syscall::Openat, Syscall::Openat2, Syscall::OpenByHandleAt];

/// Why the probe cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("tracefs cannot be opened or mounted: {0}")]
    TraceFs(#[source] io::Error),
    #[error(transparent)]
    Load(LoadError),
    #[error("nothing can be seen: {0}")]
    Nothing(String),
}

impl From<AttachError> for Problem {
    fn from(e: AttachError) -> Self {
        let fix = match &e {
            AttachError::TraceFs(_) => "mount -t tracefs tracefs /sys/kernel/tracing",
            AttachError::Load(e) if e.is_out_of_memory() => {
                "rings and tables count as its cgroup's memory: allow that 32 MiB, 64 with talkers"
            }
            AttachError::Load(e) => e.fix().unwrap_or("see `ebpftop doctor` and --log FILE"),
            AttachError::Nothing(_) if perf_events_are_restricted() => ALLOW_PERF_EVENTS,
            AttachError::Nothing(_) => "use a kernel built with CONFIG_FTRACE_SYSCALLS=y",
        };
        Problem::new("watch opens", e.to_string(), fix)
    }
}

/// The loaded and attached programs. Links first: they go before the object does.
pub(super) struct Attached<'obj> {
    pub(super) links: Vec<Link>,
    pub(super) skel: OpensSkel<'obj>,
    pub(super) rings: Vec<MapHandle>,
    pub(super) counts: Mapped<open_counts>,
    pub(super) compat: Option<Compat>,
    pub(super) under_way: Option<Link>,
    pub(super) info: OpensInfo,
}

/// Loads and attaches. Nothing that returns from an open after this is missed.
pub(super) fn attach<'obj>(
    config: &OpensConfig,
    storage: &'obj mut Storage,
) -> Result<Attached<'obj>, AttachError> {
    let kernel = Kernel::known(config.as_on_510).map_err(AttachError::Load)?;
    let cpus = cpu_numbers().map_err(|e| other(e.into()))?;
    let layout = Layout::new(config, cpus);
    // Any other error is the load's as well, which reports it with its fix.
    if let Err(e) = layout.check_memory()
        && e.kind() == libbpf_rs::ErrorKind::OutOfMemory
    {
        return Err(other(e));
    }
    let form = Form { config, kernel, layout, cpus };
    let ((skel, compat_calls), choice) =
        programs::load(&form, storage, choice(kernel, config)).map_err(AttachError::Load)?;
    let rings = layout.create(&skel.maps.rings).map_err(other)?;
    let counts = Mapped::new(&skel.maps.counts).map_err(|e| other(e.into()))?;

    let tracefs = TraceFs::open().map_err(AttachError::TraceFs)?;
    let mut info = OpensInfo {
        ring_bytes: layout.total_bytes(),
        rings: layout.rings,
        missing: choice.missing(),
        ..OpensInfo::default()
    };
    let mut links: Vec<Link> = compat_calls.into_iter().collect();
    let at_entry = choice.uses("open_enter");
    if config.files {
        let missing = &mut info.missing;
        info.files =
            changes::attach(&skel, &choice, &tracefs, &mut links, |feature, program, e| {
                missing.push(not_attached(feature, program, e));
            });
        if choice.has(CHANGE_CALLS) {
            info.missing.extend(kernel.lacks_compat(CHANGE_COMPAT, "change_exit"));
        }
    }
    let (open_exit, name) = if choice.uses("open_exit") {
        (&skel.progs.open_exit, "open_exit")
    } else {
        (&skel.progs.open_exit_516, "open_exit_516")
    };
    let calls = if choice.has(OPEN_CALLS) { &SYSCALLS[..] } else { &[] };
    for syscall in calls.iter().copied() {
        let attach_one = |program, edge| {
            let id = tracefs.id("syscalls", &format!("sys_{edge}_{}", syscall.name()))?;
            tracepoint::attach(program, id)
        };
        // Entry first: an open whose entry was not seen lacks its latency alone.
        let entered = if at_entry {
            attach_one(&skel.progs.open_enter, "enter").map(|link| links.push(link))
        } else {
            Ok(())
        };
        match entered.and_then(|()| attach_one(open_exit, "exit")) {
            Ok(link) => {
                links.push(link);
                info.seen.push(syscall);
            }
            Err(e) => info.missing.push(not_attached(&programs::of_call(syscall), name, &e)),
        }
    }
    if choice.has(IO_URING) {
        match attach_uring(&skel, &tracefs) {
            Ok(uring) => {
                links.extend(uring);
                info.seen.push(Syscall::IoUring);
            }
            Err(e) => info.missing.push(not_attached(IO_URING, "uring_submit", &e)),
        }
    }
    let execs = if choice.uses("process_exec") {
        &skel.progs.process_exec
    } else {
        &skel.progs.process_exec_516
    };
    for (feature, program) in [(PROCESS_EXEC, execs), (PROCESS_EXIT, &skel.progs.process_exit)] {
        if !choice.has(feature) {
            continue;
        }
        match program.attach() {
            Ok(link) => {
                links.push(link);
                info.processes |= config.processes;
            }
            Err(e) => {
                let e = io::Error::from_raw_os_error(errno_of(&e).unwrap_or(libc::EINVAL));
                let name = program.name().to_string_lossy().into_owned();
                info.missing.push(not_attached(feature, &name, &e));
            }
        }
    }
    let compat = if choice.uses("compat_tasks") {
        let started = Compat::start(&skel, &choice);
        if let Err(e) = &started {
            let e = io::Error::from_raw_os_error(errno_of(e).unwrap_or(libc::EINVAL));
            info.missing.push(not_attached(COMPAT, "compat_tasks", &e));
        }
        started.ok()
    } else {
        None
    };
    let under_way = match choice.has(UNDER_WAY).then(|| skel.progs.opens_under_way.attach()) {
        Some(Ok(link)) => Some(link),
        Some(Err(e)) => {
            let e = io::Error::from_raw_os_error(errno_of(&e).unwrap_or(libc::EINVAL));
            info.missing.push(not_attached(UNDER_WAY, "opens_under_way", &e));
            None
        }
        None => None,
    };
    info.files |= config.files && !info.seen.is_empty();
    let sees_calls = config.calls && !info.seen.is_empty();
    let is_blind = !sees_calls && (config.calls || !(info.processes || info.files));
    if is_blind {
        let why = info.missing.first().map_or_else(String::new, |m| m.error.clone());
        return Err(AttachError::Nothing(why));
    }
    Ok(Attached { links, skel, rings, counts, compat, under_way, info })
}

/// The two programs of io_uring: completion first, so that no completion is missed.
fn attach_uring(skel: &OpensSkel<'_>, tracefs: &TraceFs) -> io::Result<[Link; 2]> {
    let complete = tracefs.id("io_uring", "io_uring_complete")?;
    let submit = tracefs.id("io_uring", "io_uring_submit_req")?;
    Ok([
        tracepoint::attach(&skel.progs.uring_complete, complete)?,
        tracepoint::attach(&skel.progs.uring_submit, submit)?,
    ])
}

/// How the object is opened.
#[derive(Clone, Copy)]
struct Form<'a> {
    config: &'a OpensConfig,
    kernel: Kernel,
    layout: Layout,
    /// Above the number of each CPU that may come up.
    cpus: u32,
}

impl Load for Form<'_> {
    /// The skeleton, with the link of the 32-bit calls where they are probed: whether the kernel lets a program
    /// attach there decides how it is loaded.
    type Loaded<'obj> = (OpensSkel<'obj>, Option<Link>);

    fn load<'obj>(
        &self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> Result<Self::Loaded<'obj>, LoadError> {
        let skel = self.open_and_load(storage, choice).map_err(LoadError::of_load)?;
        let calls = choice.uses("compat_return").then(|| compat::attach_calls(&skel)).transpose();
        let calls = calls.map_err(|e| LoadError::of_attach("compat_return", &e))?;
        Ok((skel, calls))
    }
}

impl Form<'_> {
    fn open_and_load<'obj>(
        self,
        storage: &'obj mut MaybeUninit<OpenObject>,
        choice: &Choice,
    ) -> libbpf_rs::Result<OpensSkel<'obj>> {
        let mut builder = OpensSkelBuilder::default();
        btf::prepare(&mut builder.obj_builder)?;
        builder.plain = !self.kernel.rdonly_cast;
        let mut open = builder.open(storage)?;
        let at_entry = choice.uses("open_enter") || choice.uses("change_enter");
        self.configure(at_entry, &mut open)?;
        choice.prepare(open.open_object_mut());
        open.load()
    }

    fn configure(self, at_entry: bool, open: &mut OpenOpensSkel<'_>) -> libbpf_rs::Result<()> {
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.at_entry = at_entry;
            rodata.report_opens = self.config.calls;
            rodata.report_changes = self.config.files;
            rodata.report_processes = self.config.processes;
            rodata.latency = self.config.latency && at_entry;
            rodata.systemd_hierarchy = cgroups::systemd_hierarchy();
            rodata.pids_hierarchy = cgroups::pids_hierarchy();
            rodata.as_on_510 = self.kernel.as_on_510;
            rodata.group_shift = self.layout.shift;
            rodata.key_seed = RandomState::new().build_hasher().finish();
            let Only { tgid, uid, name, failed, without_own } = self.config.only;
            rodata.only_tgid = tgid.is_some();
            rodata.want_tgid = tgid.unwrap_or_default();
            rodata.only_uid = uid.is_some();
            rodata.want_uid = uid.unwrap_or_default();
            rodata.only_failed = failed;
            rodata.own_tgid = if without_own { own_tgid() } else { 0 };
            if let Some(name) = name {
                rodata.want_name = name.0;
                rodata.want_name_len = name.as_bytes().len() as u32;
            }
        }
        if let Some(bss) = open.maps.bss_data.as_deref_mut()
            && self.config.waits
        {
            bss.from_ns = u64::MAX;
        }
        open.maps.counts.set_max_entries(self.cpus)?;
        let rings = self.layout.rings;
        open.maps.rings.set_max_entries(rings)?;
        let sets = open.maps.known.max_entries();
        open.maps.known.set_max_entries(sets * rings)?;
        let entries = self.config.table_entries;
        if at_entry {
            open.maps.pending.set_max_entries(entries.unwrap_or(PENDING_ENTRIES))?;
        }
        if let Some(entries) = entries {
            open.maps.lost.set_max_entries(entries)?;
            open.maps.uring_pending.set_max_entries(entries)?;
            open.maps.ring_pending.set_max_entries(entries)?;
        }
        Ok(())
    }
}

/// The programs to begin with.
fn choice(kernel: Kernel, config: &OpensConfig) -> Choice {
    let mut choice = Choice::of(Object::Opens);
    if !config.processes {
        choice = choice.without(PROCESS_EXEC);
    }
    // Opens make files, too.
    if !(config.calls || config.files) {
        choice = choice.without(OPEN_CALLS).without(OPEN_ENTRY).without(IO_URING);
        choice = choice.without(COMPAT).without(COMPAT_CALLS);
    }
    if !config.files {
        choice = choice.without(CHANGE_CALLS).without(CHANGE_RING);
    }
    if !config.files || kernel.task_pt_regs {
        choice = choice.without(CHANGE_ENTRY);
    }
    if !kernel.compat {
        choice = choice.without(COMPAT_CALLS).without(COMPAT);
    } else if !kernel.kprobe_multi {
        let why = "this kernel has no kprobe.multi (CONFIG_FPROBE, 5.18)";
        choice = choice.unavailable(&["compat_return"], why);
    }
    if !kernel.bpf_loop {
        choice = ["open_exit", "compat_exit", "process_exec", "change_exit"]
            .into_iter()
            .fold(choice, Choice::skip);
    }
    if !config.latency {
        choice = choice.without(UNDER_WAY);
    } else if !kernel.task_pt_regs {
        let why = "this kernel has no bpf_task_pt_regs (5.15)";
        choice = choice.unavailable(&["opens_under_way"], why);
    }
    if kernel.task_pt_regs && !config.latency {
        choice = choice.without(OPEN_ENTRY);
    }
    if btf::from_file() {
        choice = choice.unavailable(&["compat_tasks"], NOT_WITH_BTF_FILE);
    }
    kernel.limit_uring(choice, &["uring_submit", "ring_submit"])
}

fn other(e: libbpf_rs::Error) -> AttachError {
    AttachError::Load(LoadError::Other(e))
}
