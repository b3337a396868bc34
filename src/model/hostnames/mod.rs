//! Names that processes asked for: from DNS answers, and from the ClientHello of TLS (SNI).
//!
//! A name belongs to the process that got it for an address, or to one connection. It is never
//! shown for another process's connection: two processes may know one address by different names.

mod table;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::coverage::Missing;
use super::process::ProcessKey;
use super::time::Mono;

pub use table::{Bounds, Hostnames, MAX_ADDRESSES, MAX_HELLOS, Named, OwnedName};

/// The kind of packet that a name came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameSource {
    /// An answer of DNS.
    Dns,
    /// An answer of multicast DNS (RFC 6762).
    Mdns,
    /// An answer of link-local multicast name resolution (RFC 4795).
    Llmnr,
    /// The name of the server in a ClientHello.
    Sni,
}

impl NameSource {
    /// The word in lines and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            NameSource::Dns => "dns",
            NameSource::Mdns => "mdns",
            NameSource::Llmnr => "llmnr",
            NameSource::Sni => "sni",
        }
    }
}

/// A process got an address for a name that it had asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub at: Mono,
    pub process: ProcessKey,
    pub ip: IpAddr,
    /// The name that was asked for, not the one at the end of a chain of CNAMEs; ASCII letters in lower
    /// case, with a dot between labels and a backslash before a dot or backslash within one.
    pub name: Box<[u8]>,
    pub source: NameSource,
    /// How long it is valid, seconds.
    pub ttl_s: u32,
}

/// The name of the server in a connection's ClientHello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub at: Mono,
    /// The connection's socket.
    pub cookie: u64,
    pub name: Box<[u8]>,
}

/// Packets and names without effect, since the programs were attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostnameCounts {
    /// Packets beyond the bytes that are copied in a second.
    pub skipped: u64,
    /// Packets that found no room in the ring.
    pub lost: u64,
    /// Packets and ClientHellos with more bytes than are copied of one.
    pub cut: u64,
    /// Answers without a query, or to another one.
    pub unasked: u64,
    /// Messages that are no DNS or no ClientHello.
    pub malformed: u64,
    /// Messages whose rest never came.
    pub unfinished: u64,
    /// Answers to queries that no process is known to have sent.
    pub unattributed: u64,
    /// Queries and unfinished messages that were evicted from the reader's tables.
    pub evicted: u64,
    /// Answers and names beyond those taken from one message or one drain.
    pub left_out: u64,
}

/// Bytes of the longest name: 255 in the packet, all of them escaped.
pub const MAX_NAME: usize = 510;

impl HostnameCounts {
    /// The counts with their names in lines.
    pub fn parts(&self) -> [(&'static str, u64); 9] {
        [
            ("skipped", self.skipped),
            ("lost", self.lost),
            ("cut", self.cut),
            ("unasked", self.unasked),
            ("malformed", self.malformed),
            ("unfinished", self.unfinished),
            ("unattributed", self.unattributed),
            ("evicted", self.evicted),
            ("left_out", self.left_out),
        ]
    }

    /// Adds the growth since `before`; a count below that has begun again.
    fn grow(&mut self, before: &Self, now: &Self) {
        let mut add = |of: fn(&mut Self) -> &mut u64| {
            let (mut before, mut now) = (*before, *now);
            let (before, now) = (*of(&mut before), *of(&mut now));
            *of(self) += if now < before { now } else { now - before };
        };
        add(|c| &mut c.skipped);
        add(|c| &mut c.lost);
        add(|c| &mut c.cut);
        add(|c| &mut c.unasked);
        add(|c| &mut c.malformed);
        add(|c| &mut c.unfinished);
        add(|c| &mut c.unattributed);
        add(|c| &mut c.evicted);
        add(|c| &mut c.left_out);
    }

    /// Names that may be missing for these reasons.
    pub fn missed(&self) -> u64 {
        let parts = self.parts();
        parts.iter().filter(|(name, _)| *name != "unasked").map(|(_, n)| n).sum()
    }
}

/// The findings of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostnamesBatch {
    /// The search for names is on.
    pub on: bool,
    /// The names are from before a recording: its counts are not added again.
    pub known: bool,
    /// Features that this kernel refused, where they were asked for.
    pub missing: Vec<Missing>,
    pub answers: Vec<Answer>,
    pub hellos: Vec<Hello>,
    pub counts: HostnameCounts,
}

impl HostnamesBatch {
    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        let answers = self.answers.iter().map(|a| size_of::<Answer>() + a.name.len());
        let hellos = self.hellos.iter().map(|h| size_of::<Hello>() + h.name.len());
        let missing = self
            .missing
            .iter()
            .map(|m| size_of::<Missing>() + m.feature.len() + m.program.len() + m.error.len());
        answers.chain(hellos).chain(missing).sum()
    }
}
