//! The source of the kernel's types (BTF): the kernel, or a file (`--btf`).
//!
//! It is set once, before anything is loaded. With a file the programs are loaded in a form that needs
//! none of the kernel's own types: no kfuncs, no iterators, as on kernel 5.10.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use libbpf_rs::ObjectBuilder;
use libbpf_rs::btf::Btf;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statfs::{FsType, statfs};

/// The path at which kernels provide them.
pub const OF_KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// The advice where there are no types.
const NO_BTF_FIX: &str =
    "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, or give its BTF with --btf FILE";
const NO_SYSFS_FIX: &str =
    "run it with sudo, mount -t sysfs sysfs /sys, or give the kernel's BTF with --btf FILE";

/// `include/uapi/linux/magic.h`
const SYSFS_MAGIC: FsType = FsType(0x6265_6572);

/// sysfs is mounted for this process alone.
static PRIVATE_SYSFS: OnceLock<()> = OnceLock::new();

/// The open file: the thread that loads may have no privilege to open it.
static FILE: OnceLock<(File, PathBuf)> = OnceLock::new();

/// Takes the types from `file` from now on: raw BTF, or an ELF file with a section `.BTF`. To be
/// called once, before anything is loaded.
pub fn take_from(file: File) -> io::Result<()> {
    let held = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let btf = Btf::from_path(&held).map_err(|_| io::Error::other("not BTF"))?;
    if btf.type_by_name::<libbpf_rs::btf::types::Struct<'_>>("task_struct").is_none() {
        return Err(io::Error::other("not a kernel's BTF: no task_struct"));
    }
    FILE.set((file, held)).map_err(|_| io::Error::other("set twice"))
}

/// Mounts sysfs if it is not mounted, in a mount namespace of this process: libbpf reads the types by
/// their path. To be called before there are other threads. Where that is not allowed, `unknown` says
/// what is missing.
pub fn mount_sysfs() {
    if File::open(OF_KERNEL).is_ok() || is_sysfs_mounted() {
        return;
    }
    let mounted = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        // Later mounts of the machine appear here, but none of ours there.
        let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(None::<&str>, "/", None::<&str>, slave, None::<&str>)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("sysfs"), "/sys", Some("sysfs"), flags, None::<&str>)
    });
    if mounted.is_ok() {
        PRIVATE_SYSFS.get_or_init(|| ());
    }
}

fn is_sysfs_mounted() -> bool {
    statfs("/sys").is_ok_and(|fs| fs.filesystem_type() == SYSFS_MAGIC)
}

/// The source, in words.
pub fn place() -> String {
    match (from_file(), PRIVATE_SYSFS.get()) {
        (true, _) => "from the file of --btf: programs as on kernel 5.10".into(),
        (false, Some(())) => format!("{OF_KERNEL}, by a private mount of sysfs"),
        (false, None) => OF_KERNEL.into(),
    }
}

/// The reason why there are none, and the advice.
pub fn unknown() -> (String, &'static str) {
    if is_sysfs_mounted() {
        (format!("the kernel has no BTF at {OF_KERNEL}"), NO_BTF_FIX)
    } else {
        (format!("sysfs is not mounted at /sys, and so there is no {OF_KERNEL}"), NO_SYSFS_FIX)
    }
}

/// Whether they come from a file.
pub fn from_file() -> bool {
    FILE.get().is_some()
}

/// Whether there are any.
pub fn known() -> bool {
    from_file() || File::open(OF_KERNEL).is_ok()
}

/// Options of libbpf for opening an object.
pub(crate) fn prepare(builder: &mut ObjectBuilder) -> libbpf_rs::Result<()> {
    if let Some((_, path)) = FILE.get() {
        builder.btf_custom_path(path)?;
    }
    Ok(())
}
