//! Sockets and their processes, as the connections probe reports them.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::coverage::Attribution;
use super::open::Comm;
use super::process::ProcessKey;
use super::quality::{Quality, TcpState};
use super::time::{Mono, WallOffset};

/// Protocol numbers of IP that lines name.
pub const TCP: u16 = 6;
/// See [`TCP`].
pub const UDP: u16 = 17;

/// `tcp`, `udp`, else the number.
pub fn protocol_name(number: u16) -> Cow<'static, str> {
    match number {
        TCP => "tcp".into(),
        UDP => "udp".into(),
        other => other.to_string().into(),
    }
}

/// Why a socket is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnEvent {
    /// Its counts at the end of an interval.
    Sample,
    /// TCP: established from here. Others: the first datagram after a `connect()` to another peer.
    Connect,
    /// Established from outside, and the accepting process is known: as a rule, in `accept()`.
    Accept,
    /// It ended; the counts are final.
    Close,
    /// A poll found it and the one before did not: it began in between, from which side is unknown.
    Seen,
}

/// How a process is known to use a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerFrom {
    /// It called `connect()`.
    #[default]
    Made,
    /// It called `accept()`.
    Accepted,
    /// It sent.
    Sent,
    /// It had the socket open when the open files were walked.
    Found,
    /// It received.
    Received,
}

impl OwnerFrom {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            OwnerFrom::Made => "made",
            OwnerFrom::Accepted => "accepted",
            OwnerFrom::Sent => "sent",
            OwnerFrom::Found => "found",
            OwnerFrom::Received => "received",
        }
    }
}

/// Bytes and packets, both directions.
///
/// Bytes are payload as processes read and wrote it, without headers and retransmissions. Packets are
/// TCP segments in and out, with retransmissions and bare acknowledgements; of other protocols, calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Carried {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_packets: u64,
    pub tx_packets: u64,
}

impl Carried {
    /// Both directions' bytes.
    pub fn bytes(self) -> u64 {
        self.rx_bytes.saturating_add(self.tx_bytes)
    }

    /// Whether it is nothing at all.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The four counts, in the order of the fields.
    pub fn to_array(self) -> [u64; 4] {
        [self.rx_bytes, self.tx_bytes, self.rx_packets, self.tx_packets]
    }

    /// See [`Self::to_array`].
    pub fn from_array([rx_bytes, tx_bytes, rx_packets, tx_packets]: [u64; 4]) -> Self {
        Self { rx_bytes, tx_bytes, rx_packets, tx_packets }
    }

    fn with(self, o: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            rx_bytes: op(self.rx_bytes, o.rx_bytes),
            tx_bytes: op(self.tx_bytes, o.tx_bytes),
            rx_packets: op(self.rx_packets, o.rx_packets),
            tx_packets: op(self.tx_packets, o.tx_packets),
        }
    }

    /// `self` less `o`, never below 0.
    pub fn minus(self, o: Self) -> Self {
        self.with(o, u64::saturating_sub)
    }
}

impl std::ops::AddAssign for Carried {
    fn add_assign(&mut self, o: Self) {
        *self = self.with(o, u64::saturating_add);
    }
}

impl std::ops::Add for Carried {
    type Output = Self;
    fn add(mut self, o: Self) -> Self {
        self += o;
        self
    }
}

/// A process that uses a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub key: ProcessKey,
    /// The real one, in the initial user namespace, as of the latest record.
    pub uid: u32,
    /// The process's name, as of the latest record.
    pub comm: Comm,
    pub from: OwnerFrom,
}

/// A process of a socket, and the bytes that its calls returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub owner: Owner,
    pub carried: Carried,
}

/// The kernel's counters of a TCP socket since tracking began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCounts {
    /// Bytes received in order and bytes written (sent, where the attribution is not by call); packets are
    /// 32 bits wide and wrap.
    pub carried: Carried,
    /// Received bytes that no process has read.
    pub queued: u32,
}

