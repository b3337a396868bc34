//! Interfaces and their addresses from rtnetlink: dumps, single requests and notifications.
//!
//! Parsed by hand: an interface's name is arbitrary bytes, and the crates that parse these messages
//! expect UTF-8.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::model::interface_name::InterfaceName;
use crate::model::link::LinkCounters;

/// `include/uapi/linux/rtnetlink.h`, `netlink.h`, `if_link.h`, `if_addr.h`, `if.h`
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLM_F_DUMP_INTR: u16 = 0x10;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
/// Qdiscs, classes and filters lie between these.
const RTM_NEWQDISC: u16 = 36;
const RTM_GETTFILTER: u16 = 46;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 0x10000;
const NLA_TYPE_MASK: u16 = 0x3fff;
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_TC: u32 = 4;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// One interface as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawLink {
    pub(super) ifindex: u32,
    pub(super) name: InterfaceName,
    /// Alternative names (`ip link property add … altname`).
    pub(super) altnames: Vec<InterfaceName>,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) loopback: bool,
    pub(super) arphrd: u16,
    pub(super) mtu: u32,
    pub(super) counters: LinkCounters,
    /// Packets that the device or its driver dropped instead of sending them.
    pub(super) tx_dropped: u64,
    /// The bridge, bond or VRF that this interface belongs to.
    pub(super) master: Option<u32>,
    /// The interface below (VLAN, macvlan, a bound tunnel), or the peer of a veth.
    pub(super) lower: Option<u32>,
    /// An ifb device.
    pub(super) ifb: bool,
    /// XDP programs attached: (mode, program id).
    pub(super) xdp: Vec<(&'static str, u32)>,
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The interface with this index is new, or something about it changed. The contents are not used:
    /// they may be older than our own programs on the interface.
    Link(u32),
    /// The interface with this index was deleted or moved to another namespace.
    Gone(u32),
    /// An address was added (`true`) or removed.
    Address { ifindex: u32, ip: IpAddr, added: bool },
    /// A queueing discipline or a filter was added or removed.
    TrafficControl,
    /// Notifications were lost: only a dump has the present state.
    Lost,
}

/// Two sockets: one for requests, one for notifications.
pub(super) struct Netlink {
    requests: Socket,
    pub(super) changes: Socket,
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").finish_non_exhaustive()
    }
}

impl Netlink {
    /// Opens both in the thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut requests = Socket::new(NETLINK_ROUTE)?;
        requests.bind_auto()?;
        requests.connect(&SocketAddr::new(0, 0))?;
        let groups = [RTNLGRP_LINK, RTNLGRP_TC, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR];
        Ok(Self { requests, changes: notifications(&groups)? })
    }

    /// Takes the notifications that are waiting, in order.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        receive(&self.changes, |message| match message {
            Some((kind, body)) => changes.extend(parse_change(kind, body)),
            None => changes.push(Change::Lost),
        });
        changes
    }

    /// One interface; `None` where there is none of this index.
    pub(super) fn link(&self, ifindex: u32) -> io::Result<Option<RawLink>> {
        // struct ifinfomsg: family u8, pad, type u16, index i32, flags u32, change u32.
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
        self.requests.send(&request(RTM_GETLINK, NLM_F_REQUEST, &header), 0)?;
        let (data, _) = self.requests.recv_from_full()?;
        match split_message(&data) {
            Some((RTM_NEWLINK, _, body, _)) => Ok(parse_link(body)),
            Some((NLMSG_ERROR, _, body, _)) => match i32_at(body, 0).unwrap_or(0) {
                errno if -errno == libc::ENODEV => Ok(None),
                errno => Err(io::Error::from_raw_os_error(-errno)),
            },
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }

    /// Every interface of the namespace, by index.
    pub(super) fn links(&self) -> io::Result<Vec<RawLink>> {
        let mut links = Vec::new();
        self.dump(RTM_GETLINK, RTM_NEWLINK, &[0; 16], &mut links, |links, body| {
            links.extend(parse_link(body));
        })?;
        links.sort_by_key(|l| l.ifindex);
        Ok(links)
    }

    /// The addresses of each interface, in the kernel's order.
    pub(super) fn addresses(&self) -> io::Result<HashMap<u32, Vec<IpAddr>>> {
        let mut all: HashMap<u32, Vec<IpAddr>> = HashMap::new();
        self.dump(RTM_GETADDR, RTM_NEWADDR, &[0; 8], &mut all, |all, body| {
            if let Some((ifindex, ip)) = parse_address(body) {
                all.entry(ifindex).or_default().push(ip);
            }
        })?;
        Ok(all)
    }

    /// One dump: passes the bodies of its messages of type `answer` to `each`. Repeated where the
    /// table changed meanwhile.
    pub(super) fn dump<T: Default>(
        &self,
        kind: u16,
        answer: u16,
        header: &[u8],
        into: &mut T,
        mut each: impl FnMut(&mut T, &[u8]),
    ) -> io::Result<()> {
        const ATTEMPTS: usize = 5;
        let message = request(kind, NLM_F_REQUEST_DUMP, header);
        for attempt in 1..=ATTEMPTS {
            self.requests.send(&message, 0)?;
            *into = T::default();
            let mut interrupted = false;
            'answers: loop {
                let (data, _) = self.requests.recv_from_full()?;
                let mut rest = data.as_slice();
                while let Some((got, flags, body, next)) = split_message(rest) {
                    rest = next;
                    interrupted |= flags & NLM_F_DUMP_INTR != 0;
                    if got == NLMSG_DONE {
                        break 'answers;
                    }
                    if got == NLMSG_ERROR {
                        let errno = i32_at(body, 0).unwrap_or(0);
                        return Err(io::Error::from_raw_os_error(-errno));
                    }
                    if got == answer {
                        each(into, body);
                    }
                }
            }
            if !interrupted || attempt == ATTEMPTS {
                break;
            }
        }
        Ok(())
    }
}

