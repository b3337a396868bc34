//! Runs of a program that the kernel skipped because another program was running.

use std::os::fd::{AsFd, AsRawFd};

/// Skipped runs of a program since it was loaded: a program of another tracer,
/// or a map operation that keeps programs out, was under way on the same CPU
/// (`bpf_prog_active`, trace_call_bpf in kernel/trace/bpf_trace.c). `None` where the kernel does
/// not report them; older ones report 0, since they do not count tracepoint programs.
pub(crate) fn of(program: &impl AsFd) -> Option<u64> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut bytes = u32::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the kernel writes at most `bytes` into `info`, which is as large and lives through
    // the call; the descriptor is open for as long as the program is borrowed.
    let done = unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(
            program.as_fd().as_raw_fd(),
            &raw mut info,
            &raw mut bytes,
        )
    };
    let filled = usize::try_from(bytes).ok()?;
    let there = std::mem::offset_of!(libbpf_sys::bpf_prog_info, recursion_misses) + 8;
    (done == 0 && filled >= there).then_some(info.recursion_misses)
}
