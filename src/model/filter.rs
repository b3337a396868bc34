//! The filter language: terms with spaces between, all of which must hold.
//!
//! A term is a bare PATTERN on names, or `pid:` `uid:` `path:` `err:` `cgroup:` `ip:` `peer:` `port:` with a
//! value; `!` in front negates it, quotes (either kind) hold spaces. Owns the meaning of terms;
//! `parse` reads them, `pattern` matches text.

mod parse;
mod pattern;

use std::net::IpAddr;

pub use pattern::Pattern;

use super::open::Comm;

/// The longest expression, bytes: filters are typed, and a bound keeps their cost known.
pub const MAX_BYTES: usize = 4_096;

/// A parsed filter expression. The default one lets everything through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    names: Vec<Term<Pattern>>,
    tgids: Vec<Term<u32>>,
    uids: Vec<Term<u32>>,
    cgroups: Vec<Term<Pattern>>,
    paths: Vec<Term<Pattern>>,
    errnos: Vec<Term<Errno>>,
    nets: Vec<Term<Net>>,
    peers: Vec<Term<Net>>,
    ports: Vec<Term<u16>>,
}

/// What has to hold, or, negated, must not.
#[derive(Clone, Debug)]
struct Term<T> {
    negated: bool,
    is: T,
}

impl<T> Term<T> {
    fn holds(&self, test: impl FnOnce(&T) -> bool) -> bool {
        test(&self.is) != self.negated
    }
}

/// A value of `err:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errno {
    Any,
    Is(i32),
}

/// A value of `ip:`: the first `bits` bits of `ip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Net {
    ip: IpAddr,
    bits: u32,
}

impl Net {
    /// A v4 net holds no v6 address, a v4-mapped one neither.
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differ = net.to_bits() ^ ip.to_bits();
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// Why an expression does not parse: told while typing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FilterError {
    /// Byte range of the offending term in the input.
    pub at: std::ops::Range<usize>,
    /// What is wrong with it.
    pub reason: String,
}

/// What is known of a process (or of one of its threads).
#[derive(Clone, Copy, Debug)]
pub struct ProcessInfo<'a> {
    /// Names that a bare PATTERN is tried on: threads' names and the process's.
    pub names: &'a [&'a [u8]],
    /// Thread group id.
    pub tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// The cgroup's path, where known.
    pub cgroup: Option<&'a [u8]>,
}

/// What is known of an opened file.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// The path as passed.
    pub path: Option<&'a [u8]>,
    /// The absolute path.
    pub resolved: Option<&'a [u8]>,
    /// The errno of the (last) open, `None` when it was good.
    pub errno: Option<i32>,
}

impl Filter {
    /// Parses an expression; the empty one lets everything through.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// Lets everything through.
    pub fn is_empty(&self) -> bool {
        !self.chooses_processes()
            && !self.chooses_files()
            && !self.chooses_addresses()
            && !self.chooses_peers()
    }

    /// Whether there are terms on the process.
    pub fn chooses_processes(&self) -> bool {
        !(self.names.is_empty()
            && self.tgids.is_empty()
            && self.uids.is_empty()
            && self.cgroups.is_empty())
    }

    /// Whether there are terms on the cgroup, so that its path has to be found out.
    pub fn chooses_cgroups(&self) -> bool {
        !self.cgroups.is_empty()
    }

    /// The process that a term asks for: opens of others need not be looked at.
    pub fn only_tgid(&self) -> Option<u32> {
        self.tgids.iter().find(|t| !t.negated).map(|t| t.is)
    }

    /// The user that a term asks for.
    pub fn only_uid(&self) -> Option<u32> {
        self.uids.iter().find(|t| !t.negated).map(|t| t.is)
    }

    /// What a term wants to be in the thread's or the process's name.
    pub fn only_name(&self) -> Option<Comm> {
        self.names.iter().filter(|t| !t.negated).find_map(|t| t.is.only_name())
    }

    /// Whether a term asks for failed opens.
    pub fn only_failed(&self) -> bool {
        self.errnos.iter().any(|t| !t.negated)
    }

    /// Whether the terms on the process (name, `pid:`, `uid:`, `cgroup:`) hold.
    ///
    /// A name term holds when one of the names matches; negated, when none does.
    pub fn process(&self, who: &ProcessInfo<'_>) -> bool {
        self.tgids.iter().all(|t| t.holds(|tgid| *tgid == who.tgid))
            && self.uids.iter().all(|t| t.holds(|uid| *uid == who.uid))
            && self.names.iter().all(|t| t.holds(|p| p.matches_any(who.names)))
            && self.cgroups.iter().all(|t| t.holds(|p| p.matches_any(who.cgroup.as_slice())))
    }

    /// Whether there are terms on files (`path:`, `err:`): a process then shows when one of its files holds.
    pub fn chooses_files(&self) -> bool {
        !(self.paths.is_empty() && self.errnos.is_empty())
    }

    /// Whether the terms on the file hold.
    pub fn file(&self, what: &What<'_>) -> bool {
        self.errnos.iter().all(|t| {
            t.holds(|errno| match errno {
                Errno::Any => what.errno.is_some(),
                Errno::Is(errno) => what.errno == Some(*errno),
            })
        }) && self.paths.iter().all(|t| t.holds(|p| path_matches(p, what.path, what.resolved)))
    }

    /// Whether there are terms on addresses (`ip:`).
    pub fn chooses_addresses(&self) -> bool {
        !self.nets.is_empty()
    }

    /// Whether the terms on the address (`ip:`) hold.
    pub fn address(&self, ip: IpAddr) -> bool {
        self.nets.iter().all(|t| t.holds(|net| net.contains(ip)))
    }

    /// Whether there are terms on whom a process talks to (`peer:`, `port:`).
    pub fn chooses_peers(&self) -> bool {
        !(self.peers.is_empty() && self.ports.is_empty())
    }

    /// Whether there are terms on ports alone (`port:`).
    pub fn chooses_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Whether the terms on the peer (`peer:`) hold.
    pub fn peer(&self, ip: IpAddr) -> bool {
        self.peers.iter().all(|t| t.holds(|net| net.contains(ip)))
    }

    /// Whether the terms on ports (`port:`) hold: one of the two ends has it.
    pub fn port(&self, ports: [u16; 2]) -> bool {
        self.ports.iter().all(|t| t.holds(|port| ports.contains(port)))
    }
}

/// Whether a path PATTERN holds for the path as passed or for the resolved one.
pub fn path_matches(pattern: &Pattern, path: Option<&[u8]>, resolved: Option<&[u8]>) -> bool {
    match (path, resolved) {
        (Some(path), Some(resolved)) if path != resolved => pattern.matches_any(&[path, resolved]),
        (path, resolved) => pattern.matches_any(path.or(resolved).as_slice()),
    }
}

#[cfg(test)]
mod tests;
