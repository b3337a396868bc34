//! What sockets without a peer of their own exchange with each of their peers.

use hashbrown::HashMap;
use libbpf_rs::{MapCore, MapMut};

use super::decode;
use crate::bpf::owners::types::flow_key;
use crate::model::conn::{Carried, PeerFlow};

/// Ticks without anything new after which a peer's entry is given back.
const IDLE_TICKS: u64 = 60;

/// The last report of each entry: as many as the map may hold, 16,384.
#[derive(Debug, Default)]
pub(super) struct Flows {
    last: HashMap<Vec<u8>, (Carried, u64)>,
    tick: u64,
}

impl Flows {
    /// What was exchanged since the last report of this peer; `None` for an odd record.
    pub(super) fn report(&mut self, record: &[u8]) -> Option<PeerFlow> {
        let mut flow = decode::flow(record)?;
        let key = record.get(..size_of::<flow_key>())?;
        let now = flow.carried;
        let (last, tick) = self.last.entry_ref(key).or_default();
        flow.carried = now.minus(*last);
        (*last, *tick) = (now, self.tick);
        Some(flow)
    }

    /// Gives back what has been idle for long. What an entry counts in the moment in which it is
    /// given back is in its socket's counts alone.
    pub(super) fn end_tick(&mut self, map: &MapMut<'_>) -> libbpf_rs::Result<()> {
        let now = self.tick;
        for (key, _) in self.last.extract_if(|_, (_, tick)| now - *tick >= IDLE_TICKS) {
            map.delete(&key)?;
        }
        self.tick += 1;
        Ok(())
    }
}
