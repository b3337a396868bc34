//! Sockets and the processes behind them, as the owners probe tells them.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::open::Comm;
use super::opens::ProcessKey;
use super::time::{Mono, WallOffset};

/// Protocol numbers of IP that are told by name.
pub const TCP: u16 = 6;
/// See [`TCP`].
pub const UDP: u16 = 17;

/// What is told of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnEvent {
    /// Read while it lives.
    Sample,
    /// TCP: established from here. Others: the first datagram after a `connect()` to another peer.
    Connect,
    /// TCP, established from outside: who took it is known. As a rule that is in `accept()`.
    Accept,
    /// It ended, and these are its last counts.
    Close,
    /// A poll found it and the one before did not: it began in between, and who began it is unknown.
    Seen,
}

/// How an owner is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerFrom {
    /// It is not.
    #[default]
    None,
    /// It called `socket()` or `connect()`.
    Made,
    /// It called `accept()`.
    Accepted,
    /// It sent through the socket.
    Sent,
    /// It held the socket when somebody looked.
    Found,
}

impl OwnerFrom {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            OwnerFrom::None => "unknown",
            OwnerFrom::Made => "made",
            OwnerFrom::Accepted => "accepted",
            OwnerFrom::Sent => "sent",
            OwnerFrom::Found => "found",
        }
    }
}

/// Bytes and packets, both directions.
///
/// Bytes are what TCP or UDP carried: none of their headers; what TCP sent again counts once, what
/// it received counts when it is in order. Packets are TCP segments in and out, those sent again
/// and bare acknowledgements included, and datagrams before they are cut into fragments.
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

/// A process behind a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub key: ProcessKey,
    /// The real one, in the initial user namespace.
    pub uid: u32,
    /// The process's name when it was first seen with the socket.
    pub comm: Comm,
    pub from: OwnerFrom,
}

/// An owner, and what the socket carried while it was in its hands: until another process sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// `None`: nobody is known to have held it by then.
    pub owner: Option<Owner>,
    pub carried: Carried,
}

/// A socket at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conn {
    pub at: Mono,
    /// When it was made, or established; `None`: before the probe began.
    pub since: Option<Mono>,
    /// The kernel's number of the socket, of which there is no second until the next boot.
    pub cookie: u64,
    pub event: ConnEvent,
    /// The protocol number of IP.
    pub protocol: u16,
    /// v4 and v4-mapped are both v4, which is what is on the wire.
    pub local: SocketAddr,
    /// The port is 0 where the socket has no peer of its own.
    pub remote: SocketAddr,
    /// The network namespace's inode number.
    pub netns: u32,
    /// Of TCP, `TCP_ESTABLISHED` and so on; in a close the one before it.
    pub state: u8,
    /// The errno that a close came with; 0: none.
    pub error: u32,
    /// In the order in which they came; the last one also has what those have that found no place.
    pub shares: Vec<Share>,
    /// The number of the share whose owner sent last.
    pub current: usize,
    /// There were more processes than shares.
    pub left_out: bool,
    /// It is the kernel's own, and no process's.
    pub kernels: bool,
    /// It was established from outside.
    pub passive: bool,
    /// The packets are known modulo 2^32 only.
    pub wrapping: bool,
}

impl Conn {
    /// In whose hands it is.
    pub fn owner(&self) -> Option<Owner> {
        self.shares.get(self.current)?.owner
    }
}

/// A process that holds a socket which another one sent through last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub cookie: u64,
    pub owner: Owner,
}

/// What a socket without a peer of its own exchanged with one of its peers, since it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFlow {
    pub cookie: u64,
    pub remote: SocketAddr,
    pub carried: Carried,
}

/// What the probe found out since it spoke last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersBatch {
    pub at: Mono,
    pub wall: WallOffset,
    /// What happened, in the order of time.
    pub events: Vec<Conn>,
    /// There on a tick.
    pub tick: Option<OwnersTick>,
    /// Events that found no room in the ring, since the start.
    pub lost: u64,
    /// Sockets that found no room, since the start.
    pub stateless: u64,
}

/// What is read on a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersTick {
    /// The sockets that carried something since the last one.
    pub samples: Vec<Conn>,
    /// `samples` are all that there are: one that is missing has ended unseen.
    pub complete: bool,
    /// Sockets that were not read any more, since they were too many.
    pub left_out: u64,
    /// Whoever else holds a socket, [`super::owners::MAX_CONNS`] of them at most.
    pub holders: Vec<Holder>,
    /// Peers of sockets without one, those that changed.
    pub flows: Vec<PeerFlow>,
}

/// An address as it is on the wire.
pub fn wire_ip(ip: [u8; 16]) -> IpAddr {
    IpAddr::V6(ip.into()).to_canonical()
}
