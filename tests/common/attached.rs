//! The programs that the kernel lists for an interface.

use super::net::{ifindex, ip};

/// The attached programs: XDP by `ip -d link`, TCX by a query.
pub fn nothing_attached(name: &str) {
    let listed = ip(&format!("-d link show dev {name}"));
    assert!(!listed.contains("xdp"), "{listed}");
    assert_eq!(tcx_programs(name), 0);
}

pub fn tcx_programs(name: &str) -> u32 {
    [libbpf_sys::BPF_TCX_INGRESS, libbpf_sys::BPF_TCX_EGRESS]
        .into_iter()
        .map(|kind| {
            let mut opts = libbpf_sys::bpf_prog_query_opts {
                sz: size_of::<libbpf_sys::bpf_prog_query_opts>() as u64,
                ..Default::default()
            };
            // SAFETY: whole options of the size stated, without arrays.
            let ret = unsafe {
                libbpf_sys::bpf_prog_query_opts(ifindex(name) as i32, kind, &raw mut opts)
            };
            // ENOENT: the hook never had a program.
            assert!(ret == 0 || -ret == libc::ENOENT, "{ret}");
            // SAFETY: the count is the member that this query fills.
            unsafe { opts.__bindgen_anon_1.count }
        })
        .sum()
}

/// The line of `ip -d link` that names the XDP program of an interface.
pub fn xdp_line(name: &str) -> Option<String> {
    let listed = ip(&format!("-d link show dev {name}"));
    listed.lines().find(|l| l.contains("prog/xdp")).map(str::to_owned)
}
