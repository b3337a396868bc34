//! What sockets without a peer of their own exchange with each of their peers.

use hashbrown::HashMap;
use libbpf_rs::{MapCore, MapFlags, MapMut};

use super::decode;
use crate::model::conn::{Carried, PeerFlow};

/// Readings without anything new after which a peer's entry is given back.
const IDLE_READINGS: u32 = 60;

/// The last reading of each entry: as many as the map may hold, 16,384.
#[derive(Debug, Default)]
pub(super) struct Flows {
    last: HashMap<Vec<u8>, (Carried, u32)>,
}

impl Flows {
    /// What was exchanged since the last reading. What an entry counts in the moment in which it is
    /// given back is in its socket's counts alone.
    pub(super) fn read(&mut self, map: &MapMut<'_>) -> libbpf_rs::Result<Vec<PeerFlow>> {
        let mut changed = Vec::new();
        let mut idle = Vec::new();
        for key in map.keys() {
            let Some(value) = map.lookup(&key, MapFlags::ANY)? else { continue };
            let Some(mut flow) = decode::flow(&key, &value) else { continue };
            let now = flow.carried;
            let (last, still) = self.last.entry_ref(key.as_slice()).or_default();
            if *last == now && !now.is_none() {
                *still += 1;
                if *still >= IDLE_READINGS {
                    idle.push(key);
                }
                continue;
            }
            flow.carried = now.minus(*last);
            (*last, *still) = (now, 0);
            changed.push(flow);
        }
        for key in idle {
            map.delete(&key)?;
            self.last.remove(&key);
        }
        Ok(changed)
    }
}
