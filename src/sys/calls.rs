//! Single calls: privileges for bpf(2), the grace period, the errno in an error of libbpf-rs.

/// Whether this thread may read maps: below kernel 5.19 (c8644cd0efe7) every bpf() call takes CAP_BPF
/// where `unprivileged_bpf_disabled` is set.
pub(crate) fn may_read_maps() -> bool {
    // SAFETY: no descriptor is -1: refused before the null pointers are read.
    let ret =
        unsafe { libbpf_sys::bpf_map_lookup_elem(-1, std::ptr::null(), std::ptr::null_mut()) };
    ret != -libc::EPERM
}

/// Whether this thread may run an iterator: where `unprivileged_bpf_disabled` is set, that takes CAP_BPF
/// on every kernel.
pub(crate) fn may_iterate() -> bool {
    // SAFETY: takes a descriptor, and none is -1.
    let ret = unsafe { libbpf_sys::bpf_iter_create(-1) };
    ret != -libc::EPERM
}

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

/// The errno in an error of libbpf-rs, which keeps the `io::Error` to itself and shows its text alone:
/// `… (os error 22)`.
pub(crate) fn errno_of(error: &libbpf_rs::Error) -> Option<i32> {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let (_, number) = text.rsplit_once("(os error ")?;
    number.strip_suffix(')')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_errno_is_found_under_its_contexts() {
        use libbpf_rs::ErrorExt as _;
        let error = libbpf_rs::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(super::errno_of(&error), Some(libc::EPERM));
        let error = error.context("failed to load").context("the object");
        assert_eq!(super::errno_of(&error), Some(libc::EPERM));
    }
}