/// A socket that receives the notifications of these groups in the thread's network namespace.
pub(super) fn notifications(groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.set_non_blocking(true)?;
    for group in groups {
        socket.add_membership(*group)?;
    }
    Ok(socket)
}

/// Passes the waiting messages to `each`, as type and body; `None` where some were lost.
pub(super) fn receive(socket: &Socket, mut each: impl FnMut(Option<(u16, &[u8])>)) {
    let mut buffer = Vec::with_capacity(32 << 10);
    loop {
        buffer.clear();
        match socket.recv(&mut buffer, 0) {
            Ok(_) => {
                let mut rest = buffer.as_slice();
                while let Some((kind, _, body, next)) = split_message(rest) {
                    rest = next;
                    each(Some((kind, body)));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => each(None),
            Err(_) => return,
        }
    }
}

/// The bytes of a request with this header of its own.
fn request(kind: u16, flags: u16, header: &[u8]) -> Vec<u8> {
    let bytes = 16 + header.len();
    let mut message = Vec::with_capacity(bytes);
    message.extend_from_slice(&u32::try_from(bytes).unwrap_or(0).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.resize(16, 0);
    message.extend_from_slice(header);
    message
}

/// (type, flags, body, what follows).
pub(in crate::probes) fn split_message(data: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = usize::try_from(u32_at(data, 0)?).ok()?;
    let body = data.get(16..length)?;
    let next = data.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16_at(data, 4)?, u16_at(data, 6)?, body, next))
}

/// The attributes of a message: (type, value).
pub(in crate::probes) fn attributes(mut data: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(data, 0)?);
        let kind = u16_at(data, 2)? & NLA_TYPE_MASK;
        let value = data.get(4..length)?;
        data = data.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn parse_change(kind: u16, body: &[u8]) -> Option<Change> {
    match kind {
        // Bridges describe their ports by messages of a family of their own.
        RTM_NEWLINK | RTM_DELLINK if *body.first()? != 0 => None,
        // Wireless events carry nothing but themselves.
        RTM_NEWLINK if attributes(body.get(16..)?).any(|(kind, _)| kind == IFLA_WIRELESS) => None,
        RTM_NEWLINK => Some(Change::Link(u32_at(body, 4)?)),
        RTM_DELLINK => Some(Change::Gone(u32_at(body, 4)?)),
        RTM_NEWADDR | RTM_DELADDR => {
            let (ifindex, ip) = parse_address(body)?;
            Some(Change::Address { ifindex, ip, added: kind == RTM_NEWADDR })
        }
        RTM_NEWQDISC..=RTM_GETTFILTER => Some(Change::TrafficControl),
        _ => None,
    }
}

fn parse_link(body: &[u8]) -> Option<RawLink> {
    // struct ifinfomsg: family u8, pad, type u16, index i32, flags u32, change u32.
    let flags = u32_at(body, 8)?;
    let mut link = RawLink {
        ifindex: u32_at(body, 4)?,
        arphrd: u16_at(body, 2)?,
        up: flags & IFF_UP != 0,
        carrier: flags & IFF_LOWER_UP != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..RawLink::default()
    };
    let mut elsewhere = false;
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => link.name = parse_name(value),
            IFLA_PROP_LIST => {
                let names = attributes(value).filter(|(kind, _)| *kind == IFLA_ALT_IFNAME);
                link.altnames = names.map(|(_, name)| parse_name(name)).collect();
            }
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_MASTER => link.master = u32_at(value, 0),
            IFLA_LINK => link.lower = u32_at(value, 0).filter(|&lower| lower != link.ifindex),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_LINKINFO => {
                link.ifb = attributes(value)
                    .any(|(kind, name)| kind == IFLA_INFO_KIND && parse_name(name) == "ifb");
            }
            IFLA_STATS64 => {
                link.counters = LinkCounters {
                    rx_packets: u64_at(value, 0)?,
                    tx_packets: u64_at(value, 8)?,
                    rx_bytes: u64_at(value, 16)?,
                    tx_bytes: u64_at(value, 24)?,
                };
                link.tx_dropped = u64_at(value, 56)?;
            }
            IFLA_XDP => link.xdp = parse_xdp(value),
            _ => {}
        }
    }
    // An index of another namespace.
    if elsewhere {
        link.lower = None;
    }
    Some(link)
}

