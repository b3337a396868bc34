//! Sockets that wait for others: TCP and Unix listeners and bound UDP sockets, with their processes.

use std::fmt;

use hashbrown::{HashMap, HashSet};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::bound::Bound;
use super::conn::Owner;
use super::time::{Mono, WallOffset};

/// Listeners in one reading, some 200 bytes each, and in a recording's; further ones are counted in
/// [`Listeners::left_out`].
pub const MAX_LISTENERS: usize = 8_192;

/// Bytes of the cgroups' paths in one reading: with these it fits into a recording. Rows beyond have none, and
/// [`Listeners::problem`] says how many.
pub const MAX_CGROUP_BYTES: usize = 4 << 20;

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub bound: Bound,
    /// The network namespace's inode number.
    pub netns: u32,
    /// The inode of the file through which processes hold it.
    pub inode: u32,
    /// The reading that found it first; `None`: it was there before the first one, or that is not known.
    pub since: Option<Mono>,
    /// Connections that wait to be accepted, and how many may. Of UDP: bytes that wait to be read, and no
    /// limit.
    pub waiting: u32,
    /// `None` also where it is not known, as `drops`.
    pub limit: Option<u32>,
    /// Packets of handshakes or datagrams that were dropped, as the queue was full or for other reasons; `None`
    /// where it is not known: for TCP in other network namespaces than that of the program, where no process
    /// has it open or the kernel refuses the program that reads it there. Unix sockets drop none: connect()
    /// waits, or fails.
    pub drops: Option<u32>,
    /// Connections to its address that processes accepted, see
    /// [`Accepted`](super::connections::Accepted); `None` where these are not counted. A recording has the
    /// connections themselves.
    #[serde(skip)]
    pub accepted: Option<u64>,
    /// Listeners at its address, itself included: `accepted` is the sum of theirs. 0 without `accepted`.
    #[serde(skip)]
    pub accepting: u32,
    /// The first process that has it open, and how many others have.
    pub owner: Option<Owner>,
    pub others: u32,
    /// The path of that process's cgroup, where it is known.
    pub cgroup: Option<Box<[u8]>>,
}

/// Namespace, protocol, address and inode: the same in all readings of one listener.
pub type Identity = (u32, Bound, u32);

impl Listener {
    /// The same in all readings of it.
    pub fn identity(&self) -> Identity {
        (self.netns, self.bound.clone(), self.inode)
    }

    /// The order by port, Unix sockets behind the others by name.
    pub fn place(&self) -> impl Ord + '_ {
        let port = self.bound.ip().map(|local| local.port());
        (port.is_none(), port, &self.bound, self.netns, self.inode)
    }

    /// Approximate memory beside the row itself, bytes.
    pub fn bytes(&self) -> usize {
        self.cgroup.as_ref().map_or(0, |path| path.len()) + self.bound.bytes()
    }
}

/// The listeners of a machine at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listeners {
    pub at: Mono,
    pub wall: WallOffset,
    #[serde(deserialize_with = "rows")]
    pub rows: Vec<Listener>,
    /// Listeners beyond [`MAX_LISTENERS`].
    pub left_out: u64,
    /// A namespace could not be read: a listener that is missing may still be there.
    pub partial: bool,
    /// Why rows or processes are missing.
    pub problem: Option<String>,
}

/// The number of listeners by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub tcp: usize,
    pub udp: usize,
    pub unix: usize,
}

/// Counts listeners by kind.
pub fn counts<'a>(all: impl Iterator<Item = &'a Listener>) -> Counts {
    let mut counts = Counts::default();
    for listener in all {
        *match &listener.bound {
            Bound::Unix { .. } => &mut counts.unix,
            bound if bound.is_tcp() => &mut counts.tcp,
            Bound::Ip { .. } => &mut counts.udp,
        } += 1;
    }
    counts
}

