//! A process and an address that it exchanges something with.

use std::net::{IpAddr, SocketAddr};

use crate::model::conn::{Carried, Conn};
use crate::model::opens::ProcessKey;
use crate::model::time::Mono;

/// Services told apart in one pair; what goes over more is in the pair's counts alone.
const MAX_SERVICES: usize = 8;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The process does, on its own port.
    Ours,
    /// The address does, on its port.
    Theirs,
    /// It was there before, or is a datagram: the port told is the smaller one.
    Unknown,
}

/// What they talk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: ProcessKey,
    pub ip: IpAddr,
    /// Since the counts began.
    pub total: Carried,
    /// In the last interval.
    pub delta: Carried,
    coming: Carried,
    /// The first few.
    pub services: Vec<Service>,
    /// There were more services than are told.
    pub more_services: bool,
    /// When something was exchanged last.
    pub last: Mono,
}

impl Pair {
    pub(super) fn new(key: ProcessKey, ip: IpAddr) -> Self {
        Self {
            key,
            ip,
            total: Carried::default(),
            delta: Carried::default(),
            coming: Carried::default(),
            services: Vec::new(),
            more_services: false,
            last: Mono(0),
        }
    }

    /// Nothing was added to it yet.
    pub(super) fn is_new(&self) -> bool {
        self.services.is_empty()
    }

    pub(super) fn add(&mut self, service: Service, carried: Carried, at: Mono) {
        self.total += carried;
        self.coming += carried;
        self.last = self.last.max(at);
        if !self.services.contains(&service) {
            if self.services.len() < MAX_SERVICES {
                self.services.push(service);
            } else {
                self.more_services = true;
            }
        }
    }

    pub(super) fn end_interval(&mut self) {
        self.delta = std::mem::take(&mut self.coming);
    }
}