/// A socket at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conn {
    pub at: Mono,
    /// When it was established or first used; `None`: before the probe began.
    pub since: Option<Mono>,
    /// The kernel's number of the socket, unique until the next boot.
    pub cookie: u64,
    pub event: ConnEvent,
    /// The protocol number of IP.
    pub protocol: u16,
    /// v4 and v4-mapped are both v4, as on the wire.
    pub local: SocketAddr,
    /// The port is 0 where the socket has no peer of its own.
    pub remote: SocketAddr,
    /// The network namespace's inode number.
    pub netns: u32,
    /// Index of the interface that the socket is bound to; 0: none.
    pub interface: u32,
    /// The state of TCP (`TCP_ESTABLISHED` and so on); in a close the last one before CLOSE.
    pub state: u8,
    /// The errno that a close came with, or a sample after TCP has ended; 0: none.
    pub error: u32,
    /// Processes that use it, in the order of their first calls.
    pub shares: Vec<Share>,
    /// The index in `shares` of the last caller.
    pub current: usize,
    /// Calls of processes that found no room in the kernel's table; with `kernel`, calls of kernel threads
    /// too.
    pub left_out: Carried,
    /// TCP's counters, where it is TCP.
    pub tcp: Option<TcpCounts>,
    /// Several processes hold it or held it.
    pub shared: bool,
    /// A kernel socket, or one that kernel threads use too.
    pub kernel: bool,
    /// Established from outside.
    pub passive: bool,
    /// Its only peer is `remote`; other sockets' peers are in [`ConnectionsTick::peers`].
    pub stream: bool,
    /// Its end was not observed: it ended between two polls.
    pub unseen: bool,
    /// TCP's quality. Recordings have it apart.
    #[serde(skip)]
    pub quality: Quality,
}

impl Conn {
    /// The process that used it last.
    pub fn owner(&self) -> Option<Owner> {
        Some(self.shares.get(self.current)?.owner)
    }

    /// Its state, where it is TCP.
    pub fn tcp_state(&self) -> Option<TcpState> {
        TcpState::of(self.state).filter(|_| self.protocol == TCP)
    }

    /// The bytes that its processes' calls returned, those of the kernel included.
    pub fn called(&self) -> Carried {
        self.shares.iter().fold(self.left_out, |sum, share| sum + share.carried)
    }

    /// Its traffic. Below [`Attribution::Call`] that are TCP's counters; datagram sockets have none, which
    /// is `None`.
    pub fn carried(&self, attribution: Attribution) -> Option<Carried> {
        let called = self.called();
        let tcp = self.tcp.map(|tcp| tcp.carried);
        match attribution {
            Attribution::Call => Some(tcp.map_or(called, |tcp| tcp + called.minus(tcp))),
            _ => tcp.or((self.protocol == TCP).then_some(called)),
        }
    }

    /// Received bytes that no process has read. The kernel's count stops when TCP has closed, and
    /// processes may read on.
    pub fn queued(&self) -> Option<u64> {
        let tcp = self.tcp?;
        let rest = tcp.carried.rx_bytes.saturating_sub(self.called().rx_bytes);
        Some(rest.min(tcp.queued.into()))
    }

    /// The remote address with its scope.
    pub fn peer(&self, ip: IpAddr) -> PeerAddr {
        PeerAddr::new(self.netns, self.interface, ip)
    }
}

/// A remote address, in the network namespace and on the link where it means one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerAddr {
    /// The network namespace's inode number.
    pub netns: u32,
    /// The interface's index of a link-local address; 0 where that is unknown, and for other addresses.
    pub scope: u32,
    pub ip: IpAddr,
}

impl PeerAddr {
    /// `interface` matters for link-local addresses alone.
    pub fn new(netns: u32, interface: u32, ip: IpAddr) -> Self {
        Self { netns, scope: if is_link_local(ip) { interface } else { 0 }, ip }
    }

    /// Whether packets between this peer and a socket in its namespace can pass an interface. Those of
    /// other namespaces are forwarded, which loopback and link-local addresses never are.
    pub fn can_pass(&self, interface: &PacketPoint) -> bool {
        if interface.netns == 0 || interface.netns == self.netns {
            return self.scope == 0 || interface.passes.contains(&self.scope);
        }
        !(interface.loopback || self.ip.is_loopback() || is_link_local(self.ip))
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
    }
}

/// An interface, as the place that packets pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketPoint {
    /// The inode number of its network namespace; 0: unknown.
    pub netns: u32,
    /// Indices of the interfaces whose packets pass it: its own, and those stacked on others.
    pub passes: Vec<u32>,
    pub loopback: bool,
}

