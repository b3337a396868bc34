//! Drivers whose packet counter counts exactly the buffers that a hook is handed.

use crate::model::link::Hook;

/// Drivers and rx hooks, each with its source (Linux 6.18) and the test that tries it
/// (tests/kernel/talkers_links.rs, `the_kernels_counter_is_compared`). Bytes are comparable nowhere: some lack
/// the Ethernet header, some have the FCS. Neither is tx, nor rx by TCX or a socket: those count
/// the segments of a merged buffer, the kernel's counters the buffer.
const COMPARABLE: [(&str, Hook); 4] = [
    // veth_xmit counts each buffer that the peer takes (dev_lstats_add, drivers/net/veth.c), and
    // generic XDP is handed each of them, before GRO.
    ("veth", Hook::Generic),
    // Each frame that XDP is handed is counted (veth_rcv, rq_stats.vs.xdp_packets).
    ("veth", Hook::Native),
    // loopback_xmit counts each buffer that it hands on (drivers/net/loopback.c).
    ("lo", Hook::Generic),
    // tun_get_user counts each packet that it hands on (dev_sw_netstats_rx_add, drivers/net/tun.c).
    ("tun", Hook::Generic),
];

/// Whether `rx_packets` counts the same frames as `hook`.
pub(super) fn is_comparable(driver: Option<&str>, loopback: bool, hook: Hook) -> bool {
    let driver = if loopback { Some("lo") } else { driver };
    driver.is_some_and(|driver| COMPARABLE.contains(&(driver, hook)))
}
