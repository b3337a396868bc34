//! The tables of names: by process and address, and by connection.

use std::net::IpAddr;

use hashbrown::HashMap;

use super::{Answer, Hello, HostnameCounts, HostnamesBatch, NameSource};
use crate::model::conn::Conn;
use crate::model::coverage::Missing;
use crate::model::process::ProcessKey;
use crate::model::time::Mono;

/// Pairs of process and address with names; beyond, the half that was answered longest ago is evicted.
pub const MAX_ADDRESSES: usize = 16_384;
/// Connections with the name of a ClientHello; beyond, the older half is evicted.
pub const MAX_HELLOS: usize = 16_384;
/// Names in one part of [`Hostnames::known_before`]: at most 600 KiB.
const KNOWN_PART: usize = 1_024;
/// Bytes of all names by address; beyond, the half is evicted as above.
const MAX_NAME_BYTES: usize = 8 << 20;
/// Names of one address for one process: beyond, the oldest one goes.
const NAMES_OF_ONE: usize = 4;

/// Sizes of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// See [`MAX_ADDRESSES`].
    pub addresses: usize,
    /// See [`MAX_HELLOS`].
    pub hellos: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { addresses: MAX_ADDRESSES, hellos: MAX_HELLOS }
    }
}

/// A name of an address, as a process got it.
#[derive(Clone, Debug)]
struct Known {
    name: Box<[u8]>,
    source: NameSource,
    /// The first answer, and the latest.
    first: Mono,
    at: Mono,
    ttl_s: u32,
}

impl Known {
    /// The latest of its two times up to a moment.
    fn last_before(&self, until: Mono) -> Mono {
        if self.at <= until { self.at } else { self.first }
    }
}

/// A name, where it comes from, and how old it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Bytes from elsewhere.
    pub name: &'a [u8],
    pub source: NameSource,
    /// When it was seen.
    pub at: Mono,
    /// How long the answer is valid, seconds; `None`: not known by an answer.
    pub ttl_s: Option<u32>,
    /// Further names that the process had got for this address: any of them may have been meant.
    pub others: usize,
}

/// [`Named`] with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedName {
    pub name: Box<[u8]>,
    pub source: NameSource,
    pub at: Mono,
    pub ttl_s: Option<u32>,
    pub others: usize,
}

impl From<Named<'_>> for OwnedName {
    fn from(of: Named<'_>) -> Self {
        let Named { name, source, at, ttl_s, others } = of;
        Self { name: name.into(), source, at, ttl_s, others }
    }
}

/// The names.
#[derive(Clone, Debug, Default)]
pub struct Hostnames {
    bounds: Bounds,
    /// The latest name last.
    answers: HashMap<(ProcessKey, IpAddr), Vec<Known>>,
    hellos: HashMap<u64, (Mono, Box<[u8]>)>,
    /// Bytes of the names in `answers`.
    name_bytes: usize,
    /// The search for names is on.
    pub on: bool,
    /// Features that the kernel refused.
    pub missing: Vec<Missing>,
    /// Counts of the kernel side and of the reader, over all searches.
    pub counts: HostnameCounts,
    /// The counts of the last batch.
    latest: HostnameCounts,
    /// Names that were evicted here.
    pub evicted: u64,
}

impl Hostnames {
    /// Empty tables with bounds of their own.
    pub fn with_bounds(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes in what the probe found.
    pub fn add(&mut self, batch: &HostnamesBatch) {
        if !batch.known {
            self.counts.grow(&self.latest, &batch.counts);
        }
        (self.on, self.latest) = (batch.on, batch.counts);
        self.missing.clone_from(&batch.missing);
        for answer in &batch.answers {
            let key = (answer.process, answer.ip);
            let full = self.answers.len() >= self.bounds.addresses
                || self.name_bytes + answer.name.len() > MAX_NAME_BYTES;
            if full && !self.answers.contains_key(&key) {
                self.evict_answers();
            }
            let known = self.answers.entry(key).or_default();
            // An answer that comes again changes nothing for connections that began before it.
            if let Some(again) = known.iter_mut().find(|known| known.name == answer.name) {
                (again.at, again.ttl_s) = (answer.at.max(again.at), answer.ttl_s);
                again.source = answer.source;
                continue;
            }
            if known.len() >= NAMES_OF_ONE {
                let gone = known.remove(0);
                self.name_bytes -= gone.name.len();
                self.evicted += 1;
            }
            self.name_bytes += answer.name.len();
            known.push(Known {
                name: answer.name.clone(),
                source: answer.source,
                first: answer.at,
                at: answer.at,
                ttl_s: answer.ttl_s,
            });
        }
        for hello in &batch.hellos {
            if self.hellos.len() >= self.bounds.hellos {
                self.evict_hellos();
            }
            self.hellos.insert(hello.cookie, (hello.at, hello.name.clone()));
        }
    }

    /// The name of a connection's peer: that of its ClientHello, else the one that one of its processes got
    /// for the address last before it began.
    pub fn of(&self, conn: &Conn) -> Option<Named<'_>> {
        if let Some((at, name)) = self.hellos.get(&conn.cookie) {
            return Some(Named { name, source: NameSource::Sni, at: *at, ttl_s: None, others: 0 });
        }
        // The peer of a connection from outside was not looked up in order to connect.
        if conn.passive || conn.remote.port() == 0 {
            return None;
        }
        let until = conn.since?;
        let mut processes = conn.shares.iter().map(|share| share.owner.key);
        processes.find_map(|key| self.before(key, conn.remote.ip(), until))
    }

