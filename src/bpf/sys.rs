//! What libbpf-rs does not wrap, each use with the reason why it is sound.
//!
//! One file a kernel interface: `src/bpf/sys/…`.

pub(crate) mod attachment;
pub(crate) mod ethtool;
pub(crate) mod misses;
pub(crate) mod packet_socket;
pub(crate) mod percpu;
pub(crate) mod programs;
pub(crate) mod records;
pub(crate) mod tcx;
pub(crate) mod tracepoint;
pub(crate) mod xdp;

/// `membarrier(MEMBARRIER_CMD_GLOBAL)`: an RCU grace period. Where the kernel refuses it
/// (`nohz_full`), 50 ms are waited instead, longer than any program may run.
pub(crate) fn membarrier() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes three integers and touches no memory.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
