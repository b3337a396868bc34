//! The default routes. A table of a million routes is read at most 2 % of the time.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_sys::Socket;

use super::netlink::{Netlink, attributes, notifications, parse_ip, receive, u16_at, u32_at};

/// `include/uapi/linux/rtnetlink.h`
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RT_TABLE_MAIN: u8 = 254;
const RTN_UNICAST: u8 = 1;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_ROUTE: u32 = 11;

/// The pause after a dump, as a multiple of the time that it took.
const PAUSE: u32 = 50;

/// One default route of the main table: IPv4 before IPv6, then by metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DefaultRoute {
    six: bool,
    metric: u32,
    /// Next hops: the interface, and the gateway where there is one.
    hops: Vec<(u32, Option<IpAddr>)>,
}

/// The default routes of the namespace.
pub(super) struct Routes {
    changes: Socket,
    held: Vec<DefaultRoute>,
    stale: bool,
    read: Option<(Instant, Duration)>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.held.fmt(f)
    }
}

impl Routes {
    /// Subscribes to changes in the thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let changes = notifications(&[RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE])?;
        Ok(Self { changes, held: Vec::new(), stale: true, read: None })
    }

    /// Reads the table where a default route may have changed; true when it was read. `changed`: an
    /// interface or an address did, with which the kernel drops IPv4 routes without a notification.
    pub(super) fn refresh(&mut self, netlink: &Netlink, changed: bool) -> bool {
        self.stale |= changed | self.take_changes();
        let pausing = self.read.is_some_and(|(at, took)| at.elapsed() < took * PAUSE);
        if !self.stale || pausing {
            return false;
        }
        let begun = Instant::now();
        let held = &mut self.held;
        let dumped = netlink.dump(RTM_GETROUTE, RTM_NEWROUTE, &[0; 12], held, |held, body| {
            held.extend(parse_default_route(body));
        });
        if let Err(e) = dumped {
            tracing::warn!("the routes cannot be read: {e}");
        }
        self.held.sort();
        self.stale = false;
        self.read = Some((Instant::now(), begun.elapsed()));
        true
    }

    /// Takes the notifications that are waiting; true when one was about a default route, or some
    /// were lost.
    fn take_changes(&self) -> bool {
        let mut any = false;
        receive(&self.changes, |message| {
            any |= message.is_none_or(|(_, body)| parse_default_route(body).is_some());
        });
        any
    }

    /// The interface of the best one.
    pub(super) fn best(&self) -> Option<u32> {
        self.held.first().and_then(|r| r.hops.first()).map(|(ifindex, _)| *ifindex)
    }

    /// The gateways that are reached over an interface.
    pub(super) fn gateways(&self, ifindex: u32) -> Vec<IpAddr> {
        let hops = self.held.iter().flat_map(|r| &r.hops).filter(|(over, _)| *over == ifindex);
        let mut gateways: Vec<IpAddr> = hops.filter_map(|(_, gateway)| *gateway).collect();
        gateways.sort_unstable();
        gateways.dedup();
        gateways
    }
}

/// A default route of the main table.
fn parse_default_route(body: &[u8]) -> Option<DefaultRoute> {
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type (u8 each), flags.
    let (family, dst_len) = (*body.first()?, *body.get(1)?);
    let (table, kind) = (*body.get(4)?, *body.get(7)?);
    if dst_len != 0 || table != RT_TABLE_MAIN || kind != RTN_UNICAST {
        return None;
    }
    let (mut oif, mut gateway, mut metric, mut hops) = (None, None, 0, Vec::new());
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            RTA_OIF => oif = u32_at(value, 0),
            RTA_PRIORITY => metric = u32_at(value, 0)?,
            RTA_MULTIPATH => hops = parse_hops(value),
            other => gateway = gateway.or(parse_gateway(other, value)),
        }
    }
    hops.extend(oif.map(|oif| (oif, gateway)));
    (!hops.is_empty()).then(|| DefaultRoute {
        six: i32::from(family) != libc::AF_INET,
        metric,
        hops,
    })
}

/// `RTA_GATEWAY` is an address; `RTA_VIA` one of another family: struct rtvia, family u16 first.
fn parse_gateway(kind: u16, value: &[u8]) -> Option<IpAddr> {
    match kind {
        RTA_GATEWAY => parse_ip(value),
        RTA_VIA => parse_ip(value.get(2..)?),
        _ => None,
    }
}

/// struct rtnexthop: len u16, flags u8, hops u8, ifindex i32, then attributes; one after the other.
fn parse_hops(mut data: &[u8]) -> Vec<(u32, Option<IpAddr>)> {
    let mut hops = Vec::new();
    while let (Some(length), Some(ifindex)) = (u16_at(data, 0), u32_at(data, 4)) {
        let length = usize::from(length);
        let Some(inner) = data.get(8..length) else { break };
        let gateway = attributes(inner).find_map(|(kind, value)| parse_gateway(kind, value));
        hops.push((ifindex, gateway));
        data = data.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// Reads any bytes, for the test of netlink's answers.
#[cfg(test)]
pub(super) fn any_bytes(body: &[u8]) {
    let _ = (parse_default_route(body), parse_hops(body));
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    fn header(dst_len: u8) -> Vec<u8> {
        vec![libc::AF_INET as u8, dst_len, 0, 0, RT_TABLE_MAIN, 3, 0, RTN_UNICAST, 0, 0, 0, 0]
    }

    #[test]
    fn the_best_default_route_is_the_one_of_least_metric() {
        let route = |dst_len, oif: u32, metric: u32| {
            let mut body = header(dst_len);
            body.extend(attribute(RTA_OIF, &oif.to_ne_bytes()));
            body.extend(attribute(RTA_PRIORITY, &metric.to_ne_bytes()));
            body.extend(attribute(RTA_GATEWAY, &[10, 0, 0, oif as u8]));
            parse_default_route(&body)
        };
        assert_eq!(route(24, 3, 0), None);
        let best = [route(0, 3, 600), route(0, 5, 100)].into_iter().flatten().min().unwrap();
        assert_eq!(best.hops, [(5, Some("10.0.0.5".parse().unwrap()))]);
    }

    #[test]
    fn every_hop_and_the_other_family_are_read() {
        let hop = |ifindex: u32, inner: Vec<u8>| {
            let mut bytes = ((8 + inner.len()) as u16).to_ne_bytes().to_vec();
            bytes.extend([0, 0]);
            bytes.extend(ifindex.to_ne_bytes());
            [bytes, inner].concat()
        };
        let six: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
        let via = [&(libc::AF_INET6 as u16).to_ne_bytes()[..], &six.octets()].concat();
        let hops = [
            hop(2, attribute(RTA_GATEWAY, &[10, 0, 0, 1])),
            hop(3, attribute(RTA_VIA, &via)),
            hop(4, vec![]),
        ];
        let mut body = header(0);
        body.extend(attribute(RTA_MULTIPATH, &hops.concat()));
        let hops = parse_default_route(&body).unwrap().hops;
        assert_eq!(hops, [(2, Some([10, 0, 0, 1].into())), (3, Some(six.into())), (4, None)]);
    }
}
