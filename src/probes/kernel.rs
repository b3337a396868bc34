//! Features of the kernel by which programs are chosen.

use std::io;
use std::sync::OnceLock;

use super::opens::compat;
use super::programs::Choice;
use super::refusal::LoadError;
use crate::bpf::btf;
use crate::model::coverage::Missing;

/// Why a program is left out that needs the kernel's own types.
pub(super) const NOT_WITH_BTF_FILE: &str = "not with --btf";

/// Features of the kernel that are known before anything is loaded.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    /// `bpf_task_pt_regs` (5.15, dd6e10fbd9fb): the arguments at exit.
    pub(super) task_pt_regs: bool,
    /// `bpf_loop` (5.17, e6f2dd0f8067): the walk to the root.
    pub(super) bpf_loop: bool,
    /// The tracepoint `io_uring_submit_req` (6.4): names of opens through io_uring.
    pub(super) uring: bool,
    /// Probes on many functions at once (CONFIG_FPROBE, 5.18).
    pub(super) kprobe_multi: bool,
    /// `bpf_rdonly_cast` (6.2, fd264ca02094): kernel memory is read by loads. Else the objects without kfuncs are
    /// loaded (build.rs).
    pub(super) rdonly_cast: bool,
    /// 32-bit calls at all (CONFIG_IA32_EMULATION, CONFIG_COMPAT).
    pub(super) compat: bool,
    /// The programs take the form that kernel 5.10 needs: for a test, or since the types come from a file.
    pub(super) as_on_510: bool,
}

impl Kernel {
    const V5_10: Self = Self {
        task_pt_regs: false,
        bpf_loop: false,
        uring: false,
        kprobe_multi: false,
        rdonly_cast: false,
        compat: true,
        as_on_510: true,
    };

    /// The kernel that programs are chosen for; with `as_on_510`, or types from a file, one of 5.10. Fails where
    /// there are no types.
    pub(super) fn known(as_on_510: bool) -> Result<Self, LoadError> {
        if !btf::known() {
            return Err(LoadError::NoBtf);
        }
        static RUNNING: OnceLock<Kernel> = OnceLock::new();
        let old = as_on_510 || btf::from_file();
        Ok(if old { Self::V5_10 } else { *RUNNING.get_or_init(Self::running) })
    }

    /// The 32-bit calls that a program does not see, where this kernel takes such calls.
    pub(super) fn lacks_compat(self, feature: &str, program: &str) -> Option<Missing> {
        self.compat.then(|| Missing::compat_calls(feature, program))
    }

    /// Leaves out programs of io_uring that this kernel has no tracepoint for.
    pub(super) fn limit_uring(self, choice: Choice, programs: &[&'static str]) -> Choice {
        if btf::from_file() {
            choice.unavailable(programs, NOT_WITH_BTF_FILE)
        } else if !self.uring {
            let why = "this kernel has no tracepoint io_uring_submit_req (6.4)";
            choice.unavailable(programs, why)
        } else {
            choice
        }
    }

    /// The properties of the running kernel by its BTF; none of them where that cannot be read.
    fn running() -> Self {
        use libbpf_rs::btf::types::{Enum, Func, Struct};
        let Ok(btf) = libbpf_rs::btf::Btf::from_vmlinux() else {
            return Self { as_on_510: false, ..Self::V5_10 };
        };
        let helpers = btf.type_by_name::<Enum<'_>>("bpf_func_id");
        let has = |name| {
            helpers.is_some_and(|ids| ids.iter().any(|id| id.name.is_some_and(|n| n == name)))
        };
        let has_struct = |name| btf.type_by_name::<Struct<'_>>(name).is_some();
        let has_function = |name: &&str| btf.type_by_name::<Func<'_>>(name).is_some();
        Self {
            task_pt_regs: has("BPF_FUNC_task_pt_regs"),
            bpf_loop: has("BPF_FUNC_loop"),
            uring: has_struct("trace_event_raw_io_uring_submit_req"),
            kprobe_multi: has_struct("bpf_kprobe_multi_link"),
            rdonly_cast: has_function(&"bpf_rdonly_cast"),
            compat: compat::FUNCTIONS.iter().any(has_function),
            as_on_510: false,
        }
    }
}

/// One more than the highest number of a CPU that may come up. Numbers may have gaps, as in `0-3,8-11`: this is no
/// count of CPUs.
pub(super) fn cpu_numbers() -> io::Result<u32> {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    above_highest(&list).ok_or_else(|| io::Error::other(format!("unknown list of CPUs {list:?}")))
}

/// Of a list of ranges in ascending order (Documentation/admin-guide/cputopology.rst).
fn above_highest(list: &str) -> Option<u32> {
    let last = list.trim().rsplit([',', '-']).next()?;
    last.parse::<u32>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::above_highest;

    #[test]
    fn cpu_numbers_may_have_gaps() {
        for (list, numbers) in [("0\n", 1), ("0-1\n", 2), ("0-3,8-11\n", 12), ("0,2\n", 3)] {
            assert_eq!(above_highest(list), Some(numbers), "{list:?}");
        }
        assert_eq!(above_highest(""), None);
    }
}
