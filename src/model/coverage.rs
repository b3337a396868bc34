//! The coverage of a probe on this machine: its attribution, and the features that the kernel refused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The limits of [`Attribution::Procfs`], in one line.
pub const POLLED: &str = "connections are attributed by polling /proc and sock_diag (procfs): short connections may be missing, \
    bytes per process are unknown";

/// How bytes of connections are attributed to processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attribution {
    /// Bytes are counted where a process calls.
    #[default]
    Call,
    /// Bytes are TCP's own counters, attributed to the connection's process: below kernel 6.3, or where
    /// the programs that count calls are refused.
    Connection,
    /// `/proc/PID/fd` and `sock_diag` are polled: short connections may be missing, and bytes per
    /// process are unknown.
    Procfs,
}

impl Attribution {
    /// The name in JSON and in `doctor`.
    pub fn name(self) -> &'static str {
        match self {
            Attribution::Call => "call",
            Attribution::Connection => "connection",
            Attribution::Procfs => "procfs",
        }
    }
}

/// [`Missing::error`] of calls that no program sees, whatever the kernel allows.
const NOT_SEEN: &str =
    "not seen, and this kernel was built with them (CONFIG_IA32_EMULATION, CONFIG_COMPAT)";

/// A feature that this kernel or its policy refused, or calls that no program sees.
///
/// The texts are ours or already escaped; they go to the terminal as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The feature, `processes of connections older than the start`.
    pub feature: String,
    /// The BPF program that was refused, or that does not see the calls: `holders`.
    pub program: String,
    /// The reason: the errno, the verifier's last line, and what that means here.
    pub error: String,
}

impl Missing {
    /// 32-bit calls that a program does not see.
    pub fn compat_calls(feature: &str, program: &str) -> Self {
        Self { feature: feature.into(), program: program.into(), error: NOT_SEEN.into() }
    }

    /// Whether the kernel or its policy refused it; else no kernel would have it seen, and most machines
    /// have no such calls.
    pub fn is_refused(&self) -> bool {
        self.error != NOT_SEEN
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing: {}: {}", self.feature, self.error)
    }
}

/// Adds features to a list, each once: probes share programs, and so do interfaces.
pub fn add_missing<'a>(to: &mut Vec<Missing>, more: impl IntoIterator<Item = &'a Missing>) {
    for missing in more {
        if !to.contains(missing) {
            to.push(missing.clone());
        }
    }
}
