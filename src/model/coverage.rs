//! What a probe can see on this machine, and which features its kernel refused.

use serde::{Deserialize, Serialize};

/// How bytes of connections are attributed to processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribution {
    /// BPF programs count what each connection carried and attribute it to its process.
    #[default]
    Connection,
    /// `/proc/PID/fd` and `sock_diag` are polled: short connections may be missing, and bytes per
    /// process are unknown.
    Procfs,
}

impl Attribution {
    /// The name in JSON and in `doctor`.
    pub fn name(self) -> &'static str {
        match self {
            Attribution::Connection => "connection",
            Attribution::Procfs => "procfs",
        }
    }
}

/// A feature that this kernel or its policy refused.
///
/// The texts are ours or already escaped; they go to the terminal as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What cannot be seen, `processes of connections older than the start`.
    pub feature: String,
    /// The BPF program that was refused, `holders`.
    pub program: String,
    /// Why: the errno, the verifier's last line, and what that means here.
    pub error: String,
}
