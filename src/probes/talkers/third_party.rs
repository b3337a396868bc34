//! Third-party programs and filters: at XDP, at TCX and in qdiscs, and `mirred` actions, which move
//! frames from one interface to another.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::netlink::{Netlink, attributes, u32_at};
use crate::model::link::{Foreign, ForeignHook};
use crate::model::talkers::Direction;
use crate::sys::programs;

/// A program that is attached or detached by a link makes no notification, so the hooks are polled.
const EVERY: Duration = Duration::from_secs(5);
/// The pause after a change of traffic control.
const AFTER_CHANGE: Duration = Duration::from_secs(1);

/// `include/uapi/linux/rtnetlink.h`, `pkt_sched.h`, `pkt_cls.h`, `tc_act/tc_mirred.h`
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const TC_H_CLSACT_INGRESS: u32 = 0xffff_fff2;
const TC_H_CLSACT_EGRESS: u32 = 0xffff_fff3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ID: u16 = 11;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_INGRESS_REDIR: u32 = 3;
const TCA_INGRESS_MIRROR: u32 = 4;

/// Cached names of programs; the cache is emptied beyond that.
const MAX_NAMES: usize = 1_024;

/// A place where filters hang: interface, parent, and the direction that they see.
type FilterBlock = (u32, u32, Direction);

/// A `mirred` action of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Redirect {
    from: u32,
    to: u32,
    /// The frame arrives on `to`, instead of leaving there.
    arrives: bool,
}

/// How frames reach an interface, or come back to it, past the driver: XDP does not see them as the
/// stack does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detour {
    /// A filter elsewhere redirects frames to this interface's ingress. XDP skips these
    /// (`netif_receive_generic_xdp`, net/core/dev.c).
    Redirected,
    /// A filter sends arriving frames through an ifb device, which receives them here a second time,
    /// also for generic XDP (`ifb_ri_tasklet`, drivers/net/ifb.c).
    ThroughIfb,
}

/// Programs at TC by interface, redirects, and names of programs.
#[derive(Debug, Default)]
pub(super) struct AtTc {
    /// Programs by interface, in the order in which they run.
    attached: HashMap<u32, Vec<(Direction, u32)>>,
    redirects: Vec<Redirect>,
    names: HashMap<u32, String>,
    read_at: Option<Instant>,
    stale: bool,
}

impl AtTc {
    /// Traffic control changed.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Reads the hooks of these interfaces again where it is time.
    pub(super) fn refresh(&mut self, netlink: &Netlink, links: &[u32]) {
        let pause = if self.stale { AFTER_CHANGE } else { EVERY };
        if self.read_at.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        // A thread that has given up CAP_NET_ADMIN keeps what it read before.
        let refused = |&ifindex: &u32| {
            let asked = programs::at_tcx(ifindex, Direction::Rx);
            asked.is_err_and(|e| e.raw_os_error() == Some(libc::EPERM))
        };
        if links.first().is_some_and(refused) {
            return;
        }
        self.stale = false;
        self.read_at = Some(Instant::now());
        // Ids come again only after all others did.
        if self.names.len() > MAX_NAMES {
            self.names.clear();
        }
        self.attached.clear();
        self.redirects.clear();
        for &ifindex in links {
            for direction in [Direction::Rx, Direction::Tx] {
                let tcx = programs::at_tcx(ifindex, direction).unwrap_or_default();
                if !tcx.is_empty() {
                    let attached = self.attached.entry(ifindex).or_default();
                    attached.extend(tcx.into_iter().map(|id| (direction, id)));
                }
            }
        }
        // Dumps wait for the lock of all network configuration: one, and one for each block of filters.
        for block in filter_blocks(netlink) {
            let (programs, redirects) = filters(netlink, block);
            if !programs.is_empty() {
                let attached = self.attached.entry(block.0).or_default();
                attached.extend(programs.into_iter().map(|id| (block.2, id)));
            }
            self.redirects.extend(redirects);
        }
    }

