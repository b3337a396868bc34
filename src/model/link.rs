//! Network interfaces, and the hooks that count on them.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::interface_name::InterfaceName;
use super::traffic::Direction;

/// The mode of `--xdp-mode` and of the key `x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum XdpMode {
    /// The best mode that disturbs no other traffic.
    #[default]
    Auto,
    /// XDP in the driver.
    Native,
    /// XDP in the core, before the stack.
    Generic,
    /// No XDP: TCX, else a packet socket.
    Off,
}

/// The hook that counts one direction of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hook {
    /// XDP in the driver.
    Native,
    /// XDP in the core.
    Generic,
    /// A program at the TCX hook.
    Tcx,
    /// A filter on a packet socket.
    Socket,
}

impl Hook {
    /// The word in lines and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Hook::Native => "native",
            Hook::Generic => "generic",
            Hook::Tcx => "tcx",
            Hook::Socket => "socket",
        }
    }
}

/// The interfaces to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The default route's; else the first that is up and not `lo`; else `lo`.
    #[default]
    Default,
    /// Every one that is up.
    All,
    /// The one that the user called this: see [`InterfaceName::meanings`].
    Named(InterfaceName),
}

/// One interface, as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's index.
    pub ifindex: u32,
    /// The name.
    pub name: InterfaceName,
    /// Administratively up.
    pub up: bool,
    /// The carrier is there (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// `lo`.
    pub loopback: bool,
    /// The ARPHRD type: 1 Ethernet, 772 loopback, 65534 none (tun).
    pub arphrd: u16,
    /// The largest payload, bytes.
    pub mtu: u32,
    /// Addresses, in the kernel's order.
    pub addresses: Vec<IpAddr>,
    /// Gateways of the default routes over this interface.
    pub gateways: Vec<IpAddr>,
    /// The driver's name, where the kernel has it.
    pub driver: Option<String>,
    /// The link speed in Mb/s, where the driver has it.
    pub speed_mbit: Option<u32>,
    /// The kernel's own byte counters (rx, tx): for the picker's rates, not for the talkers.
    pub counters: LinkCounters,
    /// The XDP program that another program attached: its mode (`native`, `generic`, `offload`) and id.
    pub xdp: Option<(String, u32)>,
    /// Programs that other programs attached, XDP's too.
    pub foreign: Vec<Foreign>,
    /// The hook that `auto` would take for rx; `None` where there is none.
    pub would_get: Option<Hook>,
    /// Effects of that hook on other traffic (`switches software GRO off`); empty without any.
    pub price: String,
}

/// Drivers of interfaces on top of others: each of their frames passes one of those too. A tun device
/// is not among them: below a VPN's is another interface, below a virtual machine's is none.
const STACKED: [&str; 22] = [
    "802.1Q VLAN Support",
    "bonding",
    "bridge",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "ip6_vti",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ipvlan",
    "macsec",
    "macvlan",
    "sit",
    "team",
    "vrf",
    "vti",
    "vxlan",
    "wireguard",
    "xfrm",
];

impl Link {
    /// Whether its frames also pass an interface below it, as far as the driver shows.
    pub fn is_stacked(&self) -> bool {
        self.driver.as_deref().is_some_and(|driver| STACKED.contains(&driver))
    }
}

/// The hook of another program's BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignHook {
    /// XDP: `native`, `generic`, `offload`.
    Xdp(Cow<'static, str>),
    /// TCX, or a filter of clsact.
    Tc(Direction),
}

/// A BPF program that another program attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    pub hook: ForeignHook,
    /// The program's id.
    pub id: u32,
    /// The program's name; empty where it has none.
    pub name: String,
}

/// The kernel's counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCounters {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_packets: u64,
    pub tx_packets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_on_top_of_others_are_known_by_their_driver() {
        assert!(STACKED.is_sorted());
        let link = |driver: &str| Link { driver: Some(driver.into()), ..Link::default() };
        assert!(link("bridge").is_stacked() && link("802.1Q VLAN Support").is_stacked());
        assert!(!link("veth").is_stacked() && !link("tun").is_stacked());
        assert!(!Link::default().is_stacked());
    }
}
