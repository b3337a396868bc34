//! The filter language: terms separated by spaces, all of which must match.
//!
//! A term is a bare PATTERN on names, or a key with a value; `!` in front negates it, and quotes of
//! either kind enclose spaces. `terms` describes them, `parse` reads them, `pattern` matches text.

mod parse;
mod pattern;
mod terms;

use std::net::IpAddr;
use std::time::Duration;

pub use pattern::Pattern;
pub use terms::{TERMS, TermForm};

use super::cgroup::Cgroup;
use super::conn::Conn;
use super::file_change::{FileChange, Op};
use super::lineage::Ancestor;
use super::listener::Listener;
use super::open::Comm;
use super::quality::{Quality, TcpState};
use super::unit::systemd_unit;

/// The longest expression, bytes: filters are typed, and a bound keeps their cost known.
pub const MAX_BYTES: usize = 4_096;

/// A parsed filter expression. The default one matches everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    names: Vec<Term<Pattern>>,
    tgids: Vec<Term<u32>>,
    parents: Vec<Term<ParentIs>>,
    uids: Vec<Term<u32>>,
    cgroups: Vec<(CgroupPart, Term<Pattern>)>,
    paths: Vec<Term<Pattern>>,
    errnos: Vec<Term<Errno>>,
    ops: Vec<Term<Op>>,
    nets: Vec<Term<Net>>,
    peers: Vec<Term<Net>>,
    ports: Vec<Term<Compare<u16>>>,
    hostnames: Vec<Term<Pattern>>,
    states: Vec<Term<TcpState>>,
    rtts: Vec<Term<Compare<Duration>>>,
    retransmits: Vec<Term<Compare<u32>>>,
}

/// A condition that must match or, negated, must not.
#[derive(Clone, Debug)]
struct Term<T> {
    negated: bool,
    is: T,
}

impl<T> Term<T> {
    fn passes(&self, test: impl FnOnce(&T) -> bool) -> bool {
        test(&self.is) != self.negated
    }
}

/// A number to compare with: `443`, `>1024`, `<50ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare<T> {
    Is(T),
    More(T),
    Less(T),
}

impl<T: PartialOrd> Compare<T> {
    fn matches(&self, value: T) -> bool {
        match self {
            Self::Is(n) => value == *n,
            Self::More(n) => value > *n,
            Self::Less(n) => value < *n,
        }
    }
}

/// A value of `parent:`.
#[derive(Clone, Debug)]
enum ParentIs {
    Pid(u32),
    Named(Pattern),
}

/// The part of a cgroup that a term compares.
#[derive(Clone, Copy, Debug)]
enum CgroupPart {
    Path,
    Unit,
    Container,
    Pod,
}

impl CgroupPart {
    /// Whether `pattern` matches this part of a cgroup; one that is unknown does not.
    fn matches(self, cgroup: Option<&Cgroup>, pattern: &Pattern) -> bool {
        let Some(cgroup) = cgroup else { return false };
        let any = |names: [Option<&str>; 3]| {
            names.into_iter().flatten().any(|name| pattern.matches_any(&[name.as_bytes()]))
        };
        match self {
            Self::Path => pattern.matches_any(&[&cgroup.path]),
            Self::Unit => {
                systemd_unit(&cgroup.path).is_some_and(|name| pattern.matches_any(&[name]))
            }
            Self::Container => any([cgroup.owner.container(), cgroup.container_name(), None]),
            Self::Pod => any([cgroup.owner.pod(), cgroup.pod_name(), cgroup.namespace()]),
        }
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
    /// A v4 net contains no v6 address, v4-mapped ones included.
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

/// Why an expression is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct FilterError {
    /// Byte range of the offending term in the input.
    pub at: std::ops::Range<usize>,
    /// The reason, with the right form where there is one.
    pub reason: String,
}

/// The properties of a process, or of one of its threads, that terms compare.
#[derive(Clone, Copy, Debug)]
pub struct ProcessInfo<'a> {
    /// Names that a bare PATTERN is tried on: threads' names and the process's.
    pub names: &'a [&'a [u8]],
    /// Thread group id.
    pub tgid: u32,
    /// Real user id.
    pub uid: u32,
    /// The cgroup, where known.
    pub cgroup: Option<&'a Cgroup>,
}

