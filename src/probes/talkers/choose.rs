//! The choice of a hook: pure rules over the properties of an interface.

use super::interface::Row;
use super::third_party::Detour;
use crate::model::interface_name::InterfaceName;
use crate::model::link::{Hook, XdpMode};
use crate::model::problem::Problem;
use crate::sys::ethtool::Feature;

/// Drivers for which losing GRO_HW or LRO is harmless and can be put back.
///
/// virtio_net: both are guest offloads, switched by a control-queue command while the link stays
/// up (virtnet_set_features, drivers/net/virtio_net.c).
const GENERIC_IS_HARMLESS: [&str; 1] = ["virtio_net"];

/// Why rx by a TCX program or a socket is not all that arrived.
const AFTER_FOREIGN_XDP: &str = "after foreign XDP";
/// A foreign TCX program runs before ours and may take frames out.
const AFTER_FOREIGN_TCX: &str = "after foreign TCX";
/// Why XDP does not see all that arrives, or sees some twice.
const WITHOUT_REDIRECTED: &str = "without frames that tc redirects here";
const THROUGH_IFB: &str = "frames that ifb returns count twice";
/// XDP_TX and XDP_REDIRECT pass neither the queueing layer nor a packet socket.
const WITHOUT_FOREIGN_XDP: &str = "without frames that foreign XDP sends";
/// The reason where no socket is to be had: TCX runs before the queue and before filters of clsact.
const BEFORE_QUEUE: &str = "counted before queue and tc filters";

/// The first header of an interface's frames, by ARPHRD type (include/uapi/linux/if_arp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    NoHeader,
    /// A header of another form: only skb hooks know where the IP header is.
    Other,
}

impl LinkKind {
    pub(super) fn of(arphrd: u16) -> Self {
        match arphrd {
            // ETHER, LOOPBACK
            1 | 772 => LinkKind::Ethernet,
            // PPP, RAWIP, TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, NONE
            512 | 519 | 768 | 769 | 776 | 778 | 823 | 0xfffe => LinkKind::NoHeader,
            _ => LinkKind::Other,
        }
    }

    /// `enum link_kind` of talkers.h.
    pub(super) fn number(self) -> u32 {
        match self {
            LinkKind::Ethernet => 0,
            LinkKind::NoHeader => 1,
            LinkKind::Other => 2,
        }
    }
}

/// The hooks for rx to try, the best first.
pub(super) fn rx_hooks(row: &Row, mode: XdpMode) -> Vec<Hook> {
    match mode {
        XdpMode::Native => vec![Hook::Native],
        XdpMode::Generic => vec![Hook::Generic],
        XdpMode::Off => vec![Hook::Tcx, Hook::Socket],
        XdpMode::Auto => {
            let mut hooks = Vec::new();
            let ethernet = LinkKind::of(row.link.arphrd) == LinkKind::Ethernet;
            if ethernet && row.link.xdp.is_none() && row.detour.is_none() {
                let driver = row.driver.name.as_deref().unwrap_or_default();
                // Native is never taken: no driver is known for certain to attach it without a reset
                // of the link and without a loss for bulk traffic. ixgbe, i40e, ice, mlx5 and bnxt
                // rebuild their queues (cilium#18636), veth loses TSO (three quarters of bulk TCP).
                let harmless = GENERIC_IS_HARMLESS.contains(&driver)
                    || changed_by_generic(row) == Some(vec![]);
                if harmless && !(row.warning_panics && generic_warns(row)) {
                    hooks.push(Hook::Generic);
                }
            }
            hooks.extend([Hook::Tcx, Hook::Socket]);
            hooks
        }
    }
}

/// The hooks for tx to try, the best first. A packet socket is handed a frame right before the driver
/// (`xmit_one`, net/core/dev.c): frames that the queue or a filter dropped are not among these. TCX
/// runs before both.
pub(super) const TX_HOOKS: [Hook; 2] = [Hook::Socket, Hook::Tcx];

/// Why rx by `hook` is not exactly what arrived.
pub(super) fn rx_doubts(row: &Row, hook: Hook) -> Vec<&'static str> {
    match hook {
        Hook::Tcx | Hook::Socket => {
            let xdp = row.link.xdp.is_some().then_some(AFTER_FOREIGN_XDP);
            let tcx = (hook == Hook::Tcx && row.behind_tcx).then_some(AFTER_FOREIGN_TCX);
            xdp.into_iter().chain(tcx).collect()
        }
        Hook::Native | Hook::Generic => match row.detour {
            Some(Detour::Redirected) => vec![WITHOUT_REDIRECTED],
            Some(Detour::ThroughIfb) if hook == Hook::Generic => vec![THROUGH_IFB],
            _ => vec![],
        },
    }
}

