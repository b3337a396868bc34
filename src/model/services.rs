//! Names of ports and protocols: those that administrators know, not all that the IANA has assigned.
//! A port is a number; the name of its service is a guess about the traffic.

const TCP: u8 = 1;
const UDP: u8 = 2;
const SCTP: u8 = 4;

/// Port, protocols, name; in the order of ports.
const SERVICES: &[(u16, u8, &str)] = &[
    (20, TCP, "ftp-data"),
    (21, TCP, "ftp"),
    (22, TCP | SCTP, "ssh"),
    (23, TCP, "telnet"),
    (25, TCP, "smtp"),
    (37, TCP | UDP, "time"),
    (43, TCP, "whois"),
    (49, TCP | UDP, "tacacs"),
    (53, TCP | UDP, "domain"),
    (67, UDP, "dhcp-server"),
    (68, UDP, "dhcp-client"),
    (69, UDP, "tftp"),
    (79, TCP, "finger"),
    (80, TCP | UDP, "http"),
    (88, TCP | UDP, "kerberos"),
    (110, TCP, "pop3"),
    (111, TCP | UDP, "sunrpc"),
    (113, TCP, "ident"),
    (119, TCP, "nntp"),
    (123, UDP, "ntp"),
    (135, TCP, "msrpc"),
    (137, UDP, "netbios-ns"),
    (138, UDP, "netbios-dgm"),
    (139, TCP, "netbios-ssn"),
    (143, TCP, "imap"),
    (161, TCP | UDP, "snmp"),
    (162, TCP | UDP, "snmp-trap"),
    (179, TCP, "bgp"),
    (194, TCP, "irc"),
    (389, TCP | UDP, "ldap"),
    (443, TCP | UDP, "https"),
    (445, TCP, "smb"),
    (464, TCP | UDP, "kpasswd"),
    (465, TCP, "submissions"),
    (500, UDP, "isakmp"),
    (514, UDP, "syslog"),
    (520, UDP, "rip"),
    (546, UDP, "dhcpv6-client"),
    (547, UDP, "dhcpv6-server"),
    (554, TCP, "rtsp"),
    (587, TCP, "submission"),
    (631, TCP | UDP, "ipp"),
    (636, TCP, "ldaps"),
    (646, TCP | UDP, "ldp"),
    (873, TCP, "rsync"),
    (989, TCP, "ftps-data"),
    (990, TCP, "ftps"),
    (992, TCP, "telnets"),
    (993, TCP, "imaps"),
    (995, TCP, "pop3s"),
    (1080, TCP, "socks"),
    (1194, TCP | UDP, "openvpn"),
    (1433, TCP, "ms-sql-s"),
    (1434, UDP, "ms-sql-m"),
    (1521, TCP, "oracle"),
    (1701, UDP, "l2tp"),
    (1723, TCP, "pptp"),
    (1812, UDP, "radius"),
    (1813, UDP, "radius-acct"),
    (1883, TCP, "mqtt"),
    (1900, UDP, "ssdp"),
    (2049, TCP | UDP, "nfs"),
    (2055, UDP, "netflow"),
    (2181, TCP, "zookeeper"),
    (2375, TCP, "docker"),
    (2376, TCP, "docker-s"),
    (2379, TCP, "etcd-client"),
    (2380, TCP, "etcd-server"),
    (3260, TCP, "iscsi"),
    (3306, TCP, "mysql"),
    (3389, TCP | UDP, "ms-wbt"),
    (3478, TCP | UDP, "stun"),
    (3690, TCP, "svn"),
    (3784, UDP, "bfd-control"),
    (4222, TCP, "nats"),
    (4500, UDP, "ipsec-nat-t"),
    (4789, UDP, "vxlan"),
    (5060, TCP | UDP, "sip"),
    (5061, TCP, "sips"),
    (5201, TCP | UDP, "iperf3"),
    (5222, TCP, "xmpp-client"),
    (5269, TCP, "xmpp-server"),
    (5349, TCP | UDP, "stuns"),
    (5353, UDP, "mdns"),
    (5355, TCP | UDP, "llmnr"),
    (5432, TCP, "postgresql"),
    (5671, TCP, "amqps"),
    (5672, TCP, "amqp"),
    (5900, TCP, "vnc"),
    (6000, TCP, "x11"),
    (6081, UDP, "geneve"),
    (6343, UDP, "sflow"),
    (6379, TCP, "redis"),
    (6443, TCP, "kube-apiserver"),
    (6667, TCP, "irc"),
    (6697, TCP, "ircs-u"),
    (6881, TCP | UDP, "bittorrent"),
    (8080, TCP, "http-alt"),
    (8125, UDP, "statsd"),
    (8443, TCP, "https-alt"),
    (9042, TCP, "cassandra"),
    (9090, TCP, "prometheus"),
    (9092, TCP, "kafka"),
    (9100, TCP, "node-exporter"),
    (9200, TCP, "elasticsearch"),
    (9418, TCP, "git"),
    (10050, TCP, "zabbix-agent"),
    (10051, TCP, "zabbix-trapper"),
    (10250, TCP, "kubelet"),
    (11211, TCP | UDP, "memcached"),
    (27017, TCP, "mongodb"),
    (51820, UDP, "wireguard"),
];

