//! Messages of DNS: the question, and the addresses that an answer leads to.

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{Name, Packet, PacketFlag, ResourceRecord};

/// Records that are read of one message, addresses of one name, and names of one chain of CNAMEs.
const MAX_RECORDS: usize = 128;
const MAX_ADDRESSES: usize = 32;
const MAX_CHAIN: usize = 16;

/// A name as text: a dot between labels, a backslash before a dot or backslash within one; ASCII letters in lower
/// case, since DNS compares them so and resolvers mix them at random.
pub(super) type Text = Box<[u8]>;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: Text,
    /// The number of the type.
    pub(super) kind: u16,
}

#[derive(Debug)]
enum Data {
    Address(IpAddr),
    Alias(Text),
}

#[derive(Debug)]
struct Record {
    owner: Text,
    data: Data,
    ttl_s: u32,
}

/// A message, as far as it is about addresses.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    pub(super) questions: Vec<Question>,
    records: Vec<Record>,
}

impl Message {
    /// Reads a message; `None` where it is malformed. `with_additional`: its additional records count as
    /// answers, as in multicast DNS.
    pub(super) fn read(bytes: &[u8], with_additional: bool) -> Option<Self> {
        let packet = Packet::parse(bytes).ok()?;
        let question =
            |q: &simple_dns::Question<'_>| Question { name: text(&q.qname), kind: q.qtype.into() };
        let additional = if with_additional { &*packet.additional_records } else { &[] };
        Some(Self {
            id: packet.id(),
            is_answer: packet.has_flags(PacketFlag::RESPONSE),
            questions: packet.questions.iter().map(question).collect(),
            records: packet
                .answers
                .iter()
                .chain(additional)
                .filter_map(record)
                .take(MAX_RECORDS)
                .collect(),
        })
    }

    /// The addresses of a name, also at the end of a chain of CNAMEs that begins with it, each with the shortest
    /// lifetime on the way, in seconds.
    pub(super) fn addresses(&self, name: &[u8]) -> Vec<(IpAddr, u32)> {
        let mut chain: Vec<(&[u8], u32)> = vec![(name, u32::MAX)];
        let mut found: Vec<(IpAddr, u32)> = Vec::new();
        let mut at = 0;
        while let Some((owner, most)) = chain.get(at).copied() {
            at += 1;
            for record in self.records.iter().filter(|record| *record.owner == *owner) {
                let ttl_s = record.ttl_s.min(most);
                match &record.data {
                    Data::Alias(to) => {
                        if chain.len() < MAX_CHAIN && chain.iter().all(|(known, _)| *known != &**to)
                        {
                            chain.push((to, ttl_s));
                        }
                    }
                    Data::Address(ip) => {
                        if found.len() < MAX_ADDRESSES && found.iter().all(|(known, _)| known != ip)
                        {
                            found.push((*ip, ttl_s));
                        }
                    }
                }
            }
        }
        found
    }
}

fn record(of: &ResourceRecord<'_>) -> Option<Record> {
    let data = match &of.rdata {
        RData::A(a) => Data::Address(IpAddr::V4(a.address.into())),
        RData::AAAA(aaaa) => Data::Address(IpAddr::V6(aaaa.address.into())),
        RData::CNAME(to) => Data::Alias(text(&to.0)),
        _ => return None,
    };
    Some(Record { owner: text(&of.name), data, ttl_s: of.ttl })
}

fn text(name: &Name<'_>) -> Text {
    let mut text = Vec::new();
    for (n, label) in name.as_bytes().enumerate() {
        if n > 0 {
            text.push(b'.');
        }
        for byte in label {
            if matches!(byte, b'.' | b'\\') {
                text.push(b'\\');
            }
            text.push(byte.to_ascii_lowercase());
        }
    }
    if text.is_empty() {
        text.push(b'.');
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fuzz;

    /// A message of the corpus.
    fn message(file: &str) -> Option<Message> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/dns");
        Message::read(&std::fs::read(format!("{folder}/{file}")).unwrap(), true)
    }

    fn found(file: &str, name: &[u8]) -> Vec<(String, u32)> {
        let addresses = message(file).unwrap().addresses(name);
        addresses.into_iter().map(|(ip, ttl_s)| (ip.to_string(), ttl_s)).collect()
    }

    #[test]
    fn an_answer_leads_to_the_addresses_of_its_question() {
        let query = message("query").unwrap();
        assert!(!query.is_answer && query.id == 7);
        let question = Question { name: b"one.example"[..].into(), kind: 1 };
        assert_eq!(query.questions, [question], "case does not matter");
        let own = |ip: &str, ttl_s| (ip.to_owned(), ttl_s);
        assert_eq!(found("answer", b"one.example"), [own("192.0.2.1", 300), own("192.0.2.2", 60)]);
        assert_eq!(found("answer", b"two.example"), []);
        assert_eq!(found("chain", b"www.one.example"), [own("192.0.2.3", 30)]);
        assert_eq!(found("chain", b"one.example"), []);
        assert_eq!(found("v6", b"one.example"), [own("2001:db8::1", 300)]);
        assert_eq!(found("mdns", b"printer.local"), [own("192.0.2.6", 120), own("fe80::1", 120)]);
    }

    #[test]
    fn hostile_messages_do_no_harm() {
        assert!(message("loop").is_none());
        assert!(message("label_of_255").is_none());
        assert_eq!(found("cname_loop", b"one.example"), []);
        let long = message("long_labels").unwrap();
        assert_eq!(long.addresses(&long.questions[0].name).len(), 1);
        let escaped = message("escapes").unwrap();
        let name = &*escaped.questions[0].name;
        assert_eq!(name, b"ev\x1b[31m\\\\il\x00\xff.example");
    }

    #[test]
    fn any_bytes_are_a_message_or_none() {
        fuzz::check("dns", |bytes| {
            for with_additional in [false, true] {
                let Some(message) = Message::read(bytes, with_additional) else { continue };
                for question in &message.questions {
                    assert!(question.name.len() <= 2 * 255);
                    let found = message.addresses(&question.name);
                    assert!(found.len() <= MAX_ADDRESSES);
                }
            }
        });
    }
}