/// The reason why the count of tx by `hook` differs from the frames handed to the driver.
pub(super) fn tx_doubts(row: &Row, hook: Hook) -> Vec<&'static str> {
    let xdp = row.link.xdp.is_some().then_some(WITHOUT_FOREIGN_XDP);
    let queue = (hook == Hook::Tcx).then_some(BEFORE_QUEUE);
    xdp.into_iter().chain(queue).collect()
}

/// The features that attaching generic XDP would switch off (`generic_xdp_install` calls
/// `dev_disable_lro` and `dev_disable_gro_hw`, net/core/dev.c); `None` where they cannot be read.
fn changed_by_generic(row: &Row) -> Option<Vec<&str>> {
    let features = &row.driver.features;
    if features.is_empty() {
        return None;
    }
    let changes = |f: &&Feature| is_for_generic(f) && !f.fixed && (f.active || f.requested);
    Some(features.iter().filter(changes).map(|f| f.name.as_str()).collect())
}

/// Whether the kernel warns in its log when generic XDP is attached: a feature that it cannot switch off
/// stays on (`dev_disable_lro` and `dev_disable_gro_hw`, net/core/dev.c), as on virtio_net of some machines.
fn generic_warns(row: &Row) -> bool {
    row.driver.features.iter().any(|f| is_for_generic(f) && f.fixed && f.active)
}

/// A feature that `generic_xdp_install` switches off.
fn is_for_generic(feature: &Feature) -> bool {
    ["rx-lro", "rx-gro-hw"].contains(&feature.name.as_str())
}

/// Effects of `hook` on other traffic on the interface; empty without any.
pub(super) fn price(row: &Row, hook: Hook) -> String {
    match hook {
        Hook::Tcx | Hook::Socket => String::new(),
        Hook::Generic => match changed_by_generic(row).unwrap_or_default().as_slice() {
            [] => "switches software GRO off".into(),
            features => format!("switches software GRO and {} off", features.join(", ")),
        },
        Hook::Native if row.link.driver.as_deref() == Some("veth") => {
            "takes TSO from the pair: bulk TCP at a quarter".into()
        }
        Hook::Native => "may reset the link".into(),
    }
}

/// Why `hook` cannot be attached, and what to do.
pub(super) fn refusal(row: &Row, hook: Hook, error: &std::io::Error) -> Problem {
    let what = format!("attach {} to {}", word(hook), row.link.name);
    let (why, fix) = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => ("this needs root".into(), "run it with sudo"),
        Some(libc::EBUSY | libc::EEXIST) => (
            "another XDP program is attached, and is left alone".into(),
            "use --xdp-mode off, or detach it",
        ),
        Some(libc::EOPNOTSUPP) => {
            ("the driver has no native XDP".to_owned(), "use --xdp-mode generic or auto")
        }
        Some(libc::ERANGE) => (
            format!("the MTU of {} is too large for the driver", row.link.mtu),
            "use --xdp-mode off",
        ),
        Some(libc::ENODEV | libc::ENXIO) => {
            ("the interface is gone".into(), "it is watched again when it returns")
        }
        _ => (error.to_string(), "use --xdp-mode off"),
    };
    Problem::new(what, why, fix)
}

fn word(hook: Hook) -> &'static str {
    match hook {
        Hook::Native => "native XDP",
        Hook::Generic => "generic XDP",
        Hook::Tcx => "a TCX program",
        Hook::Socket => "a packet socket",
    }
}

