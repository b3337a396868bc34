//! Where the kernel's types (BTF) come from: from itself, or from a file (`--btf`).
//!
//! A fact of the machine, told once before anything is loaded. With a file the programs are loaded in
//! a form that asks the kernel for none of its types: no kfuncs, no iterators, as on kernel 5.10.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libbpf_rs::ObjectBuilder;
use libbpf_rs::btf::Btf;

/// Where kernels tell them.
pub const OF_KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// The file, held open: whoever loads may have no right to open it any more.
static FILE: OnceLock<(File, PathBuf)> = OnceLock::new();

/// Takes the types from `path` from now on: a raw BTF file, or an ELF file with a section `.BTF`. To be
/// called once, before anything is loaded.
pub fn take_from(path: &Path) -> io::Result<()> {
    let file = crate::files::as_caller(|| File::open(path))??;
    let held = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let btf = Btf::from_path(&held).map_err(|_| io::Error::other("not BTF"))?;
    if btf.type_by_name::<libbpf_rs::btf::types::Struct<'_>>("task_struct").is_none() {
        return Err(io::Error::other("not a kernel's BTF: no task_struct"));
    }
    FILE.set((file, held)).map_err(|_| io::Error::other("told twice"))
}

/// Whether they come from a file.
pub fn from_file() -> bool {
    FILE.get().is_some()
}

/// Whether there are any.
pub fn known() -> bool {
    from_file() || File::open(OF_KERNEL).is_ok()
}

/// The object to open: `plain` is the one without kfuncs.
pub(super) fn object(full: &'static [u8], plain: &'static [u8]) -> &'static [u8] {
    if from_file() { plain } else { full }
}

/// To be done to an object before it is opened.
pub(crate) fn prepare(builder: &mut ObjectBuilder) -> libbpf_rs::Result<()> {
    if let Some((_, path)) = FILE.get() {
        builder.btf_custom_path(path)?;
    }
    Ok(())
}
