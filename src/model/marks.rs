//! Marks of addresses: this machine's own, a gateway's, or one of a private range.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};

use super::link::Link;

/// The mark of an address, from local facts alone; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// An address of one of the interfaces, or of loopback.
    Own,
    /// The gateway of a default route.
    Gateway,
    /// Not routed in public: RFC 1918, 6598, 3927, 4193, link-local.
    Private,
}

impl Mark {
    /// The word on the screen.
    pub fn word(self) -> &'static str {
        match self {
            Mark::Own => "self",
            Mark::Gateway => "gw",
            Mark::Private => "lan",
        }
    }
}

/// The addresses that are marked for what the interfaces say.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    own: HashSet<IpAddr>,
    gateways: HashSet<IpAddr>,
}

impl Marks {
    /// The marks of all interfaces of a namespace.
    pub fn of(links: &[Link]) -> Self {
        Self {
            own: links.iter().flat_map(|l| l.addresses.iter().copied()).collect(),
            gateways: links.iter().flat_map(|l| l.gateways.iter().copied()).collect(),
        }
    }

    /// The mark of an address.
    pub fn get(&self, ip: IpAddr) -> Option<Mark> {
        match () {
            () if ip.is_loopback() || self.own.contains(&ip) => Some(Mark::Own),
            () if self.gateways.contains(&ip) => Some(Mark::Gateway),
            () if is_private(ip) => Some(Mark::Private),
            () => None,
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

/// fc00::/7 and fe80::/10.
fn is_private_v6(v6: Ipv6Addr) -> bool {
    let [first, ..] = v6.segments();
    first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_before_gateway_before_private() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let link = Link {
            addresses: vec![ip("10.0.0.5"), ip("2001:db8::5")],
            gateways: vec![ip("10.0.0.1"), ip("fe80::1"), ip("198.51.100.1"), ip("10.0.0.5")],
            ..Link::default()
        };
        let marks = Marks::of(&[link]);
        for (address, mark) in [
            ("10.0.0.5", Some(Mark::Own)),
            ("2001:db8::5", Some(Mark::Own)),
            ("127.0.0.9", Some(Mark::Own)),
            ("::1", Some(Mark::Own)),
            ("10.0.0.1", Some(Mark::Gateway)),
            ("198.51.100.1", Some(Mark::Gateway)),
            ("fe80::1", Some(Mark::Gateway)),
            ("10.0.0.2", Some(Mark::Private)),
            ("172.31.255.255", Some(Mark::Private)),
            ("172.32.0.0", None),
            ("192.168.0.1", Some(Mark::Private)),
            ("169.254.1.1", Some(Mark::Private)),
            ("100.64.0.1", Some(Mark::Private)),
            ("100.128.0.1", None),
            ("100.63.0.1", None),
            ("fd00::1", Some(Mark::Private)),
            ("fe80::2", Some(Mark::Private)),
            ("febf::1", Some(Mark::Private)),
            ("fec0::1", None),
            ("8.8.8.8", None),
            ("2001:db8::6", None),
            ("::ffff:10.0.0.2", None),
        ] {
            assert_eq!(marks.get(ip(address)), mark, "{address}");
        }
    }
}
