//! Loads the object in the best form this kernel takes, and attaches what can be attached.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapHandle, OpenObject};

use super::compat::Compat;
use super::rings::Layout;
use crate::bpf::opens::{OpenOpensSkel, OpensSkel, OpensSkelBuilder};
use crate::bpf::sys::tracepoint::{self, TraceFs};
use crate::bpf::types;
use crate::model::open::Syscall;
use crate::model::problem::Problem;
use crate::probes::cgroups;
use crate::probes::{Only, OpensConfig, OpensInfo};

/// How many threads may be inside an open at once with their arguments kept from entry to exit;
/// beyond that an open has no latency, and below kernel 5.15 no path. 64 bytes each and overhead.
const PENDING_ENTRIES: u32 = 32_768;

/// The calls that a tracepoint tells of: all that this architecture has.
#[cfg(target_arch = "x86_64")]
const SYSCALLS: [Syscall; 5] =
    [Syscall::Open, Syscall::Openat, Syscall::Openat2, Syscall::Creat, Syscall::OpenByHandleAt];
#[cfg(not(target_arch = "x86_64"))]
const SYSCALLS: [Syscall; 3] = [Syscall::Openat, Syscall::Openat2, Syscall::OpenByHandleAt];

/// Why the probe cannot run.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachError {
    #[error("this needs root")]
    Rights(#[source] io::Error),
    #[error("{}", types::unknown().0)]
    NoBtf,
    #[error("tracefs cannot be opened or mounted: {0}")]
    TraceFs(#[source] io::Error),
    #[error("the kernel refused the programs: {0}")]
    Load(#[source] libbpf_rs::Error),
    #[error("no open can be seen: {0}")]
    Nothing(String),
}

impl From<AttachError> for Problem {
    fn from(e: AttachError) -> Self {
        let fix = match &e {
            AttachError::Rights(_) => "run it with sudo",
            AttachError::NoBtf => types::unknown().1,
            AttachError::TraceFs(_) => "mount -t tracefs tracefs /sys/kernel/tracing",
            AttachError::Load(e) if e.kind() == libbpf_rs::ErrorKind::OutOfMemory => {
                "rings and tables count as its cgroup's memory: allow that 32 MiB, 64 with talkers"
            }
            AttachError::Load(_) => "see `ebpftop doctor` and --log FILE",
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
    pub(super) compat: Option<Compat>,
    pub(super) info: OpensInfo,
}

/// The optional parts of the object, tried in this order: with io_uring (where its tracepoint is)
/// and 32-bit tasks, without io_uring, with neither.
const PARTS: [Parts; 3] = [
    Parts { uring: true, compat: true },
    Parts { uring: false, compat: true },
    Parts { uring: false, compat: false },
];

#[derive(Clone, Copy)]
struct Parts {
    uring: bool,
    compat: bool,
}

/// Where the loaded object lives: one place for each form that may be tried.
pub(super) type Storage = [MaybeUninit<OpenObject>; PARTS.len()];

/// Loads and attaches. Nothing that returns from an open after this is missed.
pub(super) fn attach<'obj>(
    config: &OpensConfig,
    storage: &'obj mut Storage,
) -> Result<Attached<'obj>, AttachError> {
    if !types::known() {
        return Err(AttachError::NoBtf);
    }
    let as_on_510 = config.as_on_510 || types::from_file();
    let kernel = if as_on_510 { Kernel::V5_10 } else { Kernel::running() };
    let at_entry = config.latency || !kernel.task_pt_regs;
    let cpus = libbpf_rs::num_possible_cpus().map_err(load_error)?;
    let layout = Layout::new(config, u32::try_from(cpus).unwrap_or(1));
    let form = Form { config, layout, at_entry, kernel };
    let (skel, parts) = form.load_best(storage)?;
    let rings = layout.create(&skel.maps.rings).map_err(load_error)?;

    let tracefs = TraceFs::open().map_err(AttachError::TraceFs)?;
    let mut info =
        OpensInfo { ring_bytes: layout.total_bytes(), rings: layout.rings, ..OpensInfo::default() };
    let mut links = Vec::new();
    let open_exit = if kernel.bpf_loop { &skel.progs.open_exit } else { &skel.progs.open_exit_516 };
    for syscall in SYSCALLS {
        let attach_one = |program, edge| {
            let id = tracefs.id("syscalls", &format!("sys_{edge}_{}", syscall.name()))?;
            tracepoint::attach(program, id)
        };
        // Entry first: an open whose entry was not seen still tells all but its latency.
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
            Err(e) => info.unseen.push((syscall.name().into(), reason(&e))),
        }
    }
    if info.seen.is_empty() {
        let (_, why) = info.unseen.first().cloned().unwrap_or_default();
        return Err(AttachError::Nothing(why));
    }
    let uring = match parts.uring {
        true => attach_uring(&skel, &tracefs),
        false if kernel.uring => Err(not_loaded()),
        false => Err(io::ErrorKind::NotFound.into()),
    };
    match uring {
        Ok(uring) => {
            links.extend(uring);
            info.seen.push(Syscall::IoUring);
        }
        Err(_) if types::from_file() => {
            info.unseen.push((Syscall::IoUring.name().into(), "not with --btf".into()));
        }
        Err(e) => info.unseen.push((Syscall::IoUring.name().into(), reason(&e))),
    }
    match skel.progs.process_exit.attach() {
        Ok(link) => links.push(link),
        Err(e) => info.unseen.push(("ends of processes".into(), e.to_string())),
    }
    let compat =
        if parts.compat { Compat::start(&skel, kernel.bpf_loop) } else { Err(not_loaded().into()) };
    if let Err(e) = &compat {
        info.unseen.push(("32-bit tasks".into(), e.to_string()));
    }
    let compat = compat.ok();
    Ok(Attached { links, skel, rings, compat, info })
}

/// The two programs of io_uring: completion first, so that no request waits for one in vain.
fn attach_uring(skel: &OpensSkel<'_>, tracefs: &TraceFs) -> io::Result<[Link; 2]> {
    let complete = tracefs.id("io_uring", "io_uring_complete")?;
    let submit = tracefs.id("io_uring", "io_uring_submit_req")?;
    Ok([
        tracepoint::attach(&skel.progs.uring_complete, complete)?,
        tracepoint::attach(&skel.progs.uring_submit, submit)?,
    ])
}

/// The form of the object that is tried.
#[derive(Clone, Copy)]
struct Form<'a> {
    config: &'a OpensConfig,
    layout: Layout,
    at_entry: bool,
    kernel: Kernel,
}

