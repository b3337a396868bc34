//! Metrics that OpenTelemetry's semantic conventions (1.44) define, made of the families that count just that.
//!
//! They are sent beside the families' own names: dashboards for the conventions show them, and those of
//! this program work by either way.

use super::proto::KeyValue;
use crate::export::families::{CONNECTION_BYTES, CPU, INTERFACE_BYTES, INTERFACE_PACKETS};
use crate::export::groups::OTHER;
use crate::export::text::Family;

/// A counter of the conventions.
#[derive(Debug)]
pub struct Convention {
    family: &'static Family,
    pub name: &'static str,
    /// The unit, a code of UCUM.
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

/// Labels as attributes of the conventions. Directions are the interface's and the socket's view. The group of
/// all others has its unit alone: it is no container, pod or program.
pub fn attributes<'a>(labels: impl Iterator<Item = (&'a str, String)>) -> Vec<KeyValue> {
    let labels: Vec<_> = labels.collect();
    let is_rest = labels.iter().any(|(label, value)| *label == "unit" && value == OTHER);
    let belongs = |label: &str| !is_rest || matches!(label, "unit" | "direction");
    let labels = labels.into_iter().filter(|(label, _)| belongs(label));
    labels.map(|(label, value)| attribute(label, value)).collect()
}

fn attribute(label: &str, value: String) -> KeyValue {
    let (name, value) = match (label, &*value) {
        ("direction", "rx") => ("network.io.direction", "receive".into()),
        ("direction", "tx") => ("network.io.direction", "transmit".into()),
        ("interface", _) => ("network.interface.name", value),
        ("program", _) => ("process.executable.name", value),
        // The labels have an id where the name is unknown.
        ("container", id) if is_container_id(id) => ("container.id", value),
        ("container", _) => ("container.name", value),
        ("namespace", _) => ("k8s.namespace.name", value),
        ("pod", uid) if is_uid(uid) => ("k8s.pod.uid", value),
        ("pod", _) => ("k8s.pod.name", value),
        ("unit", _) => ("ebpftop.unit", value),
        (other, _) => (other, value),
    };
    KeyValue::text(name, value)
}

/// Whether a text is 64 hexadecimal digits, as ids of containers are.
fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text is a UUID, with or without dashes.
fn is_uid(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    matches!(text.len(), 32 | 36)
        && digits.clone().count() == 32
        && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_no_names_and_the_rest_is_no_program() {
        let of = |pairs: &[(&'static str, &str)]| {
            attributes(pairs.iter().map(|(label, value)| (*label, (*value).to_owned())))
        };
        let id = "0123456789abcdef".repeat(4);
        let uid = "8e2f4c1a-9b3d-4f6e-8a7c-1d2e3f4a5b6c";
        let text = |name: &str, value: &str| KeyValue::text(name, value);
        assert_eq!(
            of(&[("container", &id), ("pod", uid), ("program", "a")]),
            [
                text("container.id", &id),
                text("k8s.pod.uid", uid),
                text("process.executable.name", "a")
            ]
        );
        assert_eq!(
            of(&[("container", "web"), ("namespace", "prod"), ("pod", "web-7d9f")]),
            [
                text("container.name", "web"),
                text("k8s.namespace.name", "prod"),
                text("k8s.pod.name", "web-7d9f"),
            ]
        );
        let rest = ["unit", "container", "namespace", "pod", "program"].map(|label| (label, OTHER));
        assert_eq!(of(&rest), [text("ebpftop.unit", OTHER)]);
        // A container of that name.
        assert_eq!(of(&[("container", OTHER)]), [text("container.name", OTHER)]);
    }
}
