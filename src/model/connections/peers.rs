//! Pairs of a process and a peer that it exchanges something with.

use std::net::SocketAddr;

use crate::model::conn::{Carried, Conn, PeerAddr};
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// Services listed for one pair; [`Pair::more_services`] says that there were more.
const MAX_SERVICES: usize = 8;

/// The side that answers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Side {
    /// The process does, on its own port.
    Ours,
    /// The address does, on its port.
    Theirs,
    /// Unknown, since the connection is older than the probe or of datagrams: the port is the smaller one.
    Unknown,
}

/// The protocol and port of a conversation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Service {
    /// The protocol number of IP.
    pub protocol: u16,
    /// The port of the side that answers.
    pub port: u16,
    pub side: Side,
}

impl Service {
    pub(super) fn of(conn: &Conn, side: Side) -> Self {
        let (local, remote) = (conn.local.port(), conn.remote.port());
        let port = match side {
            Side::Ours => local,
            Side::Theirs => remote,
            Side::Unknown => local.min(remote),
        };
        Self { protocol: conn.protocol, port, side }
    }

    pub(super) fn with_peer(conn: &Conn, remote: SocketAddr) -> Self {
        let port = conn.local.port().min(remote.port());
        Self { protocol: conn.protocol, port, side: Side::Unknown }
    }
}

/// A process and one of its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: ProcessKey,
    pub peer: PeerAddr,
    /// Since the counts began.
    pub total: Carried,
    /// Traffic in the last interval.
    pub delta: Carried,
    /// `total` at the end of the last interval.
    pub(super) before: Carried,
    /// The first few.
    pub services: Vec<Service>,
    /// There were more services than are listed.
    pub more_services: bool,
    /// When something was exchanged last.
    pub last: Mono,
}

impl Pair {
    pub(super) fn new(key: ProcessKey, peer: PeerAddr) -> Self {
        Self {
            key,
            peer,
            total: Carried::default(),
            delta: Carried::default(),
            before: Carried::default(),
            services: Vec::new(),
            more_services: false,
            last: Mono(0),
        }
    }

    /// Whether the end of an interval changes it.
    pub(super) fn has_moved(&self) -> bool {
        self.total != self.before || !self.delta.is_none()
    }

    /// Whether no service is known yet.
    pub(super) fn is_new(&self) -> bool {
        self.services.is_empty()
    }

    /// Adds a service.
    pub(super) fn meet(&mut self, service: Service, at: Mono) {
        self.last = self.last.max(at);
        if self.services.contains(&service) {
            return;
        }
        if self.services.len() < MAX_SERVICES {
            self.services.push(service);
        } else {
            self.more_services = true;
        }
    }

    pub(super) fn add(&mut self, carried: Carried, at: Mono) {
        self.total += carried;
        self.last = self.last.max(at);
    }

    pub(super) fn end_interval(&mut self) {
        self.delta = self.total.minus(self.before);
        self.before = self.total;
    }
}
