//! Network interfaces as people choose between them, and how they are watched.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::talkers::Direction;

/// What the user asked for with `--xdp-mode` or `x`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum XdpMode {
    /// The best mode that disturbs nothing.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the core, before the stack.
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

/// Which interfaces the user wants watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The default route's; else the first that is up and not `lo`; else `lo`.
    #[default]
    Default,
    /// Every one that is up.
    All,
    /// This one.
    Named(String),
}

/// One interface as the kernel tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's index.
    pub ifindex: u32,
    /// The name, as bytes that somebody chose.
    pub name: String,
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
    /// Where default routes over this interface lead to.
    pub gateways: Vec<IpAddr>,
    /// The driver's name, where the kernel tells it.
    pub driver: Option<String>,
    /// The link speed in Mb/s, where the driver tells it.
    pub speed_mbit: Option<u32>,
    /// The kernel's own byte counters (rx, tx): for the picker's rates, not for the talkers.
    pub counters: LinkCounters,
    /// The XDP program somebody attached: its kind (`native`, `generic`, `offload`) and id.
    pub xdp: Option<(String, u32)>,
    /// Every program somebody else attached, XDP's too.
    pub foreign: Vec<Foreign>,
    /// The hook that `auto` would take for rx, or why there is none.
    pub would_get: Option<Hook>,
    /// What that hook costs others, in words (`switches software GRO off`); empty when nothing.
    pub price: String,
}

/// Where a program of somebody else's sits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignHook {
    /// XDP: `native`, `generic`, `offload`.
    Xdp(Cow<'static, str>),
    /// TCX, or a filter of clsact.
    Tc(Direction),
}

/// A program that somebody else attached.
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
