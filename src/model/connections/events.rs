//! The latest network events of all processes, in the order of time.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::What;
use crate::model::conn::Carried;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// Latest events, 96 bytes each; the oldest is evicted.
const MOST: usize = 8_192;

/// A network event of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Mono,
    pub key: ProcessKey,
    pub activity: NetActivity,
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