    /// The name that a process got last for an address, up to a moment.
    fn before(&self, process: ProcessKey, ip: IpAddr, until: Mono) -> Option<Named<'_>> {
        let known = self.answers.get(&(process, ip))?;
        let earlier = || known.iter().filter(|known| known.first <= until);
        let last = earlier().max_by_key(|known| known.last_before(until))?;
        Some(Named {
            name: &last.name,
            source: last.source,
            at: last.last_before(until),
            ttl_s: Some(last.ttl_s),
            others: earlier().count() - 1,
        })
    }

    /// The name that a process got last for an address.
    pub fn latest(&self, process: ProcessKey, ip: IpAddr) -> Option<Named<'_>> {
        self.before(process, ip, Mono(u64::MAX))
    }

    /// Whether there are names, or may be soon.
    pub fn is_used(&self) -> bool {
        self.on || !self.answers.is_empty() || !self.hellos.is_empty()
    }

    /// Everything that is known, for a recording that begins now, in parts; nothing while names are off.
    pub fn known_before(&self) -> Vec<HostnamesBatch> {
        if !self.on {
            return Vec::new();
        }
        let answers = self.answers.iter().flat_map(|((process, ip), known)| {
            let times = known.iter().flat_map(|known| [(known, known.first), (known, known.at)]);
            times.map(|(known, at)| Answer {
                at,
                process: *process,
                ip: *ip,
                name: known.name.clone(),
                source: known.source,
                ttl_s: known.ttl_s,
            })
        });
        let answers: Vec<_> = answers.collect();
        let hellos = self.hellos.iter().map(|(cookie, (at, name))| Hello {
            at: *at,
            cookie: *cookie,
            name: name.clone(),
        });
        let hellos: Vec<_> = hellos.collect();
        let part = |answers: &[Answer], hellos: &[Hello]| HostnamesBatch {
            on: true,
            known: true,
            missing: self.missing.clone(),
            answers: answers.to_vec(),
            hellos: hellos.to_vec(),
            counts: self.latest,
        };
        let mut parts: Vec<_> =
            answers.chunks(KNOWN_PART).map(|part_of| part(part_of, &[])).collect();
        parts.extend(hellos.chunks(KNOWN_PART).map(|part_of| part(&[], part_of)));
        if parts.is_empty() {
            parts.push(part(&[], &[]));
        }
        parts
    }

    /// Approximate memory, bytes.
    pub fn bytes(&self) -> usize {
        let answers = self.answers.values().map(|known| {
            let names = known.iter().map(|known| size_of::<Known>() + known.name.len());
            size_of::<(ProcessKey, IpAddr)>() + names.sum::<usize>()
        });
        let hellos = self.hellos.values().map(|(_, name)| size_of::<(u64, Mono)>() + name.len());
        answers.chain(hellos).sum()
    }

    fn evict_answers(&mut self) {
        let latest =
            |known: &Vec<Known>| known.iter().map(|known| known.at).max().unwrap_or_default();
        let all = self.answers.len();
        let median = median(self.answers.values().map(latest));
        self.answers.retain(|_, known| latest(known) > median);
        let names = self.answers.values().flatten().map(|known| known.name.len());
        self.name_bytes = names.sum();
        self.evicted += (all - self.answers.len()) as u64;
    }

    fn evict_hellos(&mut self) {
        let all = self.hellos.len();
        let median = median(self.hellos.values().map(|(at, _)| *at));
        self.hellos.retain(|_, (at, _)| *at > median);
        self.evicted += (all - self.hellos.len()) as u64;
    }
}