/// No interface has this name: lists the names that exist, the nearest first.
pub(super) fn unknown<'a>(
    wanted: &InterfaceName,
    there: impl Iterator<Item = &'a InterfaceName>,
) -> Problem {
    let shown = wanted.escaped();
    let distance = |name: &str| strsim::levenshtein(&shown, name);
    let mut names: Vec<_> = there.map(|n| (distance(&n.escaped()), n.escaped())).collect();
    names.sort_unstable();
    let list: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
    let fix = if list.is_empty() {
        "this network namespace has no interface".to_owned()
    } else {
        format!("choose another with -i: {}", list.join(", "))
    };
    Problem::new(format!("watch {shown}"), "no such interface", fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::Link;
    use crate::probes::talkers::interface::Driver;
    use std::rc::Rc;

    fn row(driver: &str, features: &[(&str, bool, bool)]) -> Row {
        let features = features
            .iter()
            .enumerate()
            .map(|(bit, (name, on, fixed))| Feature {
                name: (*name).into(),
                bit,
                active: *on,
                requested: *on,
                fixed: *fixed,
            })
            .collect();
        let mut row = Row {
            link: Link { arphrd: 1, ..Link::default() },
            altnames: Vec::new(),
            driver: Rc::new(Driver { features, name: Some(driver.into()), speed_mbit: None }),
            detour: None,
            behind_tcx: false,
            warning_panics: false,
        };
        row.link.driver = Some(driver.into());
        row
    }

    #[test]
    fn auto_takes_generic_only_where_nothing_changes() {
        let first = |r: &Row| rx_hooks(r, XdpMode::Auto)[0];
        assert_eq!(first(&row("veth", &[("rx-lro", false, true)])), Hook::Generic);
        assert_eq!(first(&row("x", &[("rx-lro", false, false)])), Hook::Generic);
        assert_eq!(first(&row("x", &[("rx-lro", true, true)])), Hook::Generic);
        assert_eq!(first(&row("ixgbe", &[("rx-lro", true, false)])), Hook::Tcx);
        assert_eq!(first(&row("bnxt_en", &[("rx-gro-hw", true, false)])), Hook::Tcx);
        assert_eq!(first(&row("virtio_net", &[("rx-gro-hw", true, false)])), Hook::Generic);
        assert_eq!(first(&row("x", &[])), Hook::Tcx, "unknown driver");
        for (feature, hook) in
            [(("rx-gro-hw", true, true), Hook::Tcx), (("rx-gro-hw", false, true), Hook::Generic)]
        {
            let panics = Row { warning_panics: true, ..row("virtio_net", &[feature]) };
            assert_eq!(first(&panics), hook);
        }
        let mut tun = row("tun", &[("rx-lro", false, true)]);
        tun.link.arphrd = 0xfffe;
        assert_eq!(first(&tun), Hook::Tcx);
        let mut taken = row("veth", &[("rx-lro", false, true)]);
        taken.link.xdp = Some(("native".into(), 7));
        assert_eq!(first(&taken), Hook::Tcx);
        for detour in [Detour::Redirected, Detour::ThroughIfb] {
            let bypassed = Row { detour: Some(detour), ..row("veth", &[("rx-lro", false, true)]) };
            assert_eq!(first(&bypassed), Hook::Tcx);
            assert_eq!(rx_doubts(&bypassed, Hook::Tcx), Vec::<&str>::new());
            assert_eq!(rx_doubts(&bypassed, Hook::Generic).len(), 1);
        }
    }

    #[test]
    fn tx_is_in_doubt_before_the_queue_and_beside_foreign_xdp() {
        let mut row = row("veth", &[]);
        assert_eq!(tx_doubts(&row, Hook::Socket), Vec::<&str>::new());
        assert_eq!(tx_doubts(&row, Hook::Tcx), [BEFORE_QUEUE]);
        row.link.xdp = Some(("native".into(), 7));
        assert_eq!(tx_doubts(&row, Hook::Socket), [WITHOUT_FOREIGN_XDP]);
        assert_eq!(rx_doubts(&row, Hook::Tcx), [AFTER_FOREIGN_XDP]);
    }

    #[test]
    fn a_mode_is_taken_at_its_word() {
        let veth = row("veth", &[]);
        assert_eq!(rx_hooks(&veth, XdpMode::Native), [Hook::Native]);
        assert_eq!(rx_hooks(&veth, XdpMode::Generic), [Hook::Generic]);
        assert_eq!(rx_hooks(&veth, XdpMode::Off), [Hook::Tcx, Hook::Socket]);
    }

    #[test]
    fn the_price_names_the_features_that_change() {
        let r = row("virtio_net", &[("rx-gro-hw", true, false), ("rx-lro", false, true)]);
        assert_eq!(price(&r, Hook::Generic), "switches software GRO and rx-gro-hw off");
        assert_eq!(price(&r, Hook::Tcx), "");
    }

    #[test]
    fn unknown_names_come_with_the_nearest_first() {
        let there = ["lo", "wlan0", "eth0"].map(InterfaceName::from);
        let problem = unknown(&"eht0".into(), there.iter());
        assert_eq!(problem.fix, "choose another with -i: eth0, lo, wlan0");
    }
}