/// A process that has a socket open which another one uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub cookie: u64,
    pub owner: Owner,
}

/// Bytes that a process exchanged with one peer of a datagram socket, since the last tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFlow {
    pub cookie: u64,
    pub process: ProcessKey,
    pub remote: SocketAddr,
    pub carried: Carried,
}

/// The probe's findings since its last batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsBatch {
    pub at: Mono,
    pub wall: WallOffset,
    /// Connections from before a recording that began in the midst of a run, with the traffic
    /// that does not count any more. A batch without events and tick is of that kind.
    pub known: Vec<Conn>,
    /// Events in the order of time.
    pub events: Vec<Conn>,
    /// Present at the end of each interval.
    pub tick: Option<ConnectionsTick>,
    pub limits: Limits,
}

impl ConnectionsBatch {
    /// Every connection in it, in the order of the fields.
    pub fn conns(&self) -> impl Iterator<Item = &Conn> {
        let samples = self.tick.iter().flat_map(|tick| &tick.samples);
        self.known.iter().chain(&self.events).chain(samples)
    }

    /// See [`Self::conns`].
    pub fn conns_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        let samples = self.tick.iter_mut().flat_map(|tick| &mut tick.samples);
        self.known.iter_mut().chain(&mut self.events).chain(samples)
    }
}

/// Counts of events without room in a table of the kernel side, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Events.
    pub lost: u64,
    /// Sockets.
    pub sockets: u64,
    /// Calls of processes that share a socket.
    pub sharers: u64,
    /// Calls whose peer found no room.
    pub peers: u64,
    /// Calls of datagram sockets whose peer is unknown: the socket is not connected, and the call
    /// did not ask for the address.
    pub unknown_peers: u64,
}

impl Limits {
    /// The part that is not in `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            lost: self.lost.saturating_sub(before.lost),
            sockets: self.sockets.saturating_sub(before.sockets),
            sharers: self.sharers.saturating_sub(before.sharers),
            peers: self.peers.saturating_sub(before.peers),
            unknown_peers: self.unknown_peers.saturating_sub(before.unknown_peers),
        }
    }
}

/// The probe's readings at the end of an interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsTick {
    /// The sockets that carried something since the last one.
    pub samples: Vec<Conn>,
    /// `samples` has every socket: one that is missing has ended unseen.
    pub complete: bool,
    /// Sockets beyond the bound, which were not read.
    pub left_out: u64,
    /// Further processes of sockets, [`super::connections::MAX_CONNS`] of them at most.
    pub holders: Vec<Holder>,
    /// Holders beyond that bound.
    pub holders_left_out: u64,
    /// Peers of datagram sockets, those that changed.
    pub peers: Vec<PeerFlow>,
}

/// An address as it is on the wire.
pub fn wire_ip(ip: [u8; 16]) -> IpAddr {
    IpAddr::V6(ip.into()).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_other_namespaces_and_links_pass_where_they_are_routed() {
        let peer = |netns, scope, ip: &str| PeerAddr::new(netns, scope, ip.parse().unwrap());
        let eth0 = PacketPoint { netns: 1, passes: vec![9, 2], loopback: false };
        let lo = PacketPoint { netns: 1, passes: vec![1], loopback: true };
        for (peer, on_eth0, on_lo) in [
            (peer(1, 0, "10.0.0.2"), true, true),
            (peer(2, 0, "10.0.0.2"), true, false),
            (peer(2, 0, "127.0.0.1"), false, false),
            (peer(1, 2, "fe80::1"), true, false),
            (peer(1, 3, "fe80::1"), false, false),
            // Bound to a bridge of which eth0 may be a port.
            (peer(1, 9, "fe80::1"), true, false),
            (peer(1, 0, "fe80::1"), true, true),
            (peer(2, 2, "fe80::1"), false, false),
        ] {
            assert_eq!((peer.can_pass(&eth0), peer.can_pass(&lo)), (on_eth0, on_lo), "{peer:?}");
        }
        let unknown = PacketPoint { netns: 0, ..lo };
        assert!(peer(2, 0, "10.0.0.2").can_pass(&unknown));
    }
}
