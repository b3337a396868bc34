//! A recording's description of the machine.

use super::Head;
use crate::probes::{clock, preflight};

/// The first block of a recording that begins now.
pub fn host() -> Head {
    Head {
        version: env!("CARGO_PKG_VERSION").into(),
        host: preflight::setting("/proc/sys/kernel/hostname").unwrap_or_default(),
        started: clock::now(),
    }
}