/// The properties of an opened file that terms compare.
#[derive(Clone, Copy, Debug)]
pub struct What<'a> {
    /// The requested path.
    pub path: Option<&'a [u8]>,
    /// The resolved path.
    pub resolved: Option<&'a [u8]>,
    /// The errno of the last open; `None` if it succeeded.
    pub errno: Option<i32>,
}

impl Filter {
    /// Parses an expression; the empty one matches everything.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }

    /// Whether there are no terms: everything matches.
    pub fn is_empty(&self) -> bool {
        !self.chooses_processes()
            && !self.chooses_files()
            && !self.chooses_addresses()
            && !self.chooses_peers()
            && self.ops.is_empty()
    }

    /// Whether there are terms on kinds of changes of files.
    pub fn chooses_changes(&self) -> bool {
        !self.ops.is_empty()
    }

    /// Whether there are terms on the process.
    pub fn chooses_processes(&self) -> bool {
        !(self.names.is_empty()
            && self.tgids.is_empty()
            && self.parents.is_empty()
            && self.uids.is_empty()
            && self.cgroups.is_empty())
    }

    /// Whether processes of one name in one cgroup may differ: by id or user, or by a name of a thread that
    /// must not be there.
    pub fn needs_each_process(&self) -> bool {
        !(self.tgids.is_empty() && self.uids.is_empty() && self.parents.is_empty())
            || self.names.iter().any(|t| t.negated)
    }

    /// Whether there are terms on the cgroup, which need its path.
    pub fn chooses_cgroups(&self) -> bool {
        !self.cgroups.is_empty()
    }

    /// The only process that can match, if a term names one: others can be skipped early.
    pub fn only_tgid(&self) -> Option<u32> {
        self.tgids.iter().find(|t| !t.negated).map(|t| t.is)
    }

    /// The only user that can match, if a term names one.
    pub fn only_uid(&self) -> Option<u32> {
        self.uids.iter().find(|t| !t.negated).map(|t| t.is)
    }

    /// A substring that the thread's or the process's name must contain, if a term names one.
    pub fn only_name(&self) -> Option<Comm> {
        self.names.iter().filter(|t| !t.negated).find_map(|t| t.is.only_name())
    }

    /// Whether only failed opens can match.
    pub fn only_failed(&self) -> bool {
        self.errnos.iter().any(|t| !t.negated)
    }

    /// Whether the terms on the process (name, `pid:`, `uid:`, `cgroup:`, `unit:`, …) match.
    ///
    /// A name term matches if one of the names does; negated, if none does.
    pub fn process(&self, who: &ProcessInfo<'_>) -> bool {
        self.tgids.iter().all(|t| t.passes(|tgid| *tgid == who.tgid))
            && self.uids.iter().all(|t| t.passes(|uid| *uid == who.uid))
            && self.names.iter().all(|t| t.passes(|p| p.matches_any(who.names)))
            && self.cgroups.iter().all(|(part, t)| t.passes(|p| part.matches(who.cgroup, p)))
    }

