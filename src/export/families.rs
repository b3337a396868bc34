//! Every metric family of `/metrics`; docs/fleet.md has the table.

use super::text::{Family, Kind};

/// Labels of a group.
const GROUP: &str = "unit, container, namespace, pod, program";

const fn counter(
    name: &'static str,
    unit: &'static str,
    labels: &'static str,
    help: &'static str,
) -> Family {
    Family { name, kind: Kind::Counter, unit, labels, help }
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    labels: &'static str,
    help: &'static str,
) -> Family {
    Family { name, kind: Kind::Gauge, unit, labels, help }
}

const fn info(name: &'static str, labels: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Info, unit: "", labels, help }
}

pub static OPENS: Family =
    counter("ebpftop_opens", "", GROUP, "Returns from open calls, failed and lost ones included.");
pub static OPEN_FAILURES: Family = counter(
    "ebpftop_open_failures",
    "",
    "unit, container, namespace, pod, program, errno",
    "Open calls that failed. errno unknown: the record was lost; other: further errors of the group.",
);
pub static OPENS_LOST: Family = counter(
    "ebpftop_opens_lost",
    "",
    "reason",
    "Opens without a record: counted, but path and errno are unknown.",
);
pub static WATCHED_OPENS: Family =
    counter("ebpftop_watched_opens", "", "path", "Opens of paths that match a watched pattern.");
pub static INTERFACE_PACKETS: Family = counter(
    "ebpftop_interface_packets",
    "",
    "interface, direction",
    "Packets on the interface, as its hook is handed them.",
);
pub static INTERFACE_BYTES: Family = counter(
    "ebpftop_interface_bytes",
    "bytes",
    "interface, direction",
    "Bytes on the interface, with Ethernet headers.",
);
pub static INTERFACE_COUNTED: Family = gauge(
    "ebpftop_interface_counted",
    "",
    "interface, direction",
    "Whether a hook counts this direction. 0: it could not be attached, or the interface is gone.",
);
pub static INTERFACE_PARTIAL: Family = gauge(
    "ebpftop_interface_partial",
    "",
    "interface, direction",
    "Whether another program takes packets before they are counted.",
);
pub static TALKER_PACKETS: Family = counter(
    "ebpftop_talker_packets",
    "",
    "interface, direction, scope",
    "Packets by scope of the remote address; scope other: not IP, or of an evicted address.",
);
pub static TALKER_BYTES: Family = counter(
    "ebpftop_talker_bytes",
    "bytes",
    "interface, direction, scope",
    "Bytes by scope of the remote address; scope other: not IP, or of an evicted address.",
);
pub static CONNECTION_BYTES: Family = counter(
    "ebpftop_connection_bytes",
    "bytes",
    "unit, container, namespace, pod, program, direction",
    "Payload that processes received from and sent to sockets.",
);
pub static FILE_READ: Family = counter(
    "ebpftop_file_read_bytes",
    "bytes",
    GROUP,
    "Bytes that calls read from files, from the page cache too. With --io.",
);
pub static FILE_WRITTEN: Family = counter(
    "ebpftop_file_written_bytes",
    "bytes",
    GROUP,
    "Bytes that calls wrote to files, into the page cache too. With --io.",
);
pub static SLOW_CALLS: Family = counter(
    "ebpftop_file_slow_calls",
    "",
    GROUP,
    "Calls that read or wrote files and took the time of --slow or longer, failed ones included.",
);
pub static UNKNOWN_IO_CALLS: Family = counter(
    "ebpftop_file_unknown_calls",
    "",
    "",
    "With --io: calls whose descriptor was closed by the time they returned; in no other count.",
);
pub static UNTIMED_IO_CALLS: Family = counter(
    "ebpftop_file_untimed_calls",
    "",
    "",
    "With --slow: calls on files without a duration, since their beginning is not known.",
);
pub static UNCOUNTED_IO_REQUESTS: Family = counter(
    "ebpftop_file_uncounted_requests",
    "",
    "",
    "With --io: requests by io_submit, and of io_uring splices and completions without room; their bytes are in no count.",
);
pub static FILE_CHANGES: Family = counter(
    "ebpftop_file_changes",
    "",
    "unit, container, namespace, pod, program, op",
    "Changes of files that were made: create, unlink, rename and the like. With --files.",
);
pub static FILE_CHANGES_LOST: Family = counter(
    "ebpftop_file_changes_lost",
    "",
    "",
    "Changes of files, failed ones included, without a record: operation and group are unknown.",
);
pub static CONNECTION_UNATTRIBUTED: Family = gauge(
    "ebpftop_connection_unattributed_bytes",
    "bytes",
    "direction, reason",
    "Payload of sockets that is attributed to no process now.",
);
pub static CONNECTS: Family =
    counter("ebpftop_connects", "", GROUP, "Connections established from this machine.");
pub static CONNECT_FAILURES: Family = counter(
    "ebpftop_connect_failures",
    "",
    GROUP,
    "TCP connections that could not be established.",
);
pub static ACCEPTS: Family =
    counter("ebpftop_accepts", "", GROUP, "Connections accepted by this machine.");
pub static LISTENERS: Family = gauge(
    "ebpftop_listeners",
    "",
    "protocol",
    "TCP listeners and bound UDP sockets of all network namespaces, as last read; every 10 s.",
);
pub static LISTENER_DROPS: Family = counter(
    "ebpftop_listener_drops",
    "",
    "unit, container, namespace, pod, program, protocol",
    "Handshake packets (tcp) and datagrams (udp) that listeners dropped, since their queue was full or else.",
);
pub static LISTENERS_PARTIAL: Family = gauge(
    "ebpftop_listeners_partial",
    "",
    "",
    "Whether the last reading of listeners may lack some, their processes, or first drops of new ones.",
);
pub static CONNECTIONS: Family =
    gauge("ebpftop_connections", "", "", "Connections that are tracked now.");
