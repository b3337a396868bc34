//! Joins packets: answers with the queries that they are to, and the parts of messages over TCP.

use hashbrown::HashMap;

use super::dns::{Message, Question, Text};
use super::hello;
use crate::model::hostnames::{Answer, Hello, HostnameCounts, NameSource};
use crate::model::process::ProcessKey;
use crate::model::time::{Mono, NS_PER_SEC};

/// Queries without an answer, and unfinished messages, of each kind; beyond, the older half is evicted.
pub(super) const MAX_PENDING: usize = 4_096;
/// Sockets that ask by multicast, and names that one of them asks for at once.
const MAX_MULTICAST_SOCKETS: usize = 512;
const MAX_MULTICAST: usize = 16;
/// Answers that are taken from one message, and answers and hellos from one drain.
pub(super) const MAX_OF_MESSAGE: usize = 64;
pub(super) const MAX_FOUND: usize = 4_096;
/// Bytes of a ClientHello, as the kernel side copies them, and of a message over TCP.
const MAX_HELLO: usize = 4_096;
const MAX_MESSAGE: usize = 8_192;
/// Bytes of all unfinished messages; beyond, the older half is evicted.
const MAX_STREAM_BYTES: usize = 4 << 20;
/// A query, or the rest of a message, is waited for so long.
const PATIENCE_NS: u64 = 30 * NS_PER_SEC;

const MDNS: u16 = 5353;
const LLMNR: u16 = 5355;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Query,
    Answer,
    Hello,
}

/// A packet, as the program copied it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) at: Mono,
    /// The cookie of the socket.
    pub(super) cookie: u64,
    /// The process that sent it, where that is known.
    pub(super) process: Option<ProcessKey>,
    /// The port of the other end.
    pub(super) port: u16,
    pub(super) seq: u32,
    pub(super) kind: Kind,
    pub(super) tcp: bool,
    /// Bytes of payload, of which `copied` is the beginning.
    pub(super) bytes: usize,
    pub(super) copied: &'a [u8],
}

/// The findings of a drain.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) answers: Vec<Answer>,
    pub(super) hellos: Vec<Hello>,
}

/// A query without an answer.
#[derive(Debug)]
struct Asked {
    question: Question,
    process: Option<ProcessKey>,
    at: Mono,
}

/// One direction of a TCP connection, up to where its last whole message ended.
#[derive(Debug)]
struct Stream {
    /// The sequence number of the next byte.
    next: u32,
    bytes: Vec<u8>,
    at: Mono,
    /// Bytes are missing: nothing more of it is read.
    broken: bool,
}

/// The tables.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Queries without an answer, by socket and number.
    asked: HashMap<(u64, u16), Asked>,
    /// Queries by multicast DNS, whose answers have no number, by socket.
    multicast: HashMap<u64, Vec<Asked>>,
    streams: HashMap<(u64, Kind), Stream>,
    /// Bytes of all `streams`.
    stream_bytes: usize,
    pub(super) counts: HostnameCounts,
    pub(super) found: Found,
}