    /// Whether there are terms on ancestors (`parent:`), which need [`Ancestry`](super::lineage::Ancestry).
    pub fn chooses_parents(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Whether the terms on ancestors match. One matches if one of them does; negated, if none does.
    pub fn ancestors(&self, ancestors: &[Ancestor]) -> bool {
        let is = |is: &ParentIs| {
            ancestors.iter().any(|a| match is {
                ParentIs::Pid(pid) => *pid == a.pid,
                ParentIs::Named(pattern) => pattern.matches_any(&[a.name.as_bytes()]),
            })
        };
        self.parents.iter().all(|t| t.passes(is))
    }

    /// Whether there are terms on files (`path:`, `err:`): a process is then shown if one of its files matches.
    pub fn chooses_files(&self) -> bool {
        !(self.paths.is_empty() && self.errnos.is_empty())
    }

    /// Whether the terms on the file match.
    pub fn file(&self, what: &What<'_>) -> bool {
        self.errno(what.errno)
            && self.paths.iter().all(|t| t.passes(|p| path_matches(p, what.path, what.resolved)))
    }

    fn errno(&self, of: Option<i32>) -> bool {
        self.errnos.iter().all(|t| {
            t.passes(|errno| match errno {
                Errno::Any => of.is_some(),
                Errno::Is(errno) => of == Some(*errno),
            })
        })
    }

    /// Whether the terms on a change of a file (`op:`, `path:`, `err:`) match. A path matches if one of its names
    /// does; negated, if none does.
    pub fn change(&self, change: &FileChange) -> bool {
        self.ops.iter().all(|t| t.passes(|op| *op == change.op))
            && self.errno(change.errno)
            && self.paths.iter().all(|t| t.passes(|p| p.matches_any(&change.paths())))
    }

    /// Whether there are terms on addresses (`ip:`).
    pub fn chooses_addresses(&self) -> bool {
        !self.nets.is_empty()
    }

    /// Whether the terms on the address (`ip:`) match.
    pub fn address(&self, ip: IpAddr) -> bool {
        self.nets.iter().all(|t| t.passes(|net| net.contains(ip)))
    }

    /// Whether there are terms on the connections of a process (`peer:`, `port:`, `state:`, …).
    pub fn chooses_peers(&self) -> bool {
        !(self.peers.is_empty() && self.ports.is_empty()) || self.chooses_quality()
    }

    /// Whether there are terms on name, state or quality (`name:`, `state:`, `rtt:`, `retrans:`).
    pub fn chooses_quality(&self) -> bool {
        !(self.hostnames.is_empty()
            && self.states.is_empty()
            && self.rtts.is_empty()
            && self.retransmits.is_empty())
    }

    /// Whether the terms on the two ends (`ip:`, `peer:`, `port:`), the asked name, the state and the
    /// quality of a connection match. An unknown name, state or value does not.
    pub fn connection(
        &self,
        conn: &Conn,
        name: Option<&[u8]>,
        state: Option<TcpState>,
        quality: &Quality,
    ) -> bool {
        let remote = conn.remote.ip();
        let (rtt, retransmits) = (quality.rtt(), quality.retransmits);
        self.address(remote)
            && self.peer(remote)
            && self.port([conn.local.port(), conn.remote.port()])
            && self
                .hostnames
                .iter()
                .all(|t| t.passes(|is| name.is_some_and(|name| is.matches_any(&[name]))))
            && self.states.iter().all(|t| t.passes(|is| state == Some(*is)))
            && self.rtts.iter().all(|t| t.passes(|is| rtt.is_some_and(|rtt| is.matches(rtt))))
            && self
                .retransmits
                .iter()
                .all(|t| t.passes(|is| retransmits.is_some_and(|n| is.matches(n))))
    }

    /// Whether there are terms on ports alone (`port:`).
    pub fn chooses_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Whether the terms on the address (`ip:`), the port and the state of a listener match. It has neither
    /// a peer nor a round-trip time.
    pub fn listener(&self, listener: &Listener) -> bool {
        let bound = &listener.bound;
        let state = bound.takes_connections().then_some(TcpState::Listen);
        let is_at = match bound.ip() {
            Some(local) => self.address(local.ip()) && self.port([local.port(); 2]),
            None => self.nets.iter().all(|t| t.negated) && self.ports.iter().all(|t| t.negated),
        };
        is_at
            && self.states.iter().all(|t| t.passes(|is| state == Some(*is)))
            && self.peers.iter().all(|t| t.negated)
            && self.hostnames.iter().all(|t| t.negated)
            && self.rtts.iter().all(|t| t.negated)
            && self.retransmits.iter().all(|t| t.negated)
    }

    /// Whether the terms on the peer (`peer:`) match.
    pub fn peer(&self, ip: IpAddr) -> bool {
        self.peers.iter().all(|t| t.passes(|net| net.contains(ip)))
    }

    /// Whether the terms on ports (`port:`) match the port of either end.
    pub fn port(&self, ports: [u16; 2]) -> bool {
        self.ports.iter().all(|t| t.passes(|is| ports.iter().any(|port| is.matches(*port))))
    }
}

/// Whether a path PATTERN matches the requested path or the resolved one.
pub fn path_matches(pattern: &Pattern, path: Option<&[u8]>, resolved: Option<&[u8]>) -> bool {
    match (path, resolved) {
        (Some(path), Some(resolved)) if path != resolved => pattern.matches_any(&[path, resolved]),
        (path, resolved) => pattern.matches_any(path.or(resolved).as_slice()),
    }
}

#[cfg(test)]
mod tests;