    /// Programs that others attached to an interface; `xdp` as netlink lists them.
    pub(super) fn foreign(
        &mut self,
        ifindex: u32,
        xdp: &[(&'static str, u32)],
        ours: &HashSet<u32>,
    ) -> Vec<Foreign> {
        let xdp = xdp.iter().map(|(kind, id)| (ForeignHook::Xdp((*kind).into()), *id));
        let tc = self.attached.get(&ifindex).into_iter().flatten();
        let all = xdp.chain(tc.map(|(direction, id)| (ForeignHook::Tc(*direction), *id)));
        let others = all.filter(|(_, id)| !ours.contains(id));
        let name = |names: &mut HashMap<u32, String>, id| {
            names.entry(id).or_insert_with(|| programs::name(id).unwrap_or_default()).clone()
        };
        others.map(|(hook, id)| Foreign { hook, id, name: name(&mut self.names, id) }).collect()
    }

    /// Whether a foreign TCX program runs before ours at the ingress of an interface.
    pub(super) fn before_ours(&self, ifindex: u32, ours: &HashSet<u32>) -> bool {
        let attached = self.attached.get(&ifindex).into_iter().flatten();
        let mut ids = attached.filter(|(direction, _)| *direction == Direction::Rx);
        ids.position(|(_, id)| ours.contains(id)).is_some_and(|at| at > 0)
    }

    /// How frames reach an interface past its driver; `is_ifb`: whether an index is that of an ifb device.
    pub(super) fn detour(&self, ifindex: u32, is_ifb: impl Fn(u32) -> bool) -> Option<Detour> {
        let mut redirects = self.redirects.iter();
        let through = |r: &&Redirect| r.from == ifindex && !r.arrives && is_ifb(r.to);
        if redirects.clone().any(|r| r.to == ifindex && r.arrives) {
            Some(Detour::Redirected)
        } else {
            redirects.find(through).map(|_| Detour::ThroughIfb)
        }
    }
}

/// Every place of the namespace where filters hang.
fn filter_blocks(netlink: &Netlink) -> Vec<FilterBlock> {
    let mut found = Vec::new();
    // struct tcmsg, 20 bytes. A kernel without traffic control has none.
    let _ = netlink.dump(RTM_GETQDISC, RTM_NEWQDISC, &[0; 20], &mut found, |found, body| {
        found.extend(parse_qdisc(body).into_iter().flatten());
    });
    found
}

/// The places of a qdisc where filters hang: clsact has two, `ingress` one. Others can have filters
/// where they have a handle, which those made by the kernel lack.
fn parse_qdisc(body: &[u8]) -> Option<Vec<FilterBlock>> {
    let (ifindex, handle) = (u32_at(body, 4)?, u32_at(body, 8)?);
    let (_, kind) = attributes(body.get(20..)?).find(|(kind, _)| *kind == TCA_KIND)?;
    let ingress = (ifindex, TC_H_CLSACT_INGRESS, Direction::Rx);
    let egress = (ifindex, TC_H_CLSACT_EGRESS, Direction::Tx);
    Some(match kind {
        b"clsact\0" => vec![ingress, egress],
        b"ingress\0" => vec![ingress],
        _ if handle != 0 => vec![(ifindex, handle, Direction::Tx)],
        _ => vec![],
    })
}

/// Ids of the BPF filters of a block, and its redirects.
fn filters(netlink: &Netlink, block: FilterBlock) -> (Vec<u32>, Vec<Redirect>) {
    let (ifindex, parent, _) = block;
    // struct tcmsg: family u8, pad[3], ifindex i32, handle u32, parent u32, info u32.
    let words = [0, ifindex, 0, parent, 0];
    let header: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut found = (Vec::new(), Vec::new());
    let read = netlink.dump(RTM_GETTFILTER, RTM_NEWTFILTER, &header, &mut found, |found, body| {
        found.0.extend(parse_filter(body));
        found.1.extend(parse_redirects(body, ifindex).into_iter().flatten());
    });
    // An interface that has just gone, a qdisc without filters, or a kernel without traffic control.
    if read.is_err() { Default::default() } else { found }
}

/// The id of the program of a filter of kind `bpf`.
fn parse_filter(body: &[u8]) -> Option<u32> {
    let (_, options) = attributes(body.get(20..)?).find(|(kind, _)| *kind == TCA_OPTIONS)?;
    let is_bpf =
        attributes(body.get(20..)?).any(|(kind, name)| kind == TCA_KIND && name == b"bpf\0");
    let (_, id) = attributes(options).find(|(kind, _)| *kind == TCA_BPF_ID)?;
    u32_at(id, 0).filter(|id| is_bpf && *id != 0)
}

/// The `mirred` actions of a filter. Each classifier has a number of its own for the attribute that
/// holds its actions, so all are searched.
fn parse_redirects(body: &[u8], from: u32) -> Option<Vec<Redirect>> {
    let (_, options) = attributes(body.get(20..)?).find(|(kind, _)| *kind == TCA_OPTIONS)?;
    let actions = attributes(options).flat_map(|(_, value)| attributes(value));
    Some(actions.filter_map(|(_, action)| parse_mirred(action, from)).collect())
}

fn parse_mirred(action: &[u8], from: u32) -> Option<Redirect> {
    let get = |wanted| attributes(action).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    if get(TCA_ACT_KIND)? != b"mirred\0" {
        return None;
    }
    let (_, parms) =
        attributes(get(TCA_ACT_OPTIONS)?).find(|(kind, _)| *kind == TCA_MIRRED_PARMS)?;
    // struct tc_mirred: 20 bytes that all actions begin with, eaction i32, ifindex u32.
    let arrives = [TCA_INGRESS_REDIR, TCA_INGRESS_MIRROR].contains(&u32_at(parms, 20)?);
    Some(Redirect { from, to: u32_at(parms, 24)?, arrives })
}

/// Reads any bytes, for the test of netlink's answers.
#[cfg(test)]
pub(super) fn any_bytes(body: &[u8]) {
    let _ = (parse_qdisc(body), parse_filter(body), parse_redirects(body, 1));
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    #[test]
    fn places_of_filters_are_found() {
        let qdisc = |kind: &[u8], handle: u8| {
            let mut body = vec![0; 20];
            (body[4], body[10]) = (7, handle);
            body.extend(attribute(TCA_KIND, kind));
            let blocks = parse_qdisc(&body).unwrap();
            blocks.into_iter().map(|(_, parent, direction)| (parent, direction)).collect::<Vec<_>>()
        };
        let (rx, tx) = (Direction::Rx, Direction::Tx);
        let both = [(TC_H_CLSACT_INGRESS, rx), (TC_H_CLSACT_EGRESS, tx)];
        assert_eq!(qdisc(b"clsact\0", 255), both);
        assert_eq!(qdisc(b"ingress\0", 255), both[..1]);
        assert_eq!(qdisc(b"fq_codel\0", 0), []);
        assert_eq!(qdisc(b"prio\0", 1), [(0x1_0000, tx)]);
    }

    #[test]
    fn redirects_are_found_in_any_classifier() {
        let filter = |attribute_of_actions: u16, eaction: u32| {
            let mut parms = vec![0; 20];
            parms.extend(eaction.to_ne_bytes());
            parms.extend(9u32.to_ne_bytes());
            let action = [
                attribute(TCA_ACT_KIND, b"mirred\0"),
                attribute(TCA_ACT_OPTIONS, &attribute(TCA_MIRRED_PARMS, &parms)),
            ];
            let actions = attribute(1, &action.concat());
            let mut body = vec![0; 20];
            body.extend(attribute(TCA_KIND, b"u32\0"));
            body.extend(attribute(TCA_OPTIONS, &attribute(attribute_of_actions, &actions)));
            parse_redirects(&body, 7).unwrap()
        };
        let redirect = |arrives| Redirect { from: 7, to: 9, arrives };
        assert_eq!(filter(7, TCA_INGRESS_REDIR), [redirect(true)]);
        assert_eq!(filter(3, 1), [redirect(false)]);
        let at_tc = AtTc { redirects: vec![redirect(true), redirect(false)], ..AtTc::default() };
        assert_eq!(at_tc.detour(9, |_| false), Some(Detour::Redirected));
        assert_eq!(at_tc.detour(7, |to| to == 9), Some(Detour::ThroughIfb));
        assert_eq!(at_tc.detour(7, |_| false), None);
    }

    #[test]
    fn only_bpf_filters_count() {
        let filter = |kind: &[u8]| {
            let mut body = vec![0; 20];
            body.extend(attribute(TCA_KIND, kind));
            body.extend(attribute(TCA_OPTIONS, &attribute(TCA_BPF_ID, &7u32.to_ne_bytes())));
            parse_filter(&body)
        };
        assert_eq!((filter(b"bpf\0"), filter(b"flower\0")), (Some(7), None));
    }
}
