//! The latest network events of all processes, in the order of time.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::What;
use crate::model::conn::Carried;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// Latest network events, 96 bytes each; the oldest is evicted, and counted in
/// [`super::Connections::events_evicted`].
pub const MAX_EVENTS: usize = 8_192;

/// A network event of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetActivity {
    /// A connection began, was accepted, failed (with the errno), ended, or was found by a poll; its
    /// traffic, where that is counted.
    Conn {
        what: What,
        protocol: u16,
        local: u16,
        remote: SocketAddr,
        error: u32,
        carried: Option<Carried>,
    },
    /// Traffic with an address in one interval.
    Carried { ip: IpAddr, carried: Carried },
}

/// An event with its process and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Mono,
    pub key: ProcessKey,
    pub activity: NetActivity,
}
