//! What the kernel tells of links and addresses, read from rtnetlink; and how a table is read.
//!
//! Read by hand: an interface's name is bytes that somebody chose, and a reader that wants
//! UTF-8 loses the interface.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::model::link::LinkCounters;

/// `include/uapi/linux/rtnetlink.h`, `netlink.h`, `if_link.h`, `if_addr.h`, `if.h`
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const NLM_F_DUMP_INTR: u16 = 0x10;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_STATS64: u16 = 23;
const IFLA_XDP: u16 = 43;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_LOWER_UP: u32 = 0x10000;
const NLA_TYPE_MASK: u16 = 0x3fff;
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

/// One interface as a dump tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawLink {
    pub(super) ifindex: u32,
    /// The name as it is.
    pub(super) name: CString,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) loopback: bool,
    pub(super) arphrd: u16,
    pub(super) mtu: u32,
    pub(super) counters: LinkCounters,
    /// XDP programs attached: (`IFLA_XDP_*_PROG_ID`'s word, program id).
    pub(super) xdp: Vec<(&'static str, u32)>,
}

/// The two sockets: one is asked, the other listens for changes.
pub(super) struct Netlink {
    asked: Socket,
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
        let mut asked = Socket::new(NETLINK_ROUTE)?;
        asked.bind_auto()?;
        asked.connect(&SocketAddr::new(0, 0))?;
        let mut changes = Socket::new(NETLINK_ROUTE)?;
        changes.bind_auto()?;
        changes.set_non_blocking(true)?;
        for group in [RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR] {
            changes.add_membership(group)?;
        }
        Ok(Self { asked, changes })
    }

    /// Takes what changes are waiting; true when there was one, or when some were lost.
    pub(super) fn take_changes(&self) -> bool {
        let mut any = false;
        let mut buffer = Vec::with_capacity(32 << 10);
        loop {
            buffer.clear();
            match self.changes.recv(&mut buffer, 0) {
                Ok(_) => any = true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return any,
                // ENOBUFS: some were lost, and the next dump tells all anyway.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(_) => return any,
            }
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

    /// One dump: request, then the bodies of its messages of one type, until it is done.
    /// Begun anew when the tables changed under it.
    pub(super) fn dump<T: Default>(
        &self,
        request: u16,
        answer: u16,
        header: &[u8],
        into: &mut T,
        mut each: impl FnMut(&mut T, &[u8]),
    ) -> io::Result<()> {
        const ATTEMPTS: usize = 5;
        for attempt in 1..=ATTEMPTS {
            let bytes = 16 + header.len();
            let mut message = Vec::with_capacity(bytes);
            message.extend_from_slice(&u32::try_from(bytes).unwrap_or(0).to_ne_bytes());
            message.extend_from_slice(&request.to_ne_bytes());
            message.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
            message.resize(16, 0);
            message.extend_from_slice(header);
            self.asked.send(&message, 0)?;
            *into = T::default();
            let mut interrupted = false;
            'answers: loop {
                let (data, _) = self.asked.recv_from_full()?;
                let mut rest = data.as_slice();
                while let Some((kind, flags, body, next)) = split_message(rest) {
                    rest = next;
                    interrupted |= flags & NLM_F_DUMP_INTR != 0;
                    if kind == NLMSG_DONE {
                        break 'answers;
                    }
                    if kind == NLMSG_ERROR {
                        let errno = i32_at(body, 0).unwrap_or(0);
                        return Err(io::Error::from_raw_os_error(-errno));
                    }
                    if kind == answer {
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
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            IFLA_IFNAME => {
                let end = value.iter().position(|&b| b == 0).unwrap_or(value.len());
                link.name = CString::new(value.get(..end)?).ok()?;
            }
            IFLA_MTU => link.mtu = u32_at(value, 0)?,
            IFLA_STATS64 => {
                link.counters = LinkCounters {
                    rx_packets: u64_at(value, 0)?,
                    tx_packets: u64_at(value, 8)?,
                    rx_bytes: u64_at(value, 16)?,
                    tx_bytes: u64_at(value, 24)?,
                };
            }
            IFLA_XDP => link.xdp = parse_xdp(value),
            _ => {}
        }
    }
    Some(link)
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
        let xdp = [attribute(2, &[2]), attribute(6, &33u32.to_ne_bytes())].concat();
        body.extend(attribute(IFLA_XDP | 0x8000, &xdp));
        let link = parse_link(&body).unwrap();
        assert_eq!(link.name.as_bytes(), b"e\xff\x1b[31m");
        assert_eq!((link.ifindex, link.mtu, link.arphrd), (7, 9000, 1));
        assert!(link.up && link.carrier && !link.loopback);
        assert_eq!(link.xdp, [("generic", 33)]);
    }

    #[test]
    fn any_answer_does_no_harm() {
        crate::testing::fuzz::check("netlink", |mut rest| {
            while let Some((_, _, body, next)) = split_message(rest) {
                let _ = (parse_link(body), parse_address(body));
                super::super::third_party::any_bytes(body);
                super::super::routes::any_bytes(body);
                assert!(next.len() < rest.len());
                rest = next;
            }
        });
    }
}