impl Track {
    /// Takes a packet; they come in the order of time.
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        match packet.kind {
            Kind::Hello => self.hello(packet),
            Kind::Query | Kind::Answer if packet.tcp => {
                for message in self.messages(packet) {
                    self.message(packet, &message);
                }
            }
            // The kernel side counts what is cut.
            Kind::Query | Kind::Answer if packet.copied.len() < packet.bytes => {}
            Kind::Query | Kind::Answer => self.message(packet, packet.copied),
        }
    }

    /// Drops what has waited too long.
    pub(super) fn expire(&mut self, now: Mono) {
        let fresh = |at: Mono| now.since(at) < PATIENCE_NS;
        self.asked.retain(|_, asked| fresh(asked.at));
        self.multicast.retain(|_, all| {
            all.retain(|asked| fresh(asked.at));
            !all.is_empty()
        });
        let mut unfinished = 0;
        self.streams.retain(|_, stream| {
            unfinished += u64::from(!fresh(stream.at) && !stream.broken);
            fresh(stream.at)
        });
        self.stream_bytes = bytes_of(&self.streams);
        self.counts.unfinished += unfinished;
    }

    fn message(&mut self, packet: &Packet<'_>, bytes: &[u8]) {
        let source = match packet.port {
            MDNS => NameSource::Mdns,
            LLMNR => NameSource::Llmnr,
            _ => NameSource::Dns,
        };
        let multicast = source == NameSource::Mdns;
        let Some(message) = Message::read(bytes, multicast) else {
            self.counts.malformed += 1;
            return;
        };
        match (packet.kind, message.is_answer) {
            (Kind::Query, false) => self.ask(packet, message, multicast),
            (Kind::Answer, true) if multicast => self.answer_by_multicast(packet, &message),
            (Kind::Answer, true) => self.answer(packet, &message, source),
            _ => {}
        }
    }

    fn ask(&mut self, packet: &Packet<'_>, message: Message, multicast: bool) {
        let (process, at) = (packet.process, packet.at);
        let asked = |question| Asked { question, process, at };
        if multicast {
            self.counts.evicted +=
                evict_older_half(MAX_MULTICAST_SOCKETS, &mut self.multicast, |all| {
                    all.last().map_or(Mono(0), |asked| asked.at)
                });
            let all = self.multicast.entry(packet.cookie).or_default();
            for question in message.questions {
                all.retain(|asked| asked.question != question);
                if all.len() >= MAX_MULTICAST {
                    all.remove(0);
                    self.counts.evicted += 1;
                }
                all.push(asked(question));
            }
        } else if let Some(question) = message.questions.into_iter().next() {
            self.counts.evicted += evict_older_half(MAX_PENDING, &mut self.asked, |asked| asked.at);
            self.asked.insert((packet.cookie, message.id), asked(question));
        }
    }

    fn answer(&mut self, packet: &Packet<'_>, message: &Message, source: NameSource) {
        let key = (packet.cookie, message.id);
        let fits =
            self.asked.get(&key).is_some_and(|a| message.questions.first() == Some(&a.question));
        let Some(asked) = self.asked.remove(&key).filter(|_| fits) else {
            self.counts.unasked += 1;
            return;
        };
        let Some(process) = asked.process else {
            self.counts.unattributed += 1;
            return;
        };
        self.find(packet, message, (&asked.question.name, process, source), MAX_OF_MESSAGE);
    }

    fn answer_by_multicast(&mut self, packet: &Packet<'_>, message: &Message) {
        let asked: Vec<(Text, Option<ProcessKey>)> = match self.multicast.get(&packet.cookie) {
            Some(all) => all.iter().map(|a| (a.question.name.clone(), a.process)).collect(),
            None => Vec::new(),
        };
        let (mut some, mut room) = (false, MAX_OF_MESSAGE);
        for (name, process) in asked {
            some |= !message.addresses(&name).is_empty();
            if let Some(process) = process {
                room -= self.find(packet, message, (&name, process, NameSource::Mdns), room);
            }
        }
        self.counts.unasked += u64::from(!some);
    }

    /// Takes the addresses of a name, `room` at most; returns how many.
    fn find(
        &mut self,
        packet: &Packet<'_>,
        message: &Message,
        (name, process, source): (&[u8], ProcessKey, NameSource),
        room: usize,
    ) -> usize {
        let addresses = message.addresses(name);
        let room = room.min(MAX_FOUND.saturating_sub(self.found.answers.len()));
        let taken = addresses.len().min(room);
        self.counts.left_out += (addresses.len() - taken) as u64;
        let at = packet.at;
        let answer = |(ip, ttl_s)| Answer { at, process, ip, name: name.into(), source, ttl_s };
        self.found.answers.extend(addresses.into_iter().take(taken).map(answer));
        taken
    }

    fn hello(&mut self, packet: &Packet<'_>) {
        let Some(mut stream) = self.join(packet) else { return };
        match hello::read(&stream.bytes) {
            hello::Read::Hello(Some(_)) if self.found.hellos.len() >= MAX_FOUND => {
                self.counts.left_out += 1;
            }
            hello::Read::Hello(Some(name)) => {
                self.found.hellos.push(Hello { at: packet.at, cookie: packet.cookie, name });
            }
            hello::Read::Hello(None) => {}
            hello::Read::Malformed => self.counts.malformed += 1,
            hello::Read::Unfinished => {
                // The kernel side counts what is cut.
                stream.broken |=
                    packet.copied.len() < packet.bytes || stream.bytes.len() >= MAX_HELLO;
                self.keep(packet, stream);
            }
        }
    }

    /// The whole messages over TCP that end with this packet: each has its length in front.
    fn messages(&mut self, packet: &Packet<'_>) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        let Some(mut stream) = self.join(packet) else { return whole };
        stream.broken |= packet.copied.len() < packet.bytes;
        while let Some(([high, low], rest)) = stream.bytes.split_first_chunk() {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len > MAX_MESSAGE {
                stream.broken = true;
                self.counts.unfinished += 1;
                break;
            }
            let Some(message) = rest.get(..len) else { break };
            whole.push(message.to_vec());
            stream.bytes.drain(..2 + len);
        }
        if stream.broken || !stream.bytes.is_empty() {
            self.keep(packet, stream);
        }
        whole
    }

    /// The bytes of the packet's direction with those of the packet; `None` where it adds nothing, or where some
    /// before it are missing.
    fn join(&mut self, packet: &Packet<'_>) -> Option<Stream> {
        let key = (packet.cookie, packet.kind);
        let new = Stream { next: packet.seq, bytes: Vec::new(), at: packet.at, broken: false };
        let mut stream = self.streams.remove(&key).unwrap_or(new);
        self.stream_bytes = self.stream_bytes.saturating_sub(stream.bytes.len());
        let known = stream.next.wrapping_sub(packet.seq) as i32;
        if stream.broken || known < 0 {
            self.counts.unfinished += u64::from(!stream.broken);
            stream.broken = true;
            self.keep(packet, stream);
            return None;
        }
        let Some(more) = packet.copied.get(known as usize..).filter(|more| !more.is_empty()) else {
            self.keep(packet, stream);
            return None;
        };
        stream.bytes.extend_from_slice(more);
        stream.next = stream.next.wrapping_add(more.len() as u32);
        stream.at = packet.at;
        Some(stream)
    }

    fn keep(&mut self, packet: &Packet<'_>, mut stream: Stream) {
        if stream.broken {
            stream.bytes = Vec::new();
        }
        let full = self.stream_bytes + stream.bytes.len() > MAX_STREAM_BYTES;
        let most = if full { 0 } else { MAX_PENDING };
        let evicted = evict_older_half(most, &mut self.streams, |stream| stream.at);
        if evicted > 0 {
            self.counts.evicted += evicted;
            self.stream_bytes = bytes_of(&self.streams);
        }
        self.stream_bytes += stream.bytes.len();
        self.streams.insert((packet.cookie, packet.kind), stream);
    }
}

fn bytes_of(streams: &HashMap<(u64, Kind), Stream>) -> usize {
    streams.values().map(|stream| stream.bytes.len()).sum()
}

/// Evicts the older half of a table of `most` entries or more; returns how many that were.
fn evict_older_half<K: Eq + std::hash::Hash, V>(
    most: usize,
    table: &mut HashMap<K, V>,
    at: impl Fn(&V) -> Mono,
) -> u64 {
    if table.is_empty() || table.len() < most {
        return 0;
    }
    let mut times: Vec<Mono> = table.values().map(&at).collect();
    let middle = times.len() / 2;
    let median = *times.select_nth_unstable(middle).1;
    let before = table.len();
    table.retain(|_, value| at(value) > median);
    (before - table.len()) as u64
}

#[cfg(test)]
mod tests;