impl Listeners {
    /// It has all listeners.
    pub fn is_whole(&self) -> bool {
        self.left_out == 0 && !self.partial
    }

    /// Why listeners or processes are missing, in words for people.
    pub fn doubt(&self) -> Option<String> {
        let left_out =
            (self.left_out > 0).then(|| format!("{} more listeners found no room", self.left_out));
        let parts: Vec<&str> = self.problem.iter().chain(&left_out).map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Reads [`MAX_LISTENERS`] rows at most: each takes much more memory than bytes in a recording.
fn rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Listener>, D::Error> {
    struct Rows;

    impl<'de> Visitor<'de> for Rows {
        type Value = Vec<Listener>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_LISTENERS} listeners")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
            let mut rows = Vec::new();
            while let Some(row) = all.next_element()? {
                if rows.len() == MAX_LISTENERS {
                    return Err(A::Error::invalid_length(rows.len() + 1, &self));
                }
                rows.push(row);
            }
            Ok(rows)
        }
    }

    deserializer.deserialize_seq(Rows)
}

/// A change of a listener between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerEvent {
    /// Found, and not known to be new: the first reading found it, or the one before lacked some.
    Seen,
    /// It is new.
    Listen,
    /// Its queue, limit, drops, accepted connections or processes are others.
    Change,
    /// It has gone: a whole reading lacks it, or two in a row that may lack some. The values are the last ones.
    Close,
}

impl ListenerEvent {
    /// The word in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Listen => "listen",
            Self::Change => "change",
            Self::Close => "close",
        }
    }
}

/// The listeners of the last reading, and those that only the one before has: at most twice [`MAX_LISTENERS`].
#[derive(Clone, Debug, Default)]
pub struct KnownListeners {
    known: HashMap<Identity, Listener>,
    /// Listeners that the last reading lacks, where it may have missed some.
    missed: HashMap<Identity, Listener>,
    /// The last reading had all listeners; `None`: there was none.
    was_whole: Option<bool>,
}

impl KnownListeners {
    /// Takes over a reading: fills in since when each listener is known, removes rows that it repeats, and passes
    /// on what changed.
    pub fn follow(
        &mut self,
        found: &mut Listeners,
        mut each: impl FnMut(ListenerEvent, &Listener),
    ) {
        if found.partial && found.rows.is_empty() {
            // It failed, and says nothing of any listener.
            self.was_whole = Some(false);
            return;
        }
        let is_whole = found.is_whole();
        let mut known = HashMap::with_capacity(found.rows.len());
        found.rows.retain_mut(|row| {
            let id = row.identity();
            if known.contains_key(&id) {
                return false;
            }
            let before = self.known.remove(&id).or_else(|| self.missed.remove(&id));
            let new = self.was_whole == Some(true) && before.is_none();
            let first_seen = before.as_ref().map_or(new.then_some(found.at), |before| before.since);
            row.since = row.since.or(first_seen);
            match before {
                None if new => each(ListenerEvent::Listen, row),
                None => each(ListenerEvent::Seen, row),
                Some(before) if before != *row => each(ListenerEvent::Change, row),
                Some(_) => {}
            }
            known.insert(id, row.clone());
            true
        });
        let lacking = std::mem::replace(&mut self.known, known);
        let mut gone: Vec<Listener> = self.missed.drain().map(|(_, gone)| gone).collect();
        if is_whole {
            gone.extend(lacking.into_values());
        } else {
            self.missed = lacking;
        }
        gone.sort_unstable_by_key(Listener::identity);
        gone.iter().for_each(|gone| each(ListenerEvent::Close, gone));
        self.was_whole = Some(is_whole);
    }

    /// Listeners that a next reading lacks and that may still be there: it may lack some.
    pub fn missed_by(&self, found: &Listeners) -> Vec<Listener> {
        if found.is_whole() {
            return Vec::new();
        }
        let ids: HashSet<Identity> = found.rows.iter().map(Listener::identity).collect();
        let missed = self.known.iter().filter(|(id, _)| !ids.contains(*id));
        missed.map(|(_, listener)| listener.clone()).collect()
    }