impl Form<'_> {
    /// The object with as many of its parts as this kernel takes.
    fn load_best(self, storage: &mut Storage) -> Result<(OpensSkel<'_>, Parts), AttachError> {
        let mut refused = None;
        let possible = |parts: &Parts| self.kernel.uring || !parts.uring;
        for (parts, place) in PARTS.into_iter().filter(possible).zip(storage) {
            match self.load(parts, place) {
                Ok(skel) => return Ok((skel, parts)),
                Err(e) => {
                    tracing::info!(
                        "refused with io_uring {}, 32-bit {}: {e}",
                        parts.uring,
                        parts.compat
                    );
                    refused = Some(e);
                }
            }
        }
        Err(refused.map_or_else(|| AttachError::Nothing(String::new()), load_error))
    }

    fn load<'obj>(
        self,
        parts: Parts,
        storage: &'obj mut MaybeUninit<OpenObject>,
    ) -> libbpf_rs::Result<OpensSkel<'obj>> {
        let mut builder = OpensSkelBuilder::default();
        types::prepare(&mut builder.obj_builder)?;
        let mut open = builder.open(storage)?;
        self.configure(parts, &mut open)?;
        open.load()
    }

    fn configure(self, parts: Parts, open: &mut OpenOpensSkel<'_>) -> libbpf_rs::Result<()> {
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.at_entry = self.at_entry;
            rodata.latency = self.config.latency;
            rodata.systemd_hierarchy = cgroups::systemd_hierarchy();
            rodata.pids_hierarchy = cgroups::pids_hierarchy();
            rodata.as_on_510 = self.config.as_on_510 || types::from_file();
            rodata.group_shift = self.layout.shift;
            rodata.key_seed = RandomState::new().build_hasher().finish();
            let Only { tgid, uid, name, failed } = self.config.only;
            rodata.only_tgid = tgid.is_some();
            rodata.want_tgid = tgid.unwrap_or_default();
            rodata.only_uid = uid.is_some();
            rodata.want_uid = uid.unwrap_or_default();
            rodata.only_failed = failed;
            if let Some(name) = name {
                rodata.want_name = name.0;
                rodata.want_name_len = name.as_bytes().len() as u32;
            }
        }
        let rings = self.layout.rings;
        open.maps.rings.set_max_entries(rings)?;
        let sets = open.maps.known.max_entries();
        open.maps.known.set_max_entries(sets * rings)?;
        let progs = &mut open.progs;
        progs.open_exit.set_autoload(self.kernel.bpf_loop);
        progs.open_exit_516.set_autoload(!self.kernel.bpf_loop);
        progs.uring_submit.set_autoload(parts.uring);
        progs.uring_complete.set_autoload(parts.uring);
        progs.compat_exec.set_autoload(parts.compat);
        progs.compat_exit.set_autoload(parts.compat && self.kernel.bpf_loop);
        progs.compat_exit_516.set_autoload(parts.compat && !self.kernel.bpf_loop);
        progs.compat_tasks.set_autoload(parts.compat);
        if self.at_entry {
            open.maps.pending.set_max_entries(PENDING_ENTRIES)?;
        } else {
            open.progs.open_enter.set_autoload(false);
        }
        Ok(())
    }
}

