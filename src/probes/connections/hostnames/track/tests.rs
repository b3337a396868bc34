use super::*;

const SHELL: ProcessKey = ProcessKey { tgid: 7, start_boottime_ns: 1 };

fn corpus(file: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/corpus/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn packet(kind: Kind, copied: &[u8]) -> Packet<'_> {
    Packet {
        at: Mono(1),
        cookie: 1,
        process: Some(SHELL),
        port: 53,
        seq: 0,
        kind,
        tcp: false,
        bytes: copied.len(),
        copied,
    }
}

fn found(track: &Track) -> Vec<(String, String)> {
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    track.found.answers.iter().map(|a| (text(&a.name), a.ip.to_string())).collect()
}

#[test]
fn an_answer_counts_for_its_query_alone() {
    let (query, answer) = (corpus("dns/query"), corpus("dns/answer"));
    let mut track = Track::default();
    let ask = packet(Kind::Query, &query);
    // No query; that of another socket; another number; another question.
    track.take(&packet(Kind::Answer, &answer));
    track.take(&ask);
    track.take(&Packet { cookie: 2, ..packet(Kind::Answer, &answer) });
    let mut other = answer.clone();
    other[1] = 8;
    track.take(&packet(Kind::Answer, &other));
    assert_eq!((track.counts.unasked, found(&track)), (3, vec![]));
    track.take(&packet(Kind::Answer, &corpus("dns/v6")));
    assert_eq!((track.counts.unasked, found(&track)), (4, vec![]));
    track.take(&packet(Kind::Answer, &answer));
    assert_eq!(track.counts.unasked, 5, "one wrong answer is all that a query gets");
    track.take(&ask);
    track.take(&packet(Kind::Answer, &answer));
    let name = || "one.example".to_owned();
    assert_eq!(found(&track), [(name(), "192.0.2.1".into()), (name(), "192.0.2.2".into())]);
    // A query without a known process leads to no name.
    track.take(&Packet { process: None, ..ask });
    track.take(&packet(Kind::Answer, &answer));
    assert_eq!((track.counts.unattributed, track.found.answers.len()), (1, 2));
    // A message that was cut is not read; one that is none is counted.
    track.take(&ask);
    track.take(&Packet { bytes: 9_000, ..packet(Kind::Answer, &answer) });
    track.take(&packet(Kind::Answer, b"no DNS"));
    assert_eq!((track.counts.malformed, track.found.answers.len()), (1, 2));
}

#[test]
fn answers_by_multicast_are_joined_by_name() {
    let mut track = Track::default();
    let mut query = corpus("dns/query");
    let name = [&b"\x07printer\x05local\x00"[..], &[0, 1, 0, 1]].concat();
    query.splice(12.., name);
    let mdns = |kind, copied| Packet { port: MDNS, ..packet(kind, copied) };
    let answer = corpus("dns/mdns");
    track.take(&mdns(Kind::Answer, &answer));
    assert_eq!((track.counts.unasked, found(&track)), (1, vec![]));
    track.take(&mdns(Kind::Query, &query));
    track.take(&mdns(Kind::Answer, &answer));
    assert_eq!(found(&track).len(), 2);
    assert!(track.found.answers.iter().all(|a| a.source == NameSource::Mdns));
}

#[test]
fn messages_over_tcp_come_in_any_pieces() {
    let with_length = |m: Vec<u8>| [&(m.len() as u16).to_be_bytes()[..], &m].concat();
    let query = with_length(corpus("dns/query"));
    let answer = with_length(corpus("dns/answer"));
    for size in 1..answer.len() {
        let mut track = Track::default();
        track.take(&Packet { tcp: true, ..packet(Kind::Query, &query) });
        let mut seq = u32::MAX - 3;
        for piece in answer.chunks(size) {
            let piece = Packet { tcp: true, seq, ..packet(Kind::Answer, piece) };
            track.take(&piece);
            // Sent again.
            track.take(&piece);
            seq = seq.wrapping_add(piece.bytes as u32);
        }
        assert_eq!(found(&track).len(), 2, "{size}");
    }
    // A missing piece: nothing of the rest is read.
    let mut track = Track::default();
    track.take(&Packet { tcp: true, ..packet(Kind::Query, &query) });
    for seq in [0, 20] {
        let piece = &answer[seq..seq + 10];
        track.take(&Packet { tcp: true, seq: seq as u32, ..packet(Kind::Answer, piece) });
    }
    assert_eq!((track.counts.unfinished, found(&track)), (1, vec![]));
}