/// Up to the NUL.
fn parse_name(value: &[u8]) -> InterfaceName {
    let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
    InterfaceName::from(value.get(..end).unwrap_or_default())
}

/// `IFLA_XDP_DRV_PROG_ID` 5, `_SKB_` 6, `_HW_` 7.
fn parse_xdp(value: &[u8]) -> Vec<(&'static str, u32)> {
    attributes(value)
        .filter_map(|(kind, value)| {
            let word = match kind {
                5 => "native",
                6 => "generic",
                7 => "offload",
                _ => return None,
            };
            Some((word, u32_at(value, 0).filter(|&id| id != 0)?))
        })
        .collect()
}

fn parse_address(body: &[u8]) -> Option<(u32, IpAddr)> {
    // struct ifaddrmsg: family, prefixlen, flags, scope (u8 each), index u32.
    let ifindex = u32_at(body, 4)?;
    let mut ip = None;
    for (kind, value) in attributes(body.get(8..)?) {
        // On a point-to-point link IFA_ADDRESS is the peer's.
        if kind == IFA_LOCAL || kind == IFA_ADDRESS && ip.is_none() {
            ip = parse_ip(value);
        }
    }
    Some((ifindex, ip?))
}

pub(super) fn parse_ip(value: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(value).ok().map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

pub(in crate::probes) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

pub(in crate::probes) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

fn i32_at(data: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

pub(in crate::probes) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(data.get(at..at + 8)?.try_into().ok()?))
}

/// One attribute, as the kernel writes it.
#[cfg(test)]
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_with_a_hostile_name_is_read() {
        let mut body = vec![0, 0, 1, 0];
        body.extend(7i32.to_ne_bytes());
        body.extend((IFF_UP | IFF_LOWER_UP).to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(IFLA_IFNAME, b"e\xff\x1b[31m\0"));
        body.extend(attribute(IFLA_MTU, &9000u32.to_ne_bytes()));
        let names = attribute(IFLA_ALT_IFNAME, b"uplink of the server\0");
        body.extend(attribute(IFLA_PROP_LIST | 0x8000, &names));
        let xdp = [attribute(2, &[2]), attribute(6, &33u32.to_ne_bytes())].concat();
        body.extend(attribute(IFLA_XDP | 0x8000, &xdp));
        let link = parse_link(&body).unwrap();
        assert_eq!(link.name.as_bytes(), b"e\xff\x1b[31m");
        assert_eq!(link.altnames, [InterfaceName::from("uplink of the server")]);
        assert_eq!((link.ifindex, link.mtu, link.arphrd), (7, 9000, 1));
        assert!(link.up && link.carrier && !link.loopback);
        assert_eq!(link.xdp, [("generic", 33)]);
    }

    #[test]
    fn a_message_about_part_of_a_link_is_no_change() {
        let mut body = vec![0; 16];
        body[4] = 7;
        assert_eq!(parse_change(RTM_DELLINK, &body), Some(Change::Gone(7)));
        body[0] = libc::AF_BRIDGE as u8;
        assert_eq!(parse_change(RTM_DELLINK, &body), None);
        body[0] = 0;
        body.extend(attribute(IFLA_WIRELESS, &[0; 8]));
        assert_eq!(parse_change(RTM_NEWLINK, &body), None);
        assert_eq!(parse_change(RTM_GETTFILTER, &[]), Some(Change::TrafficControl));
    }

    #[test]
    fn any_answer_does_no_harm() {
        crate::testing::fuzz::check("netlink", |mut rest| {
            while let Some((kind, _, body, next)) = split_message(rest) {
                let _ = (parse_link(body), parse_address(body), parse_change(kind, body));
                super::super::third_party::any_bytes(body);
                super::super::routes::any_bytes(body);
                assert!(next.len() < rest.len());
                rest = next;
            }
        });
    }
}