pub static CONNECTION_EVENTS_LOST: Family = counter(
    "ebpftop_connection_events_lost",
    "",
    "reason",
    "Events, sockets and callers of connections without room in a table.",
);
pub static CONNECTION_ATTRIBUTION: Family = info(
    "ebpftop_connection_attribution",
    "attribution",
    "How bytes are attributed to processes: call, connection or procfs (bytes unknown).",
);
pub static PROBE_UP: Family = gauge(
    "ebpftop_probe_up",
    "",
    "probe",
    "Whether the probe runs. 0: it could not start, or has failed; without a sample it is off.",
);
pub static FEATURES_MISSING: Family = gauge(
    "ebpftop_features_missing",
    "",
    "",
    "Features that this kernel or its policy refused; ebpftop doctor names them.",
);
pub static GROUPS: Family = gauge("ebpftop_groups", "", "", "Groups with series of their own.");
pub static GROUPS_LIMIT: Family =
    gauge("ebpftop_groups_limit", "", "", "Maximum groups with series of their own.");
pub static GROUPS_EVICTED: Family = counter(
    "ebpftop_groups_evicted",
    "",
    "",
    "Groups that were evicted; from then on they count in other.",
);
pub static INTERFACES_EVICTED: Family = counter(
    "ebpftop_interfaces_evicted",
    "",
    "",
    "Interfaces that are not watched any more and made room for others; their counts are in other.",
);
pub static BUILD: Family = info("ebpftop_build", "version", "The version of this program.");
pub static CPU: Family = counter(
    "ebpftop_process_cpu_seconds",
    "seconds",
    "",
    "CPU time of this process, without the BPF programs.",
);
pub static MEMORY: Family = gauge(
    "ebpftop_process_resident_memory_bytes",
    "bytes",
    "",
    "Resident memory of this process, without BPF maps.",
);
pub static SNAPSHOT_TIME: Family = gauge(
    "ebpftop_snapshot_timestamp_seconds",
    "seconds",
    "",
    "When these numbers were taken, Unix time.",
);
pub static HTTP_REQUESTS: Family =
    counter("ebpftop_http_requests", "", "code", "HTTP requests that were answered.");
pub static HTTP_DROPPED: Family = counter(
    "ebpftop_http_connections_dropped",
    "",
    "reason",
    "HTTP connections that were cut off: too slow, or the oldest of too many.",
);
pub static OTLP_SENT: Family = counter(
    "ebpftop_otlp_items_sent",
    "",
    "signal",
    "With --otlp: data points and log records that the receiver has accepted.",
);
pub static OTLP_DROPPED: Family = counter(
    "ebpftop_otlp_items_dropped",
    "",
    "signal, reason",
    "With --otlp: data points and log records that did not arrive.",
);
pub static OTLP_QUEUE: Family = gauge(
    "ebpftop_otlp_queue_bytes",
    "bytes",
    "signal",
    "With --otlp: requests that wait to be sent. Beyond 8 MiB, or one snapshot, the oldest are dropped.",
);
pub static OTLP_REQUESTS: Family = counter(
    "ebpftop_otlp_requests",
    "",
    "signal, code",
    "With --otlp: attempts by HTTP status; connection and timeout: there was no answer.",
);
pub static RECORDING_ENDED: Family = gauge(
    "ebpftop_recording_ended",
    "",
    "",
    "With --from: whether the recording was played to its end; the counters stand still then.",
);

/// Every family, in the order of the text.
pub static FAMILIES: [&Family; 46] = [
    &BUILD,
    &PROBE_UP,
    &FEATURES_MISSING,
    &OPENS,
    &OPEN_FAILURES,
    &OPENS_LOST,
    &WATCHED_OPENS,
    &FILE_READ,
    &FILE_WRITTEN,
    &SLOW_CALLS,
    &UNKNOWN_IO_CALLS,
    &UNTIMED_IO_CALLS,
    &UNCOUNTED_IO_REQUESTS,
    &FILE_CHANGES,
    &FILE_CHANGES_LOST,
    &INTERFACE_PACKETS,
    &INTERFACE_BYTES,
    &INTERFACE_COUNTED,
    &INTERFACE_PARTIAL,
    &INTERFACES_EVICTED,
    &TALKER_PACKETS,
    &TALKER_BYTES,
    &CONNECTION_BYTES,
    &CONNECTION_UNATTRIBUTED,
    &CONNECTS,
    &CONNECT_FAILURES,
    &ACCEPTS,
    &LISTENERS,
    &LISTENER_DROPS,
    &LISTENERS_PARTIAL,
    &CONNECTIONS,
    &CONNECTION_EVENTS_LOST,
    &CONNECTION_ATTRIBUTION,
    &GROUPS,
    &GROUPS_LIMIT,
    &GROUPS_EVICTED,
    &CPU,
    &MEMORY,
    &SNAPSHOT_TIME,
    &RECORDING_ENDED,
    &OTLP_SENT,
    &OTLP_DROPPED,
    &OTLP_QUEUE,
    &OTLP_REQUESTS,
    &HTTP_REQUESTS,
    &HTTP_DROPPED,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            let name = family.name;
            assert!(name.starts_with("ebpftop_") && name.ends_with(family.unit), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(family.help.ends_with('.') && !family.help.contains(['\\', '\n']), "{name}");
            for label in family.labels.split(", ") {
                assert!(!["instance", "job", "host", "pid"].contains(&label), "{name} {label}");
            }
        }
    }
}