#[test]
fn a_hello_comes_in_any_pieces() {
    let hello = corpus("client_hello/openssl");
    for size in 1..hello.len() {
        let mut track = Track::default();
        for (n, piece) in hello.chunks(size).enumerate() {
            track.take(&Packet { seq: (n * size) as u32, ..packet(Kind::Hello, piece) });
        }
        let names: Vec<_> = track.found.hellos.iter().map(|h| &*h.name).collect();
        assert_eq!(names, [b"one.example"], "{size}");
    }
    let mut track = Track::default();
    track.take(&packet(Kind::Hello, &hello[..100]));
    track.expire(Mono(PATIENCE_NS * 2));
    assert_eq!((track.counts.unfinished, track.found.hellos.len()), (1, 0));
}

#[test]
fn answers_of_a_message_and_of_a_drain_are_bounded() {
    let mut track = Track::default();
    let mdns = |kind, copied| Packet { port: MDNS, ..packet(kind, copied) };
    // Sixteen names, each the first of a chain to forty addresses.
    let name = |n: u8| [&[1, b'a' + n][..], b"\x05local\x00"].concat();
    let record = |owner: &[u8], kind: u8, data: &[u8]| {
        [owner, &[0, kind, 0, 1, 0, 0, 0, 9, 0, data.len() as u8], data].concat()
    };
    let mut question = vec![0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0];
    let mut answer = vec![0, 0, 0x84, 0, 0, 0, 0, 56, 0, 0, 0, 0];
    for n in 0..16 {
        question.extend([name(n), vec![0, 1, 0, 1]].concat());
        answer.extend(record(&name(n), 5, b"\x01z\x05local\x00"));
    }
    for n in 0..40 {
        answer.extend(record(b"\x01z\x05local\x00", 1, &[192, 0, 2, n]));
    }
    track.take(&mdns(Kind::Query, &question));
    track.take(&mdns(Kind::Answer, &answer));
    assert_eq!(track.found.answers.len(), MAX_OF_MESSAGE);
    assert_eq!(track.counts.left_out, 16 * 32 - MAX_OF_MESSAGE as u64);
    for _ in 0..100 {
        track.take(&mdns(Kind::Answer, &answer));
    }
    assert_eq!(track.found.answers.len(), MAX_FOUND);
}

#[test]
fn the_bytes_of_unfinished_messages_are_bounded() {
    let hello = corpus("client_hello/openssl");
    let part = [&hello[..5], &[1, 0, 15, 0][..], &[0; 3_000]].concat();
    let mut part = part;
    (part[3], part[4]) = (15, 4);
    let mut track = Track::default();
    for n in 0..3_000 {
        let (at, cookie) = (Mono(n), n);
        track.take(&Packet { at, cookie, ..packet(Kind::Hello, &part) });
        assert!(track.stream_bytes <= MAX_STREAM_BYTES);
        assert_eq!(track.stream_bytes, bytes_of(&track.streams));
    }
    assert!(track.counts.evicted > 600, "{:?}", track.counts);
    // One that goes on and on is broken.
    let mut track = Track::default();
    for n in 0..9 {
        track.take(&Packet { seq: n * part.len() as u32, ..packet(Kind::Hello, &part) });
        assert!(track.stream_bytes <= MAX_HELLO);
    }
}

#[test]
fn full_tables_evict_the_older_half_and_count_it() {
    let (query, hello) = (corpus("dns/query"), corpus("client_hello/openssl"));
    let mut track = Track::default();
    for n in 0..=MAX_PENDING as u64 {
        let (at, cookie) = (Mono(n), n);
        track.take(&Packet { at, cookie, ..packet(Kind::Query, &query) });
        track.take(&Packet { at, cookie, ..packet(Kind::Hello, &hello[..100]) });
        track.take(&Packet { at, cookie, port: MDNS, ..packet(Kind::Query, &query) });
    }
    assert!(track.asked.len() <= MAX_PENDING && track.streams.len() <= MAX_PENDING);
    assert!(track.multicast.len() <= MAX_MULTICAST_SOCKETS);
    let of_multicast = (MAX_PENDING - track.multicast.len() + 1) as u64;
    assert_eq!(track.counts.evicted, 2 * (MAX_PENDING as u64 / 2 + 1) + of_multicast);
}
