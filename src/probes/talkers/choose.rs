//! Which hook counts: pure rules over what an interface tells of itself.

use super::links::Row;
use crate::model::escape::escape;
use crate::model::link::{Hook, XdpMode};
use crate::model::problem::Problem;
use crate::sys::ethtool::Feature;

/// Drivers for which `auto` takes native: attaching neither resets the link nor slows bulk
/// traffic, each with its source. None is known to do so for certain: ixgbe, i40e, ice, mlx5,
/// bnxt rebuild their queues (cilium#18636), veth loses TSO (three quarters of bulk TCP).
const NATIVE_IS_GENTLE: [&str; 0] = [];

/// Drivers for which losing GRO_HW or LRO is harmless and can be put back.
///
/// virtio_net: both are guest offloads, switched by a control-queue command while the link stays
/// up (virtnet_set_features, drivers/net/virtio_net.c).
const GENERIC_IS_HARMLESS: [&str; 1] = ["virtio_net"];

/// Why rx by an skb hook is not all that arrived.
pub(super) const AFTER_FOREIGN_XDP: &str = "after foreign XDP";

/// What the frames of an interface begin with, by ARPHRD type (include/uapi/linux/if_arp.h).
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
            if row.link.xdp.is_none() && LinkKind::of(row.link.arphrd) == LinkKind::Ethernet {
                let driver = row.driver.name.as_deref().unwrap_or_default();
                if NATIVE_IS_GENTLE.contains(&driver) {
                    hooks.push(Hook::Native);
                }
                if GENERIC_IS_HARMLESS.contains(&driver) || changed_by_generic(row) == Some(vec![])
                {
                    hooks.push(Hook::Generic);
                }
            }
            hooks.extend([Hook::Tcx, Hook::Socket]);
            hooks
        }
    }
}

/// The features that attaching generic XDP would switch off (`generic_xdp_install` calls
/// `dev_disable_lro` and `dev_disable_gro_hw`, net/core/dev.c); `None` where nobody can say.
fn changed_by_generic(row: &Row) -> Option<Vec<&str>> {
    let features = &row.driver.features;
    if features.is_empty() {
        return None;
    }
    let changes = |f: &&Feature| {
        ["rx-lro", "rx-gro-hw"].contains(&f.name.as_str()) && !f.fixed && (f.active || f.requested)
    };
    Some(features.iter().filter(changes).map(|f| f.name.as_str()).collect())
}

/// What `hook` does to the interface's other users, in words; empty when nothing.
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

/// Why `hook` cannot be had, told with what can be done.
pub(super) fn refusal(row: &Row, hook: Hook, error: &std::io::Error) -> Problem {
    let name = escape(row.link.name.as_bytes());
    let what = format!("attach {} to {name}", word(hook));
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
            ("the interface is gone".into(), "it is taken up again when it returns")
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

/// No interface of that name: the names there are, the nearest first.
pub(super) fn unknown<'a>(wanted: &str, there: impl Iterator<Item = &'a str>) -> Problem {
    let mut names: Vec<(usize, &str)> = there.map(|n| (distance(wanted, n), n)).collect();
    names.sort_unstable();
    let list: Vec<_> = names.into_iter().map(|(_, n)| escape(n.as_bytes())).collect();
    let fix = if list.is_empty() {
        "this network namespace has no interface".to_owned()
    } else {
        format!("choose another with -i: {}", list.join(", "))
    };
    Problem::new(format!("watch {}", escape(wanted.as_bytes())), "no such interface", fix)
}

/// How many characters have to be put in, taken out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (above, y) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(x != *y)).min(*above + 1).min(left + 1);
            diagonal = std::mem::replace(above, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::link::Link;
    use crate::probes::talkers::links::Driver;

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
            raw_name: c"x0".into(),
            driver: Driver { features, ..Driver::default() },
        };
        row.driver.name = Some(driver.into());
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
        assert_eq!(first(&row("x", &[])), Hook::Tcx, "nobody can say");
        let mut tun = row("tun", &[("rx-lro", false, true)]);
        tun.link.arphrd = 0xfffe;
        assert_eq!(first(&tun), Hook::Tcx);
        let mut taken = row("veth", &[("rx-lro", false, true)]);
        taken.link.xdp = Some(("native".into(), 7));
        assert_eq!(first(&taken), Hook::Tcx);
    }

    #[test]
    fn a_mode_is_taken_at_its_word() {
        let veth = row("veth", &[]);
        assert_eq!(rx_hooks(&veth, XdpMode::Native), [Hook::Native]);
        assert_eq!(rx_hooks(&veth, XdpMode::Generic), [Hook::Generic]);
        assert_eq!(rx_hooks(&veth, XdpMode::Off), [Hook::Tcx, Hook::Socket]);
    }

    #[test]
    fn the_price_names_what_changes() {
        let r = row("virtio_net", &[("rx-gro-hw", true, false), ("rx-lro", false, true)]);
        assert_eq!(price(&r, Hook::Generic), "switches software GRO and rx-gro-hw off");
        assert_eq!(price(&r, Hook::Tcx), "");
    }

    #[test]
    fn unknown_names_come_with_the_nearest_first() {
        let problem = unknown("eht0", ["lo", "wlan0", "eth0"].into_iter());
        assert_eq!(problem.fix, "choose another with -i: eth0, lo, wlan0");
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("eth0", "eth0")), (3, 3, 0));
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
