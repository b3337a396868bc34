//! What processes did on the wire, in the order in which it happened: the latest of all processes.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::What;
use crate::model::conn::Carried;
use crate::model::opens::ProcessKey;
use crate::model::time::Mono;

/// Events that are kept, 96 bytes each.
const MOST: usize = 8_192;

/// What a process did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetActivity {
    /// A connection began, was accepted, did not come about (with the errno), ended, or was found by a
    /// poll; what it carried, where that is counted.
    Conn {
        what: What,
        protocol: u16,
        local: u16,
        remote: SocketAddr,
        error: u32,
        carried: Option<Carried>,
    },
    /// What it exchanged with an address in one interval.
    Carried { ip: IpAddr, carried: Carried },
}

/// A deed, whose, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Mono,
    pub key: ProcessKey,
    pub deed: NetActivity,
}

/// The latest events.
#[derive(Clone, Debug, Default)]
pub(super) struct Events(VecDeque<Event>);

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(super) fn of(&self, key: ProcessKey) -> impl Iterator<Item = &Event> {
        self.0.iter().filter(move |event| event.key == key)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