/// What the form of the object depends on.
#[derive(Clone, Copy)]
struct Kernel {
    /// `bpf_task_pt_regs` (5.15, dd6e10fbd9fb): the arguments at exit.
    task_pt_regs: bool,
    /// `bpf_loop` (5.17, e6f2dd0f8067): the walk to the root.
    bpf_loop: bool,
    /// The tracepoint `io_uring_submit_req` (6.4): names of opens through io_uring.
    uring: bool,
}

impl Kernel {
    const V5_10: Self = Self { task_pt_regs: false, bpf_loop: false, uring: false };

    /// As the running kernel's BTF tells; nothing of it where that cannot be read.
    fn running() -> Self {
        use libbpf_rs::btf::types::{Enum, Struct};
        let Ok(btf) = libbpf_rs::btf::Btf::from_vmlinux() else {
            return Self::V5_10;
        };
        let helpers = btf.type_by_name::<Enum<'_>>("bpf_func_id");
        let has = |name| {
            helpers.is_some_and(|ids| ids.iter().any(|id| id.name.is_some_and(|n| n == name)))
        };
        Self {
            task_pt_regs: has("BPF_FUNC_task_pt_regs"),
            bpf_loop: has("BPF_FUNC_loop"),
            uring: btf.type_by_name::<Struct<'_>>("trace_event_raw_io_uring_submit_req").is_some(),
        }
    }
}

fn load_error(e: libbpf_rs::Error) -> AttachError {
    if e.kind() == libbpf_rs::ErrorKind::PermissionDenied {
        AttachError::Rights(io::Error::other(e.to_string()))
    } else {
        AttachError::Load(e)
    }
}

fn not_loaded() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

fn reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "this kernel has no tracepoint for it".into(),
        io::ErrorKind::Unsupported => "this kernel does not take the program for it".into(),
        _ => e.to_string(),
    }
}
