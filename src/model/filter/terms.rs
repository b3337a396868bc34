//! The terms of the filter language, for the parser's errors, the help page and the documentation.

/// A form that a term can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermForm {
    /// The key before the colon; empty for a term without one.
    pub key: &'static str,
    /// How it is written.
    pub written: &'static str,
    pub example: &'static str,
    /// The rows that it matches.
    pub help: &'static str,
}

const fn form(
    key: &'static str,
    written: &'static str,
    example: &'static str,
    help: &'static str,
) -> TermForm {
    TermForm { key, written, example, help }
}

/// Every form.
pub const TERMS: &[TermForm] = &[
    form("", "word", "nginx", "a process or thread whose name contains it, in any case"),
    form("", "~regex", "~^(nginx|php)$", "a name that matches the regular expression"),
    form("", "!term", "!path:~^/proc/", "what the term does not match; quotes enclose spaces"),
    form("pid", "pid:", "pid:812", "a process ID"),
    form("uid", "uid:", "uid:1000", "a real user ID; `id -u NAME` prints it"),
    form(
        "parent",
        "parent:",
        "parent:cron",
        "a process ID, or a word or ~regex in the name, of any ancestor; on the screen alone",
    ),
    form(
        "path",
        "path:",
        "path:/etc",
        "a word or ~regex in the requested path or the resolved one; of changes of files symbolic links in it are not followed",
    ),
    form(
        "cgroup",
        "cgroup:",
        "cgroup:docker",
        "a word or ~regex in the cgroup's path; an unknown cgroup does not match",
    ),
    form("unit", "unit:", "unit:nginx.service", "a systemd unit, by its name in the cgroup's path"),
    form(
        "container",
        "container:",
        "container:3f1a",
        "a container, by its id in the cgroup's path or its name",
    ),
    form(
        "pod",
        "pod:",
        "pod:0f6a2a1e",
        "a Kubernetes pod, by its uid in the cgroup's path, its name or namespace",
    ),
    form("err", "err:", "err:ENOENT", "the error of a failed open: its name, its number, or any"),
    form(
        "op",
        "op:",
        "op:rename",
        "changes of files of this kind; other rows stay: create unlink rmdir rename link symlink mkdir mknod truncate chmod chown",
    ),
    form("ip", "ip:", "ip:10.0.0.0/8", "talkers with this address or in this network"),
    form(
        "peer",
        "peer:",
        "peer:fe80::/10",
        "talkers, connections and their processes with such a remote address",
    ),
    form(
        "port",
        "port:",
        "port:443",
        "connections, and their processes, with this TCP or UDP port; >1024 compares",
    ),
    form(
        "name",
        "name:",
        "name:example.com",
        "connections, and their processes, whose asked name has this word or ~regex; with `--names`",
    ),
    form(
        "state",
        "state:",
        "state:close-wait",
        "TCP connections, and their processes, in this state, as `ss` names it",
    ),
    form("rtt", "rtt:", "rtt:>50ms", "TCP connections with a longer (<: shorter) round-trip time"),
    form(
        "retrans",
        "retrans:",
        "retrans:>0",
        "TCP connections with more (<: fewer) segments sent again",
    ),
];

/// The form with a key.
pub(super) fn keyed(key: &str) -> Option<&'static TermForm> {
    TERMS.iter().find(|form| !form.key.is_empty() && form.key == key)
}

/// The keys as they are written, with spaces between.
pub(super) fn keys() -> String {
    let keys = TERMS.iter().filter(|form| !form.key.is_empty()).map(|form| form.written);
    keys.collect::<Vec<_>>().join(" ")
}
