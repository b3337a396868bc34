//! Metrics that OpenTelemetry's semantic conventions (1.44) define, made of the families that count just that.
//!
//! They are sent beside the families' own names: dashboards for the conventions show them, and those of
//! this program work by either way.

use super::proto::KeyValue;
use crate::export::families::{CONNECTION_BYTES, CPU, INTERFACE_BYTES, INTERFACE_PACKETS};
use crate::export::text::Family;

/// A counter of the conventions.
#[derive(Debug)]
pub struct Convention {
    family: &'static Family,
    pub name: &'static str,
    /// In UCUM.
    pub unit: &'static str,
}

const fn of_family(family: &'static Family, name: &'static str, unit: &'static str) -> Convention {
    Convention { family, name, unit }
}

/// `process.network.io` is that of a group's processes together.
static CONVENTIONS: [Convention; 4] = [
    of_family(&INTERFACE_BYTES, "system.network.io", "By"),
    of_family(&INTERFACE_PACKETS, "system.network.packet.count", "{packet}"),
    of_family(&CONNECTION_BYTES, "process.network.io", "By"),
    of_family(&CPU, "process.cpu.time", "s"),
];

/// The convention for a family.
pub fn of(family: &Family) -> Option<&'static Convention> {
    CONVENTIONS.iter().find(|convention| convention.family == family)
}

/// A label as an attribute of the conventions. Directions are the interface's and the socket's view.
pub fn attribute(label: &str, value: String) -> KeyValue {
    let (name, value) = match (label, &*value) {
        ("direction", "rx") => ("network.io.direction", "receive".into()),
        ("direction", "tx") => ("network.io.direction", "transmit".into()),
        ("interface", _) => ("network.interface.name", value),
        ("program", _) => ("process.executable.name", value),
        ("container", _) => ("container.name", value),
        ("namespace", _) => ("k8s.namespace.name", value),
        ("pod", _) => ("k8s.pod.name", value),
        ("unit", _) => ("ebpftop.unit", value),
        (other, _) => (other, value),
    };
    KeyValue::text(name, value)
}