fn median(times: impl Iterator<Item = Mono>) -> Mono {
    let mut times: Vec<Mono> = times.collect();
    let middle = times.len() / 2;
    if times.is_empty() {
        return Mono(0);
    }
    *times.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::connections::sample;

    fn answer(tgid: u32, ip: &str, name: &str, at: u64) -> Answer {
        Answer {
            at: Mono(at),
            process: ProcessKey { tgid, ..sample(1).owner().unwrap().key },
            ip: ip.parse().unwrap(),
            name: name.as_bytes().into(),
            source: NameSource::Dns,
            ttl_s: 60,
        }
    }

    fn answers(answers: Vec<Answer>) -> HostnamesBatch {
        HostnamesBatch { answers, ..HostnamesBatch::default() }
    }

    fn on(lost: u64) -> HostnamesBatch {
        let counts = HostnameCounts { lost, ..HostnameCounts::default() };
        HostnamesBatch { on: true, counts, ..HostnamesBatch::default() }
    }

    fn hello(cookie: u64, at: u64) -> HostnamesBatch {
        let hello = Hello { at: Mono(at), cookie, name: (*b"tls.example").into() };
        HostnamesBatch { hellos: vec![hello], ..HostnamesBatch::default() }
    }

    /// A connection of process 1 that began at 10.
    fn conn(cookie: u64, remote: &str) -> Conn {
        Conn { since: Some(Mono(10)), remote: remote.parse().unwrap(), ..sample(cookie) }
    }

    fn name(names: &Hostnames, conn: &Conn) -> Option<(String, usize)> {
        let text = |n: Named<'_>| (String::from_utf8_lossy(n.name).into_owned(), n.others);
        names.of(conn).map(text)
    }

    #[test]
    fn a_name_is_that_of_the_process_that_asked_before_it_connected() {
        let mut names = Hostnames::default();
        let to = conn(1, "192.0.2.1:443");
        names.add(&answers(vec![answer(2, "192.0.2.1", "other.example", 1)]));
        assert_eq!(name(&names, &to), None, "another process's");
        names.add(&answers(vec![answer(1, "192.0.2.1", "late.example", 11)]));
        assert_eq!(name(&names, &to), None, "it was connected by then");
        names.add(&answers(vec![answer(1, "192.0.2.1", "one.example", 2)]));
        names.add(&answers(vec![answer(1, "192.0.2.1", "two.example", 3)]));
        names.add(&answers(vec![answer(1, "192.0.2.9", "nine.example", 4)]));
        assert_eq!(name(&names, &to), Some(("two.example".into(), 1)));
        assert_eq!(name(&names, &Conn { passive: true, ..to.clone() }), None);
        assert_eq!(name(&names, &Conn { since: None, ..to.clone() }), None);
        assert_eq!(name(&names, &conn(1, "192.0.2.1:0")), None);
        // Asked again, after the connection began: it keeps its name.
        names.add(&answers(vec![answer(1, "192.0.2.1", "two.example", 20)]));
        assert_eq!(name(&names, &to), Some(("two.example".into(), 1)));
        assert_eq!(names.of(&to).unwrap().at, Mono(3));
        names.add(&hello(1, 12));
        assert_eq!(name(&names, &to), Some(("tls.example".into(), 0)), "its own is surer");
        assert_eq!(name(&names, &conn(2, "192.0.2.1:443")), Some(("two.example".into(), 1)));
    }

    #[test]
    fn a_recording_begins_with_what_is_known() {
        let mut names = Hostnames { on: true, ..Hostnames::default() };
        assert_eq!(names.known_before().len(), 1);
        names.add(&answers(vec![answer(1, "192.0.2.1", "one.example", 2)]));
        names.add(&hello(2, 12));
        names.add(&on(3));
        let mut again = Hostnames::default();
        names.known_before().iter().for_each(|part| again.add(part));
        again.add(&on(5));
        assert_eq!((names.counts.lost, again.counts.lost), (3, 2), "it counts from there");
        // Beginning again at 0 loses no counts.
        again.add(&on(0));
        again.add(&on(4));
        assert_eq!(again.counts.lost, 6);
        for conn in [conn(1, "192.0.2.1:443"), conn(2, "192.0.2.2:443")] {
            assert_eq!(name(&again, &conn), name(&names, &conn));
            assert!(name(&again, &conn).is_some());
        }
        names.add(&HostnamesBatch::default());
        assert_eq!(names.known_before(), [], "off: nothing of it is written");
    }

    #[test]
    fn the_oldest_names_are_evicted_and_counted() {
        let mut names = Hostnames::with_bounds(Bounds { addresses: 8, hellos: 8 });
        for n in 0..9 {
            names.add(&answers(vec![answer(1, &format!("192.0.2.{n}"), "one.example", n)]));
            names.add(&hello(n, n));
        }
        assert_eq!((names.answers.len(), names.hellos.len(), names.evicted), (4, 4, 10));
        // Of one address, too.
        let mut names = Hostnames::default();
        for n in 0..6 {
            names.add(&answers(vec![answer(1, "192.0.2.1", &format!("{n}.example"), n)]));
        }
        assert_eq!(name(&names, &conn(1, "192.0.2.1:1")), Some(("5.example".into(), 3)));
        assert_eq!(names.evicted, 2);
    }
}