    /// All that have not gone: those of the last reading, and those that it may have missed.
    pub fn all(&self) -> impl Iterator<Item = &Listener> {
        self.known.values().chain(self.missed.values())
    }

    /// Counts the accepted connections again by `fill_in`, and passes on the listeners whose count changed since the
    /// last reading.
    pub fn count_again(
        &mut self,
        fill_in: impl FnOnce(&mut Listeners),
        mut each: impl FnMut(ListenerEvent, &Listener),
    ) {
        let mut found = Listeners { rows: self.all().cloned().collect(), ..Listeners::default() };
        fill_in(&mut found);
        found.rows.sort_unstable_by_key(Listener::identity);
        for row in found.rows {
            let id = row.identity();
            let known = self.known.get_mut(&id).or_else(|| self.missed.get_mut(&id));
            if let Some(known) = known.filter(|known| **known != row) {
                each(ListenerEvent::Change, &row);
                *known = row;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::model::conn::TCP;

    fn port(row: &Listener) -> u16 {
        row.bound.ip().unwrap().port()
    }

    fn listener(port: u16, inode: u32) -> Listener {
        Listener {
            bound: Bound::Ip {
                protocol: TCP,
                local: SocketAddr::from(([0, 0, 0, 0], port)),
                interface: 0,
            },
            netns: 1,
            inode,
            since: None,
            waiting: 0,
            limit: Some(128),
            drops: Some(0),
            accepted: None,
            accepting: 0,
            owner: None,
            others: 0,
            cgroup: None,
        }
    }

    #[test]
    fn what_changes_between_two_readings_is_passed_on_once() {
        use ListenerEvent::{Change, Close, Listen, Seen};
        let mut known = KnownListeners::default();
        let mut read = |at, rows: Vec<Listener>, partial| {
            let mut found = Listeners { at: Mono(at), rows, partial, ..Listeners::default() };
            let mut events = Vec::new();
            known.follow(&mut found, |event, row| events.push((event, port(row))));
            let since: Vec<_> = found.rows.iter().map(|row| row.since.map(|at| at.0)).collect();
            (events, since)
        };
        assert_eq!(read(1, vec![listener(80, 1)], false), (vec![(Seen, 80)], vec![None]));
        let both = || vec![listener(80, 1), listener(443, 2)];
        assert_eq!(read(2, both(), false), (vec![(Listen, 443)], vec![None, Some(2)]));
        assert_eq!(read(3, both(), false), (vec![], vec![None, Some(2)]));
        // A row that is there twice is one listener.
        let twice = vec![listener(80, 1), listener(443, 2), listener(443, 2)];
        assert_eq!(read(3, twice, false), (vec![], vec![None, Some(2)]));
        // Another socket at the same address is another listener.
        let other = vec![listener(80, 9), Listener { waiting: 3, ..listener(443, 2) }];
        let events = vec![(Listen, 80), (Change, 443), (Close, 80)];
        assert_eq!(read(4, other, false), (events, vec![Some(4), Some(2)]));
        // A listener that a partial reading lacks has not gone, and one that the next finds may be old.
        assert_eq!(read(5, vec![listener(80, 9)], true), (vec![], vec![Some(4)]));
        let back = vec![listener(80, 9), listener(443, 2), listener(22, 7)];
        let (events, since) = read(6, back, false);
        assert_eq!(
            (events, since),
            (vec![(Change, 443), (Seen, 22)], vec![Some(4), Some(2), None])
        );
    }

    #[test]
    fn accepted_connections_are_counted_again_without_a_reading() {
        let mut known = KnownListeners::default();
        let rows = vec![listener(80, 1), listener(443, 2)];
        known.follow(&mut Listeners { rows, ..Listeners::default() }, |_, _| {});
        let mut again = || {
            let mut events = Vec::new();
            let fill_in = |found: &mut Listeners| {
                let of_443 = |row: &&mut Listener| port(row) == 443;
                found.rows.iter_mut().filter(of_443).for_each(|row| row.accepted = Some(7));
            };
            known.count_again(fill_in, |event, row| events.push((event, row.accepted)));
            events
        };
        assert_eq!(again(), [(ListenerEvent::Change, Some(7))]);
        assert_eq!(again(), []);
    }

    #[test]
    fn a_listener_that_a_partial_reading_lacks_is_known_until_the_next() {
        let mut known = KnownListeners::default();
        let reading = |rows: &[u16], partial| {
            let rows = rows.iter().map(|port| listener(*port, u32::from(*port))).collect();
            Listeners { rows, partial, ..Listeners::default() }
        };
        let ports = |rows: Vec<Listener>| -> Vec<u16> {
            let mut ports: Vec<_> = rows.iter().map(port).collect();
            ports.sort_unstable();
            ports
        };
        known.follow(&mut reading(&[80, 443], false), |_, _| {});
        assert!(known.missed_by(&reading(&[80], false)).is_empty());
        assert_eq!(ports(known.missed_by(&reading(&[80, 22], true))), [443]);
        known.follow(&mut reading(&[80], true), |_, _| {});
        assert_eq!(ports(known.all().cloned().collect()), [80, 443]);
        let mut events = Vec::new();
        let fill_in = |found: &mut Listeners| {
            found.rows.iter_mut().for_each(|row| row.accepted = Some(7));
        };
        known.count_again(fill_in, |_, row| events.push((port(row), row.accepted)));
        assert_eq!(events, [(80, Some(7)), (443, Some(7))]);
        assert!(known.all().all(|row| row.accepted == Some(7)));
        // The second that lacks it ends it.
        assert!(known.missed_by(&reading(&[80], true)).is_empty());
        known.follow(&mut reading(&[80], true), |_, _| {});
        assert_eq!(ports(known.all().cloned().collect()), [80]);
    }

    #[test]
    fn a_failed_reading_is_not_the_first_and_closes_nothing() {
        use ListenerEvent::{Close, Listen, Seen};
        let mut known = KnownListeners::default();
        let mut read = |rows: &[u16], partial| {
            let rows = rows.iter().map(|port| listener(*port, u32::from(*port))).collect();
            let mut found = Listeners { rows, partial, ..Listeners::default() };
            let mut events = Vec::new();
            known.follow(&mut found, |event, row| events.push((event, port(row))));
            events
        };
        assert_eq!(read(&[], true), []);
        assert_eq!(read(&[80], false), [(Seen, 80)]);
        assert_eq!((read(&[], true), read(&[], true)), (vec![], vec![]));
        assert_eq!(read(&[80, 22], false), [(Seen, 22)]);
        assert_eq!(read(&[80, 22, 53], false), [(Listen, 53)]);
        assert_eq!(read(&[], false), [(Close, 22), (Close, 53), (Close, 80)]);
    }

    #[test]
    fn listeners_that_two_readings_lack_are_closed_and_what_is_known_is_bounded() {
        let mut known = KnownListeners::default();
        let mut closed = 0;
        let most = u32::try_from(MAX_LISTENERS).unwrap();
        for reading in 0..4 {
            let rows = (0..most).map(|n| listener(80, reading * most + n)).collect();
            let mut found = Listeners { rows, left_out: 3, ..Listeners::default() };
            known.follow(&mut found, |event, _| {
                closed += usize::from(event == ListenerEvent::Close);
            });
            assert!(known.known.len() + known.missed.len() <= 2 * MAX_LISTENERS);
            assert_eq!(found.doubt().unwrap(), "3 more listeners found no room");
        }
        assert_eq!(closed, 2 * MAX_LISTENERS);
    }
}