/// The service that usually listens on `port` of the protocol with this number.
pub fn service(proto: u8, port: u16) -> Option<&'static str> {
    let of = match proto {
        6 => TCP,
        17 | 136 => UDP,
        132 => SCTP,
        _ => return None,
    };
    let at = SERVICES.binary_search_by_key(&port, |s| s.0).ok()?;
    SERVICES.get(at).filter(|s| s.1 & of != 0).map(|s| s.2)
}

/// The name of an IP protocol (IANA, Assigned Internet Protocol Numbers).
pub fn protocol(proto: u8) -> Option<&'static str> {
    Some(match proto {
        0 => "hopopts",
        1 => "icmp",
        2 => "igmp",
        4 => "ipip",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        41 => "ip6-in-ip",
        43 => "route6",
        44 => "frag6",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmp6",
        59 => "no-next",
        60 => "dstopts6",
        88 => "eigrp",
        89 => "ospf",
        103 => "pim",
        108 => "ipcomp",
        112 => "vrrp",
        115 => "l2tp",
        132 => "sctp",
        136 => "udplite",
        137 => "mpls",
        _ => return None,
    })
}

/// The name of a type of ICMP (`proto` 1) or ICMPv6 (58).
pub fn icmp(proto: u8, kind: u8) -> Option<&'static str> {
    Some(match (proto, kind) {
        (1, 0) | (58, 129) => "echo reply",
        (1, 8) | (58, 128) => "echo request",
        (1, 3) | (58, 1) => "unreachable",
        (1, 11) | (58, 3) => "time exceeded",
        (1, 12) | (58, 4) => "parameter problem",
        (1, 5) | (58, 137) => "redirect",
        (58, 2) => "packet too big",
        (1, 9) | (58, 134) => "router advertisement",
        (1, 10) | (58, 133) => "router solicitation",
        (1, 13) => "timestamp",
        (1, 14) => "timestamp reply",
        (58, 130) => "listener query",
        (58, 131 | 143) => "listener report",
        (58, 132) => "listener done",
        (58, 135) => "neighbor solicitation",
        (58, 136) => "neighbor advertisement",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_port_and_protocol() {
        assert!(SERVICES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(service(6, 443), Some("https"));
        assert_eq!(service(17, 53), Some("domain"));
        assert_eq!(service(17, 22), None);
        assert_eq!(service(47, 22), None);
        assert_eq!(service(6, 50_000), None);
        assert_eq!(icmp(58, 135), Some("neighbor solicitation"));
        assert_eq!(protocol(255), None);
    }
}
