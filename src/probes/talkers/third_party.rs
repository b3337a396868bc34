//! Programs that others attached to the interfaces, at XDP, at TCX and as filters of clsact.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::netlink::{Netlink, attributes, u32_at};
use crate::model::link::{Foreign, ForeignHook};
use crate::model::talkers::Direction;
use crate::sys::programs;

/// A program that comes or goes by a link makes no netlink event, so they are looked for; sooner
/// after a change, but not with each of a thousand.
const EVERY: Duration = Duration::from_secs(5);
const SOONER: Duration = Duration::from_secs(1);

/// `include/uapi/linux/rtnetlink.h`, `pkt_sched.h`, `pkt_cls.h`
const RTM_NEWQDISC: u16 = 36;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const TC_H_CLSACT_INGRESS: u32 = 0xffff_fff2;
const TC_H_CLSACT_EGRESS: u32 = 0xffff_fff3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ID: u16 = 11;

/// Names of programs that are kept.
const MOST_NAMES: usize = 1_024;

/// What is attached at TC, by interface, and names of programs.
#[derive(Debug, Default)]
pub(super) struct AtTc {
    held: HashMap<u32, Vec<(Direction, u32)>>,
    names: HashMap<u32, String>,
    looked: Option<Instant>,
    stale: bool,
}

impl AtTc {
    /// Looks again, where something changed or it is time.
    pub(super) fn refresh(&mut self, netlink: &Netlink, links: &[u32], changed: bool) {
        self.stale |= changed;
        let rest = if self.stale { SOONER } else { EVERY };
        if self.looked.is_some_and(|at| at.elapsed() < rest) {
            return;
        }
        // Who has given up the right to ask knows what was so then.
        let refused = |&ifindex: &u32| {
            let asked = programs::at_tcx(ifindex, Direction::Rx);
            asked.is_err_and(|e| e.raw_os_error() == Some(libc::EPERM))
        };
        if links.first().is_some_and(refused) {
            return;
        }
        self.stale = false;
        self.looked = Some(Instant::now());
        // Ids come again only after all others did; after the start no name can be had any more.
        if self.names.len() > MOST_NAMES {
            self.names.clear();
        }
        self.held.clear();
        // Dumps wait for the lock of all network configuration: one, and more where there is need.
        let clsact = with_clsact(netlink);
        for &ifindex in links {
            let mut all = Vec::new();
            for direction in [Direction::Rx, Direction::Tx] {
                let tcx = programs::at_tcx(ifindex, direction).unwrap_or_default();
                let filters = if clsact.contains(&ifindex) {
                    filters(netlink, ifindex, direction)
                } else {
                    Vec::new()
                };
                all.extend(tcx.into_iter().chain(filters).map(|id| (direction, id)));
            }
            if !all.is_empty() {
                self.held.insert(ifindex, all);
            }
        }
    }

    /// What others attached to an interface; `xdp` is what netlink tells of it.
    pub(super) fn foreign(
        &mut self,
        ifindex: u32,
        xdp: &[(&'static str, u32)],
        ours: &HashSet<u32>,
    ) -> Vec<Foreign> {
        let xdp = xdp.iter().map(|(kind, id)| (ForeignHook::Xdp((*kind).into()), *id));
        let tc = self.held.get(&ifindex).into_iter().flatten();
        let all = xdp.chain(tc.map(|(direction, id)| (ForeignHook::Tc(*direction), *id)));
        let others = all.filter(|(_, id)| !ours.contains(id));
        let name = |names: &mut HashMap<u32, String>, id| {
            names.entry(id).or_insert_with(|| programs::name(id).unwrap_or_default()).clone()
        };
        others.map(|(hook, id)| Foreign { hook, id, name: name(&mut self.names, id) }).collect()
    }
}

/// The interfaces that have a qdisc for filters of both sides.
fn with_clsact(netlink: &Netlink) -> HashSet<u32> {
    let mut found = HashSet::new();
    // struct tcmsg, 20 bytes. A kernel without traffic control has none.
    let _ = netlink.dump(RTM_GETQDISC, RTM_NEWQDISC, &[0; 20], &mut found, |found, body| {
        found.extend(parse_clsact(body));
    });
    found
}

fn parse_clsact(body: &[u8]) -> Option<u32> {
    let mut kinds = attributes(body.get(20..)?).filter(|(kind, _)| *kind == TCA_KIND);
    let is = kinds.any(|(_, name)| name == b"clsact\0" || name == b"ingress\0");
    u32_at(body, 4).filter(|_| is)
}

/// Ids of the BPF filters at one side of an interface; none where there is no clsact.
fn filters(netlink: &Netlink, ifindex: u32, direction: Direction) -> Vec<u32> {
    let parent = match direction {
        Direction::Rx => TC_H_CLSACT_INGRESS,
        Direction::Tx => TC_H_CLSACT_EGRESS,
    };
    // struct tcmsg: family u8, pad[3], ifindex i32, handle u32, parent u32, info u32.
    let words = [0, ifindex, 0, parent, 0];
    let header: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    let mut ids = Vec::new();
    let read = netlink.dump(RTM_GETTFILTER, RTM_NEWTFILTER, &header, &mut ids, |ids, body| {
        ids.extend(parse_filter(body));
    });
    if read.is_err() {
        // An interface that has just gone, or a kernel without traffic control.
        ids.clear();
    }
    ids
}

/// The id of the program of a filter of kind `bpf`.
fn parse_filter(body: &[u8]) -> Option<u32> {
    let (_, options) = attributes(body.get(20..)?).find(|(kind, _)| *kind == TCA_OPTIONS)?;
    let is_bpf =
        attributes(body.get(20..)?).any(|(kind, name)| kind == TCA_KIND && name == b"bpf\0");
    let (_, id) = attributes(options).find(|(kind, _)| *kind == TCA_BPF_ID)?;
    u32_at(id, 0).filter(|id| is_bpf && *id != 0)
}

/// For the tests of all that netlink answers.
#[cfg(test)]
pub(super) fn any_bytes(body: &[u8]) {
    let _ = (parse_clsact(body), parse_filter(body));
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attribute;
    use super::*;

    #[test]
    fn qdiscs_for_filters_are_found() {
        let qdisc = |kind: &[u8]| {
            let mut body = vec![0; 20];
            body[4] = 7;
            body.extend(attribute(TCA_KIND, kind));
            parse_clsact(&body)
        };
        assert_eq!((qdisc(b"clsact\0"), qdisc(b"fq_codel\0")), (Some(7), None));
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
